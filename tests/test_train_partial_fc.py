"""Partial FC: what a step compares with, and that it moves what it compared with and nothing else.

The oracle follows An et al. 2022 and the semantics of arcface_torch's partial_fc_v2, in float64 and by hand: the
classes of the batch and others at random up to the share, one softmax over what all processes sampled, the mean over
the global batch; and, as the paper and the code of the first version have it, SGD of the sampled rows with momentum.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import partial_fc_ranks as ranks
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.train.classifier import Classifier
from facekit.train.config import LoopConfig
from facekit.train.optimizer import RowSGD, open_optimizer
from facekit.train.state import State

torch.set_num_threads(1)
Found = list[dict[str, Any]]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    """What two processes found, by the way in which classes are spread."""
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, str(Path(ranks.__file__))]
    started = [
        subprocess.Popen([*command, str(rank), "2", str(folder)], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=240)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], "\n".join(errors)
    read = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]
    return {name: [one[name] for one in read] for name in ("sharded", "full")}


class Slopes:
    """Loss and gradients of the softmax over some columns, by hand."""

    def __init__(self, x: np.ndarray, weight: np.ndarray, labels: np.ndarray, columns: np.ndarray) -> None:
        rows = weight[columns]
        x_norm, w_norm = (np.linalg.norm(one, axis=1, keepdims=True) for one in (x, rows))
        x_unit, w_unit = x / x_norm, rows / w_norm
        logits = ranks.SCALE * x_unit @ w_unit.T
        likelihood = np.exp(logits - logits.max(1, keepdims=True))
        likelihood /= likelihood.sum(1, keepdims=True)
        place = np.searchsorted(columns, labels)
        self.loss = -np.log(likelihood[np.arange(len(x)), place]).mean()
        likelihood[np.arange(len(x)), place] -= 1
        slope = ranks.SCALE * likelihood / len(x)
        of_x, of_w = slope @ w_unit, slope.T @ x_unit
        self.x = (of_x - x_unit * (of_x * x_unit).sum(1, keepdims=True)) / x_norm
        self.rows = np.zeros_like(weight)
        self.rows[columns] = (of_w - w_unit * (of_w * w_unit).sum(1, keepdims=True)) / w_norm


class Sgd:
    """SGD of chosen rows."""

    def __init__(self, weight: np.ndarray) -> None:
        self.weight, self.momentum = weight.astype(np.float64), np.zeros(weight.shape)

    def step(self, slope: np.ndarray, rows: np.ndarray) -> None:
        config = ranks.CONFIG
        self.momentum[rows] = (
            config.momentum * self.momentum[rows] + slope[rows] + config.weight_decay * self.weight[rows]
        )
        self.weight[rows] -= config.lr * self.momentum[rows]


def joined(found: Found, name: str, step: int) -> np.ndarray:
    return np.concatenate([one[name][step].numpy() for one in found])


def check_shards(found: Found) -> None:
    """Classes spread over processes: one softmax over all that was sampled."""
    world, sgd = len(found), Sgd(joined(found, "rows", 0))
    for step in range(ranks.STEPS):
        x, labels = ranks.batch(step)
        columns = joined(found, "sampled", step)
        assert (np.diff(columns) > 0).all()
        wanted = Slopes(x, sgd.weight, labels, columns)
        sgd.step(wanted.rows, columns)
        np.testing.assert_allclose(joined(found, "rows", step + 1), sgd.weight, atol=2e-6)
        np.testing.assert_allclose(joined(found, "momentum", step), sgd.momentum, atol=2e-6)
        np.testing.assert_allclose(joined(found, "slopes", step) / world, wanted.x, atol=2e-6)
        for one in found:
            assert float(one["loss"][step]) == pytest.approx(wanted.loss, abs=1e-5)
        untouched = np.setdiff1d(np.arange(ranks.CLASSES), columns)
        assert len(untouched)
        assert np.array_equal(joined(found, "rows", step + 1)[untouched], joined(found, "rows", step)[untouched])


def test_one_process() -> None:
    check_shards([ranks.train(0, 1, sharded=False)])


def test_two_processes_with_the_classes_spread(two: dict[str, Found]) -> None:
    check_shards(two["sharded"])
    counts = [[len(step) for step in one["sampled"]] for one in two["sharded"]]
    assert [int(ranks.SAMPLED * count) for count in (12, 11)] == [4, 4]
    assert all(count >= 4 for each in counts for count in each)
    assert counts[0][-1] == ranks.BATCH, "more classes in the batch than the share: those, and no others"


def test_two_processes_with_all_classes_each(two: dict[str, Found]) -> None:
    """Each samples for its own half of the batch; all rows that somebody sampled move, to the same bits everywhere."""
    first, second = two["full"]
    sgd, half = Sgd(first["rows"][0].numpy()), ranks.BATCH // 2
    for step in range(ranks.STEPS):
        x, labels = ranks.batch(step)
        parts = [
            Slopes(x[span], sgd.weight, labels[span], one["sampled"][step].numpy())
            for one, span in ((first, slice(half)), (second, slice(half, None)))
        ]
        rows = np.union1d(first["sampled"][step], second["sampled"][step])
        sgd.step((parts[0].rows + parts[1].rows) / 2, rows)
        np.testing.assert_allclose(first["rows"][step + 1], sgd.weight, atol=2e-6)
        for name in ("rows", "momentum"):
            assert torch.equal(first[name][step], second[name][step])
        untouched = np.setdiff1d(np.arange(ranks.CLASSES), rows)
        assert torch.equal(first["rows"][step + 1][untouched], first["rows"][step][untouched])


@pytest.mark.parametrize("kind", ["sharded", "full", "one"])
def test_t_of_a_sampled_curricular_margin_is_of_the_global_batch(two: dict[str, Found], kind: str) -> None:
    """Whether the classes are spread, or each process samples all of them for rows of its own."""
    found = [ranks.train(0, 1, sharded=False)] if kind == "one" else two[kind]
    t = 0.0
    for step in range(ranks.STEPS):
        x, labels = ranks.batch(step)
        weight = (found[0]["rows"][step].numpy() if kind == "full" else joined(found, "rows", step)).astype(np.float64)
        own = (
            x
            / np.linalg.norm(x, axis=1, keepdims=True)
            * (weight / np.linalg.norm(weight, axis=1, keepdims=True))[labels]
        ).sum(1)
        t = 0.2 * own.mean() + 0.8 * t
        for one in found:
            assert float(one["t"][step]) == pytest.approx(t, abs=1e-6)


@given(
    classes=st.integers(1, 60),
    rate=st.floats(0.01, 0.999),
    labels=st.lists(st.integers(0, 59), min_size=1, max_size=20),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_what_a_step_samples(classes: int, rate: float, labels: list[int], seed: int) -> None:
    """All classes of the batch; others up to the share, as many as partial_fc_v2 takes; in order, each once."""
    torch.manual_seed(seed)
    present = {label % classes for label in labels}
    classifier = Classifier(classes, 3, sample_rate=rate)
    wanted = torch.tensor([label % classes for label in labels])
    seen = classifier(torch.randn(len(labels), 3), wanted)
    columns = seen.class_index.tolist()
    assert columns == sorted(set(columns))
    assert present <= set(columns) <= set(range(classes))
    assert len(columns) == max(int(rate * classes), len(present))
    assert torch.equal(seen.class_index[seen.labels], wanted)


def test_every_class_is_sampled_equally_often() -> None:
    torch.manual_seed(0)
    classifier, counts = Classifier(20, 2, sample_rate=0.3), np.zeros(20)
    for _ in range(3000):
        counts[classifier(torch.zeros(1, 2), torch.tensor([0])).class_index] += 1
    assert counts[0] == 3000
    expected, spread = 3000 * 5 / 19, (3000 * 5 / 19 * 14 / 19) ** 0.5
    assert (np.abs(counts[1:] - expected) < 5 * spread).all()


def test_dense_gradients_take_the_step_of_torch() -> None:
    torch.manual_seed(1)
    networks = [torch.nn.Linear(4, 3) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    config = LoopConfig(lr=0.2, momentum=0.8, weight_decay=0.1)
    ours = open_optimizer([networks[0]], config)
    assert isinstance(ours, RowSGD)
    decays = [{"params": [networks[1].weight], "weight_decay": 0.1}, {"params": [networks[1].bias]}]
    theirs = torch.optim.SGD(decays, lr=0.2, momentum=0.8)
    for _ in range(4):
        x = torch.randn(5, 4)
        for network, optimizer in zip(networks, (ours, theirs), strict=True):
            optimizer.zero_grad()
            network(x).square().sum().backward()
            optimizer.step()
    assert torch.equal(networks[0].weight, networks[1].weight)
    assert torch.equal(networks[0].bias, networks[1].bias)


def test_steps_of_several_batches_move_the_rows_of_all_of_them() -> None:
    torch.manual_seed(2)
    classifier = Classifier(40, 4, sample_rate=0.1)
    optimizer, before, sampled = open_optimizer([classifier], LoopConfig()), classifier.weight.detach().clone(), set()
    for label in (3, 17):
        seen = classifier(torch.randn(2, 4), torch.tensor([label, label]))
        sampled |= set(seen.class_index.tolist())
        (seen.embeddings @ seen.weight.T).square().mean().backward()
    optimizer.step()
    moved = (classifier.weight != before).any(1).nonzero()[:, 0].tolist()
    assert set(moved) == sampled
    assert len(sampled) > 4


@pytest.mark.parametrize("bad", [True, False])
def test_an_overflow_of_a_sparse_gradient_is_shared(bad: bool) -> None:
    classifier = Classifier(9, 4, sample_rate=0.4)
    seen = classifier(torch.randn(2, 4), torch.tensor([1, 2]))
    (seen.weight.sum() * (torch.inf if bad else 1.0)).backward()
    state = State.__new__(State)
    state.classifier = classifier
    state._share_overflow()
    values = classifier.weight.grad.coalesce().values()
    assert bool(values.isnan().all()) == bad
    assert bool(values.isfinite().all()) != bad
