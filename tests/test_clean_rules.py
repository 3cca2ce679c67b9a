"""Rules of cleaning, each against a plain loop over the faces or over what must hold whatever the data."""

from __future__ import annotations

from collections import Counter
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.clean import Action, CleanSettings, Reason, clean_embeddings
from facekit.clean.calibrate import Calibrated
from facekit.clean.decisions import label_homes
from facekit.clean.overrides import Overrides, override, renumber
from facekit.clean.pairs import Pairs
from facekit.clean.robust import PLAUSIBLE_ARRIVALS, RELABEL_MARGIN, RobustGroups, relabel
from facekit.clean.vectors import unit

NOBODY = np.zeros(0, np.int64)


def drawn(seed: int, identities: int, each: int, width: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors and labels: people, some of whom are there twice, with strangers and swaps among them."""
    rng = np.random.default_rng(seed)
    centre = unit(rng.standard_normal((identities, width)).astype(np.float32))
    labels = np.repeat(np.arange(identities), rng.integers(1, each + 1, identities))
    person = (labels * 7 // 8)[:]
    swapped = rng.random(len(labels)) < 0.15
    person[swapped] = rng.integers(0, identities, int(swapped.sum()))
    noise = unit(rng.standard_normal((len(labels), width)).astype(np.float32))
    return unit(0.75 * centre[person] + 0.65 * noise), labels


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 9999), mode=st.sampled_from(["published", "robust"]), share=st.floats(0.1, 1.0))
def test_a_copy_has_everything_of_its_source_but_the_reason(seed: int, mode: str, share: float) -> None:
    vectors, labels = drawn(seed, 60, 14)  # enough for outliers to be relabelled
    rng = np.random.default_rng(seed)
    source = rng.permutation(len(labels))[: max(1, int(share * len(labels)))]
    own = unit(rng.standard_normal((len(source), vectors.shape[1])).astype(np.float32))
    order = rng.permutation(len(labels) + len(source))
    place = np.argsort(order)
    copies_of = np.concatenate([np.full(len(labels), -1), place[source]])[order]
    d = clean_embeddings(
        np.concatenate([vectors, own])[order],
        np.concatenate([labels, labels[source]])[order],
        CleanSettings(mode=mode, threads=1),
        copies_of=copies_of,
    )
    copy = copies_of >= 0
    for name in ("action_code", "old_label", "new_label", "similarity", "threshold", "nearest"):
        np.testing.assert_array_equal(getattr(d, name)[copy], getattr(d, name)[copies_of[copy]], err_msg=name)
    assert set(d.reason_code[copy].tolist()) == {Reason.COPY}
    assert Reason.COPY not in d.reason_code[~copy].tolist()


def junk_in_every_identity(each: int, identities: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vectors, labels and which faces are junk: one direction that got into every identity `each` times."""
    rng = np.random.default_rng(each)
    centre = unit(rng.standard_normal((identities + 1, 96)).astype(np.float32))
    labels = np.repeat(np.arange(identities), 9 + each)
    junk = np.tile(np.arange(9 + each) >= 9, identities)
    noise = unit(rng.standard_normal((len(labels), 96)).astype(np.float32))
    return unit(0.8 * centre[np.where(junk, identities, labels)] + 0.6 * noise), labels, junk


def test_a_cluster_that_resembles_too_many_goes_to_review() -> None:
    """Nothing that it could be moved to is there: it is a hub by the number of clusters that are like it."""
    vectors, labels, junk = junk_in_every_identity(each=3)
    d = clean_embeddings(vectors, labels, CleanSettings(mode="robust", threads=1))
    assert (d.action_code[junk] == Action.REVIEW).all()
    assert (d.reason_code[junk] == Reason.HUB).all()
    assert (d.new_label[junk] == -1).all()
    assert (d.action_code[~junk] == Action.KEEP).mean() > 0.99


def test_faces_that_all_want_to_one_identity_go_to_review() -> None:
    """Single faces make no cluster: what they would be moved to is a hub by the number that arrive."""
    vectors, labels, junk = junk_in_every_identity(each=1)
    rng = np.random.default_rng(5)
    home = unit(0.9 * vectors[junk].sum(0)[None] / junk.sum() + 0.03 * rng.standard_normal((4, 96)).astype(np.float32))
    d = clean_embeddings(
        np.concatenate([vectors, home]),
        np.concatenate([labels, np.full(4, 900)]),
        CleanSettings(mode="robust", threads=1),
    )
    of_junk = d.reason_code[: len(labels)][junk]
    assert (of_junk == Reason.HUB).mean() > 0.9
    assert Reason.RELABEL not in of_junk.tolist()
    assert (d.action_code[: len(labels)][junk] != Action.MOVE).all()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 99_999), groups=st.integers(2, 9), faces=st.integers(1, 120), floor=st.floats(0.0, 0.6))
def test_outliers_move_only_where_they_clearly_belong(seed: int, groups: int, faces: int, floor: float) -> None:
    rng = np.random.default_rng(seed)
    centres = unit(rng.standard_normal((groups, 6)).astype(np.float32))
    size = rng.integers(1, 12, groups)
    mix = rng.dirichlet(np.full(groups, 0.2), faces)
    rows = unit((mix @ centres + 0.2 * rng.standard_normal((faces, 6))).astype(np.float32))
    null = Calibrated(0.3, 0.05, 0.08, 1000)
    given_groups = RobustGroups(NOBODY, NOBODY, NOBODY, NOBODY, centres, size, Pairs(NOBODY, NOBODY, NOBODY), 0.85)
    found = relabel(rows, np.arange(faces), given_groups, null, floor)

    similarity = rows.astype(np.float64) @ centres.T.astype(np.float64)
    ranked = np.sort(similarity, axis=1)
    least = max(floor, 0.05 + NormalDist().inv_cdf(1 - 0.01 / groups) * 0.08)
    ahead = ranked[:, -1] - ranked[:, -2]
    if np.any(np.abs(ranked[:, -1] - least) < 1e-5) or np.any(np.abs(ahead - RELABEL_MARGIN) < 1e-5):
        return  # a matter of the last bit
    best = similarity.argmax(1)
    belongs = (ranked[:, -1] >= least) & (ahead >= RELABEL_MARGIN)
    arrived = Counter(best[belongs].tolist())
    for face in range(faces):
        hub = arrived[int(best[face])] > max(PLAUSIBLE_ARRIVALS, int(size[best[face]]))
        assert found.group[face] == (best[face] if belongs[face] and not hub else -1)
        assert found.hub[face] == (belongs[face] and hub)
        if belongs[face]:
            assert found.nearest[face] == best[face]
            assert found.similarity[face] == pytest.approx(ranked[face, -1], abs=1e-6)


class Naive:
    """Overrides as they are described, face by face."""

    def __init__(self, old: list[int], reason: list[int], new: list[int]) -> None:
        self.old, self.group = old, list(new)
        self.done: dict[int, Action] = {}
        self.fresh = max(new, default=-1) + 1
        self.home: dict[int, int] = {}
        for label in sorted(set(old)):
            votes = Counter(n for o, r, n in zip(old, reason, new) if o == label and n >= 0 and r in (0, 1, 2, 13))
            self.home[label] = max(votes, key=lambda n: (votes[n], n)) if votes else -1

    def new_group(self) -> int:
        self.fresh += 1
        return self.fresh - 1

    def put(self, face: int, group: int, action: Action) -> None:
        self.group[face], self.done[face] = group, action

    def split(self, label: int, reason: list[int]) -> None:
        self.home[label] = self.new_group()
        for face, old in enumerate(self.old):
            if old == label and reason[face] in (0, 1, 2):
                self.put(face, self.home[label], Action.KEEP)

    def merge(self, label: int, other: int) -> None:
        if self.home[label] < 0:
            self.home[label] = self.new_group()
        into, gone = self.home[label], self.home[other]
        self.home[other] = into
        if gone in (-1, into):
            return
        self.home = {label: into if group == gone else group for label, group in self.home.items()}
        for face, group in enumerate(self.group):
            if group == gone:
                self.put(face, into, Action.MOVE)

    def send(self, face: int, label: int) -> None:
        if self.home[label] < 0:
            self.home[label] = self.new_group()
        self.put(face, self.home[label], Action.KEEP if self.old[face] == label else Action.MOVE)


@st.composite
def decided(draw: Any) -> tuple[list[int], list[int], list[int], list[int], Overrides]:
    """Keys, old labels, reasons and new labels, and overrides of them."""
    count = draw(st.integers(1, 25))
    keys = draw(st.lists(st.integers(0, 99), min_size=count, max_size=count, unique=True))
    old = draw(st.lists(st.integers(3, 9), min_size=count, max_size=count))
    reason = draw(st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 7, 13]), min_size=count, max_size=count))
    group = draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
    new = [-1 if r in (5, 7) else g for r, g in zip(reason, group)]
    labels, label = sorted(set(old)), st.sampled_from(sorted(set(old)))
    chosen = draw(st.permutations(keys))
    a, b = sorted(draw(st.tuples(st.integers(0, count), st.integers(0, count))))
    c = draw(st.integers(b, count))
    given = Overrides(
        keep=tuple(chosen[:a]),
        drop=tuple(chosen[a:b]),
        move={key: draw(label) for key in chosen[b:c]},
        merge=tuple(draw(st.lists(st.tuples(label, label), max_size=6))),
        split=tuple(draw(st.lists(st.sampled_from(labels), max_size=3, unique=True))),
    )
    return keys, old, reason, new, given


@settings(max_examples=300, deadline=None)
@given(decided())
def test_overrides_do_what_is_said_of_them(case: tuple[list[int], list[int], list[int], list[int], Overrides]) -> None:
    keys, old, reason, new, given = case
    action = [Action.DROP if n < 0 else Action.KEEP for n in new]
    naive = Naive(old, reason, new)
    for label in given.split:
        naive.split(label, reason)
    for label, other in given.merge:
        naive.merge(label, other)
    for key in given.drop:
        naive.put(keys.index(key), -1, Action.DROP)
    for key in given.keep:
        naive.send(keys.index(key), old[keys.index(key)])
    for key, label in given.move.items():
        naive.send(keys.index(key), label)

    arrays = (np.array(column, dtype) for column, dtype in ((keys, int), (old, int), (action, np.int8)))
    found = override(given.arrays(), *arrays, np.array(reason, np.int8), np.array(new, np.int64))
    np.testing.assert_array_equal(renumber(found.new_label), renumber(np.array(naive.group)))
    assert found.action_code.tolist() == [naive.done.get(face, action[face]) for face in range(len(keys))]
    assert found.reason_code.tolist() == [
        Reason.OVERRIDE if face in naive.done else reason[face] for face in range(len(keys))
    ]


@given(decided())
def test_an_identity_is_where_most_of_its_faces_are(
    case: tuple[list[int], list[int], list[int], list[int], Overrides],
) -> None:
    _, old, reason, new, _ = case
    labels, homes = label_homes(np.array(old), np.array(reason, np.int8), np.array(new))
    assert dict(zip(labels.tolist(), homes.tolist())) == Naive(old, reason, new).home
