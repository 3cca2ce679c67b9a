"""The embedding job and the folder of vectors it leaves: right vectors, nothing lost, resumed, refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from small_models import NoisePack, directions, save_model, save_pack

from facekit.cli import program
from facekit.embeddings import Embeddings, is_features, open_features
from facekit.errors import ConfigError, DestinationExists, FacekitError
from facekit.jobs.embed import job
from facekit.jobs.embed.job import EmbedConfig, embed
from facekit.jobs.embed.shard import start_worker
from facekit.jobs.inputs.model import ModelChoice
from facekit.records import Header, PackWriter, open_pack


@pytest.fixture
def pack(tmp_path: Path) -> NoisePack:
    return save_pack(tmp_path / "pack", people=30)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_model(tmp_path / "model.onnx")


def config(pack: Path, model: Path, **given: object) -> EmbedConfig:
    chosen = {name: given.pop(name) for name in ("branch", "flip", "batch") if name in given}
    destination = str(given.pop("destination", pack.parent / "features"))
    return EmbedConfig(str(pack), destination, ModelChoice(str(model), threads=1, **chosen), **given)


def test_every_picture_has_its_vector(pack: NoisePack, model: Path) -> None:
    summary = embed(config(pack.path, model, batch=7))
    features = open_features(summary.destination)
    assert (summary.pictures, summary.vectors, summary.failures, summary.masked) == (120, 120, 0, 30)
    loaded = features.load()
    assert isinstance(loaded, Embeddings)
    assert loaded.keys.tolist() == list(range(1, 121))
    assert np.array_equal(loaded.labels, pack.labels)
    assert np.allclose(loaded.vectors, directions(pack.pictures), atol=1e-5)
    assert np.allclose(np.linalg.norm(loaded.vectors, axis=1), 1, atol=1e-6)
    assert np.array_equal(features.masked, pack.masked)
    assert np.array_equal(features.sources, pack.sources)
    assert features.uncertainty is None
    assert features.failures() == []
    blocks = list(features.blocks())
    assert len(blocks) > 1
    assert np.array_equal(np.concatenate([vectors for _, vectors in blocks]), loaded.vectors)
    assert all(isinstance(vectors.base, np.memmap) or isinstance(vectors, np.memmap) for _, vectors in blocks)
    assert features.rows_of(np.array([120, 1, 999, 0])).tolist() == [119, 0, -1, -1]
    assert sorted(p.name for p in Path(summary.destination).iterdir()) == [
        "failures.parquet", "features.json", "index.parquet", "run.json", "vectors",
    ]  # fmt: skip
    assert not Path(summary.destination + ".partial").exists()


def test_workers_and_batches_change_nothing(pack: NoisePack, model: Path, tmp_path: Path) -> None:
    first = open_features(embed(config(pack.path, model)).destination).load()
    second = open_features(embed(config(pack.path, model, destination=tmp_path / "b", workers=2)).destination).load()
    assert np.array_equal(first.vectors, second.vectors)
    third = open_features(embed(config(pack.path, model, destination=tmp_path / "c", batch=3)).destination).load()
    assert np.allclose(first.vectors, third.vectors, atol=1e-6)


def test_what_has_no_vector_is_listed_with_its_reason(model: Path, tmp_path: Path) -> None:
    whole = save_pack(tmp_path / "whole", people=2, ledger=False)
    with open_pack(whole.path) as source, PackWriter(tmp_path / "pack") as writer:
        for key, label in zip(source.keys.tolist(), source.labels.tolist(), strict=True):
            payload = {2: b"junk", 3: b""}.get(key, source.read(key).payload)
            writer.write(Header(0, float(label), 0, 0), payload)
    summary = embed(config(tmp_path / "pack", model, batch=2))
    features = open_features(summary.destination)
    assert (summary.pictures, summary.vectors, summary.failures) == (8, 6, 2)
    assert [row["key"] for row in features.failures()] == [2, 3]
    assert all(row["error"] for row in features.failures())
    assert features.keys.tolist() == [1, 4, 5, 6, 7, 8]
    assert np.allclose(features.load().vectors, directions(whole.pictures)[[0, 3, 4, 5, 6, 7]], atol=1e-5)
    assert not features.masked.any()
    assert np.array_equal(features.sources, features.keys)


def test_a_killed_run_goes_on_where_it_was(pack: NoisePack, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []

    def dying(after: int) -> object:
        def start(choice: ModelChoice) -> object:
            work = start_worker(choice)

            def once(task: object) -> object:
                if len(done) == after:
                    raise KeyboardInterrupt
                done.append(task.shard.number)
                return work(task)

            return once

        return start

    monkeypatch.setattr(job, "start_worker", dying(1))
    with pytest.raises(KeyboardInterrupt):
        embed(config(pack.path, model))
    assert not (pack.path.parent / "features").exists()
    monkeypatch.setattr(job, "start_worker", dying(99))
    monkeypatch.setattr(job, "_link", lambda *_: (nothing for nothing in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        embed(config(pack.path, model))
    monkeypatch.undo()
    summary = embed(config(pack.path, model))
    assert len(done) == len(set(done)) == 2
    assert np.allclose(open_features(summary.destination).load().vectors, directions(pack.pictures), atol=1e-5)


def test_refusals(pack: NoisePack, model: Path, tmp_path: Path) -> None:
    destination = embed(config(pack.path, model)).destination
    with pytest.raises(DestinationExists):
        embed(config(pack.path, model))
    assert embed(config(pack.path, model, overwrite=True)).vectors == 120
    with pytest.raises(DestinationExists, match="not a pack"):
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "file").touch()
        embed(config(pack.path, model, destination=tmp_path / "other", overwrite=True))
    with pytest.raises(ConfigError, match="14 x 10 pixels for a network that takes 14 x 8"):
        embed(config(pack.path, save_model(tmp_path / "narrow.onnx", width=8), destination=tmp_path / "x"))
    with pytest.raises(FacekitError, match="none of 120 pictures has a vector: the network gave a vector of norm 0"):
        embed(config(pack.path, save_model(tmp_path / "zero.onnx", scale=0), destination=tmp_path / "x"))
    save_pack(tmp_path / "longer", people=31, ledger=False)
    (pack.path / "train.ledger.parquet").rename(tmp_path / "longer" / "train.ledger.parquet")
    with pytest.raises(FacekitError, match="belongs to another pack"):
        embed(config(tmp_path / "longer", model, destination=tmp_path / "y"))
    for wrong in ({"workers": 0}, {"limit": 0}):
        with pytest.raises(ConfigError):
            config(pack.path, model, **wrong)
    assert is_features(Path(destination))


def test_a_damaged_folder_of_vectors_is_noticed(pack: NoisePack, model: Path, tmp_path: Path) -> None:
    destination = Path(embed(config(pack.path, model)).destination)
    shard = sorted((destination / "vectors").iterdir())[0]
    whole = shard.read_bytes()
    for damage in (whole[:-4], b"junk", b""):
        shard.write_bytes(damage)
        with pytest.raises(FacekitError):
            open_features(destination)
    shard.unlink()
    with pytest.raises(FacekitError, match="not whole"):
        open_features(destination)
    shard.write_bytes(whole)
    assert open_features(destination).count == 120
    text = (destination / "features.json").read_text()
    (destination / "features.json").write_text(text.replace('"format": 1', '"format": 9'))
    with pytest.raises(ConfigError, match="format 9"):
        open_features(destination)
    (destination / "features.json").write_text("{")
    with pytest.raises(FacekitError, match="cannot be read"):
        open_features(destination)
    with pytest.raises(ConfigError, match="not what facekit embed writes"):
        open_features(tmp_path)


@pytest.mark.parametrize(("branch", "masked"), [(None, None), ("ledger", None), ("face", False), ("masked", True)])
def test_branches_follow_the_ledger(pack: NoisePack, tmp_path: Path, branch: str | None, masked: bool | None) -> None:
    two = save_model(tmp_path / "two.onnx", flag=1)
    features = open_features(embed(config(pack.path, two, branch=branch)).destination)
    flags = pack.masked if masked is None else np.full(120, masked)
    expected = np.where(flags[:, None], directions(pack.pictures, 1), directions(pack.pictures, 0))
    assert np.allclose(features.load().vectors, expected, atol=1e-5)
    assert np.array_equal(features.uncertainty, 10 + flags.astype(np.float32))
    assert np.array_equal(features.masked, pack.masked)


def test_the_command(pack: NoisePack, model: Path, tmp_path: Path) -> None:
    arguments = ["embed", str(pack.path), str(tmp_path / "f"), "--model", str(model), "--threads", "1"]
    result = CliRunner().invoke(program, [*arguments, "--limit", "20"])
    assert result.exit_code == 0, result.output
    assert "20 of 20 pictures have a vector of 6 dimensions" in result.output
    arguments[2] += "2"
    summary = json.loads(CliRunner().invoke(program, [*arguments, "--flip", "--json"]).output)
    assert (summary["vectors"], summary["dimensions"]) == (120, 6)
    assert summary["norm"][0] <= summary["norm"][1] <= summary["norm"][2]


def test_embeddings_are_checked() -> None:
    vectors, numbers = np.zeros((2, 3), np.float32), np.zeros(2, np.int64)
    assert len(Embeddings(vectors, numbers, numbers)) == 2
    for wrong in ((vectors.astype(float), numbers, numbers), (vectors, numbers[:1], numbers),
                  (vectors, numbers, numbers.astype(np.int32)), (vectors[0], numbers, numbers)):  # fmt: skip
        with pytest.raises(ConfigError):
            Embeddings(*wrong)
