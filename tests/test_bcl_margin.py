"""The margins of facekit_bcl against loops in complex numbers; the mutants that those must catch."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable

import margin_reference as reference
import numpy as np
import pytest
import torch
from facekit_bcl import ArcMargin, BalancedCurricularMargin, BalancedSoftmax, CurricularMargin
from facekit_bcl.margin import CosineMargin
from torch.nn import functional

from facekit.errors import ConfigError
from facekit.train.angular import cosine_matrix
from facekit.train.sharded import sharded_cross_entropy

torch.set_num_threads(1)
BATCH, CLASSES, DIMENSIONS = 7, 12, 5
COUNTS = np.array([1, 3, 900, 2, 40, 7, 1, 250, 12, 5, 5, 66])
T = 0.31


def problem(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings, centres and labels with easy and hard negatives, and one target beyond pi - m."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(CLASSES, DIMENSIONS))
    labels = rng.integers(0, CLASSES, BATCH)
    embeddings = 2 * weight[labels] + rng.normal(size=(BATCH, DIMENSIONS))
    embeddings[1] = -weight[labels[1]] + 0.1 * rng.normal(size=DIMENSIONS)
    return embeddings, weight, labels


def check(
    make: Callable[[], CosineMargin], logits: Callable[[np.ndarray, np.ndarray], list[list[complex]]],
    dtype: torch.dtype = torch.float64, tolerance: tuple[float, float] = (1e-9, 1e-9),
) -> None:  # fmt: skip
    """Loss and gradients of a margin (in evaluation mode, t = T) equal the reference's."""
    embeddings, weight, labels = problem()

    def loss_of(x: np.ndarray, w: np.ndarray) -> complex:
        return reference.cross_entropy(logits(reference.cosines(x, w), labels), labels)

    margin = make().eval()
    if isinstance(margin, CurricularMargin):
        margin.t.fill_(T)
    x, w = (torch.tensor(a, dtype=dtype, requires_grad=True) for a in (embeddings, weight))
    loss = functional.cross_entropy(margin(cosine_matrix(x, w), torch.from_numpy(labels)), torch.from_numpy(labels))
    loss.backward()
    expected = loss_of(embeddings, weight).real
    scale = max(1, abs(expected))
    assert abs(loss.item() - expected) / scale < tolerance[0]
    for ours, point, function in (
        (x.grad, embeddings, lambda p: loss_of(p, weight)),
        (w.grad, weight, lambda p: loss_of(embeddings, p)),
    ):
        slopes = reference.gradient(function, point)
        assert np.abs(ours.numpy() - slopes).max() / max(1, np.abs(slopes).max()) < tolerance[1]


def arc_logits(c: np.ndarray, labels: np.ndarray) -> list[list[complex]]:
    return reference.arc(c, labels, 64, 0.5)


def curricular_logits(c: np.ndarray, labels: np.ndarray) -> list[list[complex]]:
    return reference.curricular(c, labels, T, 64, 0.5)


def balanced_logits(c: np.ndarray, labels: np.ndarray) -> list[list[complex]]:
    return reference.balanced_curricular(c, labels, T, 128, 0.5, COUNTS)


def softmax_logits(c: np.ndarray, _labels: np.ndarray) -> list[list[complex]]:
    return [[64 * z + np.log(n) for z, n in zip(row, COUNTS, strict=True)] for row in c]


MARGINS = {
    "arc": (ArcMargin, arc_logits),
    "curricular": (CurricularMargin, curricular_logits),
    "balanced curricular": (lambda: BalancedCurricularMargin(COUNTS), balanced_logits),
    "balanced softmax": (lambda: BalancedSoftmax(COUNTS), softmax_logits),
}


@pytest.mark.parametrize("name", MARGINS)
def test_float64_equals_the_reference_to_1e9(name: str) -> None:
    check(*MARGINS[name])


@pytest.mark.parametrize("name", MARGINS)
def test_float32_equals_the_reference(name: str) -> None:
    check(*MARGINS[name], dtype=torch.float32, tolerance=(2e-5, 2e-4))


class LogInsideTheScale(BalancedCurricularMargin):
    def _logits(self, *given: object) -> torch.Tensor:
        return CurricularMargin._logits(self, *given) + self.scale * self.log_counts


class LogLeftOut(BalancedCurricularMargin):
    def _logits(self, *given: object) -> torch.Tensor:
        return CurricularMargin._logits(self, *given)


class LogForNegativesOnly(BalancedCurricularMargin):
    def _logits(self, cosines: torch.Tensor, labels: torch.Tensor, *given: object) -> torch.Tensor:
        logits = super()._logits(cosines, labels, *given)
        return logits - functional.one_hot(labels, CLASSES) * self.log_counts


class OneFactorWithoutGradient(BalancedCurricularMargin):
    def _logits(self, cosines: torch.Tensor, labels: torch.Tensor, *given: object) -> torch.Tensor:
        logits = super()._logits(cosines, labels, *given)
        own = cosines[torch.arange(len(labels)), labels].detach()
        hard = cosines > torch.cos(torch.acos(own) + self.margin)[:, None]
        hard[torch.arange(len(labels)), labels] = False
        half = cosines * (self.t + cosines.detach())
        return torch.where(hard, self.scale * half + self.log_counts, logits)


@pytest.mark.parametrize("mutant", [LogInsideTheScale, LogLeftOut, LogForNegativesOnly, OneFactorWithoutGradient])
def test_the_reference_rejects_mutants(mutant: type[BalancedCurricularMargin]) -> None:
    with pytest.raises(AssertionError):
        check(lambda: mutant(COUNTS), balanced_logits)


def test_the_problem_has_hard_and_easy_negatives_and_a_target_beyond() -> None:
    embeddings, weight, labels = problem()
    c = reference.cosines(embeddings, weight).real
    own = c[np.arange(BATCH), labels]
    hard = c > np.cos(np.arccos(own) + 0.5)[:, None]
    assert 10 < hard.sum() < 70
    assert (own < np.cos(np.pi - 0.5)).sum() == 1


def test_t_follows_the_reference_only_in_training() -> None:
    margin = CurricularMargin(momentum=0.1)
    buffer, t = margin.t, 0.0
    for seed in range(4):
        embeddings, weight, labels = problem(seed)
        c = reference.cosines(embeddings, weight).real
        margin.train()(torch.from_numpy(c), torch.from_numpy(labels))
        t = reference.moving_average(t, c, labels, 0.1)
        assert abs(margin.t.item() - t) < 1e-12
        margin.eval()(torch.from_numpy(c), torch.from_numpy(labels))
    assert margin.t is buffer
    assert abs(buffer.item() - t) < 1e-12
    assert set(margin.state_dict()) == {"t"}


def test_t_is_updated_before_use() -> None:
    c = torch.tensor([[0.2, 0.9]], dtype=torch.float64)
    logits = CurricularMargin(scale=1, momentum=0.5)(c, torch.tensor([0]))
    assert logits[0, 1].item() == pytest.approx(0.9 * (0.1 + 0.9), abs=1e-12)


def test_equal_counts_are_curricularface_and_a_common_factor_changes_nothing() -> None:
    embeddings, weight, labels = map(torch.from_numpy, problem())
    c = cosine_matrix(embeddings, weight)
    plain = CurricularMargin(scale=128)(c, labels).log_softmax(1)
    equal = BalancedCurricularMargin([17] * CLASSES)(c, labels).log_softmax(1)
    assert torch.allclose(plain, equal, atol=1e-11)
    one, ten = (BalancedCurricularMargin(COUNTS * k)(c, labels).log_softmax(1) for k in (1, 10))
    assert torch.allclose(one, ten, atol=1e-11)
    assert not torch.allclose(one, equal, atol=1e-3)


@pytest.mark.parametrize("name", MARGINS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_at_the_poles(name: str, dtype: torch.dtype) -> None:
    c = torch.tensor([[1.0, -1.0, 0.3], [-1.0, 1.0, 1.0], [1.0 + 1e-6, -1.0 - 1e-6, 0.0]], dtype=dtype)
    counts = [1, 10, 100]
    made = {"balanced curricular": BalancedCurricularMargin, "balanced softmax": BalancedSoftmax}
    margin = made[name](counts) if name in made else MARGINS[name][0]()
    for labels in ([0, 0, 1], [1, 1, 0], [2, 2, 2]):
        c = c.detach().requires_grad_()
        logits = margin(c, torch.tensor(labels))
        functional.cross_entropy(logits, torch.tensor(labels)).backward()
        assert torch.isfinite(logits).all()
        assert torch.isfinite(c.grad).all()


@pytest.mark.parametrize("name", MARGINS)
def test_autocast_changes_nothing(name: str) -> None:
    embeddings, weight, labels = problem()
    x, w, y = torch.from_numpy(embeddings).float(), torch.from_numpy(weight).float(), torch.from_numpy(labels)
    margin = MARGINS[name][0]()
    expected = copy.deepcopy(margin)(cosine_matrix(x, w), y)
    with torch.autocast("cpu", torch.bfloat16):
        given = margin(cosine_matrix(x, w), y)
        rough = functional.linear(functional.normalize(x), functional.normalize(w))
    assert rough.dtype == torch.bfloat16
    assert given.dtype == torch.float32
    assert torch.equal(given, expected)
    assert copy.deepcopy(margin)(rough, y).dtype == torch.float32


@pytest.mark.parametrize("name", MARGINS)
def test_logits_may_be_overwritten(name: str) -> None:
    """arcface_torch's cross-entropy works in place on what the margin returns."""
    embeddings, weight, labels = map(torch.from_numpy, problem())
    slopes = []
    for in_place in (False, True):
        c = cosine_matrix(embeddings, weight).requires_grad_()
        kept = c.detach().clone()
        logits = MARGINS[name][0]()(c, labels)
        slope = functional.one_hot(labels, CLASSES).double()
        if in_place:
            with torch.no_grad():
                logits.sub_(1).exp_()
        logits.backward(slope)
        assert torch.equal(c.detach(), kept)
        slopes.append(c.grad)
    assert torch.equal(*slopes)


@pytest.mark.parametrize("name", MARGINS)
def test_columns_of_labels_and_samples(name: str) -> None:
    """(B, 1) labels; a sample of the classes gives those columns of the full logits, with labels renamed."""
    embeddings, weight, labels = map(torch.from_numpy, problem())
    c = cosine_matrix(embeddings, weight)
    full = MARGINS[name][0]()(c, labels)
    assert torch.equal(MARGINS[name][0]()(c, labels[:, None]), full)
    sample = torch.tensor(sorted({*labels.tolist(), 3, 8}))
    place = torch.searchsorted(sample, labels)
    assert torch.equal(MARGINS[name][0]()(c[:, sample], place, sample), full[:, sample])


def test_a_row_whose_class_is_nowhere() -> None:
    c = torch.rand(3, 4, dtype=torch.float64)
    margin = CurricularMargin(momentum=1)
    logits = margin(c, torch.tensor([1, -1, 2]))
    assert torch.allclose(logits[1], 64 * c[1])
    assert margin.t.item() == pytest.approx((c[0, 1] + c[2, 2]).item() / 2)
    before = margin.t.item()
    assert torch.allclose(margin(c, torch.tensor([-1, -1, -1])), 64 * c)
    assert margin.t.item() == before
    assert margin(c[:0], torch.zeros(0, dtype=torch.long)).shape == (0, 4)
    assert margin.t.item() == before


@pytest.mark.parametrize("name", MARGINS)
def test_a_process_without_classes(name: str) -> None:
    """More processes than classes: no column, no positive, nothing raised, an empty gradient."""
    cosines = torch.zeros(3, 0, requires_grad=True)
    labels, none = torch.tensor([-1, -1, -1]), torch.zeros(0, dtype=torch.long)
    loss = sharded_cross_entropy(MARGINS[name][0]()(cosines, labels, none), labels)
    loss.backward()
    assert loss.item() == 0
    assert cosines.grad.shape == (3, 0)


def test_looking_for_the_plugins_does_not_import_torch() -> None:
    script = "import sys, facekit_bcl, facekit_maskdul; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    with pytest.raises(ImportError):
        from facekit_bcl import Nothing
    with pytest.raises(ImportError):
        from facekit_maskdul import Nothing  # noqa: F401 -- that it cannot be imported is the test


def test_empty_classes_are_counted_as_one_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="1 of 3 classes have no image"):
        margin = BalancedCurricularMargin([0, 1, 5])
    assert margin.log_counts.tolist() == pytest.approx([0, 0, np.log(5)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BalancedCurricularMargin(torch.tensor([2, 1, 5]))


BAD = [
    (lambda: BalancedCurricularMargin([[1, 2]]), "one number a class"),
    (lambda: BalancedCurricularMargin([]), "one number a class"),
    (lambda: BalancedCurricularMargin([1, -2]), "not negative"),
    (lambda: BalancedSoftmax([1.0, float("nan")]), "finite"),
    (lambda: ArcMargin(scale=0), "scale"),
    (lambda: ArcMargin(margin=2), "margin is 2"),
    (lambda: CurricularMargin(momentum=1.5), "momentum"),
    (lambda: ArcMargin().attach(object()), "class_start and no num_local"),
    (lambda: BalancedCurricularMargin([1, 2, 3])(torch.zeros(1, 2), torch.tensor([0])), "2 columns for 3 class"),
    (lambda: BalancedSoftmax([1, 2])(torch.zeros(1, 3), torch.tensor([0])), "3 columns for 2 class"),
    (lambda: BalancedSoftmax([1, 2])(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([0, 2])), "from 0 to 2"),
    (lambda: BalancedSoftmax([1, 2])(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([1])), "does not name"),
    (lambda: ArcMargin()(torch.zeros(2, 3), torch.tensor([0, 3])), "labels run from 0 to 3"),
    (lambda: ArcMargin()(torch.zeros(2, 3), torch.tensor([0, -2])), "labels run from -2 to 0"),
    (lambda: ArcMargin()(torch.zeros(2, 3), torch.tensor([0])), "labels must be 2 integers"),
    (lambda: ArcMargin()(torch.zeros(2, 3), torch.tensor([0.0, 1.0])), "labels must be 2 integers"),
    (lambda: ArcMargin()(torch.zeros(2, 3, dtype=torch.long), torch.tensor([0, 1])), "floating"),
    (lambda: sharded_cross_entropy(torch.zeros(2, 3), torch.tensor([0, 1]), label_smoothing=1), "label_smoothing"),
    (lambda: sharded_cross_entropy(torch.zeros(2, 3), torch.tensor([0])), "do not belong together"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()


def test_margins_pickle_and_copy_with_their_classifier() -> None:
    class Classifier(torch.nn.Module):
        class_start, num_local, sample_rate = 2, 3, 1.0

        def __init__(self) -> None:
            super().__init__()
            self.margin_softmax = BalancedCurricularMargin([1, 2, 3, 4, 5]).attach(self)

    assert len(list(Classifier().modules())) == 2
    copied = copy.deepcopy(Classifier())
    assert copied.margin_softmax._classifier[0] is copied
    logits = copied.margin_softmax(torch.zeros(1, 3), torch.tensor([-1]))
    assert logits[0].tolist() == pytest.approx(np.log([3, 4, 5]).tolist())
    margin = pickle.loads(pickle.dumps(BalancedCurricularMargin([1, 2])))
    assert margin.log_counts[1].item() == pytest.approx(np.log(2))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_cross_entropy_equals_torch_in_one_process(smoothing: float, dtype: torch.dtype) -> None:
    logits = (40 * torch.randn(6, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)).to(dtype)
    labels = torch.tensor([0, 8, 3, 3, 2, 1])
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    loss = sharded_cross_entropy(ours, labels[:, None], label_smoothing=smoothing)
    expected = functional.cross_entropy(theirs.double(), labels, label_smoothing=smoothing)
    (3 * loss).backward()
    (3 * expected).backward()
    tight = dtype == torch.float64
    assert torch.allclose(loss.double(), expected, rtol=1e-12 if tight else 1e-6)
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-12 if tight else 1e-2 if dtype == torch.bfloat16 else 1e-6)


def test_cross_entropy_leaves_out_rows_without_a_class() -> None:
    logits = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([2, -1, 4, -1])
    loss = sharded_cross_entropy(logits, labels)
    loss.backward()
    assert torch.allclose(loss, functional.cross_entropy(logits, labels, ignore_index=-1))
    assert not logits.grad[1].any()
    nothing = sharded_cross_entropy(logits, torch.full((4,), -1))
    assert nothing.item() == 0


def test_shards_that_the_margin_was_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facekit_bcl.margin.world_size", lambda _: 2)
    with pytest.raises(ConfigError, match="attach"):
        CurricularMargin()(torch.zeros(2, 3), torch.tensor([0, -1]))
