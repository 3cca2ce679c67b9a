"""MagFace's margin and regularizer against loops in complex numbers."""

from __future__ import annotations

import cmath
import math
import warnings
from collections.abc import Callable

import margin_reference as reference
import numpy as np
import pytest
import torch
from facekit_bcl import ArcMargin
from facekit_maskdul import MagnitudeMargin, magnitude_regularizer
from facekit_maskdul.magnitude import lambda_g_bound
from torch.nn import functional

from facekit.errors import ConfigError
from facekit.train.angular import cosine_matrix

torch.set_num_threads(1)
BATCH, CLASSES, DIMENSIONS = 6, 9, 5
BOUNDS, MARGINS = (10.0, 110.0), (0.45, 0.8)


def problem() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Magnitudes below, inside and above the bounds; a target at more than a right angle, one beyond pi - m."""
    rng = np.random.default_rng(2)
    weight, labels = rng.normal(size=(CLASSES, DIMENSIONS)), rng.integers(0, CLASSES, BATCH)
    embeddings = 2 * weight[labels] + rng.normal(size=(BATCH, DIMENSIONS))
    embeddings[0] *= -1
    magnitudes = np.array([40.0, 3, 30, 80, 300, 100])
    return embeddings / np.linalg.norm(embeddings, axis=1)[:, None] * magnitudes[:, None], weight, labels


def loop(x: np.ndarray, w: np.ndarray, labels: np.ndarray, easy: bool) -> complex:
    logits, penalty = [], 0j
    for i, row in enumerate(reference.cosines(x, w)):
        a = cmath.sqrt(reference.dot(x[i], x[i]))
        a = complex(min(max(a.real, BOUNDS[0]), BOUNDS[1])) if not BOUNDS[0] <= a.real <= BOUNDS[1] else a
        m = (MARGINS[1] - MARGINS[0]) / (BOUNDS[1] - BOUNDS[0]) * (a - BOUNDS[0]) + MARGINS[0]
        own = row[labels[i]]
        moved = (reference.added(own, m) if own.real > 0 else own) if easy else reference.target(own, m)
        logits.append([64 * (moved if j == labels[i] else c) for j, c in enumerate(row)])
        penalty += 1 / a + a / BOUNDS[1] ** 2
    return reference.cross_entropy(logits, labels) + 35 * penalty / len(x)


@pytest.mark.parametrize("easy", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, (1e-9, 1e-9)), (torch.float32, (2e-5, 2e-4))])
def test_loss_and_gradients_equal_the_loop(easy: bool, dtype: torch.dtype, tolerance: tuple[float, float]) -> None:
    embeddings, weight, labels = problem()
    x, w = (torch.tensor(a, dtype=dtype, requires_grad=True) for a in (embeddings, weight))
    logits, regularizer = MagnitudeMargin(easy_margin=easy)(x, w, torch.from_numpy(labels))
    loss = functional.cross_entropy(logits, torch.from_numpy(labels)) + regularizer
    loss.backward()
    expected = loop(embeddings, weight, labels, easy).real
    assert abs(loss.item() - expected) < tolerance[0] * max(1, abs(expected))
    slopes = (
        reference.gradient(lambda p: loop(p, weight, labels, easy), embeddings),
        reference.gradient(lambda p: loop(embeddings, p, labels, easy), weight),
    )
    for leaf, slope in zip((x, w), slopes, strict=True):
        assert np.abs(leaf.grad.numpy() - slope).max() < tolerance[1] * max(1, np.abs(slope).max())


def test_with_equal_margins_and_no_regularizer_it_is_arcface() -> None:
    x, w, labels = map(torch.from_numpy, problem())
    logits, regularizer = MagnitudeMargin(margin_bounds=(0.5, 0.5), lambda_g=0, easy_margin=False)(x, w, labels)
    assert torch.allclose(logits, ArcMargin()(cosine_matrix(x, w), labels), atol=1e-12)
    assert regularizer.item() == 0


def test_margin_and_regularizer_at_their_bounds() -> None:
    margin = MagnitudeMargin()
    assert margin.margin(torch.tensor([10.0, 60, 110])).tolist() == pytest.approx([0.45, 0.625, 0.8])
    a = torch.tensor([20.0, 110, 150], dtype=torch.float64, requires_grad=True)
    magnitude_regularizer(a, 110).sum().backward()
    assert a.grad[0] < 0 < a.grad[2]
    assert abs(a.grad[1].item()) < 1e-15


def test_a_shard_has_the_margin_where_the_class_is() -> None:
    x, w, labels = map(torch.from_numpy, problem())
    full, regularizer = MagnitudeMargin()(x, w, labels)
    margin = MagnitudeMargin()
    here = torch.where(labels >= 4, labels - 4, -1)
    part, again = margin(x, w[4:], here[:, None])
    assert torch.allclose(part, full[:, 4:])
    assert torch.equal(regularizer, again)
    assert torch.equal(margin.regularizer(x), regularizer)


def test_lambda_g_below_its_bound_warns() -> None:
    assert lambda_g_bound(64, BOUNDS, MARGINS) == pytest.approx(22.6, abs=0.05)
    with pytest.warns(UserWarning, match="below its bound 22.6"):
        MagnitudeMargin(lambda_g=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MagnitudeMargin(lambda_g=22.7)


def test_autocast_changes_nothing_and_the_poles_are_finite() -> None:
    x, w, labels = (torch.from_numpy(a) for a in problem())
    x, w = x.float(), w.float()
    plain = MagnitudeMargin()(x, w, labels)
    with torch.autocast("cpu", torch.bfloat16):
        cast = MagnitudeMargin()(x, w, labels)
    assert all(map(torch.equal, plain, cast))
    for easy in (True, False):
        leaf = torch.cat([30 * w[:2], -30 * w[:2], torch.zeros(1, 5)]).requires_grad_()
        logits, regularizer = MagnitudeMargin(easy_margin=easy)(leaf, w, torch.tensor([0, 1, 0, 1, 2]))
        (functional.cross_entropy(logits, torch.tensor([0, 1, 0, 1, 2])) + regularizer).backward()
        assert torch.isfinite(leaf.grad).all()


BAD = [
    (lambda: MagnitudeMargin(scale=-1), "scale"),
    (lambda: MagnitudeMargin(lambda_g=math.nan), "lambda_g"),
    (lambda: MagnitudeMargin(magnitude_bounds=(0, 1)), "magnitude_bounds"),
    (lambda: MagnitudeMargin(margin_bounds=(0.8, 0.4)), "margin_bounds"),
    (lambda: MagnitudeMargin()(torch.zeros(2, 3), torch.zeros(4, 2), torch.tensor([0, 1])), "do not fit"),
    (lambda: MagnitudeMargin()(torch.zeros(2, 3), torch.zeros(4, 3), torch.tensor([0])), "labels must be 2"),
    (lambda: MagnitudeMargin()(torch.zeros(2, 3), torch.zeros(4, 3), torch.tensor([0, 4])), "from 0 to 4"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()
