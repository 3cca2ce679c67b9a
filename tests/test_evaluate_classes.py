"""Closed-set accuracy by classes against loops, and what logit adjustment must do."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.errors import ConfigError
from facekit.evaluate import accuracy_by_count, classes, closed_set


def problem(seed: int, people: int, pictures: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(people, 5)).astype(np.float32)
    labels = rng.integers(0, people, pictures)
    vectors = (rows[labels] + rng.normal(0, 0.8, (pictures, 5))).astype(np.float32) * 3
    return {"vectors": vectors, "labels": labels, "rows": rows, "counts": rng.integers(0, 90, people)}


def score(x: Any, w: Any, scale: float, offset: float) -> float:
    """By the definition, a number at a time, in double precision."""
    product = math.fsum(float(a) * float(b) for a, b in zip(x, w, strict=True))
    lengths = [math.sqrt(math.fsum(float(a) ** 2 for a in one)) for one in (x, w)]
    return scale * product / (lengths[0] * lengths[1]) - offset


@given(st.integers(0, 10**6), st.integers(2, 9), st.floats(0.5, 64), st.sampled_from([None, 0.0, 0.5, 1.0, 2.0]))
@settings(deadline=None, max_examples=60)
def test_closed_set_equals_the_loop(seed: int, people: int, scale: float, strength: float | None) -> None:
    given_ = problem(seed, people, 40)
    counts = given_.pop("counts")
    prior = [0.0 if strength is None else strength * math.log(max(1, n)) for n in counts]
    asked = {"scale": scale} if strength is None else {"scale": scale, "counts": counts, "strength": strength}
    found = closed_set(**given_, **asked)
    for x, label, right in zip(given_["vectors"], given_["labels"], found, strict=True):
        scores = [score(x, w, scale, offset) for w, offset in zip(given_["rows"], prior, strict=True)]
        lead = scores[label] - max(value for j, value in enumerate(scores) if j != label)
        assert abs(lead) < 1e-4 * scale or right == (lead > 0)


@given(st.integers(0, 10**6), st.integers(1, 70))
@settings(deadline=None, max_examples=30)
def test_blocks_change_nothing(seed: int, block: int) -> None:
    given_ = problem(seed, 7, 30)
    whole = closed_set(**given_, scale=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classes, "BLOCK", block)
        assert (closed_set(**given_, scale=20) == whole).all()


def test_lengths_and_equal_counts_change_nothing() -> None:
    given_ = problem(3, 8, 400)
    given_["counts"][:] = 17
    plain = closed_set(given_["vectors"], given_["labels"], given_["rows"])
    assert 0.2 < plain.mean() < 0.9
    longer = given_ | {
        "vectors": given_["vectors"] * 8,
        "rows": given_["rows"] * np.float32(2) ** np.arange(8)[:, None],
    }
    assert (closed_set(**given_, scale=16) == plain).all()
    assert (closed_set(**longer) == plain).all()


def test_equal_scores_are_not_found_and_a_row_of_zeros_has_cosine_zero() -> None:
    rows = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], np.float32)
    vectors = np.array([[2, 0], [0, 3], [-1, -1], [0, 0]], np.float32)
    assert closed_set(vectors, np.array([0, 2, 3, 3]), rows).tolist() == [False, True, True, False]


def test_adjustment_gives_back_to_the_small_classes_what_the_prior_took() -> None:
    rng = np.random.default_rng(5)
    rows = np.eye(2, dtype=np.float32)
    labels = np.repeat([0, 1], 500)
    vectors = (rows[labels] + rng.normal(0, 0.5, (1000, 2))).astype(np.float32)
    counts = np.array([1000, 10])
    groups = [
        accuracy_by_count(closed_set(vectors, labels, rows, 4, given_), labels, counts, 10, 100)
        for given_ in (None, counts)
    ]
    assert groups[1]["tail"].accuracy > groups[0]["tail"].accuracy + 0.05
    assert groups[1]["head"].accuracy < groups[0]["head"].accuracy - 0.05


@given(st.integers(0, 10**6), st.integers(0, 30), st.integers(0, 60), st.integers(1, 80))
@settings(deadline=None, max_examples=60)
def test_groups_equal_the_loop(seed: int, few: int, more: int, pictures: int) -> None:
    rng = np.random.default_rng(seed)
    counts, labels = rng.integers(0, 90, 12), rng.integers(0, 12, pictures)
    found = rng.random(pictures) < 0.4
    expected: dict[str, list[tuple[bool, int]]] = {"all": []}
    for right, label in zip(found.tolist(), labels.tolist(), strict=True):
        n = int(counts[label])
        group = "tail" if n <= few else "mid" if n <= few + more else "head"
        for name in (group, "all"):
            expected.setdefault(name, []).append((right, label))
    got = accuracy_by_count(found, labels, counts, few, few + more)
    assert set(got) == set(expected)
    for name, rows in expected.items():
        assert got[name].accuracy == pytest.approx(sum(right for right, _ in rows) / len(rows))
        assert got[name][1:] == (len(rows), len({label for _, label in rows}))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rows": np.zeros((3, 4), np.float32)}, "they must be"),
        ({"labels": np.array([0, 8])}, "2 pictures|there must be one of each"),
        ({"labels": np.full(20, 8)}, "labels from 8 to 8 for 8 classes"),
        ({"labels": np.full(20, -1)}, "labels from -1"),
        ({"scale": 0.0}, "scale is 0"),
        ({"scale": math.nan}, "scale is nan"),
        ({"counts": np.ones(3, np.int64)}, "one of each"),
        ({"counts": np.full(8, -1)}, "none below 0"),
    ],
)
def test_what_does_not_belong_together_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        closed_set(**{**problem(1, 8, 20), **wrong})


def test_groups_that_cannot_be_are_refused() -> None:
    found, labels, counts = np.ones(2, np.bool_), np.array([0, 1]), np.array([3, 4])
    for changed, message in (
        ((found, labels, counts, 3, 2), "few is 3 and many 2"),
        ((found[:0], labels[:0], counts, 1, 2), "no pictures"),
        ((found, labels, counts[:1], 1, 2), "labels from 0 to 1 for 1 classes"),
        ((found, labels[:1], counts, 1, 2), "of 2 pictures"),
    ):
        with pytest.raises(ConfigError, match=message):
            accuracy_by_count(*changed)
