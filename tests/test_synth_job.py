"""`facekit synth`: the same bytes however it is run, and a truth that agrees with what lies in the pack."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from dying_runs import die_after

from facekit import open_pack
from facekit.cli.synth import command
from facekit.errors import ConfigError, DestinationExists
from facekit.images import decode
from facekit.jobs.synth.config import SynthConfig
from facekit.jobs.synth.finish import SHEET, TRUTH, truth_schema
from facekit.jobs.synth.job import synth
from facekit.run.ledger import LEDGER, payload_hash
from facekit.synth import draw_person
from facekit.synth.plan import PackSpec

FILES = ("train.rec", "train.idx", "property", TRUTH, LEDGER, SHEET)
SPEC = PackSpec(
    6, 24, seed=5, label_noise=0.1, outliers=0.03, near_duplicates=0.1, low_quality=0.1, duplicate_identities=0.5
)


class Patch:
    """A mask that is easy to see: a rectangle in one colour that hangs on the drawn nose."""

    def __call__(
        self, image: np.ndarray, vertices: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, str, str]:
        x, y = (int(v) for v in vertices[4, :2].clip(20, 90))
        out = image.copy()
        out[y : y + 20, x - 15 : x + 15] = (0, 255, 0)
        return out, "patch", json.dumps({"draw": float(rng.uniform())})


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synth") / "pack"
    synth(SynthConfig(str(folder), SPEC))
    return folder


def bytes_of(folder: Path) -> dict[str, str]:
    """A digest of each file: where they differ, nobody wants to read the bytes."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}


def truth_of(folder: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pq.read_table(folder / TRUTH).to_pylist()
    return rows


def test_the_truth_draws_the_pictures_again(pack: Path) -> None:
    seen = set()
    with open_pack(pack) as opened:
        for row in truth_of(pack):
            if row["kind"] in ("near_duplicate", "low_quality") or (row["kind"], row["label"]) in seen:
                continue
            seen.add((row["kind"], row["label"]))
            drawn = draw_person(SPEC.seed, row["identity"], row["image"])
            assert np.array_equal(decode(opened.read(row["key"]).payload), drawn.image)
            np.testing.assert_array_equal(np.array(row["mesh"], np.float32).reshape(468, 3), drawn.vertices)
            angles = (row["yaw"], row["pitch"], row["roll"], *row["light"], *row["expression"])
            known = (*drawn.truth[:3], *drawn.truth.light, *drawn.truth.expression)
            np.testing.assert_allclose(angles, known, rtol=1e-6)
    assert {kind for kind, _ in seen} == {"clean", "duplicate_identity", "label_noise", "outlier"}


def test_pack_truth_and_ledger_agree(pack: Path) -> None:
    truth = truth_of(pack)
    ledger = pq.read_table(pack / LEDGER).to_pylist()
    with open_pack(pack) as opened:
        assert opened.layout == "insightface"
        assert opened.keys.tolist() == [row["key"] for row in truth]
        assert opened.labels.tolist() == [row["label"] for row in truth]
        rows = {row["key"]: row for row in ledger}
        assert sorted(rows) == sorted(opened.physical_keys.tolist())
        for key in opened.physical_keys.tolist():
            assert rows[key]["payload_hash"] == payload_hash(opened.read(key).payload)
        assert opened.read(3).header.id == 3
    assert {row["action"] for row in ledger} == {"draw", "layout"}
    assert pq.read_schema(pack / TRUTH).equals(truth_schema())
    drawn = [json.loads(row["params"]) for row in ledger if row["action"] == "draw"]
    assert [(d["identity"], d["image"], d["kind"]) for d in drawn] == [
        (row["identity"], row["image"], row["kind"]) for row in truth
    ]


def test_planted_noise_shows_in_the_pictures(pack: Path) -> None:
    """Near duplicates are closer to their source than to anything else; bad ones are blurred and compressed hard."""
    truth = truth_of(pack)
    with open_pack(pack) as opened:
        payloads = [opened.read(row["key"]).payload for row in truth]
    images = np.array([decode(payload) for payload in payloads]).astype(np.float32)
    sizes = np.array([len(payload) for payload in payloads])
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    similar = flat @ flat.T
    np.fill_diagonal(similar, -1)
    duplicates = [row for row in truth if row["kind"] == "near_duplicate"]
    assert len(duplicates) >= 5
    for row in duplicates:
        source = row["source_key"]
        family = [r["key"] - 1 for r in truth if r["source_key"] == source] + [source - 1]
        assert similar[row["key"] - 1].argmax() in family
    assert all(row["source_key"] is None for row in truth if row["kind"] != "near_duplicate")
    kinds = np.array([row["kind"] for row in truth])
    bad = kinds == "low_quality"
    assert bad.sum() >= 5
    assert np.median(sizes[bad]) < 0.7 * np.median(sizes[kinds == "clean"])
    pooled = images.reshape(-1, 28, 4, 28, 4, 3).mean(axis=(2, 4, 5))
    sharp = np.abs(np.diff(pooled, axis=2)).mean(axis=(1, 2)) / pooled.std(axis=(1, 2))
    assert np.median(sharp[bad]) < np.median(sharp[kinds == "clean"])


def test_the_same_bytes_for_any_number_of_workers(pack: Path, tmp_path: Path) -> None:
    synth(SynthConfig(str(tmp_path / "again"), SPEC, workers=2))
    assert bytes_of(tmp_path / "again") == bytes_of(pack)


def test_the_same_bytes_after_being_killed(pack: Path, tmp_path: Path) -> None:
    spec = ["--identities", "6", "--images", "24", "--seed", "5", "--label-noise", "0.1", "--outliers", "0.03"]
    spec += ["--near-duplicates", "0.1", "--low-quality", "0.1", "--duplicate-identities", "0.5", "--workers", "1"]
    destination = tmp_path / "killed"
    die_after("facekit.run.shard_file:ShardWriter.finish", ["synth", str(destination), *spec])
    assert not destination.exists()
    shards = list(tmp_path.glob("killed.partial/shards-*/0*"))
    assert shards
    before = {path.name: path.stat().st_mtime_ns for path in shards}
    summary = synth(SynthConfig(str(destination), SPEC, workers=1))
    assert summary.images == 144
    assert bytes_of(destination) == bytes_of(pack)
    assert not (tmp_path / "killed.partial").exists()
    assert before


def test_masks_are_handed_in(tmp_path: Path) -> None:
    spec = PackSpec(4, 8, seed=3, masked=0.5)
    synth(SynthConfig(str(tmp_path / "a"), spec), wear=Patch)
    truth = truth_of(tmp_path / "a")
    with open_pack(tmp_path / "a") as opened:
        images = [decode(opened.read(row["key"]).payload).astype(int) for row in truth]
    green = [((i[..., 1] - i[..., 0] > 120) & (i[..., 1] - i[..., 2] > 120)).sum() > 300 for i in images]
    worn = [row["kind"] == "masked" for row in truth]
    assert green == worn
    assert [row["mask"] for row in truth] == ["patch" if w else None for w in worn]
    ledger = pq.read_table(tmp_path / "a" / LEDGER).to_pylist()
    assert [row["type"] for row in ledger][:32] == [row["mask"] for row in truth]
    assert 6 < sum(worn) < 26


def test_the_masks_of_facekit_cover_the_mouth(tmp_path: Path) -> None:
    bare, masked = (PackSpec(2, 3, seed=3, masked=share) for share in (0.0, 1.0))
    for name, spec in (("bare", bare), ("masked", masked)):
        synth(SynthConfig(str(tmp_path / name), spec, layout="flat"))
    rows = truth_of(tmp_path / "masked")
    with open_pack(tmp_path / "bare") as a, open_pack(tmp_path / "masked") as b:
        assert b.layout == "flat"
        for row in rows:
            assert row["mask"] is not None
            change = np.abs(decode(a.read(row["key"]).payload).astype(int) - decode(b.read(row["key"]).payload))
            x, y = np.array(row["mesh"]).reshape(468, 3)[[13, 14], :2].mean(axis=0).astype(int)
            assert change[y - 4 : y + 5, x - 4 : x + 5].mean() > 3 * change[:30, 40:72].mean()


def test_bad_settings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "train.rec").write_bytes(b"")
    with pytest.raises(DestinationExists, match="exists already"):
        synth(SynthConfig(str(tmp_path / "taken"), PackSpec(1, 1)))
    with pytest.raises(ConfigError, match="layout is 'huge'"):
        SynthConfig("x", PackSpec(1, 1), layout="huge")
    with pytest.raises(ConfigError, match="workers is 0"):
        SynthConfig("x", PackSpec(1, 1), workers=0)


def test_the_command_counts_what_it_drew(tmp_path: Path) -> None:
    arguments = [str(tmp_path / "small"), "--identities", "2", "--images", "2", "--workers", "1"]
    result = CliRunner().invoke(command, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.output)
    assert summary["by_kind"] == {"clean": 4}
    assert summary["labels"] == summary["identities"] == 2
    again = CliRunner().invoke(command, [*arguments, "--overwrite"])
    assert "4 pictures of 2 people under 2 labels" in again.output
    table = pq.read_table(tmp_path / "small" / TRUTH)
    assert table.num_rows == 4
    sheet = decode((tmp_path / "small" / SHEET).read_bytes())
    with open_pack(tmp_path / "small") as opened:
        second = decode(opened.read(2).payload)
    window = np.lib.stride_tricks.sliding_window_view(sheet[..., 0], (112, 112))
    assert (window == second[..., 0]).all(axis=(2, 3)).sum() == 1
    assert table.schema.field("mesh").type == pa.list_(pa.float32(), 1404)
