"""A drawn benchmark: what it holds follows from its seed, and its scores are those of the pairs that it means."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import save_pooling_model
from writing_commands import call, do

from facekit.errors import ConfigError, FacekitError
from facekit.evaluate import FaceSet
from facekit.jobs.benchmark import sketch
from facekit.jobs.benchmark.config import MakeConfig, RunConfig
from facekit.jobs.benchmark.folder import Benchmark, FaceTable, open_benchmark
from facekit.jobs.benchmark.job import make_benchmark
from facekit.jobs.benchmark.plan import BARE, MASKED, STYLES, list_pairs, make_plan, name_of, person_of, sample_mask
from facekit.jobs.benchmark.presets import PRESETS, PUBLISHED
from facekit.jobs.benchmark.protocols import protocols_of, scores_of
from facekit.jobs.benchmark.run import run_benchmark, run_on
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.faces import Faces
from facekit.jobs.inputs.model import ModelChoice
from facekit.jobs.synth.config import SynthConfig
from facekit.jobs.synth.job import synth
from facekit.masks import MaskParams
from facekit.records import open_pack
from facekit.report import benchmark_page
from facekit.synth.plan import BENCHMARK_SEEDS, PackSpec

MODEL = ModelChoice("pool.onnx", threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("benchmark")
    make_benchmark(MakeConfig(str(root / "tiny"), "drawn-tiny"))
    save_pooling_model(root / "pool.onnx")
    do(["embed", root / "tiny", root / "vectors", "--model", root / "pool.onnx", "--threads", 1])
    return root


@pytest.fixture(scope="module")
def tiny(folder: Path) -> Benchmark:
    return open_benchmark(str(folder / "tiny"))


def settings(benchmark: Benchmark) -> EvalConfig:
    return EvalConfig("it", MODEL, bootstrap=0, folds=benchmark.spec.folds, folds_by="identity")


def with_vectors(benchmark: Benchmark, vectors: np.ndarray) -> Faces:
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return Faces(FaceSet(unit, benchmark.faces.person), benchmark.faces.key, benchmark.faces.role == MASKED)


def large() -> Benchmark:
    """The published benchmark's table, without its pictures."""
    spec = PRESETS["drawn-mfr-v1"]
    plan = make_plan(spec)
    skin = np.where(plan.person % 2 == 0, "light", "dark")
    keys = np.arange(len(plan.person))
    table = FaceTable(keys, plan.person, plan.child, plan.roles, plan.images, plan.source, skin, skin)
    return Benchmark(Path("nowhere"), "large", "", None, None, spec, table)


def test_the_name_is_the_published_one_and_follows_from_everything_that_is_planned() -> None:
    spec = PRESETS["drawn-mfr-v1"]
    assert name_of("drawn-mfr-v1", spec) == PUBLISHED["drawn-mfr-v1"].name
    tiny = PRESETS["drawn-tiny"]
    names = {name_of("drawn-tiny", tiny)}
    for field in dataclasses.fields(tiny):
        value = getattr(tiny, field.name)
        more = value + 1 if isinstance(value, (int, float)) else {} if field.name == "planted" else (*value, 3.0)
        other = {"pairs": 4, "folds": 1}.get(field.name, more)
        names.add(name_of("drawn-tiny", dataclasses.replace(tiny, **{field.name: other})))
    assert len(names) == 1 + len(dataclasses.fields(tiny))


def test_masks_of_another_version_make_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def later(rng: np.random.Generator) -> MaskParams:
        return dataclasses.replace(sample_mask(rng), version=99)

    tiny = PRESETS["drawn-tiny"]
    before = name_of("drawn-tiny", tiny)
    monkeypatch.setattr("facekit.jobs.benchmark.plan.sample_mask", later)
    assert name_of("drawn-tiny", tiny) != before


@pytest.mark.parametrize("preset", PRESETS)
def test_folds_share_no_person_and_every_picture_stands_where_the_plan_says(preset: str) -> None:
    spec = PRESETS[preset]
    plan = make_plan(spec)
    pairs = list_pairs(spec, plan)
    people = plan.person[pairs.rows].reshape(spec.folds, -1)
    for fold, others in ((people[k], np.delete(people, k, 0)) for k in range(spec.folds)):
        assert not set(fold.tolist()) & set(others.ravel().tolist())
    assert ((plan.person[pairs.rows[:, 0]] == plan.person[pairs.rows[:, 1]]) == pairs.same).all()
    assert (plan.roles[pairs.rows] == BARE).all()
    assert not plan.child[pairs.rows].any()
    assert (plan.roles[plan.source] == BARE).all()
    assert (plan.images[plan.source] == plan.images).all()
    assert (plan.person[plan.source] == plan.person).all()
    ages = np.array([person_of(spec, number).age for number in range(spec.adults + spec.children)])
    assert ((ages < 18) == (np.arange(len(ages)) >= spec.adults)).all()


def test_the_pack_is_what_its_tables_say(folder: Path, tiny: Benchmark) -> None:
    with open_pack(folder / "tiny") as pack:
        assert pack.keys.tolist() == tiny.faces.key.tolist()
        assert pack.labels.tolist() == tiny.faces.person.tolist()
        pictures = {key: pack.image(key).astype(int) for key in tiny.faces.key.tolist()}
    for key, source, role in zip(tiny.faces.key.tolist(), tiny.faces.source.tolist(), tiny.faces.role, strict=True):
        changed = np.abs(pictures[key] - pictures[source]).mean()
        assert (changed == 0) == (role == BARE), role
    groups = (folder / "tiny" / "groups.csv").read_text().splitlines()
    assert len(groups) == 1 + ((tiny.faces.role == BARE) & ~tiny.faces.child).sum()


def test_a_perfect_recognizer_scores_one_everywhere(tiny: Benchmark) -> None:
    found = run_on(tiny, with_vectors(tiny, np.eye(6)[tiny.faces.person]), "truth", settings(tiny))
    assert found.score == 1
    assert {point.tar for score in found.scores for point in score.points} == {1.0}
    assert found.scores[-1].accuracy == 1
    assert set(found.style_gap.values()) == {0.0}


def test_a_recognizer_that_a_mask_blinds_loses_the_masked_protocol_alone(tiny: Benchmark) -> None:
    vectors = np.eye(6)[tiny.faces.person]
    blind = tiny.faces.role == MASKED
    vectors[blind] = np.eye(6)[(tiny.faces.person[blind] + 1) % 4]
    scores = {score.name: score for score in scores_of(tiny, with_vectors(tiny, vectors), settings(tiny))}
    assert scores["masked to bare"].points[0].tar == 0
    assert scores["bare to bare"].points[0].tar == 1


def counts(benchmark: Benchmark) -> Iterator[tuple[str, int, int]]:
    """Genuine and impostor pairs of each protocol, one pair after another."""
    table = benchmark.faces
    for name, probe, gallery in protocols_of(table):
        rows, others = np.flatnonzero(probe), np.flatnonzero(probe if gallery is None else gallery)
        same = table.person[rows][:, None] == table.person[others]
        valid = table.source[rows][:, None] != table.source[others]
        if gallery is None:
            valid &= rows[:, None] < others
        yield name, int((same & valid).sum()), int((~same & valid).sum())


def test_every_protocol_compares_the_pairs_that_it_means(tiny: Benchmark) -> None:
    noise = np.random.default_rng(0).normal(size=(len(tiny.faces.key), 8))
    scores = {score.name: score for score in scores_of(tiny, with_vectors(tiny, noise), settings(tiny))}
    for name, genuine, impostor in counts(tiny):
        assert scores[name].refused or (scores[name].genuine, scores[name].impostor) == (genuine, impostor), name


def test_the_published_benchmark_can_measure_every_far_that_it_names_for_its_score() -> None:
    found = {name: impostor for name, _, impostor in counts(large())}
    spec = PRESETS["drawn-mfr-v1"]
    for name in ("masked to bare", "bare to bare", "as drawn", *STYLES, "noise 25 to bare", "blur 2 to bare"):
        assert min(spec.fars) * found[name] >= 1, name


def test_a_model_and_its_vectors_score_alike_and_the_page_says_it(folder: Path) -> None:
    page = folder / "page.html"
    by_model = call(["benchmark", "run", folder / "tiny", folder / "pool.onnx", "--page", page, "--json",
                     "--bootstrap", 20, "--threads", 1])  # fmt: skip
    by_vectors = call(["benchmark", "run", folder / "tiny", folder / "vectors", "--json", "--bootstrap", 20])
    assert (by_model.code, by_vectors.code) == (0, 0), by_model.err + by_vectors.err
    first, second = json.loads(by_model.out), json.loads(by_vectors.out)
    for one, other in zip(first["scores"], second["scores"], strict=True):
        assert [p["true_accepts"] for p in one["points"]] == [p["true_accepts"] for p in other["points"]]
    text = page.read_text()
    assert benchmark_page.COMPARABLE == sketch.ALIKE_TO
    assert first["benchmark"] in text
    assert f"{first['score']:.2%}" in text
    for score in first["scores"]:
        assert f"<td>{score['name']}</td>" in text
    said = call(["benchmark", "run", folder / "tiny", folder / "vectors", "--bootstrap", 0])
    assert f"{first['score']:.2%}" in said.out


def test_who_spreads_drawn_people_is_told_from_who_finds_them_alike(tiny: Benchmark) -> None:
    rng = np.random.default_rng(0)
    spread = with_vectors(tiny, rng.normal(size=(len(tiny.faces.key), 64)))
    alike = with_vectors(tiny, rng.normal(size=(len(tiny.faces.key), 64)) + 1)
    bare = np.flatnonzero((tiny.faces.role == BARE) & ~tiny.faces.child)
    for faces, saw_drawn in ((spread, True), (alike, False)):
        found = run_on(tiny, faces, "noise", settings(tiny))
        cosines = [faces.set.vectors[a] @ faces.set.vectors[b] for a in bare for b in bare
                   if tiny.faces.person[a] != tiny.faces.person[b]]  # fmt: skip
        assert found.alike == pytest.approx(np.mean(cosines), abs=1e-5)
        assert found.saw_drawn == saw_drawn


def test_pictures_without_a_vector_are_counted_and_left_out(tiny: Benchmark) -> None:
    everybody = with_vectors(tiny, np.eye(6)[tiny.faces.person])
    some = Faces(everybody.set.take(np.arange(3, len(tiny.faces.key))), everybody.keys[3:], everybody.masked[3:])
    found = run_on(tiny, some, "truth", settings(tiny))
    assert (found.missing, found.pictures) == (3, len(tiny.faces.key) - 3)
    assert found.scores[1].points[0].tar == 1


def test_what_is_no_benchmark_or_was_changed_is_refused(folder: Path, tmp_path: Path) -> None:
    def run(benchmark: Path, subject: Path = folder / "vectors") -> None:
        run_benchmark(RunConfig(str(benchmark), str(subject), ModelChoice(str(subject)), bootstrap=0))

    with pytest.raises(ConfigError, match="no benchmark"):
        run(tmp_path)
    with pytest.raises(ConfigError, match="neither vectors nor a model"):
        run(folder / "tiny", folder / "tiny")
    other = tmp_path / "other"
    shutil.copytree(folder / "tiny", other)
    make_benchmark(MakeConfig(str(tmp_path / "second"), "drawn-tiny", seed=77))
    shutil.copy(tmp_path / "second" / "train.ledger.parquet", other)
    with pytest.raises(FacekitError, match="was changed"):
        run(other)
    about = json.loads((other / "benchmark.json").read_text())
    for wrong in ({**about, "spec": 3}, {**about, "spec": {**about["spec"], "version": 2}}, [], {"name": "x"}):
        (other / "benchmark.json").write_text(json.dumps(wrong))
        with pytest.raises(ConfigError, match="not as this version"):
            run(other)
    do(["synth", tmp_path / "people", "--identities", 2, "--images", 2, "--workers", 1])
    do(["embed", tmp_path / "people", tmp_path / "strangers", "--model", folder / "pool.onnx"])
    with pytest.raises(ConfigError, match="vectors of other pictures"):
        run(folder / "tiny", tmp_path / "strangers")


def test_settings_that_are_not_allowed(tmp_path: Path) -> None:
    wrong: list[dict[str, Any]] = [{"preset": "mine"}, {"seed": -1}, {"seed": 1 << 32}, {"workers": 0}]
    for given in wrong:
        with pytest.raises(ConfigError, match=next(iter(given))):
            MakeConfig(str(tmp_path / "out"), **given)
    with pytest.raises(ConfigError, match=r"must end in \.html"):
        RunConfig("bench", "model.onnx", MODEL, page="page.txt")
    with pytest.raises(ConfigError, match="bootstrap"):
        RunConfig("bench", "model.onnx", MODEL, bootstrap=-1)


def test_nobody_trains_on_the_people_of_a_benchmark(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"seeds from 2\*\*62 on are those of facekit benchmark"):
        synth(SynthConfig(str(tmp_path / "out"), PackSpec(1, 1, seed=BENCHMARK_SEEDS)))
    said = call(["synth", tmp_path / "out", "--identities", 1, "--images", 1, "--seed", BENCHMARK_SEEDS + 1])
    assert said.code == 2
    assert not (tmp_path / "out").exists()
