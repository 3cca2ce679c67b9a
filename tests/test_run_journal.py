from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from facekit.errors import ConfigError, DestinationExists, FacekitError
from facekit.run.destination import check_destination
from facekit.run.journal import Journal, journal_folder, settings_hash, was_published
from facekit.run.ledger import LedgerRow, LedgerWriter, payload_hash, schema, table
from facekit.run.shard_file import ShardWriter, open_shard, read_records, read_rows
from facekit.run.shards import Shard

SHARD = Shard(0, 0, 2)


def rows(*keys: int | None) -> pa.Table:
    return table([LedgerRow(key, 7, payload_hash(b"x"), "copy") for key in keys])


def write_shard(path: Path) -> None:
    with ShardWriter(path) as out:
        assert [out.write(b"first"), out.write(b"second")] == [0, 5]
        out.finish(rows(1, 2))


def test_a_shard_file_gives_back_records_and_rows(tmp_path: Path) -> None:
    write_shard(tmp_path / "0")
    assert read_records(tmp_path / "0") == b"firstsecond"
    assert read_rows(tmp_path / "0").equals(rows(1, 2))


def test_an_unfinished_shard_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), ShardWriter(tmp_path / "0") as out:
        out.write(b"half")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_every_truncation_of_a_shard_file_is_seen(tmp_path: Path) -> None:
    write_shard(tmp_path / "0")
    whole = (tmp_path / "0").read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "0").write_bytes(whole[:length])
        with pytest.raises(FacekitError, match="not a whole shard file"):
            open_shard(tmp_path / "0")


def test_finished_shards_survive_and_unfinished_ones_do_not(tmp_path: Path) -> None:
    with Journal(tmp_path / "out", {"seed": 1, "range": (0, 1)}) as journal:
        write_shard(journal.path(SHARD))
        (journal.shards / ".00000001.99").write_bytes(b"half")
    with Journal(tmp_path / "out", {"seed": 1, "range": (0, 1)}) as journal:
        assert journal.finished() == {0}
        assert [path.name for path in journal.shards.iterdir()] == ["00000000"]


def test_other_settings_are_refused_with_what_changed_and_the_cure(tmp_path: Path) -> None:
    with Journal(tmp_path / "out", {"config": {"seed": 1, "ratio": 0.5}}) as journal:
        write_shard(journal.path(SHARD))
    with pytest.raises(ConfigError, match=r"config.seed was 1, is 2.*--overwrite"):
        Journal(tmp_path / "out", {"config": {"seed": 2, "ratio": 0.5}})
    with Journal(tmp_path / "out", {"config": {"seed": 2, "ratio": 0.5}}, overwrite=True) as journal:
        assert journal.finished() == set()


def test_settings_may_change_while_nothing_is_finished(tmp_path: Path) -> None:
    Journal(tmp_path / "out", {"seed": 1}).__exit__(None, None, None)
    Journal(tmp_path / "out", {"seed": 2}).__exit__(None, None, None)


def test_the_hash_does_not_depend_on_order() -> None:
    assert settings_hash({"a": 1, "b": [1, 2]}) == settings_hash({"b": [1, 2], "a": 1}) != settings_hash({"a": 1})


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "out", {}), pytest.raises(ConfigError, match="another run"):
        Journal(tmp_path / "out", {})
    Journal(tmp_path / "out", {}).__exit__(None, None, None)


def test_the_lock_of_a_killed_run_is_free(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from facekit.run.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]), {}); print('locked', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(ConfigError, match="another run"):
            Journal(tmp_path / "out", {})
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    Journal(tmp_path / "out", {}).__exit__(None, None, None)


def test_publishing_leaves_the_output_alone(tmp_path: Path) -> None:
    with Journal(tmp_path / "out", {}) as journal:
        journal.output().mkdir()
        (journal.folder / "pack" / "train.rec").write_bytes(b"new")
        journal.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "train.rec").read_bytes() == b"new"


def test_publishing_replaces_what_stood_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.rec").touch()
    with Journal(tmp_path / "out", {}) as journal:
        journal.output().mkdir()
        (journal.folder / "pack" / "train.rec").write_bytes(b"new")
        journal.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["run.json", "train.rec"]


def test_a_run_killed_after_publishing_is_known_to_be_done(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Journal(out, {"seed": 1}) as journal:
        journal.output().mkdir()
        assert not was_published(out, {"seed": 1})
        shutil.copyfile(journal.folder / "run.json", journal.folder / "pack" / "run.json")
        (journal.folder / "pack").rename(out)
    assert not was_published(out, {"seed": 2})
    assert was_published(out, {"seed": 1})
    assert not journal_folder(out).exists()
    assert not was_published(out, {"seed": 1})


def test_destinations_are_not_replaced_by_surprise(tmp_path: Path) -> None:
    check_destination(tmp_path / "none", overwrite=False)
    pack, other, file = tmp_path / "pack", tmp_path / "other", tmp_path / "file"
    for folder, name in ((pack, "train.rec"), (other, "thesis.tex")):
        folder.mkdir()
        (folder / name).touch()
    file.touch()
    check_destination(pack, overwrite=True)
    with pytest.raises(DestinationExists, match="--overwrite"):
        check_destination(pack, overwrite=False)
    for path in (other, file):
        with pytest.raises(DestinationExists, match="not a pack"):
            check_destination(path, overwrite=True)


def test_the_ledger_counts_what_was_written(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    with LedgerWriter(tmp_path / "ledger.parquet") as ledger:
        ledger.append(rows(1, None, 3))
        ledger.append(table([]))
        ledger.append(rows(4))
        assert (ledger.rows, ledger.written) == (4, 3)
    read = pq.read_table(tmp_path / "ledger.parquet")
    assert read.schema.equals(schema())
    assert read["key"].to_pylist() == [1, None, 3, 4]
