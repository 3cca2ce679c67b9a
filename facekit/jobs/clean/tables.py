"""Decisions <-> files: ``decisions.parquet`` and ``identities.parquet``.

A decision row speaks for one image record of the source: key, payload hash, old and new label, action, reason,
similarity, threshold, round, the model's hash and the evidence. The settings stand in the file's metadata. Nothing in
them depends on where the source lies or by which path it was named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import ACTIONS, REASONS, Action, Identities, label_homes
from facekit.errors import ConfigError
from facekit.jobs.clean.decision_table import COLUMNS, DecisionTable
from facekit.jobs.outputs.tables import LABELS, TRAIN_CONFIG, write_labels, write_parquet, write_train_config
from facekit.records.distinct import blocks
from facekit.records.named_inputs import describe_path, require_there, unreadable
from facekit.run.parquet import count_rows, parquet_batches, parquet_schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "DECISIONS",
    "IDENTITIES",
    "read_decisions",
    "write_decisions",
    "write_tables",
]

DECISIONS, IDENTITIES = "decisions.parquet", "identities.parquet"
_META = b"facekit.clean"


def write_decisions(path: Path, table: DecisionTable) -> None:
    """Write ``decisions.parquet``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = [*blocks(len(table))] or [slice(0, 0)]
    schema = _arrow_rows(table, parts[0]).schema.with_metadata({_META: json.dumps(table.about).encode()})
    with open(path, "wb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for part in parts:  # pyarrow itself opens no name that is not UTF-8
            writer.write_table(_arrow_rows(table, part).cast(schema))
            pa.default_memory_pool().release_unused()


def _arrow_rows(table: DecisionTable, part: slice) -> pa.Table:
    """Some of the rows as Arrow has them."""
    import pyarrow as pa

    count = part.stop - part.start
    hashes = np.ascontiguousarray(table.payload_hash[part])
    used, evidence = np.unique(table.evidence_code[part], return_inverse=True)
    similarity = table.similarity[part]
    columns = {
        "key": pa.array(table.keys[part]),
        "payload_hash": pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), count, [None, pa.py_buffer(hashes)]),
        "old_label": pa.array(table.old_label[part]),
        "new_label": pa.array(table.new_label[part]),
        "action": _words(table.action_code[part], ACTIONS),
        "reason": _words(table.reason_code[part], REASONS),
        "similarity": pa.array(similarity, mask=np.isnan(similarity)),
        "threshold": pa.array(table.threshold[part]),
        "nearest": pa.array(table.nearest[part], pa.int64()),
        "cluster": pa.array(table.cluster[part]),
        "round": pa.array(table.round[part]),
        "model": _words(np.zeros(count, np.int32), (str(table.about.get("model", "")),)),
        "evidence": _words(evidence.reshape(-1).astype(np.int32), tuple(table.sentences[code] for code in used)),
    }
    return pa.table(columns)


def _words(codes: npt.NDArray[np.integer], words: tuple[str, ...]) -> pa.Array:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(words, pa.string()))


def read_decisions(
    path: str | Path, columns: Sequence[str] = (), known: Mapping[str, npt.NDArray[Any]] | None = None
) -> DecisionTable:
    """Read ``decisions.parquet``, or the one in a folder.

    Parameters
    ----------
    path : path
    columns : sequence of str
        Of `DecisionTable`, those that are needed: the others are full of zeros, and take no memory. All by default.
    known : mapping from str to (N, ...) array, optional
        Columns that are there already, such as the keys of the source: where the file says the same, the table has
        these arrays and no second copy of them.

    Raises
    ------
    ConfigError
        It is missing, or something else than a table.
    FacekitError
        It is not what `write_decisions` writes.
    """
    import pyarrow as pa

    require_there(path, "folder of decisions, nor a table of them")
    path, named = Path(path), path
    path = path / DECISIONS if path.is_dir() else path
    if not path.exists():
        raise ConfigError(f"{named} is {describe_path(named)}, not decisions: name what facekit clean wrote")
    try:
        count, about = count_rows(path), json.loads(parquet_schema(path).metadata[_META])
        read = {name: kind for name, kind in COLUMNS.items() if not columns or name in columns}
        found = {
            name: np.broadcast_to(np.zeros((), dtype), (count, *shape)) for name, (_, dtype, shape) in COLUMNS.items()
        }
        found.update({name: array for name, array in (known or {}).items() if len(array) == count})
        owned: set[str] = set()
        sentences: dict[str | None, int] = {}
        row = 0
        for batch in parquet_batches(path, [column for column, _, _ in read.values()]):
            part = slice(row, row + batch.num_rows)
            for name, (column, _, _) in read.items():
                _keep(found, owned, name, part, _values(name, batch.column(column), sentences))
            row = part.stop
        return DecisionTable(**found, sentences=tuple(map(str, sentences)), about=about)
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise unreadable(path, "decisions", (".parquet",), error, "name what facekit clean wrote") from error


def _keep(
    found: dict[str, npt.NDArray[Any]], owned: set[str], name: str, part: slice, values: npt.NDArray[Any]
) -> None:
    """Put some rows into a column. One that only repeats what is there, or its first value, takes no memory."""
    column = found[name]
    if not part.start and column.strides[0] == 0 and len(values):
        column = found[name] = np.broadcast_to(values[0].copy(), column.shape)
    if name not in owned and np.array_equal(column[part], values):
        return
    if name not in owned:
        own = np.empty(column.shape, column.dtype)
        own[: part.start] = column[: part.start]
        found[name] = own
        owned.add(name)
    found[name][part] = values


def _values(name: str, column: pa.Array, sentences: dict[str | None, int]) -> npt.NDArray[Any]:
    """A column of some rows as `DecisionTable` has it; sentences that are new get the next number."""
    if name == "payload_hash":
        return _hashes(column)
    if name in ("action_code", "reason_code"):
        return _codes(column, ACTIONS if name == "action_code" else REASONS)
    if name == "evidence_code":
        indices, texts = _dictionary(column)
        return np.array([sentences.setdefault(text, len(sentences)) for text in texts], np.int32)[indices]
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _hashes(column: pa.Array) -> npt.NDArray[np.uint8]:
    """(N, 16) uint8, without a Python object a row."""
    import pyarrow as pa

    if column.type != pa.binary(16) or column.null_count:
        raise ValueError("payload_hash is not 16 bytes in every row")
    return np.frombuffer(column.buffers()[1], np.uint8)[column.offset * 16 :][: len(column) * 16].reshape(-1, 16)


def _dictionary(column: pa.Array) -> tuple[npt.NDArray[np.int32], list[str]]:
    """The distinct texts of a column, and which of them stands in each row."""
    import pyarrow as pa

    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32), encoded.dictionary.cast(
        pa.string()
    ).to_pylist()


def _codes(column: pa.Array, words: tuple[str, ...]) -> npt.NDArray[np.int8]:
    indices, found = _dictionary(column)
    places = {word: code for code, word in enumerate(words)}
    return np.array([places[word] for word in found], np.int8)[indices]


def write_tables(folder: Path, table: DecisionTable, found: Identities | None = None) -> None:
    """Write all tables: decisions, what became of each identity, old labels to new ones, and the lines for training.

    Parameters
    ----------
    folder : Path
    table : DecisionTable
    found : Identities, optional
        What cleaning found of each identity is written too.
    """
    labels, homes = label_homes(table.old_label, table.reason_code, table.new_label)
    write_decisions(folder / DECISIONS, table)
    _write_identities(folder / IDENTITIES, table, labels, homes, found)
    write_labels(folder / LABELS, dict(zip(labels.tolist(), homes.tolist(), strict=True)))
    classes = int(table.new_label.max(initial=-1)) + 1
    write_train_config(folder / TRAIN_CONFIG, classes, int(np.count_nonzero(table.new_label >= 0)))


def _write_identities(
    path: Path,
    table: DecisionTable,
    labels: npt.NDArray[np.int64],
    homes: npt.NDArray[np.int64],
    found: Identities | None,
) -> None:
    """One row for each old label, with what became of its faces."""
    import pyarrow as pa

    counts = np.zeros(len(labels) * len(Action), np.int64)
    for part in blocks(len(table)):
        at = np.searchsorted(labels, table.old_label[part]) * len(Action) + table.action_code[part]
        counts += np.bincount(at, minlength=len(counts))
    by_action = counts.reshape(-1, len(Action))
    columns: dict[str, Any] = {"label": labels, "faces": by_action.sum(1)}
    columns.update({action.word: np.ascontiguousarray(by_action[:, action]) for action in Action})
    columns["new_label"] = homes
    if found is not None:
        columns.update(cluster=found.members, fallback=found.fallback, merged_into=found.merged_into)
    write_parquet(path, pa.table(columns))
