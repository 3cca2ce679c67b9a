"""One rank of the tests of Partial FC: ``partial_fc_ranks.py RANK WORLD FOLDER`` writes what it found to RANK.pt.

With a world of one (no torch.distributed) the same function runs in the test itself.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from facekit_bcl import CurricularMargin
from torch import distributed

from facekit.train.angular import cosine_matrix
from facekit.train.classifier import Classifier, shard_of
from facekit.train.config import LoopConfig
from facekit.train.optimizer import open_optimizer
from facekit.train.processes import average_gradients

BATCH, CLASSES, DIMENSIONS, STEPS = 6, 23, 5, 5
SCALE, RATE, SAMPLED = 8.0, 0.3, 0.4
CONFIG = LoopConfig(lr=RATE, momentum=0.9, weight_decay=0.05)


def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings and labels of all processes; the last step has more classes than a shard samples."""
    rng = np.random.default_rng(step)
    labels = rng.integers(0, CLASSES - 5, BATCH) if step < STEPS - 1 else np.arange(BATCH)
    return rng.normal(size=(BATCH, DIMENSIONS)), labels


def train(rank: int, world: int, sharded: bool) -> dict[str, Any]:
    """Rows, momentum and sampled classes after each step, and the gradients of this process's embeddings."""
    torch.manual_seed(5)
    classifier = Classifier(CLASSES, DIMENSIONS, sharded, SAMPLED)
    with torch.no_grad():
        classifier.weight.mul_(50)
    margin = CurricularMargin(SCALE, 0.3, 0.2)
    optimizer = open_optimizer([classifier], CONFIG)
    first, count = shard_of(BATCH, rank, world)
    torch.manual_seed(100 + rank)
    found: dict[str, Any] = {"start": classifier.class_start, "rows": [classifier.weight.detach().clone()],
                             "momentum": [], "sampled": [], "slopes": [], "loss": [], "t": []}  # fmt: skip
    for step in range(STEPS):
        everything, labels = batch(step)
        x = torch.tensor(everything[first : first + count], dtype=torch.float32, requires_grad=True)
        seen = classifier(x, torch.from_numpy(labels[first : first + count]))
        loss = classifier.loss(SCALE * cosine_matrix(seen.embeddings, seen.weight), seen.labels)
        cosines = cosine_matrix(seen.embeddings, seen.weight).detach()
        margin(cosines, seen.labels, seen.class_index, classifier.sharded)
        found["t"].append(margin.t.clone())
        optimizer.zero_grad()
        loss.backward()
        assert classifier.weight.grad is not None
        assert classifier.weight.grad.is_sparse
        assert classifier.weight.grad._nnz() == len(seen.class_index)
        if not classifier.sharded:
            average_gradients(classifier.parameters())
        optimizer.step()
        found["rows"].append(classifier.weight.detach().clone())
        found["momentum"].append(optimizer.state[classifier.weight]["momentum_buffer"].clone())
        found["sampled"].append(seen.class_index)
        found["slopes"].append(x.grad)
        found["loss"].append(loss.detach())
    return found


def main(rank: int, world: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = distributed.FileStore(f"{folder}/store", world)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=world)
    torch.save({name: train(rank, world, name == "sharded") for name in ("sharded", "full")}, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
