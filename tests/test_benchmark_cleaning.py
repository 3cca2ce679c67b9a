"""The score of a cleaner, against plain counting; what is planted; and the looks that only a benchmark has."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from writing_commands import call

from facekit.errors import ConfigError, FacekitError
from facekit.evaluate import CleaningTruth, score_cleaning
from facekit.jobs.benchmark.cleaning import read_truth, score_result
from facekit.jobs.benchmark.config import MakeConfig, ScoreConfig
from facekit.jobs.benchmark.job import make_benchmark
from facekit.synth import build_person, sample_capture, sample_identity
from facekit.synth.children import YOUTH, as_child
from facekit.synth.modes import MODES
from facekit.synth.picture import render
from facekit.synth.planted_vectors import plant_vectors
from facekit.synth.restyle import recolour, relight, retexture

ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(-1, 3), st.booleans(), st.integers(0, 3), st.booleans()),
    min_size=1,
    max_size=24,
)


def of_rows(rows: list[tuple[int, int, bool, int, bool]]) -> tuple[CleaningTruth, np.ndarray, np.ndarray]:
    """Old label, person, keep, new label, hard; the label's own person has its number."""
    label, person, keep, new, hard = (np.array(column) for column in zip(*rows, strict=True))
    wrong = person != label
    truth = CleaningTruth(label, person, wrong, hard & ~wrong, np.ones(len(rows), np.bool_))
    return truth, keep.astype(np.bool_), new


@given(ROWS)
def test_the_score_is_what_counting_says(rows: list[tuple[int, int, bool, int, bool]]) -> None:
    truth, keep, new = of_rows(rows)
    found = score_cleaning(truth, keep, new)
    removed = []
    for row in range(len(rows)):
        siblings = [int(n) for n, k, old in zip(new, keep, truth.label, strict=True) if k and old == truth.label[row]]
        main = max(sorted(set(siblings)), key=siblings.count) if siblings else None
        removed.append(not keep[row] or new[row] != main)
    hits = sum(gone and wrong for gone, wrong in zip(removed, truth.wrong, strict=True))
    assert found.removed == sum(removed)
    assert found.drop_precision == hits / max(1, sum(removed))
    assert found.drop_recall == hits / max(1, truth.wrong.sum())
    pairs = list(combinations(range(len(rows)), 2))
    in_truth = {p for p in pairs if truth.person[p[0]] == truth.person[p[1]] >= 0}
    in_result = {p for p in pairs if keep[p[0]] and keep[p[1]] and new[p[0]] == new[p[1]]}
    both = len(in_truth & in_result)
    assert found.pairwise_f1 == 2 * both / max(1, len(in_truth) + len(in_result))
    assert found.kept == keep.sum()


@given(ROWS, st.permutations(range(4)))
def test_how_labels_are_numbered_does_not_matter(
    rows: list[tuple[int, int, bool, int, bool]], names: list[int]
) -> None:
    truth, keep, new = of_rows(rows)
    renamed = score_cleaning(truth, keep, np.array(names)[new] + 10)
    first = score_cleaning(truth, keep, new)
    assert (renamed.pairwise_f1, renamed.kept) == (first.pairwise_f1, first.kept)


def test_the_truth_itself_scores_one() -> None:
    planted = plant_vectors(3, 40, 8)
    wrong = planted.person != planted.home[planted.label]
    truth = CleaningTruth(planted.label, planted.person, wrong, ~wrong & (planted.cosine < 0.5), np.ones_like(wrong))
    best = score_cleaning(truth, planted.person >= 0, planted.person)
    assert best.pairwise_f1 == 1
    strict = score_cleaning(truth, ~wrong, planted.label)
    assert (strict.drop_f1, strict.hard_lost) == (1, 0)
    nothing = score_cleaning(truth, np.ones_like(wrong), planted.label)
    assert (nothing.drop_recall, nothing.hard_lost) == (0, 0)
    assert nothing.pairwise_f1 < 1
    with pytest.raises(ConfigError, match="must be"):
        score_cleaning(truth, ~wrong[1:], planted.label)


@given(st.integers(0, 1000), st.booleans(), st.sampled_from([0.0, 0.1, 0.4]))
def test_planted_vectors_lie_where_they_are_said_to(seed: int, weak: bool, noise: float) -> None:
    planted = plant_vectors(seed, 12, 6, noise, weak, 64)
    assert np.allclose(np.linalg.norm(planted.vectors, axis=1), 1, atol=1e-5)
    assert (np.diff(planted.label) >= 0).all()
    assert set(planted.label.tolist()) == set(range(len(planted.home)))
    assert (planted.person < 12).all()
    wrong = planted.person != planted.home[planted.label]
    assert noise > 0 or not wrong.any()
    again = plant_vectors(seed, 12, 6, noise, weak, 64)
    assert (again.vectors == planted.vectors).all()


@pytest.mark.parametrize("weak", [False, True])
def test_two_faces_of_a_person_agree_as_their_cosines_say(weak: bool) -> None:
    planted = plant_vectors(0, 60, 12, 0.2, weak, 512)
    right = planted.person == planted.home[planted.label]
    vectors, person, cosine = planted.vectors[right], planted.person[right], planted.cosine[right]
    first, second = np.triu_indices(len(person), 1)
    same = person[first] == person[second]
    found = np.einsum("pd,pd->p", vectors[first[same]], vectors[second[same]])
    assert abs((found - cosine[first[same]] * cosine[second[same]]).mean()) < 0.01
    assert abs(np.einsum("pd,pd->p", vectors[first[~same]], vectors[second[~same]]).mean()) < 0.01


@pytest.mark.parametrize("given", [(1, 6, 0.2, 64), (4, 1, 0.2, 64), (4, 6, 1.0, 64), (4, 6, -0.1, 64), (4, 6, 0.2, 4)])
def test_what_cannot_be_planted_is_refused(given: tuple[int, int, float, int]) -> None:
    people, mean, noise, dimensions = given
    with pytest.raises(ConfigError, match="there must be"):
        plant_vectors(0, people, mean, noise, False, dimensions)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cleaning") / "tiny"
    make_benchmark(MakeConfig(str(folder), "drawn-tiny"))
    return folder


def write(path: Path, columns: dict[str, object]) -> ScoreConfig:
    pq.write_table(pa.table(columns), path)
    return ScoreConfig(str(path.parent / "tiny"), str(path), "planted-strong")


def test_any_cleaner_is_scored_from_its_table(tiny: Path) -> None:
    keys, truth = read_truth(str(tiny / "cleaning" / "planted-strong" / "truth.parquet"))
    out = tiny.parent / "mine.parquet"
    order = np.random.default_rng(0).permutation(len(keys))
    keep = ~truth.wrong
    best = score_result(write(out, {"key": keys[order], "keep": keep[order]}))
    assert (best.result.drop_f1, best.as_given.drop_recall) == (1, 0)
    assert score_result(write(out, {"key": keys, "new_label": np.where(keep, truth.label, -1)})).result == best.result
    text = "".join(f"{key},{label},{int(k)}\n" for key, label, k in zip(keys, truth.label, keep, strict=True))
    (tiny.parent / "mine.csv").write_text("key,label,keep\n" + text)
    said = call(["benchmark", "score-cleaning", tiny, tiny.parent / "mine.csv", "--task", "planted-strong"])
    assert said.code == 0, said.err
    assert "drop f1                 1.0000    0.0000" in said.out
    images = tiny / "cleaning" / "planted-strong" / "images.csv"
    given = score_result(ScoreConfig(str(tiny), str(images), "planted-strong"))
    assert given.result == given.as_given


def test_what_is_no_result_is_refused(tiny: Path) -> None:
    keys, truth = read_truth(str(tiny / "cleaning" / "planted-strong" / "truth.parquet"))
    out, ones = tiny.parent / "mine.parquet", np.ones(len(keys), np.int64)
    wrong: dict[str, tuple[type[Exception], dict[str, object]]] = {
        "must have the column key": (ConfigError, {"image": keys, "keep": ones}),
        "label or keep": (ConfigError, {"key": keys, "score": ones}),
        "once": (FacekitError, {"key": keys[1:], "keep": ones[1:]}),
        "each of the": (FacekitError, {"key": np.append(keys[1:], keys[1]), "keep": ones}),
        "column keep must hold": (FacekitError, {"key": keys, "keep": 3 * ones}),
        "column label must hold": (FacekitError, {"key": keys, "label": [None, *truth.label[1:].tolist()]}),
        "column key must hold": (FacekitError, {"key": [str(key) for key in keys], "keep": ones}),
    }
    for words, (kind, columns) in wrong.items():
        with pytest.raises(kind, match=words):
            score_result(write(out, columns))
    out.write_bytes(b"PAR1 of something else")
    for path, kind, words in (
        (out, FacekitError, "cannot be read"),
        (tiny.parent / "nowhere.csv", ConfigError, "nowhere"),
    ):
        with pytest.raises(kind, match=words):
            score_result(ScoreConfig(str(tiny), str(path), "planted-strong"))
    with pytest.raises(ConfigError, match="drawn, planted-strong"):
        score_result(ScoreConfig(str(tiny), str(out), "mine"))


@given(st.integers(0, 10**6))
def test_a_child_is_the_person_made_young(number: int) -> None:
    adult = sample_identity(0, number)
    child = as_child(adult, np.random.default_rng(number))
    assert 5 <= child.age <= 12
    assert (child.beard, child.grey, child.lipstick, child.texture) == ("none", 0, 0, adult.texture)
    assert child.hair_style != "bald"
    shift = np.array(child.modes) - np.array(adult.modes)
    for mode, moved in zip(MODES, shift, strict=True):
        assert np.sign(round(moved, 9)) == np.sign(YOUTH.get(mode.name, 0))


def test_another_look_keeps_the_face_where_it_is() -> None:
    person, capture = build_person(sample_identity(1, 1)), sample_capture(1, 1, 0)
    rng = np.random.default_rng(0)
    drawn, other = render(person, capture), render(person, relight(capture, rng))
    assert (drawn.vertices == other.vertices).all()
    for image in (other.image, recolour(drawn.image, rng), retexture(drawn.image, rng)):
        assert (image.shape, image.dtype) == (drawn.image.shape, np.uint8)
        assert np.abs(image.astype(int) - drawn.image).mean() > 1
