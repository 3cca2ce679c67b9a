"""Rows that wait for a row group of the ledger keep nothing else of the shard that they came from."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from facekit.run.ledger import LedgerRow, LedgerWriter, schema, table
from facekit.run.shard_file import ShardWriter, read_rows

ROWS, MESH = 500, 4096


def shard_rows(first: int) -> pa.Table:
    """As a drawing job has them: what the ledger says of a record, and a mesh."""
    rows = [LedgerRow(None, row, b"%016d" % row, "draw", None, f"{row}") for row in range(first, first + ROWS)]
    return table(rows).append_column("mesh", pa.array([bytes(MESH)] * ROWS, pa.binary(MESH)))


def test_columns_of_a_shard_that_the_ledger_has_not_are_let_go(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(4)]
    for number, path in enumerate(paths):
        with ShardWriter(path) as out:
            out.finish(shard_rows(number * ROWS))
    with LedgerWriter(tmp_path / "ledger") as ledger:
        tracemalloc.start()
        held = pa.total_allocated_bytes()
        for path in paths:
            rows = read_rows(path)
            ledger.append(rows.set_column(0, "key", pa.array(np.arange(ROWS))).select(schema().names))
            del rows
        held = tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes() - held
        tracemalloc.stop()
    assert held < len(paths) * ROWS * 150
    written = pq.read_table(tmp_path / "ledger")
    assert written["params"].to_pylist() == [f"{row}" for row in range(len(paths) * ROWS)]
    assert written["source_key"].to_pylist() == list(range(len(paths) * ROWS))
