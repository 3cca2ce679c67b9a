"""Decisions <-> files: ``decisions.parquet`` and ``identities.parquet``.

A decision row speaks for one image record of the source: key, payload hash, old and new label, action, reason,
similarity, threshold, round, the model's hash and the evidence. The settings stand in the file's metadata. Nothing in
them depends on where the source lies or by which path it was named.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import ACTIONS, REASONS, Action, Decisions, label_homes
from facekit.errors import FacekitError
from facekit.jobs.outputs.tables import LABELS, TRAIN_CONFIG, write_labels, write_parquet, write_train_config
from facekit.run.parquet import read_parquet

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "DECISIONS",
    "IDENTITIES",
    "DecisionTable",
    "read_decisions",
    "write_decisions",
    "write_tables",
]

DECISIONS, IDENTITIES = "decisions.parquet", "identities.parquet"
_META = b"facekit.clean"


@dataclass(frozen=True)
class DecisionTable:
    """The rows of ``decisions.parquet`` as arrays, in the physical order of the source's images.

    Attributes
    ----------
    keys, old_label, new_label, nearest : (N,) int64
    payload_hash : (N, 16) uint8
        BLAKE2b of the payload.
    action_code, reason_code, cluster : (N,) int8
        Codes of `Action` and `Reason`.
    similarity, threshold : (N,) float32
    round : (N,) int32
    evidence_code : (N,) int32
        Position in `sentences`.
    sentences : tuple of str
        What there is to say of the evidence, each sentence once.
    about : dict
        Settings, model and source.
    """

    keys: npt.NDArray[np.int64]
    payload_hash: npt.NDArray[np.uint8]
    old_label: npt.NDArray[np.int64]
    new_label: npt.NDArray[np.int64]
    action_code: npt.NDArray[np.int8]
    reason_code: npt.NDArray[np.int8]
    similarity: npt.NDArray[np.float32]
    threshold: npt.NDArray[np.float32]
    nearest: npt.NDArray[np.int64]
    cluster: npt.NDArray[np.int8]
    round: npt.NDArray[np.int32]
    evidence_code: npt.NDArray[np.int32]
    sentences: tuple[str, ...]
    about: dict[str, Any]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def action(self) -> npt.NDArray[np.str_]:
        """(N,) str."""
        return np.array(ACTIONS)[self.action_code]

    @property
    def reason(self) -> npt.NDArray[np.str_]:
        """(N,) str."""
        return np.array(REASONS)[self.reason_code]

    @property
    def evidence(self) -> npt.NDArray[np.object_]:
        """(N,) object: text; one Python object for each sentence, not for each row."""
        return np.array([*self.sentences, None], object)[self.evidence_code]

    def row_of(self, key: int) -> int:
        """Return the row of a key.

        Raises
        ------
        FacekitError
            There is none.
        """
        found = np.flatnonzero(self.keys == key)
        if not len(found):
            raise FacekitError(
                f"the decisions say nothing about key {key}; they cover keys {self.keys.min()} to {self.keys.max()}"
            )
        return int(found[0])

    def select_rows(self, rows: npt.NDArray[np.int64]) -> DecisionTable:
        """Some of the rows, (n,) in any order."""
        names = [field.name for field in dataclasses.fields(self) if field.name not in ("sentences", "about")]
        return dataclasses.replace(self, **{name: getattr(self, name)[rows] for name in names})

    def explained(self, rows: npt.NDArray[np.integer] | npt.NDArray[np.bool_], texts: list[str]) -> DecisionTable:
        """Give some rows other evidence.

        Parameters
        ----------
        rows : (n,) integers, or (N,) bool
        texts : list of str
            One for each of the rows, or one for all.
        """
        names, which = np.unique(np.array(texts, object), return_inverse=True)
        codes = self.evidence_code.copy()
        codes[rows] = len(self.sentences) + which.reshape(-1)
        return dataclasses.replace(self, evidence_code=codes, sentences=(*self.sentences, *names.tolist()))


def write_decisions(path: Path, table: DecisionTable) -> None:
    """Write ``decisions.parquet``."""
    import pyarrow as pa

    hashes = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(table), [None, pa.py_buffer(np.ascontiguousarray(table.payload_hash))]
    )
    used, evidence = np.unique(table.evidence_code, return_inverse=True)
    columns = {
        "key": pa.array(table.keys),
        "payload_hash": hashes,
        "old_label": pa.array(table.old_label),
        "new_label": pa.array(table.new_label),
        "action": _words(table.action_code, ACTIONS),
        "reason": _words(table.reason_code, REASONS),
        "similarity": pa.array(table.similarity, mask=np.isnan(table.similarity)),
        "threshold": pa.array(table.threshold),
        "nearest": pa.array(table.nearest),
        "cluster": pa.array(table.cluster),
        "round": pa.array(table.round),
        "model": _words(np.zeros(len(table), np.int32), (str(table.about.get("model", "")),)),
        "evidence": _words(evidence.reshape(-1).astype(np.int32), tuple(table.sentences[code] for code in used)),
    }
    made = pa.table(columns).replace_schema_metadata({_META: json.dumps(table.about).encode()})
    write_parquet(path, made)


def _words(codes: npt.NDArray[np.integer], words: tuple[str, ...]) -> pa.Array:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(words, pa.string()))


def read_decisions(path: str | Path) -> DecisionTable:
    """Read ``decisions.parquet``, or the one in a folder.

    Raises
    ------
    FacekitError
        It is missing, or not what `write_decisions` writes.
    """
    import pyarrow as pa

    path = Path(path)
    path = path / DECISIONS if path.is_dir() else path
    try:
        table = read_parquet(path)
        about = json.loads(table.schema.metadata[_META])
        codes, sentences = _dictionary(table["evidence"])
        return DecisionTable(
            keys=_numbers(table, "key"),
            payload_hash=_hashes(table["payload_hash"]),
            old_label=_numbers(table, "old_label"),
            new_label=_numbers(table, "new_label"),
            action_code=_codes(table["action"], ACTIONS),
            reason_code=_codes(table["reason"], REASONS),
            similarity=_numbers(table, "similarity").astype(np.float32),
            threshold=_numbers(table, "threshold"),
            nearest=_numbers(table, "nearest"),
            cluster=_numbers(table, "cluster"),
            round=_numbers(table, "round"),
            evidence_code=codes,
            sentences=sentences,
            about=about,
        )
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise FacekitError(f"{path} cannot be read as decisions: {error}") from error


def _numbers(table: pa.Table, name: str) -> npt.NDArray[Any]:
    return np.asarray(table[name].to_numpy())


def _hashes(column: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """(N, 16) uint8, without a Python object a row."""
    import pyarrow as pa

    if column.type != pa.binary(16) or column.null_count:
        raise ValueError("payload_hash is not 16 bytes in every row")
    parts = [np.frombuffer(part.buffers()[1], np.uint8)[part.offset * 16 :][: len(part) * 16] for part in column.chunks]
    return np.concatenate([np.zeros(0, np.uint8), *parts]).reshape(-1, 16)


def _dictionary(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    """The distinct texts of a column, and which of them stands in each row."""
    import pyarrow as pa

    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    whole = encoded.unify_dictionaries().combine_chunks()
    texts = tuple(whole.dictionary.cast(pa.string()).to_pylist())
    return whole.indices.to_numpy().astype(np.int32), texts


def _codes(column: pa.ChunkedArray, words: tuple[str, ...]) -> npt.NDArray[np.int8]:
    indices, found = _dictionary(column)
    places = {word: code for code, word in enumerate(words)}
    return np.array([places[word] for word in found], np.int8)[indices]


def write_tables(folder: Path, table: DecisionTable, decisions: Decisions | None = None) -> None:
    """Write all tables: decisions, what became of each identity, old labels to new ones, and the lines for training.

    Parameters
    ----------
    folder : Path
    table : DecisionTable
    decisions : Decisions, optional
        As they came from cleaning: what was found of each identity is written too.
    """
    labels, homes = label_homes(table.old_label, table.reason_code, table.new_label)
    write_decisions(folder / DECISIONS, table)
    _write_identities(folder / IDENTITIES, table, labels, homes, decisions)
    write_labels(folder / LABELS, dict(zip(labels.tolist(), homes.tolist(), strict=True)))
    new = table.new_label[table.new_label >= 0]
    write_train_config(folder / TRAIN_CONFIG, int(new.max(initial=-1)) + 1, len(new))


def _write_identities(
    path: Path,
    table: DecisionTable,
    labels: npt.NDArray[np.int64],
    homes: npt.NDArray[np.int64],
    decisions: Decisions | None,
) -> None:
    """One row for each old label, with what became of its faces."""
    import pyarrow as pa

    at = np.searchsorted(labels, table.old_label)
    columns: dict[str, Any] = {"label": labels, "faces": np.bincount(at, minlength=len(labels))}
    for action in Action:
        counts = np.bincount(at, weights=table.action_code == action, minlength=len(labels))
        columns[action.word] = counts.astype(np.int64)
    columns["new_label"] = homes
    if decisions is not None:
        found = decisions.identities
        columns.update(cluster=found.members, fallback=found.fallback, merged_into=found.merged_into)
    write_parquet(path, pa.table(columns))
