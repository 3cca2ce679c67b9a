"""The plan of a drawn pack: shares, splits and reproducibility, without drawing anything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.errors import ConfigError
from facekit.synth.plan import FIRST_FOREIGN_IMAGE, KINDS, PackSpec, PlannedRecord, make_roster, plan_records

chance = st.floats(0, 0.2)
specs = st.builds(
    PackSpec,
    identities=st.integers(2, 30),
    images=st.integers(1, 12),
    sizes=st.sampled_from(["equal", "long-tail", "exponential:1"]),
    seed=st.integers(0, 2**63 - 1),
    label_noise=chance,
    outliers=chance,
    near_duplicates=chance,
    low_quality=chance,
    masked=chance,
    duplicate_identities=st.floats(0, 1),
)


def whole(spec: PackSpec) -> list[PlannedRecord]:
    roster = make_roster(spec)
    return list(plan_records(spec, roster, 0, int(roster.starts[-1])))


@given(specs, st.data())
@settings(deadline=None, max_examples=60)
def test_any_stretch_is_a_slice_of_the_whole(spec: PackSpec, data: st.DataObject) -> None:
    rows = whole(spec)
    first = data.draw(st.integers(0, len(rows) - 1))
    stop = data.draw(st.integers(first + 1, len(rows)))
    assert list(plan_records(spec, make_roster(spec), first, stop)) == rows[first:stop]


@given(specs)
@settings(deadline=None, max_examples=60)
def test_what_every_plan_keeps(spec: PackSpec) -> None:
    roster, rows = make_roster(spec), whole(spec)
    assert [r.position for r in rows] == list(range(len(rows)))
    labels = [r.label for r in rows]
    assert labels == sorted(labels)
    assert set(labels) == set(range(len(roster.person)))
    for row in rows:
        owner = roster.person[row.label]
        assert row.kind in KINDS
        assert roster.person[row.canonical_label] == owner
        assert row.canonical_label <= row.label
        assert (row.identity == owner) == (row.kind not in ("label_noise", "outlier"))
        assert (row.identity >= spec.identities) == (row.kind == "outlier")
        assert (row.kind == "label_noise") == (row.image >= FIRST_FOREIGN_IMAGE)
        assert (row.kind == "near_duplicate") == (row.source >= 0)
        if row.source >= 0:
            original = rows[row.source]
            assert (original.label, original.identity, original.image) == (row.label, row.identity, row.image)
            assert original.kind in ("clean", "duplicate_identity")
    drawn = [(r.identity, r.image) for r in rows if r.kind != "near_duplicate"]
    assert len(set(drawn)) == len(drawn)


def test_equal_sizes_are_equal_and_splits_lose_nothing() -> None:
    spec = PackSpec(40, 9, duplicate_identities=0.25)
    roster = make_roster(spec)
    totals = np.bincount(roster.person, np.diff(roster.starts), minlength=40)
    assert (totals == 9).all()
    assert len(roster.person) == 50
    assert sorted(np.diff(roster.starts).tolist()) == [4] * 10 + [5] * 10 + [9] * 30


def test_the_order_of_labels_does_not_tell_who_was_split() -> None:
    roster = make_roster(PackSpec(2000, 4, duplicate_identities=0.5))
    second = np.flatnonzero(roster.canonical != np.arange(len(roster.canonical)))
    assert len(second) == 1000
    assert abs(np.mean(roster.first_image[second] > 0) - 0.5) < 0.06
    assert abs(np.corrcoef(np.arange(3000), roster.first_image > 0)[0, 1]) < 0.06


def test_long_tails_have_the_mean_that_was_asked_for() -> None:
    sizes = np.diff(make_roster(PackSpec(20000, 30, "long-tail")).starts)
    assert abs(sizes.mean() - 30) < 1
    assert sizes.min() >= 2
    assert np.median(sizes) < 20
    assert sizes.max() > 300


@given(st.integers(2, 60), st.integers(1, 500), st.integers(0, 2**63 - 1), st.data())
@settings(deadline=None, max_examples=60)
def test_exponential_sizes_fall_by_equal_factors(people: int, most: int, seed: int, data: st.DataObject) -> None:
    ratio = data.draw(st.floats(1, most))
    roster = make_roster(PackSpec(people, most, f"exponential:{ratio}", seed))
    sizes = np.sort(np.diff(roster.starts))[::-1].tolist()
    expected, factor = float(most), (1 / ratio) ** (1 / (people - 1))
    for size in sizes:
        assert abs(size - expected) <= 0.5 + 1e-9 * most
        expected *= factor
    assert sizes[0] == most
    assert sizes[-1] >= 1


def test_a_ratio_of_the_classes_is_what_was_asked_for() -> None:
    sizes = np.diff(make_roster(PackSpec(100, 100, "exponential:100")).starts)
    assert (sizes.max(), sizes.min()) == (100, 1)
    assert sizes.tolist() != sorted(sizes.tolist(), reverse=True)


def test_chances_are_kept() -> None:
    chances = {"label_noise": 0.1, "outliers": 0.04, "near_duplicates": 0.06, "low_quality": 0.08, "masked": 0.2}
    rows = whole(PackSpec(1000, 30, **chances))
    found = {kind: sum(r.kind == kind for r in rows) / len(rows) for kind in KINDS}
    expected = dict(zip(KINDS[1:6], chances.values(), strict=True))
    for kind, share in expected.items():
        assert abs(found[kind] - share) < 0.01, kind
    assert abs(found["clean"] - 0.52) < 0.01


def test_a_million_records_are_planned_in_little_memory() -> None:
    spec = PackSpec(50_000, 20, "long-tail", label_noise=0.1, duplicate_identities=0.1)
    roster = make_roster(spec)
    assert sum(a.nbytes for a in roster) < 3e6
    last = int(roster.starts[-1])
    assert [r.position for r in plan_records(spec, roster, last - 5, last)] == list(range(last - 5, last))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"identities": 0}, "identities is 0"),
        ({"images": 0}, "images is 0"),
        ({"sizes": "huge"}, "sizes is 'huge'; it must be one of equal, long-tail"),
        ({"sizes": "exponential"}, "a RATIO of 1 or more, such as exponential:100"),
        ({"sizes": "exponential:"}, "a RATIO of 1 or more"),
        ({"sizes": "exponential:nan"}, "a RATIO of 1 or more"),
        ({"sizes": "exponential:inf"}, "a RATIO of 1 or more"),
        ({"sizes": "exponential:.5"}, "a RATIO of 1 or more"),
        ({"sizes": "long-tail:3"}, "it must be one of equal, long-tail, exponential:RATIO"),
        ({"sizes": "exponential:3.5"}, "with 3 images: the smallest would have less than one; ask for 4 images"),
        ({"seed": -1}, "seed is -1"),
        ({"masked": 1.5}, "masked is 1.5"),
        ({"masked": float("nan")}, "masked is nan"),
        ({"duplicate_identities": -0.1}, "duplicate_identities is -0.1"),
        ({"masked": 0.6, "outliers": 0.6}, "add up to 1.2"),
        ({"identities": 1, "label_noise": 0.1}, "at least 2 identities"),
    ],
)
def test_what_is_not_allowed(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PackSpec(**{"identities": 4, "images": 3, **wrong})
