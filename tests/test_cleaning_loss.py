"""What a cleaning took away, against loops; and when self-learning stops for it."""

from __future__ import annotations

import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.errors import ConfigError
from facekit.jobs.selflearn.cleaning_loss import CleaningLoss, loss_problem, measure_loss
from facekit.jobs.selflearn.config import SelfLearnConfig

ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 4)), min_size=1, max_size=40)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@given(ROWS)
def test_dropped_and_merged_are_counted_as_by_hand(rows: list[tuple[int, int]]) -> None:
    old, new = map(np.array, zip(*rows, strict=True))
    homes = {}
    for label in sorted(set(old.tolist())):
        went = Counter(n for o, n in rows if o == label and n >= 0)
        if went:
            homes[label] = min(went, key=lambda n: (-went[n], n))
    loss = measure_loss(np.eye(len(rows), dtype=np.float32), old, new)
    assert (loss.images, loss.dropped) == (len(rows), sum(n < 0 for _, n in rows))
    assert (loss.identities, loss.merged) == (len(homes), len(homes) - len(set(homes.values())))


@given(st.integers(0, 20), st.floats(0.2, 3))
def test_similarities_are_those_of_all_pairs_to_the_precision_of_a_sample(seed: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(12), 6))
    vectors = unit(rng.normal(size=(12, 8))[labels] + noise * rng.normal(size=(72, 8)))
    vectors[:3] = 0
    loss = measure_loss(vectors, labels, labels)
    some = np.arange(3, 72)
    cosine, same = (vectors @ vectors.T)[np.ix_(some, some)], np.equal.outer(labels[some], labels[some])
    within, across = cosine[same & ~np.eye(69, dtype=bool)], cosine[~same]
    assert loss.within == pytest.approx(within.mean(), abs=0.05)
    assert loss.across == pytest.approx(across.mean(), abs=0.05)
    assert loss.separation == pytest.approx((within[:, None] > across[None]).mean(), abs=0.05)


def test_where_there_is_nothing_to_compare_the_separation_is_no_number() -> None:
    for labels in ([0, 1, 2], [0, 0, 0]):
        loss = measure_loss(np.eye(3, dtype=np.float32), np.array(labels), np.array(labels))
        assert math.isnan(loss.separation)
        assert loss_problem(loss, 0.3) is None


SOUND = CleaningLoss(100, 10, 20, 2, 0.7, 0.2, 0.9)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (
            SOUND._replace(merged=12),
            r"merged 12 of 20 identities .*-loss 0\.3; .* 0\.70.* 0\.20.* raise --inter",
        ),
        (SOUND._replace(dropped=31), r"dropped 31 of 100 images, above .*lower --intra, or raise --eps"),
        (SOUND._replace(merged=7, dropped=40), "merged 7 of 20 identities into others and dropped 40 of 100 images"),
        (
            SOUND._replace(separation=0.52),
            r"do not tell the labels apart: .* 52% of comparisons\. Give the right",
        ),
    ],
)
def test_too_large_a_loss_is_explained(loss: CleaningLoss, said: str) -> None:
    assert re.search(said, loss_problem(loss, 0.3) or "")
    assert loss_problem(loss, 1.0) is None


def test_the_limit_itself_is_allowed() -> None:
    assert loss_problem(SOUND, 0.1) is None
    assert loss_problem(SOUND, 0.099) is not None
    assert loss_problem(SOUND._replace(merged=6, dropped=30), 0.3) is None
    for share in (-0.1, 1.1, math.nan):
        with pytest.raises(ConfigError, match=r"allow_loss is .*; it must be a share"):
            SelfLearnConfig("pack", "out", allow_loss=share)
