"""One rank of the multi-process tests: ``bcl_ranks.py RANK WORLD FOLDER`` runs every case, writes FOLDER/RANK.pt.

With a world of one (no torch.distributed) the same functions give the answer that more processes must reproduce.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import torch
from facekit_bcl import ArcMargin, BalancedCurricularMargin, BalancedSoftmax, CurricularMargin
from facekit_maskdul import MagnitudeMargin
from facekit_maskdul.network import TwoStreamIResNet
from torch import distributed
from torch.nn import functional

from facekit.train.angular import cosine_matrix
from facekit.train.sharded import all_sum, sharded_cross_entropy

BATCH, CLASSES, DIMENSIONS, STEPS = 9, 11, 6, 3
COUNTS = np.array([1, 30, 900, 2, 40, 7, 1, 250, 12, 5, 66])
Result = dict[str, torch.Tensor]


def problem(step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Embeddings (leaf), centres (leaf), labels; no label among the last four classes: the last rank has none."""
    rng = np.random.default_rng(step)
    weight = rng.normal(size=(CLASSES, DIMENSIONS))
    labels = rng.integers(0, CLASSES - 4, BATCH) if step else np.array([0, 6, 1, 5, 2, 4, 3, 3, 0])
    embeddings = 2 * weight[labels] + rng.normal(size=(BATCH, DIMENSIONS))
    points, centres = (torch.tensor(a, dtype=torch.float32, requires_grad=True) for a in (embeddings, weight))
    return points, centres, torch.from_numpy(labels)


def shard(rank: int, world: int) -> tuple[int, int]:
    """First class and number of classes of a rank: 6 + 5 of 11, or 4 + 4 + 3."""
    start = CLASSES // world * rank + min(rank, CLASSES % world)
    return start, CLASSES // world + (rank < CLASSES % world)


def local(labels: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Each label's place among the columns, or -1."""
    place = {int(c): i for i, c in enumerate(columns)}
    return torch.tensor([place.get(int(label), -1) for label in labels])


def sampled(rank: int, world: int, labels: torch.Tensor) -> torch.Tensor:
    """The classes that a rank samples: those that are there, and every third other one."""
    start, count = shard(rank, world)
    present = set(labels.tolist())
    return torch.tensor([c for c in range(start, start + count) if c in present or c % 3 == 1], dtype=torch.long)


def on_shards(rank: int, world: int, margin: Any, sample: bool = False, smoothing: float = 0.0) -> Result:
    """Classes over processes; every process sees the whole batch."""
    losses, slopes = [], []
    for step in range(STEPS):
        x, w, labels = problem(step)
        start, count = shard(rank, world)
        columns = sampled(rank, world, labels) if sample else torch.arange(start, start + count)
        y = local(labels, columns)
        logits = margin(cosine_matrix(x, w[columns]), y, columns)
        loss = sharded_cross_entropy(logits, y, label_smoothing=smoothing)
        loss.backward()
        losses.append(loss.detach())
        slopes += [all_sum(x.grad), all_sum(w.grad)]  # classes of other ranks have zero gradient here
    t = getattr(margin, "t", torch.zeros(())).clone()
    return {"loss": torch.stack(losses), "slope": torch.cat(slopes), "t": t}


def on_rows(rank: int, world: int, margin: Any) -> Result:
    """Rows over processes, unevenly; every process has all classes."""
    losses, slopes = [], []
    for step in range(STEPS):
        x, w, labels = problem(step)
        rows = torch.arange(BATCH)[rank::world] if rank else torch.arange(BATCH)[0::world][: BATCH // world + 1]
        logits = margin(cosine_matrix(x[rows], w), labels[rows])
        loss = functional.cross_entropy(logits, labels[rows], reduction="sum") / BATCH
        loss.backward()
        losses.append(all_sum(loss.detach()))
        slopes += [all_sum(x.grad), all_sum(w.grad)]
    return {"loss": torch.stack(losses), "slope": torch.cat(slopes), "t": margin.t.clone()}


class StandIn(torch.nn.Module):
    """A sharded classifier that calls its margin as arcface_torch's PartialFC_V2 does, written for this test."""

    def __init__(self, rank: int, world: int, margin: Any, sample_rate: float) -> None:
        super().__init__()
        self.class_start, self.num_local = shard(rank, world)
        self.rank, self.world, self.sample_rate = rank, world, sample_rate
        self.margin_softmax = margin

    def forward(self, x: torch.Tensor, w: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        labels = labels.view(-1, 1).clone()
        here = (labels >= self.class_start) & (labels < self.class_start + self.num_local)
        shifted = torch.where(here, labels - self.class_start, -1)
        weight = w[self.class_start : self.class_start + self.num_local]
        if self.sample_rate < 1:
            self.weight_index = sampled(self.rank, self.world, labels.view(-1)) - self.class_start
            shifted[here] = torch.searchsorted(self.weight_index, shifted[here])
            weight = weight[self.weight_index]
        logits = functional.linear(functional.normalize(x), functional.normalize(weight)).clamp(-1, 1)
        return InPlaceCrossEntropy.apply(self.margin_softmax(logits, shifted), shifted)


class InPlaceCrossEntropy(torch.autograd.Function):
    """Softmax cross-entropy that turns the logits into probabilities where they lie."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        highest = logits.amax(1, keepdim=True)
        if distributed.is_initialized():
            distributed.all_reduce(highest, distributed.ReduceOp.MAX)
        logits.sub_(highest).exp_()
        logits.div_(all_sum(logits.sum(1, keepdim=True)))
        rows = (labels[:, 0] >= 0).nonzero()[:, 0]
        likelihood = torch.zeros(len(logits))
        likelihood[rows] = logits[rows, labels[rows, 0]]
        ctx.save_for_backward(rows, labels, logits)
        return -all_sum(likelihood).clamp(min=1e-30).log().mean()

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, None]:
        rows, labels, probabilities = ctx.saved_tensors
        probabilities[rows, labels[rows, 0]] -= 1
        return probabilities.div_(len(probabilities)) * slope, None


def attached(rank: int, world: int, margin: Any, sample_rate: float) -> Result:
    classifier = StandIn(rank, world, margin, sample_rate)
    margin.attach(classifier)
    losses, slopes = [], []
    for step in range(STEPS):
        x, w, labels = problem(step)
        loss = classifier(x, w, labels)
        loss.backward()
        losses.append(loss.detach())
        slopes += [all_sum(x.grad), all_sum(w.grad)]
    return {"loss": torch.stack(losses), "slope": torch.cat(slopes), "t": margin.t.clone()}


def magnitude(rank: int, world: int) -> Result:
    """The regularizer on each process's own rows, the classification on all."""
    margin = MagnitudeMargin(magnitude_bounds=(1, 9))
    x, w, labels = problem(0)
    start, count = shard(rank, world)
    y = local(labels, torch.arange(start, start + count))
    logits, _ = margin(x, w[start : start + count], y)
    rows = x[rank::world]
    regularizer = margin.regularizer(rows) * len(rows) / BATCH
    loss = sharded_cross_entropy(logits, y)
    (loss + regularizer).backward()
    total = loss.detach() + all_sum(regularizer.detach().clone())
    return {"loss": total[None], "slope": torch.cat([all_sum(x.grad), all_sum(w.grad)]), "t": torch.zeros(())}


def two_streams(rank: int, world: int) -> Result:
    """DistributedDataParallel over batches of one kind: first each rank another, then all the same."""
    torch.manual_seed(3)
    network: Any = TwoStreamIResNet((1, 1, 1, 1), 4, image_size=(32, 16), widths=(2, 2, 2, 2), branch_depth="stem")
    if world > 1:
        network = torch.nn.parallel.DistributedDataParallel(network)
    losses = []
    for kinds in ((0, 1, 0), (1, 1, 1), (0, 0, 0)):
        flags = torch.full((3,), kinds[rank % 3])
        mu, log_variance = network(torch.randn(3, 3, 32, 16), flags)
        loss = mu.square().mean() + log_variance.mean()
        network.zero_grad()
        loss.backward()
        losses.append(loss.detach())
    slopes = [p.grad for p in network.parameters()]
    assert all(slope is not None for slope in slopes)
    return {"loss": torch.stack(losses), "slope": torch.cat([s.flatten() for s in slopes]), "t": torch.zeros(())}


def balanced() -> BalancedCurricularMargin:
    return BalancedCurricularMargin(COUNTS, scale=32, momentum=0.3)


CASES: dict[str, Callable[[int, int], Result]] = {
    "balanced curricular": lambda r, n: on_shards(r, n, balanced()),
    "curricular": lambda r, n: on_shards(r, n, CurricularMargin(scale=32, momentum=0.3)),
    "arc": lambda r, n: on_shards(r, n, ArcMargin(scale=32)),
    "balanced softmax": lambda r, n: on_shards(r, n, BalancedSoftmax(COUNTS, scale=32)),
    "label smoothing": lambda r, n: on_shards(r, n, balanced(), smoothing=0.1),
    "rows": lambda r, n: on_rows(r, n, balanced()),
    "attached": lambda r, n: attached(r, n, balanced(), 1.0),
    "magnitude": magnitude,
}
# In one process the sample is the union of what the ranks sample.
SAMPLED: dict[str, Callable[[int, int], Result]] = {
    "sampled": lambda r, n: on_shards(r, n, balanced(), sample=True),
    "attached and sampled": lambda r, n: attached(r, n, balanced(), 0.5),
}


def counts_of_the_shard(rank: int, world: int) -> Result:
    start, count = shard(rank, world)
    margin = balanced()
    margin.log_counts -= np.log(COUNTS[start : start + count].sum())
    return on_shards(rank, world, margin)


def target_not_reduced(rank: int, world: int) -> Result:
    original = CurricularMargin._targets
    with mock.patch.object(CurricularMargin, "_targets", lambda self, c, y, _: original(self, c, y, False)):
        return on_shards(rank, world, balanced())


def t_per_rank(run: Callable[..., Result]) -> Callable[[int, int], Result]:
    def update(self: CurricularMargin, target: torch.Tensor, _present: torch.Tensor, sharded: bool) -> None:
        own = target[self.rows] if sharded else target
        self.t.mul_(1 - self.momentum).add_(self.momentum * own.mean().nan_to_num())

    def case(rank: int, world: int) -> Result:
        margin = balanced()
        margin.rows = torch.arange(BATCH)[rank::world]
        with mock.patch.object(CurricularMargin, "_update", update):
            return run(rank, world, margin)

    return case


MUTANTS: dict[str, Callable[[int, int], Result]] = {
    "counts normalised per shard": counts_of_the_shard,
    "target cosine not reduced": target_not_reduced,
    "t per rank, classes over processes": t_per_rank(on_shards),
    "t per rank, rows over processes": t_per_rank(on_rows),
}


def main(rank: int, world: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
    cases = CASES | SAMPLED | MUTANTS | {"two streams": two_streams}
    torch.save({name: case(rank, world) for name, case in cases.items()}, f"{folder}/{rank}.pt")
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
