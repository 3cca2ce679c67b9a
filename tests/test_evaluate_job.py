"""``facekit eval`` end to end: what it says equals similarities computed by hand from the pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import photo
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from small_models import PNG, NoisePack, directions, save_model, save_pack
from writing_commands import call

from facekit.cli import program
from facekit.errors import ConfigError, FacekitError, NoFace
from facekit.evaluate import fold_accuracy, operating_points
from facekit.images import blurred, encode_like
from facekit.jobs.embed.job import EmbedConfig, embed
from facekit.jobs.evaluate import faces as eval_faces
from facekit.jobs.evaluate import scores as eval_scores
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.faces import Alter
from facekit.jobs.evaluate.job import EvalSummary, evaluate
from facekit.jobs.evaluate.pictures import alterations
from facekit.jobs.inputs.model import ModelChoice
from facekit.records.bins import write_bins


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a pack with masked copies, its vectors, and tables about it."""
    folder = tmp_path_factory.mktemp("eval")
    save_model(folder / "model.onnx")
    save_model(folder / "two.onnx", flag=1)
    save_pack(folder / "pack", people=12)
    for name in ("model", "two"):
        embed(EmbedConfig(str(folder / "pack"), str(folder / f"{name}-features"), choice(folder / f"{name}.onnx")))
    rng = np.random.default_rng(0)
    keys = rng.integers(1, 49, (200, 2))
    keys = np.concatenate([keys, np.stack([np.arange(1, 48, 2), np.arange(2, 49, 2)], 1)])
    save_pairs(folder / "pairs.csv", keys)
    region = np.where(np.arange(48) % 8 < 4, "north", "south")
    pq.write_table(pa.table({"key": np.arange(1, 41), "region": region[:40], "child": ["yes"] * 10 + [""] * 30}),
                   folder / "groups.parquet")  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def pack(room: Path) -> NoisePack:
    return save_pack(room / "again", people=12)


def choice(path: Path, **given: object) -> ModelChoice:
    return ModelChoice(str(path), threads=1, **given)


def save_pairs(path: Path, keys: np.ndarray) -> None:
    same = (keys[:, 0] - 1) // 4 == (keys[:, 1] - 1) // 4
    rows = [f"{a},{b},{int(s)}" for (a, b), s in zip(keys.tolist(), same, strict=True)]
    path.write_text("\n".join(["key_a,key_b,same", *rows]) + "\n")


def run(room: Path, subject: str, **given: object) -> EvalSummary:
    model = {name: given.pop(name) for name in ("branch", "flip") if name in given}
    paths = {name: str(room / str(given.pop(name))) for name in ("pairs", "gallery", "probe", "pack", "groups", "plots")
             if name in given}  # fmt: skip
    return evaluate(EvalConfig(str(room / subject), choice(room / subject, **model), **paths, **given))


def table(room: Path) -> tuple[np.ndarray, np.ndarray]:
    rows = np.loadtxt(room / "pairs.csv", delimiter=",", skiprows=1, dtype=int)
    return rows[:, :2], rows[:, 2] == 1


@pytest.mark.parametrize("subject", ["model.onnx", "model-features"])
def test_pairs_by_key(room: Path, pack: NoisePack, subject: str) -> None:
    given = {"pack": "pack"} if subject.endswith("onnx") else {}
    summary = run(room, subject, pairs="pairs.csv", fars=(0.02, 0.3), **given)
    (keys, same), vectors = table(room), directions(pack.pictures)
    similarity = np.einsum("ij,ij->i", vectors[keys[:, 0] - 1], vectors[keys[:, 1] - 1])
    (score,) = summary.scores
    assert (score.genuine, score.impostor) == (same.sum(), (~same).sum())
    for point, expected in zip(score.points, operating_points(similarity[same], similarity[~same], (0.02, 0.3)), strict=True):  # fmt: skip # noqa: E501
        assert point.tar == expected.tar
        assert point.threshold == pytest.approx(expected.threshold, abs=1e-5)
    assert score.accuracy == pytest.approx(fold_accuracy(similarity, same).mean, abs=1e-9)
    assert (summary.left_out, summary.errors) == (0, {})
    assert (summary.milliseconds_per_image is None) == subject.endswith("features")


def test_the_time_of_a_picture_is_that_of_the_network_alone(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that reading and decoding move by 7 s a picture, and the network by 3 ms."""
    clock, real, add = [0.0], eval_faces.embed_pictures, eval_faces.EmbeddingCollector.add

    def embedded(engine: object, pictures: np.ndarray, *rest: object) -> object:
        clock[0] += 0.003 * len(pictures)
        return real(engine, pictures, *rest)

    def added(self: object, *given: object) -> None:
        clock[0] += 7
        add(self, *given)

    monkeypatch.setattr(eval_faces, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(eval_faces, "embed_pictures", embedded)
    monkeypatch.setattr(eval_faces.EmbeddingCollector, "add", added)
    summary = run(room, "model.onnx", pairs="pairs.csv", pack="pack")
    assert clock[0] > 7 * summary.pictures
    assert summary.milliseconds_per_image == pytest.approx(3)


def test_pairs_of_a_bin(room: Path, pack: NoisePack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same pairs as a .bin score the same; pictures that are none are left out; the second side is altered."""
    (keys, same), payloads = table(room), [encode_like(picture, PNG) for picture in pack.pictures]
    pictures = [payloads[key - 1] for key in keys.ravel()]
    write_bins(tmp_path / "p.bin", pictures, same)
    config = EvalConfig(str(room / "model.onnx"), choice(room / "model.onnx"), pairs=str(tmp_path / "p.bin"))
    by_key, by_place = run(room, "model.onnx", pairs="pairs.csv", pack="pack"), evaluate(config)
    assert np.allclose(by_place.scores[0].points, by_key.scores[0].points, atol=1e-6)
    assert by_place.scores[0].accuracy == pytest.approx(by_key.scores[0].accuracy)
    assert (by_place.pictures, by_place.contradictions) == (2 * len(same), 0)
    write_bins(tmp_path / "p.bin", [b"junk", *pictures[1:]], same, overwrite=True)
    assert (evaluate(config).left_out, len(evaluate(config).errors)) == (1, 1)
    write_bins(tmp_path / "p.bin", pictures, same, overwrite=True)
    monkeypatch.setattr(eval_scores, "alterations", lambda _: (None, Alter(lambda _, picture: picture // 2)))
    vectors, dark = directions(pack.pictures), directions(pack.pictures // 2)
    similarity = np.einsum("ij,ij->i", vectors[keys[:, 0] - 1], dark[keys[:, 1] - 1])
    assert evaluate(config).scores[0].accuracy == pytest.approx(fold_accuracy(similarity, same).mean)
    (tmp_path / "p.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(FacekitError):
        evaluate(config)
    write_bins(tmp_path / "p.bin", [], [], overwrite=True)
    with pytest.raises(FacekitError, match="no picture can be embedded"):
        evaluate(config)


def test_keys_of_another_pack_are_noticed(room: Path, tmp_path: Path) -> None:
    lines = (room / "pairs.csv").read_text().split()
    keys, same = table(room)
    flipped = [
        f"{a},{b},{int(not s if i < 9 else s)}" for i, ((a, b), s) in enumerate(zip(keys.tolist(), same, strict=True))
    ]
    for rows, wrong in ((lines[1:], 0), (flipped, 9)):
        (tmp_path / "p.csv").write_text("\n".join([lines[0], *rows]))
        config = EvalConfig(str(room / "model-features"), choice(room), pairs=str(tmp_path / "p.csv"))
        assert evaluate(config).contradictions == wrong
    assert "9 pairs contradict the labels" in CliRunner().invoke(
        program, ["eval", str(room / "model-features"), "--pairs", str(tmp_path / "p.csv")]
    ).output  # fmt: skip


def test_the_sides_that_are_altered(room: Path, pack: NoisePack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of each pair by itself, both with ``both``; pairs with a face that cannot be masked are left out."""

    def darker(number: int, picture: np.ndarray) -> np.ndarray:
        if number in (7, 20):
            raise NoFace("profile")
        return picture // 2

    (keys, same), bare, dark = table(room), directions(pack.pictures), directions(pack.pictures // 2)
    for first in (None, darker):
        monkeypatch.setattr(eval_scores, "alterations", lambda _, first=first: (first and Alter(first), Alter(darker)))
        summary = run(room, "model.onnx", pairs="pairs.csv", pack="pack", wear="kn95", fars=(0.1,))
        gone = np.isin(keys[:, 1], (7, 20)) if first is None else np.isin(keys, (7, 20)).any(axis=1)
        left = (bare if first is None else dark)[keys[~gone, 0] - 1]
        similarity = np.einsum("ij,ij->i", left, dark[keys[~gone, 1] - 1])
        expected = operating_points(similarity[same[~gone]], similarity[~same[~gone]], (0.1,))[0]
        assert summary.scores[0].points[0].tar == expected.tar
        assert summary.left_out == gone.sum() > 0
        assert summary.errors == {"profile": 2 if first is None else 4}


@pytest.mark.parametrize("subject", ["model.onnx", "model-features"])
def test_the_masked_protocol(room: Path, pack: NoisePack, subject: str) -> None:
    given = {"pack": "pack"} if subject.endswith("onnx") else {}
    summary = run(room, subject, fars=(0.05,), **given)
    vectors, scores = directions(pack.pictures), {score.name: score for score in summary.scores}
    similarity = vectors @ vectors.T
    allowed = pack.sources[:, None] != pack.sources[None]
    same = pack.labels[:, None] == pack.labels[None]
    upper = np.triu(np.ones_like(same), 1)
    sides = {
        "masked to bare": pack.masked[:, None] & ~pack.masked[None],
        "masked to masked": pack.masked[:, None] & pack.masked[None] & upper,
        "bare to bare": ~pack.masked[:, None] & ~pack.masked[None] & upper,
    }
    assert set(scores) == set(sides)
    del sides["masked to masked"]  # one masked copy a person: there is no genuine pair
    for name, pairs in sides.items():
        genuine, impostor = similarity[pairs & allowed & same], similarity[pairs & allowed & ~same]
        assert (scores[name].genuine, scores[name].impostor) == (len(genuine), len(impostor))
        assert scores[name].points[0].tar == operating_points(genuine, impostor, (0.05,))[0].tar
    assert summary.pictures == 48


def test_without_fars_what_cannot_be_measured_is_said(room: Path) -> None:
    summary = run(room, "two-features")
    scores = {score.name: score for score in summary.scores}
    assert "no genuine pair" in scores["masked to masked"].refused
    assert [point.far for point in scores["bare to bare"].points] == [0.1, 0.01]
    assert [sentence.partition(" needs")[0] for sentence in summary.protocol_missing] == [
        "masked to bare: FAR 0.0001",
        "bare to bare: FAR 1e-6",
    ]
    assert "at least 1,000,000 impostor pairs" in summary.protocol_missing[1]
    assert (summary.masked_score, summary.protocol) == (None, {})
    assert summary.uncertainty == {"bare": 10, "masked": 11}
    with pytest.raises(ConfigError, match="at least 10,000 impostor pairs"):
        run(room, "two-features", fars=(1e-4,))


def tar_by_hand(pack: NoisePack, left: np.ndarray, right: np.ndarray, far: float) -> float:
    """TAR at a FAR, pair by pair: never a picture with itself or with its copy, each pair once."""
    vectors, genuine, impostor = directions(pack.pictures), [], []
    for a in np.flatnonzero(left):
        for b in np.flatnonzero(right):
            if pack.sources[a] != pack.sources[b] and not (left[b] and right[a] and b <= a):
                (genuine if pack.labels[a] == pack.labels[b] else impostor).append(float(vectors[a] @ vectors[b]))
    limit = sorted(impostor, reverse=True)[int(far * len(impostor) * (1 + 1e-12))]
    return sum(value > limit for value in genuine) / len(genuine)


def test_the_masked_score_is_that_of_the_challenge(
    room: Path, pack: NoisePack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mask is masked to bare, MR-All and the groups are bare alone; at FARs of a pack this small."""
    monkeypatch.setattr(eval_scores, "MASKED_FAR", 0.1)
    monkeypatch.setattr(eval_scores, "BARE_FAR", 0.01)
    monkeypatch.setattr(
        eval_scores, "group_far", lambda name: 0.01 if name == "child" else 0.1 if name == "region" else 0
    )
    summary = run(room, "model-features", groups="groups.parquet")
    bare, keys = ~pack.masked, np.arange(48)
    north = bare & (keys % 8 < 4) & (keys < 40)
    expected = {
        "masked to bare": tar_by_hand(pack, pack.masked, bare, 0.1),
        "bare to bare": tar_by_hand(pack, bare, bare, 0.01),
        "region north": tar_by_hand(pack, north, north, 0.1),
    }
    for name, tar in expected.items():
        assert summary.protocol[name] == pytest.approx(tar), name
    assert {"region south", *expected} == set(summary.protocol)
    assert [sentence.partition(" needs")[0] for sentence in summary.protocol_missing] == ["child yes: FAR 0.01"]
    mixed = 0.25 * expected["masked to bare"] + 0.75 * expected["bare to bare"]
    assert summary.masked_score == pytest.approx(mixed)
    pooled = tar_by_hand(pack, np.ones(48, bool), np.ones(48, bool), 0.01)
    assert pooled != expected["bare to bare"], "this pack tells the two readings apart"


@pytest.mark.parametrize("sides", [("pack", "pack"), ("model-features", "pack"), ("model-features", "model-features")])
def test_gallery_and_probes(room: Path, pack: NoisePack, sides: tuple[str, str]) -> None:
    """A pack against itself knows its own photographs; against another they are strangers unless --related."""
    vectors = directions(pack.pictures)
    similarity = vectors @ vectors.T
    for related in (True, False):
        subject = "model-features" if "pack" not in sides else "model.onnx"
        summary = run(room, subject, gallery=sides[0], probe=sides[1], related=related, fars=(0.1,))
        allowed = (
            pack.sources[:, None] != pack.sources[None] if related or sides[0] == sides[1] else np.ones((48, 48), bool)
        )
        seen = np.where(allowed, similarity, -2)
        best = pack.labels[seen.argmax(1)] == pack.labels
        assert summary.ranks[1] == pytest.approx(best.mean())
        assert summary.ranks[5] >= summary.ranks[1]
        same = pack.labels[:, None] == pack.labels[None]
        expected = operating_points(similarity[same & allowed], similarity[~same], (0.1,))[0]
        assert summary.scores[0].points[0].tar == expected.tar
        assert summary.scores[0].genuine == expected.genuine


def test_groups(room: Path, pack: NoisePack) -> None:
    summary = run(room, "model-features", groups="groups.parquet", fars=())
    scores = {score.name: score for score in summary.scores}
    assert {"region north", "region south", "child yes"} <= set(scores)
    inside = (np.arange(48) % 8 < 4) & (np.arange(48) < 40)
    bare = inside & ~pack.masked
    pairs = np.triu(np.ones((48, 48), bool), 1) & bare[:, None] & bare & (pack.sources[:, None] != pack.sources)
    same = pack.labels[:, None] == pack.labels
    assert (scores["region north"].genuine, scores["region north"].impostor) == (
        (pairs & same).sum(),
        (pairs & ~same).sum(),
    )
    summary = run(room, "model-features", pairs="pairs.csv", groups="groups.parquet")
    (keys, _), scores = table(room), {score.name: score for score in summary.scores}
    both = inside[keys - 1].all(axis=1)
    assert scores["region north"].genuine + scores["region north"].impostor == both.sum()
    assert scores["child yes"].accuracy is not None or "folds" in scores["child yes"].refused


def test_worn_masks_and_blur() -> None:
    face = photo.face(3)
    config = EvalConfig("m.onnx", ModelChoice("m.onnx"), pairs="p.bin", wear="surgical-blue", seed=4)
    first, second = alterations(config)
    assert first is None
    worn = second(9, face)
    assert np.array_equal(worn, second(9, face))
    assert not np.array_equal(worn, second(10, face))
    changed = (worn != face).any(axis=2)
    assert changed[70:100, 40:72].mean() > 0.8
    assert changed[:40].mean() < 0.05
    both = alterations(
        EvalConfig("m", ModelChoice("m"), pairs="p.bin", wear="surgical-blue", seed=4, side="both", blur=2.0)
    )
    assert np.array_equal(both[0](9, face), blurred(worn, 2.0))
    with pytest.raises(NoFace):
        second(1, np.full((112, 112, 3), 90, np.uint8))
    blur = alterations(EvalConfig("m", ModelChoice("m"), pairs="p.bin", blur=1.5))
    picture = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    assert blur[0](0, picture).std() < picture.std() / 2
    assert abs(blur[1](0, picture).mean() - picture.mean()) < 2
    assert np.array_equal(blurred(np.full((8, 12, 3), 7, np.uint8), 3.0), np.full((8, 12, 3), 7, np.uint8))


def test_the_command_and_its_plots(room: Path, tmp_path: Path) -> None:
    arguments = ["eval", str(room / "two-features"), "--plots", str(tmp_path / "plots")]
    result = CliRunner().invoke(program, arguments)
    assert result.exit_code == 0, result.output
    assert "bare to bare: 36 genuine and 594 impostor pairs" in result.output
    assert "median |sigma| of masked faces: 11" in result.output
    for name in ("roc.svg", "uncertainty.svg"):
        drawing = ElementTree.parse(tmp_path / "plots" / name).getroot()
        assert len(drawing.findall("{*}polyline")) == 2
    arguments = [
        "eval",
        str(room / "model.onnx"),
        "--threads",
        "1",
        "--gallery",
        str(room / "pack"),
        "--probe",
        str(room / "pack"),
    ]
    result = CliRunner().invoke(program, arguments)
    assert "rank-1 identification" in result.output
    summary = json.loads(CliRunner().invoke(program, [*arguments, "--json", "--far", "0.1"]).output)
    assert summary["scores"][0]["points"][0]["far"] == 0.1
    assert summary["milliseconds_per_image"] > 0


BAD: list[tuple[Callable[[Path], object], type[FacekitError], str]] = [
    (lambda r: run(r, "pack"), ConfigError, "neither vectors nor a model"),
    (lambda r: run(r, "model.onnx"), ConfigError, "nothing to compare"),
    (lambda r: run(r, "model.onnx", pairs="pairs.csv"), ConfigError, "say of which pack"),
    (lambda r: run(r, "model-features", pairs="pairs.csv", blur=1.0), ConfigError, "give the model"),
    (lambda r: run(r, "model-features", pairs="pairs.bin"), ConfigError, "give the model"),
    (lambda r: run(r, "model-features", gallery="pack", probe="pack"), ConfigError, "no folder of vectors"),
    (lambda r: run(r, "two.onnx", gallery="model-features", probe="pack"), ConfigError, "nothing can be compared"),
    (lambda r: run(r, "model-features", pairs="none.csv"), ConfigError, "no such file"),
    (lambda r: run(r, "model-features", pairs="groups.parquet"), ConfigError, "no column key_a"),
    (lambda r: run(r, "model-features", groups="pairs.csv"), ConfigError, "no column key"),
    (lambda r: run(r, "model-features", gallery="pack"), ConfigError, "belong together"),
    (lambda r: run(r, "model.onnx", pairs="pairs.csv", gallery="a", probe="b"), ConfigError, "two evaluations"),
    (lambda r: run(r, "model.onnx", pairs="pairs.csv", wear="scarf"), ConfigError, "'scarf'"),
    (lambda r: run(r, "model.onnx", pack="pack", wear="kn95"), ConfigError, "masks pairs or probes"),
    (lambda r: run(r, "model.onnx", pack="pack", side="left"), ConfigError, "'left'"),
    (lambda r: run(r, "model.onnx", pack="pack", blur=-1.0), ConfigError, "blur is -1"),
    (lambda r: run(r, "model.onnx", pack="pack", fars=(0.0,)), ConfigError, "above 0"),
    (lambda r: run(r, "model.onnx", pairs="none.bin"), ConfigError, "there is no such file"),
    (lambda r: run(r, "model.onnx", pairs="none.bin", groups="x"), ConfigError, "goes by key"),
    (lambda r: run(r, "model.onnx", gallery="pack", probe="pack", groups="x"), ConfigError, "keys of their own"),
    (lambda r: run(r, "model-features", pairs="pairs.csv", fars=(1e-4,)), ConfigError, "at least 10,000"),
    (lambda r: run(r, "model-features", pairs="pairs.csv", folds=500), ConfigError, "500 folds"),
    (lambda r: run(r, "model-features", plots="model.onnx"), FacekitError, "is a file"),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD)
def test_bad_input_is_named(room: Path, call: Callable[[Path], object], kind: type[FacekitError], message: str) -> None:
    with pytest.raises(kind, match=message):
        call(room)


def test_bad_tables(room: Path, tmp_path: Path) -> None:
    def wrong(text: str, name: str = "pairs") -> None:
        (tmp_path / "t.csv").write_text(text)
        evaluate(EvalConfig(str(room / "model-features"), choice(room), **{name: str(tmp_path / "t.csv")}))

    for text, message in (
        ("key_a,key_b,same\n1,2,3\n", "other numbers than 0 and 1"),
        ("key_a,key_b,same\n1,x,1\n", "whole numbers"),
        ("key_a,key_b,same\n1,2\n", "cannot be read as a table"),
        ("key_a,key_b,same\n1,2,1\n1,999,0\n", "no vector of key 999"),
        ("key_a,key_b,same\n1,2,1\n", "no impostor pair"),
    ):
        with pytest.raises(FacekitError, match=message):
            wrong(text)
    with pytest.raises(FacekitError, match="stands in it twice"):
        wrong("key,g\n1,a\n1,b\n", "groups")
    with pytest.raises(ConfigError, match="no groups in it"):
        wrong("key\n1\n", "groups")
    (tmp_path / "m.csv").write_text("key_a,key_b,same\n1,2,1\n1,77,0\n")
    with pytest.raises(ConfigError, match="no picture of key 77"):
        evaluate(EvalConfig(str(room / "model.onnx"), choice(room / "model.onnx"), pairs=str(tmp_path / "m.csv"), pack=str(room / "pack")))  # fmt: skip # noqa: E501


def test_a_second_list_of_pairs_is_refused_and_not_taken_for_the_first() -> None:
    said = call(["eval", "model.onnx", "--pairs", "one.bin", "--pairs", "two.bin"])
    assert said.code == 2
    assert "one file at a time" in said.err
