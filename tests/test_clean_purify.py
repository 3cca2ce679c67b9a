"""clean_embeddings as a whole: what must hold whatever the data, and small cases worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import facekit.clean
from facekit.clean import ACTIONS, REASONS, Action, CleanSettings, Decisions, Reason
from facekit.clean import clean_embeddings as clean_with_settings
from facekit.errors import ConfigError, FacekitError

COLUMNS = ("action_code", "reason_code", "old_label", "new_label", "similarity", "threshold", "nearest", "cluster")


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def noisy(seed: int, folders: int = 30, width: int = 48, gaps: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vectors, labels and true persons (-1: a stranger): folders of 1 to 20, duplicates, swaps and strangers."""
    rng = np.random.default_rng(seed)
    direction = unit(rng.standard_normal((folders, width)))
    owner = np.arange(folders)
    owner[folders - folders // 5 :] = rng.integers(0, folders // 2, folders // 5)
    labels = np.repeat(np.arange(folders), rng.integers(1, 21, folders))
    person = owner[labels].copy()
    draw = rng.random(len(labels))
    person[draw < 0.1] = rng.integers(0, folders, int((draw < 0.1).sum()))
    vectors = 0.75 * direction[person] + 0.65 * unit(rng.standard_normal((len(labels), width)))
    stranger = draw > 0.9
    vectors[stranger], person[stranger] = rng.standard_normal((int(stranger.sum()), width)), -1
    return unit(vectors), labels * gaps + 2, person


def clean_embeddings(
    vectors: np.ndarray,
    labels: np.ndarray,
    copies_of: np.ndarray | None = None,
    shapes_centres: np.ndarray | None = None,
    **options: Any,
) -> Decisions:
    return clean_with_settings(
        vectors, labels, CleanSettings(**options), copies_of=copies_of, shapes_centres=shapes_centres
    )


def same(a: Decisions, b: Decisions, rows: Any = slice(None)) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(a, name)[rows], getattr(b, name), err_msg=name)
    for x, y in zip(a.identities, b.identities):
        np.testing.assert_array_equal(x, y)
    for x, y in zip(a.pairs[:3], b.pairs[:3]):
        np.testing.assert_array_equal(x, y)
    assert a.settings == b.settings


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 9999), mode=st.sampled_from(["published", "robust"]), auto=st.booleans())
def test_neither_order_nor_threads_change_anything(seed: int, mode: str, auto: bool) -> None:
    vectors, labels, _ = noisy(seed)
    options: dict[str, Any] = {"mode": mode, "near_miss": 0.1}
    if auto:
        options.update(intra="auto", eps="auto")
    one = clean_embeddings(vectors, labels, threads=1, **options)
    same(one, clean_embeddings(vectors, labels, threads=3, **options))
    order = np.random.default_rng(seed).permutation(len(labels))
    same(one, clean_embeddings(vectors[order], labels[order], threads=1, **options), order)


@settings(max_examples=25, deadline=None)
@example(seed=298, mode="robust", action="join", guard="complete", intra=-1.0)  # a second person under an earlier label
@given(
    seed=st.integers(0, 9999),
    mode=st.sampled_from(["published", "robust"]),
    action=st.sampled_from(["join", "drop"]),
    guard=st.sampled_from(["complete", "recheck", "none"]),
    intra=st.sampled_from([-1.0, 0.25, 0.5, 1.0]),
)
def test_what_always_holds(seed: int, mode: str, action: str, guard: str, intra: float) -> None:
    vectors, labels, _ = noisy(seed)
    d = clean_embeddings(vectors, labels, mode=mode, union_action=action, guard=guard, intra=intra)
    assert len(d) == len(labels) == sum(d.counts().values())
    np.testing.assert_array_equal(d.old_label, labels)
    used = np.unique(d.new_label[d.new_label >= 0])
    np.testing.assert_array_equal(used, np.arange(len(used)))
    np.testing.assert_array_equal(d.new_label < 0, np.isin(d.action, ["drop", "review"]))
    # Every identity is kept under at most one new label, and new labels follow the smallest old label of their group:
    # in robust mode a group may have a cluster of an identity whose largest one is elsewhere.
    kept = d.action == "keep"
    of_group = ~np.isin(d.reason, ["relabel", "hub"])  # judged by the centre of the group that their cluster is in
    firsts = []
    for label in used:
        owners = np.unique(labels[kept & (d.new_label == label)])
        assert len(owners) <= 1
        stays = (d.new_label == label) & np.isin(d.reason, ["inlier", "inter", "union"])
        if stays.any() and len(owners):
            merged = d.identities.label[d.identities.merged_into == owners[0]]
            firsts.append(min(merged.min(), labels[of_group & (d.nearest == owners[0])].min()))
    assert firsts == sorted(firsts)
    inlier = np.isin(d.reason, ["inlier", "inter", "union", "second_person", "relabel"])
    assert np.all(d.similarity[inlier] >= d.threshold[inlier])
    assert np.all(d.similarity[d.reason == "intra"] < d.threshold[d.reason == "intra"])
    table = d.label_table
    assert set(table) == set(labels.tolist())
    for old in np.unique(labels):
        mine = kept & (labels == old)
        if mine.any():
            assert set(d.new_label[mine]) == {table[int(old)]}


def test_the_published_method_step_by_step() -> None:
    """Four folders in the plane: 5 and 9 are one person, 20 another, 31 a single face; one wrong face in 5."""

    def faces(*degrees: float) -> np.ndarray:
        angle = np.radians(degrees)
        return np.stack([np.cos(angle), np.sin(angle)], 1)

    vectors = np.concatenate([faces(-5, 0, 5, 10, 100), faces(25, 30, 35), faces(150, 155, 160), faces(270)])
    labels = np.array([5] * 5 + [9] * 3 + [20] * 3 + [31])
    d = clean_embeddings(vectors.astype(np.float32), labels)
    assert d.reason.tolist() == ["inlier"] * 4 + ["intra"] + ["inter"] * 3 + ["inlier"] * 4
    assert d.new_label.tolist() == [0, 0, 0, 0, -1, 0, 0, 0, 1, 1, 1, 2]
    # The centre after merging: the sum of the seven members' unit vectors.
    centre = np.arctan2(*vectors[[0, 1, 2, 3, 5, 6, 7]].sum(0)[::-1])
    np.testing.assert_allclose(
        d.similarity[:8], np.cos(np.radians([-5, 0, 5, 10, 100, 25, 30, 35]) - centre), atol=1e-6
    )
    assert d.identities.merged_into.tolist() == [5, 5, 20, 31]
    assert d.label_table == {5: 0, 9: 0, 20: 1, 31: 2}
    assert d.pairs.left.tolist() == [5]
    assert d.pairs.right.tolist() == [9]


def test_union_joins_or_drops() -> None:
    rng = np.random.default_rng(0)
    centre = unit(rng.standard_normal((2, 64)))
    vectors = unit(centre[[0] * 6 + [1] * 4 + [0] * 5] + 0.03 * rng.standard_normal((15, 64)))
    labels = np.array([0] * 6 + [1] * 4 + [2] * 5)
    joined = clean_embeddings(vectors, labels)
    assert joined.counts() == {"inlier": 10, "union": 5}
    assert set(joined.new_label[labels == 2]) == set(joined.new_label[labels == 0]) == {0}
    literal = clean_embeddings(vectors, labels, union_action="drop")
    assert literal.counts() == {"inlier": 10, "duplicate_label": 5}
    assert literal.label_table == {0: 0, 1: 1, 2: -1}


def test_robust_mode_finds_the_second_person_a_home() -> None:
    rng = np.random.default_rng(1)
    centre = unit(rng.standard_normal((40, 96)))
    sizes = rng.integers(14, 20, 40)
    labels = np.repeat(np.arange(40), sizes)
    person = labels.copy()
    person[np.flatnonzero(labels == 3)[:5]] = 17  # lives in folder 17
    person[np.flatnonzero(labels == 4)[:6]] = 99  # lives nowhere else
    person[np.flatnonzero(labels == 5)[:1]] = 30  # a single face
    direction = np.concatenate([centre, np.zeros((59, 96)), unit(rng.standard_normal((1, 96)))])
    vectors = unit(0.8 * direction[person] + 0.6 * unit(rng.standard_normal((len(labels), 96))))
    d = clean_embeddings(vectors, labels, mode="robust")
    assert set(d.reason[person != labels]) == {"second_person", "relabel"}
    assert d.new_label.max() == 40
    names = [set(person[d.new_label == new]) for new in range(41)]
    assert all(len(n) == 1 for n in names)
    assert set().union(*names) == set(range(40)) | {99}
    published = clean_embeddings(vectors, labels)
    assert set(published.reason[person != labels]) == {"intra"}


def test_a_hub_goes_to_review() -> None:
    """One direction gets into every folder: relabelling must not make a person of it."""
    rng = np.random.default_rng(2)
    centre, garbage = unit(rng.standard_normal((60, 96))), unit(rng.standard_normal((1, 96)))
    labels = np.repeat(np.arange(60), 12)
    vectors = 0.8 * centre[labels] + 0.6 * unit(rng.standard_normal((len(labels), 96)))
    junk = np.tile(np.arange(12) >= 9, 60) & (labels > 0) | (labels == 0)
    vectors[junk] = 0.7 * garbage + 0.7 * unit(rng.standard_normal((int(junk.sum()), 96)))
    d = clean_embeddings(unit(vectors), labels, mode="robust")
    out = junk & (labels > 0)
    assert np.mean(d.reason[out] == "hub") > 0.9
    assert not np.any(d.action[out] == "move")
    assert np.all(d.action[~junk] == "keep")


def test_copies_never_enter_a_centre_and_follow_their_source() -> None:
    vectors, labels, _ = noisy(3)
    rng = np.random.default_rng(0)
    source = rng.permutation(len(labels))[: len(labels) // 2]
    both = np.concatenate([vectors, unit(rng.standard_normal((len(source), vectors.shape[1])))])
    copies_of = np.concatenate([np.full(len(labels), -1), source])
    for mode in ("published", "robust"):
        auto = {"mode": mode, "intra": "auto", "eps": "auto"}
        bare = clean_embeddings(vectors, labels, **auto)
        d = clean_embeddings(both, np.concatenate([labels, labels[source]]), copies_of=copies_of, **auto)
        for name in COLUMNS[:-1]:
            np.testing.assert_array_equal(getattr(d, name)[: len(labels)], getattr(bare, name), err_msg=name)
        for name in ("action_code", "new_label", "similarity"):
            np.testing.assert_array_equal(getattr(d, name)[len(labels) :], getattr(bare, name)[source])
        assert set(d.reason[len(labels) :]) == {"copy"}


def test_masked_faces_without_a_bare_picture_are_judged_but_shape_nothing() -> None:
    vectors, labels, _ = noisy(8)
    rng = np.random.default_rng(0)
    masked = rng.random(len(labels)) < 0.3
    whole = labels == labels[0]
    masked[whole] = True
    free = ~masked
    d = clean_embeddings(vectors, labels, shapes_centres=free)
    used = free | ~np.isin(labels, labels[free])
    alone = clean_embeddings(vectors[used], labels[used])
    for name in ("action_code", "similarity", "cluster"):
        np.testing.assert_array_equal(getattr(d, name)[used], getattr(alone, name))
    np.testing.assert_array_equal(d.cluster[~used], -1)
    assert set(d.reason[~used]) >= {"inlier", "intra"}
    groups, count = np.unique(d.identities.merged_into, return_counts=True)
    own = int(np.setdiff1d(labels[~used], groups[count > 1])[0])
    centre = unit(sum(vectors[used & (labels == own) & (d.cluster == 0)])[None])[0]
    here = ~used & (labels == own) & (d.nearest == own)
    assert here.any()
    np.testing.assert_allclose(d.similarity[here], vectors[here] @ centre, atol=1e-5)
    for bad in (np.ones(3, bool), np.ones(len(labels))):
        with pytest.raises(FacekitError, match="shapes_centres"):
            clean_embeddings(vectors, labels, shapes_centres=bad)


def test_a_vector_of_zeros_is_a_face_without_embedding() -> None:
    vectors, labels, _ = noisy(4)
    gone = np.flatnonzero(labels == np.bincount(labels).argmax())
    blank = np.concatenate([gone, [0]])
    given = vectors.copy()
    given[blank] = 0
    for mode in ("published", "robust"):
        d = clean_embeddings(given, labels, mode=mode)
        assert set(d.reason[blank]) == {"no_embedding"}
        assert np.isnan(d.similarity[blank]).all()
        rest = np.setdiff1d(np.arange(len(labels)), blank)
        without = clean_embeddings(vectors[rest], labels[rest], mode=mode)
        np.testing.assert_array_equal(d.action_code[rest], without.action_code)
        np.testing.assert_array_equal(d.new_label[rest], without.new_label)
        assert d.identities.merged_into[np.searchsorted(d.identities.label, labels[gone[0]])] == -1


@pytest.mark.parametrize("mode", ["published", "robust"])
def test_one_face_and_one_identity(mode: str) -> None:
    vectors, _, _ = noisy(5)
    one = clean_embeddings(vectors[:1], np.array([12]), mode=mode)
    assert one.action.tolist() == ["keep"]
    assert one.new_label.tolist() == [0]
    two = clean_embeddings(np.eye(2, dtype=np.float32), np.array([4, 4]), mode=mode)
    assert sorted(two.action.tolist()) == ["drop", "keep"]
    same_face = clean_embeddings(np.ones((5, 8), np.float32), np.zeros(5, int), mode=mode, intra=0.99)
    assert same_face.counts() == {"inlier": 5}


def test_vectors_may_be_a_memory_map_or_half_floats(tmp_path: Any) -> None:
    vectors, labels, _ = noisy(6)
    np.save(tmp_path / "v.npy", vectors)
    same(clean_embeddings(vectors, labels), clean_embeddings(np.load(tmp_path / "v.npy", mmap_mode="r"), labels))
    half = clean_embeddings(vectors.astype(np.float16), labels)
    assert np.mean(half.action_code == clean_embeddings(vectors, labels).action_code) > 0.99


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inter": 1.2}, "inter is 1.2"),
        ({"intra": -1.5}, "intra is -1.5"),
        ({"intra": float("nan")}, "intra is nan"),
        ({"intra": "automatic"}, "auto"),
        ({"inter": "auto"}, "inter is 'auto'"),
        ({"eps": 2.5}, "eps is 2.5"),
        ({"eps": True}, "eps is True"),
        ({"min_samples": 0}, "min_samples is 0"),
        ({"mode": "best"}, "published, robust"),
        ({"cluster": "kmeans"}, "dbscan, hdbscan"),
        ({"union_action": "keep"}, "join, drop"),
        ({"guard": "yes"}, "complete"),
        ({"union": 0.5}, "below inter"),
        ({"threads": -1}, "threads is -1"),
    ],
)
def test_settings_outside_what_is_allowed(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        clean_embeddings(np.eye(4, dtype=np.float32), np.zeros(4, int), **options)


@pytest.mark.parametrize(
    ("vectors", "labels", "message"),
    [
        (np.zeros((0, 4)), np.zeros(0, int), "no embeddings"),
        (np.ones(4), np.zeros(4, int), r"\(N, D\)"),
        (np.ones((4, 4)), np.zeros(3, int), "one label for each"),
        (np.ones((4, 4)), np.zeros((4, 2), int), "one label for each"),
        (np.ones((2, 4)), np.array([0.5, 1]), "whole numbers"),
        (np.ones((2, 4)), np.array(["a", "b"]), "whole numbers"),
        (np.ones((2, 4)), np.array([0, -1]), "labels count from 0"),
        (np.array([[1, 2], [np.nan, 1]]), np.zeros(2, int), "row 1 is not finite"),
        (np.array([[1, np.inf], [1, 1]]), np.array([1, 0]), "row 0 is not finite"),
    ],
)
def test_embeddings_and_labels_that_do_not_fit(vectors: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(FacekitError, match=message):
        clean_embeddings(vectors.astype(np.float32), labels)


@pytest.mark.parametrize("copies", [[1, 2, -1], [7, -1, -1], [2, -1, -1], [0.0, 1.0, 2.0]])
def test_copies_that_cannot_be(copies: list[float]) -> None:
    with pytest.raises(FacekitError, match="cop"):
        clean_embeddings(np.eye(3, dtype=np.float32), np.array([0, 0, 1]), copies_of=np.array(copies))


def test_decisions_refuse_to_contradict_themselves() -> None:
    d = clean_embeddings(np.eye(3, dtype=np.float32), np.array([0, 0, 1]))
    fields = {name: getattr(d, name) for name in d.__dataclass_fields__}
    with pytest.raises(FacekitError, match="contradict"):
        Decisions(**{**fields, "new_label": np.full(3, -1)})


def test_every_reason_is_documented_once() -> None:
    assert len(set(REASONS)) == len(REASONS)
    assert len(set(ACTIONS)) == len(ACTIONS)
    # Codes stand in files: a word that is taken out leaves a gap, a new one comes last.
    assert ACTIONS == ("keep", "move", "drop", "review")
    assert [ACTIONS.index(action.word) for action in Action] == list(Action) == [0, 1, 2, 3]
    assert [REASONS.index(reason.word) for reason in Reason] == list(Reason)
    assert REASONS == (
        "inlier", "union", "inter", "second_person", "relabel", "intra", "duplicate_label", "hub", "no_embedding",
        "excluded", "near_duplicate", "low_quality", "copy", "override", "unmatched",
    )  # fmt: skip
    with pytest.raises(AttributeError, match="clean_everything"):
        facekit.clean.clean_everything  # noqa: B018 -- that it cannot be looked up is the test
    for name in facekit.clean.__all__:
        assert getattr(facekit.clean, name) is not None


@pytest.mark.parametrize("mode", ["published", "robust"])
def test_many_identities_are_searched_approximately_and_it_is_said(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from facekit.clean import approximate

    vectors, labels, _ = noisy(9, folders=400)
    exact = clean_embeddings(vectors, labels, mode=mode)
    monkeypatch.setattr(approximate.find_pairs, "__kwdefaults__", {**_defaults(), "approximate_above": 100})
    found = clean_embeddings(vectors, labels, mode=mode)
    assert "pairs_recall" not in exact.settings
    assert 0 < float(str(found.settings.get("pairs_recall", 1.0))) <= 1
    assert found.pairs.recall == 1 or "pairs_recall" in found.settings
    assert set(zip(found.pairs.left, found.pairs.right)) <= set(zip(exact.pairs.left, exact.pairs.right))


def _defaults() -> dict[str, Any]:
    from facekit.clean.approximate import find_pairs

    return dict(find_pairs.__kwdefaults__ or {})
