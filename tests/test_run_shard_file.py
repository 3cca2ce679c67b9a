from __future__ import annotations

import contextlib
from pathlib import Path

import pyarrow as pa
import pytest

from facekit.errors import FacekitError
from facekit.output import open_folder
from facekit.output.staging import settings_hash
from facekit.run.ledger import LedgerRow, LedgerWriter, payload_hash, schema, table
from facekit.run.shard_file import ShardWriter, open_shard, read_records, read_rows


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
    settings = {"seed": 1, "range": (0, 1)}
    with contextlib.suppress(KeyError), open_folder(tmp_path / "out", "test", settings=settings) as output:
        write_shard(output.shard(0))
        (output.shards / ".00000001.99").write_bytes(b"half")
        raise KeyError
    with open_folder(tmp_path / "out", "test", settings=settings) as output:
        assert output.finished() == {0}
        assert [path.name for path in output.shards.iterdir()] == ["00000000"]


def test_the_hash_does_not_depend_on_order() -> None:
    assert settings_hash({"a": 1, "b": [1, 2]}) == settings_hash({"b": [1, 2], "a": 1}) != settings_hash({"a": 1})


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
