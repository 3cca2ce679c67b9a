"""ONNX files through onnxruntime: facekit's own, InsightFace's, and others with one picture in and one vector out."""

from __future__ import annotations

import os
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facekit.embeddings.devices import card_number, check_devices
from facekit.embeddings.engine import NetworkOutput
from facekit.embeddings.onnx_header import external_files, normalises_itself
from facekit.embeddings.preprocessing import METADATA_KEY, Preprocessing
from facekit.errors import ConfigError, FacekitError
from facekit.records.named_inputs import describe_path, require_there
from facekit.run.installed import rival_distributions

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["OnnxEngine", "file_hash", "model_hash"]

FLAG, UNCERTAINTY = "mask_flag", "uncertainty"
MAX_BATCH = 4096
"""Pictures of a network with a fixed batch: the last batch is filled up to it, 150 kB a picture of 112 x 112."""

NUMBERS = {"tensor(bool)": np.bool_, "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32}


def file_hash(path: Path) -> str:
    """BLAKE2b of a file, 32 hexadecimal digits.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str

    Raises
    ------
    OSError
        The file cannot be read.
    """
    digest = blake2b(digest_size=16)
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def model_hash(path: Path) -> str:
    """BLAKE2b of an ONNX file, 32 hexadecimal digits; of those beside it too where its weights lie there."""
    beside = external_files(path)
    if not beside:
        return file_hash(path)
    digest = blake2b(digest_size=16)
    for name in ("", *beside):
        digest.update(f"{name}\0{file_hash(path.parent / name if name else path)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


class OnnxEngine:
    """An ONNX network.

    Its first input takes the pictures; an input named ``mask_flag`` the flags. Its first output is the embedding; an
    output named ``uncertainty`` the norm of sigma. Preprocessing comes from the metadata of files that facekit
    exported; else it is RGB, (x - 127.5) / 127.5, or nothing where the graph begins with its own, as InsightFace's old
    files do.

    Parameters
    ----------
    path : Path
    device : str
        ``cpu``, ``cuda`` or ``cuda:N``.
    threads : int
        Of onnxruntime; 0: as many as there are cores.
    overrides : dict
        Fields of `Preprocessing` that count instead.

    Raises
    ------
    ConfigError
        No such file, onnxruntime is not installed or has no such device, or the preprocessing is contradictory.
    FacekitError
        The file is not an ONNX network that takes pictures.
    """

    takes_flag: bool

    def __init__(
        self, path: Path, device: str = "cpu", threads: int = 0, overrides: dict[str, Any] | None = None
    ) -> None:
        self.session, self._path = _open(path, device, threads), path
        inputs = self.session.get_inputs()
        self._image = inputs[0]
        self._flag = next((entry for entry in inputs if entry.name == FLAG), None)
        self.takes_flag = self._flag is not None
        if len(inputs) > 1 + self.takes_flag or len(self._image.shape) != 4:
            raise FacekitError(f"{path} takes {[(i.name, i.shape) for i in inputs]}: not pictures, or more than that")
        self._channels_last = self._image.shape[3] == 3 and self._image.shape[1] != 3
        _require_pictures(path, self._image, self._channels_last)
        if self._flag is not None:
            _require_flags(path, self._flag)
        batch = self._image.shape[0]
        self._batch = batch if isinstance(batch, int) and batch > 0 else None
        names = [entry.name for entry in self.session.get_outputs()]
        self._outputs = [names[0], *[name for name in names[1:] if name == UNCERTAINTY]]
        self.preprocessing = self._find_preprocessing(path, overrides or {})
        self.model_hash = model_hash(path)

    def run(self, planes: NDArray[np.float32], masked: NDArray[np.bool_]) -> NetworkOutput:
        """See `Engine.run`. A network with a fixed batch gets its batches, the last filled up.

        Parameters
        ----------
        planes : (B, 3, H, W) float32
        masked : (B,) bool

        Returns
        -------
        NetworkOutput
        """
        step = self._batch or max(len(planes), 1)
        parts = [self._run(planes[i : i + step], masked[i : i + step], step) for i in range(0, len(planes), step)]
        embeddings = np.concatenate([part[0] for part in parts]) if parts else np.zeros((0, 1), np.float32)
        uncertainty = np.concatenate([part[1] for part in parts]) if parts and len(parts[0]) > 1 else None
        return NetworkOutput(embeddings, uncertainty)

    def _run(self, planes: NDArray[np.float32], masked: NDArray[np.bool_], step: int) -> list[NDArray[np.float32]]:
        count = len(planes)
        if self._batch and count < step:
            planes = np.concatenate([planes, np.repeat(planes[-1:], step - count, 0)])
            masked = np.concatenate([masked, np.repeat(masked[-1:], step - count)])
        feeds: dict[str, Any] = {
            self._image.name: planes.transpose(0, 2, 3, 1).copy() if self._channels_last else planes
        }
        if self._flag is not None:
            flags: NDArray[Any] = masked.astype(NUMBERS[self._flag.type])
            feeds[FLAG] = flags[:, None] if len(self._flag.shape) == 2 else flags
        try:
            results = self.session.run(self._outputs, feeds)
        except Exception as error:  # onnxruntime raises classes of its own, which share no parent but this
            raise FacekitError(f"{self._path} cannot embed pictures {planes.shape}: {error}") from error
        vectors, *norms = [np.asarray(result, np.float32) for result in results]
        if vectors.ndim < 2 or len(vectors) != len(planes) or vectors[0].size != vectors.shape[1]:
            raise FacekitError(
                f"{self._path} gives {vectors.shape} numbers for {len(planes)} pictures; its first output must be one"
                f" vector a picture, ({len(planes)}, D)"
            )
        if norms and norms[0].size != len(planes):
            raise FacekitError(
                f"{self._path} gives {norms[0].shape} numbers as {UNCERTAINTY} of {len(planes)} pictures; it must be"
                " one a picture"
            )
        return [vectors[:count].reshape(count, -1), *(norm.reshape(-1)[:count] for norm in norms)]

    def _find_preprocessing(self, path: Path, overrides: dict[str, Any]) -> Preprocessing:
        text = self.session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if text is not None:
            try:
                written = Preprocessing.from_json(text)
            except ConfigError as error:
                raise ConfigError(f"{path}: {error}; export the network again, or remove that entry") from error
            return replace(written, **overrides)
        height, width = self._image.shape[1:3] if self._channels_last else self._image.shape[2:4]
        size = tuple(side if isinstance(side, int) and side > 0 else 112 for side in (height, width))
        plain = {"mean": 0.0, "std": 1.0} if normalises_itself(path) else {}
        return Preprocessing(**({"size": size} | plain | overrides))


def _require_pictures(path: Path, image: onnxruntime.NodeArg, channels_last: bool) -> None:
    channels = image.shape[3 if channels_last else 1]
    if image.type != "tensor(float)":
        raise FacekitError(
            f"{path} takes pictures as {image.type}, facekit gives float32: export it with such an input"
        )
    if isinstance(channels, int) and channels != 3:
        raise FacekitError(f"{path} takes pictures of {channels} channels, as {image.shape}; facekit gives three")
    if isinstance(image.shape[0], int) and image.shape[0] > MAX_BATCH:
        raise FacekitError(
            f"{path} takes {image.shape[0]:,} pictures at once, facekit gives at most {MAX_BATCH:,}: export it with a"
            " batch of 1 or of any size"
        )


def _require_flags(path: Path, flag: onnxruntime.NodeArg) -> None:
    if flag.type not in NUMBERS or len(flag.shape) not in (1, 2):
        raise FacekitError(
            f"{path} takes {FLAG} as {flag.type} {flag.shape}; it must be one of {', '.join(NUMBERS)}, (n,) or (n, 1)"
        )


def _named_or_read(path: Path) -> str | bytes:
    """The name of a network; its bytes where onnxruntime cannot be told the name, which it takes as UTF-8 only."""
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        if external_files(path):
            raise ConfigError(
                f"{path}: its weights lie in files beside it, and onnxruntime finds those only where the name is "
                "UTF-8; rename it, or name another"
            ) from None
        return path.read_bytes()
    return str(path)


def _open(path: Path, device: str, threads: int) -> onnxruntime.InferenceSession:
    check_devices(device)
    if not path.is_file():
        require_there(path, "model")
        raise ConfigError(f"{path} is {describe_path(path)}, no model file")
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise ConfigError("ONNX models need onnxruntime: pip install '.[embed]' in the checkout") from error
    provider = "CPUExecutionProvider" if device == "cpu" else "CUDAExecutionProvider"
    if provider not in ort.get_available_providers():
        rivals = rival_distributions("onnxruntime")
        cure = f"{rivals}; pip install onnxruntime-gpu" if rivals else "pip install onnxruntime-gpu"
        raise ConfigError(f"this onnxruntime has no {provider}: {cure}, or use --device cpu")
    place = {} if device == "cpu" else {"device_id": str(card_number(device))}
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(_named_or_read(path), options, providers=[provider], provider_options=[place])
    except (FacekitError, OSError):
        raise
    except Exception as error:  # onnxruntime raises classes of its own, which share no parent but this
        what = describe_path(path)
        reason = error if what == "an ONNX model" else f"it is {what}"
        raise FacekitError(f"{path} is not a network that onnxruntime can run: {reason}; name another") from error
