"""A path to a model -> an engine, for every job that embeds pictures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facekit.embeddings import BRANCHES, Engine, Preprocessing
from facekit.embeddings.devices import check_devices
from facekit.errors import ConfigError
from facekit.jobs.inputs.checks import check_at_least, check_choice
from facekit.output import Input, input_of
from facekit.records.named_inputs import describe_path, export_cure, require_there

__all__ = ["ARCHITECTURES", "ModelChoice", "model_input", "open_engine", "parse_columns"]

ARCHITECTURES = ("r18", "r34", "r50", "r100", "r200")
"""The IResNets of arcface_torch, by the names that it uses."""


@dataclass(frozen=True)
class ModelChoice:
    """Which network, and how it is to be used.

    Attributes
    ----------
    path : str
        An ONNX file, or a ``.pt`` file with the weights of an IResNet, as arcface_torch's ``backbone.pt``.
    arch : str, optional
        One of `ARCHITECTURES`; needed for weights.
    branch : str, optional
        For networks with a branch for masked faces: ``ledger`` (as is known of each picture: from the ledger beside its
        pack or ``.bin``, or because a mask was put on for an evaluation), ``face``, ``masked``, ``both`` (the
        average) or ``auto`` (what is not known to be masked is looked at, which is right for 98.2% of really masked
        and bare faces). Default: ``ledger``; a picture of which nothing is known is a face.
    flip : bool
        Add the embedding of the mirrored picture.
    device : str
        ``cpu``, ``cuda`` (all cards; where only one is used, the first) or cards by number, such as
        ``cuda:0,cuda:1``.
    batch : int
        Pictures at a time.
    threads : int
        Of the network, on the CPU; 0: one for each core.
    columns : (int, int), optional
        Columns of the picture that the network sees.
    mean, std : float, optional
        Input is (x - mean) / std.
    channels : str, optional
        ``rgb`` or ``bgr``. What is None is taken from the file, else RGB and 127.5.

    Raises
    ------
    ConfigError
        A value is not allowed; the message says what was given and what is allowed.
    """

    path: str
    arch: str | None = None
    branch: str | None = None
    flip: bool = False
    device: str = "cpu"
    batch: int = 64
    threads: int = 0
    columns: tuple[int, int] | None = None
    mean: float | None = None
    std: float | None = None
    channels: str | None = None

    def __post_init__(self) -> None:
        if self.branch is not None:
            check_choice("branch", self.branch, BRANCHES)
        if self.arch is not None:
            check_choice("arch", self.arch, ARCHITECTURES)
        check_devices(self.device)
        check_at_least("batch", self.batch, 1)
        check_at_least("threads", self.threads, 0)

    def preprocessing(self) -> dict[str, Any]:
        """The fields of `Preprocessing` that were chosen."""
        names = ("columns", "mean", "std", "channels")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def parse_columns(text: str) -> tuple[int, int]:
    """First column and the one after the last.

    >>> parse_columns("8:104")
    (8, 104)
    """
    found = re.fullmatch(r"(\d+):(\d+)", text)
    if found is None:
        raise ConfigError(f"columns are {text!r}; write the first and the one after the last, such as 8:104")
    return int(found[1]), int(found[2])


def model_input(choice: ModelChoice) -> Input:
    """A network as an input of an output: its file, and those beside it that hold weights of an ONNX file."""
    path = Path(choice.path)

    def files() -> list[Path]:
        from facekit.embeddings.onnx_header import external_files

        beside = external_files(path) if path.suffix == ".onnx" and path.is_file() else ()
        return [path, *(path.parent / name for name in beside)]

    return input_of(choice.path, files)


def open_engine(choice: ModelChoice) -> Engine:
    """Open a model.

    Raises
    ------
    ConfigError
        There is no such file, it is of no known kind, its architecture is missing, or the network has no branches
        and one was chosen.
    FacekitError
        The file cannot be read as what its name says.
    """
    if "," in choice.device:
        raise ConfigError(f"device is {choice.device}; one network runs on one: name one here")
    path, given = Path(choice.path), choice.preprocessing()
    if path.suffix in (".pt", ".pth"):
        engine = _weights(path, choice, given)
    elif path.suffix == ".onnx":
        from facekit.embeddings.onnx_engine import OnnxEngine

        engine = OnnxEngine(path, choice.device, choice.threads, given)
    else:
        require_there(path, "model")
        raise ConfigError(f"{path} is {describe_path(path)}, neither an .onnx file nor .pt weights{export_cure(path)}")
    if choice.branch is not None and not engine.takes_flag:
        raise ConfigError(f"branch {choice.branch}: {path} has no input mask_flag, so it has no branches")
    return engine


def _weights(path: Path, choice: ModelChoice, given: dict[str, Any]) -> Engine:
    from facekit.embeddings.torch_engine import TorchEngine, read_state

    state = read_state(path)
    if choice.arch is None:
        raise ConfigError(f"{path} holds weights only: say which network they belong to, such as --arch r50")
    from facekit.train.iresnet import iresnet

    network = iresnet(int(choice.arch[1:]))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise ConfigError(f"{path} does not fit the network {choice.arch}: {reason}") from error
    return TorchEngine(network, path, Preprocessing(**given), choice.device)
