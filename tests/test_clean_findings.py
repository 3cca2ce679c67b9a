"""Test sets are kept out, by vectors and by pictures; the model is run where there are no features; the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clean_packs import make_pack
from click.testing import CliRunner, Result
from small_models import HEIGHT, PNG, WIDTH, save_model

from facekit.clean.settings import CleanSettings
from facekit.errors import ConfigError
from facekit.images import encode_like
from facekit.jobs.clean.config import CleanConfig, CleanSummary
from facekit.jobs.clean.features import embed_beside
from facekit.jobs.clean.job import clean
from facekit.jobs.clean.tables import read_decisions
from facekit.jobs.embed.job import EmbedConfig, embed
from facekit.jobs.inputs.model import ModelChoice
from facekit.records import Header, PackWriter, open_pack
from facekit.records.bins import write_bins

APART = CleanSettings(inter=1.0, union=1.0, threads=1)


def write_people(folder: Path, people: list[int], each: int, seed: int) -> Path:
    """Write a pack of noise: a pattern a person, a little different each time."""
    rng = np.random.default_rng(seed)
    with PackWriter(folder) as writer:
        for label, person in enumerate(people):
            pattern = np.random.default_rng(person).integers(20, 235, (HEIGHT, WIDTH, 3))
            for _ in range(each):
                picture = np.clip(pattern + rng.normal(0, 4, pattern.shape), 0, 255).astype(np.uint8)
                writer.write(Header(0, float(label), writer.next_key, 0), encode_like(picture, PNG))
    return folder


def run(tmp_path: Path, pack: Path, model: Path, **options: Any) -> CleanSummary:
    config = {"settings": APART, "report": False, "exclude_identity": 0.97, "exclude_image": 0.999} | options
    choice, out = ModelChoice(str(model)), str(tmp_path / "out")
    return clean(CleanConfig(str(pack), out, features=embed_beside(str(pack), out, choice), model=choice, **config))


def test_who_is_in_a_test_set_goes(tmp_path: Path) -> None:
    model = save_model(tmp_path / "m.onnx")
    pack = write_people(tmp_path / "pack", list(range(12)), 5, 0)
    write_people(tmp_path / "test", [3, 7, 40], 2, 1)
    embed(EmbedConfig(str(tmp_path / "test"), str(tmp_path / "test-features"), ModelChoice(str(model))))
    for place, test in enumerate(("test", "test-features")):
        folder = tmp_path / str(place)
        folder.mkdir()
        summary = run(folder, pack, model, exclude=(str(tmp_path / test),))
        table = read_decisions(folder / "out")
        out = table.reason == "excluded"
        assert set(table.old_label[out]) == {3, 7}
        assert summary.reasons["excluded"] == out.sum() == 10
        assert all(
            f"its identity is in {test} (similarity 0.9" in text or "1.0" in text for text in table.evidence[out]
        )
        assert np.unique(table.new_label[table.new_label >= 0]).tolist() == list(range(10))


def test_a_picture_of_a_bin_goes_though_its_identity_stays(tmp_path: Path) -> None:
    model = save_model(tmp_path / "m.onnx")
    pack = write_people(tmp_path / "pack", list(range(8)), 6, 0)
    with open_pack(pack) as opened:
        payloads = [opened.read(9).payload, opened.read(20).payload]
    write_bins(tmp_path / "lfw.bin", payloads, [False])
    summary = run(tmp_path, pack, model, exclude=(str(tmp_path / "lfw.bin"),), exclude_identity=1.0, exclude_image=1.0)
    table = read_decisions(tmp_path / "out")
    assert summary.identities_out == 8
    assert {9, 20} <= set(table.keys[table.reason == "excluded"].tolist())
    assert table.evidence[table.row_of(9)] == "the same picture is in lfw.bin"


def test_pictures_of_low_norm_go_when_asked(tmp_path: Path) -> None:
    model = save_model(tmp_path / "m.onnx")
    rng = np.random.default_rng(0)
    with PackWriter(tmp_path / "pack") as writer:
        for label in range(8):
            pattern = rng.integers(20, 235, (HEIGHT, WIDTH, 3))
            for number in range(8):
                picture = pattern + rng.normal(0, 4, pattern.shape)
                if (label, number) == (2, 3):
                    picture = 127.5 + (picture - 127.5) / 30
                writer.write(Header(0, float(label), 0, 0), encode_like(np.clip(picture, 0, 255).astype(np.uint8), PNG))
    summary = run(tmp_path, tmp_path / "pack", model, low_quality=True)
    table = read_decisions(tmp_path / "out")
    assert table.keys[table.reason == "low_quality"].tolist() == [20]
    assert summary.dropped == summary.reasons["low_quality"] + summary.reasons.get("intra", 0)
    assert (tmp_path / "out.features").is_dir(), "vectors are worth keeping"


def test_features_of_another_pack_are_refused(tmp_path: Path) -> None:
    from facekit.errors import FacekitError

    model = save_model(tmp_path / "m.onnx")
    one = write_people(tmp_path / "one", [1, 2], 4, 0)
    two = write_people(tmp_path / "two", [1, 2], 4, 1)
    embed(EmbedConfig(str(one), str(tmp_path / "f"), ModelChoice(str(model))))
    with pytest.raises(FacekitError, match="made from another pack"):
        clean(CleanConfig(str(two), str(tmp_path / "x"), features=str(tmp_path / "f")))
    other = save_model(tmp_path / "n.onnx", scale=2.0)
    assert other.exists()
    with pytest.raises(ConfigError, match="holds pictures"):
        clean(CleanConfig(str(one), str(tmp_path / "x"), features=str(tmp_path / "f"), exclude=(str(two),)))


def test_vectors_of_two_models_are_never_compared(tmp_path: Path) -> None:
    one, other = save_model(tmp_path / "one.onnx"), save_model(tmp_path / "other.onnx", scale=2.0)
    pack = write_people(tmp_path / "pack", list(range(12)), 5, 0)
    test = write_people(tmp_path / "test", [3, 40], 2, 1)
    run(tmp_path, pack, one)
    (tmp_path / "again").mkdir()
    (tmp_path / "out.features").rename(tmp_path / "again" / "out.features")
    # The vectors that lie beside DST are of the model that is asked for, or are not used.
    with pytest.raises(ConfigError, match=r"out\.features was embedded in another way .*model is .*, was .*--features"):
        run(tmp_path / "again", pack, other)
    with pytest.raises(ConfigError, match=r"flip is True, was False"):
        embed_beside(str(pack), str(tmp_path / "again" / "out"), ModelChoice(str(one), flip=True))
    assert run(tmp_path / "again", pack, one).identities_out == 12
    features = str(tmp_path / "again" / "out.features")
    embed(EmbedConfig(str(test), str(tmp_path / "by-other"), ModelChoice(str(other))))
    for exclude in (test, tmp_path / "by-other"):
        config = CleanConfig(
            str(pack), str(tmp_path / "x"), features, ModelChoice(str(other)), APART, exclude=(str(exclude),)
        )
        with pytest.raises(ConfigError, match=r"--exclude .* is not embedded as the faces were.*model is"):
            clean(config)
    assert not (tmp_path / "x").exists()


def invoke(name: str, *arguments: object) -> Result:
    from importlib import import_module

    command = import_module(f"facekit.cli.{name}").command
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)


def test_the_commands(tmp_path: Path) -> None:
    pack = make_pack(tmp_path)
    out = tmp_path / "out"
    done = invoke(
        "clean", pack.folder, out, "--features", pack.features, "--mode", "robust", "--intra", "auto", "--json"
    )
    summary = json.loads(done.output)
    assert summary["kept"] + summary["moved"] + summary["dropped"] + summary["review"] == summary["images"]
    words = invoke("clean", pack.folder, tmp_path / "words", "--features", pack.features).output
    assert f"{summary['images']:,} images of 40 identities" in words
    assert "config.num_classes = 36" in words
    found = json.loads(invoke("diff", out, tmp_path / "words", "--json").output)
    assert found["common"] == summary["images"]
    assert "decided alike" in invoke("diff", out, tmp_path / "words", "--keys").output
    assert "Key 1 " in invoke("explain", out, 1).output
    assert json.loads(invoke("explain", out, 1, "--json").output)["key"] == 1
    undone = json.loads(invoke("apply", pack.folder, out, tmp_path / "undone", "--revert", "all", "--json").output)
    assert undone["images_out"] == summary["images"]
    assert (tmp_path / "undone" / "train.rec").read_bytes() == (pack.folder / "train.rec").read_bytes()
    rows = json.loads(invoke("sweep", pack.folder, pack.features, "--thresholds", "0.1:0.5:0.2", "--json").output)
    assert [row["threshold"] for row in rows] == [0.1, 0.3, 0.5]
    assert invoke("sweep", pack.folder, pack.features).output.count("\n") == 11
    for bad in ("1:2", "0.5:0.1:0.1", "0:1:0", "a:b:c"):
        with pytest.raises(ConfigError, match="first, last and step"):
            invoke("sweep", pack.folder, pack.features, "--thresholds", bad)
    with pytest.raises(ConfigError, match="--features F or --model M"):
        invoke("clean", pack.folder, tmp_path / "x")
    with pytest.raises(ConfigError, match="number or auto"):
        invoke("clean", pack.folder, tmp_path / "x", "--features", pack.features, "--eps", "wide")
