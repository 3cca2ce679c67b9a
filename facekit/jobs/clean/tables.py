"""Decisions <-> files: ``decisions.parquet`` and ``identities.parquet``.

A decision row speaks for one image record of the source: key, payload hash, old and new label, action, reason,
similarity, threshold, round, the model's hash and the evidence. The settings stand in the file's metadata.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import ACTIONS, REASONS
from facekit.errors import FacekitError

if TYPE_CHECKING:
    import pyarrow as pa

    from facekit.clean.decisions import Decisions

__all__ = [
    "DECISIONS",
    "IDENTITIES",
    "DecisionTable",
    "read_decisions",
    "write_decisions",
    "write_identities",
]

DECISIONS, IDENTITIES = "decisions.parquet", "identities.parquet"
_META = b"facekit.clean"
_WHERE = ("in its largest cluster", "in another cluster", "in no cluster")


@dataclass(frozen=True)
class DecisionTable:
    """The rows of ``decisions.parquet`` as arrays, in the physical order of the source's images.

    Attributes
    ----------
    keys, old_label, new_label, nearest : (N,) int64
    payload_hash : (N, 16) uint8
        BLAKE2b of the payload.
    action_code, reason_code, cluster : (N,) int8
    similarity, threshold : (N,) float32
    round : (N,) int32
    evidence : (N,) object
        Text.
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
    evidence: npt.NDArray[np.object_]
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


def evidence_of(decisions: Decisions) -> list[str]:
    """Return a short sentence for each face: which centre decided, and whether the face is one of its own cluster's."""
    combos, which = np.unique(np.stack([decisions.nearest, decisions.cluster]), axis=1, return_inverse=True)
    texts = [
        f"{f'centre of label {label}' if label >= 0 else 'a new identity'}; {_WHERE[int(c)]}"
        for label, c in combos.T.tolist()
    ]
    return [texts[at] for at in which.reshape(-1).tolist()]


def write_decisions(path: Path, table: DecisionTable) -> None:
    """Write ``decisions.parquet``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    hashes = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(table), [None, pa.py_buffer(np.ascontiguousarray(table.payload_hash))]
    )
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
        "model": pa.array([str(table.about.get("model", ""))] * len(table)).dictionary_encode(),
        "evidence": pa.array(table.evidence.tolist(), pa.string()).dictionary_encode(),
    }
    made = pa.table(columns).replace_schema_metadata({_META: json.dumps(table.about).encode()})
    pq.write_table(made, path, compression="zstd")


def _words(codes: npt.NDArray[np.int8], words: tuple[str, ...]) -> pa.Array:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(words))


def read_decisions(path: str | Path) -> DecisionTable:
    """Read ``decisions.parquet``, or the one in a folder.

    Raises
    ------
    FacekitError
        It is missing, or not what `write_decisions` writes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    path = path / DECISIONS if path.is_dir() else path
    try:
        table = pq.read_table(path)
        about = json.loads(table.schema.metadata[_META])
        hashes = table["payload_hash"].to_pylist()
        return DecisionTable(
            keys=_numbers(table, "key"),
            payload_hash=np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 16),
            old_label=_numbers(table, "old_label"),
            new_label=_numbers(table, "new_label"),
            action_code=_codes(table["action"], ACTIONS),
            reason_code=_codes(table["reason"], REASONS),
            similarity=_numbers(table, "similarity").astype(np.float32),
            threshold=_numbers(table, "threshold"),
            nearest=_numbers(table, "nearest"),
            cluster=_numbers(table, "cluster"),
            round=_numbers(table, "round"),
            evidence=np.array([*table["evidence"].to_pylist(), None], object)[:-1],
            about=about,
        )
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise FacekitError(f"{path} cannot be read as decisions: {error}") from error


def _numbers(table: pa.Table, name: str) -> npt.NDArray[Any]:
    return np.asarray(table[name].to_numpy())


def _codes(column: pa.ChunkedArray, words: tuple[str, ...]) -> npt.NDArray[np.int8]:
    places = {word: code for code, word in enumerate(words)}
    plain = column.combine_chunks()
    plain = plain.dictionary_encode() if not hasattr(plain, "dictionary") else plain
    mine = np.array([places[word] for word in plain.dictionary.to_pylist()], np.int8)
    return mine[plain.indices.to_numpy()] if len(plain) else np.zeros(0, np.int8)


def write_identities(path: Path, table: DecisionTable, decisions: Decisions | None = None) -> None:
    """Write ``identities.parquet``: one row for each old label, with what became of its faces."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    labels, at = np.unique(table.old_label, return_inverse=True)
    columns: dict[str, Any] = {"label": labels, "faces": np.bincount(at, minlength=len(labels))}
    for code, action in enumerate(ACTIONS):
        columns[action] = np.bincount(at, weights=table.action_code == code, minlength=len(labels)).astype(np.int64)
    where = label_table(table)
    columns["new_label"] = np.array([where[int(label)] for label in labels], np.int64)
    if decisions is not None:
        found = decisions.identities
        columns.update(cluster=found.members, fallback=found.fallback, merged_into=found.merged_into)
    pq.write_table(pa.table(columns), path, compression="zstd")


def label_table(table: DecisionTable) -> dict[int, int]:
    """Return the new label of each old one: where most of its faces went that were not moved away, -1 for nowhere."""
    from facekit.clean.overrides import homes

    return homes(table.old_label, table.reason_code, table.new_label)
