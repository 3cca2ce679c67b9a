"""The classes' weights: all in every process, or spread over them, with sampling (Partial FC, An et al. 2021)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from facekit.errors import ConfigError
from facekit.train.processes import gather_rows, rank_of
from facekit.train.sharded import sharded_cross_entropy, world_size

__all__ = ["Classifier", "HeadInputs", "initial_rows", "shard_of"]

BLOCK = 1024  # classes whose rows are drawn together


class HeadInputs(NamedTuple):
    """What the head is to compare."""

    embeddings: torch.Tensor
    """(B, D): of this process, or of all of them where the classes are spread."""
    labels: torch.Tensor
    """(B,) int64, rows of ``weight``; -1: the class is in another process."""
    weight: torch.Tensor
    """(C, D)."""
    class_index: torch.Tensor | None
    """(C,) int64, which classes the rows are; None: all, in order."""


def shard_of(classes: int, rank: int, world: int) -> tuple[int, int]:
    """The classes of a process; the first processes have one more where they cannot be shared evenly.

    Parameters
    ----------
    classes, rank, world : int
        Of all classes; of the process; how many processes there are.

    Returns
    -------
    first, count : int
    """
    each, left = divmod(classes, world)
    return rank * each + min(rank, left), each + (rank < left)


def initial_rows(first: int, count: int, dimensions: int) -> torch.Tensor:
    """Rows of some classes at the start, N(0, 0.01).

    They follow from torch's seed and the class alone, so they are the same however many processes share the classes.

    Parameters
    ----------
    first, count : int
        The classes ``first`` to ``first + count - 1``.
    dimensions : int

    Returns
    -------
    rows : (count, D) float32 tensor
    """
    rows, generator = torch.empty(count, dimensions), torch.Generator()
    for block in range(first // BLOCK, -(-(first + count) // BLOCK)):
        generator.manual_seed((torch.initial_seed() * 1_000_003 + block) % 2**63)
        drawn = torch.empty(BLOCK, dimensions).normal_(0, 0.01, generator=generator)
        low, high = max(first, block * BLOCK), min(first + count, (block + 1) * BLOCK)
        rows[low - first : high - first] = drawn[low - block * BLOCK : high - block * BLOCK]
    return rows


class Classifier(nn.Module):
    """One row a class.

    Parameters
    ----------
    classes, dimensions : int
    sharded : bool
        Each process has a shard of the classes and sees the batches of all; otherwise all classes and its own batch.
    sample_rate : float
        Share of this process's classes that a step compares with: those of the batch, and others at random. Below 1
        the gradient of ``weight`` is sparse.
    label_smoothing : float

    Attributes
    ----------
    weight : (num_local, D) parameter
        See `initial_rows`.
    class_start, num_local : int
    """

    def __init__(
        self,
        classes: int,
        dimensions: int,
        sharded: bool = False,
        sample_rate: float = 1.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 < sample_rate <= 1:
            raise ConfigError(f"sample_rate is {sample_rate}; it must be above 0 and at most 1")
        self.classes, self.sample_rate, self.label_smoothing = classes, sample_rate, label_smoothing
        self.sharded = sharded and world_size() > 1
        self.class_start, self.num_local = shard_of(classes, rank_of(), world_size()) if self.sharded else (0, classes)
        self.weight = nn.Parameter(initial_rows(self.class_start, self.num_local, dimensions))

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> HeadInputs:
        """Gather what belongs to this process's classes.

        Parameters
        ----------
        embeddings : (B, D) floating tensor
        labels : (B,) int64 tensor
            Classes of the whole pack.
        """
        if self.sharded:
            embeddings, labels = gather_rows(embeddings.float()), gather_rows(labels)
            labels = labels - self.class_start
            labels = labels.where((labels >= 0) & (labels < self.num_local), -1)
        if self.sample_rate < 1 and self.training:
            return self._sampled(embeddings, labels)
        index = torch.arange(self.num_local, device=labels.device) + self.class_start if self.sharded else None
        return HeadInputs(embeddings, labels, self.weight, index)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy, the mean over the rows.

        Parameters
        ----------
        logits : (B, C) floating tensor
        labels : (B,) int64 tensor
            As `HeadInputs.labels`.

        Returns
        -------
        loss : () tensor
        """
        if self.sharded:
            return sharded_cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        return functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)

    def _sampled(self, embeddings: torch.Tensor, labels: torch.Tensor) -> HeadInputs:
        positive = labels[labels >= 0].unique()
        count = max(int(self.sample_rate * self.num_local), len(positive))
        chance = torch.rand(self.num_local, device=labels.device)
        chance[positive] = 2.0
        index = chance.topk(count).indices.sort().values
        place = torch.searchsorted(index, labels.clamp(min=0)).where(labels >= 0, -1)
        # A sparse gradient: the optimizer then moves these rows and no others.
        rows = functional.embedding(index, self.weight, sparse=True)
        return HeadInputs(embeddings, place, rows, index + self.class_start)

    @torch.no_grad()
    def init_from_centres(self, centres: torch.Tensor) -> None:
        """Set the rows to the directions of the centres of the classes; their lengths stay.

        Parameters
        ----------
        centres : (C, D) floating tensor
            Of all classes; rows of zeros leave the classifier's as they are.

        Raises
        ------
        ConfigError
            Another number of classes or dimensions.
        """
        if centres.shape != (self.classes, self.weight.shape[1]):
            raise ConfigError(f"centres {tuple(centres.shape)} for {self.classes} classes of {self.weight.shape[1]}")
        own = centres[self.class_start : self.class_start + self.num_local].to(self.weight)
        known = own.abs().sum(1, keepdim=True) > 0
        size = self.weight.norm(dim=1, keepdim=True)
        self.weight.copy_(torch.where(known, functional.normalize(own) * size, self.weight))
