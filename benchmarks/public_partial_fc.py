"""Steps of facekit's classifier beside the unmodified partial_fc_v2, which expects graphics cards and gets processors.

    python benchmarks/public_partial_fc.py FOLDER PROCESSES

Both begin with the same rows, draw the same classes from the same seed and see the same batches. Without momentum and
decay all rows stay equal step by step; with them partial_fc_v2's gradient is dense, so that torch's SGD moves the rows
that were not sampled too, which facekit's does not.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facekit_bcl import ArcMargin
from torch import distributed, multiprocessing

from facekit.train.angular import cosine_matrix
from facekit.train.classifier import Classifier
from facekit.train.config import LoopConfig
from facekit.train.optimizer import open_optimizer

BATCH, CLASSES, DIMENSIONS, STEPS, RATE = 8, 101, 32, 5, 0.5


def batch(step: int, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings of this process, a leaf, and labels."""
    rng = np.random.default_rng([step, rank])
    x = torch.tensor(rng.normal(size=(BATCH, DIMENSIONS)), dtype=torch.float32, requires_grad=True)
    return x, torch.from_numpy(rng.integers(0, CLASSES, BATCH))


def compare(public: Any, losses: Any, sample_rate: float, momentum: float) -> dict[str, float]:
    """Five steps of both, each with its own rows: largest differences, and the share of rows that each moved."""
    rank, world = distributed.get_rank(), distributed.get_world_size()
    torch.manual_seed(7)
    ours = Classifier(CLASSES, DIMENSIONS, sharded=True, sample_rate=sample_rate)
    theirs = public.PartialFC_V2(losses.ArcFace(16.0, 0.3), DIMENSIONS, CLASSES, sample_rate)
    assert theirs.class_start == ours.class_start
    with torch.no_grad():
        ours.weight.mul_(50)
        theirs.weight.copy_(ours.weight)
    decay = 5e-4 if momentum else 0.0
    margin = ArcMargin(16.0, 0.3)
    mine = open_optimizer([ours], LoopConfig(lr=RATE, momentum=momentum, weight_decay=decay))
    other = torch.optim.SGD(theirs.parameters(), lr=RATE, momentum=momentum, weight_decay=decay)
    worst = dict.fromkeys(("loss", "gradient of embeddings", "rows"), 0.0)
    moved = [0, 0]
    for step in range(STEPS):
        before = ours.weight.detach().clone(), theirs.weight.detach().clone()
        x, labels = batch(step, rank)
        torch.manual_seed(1000 * step + rank)
        seen = ours(x, labels)
        cosines = cosine_matrix(seen.embeddings, seen.weight)
        loss = ours.loss(margin(cosines, seen.labels, seen.class_index), seen.labels)
        mine.zero_grad()
        loss.backward()
        mine.step()
        y, again = batch(step, rank)
        torch.manual_seed(1000 * step + rank)
        value = theirs(y, again)
        other.zero_grad()
        value.backward()
        other.step()
        assert x.grad is not None
        assert y.grad is not None
        worst["loss"] = max(worst["loss"], abs(float(loss - value)))
        worst["gradient of embeddings"] = max(worst["gradient of embeddings"], float((x.grad - y.grad).abs().max()))
        worst["rows"] = max(worst["rows"], float((ours.weight - theirs.weight).abs().max()))
        for which, (old, new) in enumerate(zip(before, (ours.weight, theirs.weight), strict=True)):
            moved[which] += int((old != new).any(1).sum())
    rows = STEPS * ours.num_local
    return worst | {"moved by facekit": moved[0] / rows, "moved by partial_fc_v2": moved[1] / rows, "world": world}


def run(rank: int, folder: str, processes: int, store: str) -> None:
    """One process."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    # The public code is run as it is and calls .cuda() on its way: without a card its tensors stay where they are.
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[assignment,method-assign]
    from public_code import load

    files = distributed.FileStore(store, processes)
    distributed.init_process_group("gloo", store=files, rank=rank, world_size=processes)
    public, losses = (load(Path(folder) / "arcface_torch" / f"{name}.py") for name in ("partial_fc_v2", "losses"))
    for sample_rate, momentum in ((1.0, 0.0), (0.3, 0.0), (0.3, 0.9)):
        found = compare(public, losses, sample_rate, momentum)
        if rank == 0:
            shown = ", ".join(f"{name} {value:.2g}" for name, value in found.items() if name != "world")
            print(f"classifier, {processes} process(es), sample_rate {sample_rate}, momentum {momentum}: {shown}")
    distributed.destroy_process_group()


def main() -> None:
    folder, processes = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as scratch:
        multiprocessing.spawn(run, (folder, processes, f"{scratch}/store"), nprocs=processes)


if __name__ == "__main__":
    main()
