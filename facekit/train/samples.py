"""A pack -> batches in an order that follows from the seed, so that any step of any epoch can be found again."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, default_collate

from facekit.errors import ConfigError, FacekitError, PictureError
from facekit.train.augment import apply_augmentation, draw_augmentation
from facekit.train.config import LoopConfig
from facekit.train.dataset import Augment, RecordDataset
from facekit.train.plugin import Batch

__all__ = ["EpochLoader", "TrainingSet", "epoch_order"]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
GROUP = 4  # images of a class after one another, as PFE has them
_ORDER, _CHANGE = 101, 102  # tags that keep the streams of random numbers apart


class TrainingSet(RecordDataset):
    """Augmented pictures of a pack with labels and mask flags.

    What happens to a picture follows from the seed, the epoch and its key alone.

    Parameters
    ----------
    path : str
        The pack.
    config : LoopConfig
    wear : Augment or None
        Puts masks on pictures that have none yet by the ledger.
    """

    def __init__(self, path: str, config: LoopConfig, wear: Augment | None = None) -> None:
        super().__init__(path, augment=_NoMasks() if wear is None else wear)
        self.config = config

    def __getitem__(self, index: int) -> Any:
        """Picture (3, H, W) float32 in [-1, 1], label, whether it is masked.

        Raises
        ------
        RecordError, PictureError
            The record is truncated or corrupt, or holds no picture, or one of another size; names file and key.
        """
        key = int(self._keys[index])
        label, image = self._read(key)
        self._check_size(key, image)
        epoch, masked = int(self._epoch), self._sample_is_masked(range(len(self))[index])
        if not masked and self.augment is not None:
            image, masked = self.augment(image, key, epoch=epoch)
        rng = np.random.default_rng([self.config.seed, _CHANGE, epoch, key])
        return torch.from_numpy(apply_augmentation(image, draw_augmentation(rng, self.config))), label, masked

    @cached_property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the first picture, pixels: that of all."""
        height, width = self.pack.image(int(self._keys[0])).shape[:2]
        return height, width

    def _check_size(self, key: int, image: NDArray[np.uint8]) -> None:
        height, width = image.shape[:2]
        if (height, width) != self.image_size:
            raise PictureError(
                f"{self.pack.paths.rec}, key {key}: a picture of {height} x {width} pixels in a pack whose first has "
                f"{self.image_size[0]} x {self.image_size[1]}; a copy with one size is made by "
                f"facekit check --deep {self.root_dir} --repair DST"
            )

    def masked_share(self) -> float | None:
        """Share of the images that the ledger calls masked; None without a ledger."""
        if self._masked is None:
            return None
        return float(np.unpackbits(self._masked, count=len(self), bitorder="little").mean())


class _NoMasks:
    """The augmentation that puts no mask on any picture."""

    def __call__(self, image: NDArray[np.uint8], *_: int, **__: int) -> tuple[NDArray[np.uint8], bool]:
        return image, False


def epoch_order(labels: NDArray[np.int64], config: LoopConfig, epoch: int) -> NDArray[np.int64]:
    """The order of the images in an epoch, over all processes.

    Parameters
    ----------
    labels : (N,) int64
    config : LoopConfig
        ``sampler`` "uniform": a permutation. "balanced": a class drawn evenly, then one of its images. "paired": the
        classes of four images or more in turn, with four different ones of each.
    epoch : int

    Returns
    -------
    places : (N,) int64

    Raises
    ------
    ConfigError
        No class has images enough for "paired".
    """
    rng = np.random.default_rng([config.seed, _ORDER, epoch])
    if config.sampler == "uniform":
        return rng.permutation(len(labels))
    by_label = np.argsort(labels, kind="stable")
    _, first, count = np.unique(labels[by_label], return_index=True, return_counts=True)
    if config.sampler == "paired":
        shuffled = np.lexsort((rng.random(len(labels)), labels))
        return _groups(rng, shuffled, first[count >= GROUP], count[count >= GROUP], len(labels))
    classes = rng.integers(0, len(first), len(labels))
    return np.asarray(by_label[first[classes] + rng.integers(0, count[classes])])


def _groups(
    rng: np.random.Generator, by_label: NDArray[np.int64], first: NDArray[np.int64], count: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    """Four images of a class after one another, (size,); which four, from a place in the class's shuffled images on."""
    if not len(first):
        raise ConfigError(f"sampler is paired, and no class has {GROUP} images: take uniform, or another pack")
    wanted = -(-size // GROUP)
    # Every class once before one comes again, so that a step sees different ones.
    classes = np.concatenate([rng.permutation(len(first)) for _ in range(-(-wanted // len(first)))])[:wanted]
    start = rng.integers(0, count[classes])
    inside = (start[:, None] + np.arange(GROUP)) % count[classes][:, None]
    places: NDArray[np.int64] = by_label[first[classes][:, None] + inside].ravel()[:size]
    return places


class EpochLoader:
    """Batches of epochs, read by processes that are started once.

    Nothing of it needs saving: order and changes follow from seed, epoch and step, for any number of workers.

    Parameters
    ----------
    samples : TrainingSet
        Its epoch is set before `batches` is called, and stays until they are all taken.
    rank, world : int
        Of this process, and how many there are.

    Raises
    ------
    ConfigError
        The settings ask for reading processes, and there is no memory to share with them.
    """

    def __init__(self, samples: TrainingSet, rank: int = 0, world: int = 1) -> None:
        config = samples.config
        if config.workers and not samples.shares_memory:
            raise ConfigError(
                f"workers is {config.workers}, and reading processes need shared memory, which /dev/shm does not give: "
                "make it writable (docker run --shm-size 1g), or choose workers=0"
            )
        self._batches = _Batches(config.batch, rank, world)
        self._loader: Any = DataLoader(
            _Handed(samples),
            batch_sampler=self._batches,
            num_workers=config.workers,
            collate_fn=_collated,
            generator=torch.Generator().manual_seed(0),  # otherwise each epoch takes a number from torch's own
            pin_memory=torch.cuda.is_available() and config.device != "cpu",
            worker_init_fn=partial(_start_worker, os.getpid()),
            persistent_workers=config.workers > 0,
        )

    def batches(self, order: NDArray[np.int64], first: int = 0) -> Iterator[Batch]:
        """Batches of an epoch from a step on.

        Parameters
        ----------
        order : (N,) int64
            Places of the samples, over all processes.
        first : int
            Batches of this process that are left out.

        Raises
        ------
        FacekitError
            While they are taken: a record that cannot be read, as `TrainingSet` says.
        """
        self._batches.order, self._batches.first = order, first
        return map(_batch_of, self._loader)

    def close(self) -> None:
        """End the processes that read."""
        self._loader = None


class _Batches:
    """Lists of positions for one process: its part of each global batch, from a step of the epoch on."""

    def __init__(self, batch: int, rank: int, world: int) -> None:
        self.batch, self.rank, self.world, self.first = batch, rank, world, 0
        self.order = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self.order) // (self.batch * self.world) - self.first

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first, self.first + len(self)):
            start = (step * self.world + self.rank) * self.batch
            yield self.order[start : start + self.batch].tolist()


class _Handed(Dataset[Any]):
    """Samples by the list; an error of facekit's is handed on, which torch would bury in a worker's traceback."""

    def __init__(self, samples: TrainingSet) -> None:
        self.samples = samples

    def __getitems__(self, places: Sequence[int]) -> list[Any] | FacekitError:
        try:
            return [self.samples[place] for place in places]
        except FacekitError as error:
            return error


def _collated(found: list[Any] | FacekitError) -> Any:
    return found if isinstance(found, FacekitError) else default_collate(found)


def _batch_of(parts: Any) -> Batch:
    if isinstance(parts, FacekitError):
        raise parts
    return Batch(*parts)


def _start_worker(parent: int, _number: int) -> None:
    """Share the cores with the other workers, and end with the process that trains, however that ends."""
    torch.set_num_threads(1)
    import cv2

    cv2.setNumThreads(0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before it was asked about
            os._exit(1)
