"""A pack as a torch dataset: drop-in for arcface_torch's ``MXFaceDataset``, without mxnet, for every layout."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from facekit.errors import ConfigError, PictureError, RecordError
from facekit.images import decode
from facekit.records import Pack, RecordReader, open_pack
from facekit.records.distinct import blocks
from facekit.records.index import RecordIndex
from facekit.run.ledger import ledger_path
from facekit.run.ledger_reader import ledger_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facekit.records.index import RecordIndex

__all__ = ["Augment", "RecordDataset", "flip_and_normalise"]

_LEVELS = (np.arange(256, dtype=np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)

Sample = tuple[Any, torch.Tensor] | tuple[Any, torch.Tensor, torch.Tensor]


class Augment(Protocol):
    """What may be given as ``augment``; `facekit.MaskAugment` is one."""

    def __call__(self, image: NDArray[np.uint8], key: int, epoch: int = 0) -> tuple[NDArray[np.uint8], bool]: ...


def flip_and_normalise(image: NDArray[np.uint8]) -> torch.Tensor:
    """Mirror half of the pictures and bring them to [-1, 1]: arcface_torch's transform, to the bit.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB.

    Returns
    -------
    (3, H, W) float32 tensor
        RGB. Whether it is mirrored is drawn from torch's generator, which a DataLoader seeds in every worker.
    """
    import cv2

    if torch.rand(()).item() < 0.5:
        image = image[:, ::-1]
    planes = np.ascontiguousarray(image.transpose(2, 0, 1))
    # One look-up a pixel: torch's own passes cost half as much again, and many times that where it starts threads.
    return torch.from_numpy(cv2.LUT(planes.reshape(3, -1), _LEVELS).reshape(planes.shape))


class RecordDataset(Dataset[Sample]):
    """Pictures and labels of a pack.

    Picklable, for workers that are spawned as well as forked: there it is open in milliseconds and shares the index
    with the others, however long that is.

    Parameters
    ----------
    root_dir : path
        Folder of the pack, its ``.rec`` file or their prefix.
    local_rank : int
        Kept as an attribute, as the original does.
    transform : callable, optional
        From the (H, W, 3) uint8 RGB picture to the sample; by default `flip_and_normalise`. torchvision's transforms
        want ``ToPILImage`` first.
    augment : callable, optional
        ``augment(image, key, epoch) -> (image, masked)`` before the transform, such as `facekit.MaskAugment`. It is not
        shown pictures that wear a mask already, by the ledger.
    return_mask_flag : bool
        Give ``(sample, label, masked)`` rather than ``(sample, label)``: masked by ``augment``, or by the ledger beside
        the pack that ``facekit mask`` leaves.

    Attributes
    ----------
    pack : Pack
    imgrec : RecordReader
        Has ``read_idx(key)``.
    imgidx : (N,) int64
        Key of each sample: ascending in the layout ``insightface``, else in the order of the ``.idx``.
    header0 : (int, int)
        The two numbers of record 0, where the layout has them.

    Raises
    ------
    RecordError
        There is no such pack.
    ConfigError
        The flag is asked for and nothing can tell it.
    """

    def __init__(
        self,
        root_dir: str | os.PathLike[str],
        local_rank: int = 0,
        transform: Callable[[NDArray[np.uint8]], Any] | None = None,
        augment: Augment | None = None,
        return_mask_flag: bool = False,
    ) -> None:
        super().__init__()
        self.root_dir, self.local_rank = os.fspath(root_dir), local_rank
        self.transform = flip_and_normalise if transform is None else transform
        self.augment, self.return_mask_flag = augment, return_mask_flag
        self.pack = open_pack(root_dir)
        self._keys = image_keys(self.pack)
        ledger = ledger_path(self.pack.paths.rec)
        self._masked = masked_bits(ledger, self.pack.reader.index, self._keys) if return_mask_flag or augment else None
        self._epoch = _shared_number()
        if self.pack.dataset_header is not None:
            images, identities = self.pack.dataset_header.label[:2].tolist()
            self.header0 = int(images), int(identities)
        if return_mask_flag and augment is None and self._masked is None:
            raise ConfigError(
                f"nothing tells which pictures of {self.pack.paths.rec} are masked: there is no {ledger.name} beside "
                "it; make the pack with facekit mask, or give augment=facekit.MaskAugment(...)"
            )

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: int) -> Sample:
        """Sample, label (int64 scalar) and, where asked for, whether it is masked (bool scalar).

        Raises
        ------
        IndexError
            There is no such sample.
        RecordError, PictureError
            The record is truncated or corrupt, or holds no picture; names file and key.
        """
        key = int(self._keys[index])
        label, image = self._read(key)
        masked = self._sample_is_masked(range(len(self))[index])
        if self.augment is not None and not masked:
            image, masked = self.augment(image, key, epoch=int(self._epoch))
        sample = self.transform(image)
        target = torch.tensor(label, dtype=torch.long)
        return (sample, target, torch.tensor(masked)) if self.return_mask_flag else (sample, target)

    def _read(self, key: int) -> tuple[int, NDArray[np.uint8]]:
        _, header, payload = self.pack.read(key)
        label = float(header.label if header.flag == 0 else header.label[0])
        path = self.pack.paths.rec
        if not label.is_integer():
            raise RecordError(f"the label {label} is not a whole number", path, key, self.imgrec.offset(key))
        try:
            return int(label), decode(payload)
        except PictureError as error:
            raise PictureError(f"{path}, key {key}: {error}") from error

    @property
    def shares_memory(self) -> bool:
        """Whether reading processes can be told of a new epoch, and hand over what they read."""
        return bool(self._epoch.is_shared())

    def set_epoch(self, epoch: int) -> None:
        """Set what ``augment`` draws from besides the key; workers that are kept between epochs see it too.

        Parameters
        ----------
        epoch : int
        """
        self._epoch.fill_(epoch)

    def is_masked(self, key: int) -> bool:
        """Whether the ledger says that the picture of a key wears a mask.

        Parameters
        ----------
        key : int

        Returns
        -------
        masked : bool
            False where there is no ledger, or no such sample.
        """
        return self._sample_is_masked(self._place_of(key))

    def _sample_is_masked(self, place: int) -> bool:
        bits = self._masked
        return bits is not None and place >= 0 and bool(bits[place >> 3] >> (place & 7) & 1)

    def _place_of(self, key: int) -> int:
        """Number of the sample with a key; -1: there is none."""
        keys = self._keys
        if isinstance(keys, range):
            return keys.index(key) if key in keys else -1
        if self.pack.layout == "flat":  # in any order, and the index knows it
            return int(self.pack.reader.index.positions(np.array([key]))[0])
        place = int(np.searchsorted(keys, key))
        return place if place < len(keys) and keys[place] == key else -1

    @property
    def imgrec(self) -> RecordReader:
        return self.pack.reader

    @cached_property
    def imgidx(self) -> NDArray[np.int64]:
        return np.asarray(self._keys)

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) int64, label of each sample, read in one pass over the headers."""
        if _are_equal(self._keys, self.pack.keys):
            return self.pack.labels.copy()
        order = self.pack.reader.index.positions(self.pack.keys)
        labels = np.empty(len(self.pack.reader), np.int64)
        labels[order] = self.pack.labels
        return labels[self.pack.reader.index.positions(self.imgidx)]

    @property
    def num_classes(self) -> int:
        """Largest label + 1."""
        return self.pack.num_classes

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name != "imgidx"}
        if self._keys is self.pack.reader.keys:
            state["_keys"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["_keys"] is None:
            state = {**state, "_keys": state["pack"].reader.keys}
        self.__dict__.update(state)


def image_keys(pack: Pack) -> range | NDArray[np.int64]:
    """Keys of the images as a training loop numbers them.

    Parameters
    ----------
    pack : Pack

    Returns
    -------
    keys : range or (N,) int64
        Ascending, a range (which costs no memory) where they are one; in the layout ``flat`` in the order of the index.
    """
    if pack.layout == "flat":
        return pack.reader.keys
    keys = pack.keys
    if len(keys) and int(keys.max()) - int(keys.min()) + 1 == len(keys):
        return range(int(keys.min()), int(keys.max()) + 1)
    return np.sort(keys)


def _are_equal(samples: range | NDArray[np.int64], keys: NDArray[np.int64]) -> bool:
    """Whether both are the same keys in the same order; a range is not made an array."""
    if not isinstance(samples, range):
        return np.array_equal(samples, keys)
    return len(samples) == len(keys) and all(
        np.array_equal(np.arange(samples[part].start, samples[part].stop), keys[part]) for part in blocks(len(keys))
    )


def masked_bits(ledger: Path, index: RecordIndex, samples: range | NDArray[np.int64]) -> NDArray[np.uint8] | None:
    """A bit a sample, set where a ledger says that its picture is masked; None where there is no ledger.

    Parameters
    ----------
    ledger : Path
        Its columns key and action are read; rows of keys that the index does not have say nothing.
    index : RecordIndex
    samples : (N,) int64
        Keys of the samples, all of them in the index.

    Returns
    -------
    (ceil(N / 8),) uint8 or None
        Bit i & 7 of byte i >> 3 is that of sample i.

    Raises
    ------
    FacekitError
        The ledger cannot be read, or lacks a column.
    """
    if not ledger.exists():
        return None
    masked = np.zeros(len(index), np.bool_)
    for keys in _masked_keys(ledger):
        places = index.positions(keys)
        masked[places[places >= 0]] = True
    return np.packbits(masked[index.positions(np.asarray(samples))], bitorder="little")


def _masked_keys(ledger: Path) -> Iterator[NDArray[np.int64]]:
    import pyarrow.compute as pc

    for batch in ledger_batches(ledger, "key", "action"):
        yield batch.filter(pc.and_(pc.equal(batch["action"], "mask"), pc.is_valid(batch["key"])))["key"].to_numpy()


def _shared_number() -> torch.Tensor:
    """A number in shared memory, so that workers that are kept between epochs see it change.

    Where there is none (a container without /dev/shm) workers cannot send what they read either; who reads alone
    needs none.
    """
    number = torch.zeros((), dtype=torch.int64)
    try:
        return number.share_memory_()
    except RuntimeError:
        return number
