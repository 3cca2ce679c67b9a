"""Decisions and their source -> the report of a cleaning, as a page of its own or served for review."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Iterable
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import ACTIONS, REASONS
from facekit.clean.overrides import read_overrides, require_known
from facekit.clean.pairs import Pairs
from facekit.clean.sweep import sweep_thresholds
from facekit.embeddings import is_features
from facekit.errors import DestinationExists, FacekitError
from facekit.jobs.clean.candidates import Candidates
from facekit.jobs.clean.decision_table import COLUMNS, DecisionTable
from facekit.jobs.clean.features import open_vectors
from facekit.jobs.clean.tables import read_decisions
from facekit.jobs.inputs.source import Source, open_source, source_input
from facekit.jobs.inputs.source_records import read_records
from facekit.jobs.outputs.tables import write_parquet
from facekit.output import Input, replace_file
from facekit.output.inputs import refuse_related, stamp_of
from facekit.output.places import real
from facekit.output.system import refusal_in_words
from facekit.records.key_rows import rows_of
from facekit.report.clean_content import CleanRows, build_content, pictures_wanted
from facekit.report.clean_page import build_page
from facekit.report.review import LONGEST, ReviewHandlers, open_server
from facekit.run.memory import release_freed
from facekit.run.parquet import read_parquet
from facekit.run.user_files import read_regular_file

__all__ = [
    "OVERRIDES",
    "PAIRS",
    "SOURCE_PATH",
    "ReviewConfig",
    "open_review",
    "read_pairs",
    "write_pairs",
    "write_report",
]

OVERRIDES, PAIRS, SOURCE_PATH = "overrides.json", "pairs.parquet", "source.txt"
MOST_PICTURES, STATIC_ROWS, REVIEWED_ROWS = 1000, 5000, 200_000
"""Faces that are listed, the most doubtful ones first; a browser has 100 MB to hold for those of a review."""


UNSHOWN = ("payload_hash", "cluster", "round")
"""Columns of the decisions that a review reads, so that damage to them shows, and does not hold."""
SHOWN = tuple(name for name in COLUMNS if name not in UNSHOWN)


@dataclasses.dataclass(frozen=True)
class ReviewConfig:
    """Settings of ``facekit review``.

    Attributes
    ----------
    folder : str
        What ``facekit clean`` wrote.
    source : str, optional
        The pack that was cleaned, if it lies elsewhere now.
    features : str, optional
        The vectors that the decisions were made from: the identities that a face may belong to are then found by them.
        By default those beside the folder, where there are such.
    overrides : str, optional
        Where to save; ``overrides.json`` in the folder by default.
    port : int
        0 takes a free one.
    """

    folder: str
    source: str | None = None
    features: str | None = None
    overrides: str | None = None
    port: int = 0


def write_pairs(path: Path, pairs: Pairs) -> None:
    """Write the similar pairs of identities: two old labels and their similarity."""
    import pyarrow as pa

    columns = {"a": pairs.left, "b": pairs.right, "similarity": pairs.similarity}
    write_parquet(path, pa.table(columns))


def read_pairs(path: Path) -> Pairs:
    """Read what `write_pairs` wrote.

    Raises
    ------
    FacekitError
        It is missing, or something else.
    """
    import pyarrow as pa

    try:
        table = read_parquet(path, ("a", "b", "similarity"))
    except (OSError, pa.ArrowException) as error:
        raise FacekitError(f"{path} cannot be read: {error}; review what facekit clean wrote") from error
    left, right, similarity = (np.asarray(column.to_numpy()) for column in table.columns)
    return Pairs(left, right, similarity)


def write_report(folder: Path, source: Source, table: DecisionTable, pairs: Pairs) -> None:
    """Write ``index.html``, with the pictures of the most doubtful decisions inside it.

    Parameters
    ----------
    folder : Path
        Is made.
    source : Source
    table : DecisionTable
    pairs : Pairs
        Of old labels, merged or not.
    """
    content = build_report(table, pairs, STATIC_ROWS)
    folder.mkdir()
    wanted = np.array(pictures_wanted(content, MOST_PICTURES), np.int64)
    (folder / "index.html").write_text(build_page(content, _payloads(source, wanted)), "utf-8")


def build_report(table: DecisionTable, pairs: Pairs, max_rows: int) -> dict[str, Any]:
    """Build what the page shows from the tables alone; it does not depend on where the source lies."""
    rows = CleanRows(
        table.keys, table.old_label, table.new_label, table.action_code, table.reason_code, table.similarity,
        table.threshold, table.nearest, table.evidence_code, *pairs[:3], ACTIONS, REASONS, table.sentences,
    )  # fmt: skip
    about, settings = table.about, dict(table.about.get("settings", {}))
    thresholds = _sweep(table, settings)
    place = f"pack {about.get('source', {}).get('content')} · model {about.get('model')}"
    return build_content(rows, settings, thresholds, place, max_rows, about.get("comparison", []))


def _sweep(table: DecisionTable, settings: dict[str, Any]) -> list[dict[str, float]]:
    if settings.get("mode") != "published":
        return []
    found = sweep_thresholds(table.similarity, table.nearest)
    rows = zip(found.threshold.tolist(), found.images.tolist(), found.identities.tolist())
    return [{"threshold": t, "images": images, "identities": identities} for t, images, identities in rows]


def _payloads(source: Source, keys: npt.NDArray[np.int64]) -> dict[int, bytes]:
    rows = rows_of(source.keys, keys)
    rows = rows[np.argsort(source.offsets[rows], kind="stable")]
    return {record.key: record.payload for record, _ in read_records(source.select_rows(rows))}


def open_review(config: ReviewConfig) -> ThreadingHTTPServer:
    """Open the page of a cleaning on loopback; overrides are written aside and renamed.

    Parameters
    ----------
    config : ReviewConfig

    Returns
    -------
    ThreadingHTTPServer
        ``server_address`` has its port, ``serve_forever`` runs it.

    Raises
    ------
    ConfigError, DestinationExists
        The port is taken; or what is to be saved would take the place of the pack, or of a file of another kind.
    FacekitError
        The folder holds no decisions, or the source is not the pack that was cleaned.
    """
    folder = Path(config.folder)
    read_decisions(folder, UNSHOWN)
    release_freed()
    table = read_decisions(folder, SHOWN)
    pairs = read_pairs(folder / PAIRS)
    content = build_report(table, pairs, REVIEWED_ROWS)
    source = _cleaned_source(config.source, folder, table)
    candidates = Candidates(table, pairs, _vectors_of(config, source, table))
    saved = KeptOverrides(config.overrides or folder / OVERRIDES, [source_input(source, source.path)])

    def page() -> str:
        text = saved.read()
        known = {} if text is None else {"overrides": json.loads(text)}
        return build_page({**content, **known}, {}, review=True)

    def picture(key: int) -> bytes:
        found = np.flatnonzero(source.keys == key)
        if not len(found):
            raise FacekitError(f"there is no key {key}")
        return next(read_records(source.select_rows(found[:1]))).record.payload

    def save(body: bytes) -> None:
        require_known(read_overrides(body), table.keys, candidates.labels)
        saved.save(body)

    return open_server(ReviewHandlers(page, picture, save, candidates.near, candidates.identity), config.port)


class KeptOverrides:
    """Where a review saves: a file of overrides, and nothing else; what somebody else wrote there meanwhile stays.

    Parameters
    ----------
    path : path
    inputs : iterable of Input
        Not to be written to.

    Raises
    ------
    ConfigError, DestinationExists
        It is an input, or a file of another kind.
    """

    def __init__(self, path: str | os.PathLike[str], inputs: Iterable[Input]) -> None:
        self.path, self._lock = real(path), threading.Lock()
        refuse_related(self.path, inputs)
        try:
            self.read()
        except (FacekitError, UnicodeError) as error:
            raise DestinationExists(
                f"{self.path} is no file of overrides ({error}), and nothing else is replaced; "
                "move it away, or choose another with --overrides"
            ) from error

    def read(self) -> str | None:
        """What is saved; None where nothing is.

        Raises
        ------
        FacekitError
            It is no file of overrides.
        """
        with self._lock:
            self._stamp = stamp_of([self.path])
            if not os.path.lexists(self.path):
                return None
            content = read_regular_file(self.path, LONGEST)
            read_overrides(content)
            return content.decode("utf-8")

    def save(self, body: bytes) -> None:
        """Replace the file.

        Raises
        ------
        FacekitError
            These are no overrides, the file is another one than was read, or the system refuses.
        """
        text = read_overrides(body).to_json()
        with self._lock:
            if stamp_of([self.path]) != self._stamp:
                raise FacekitError(
                    f"{self.path} was written by somebody else meanwhile, and is left alone: reload the page to see "
                    "it, or move it away"
                )
            try:
                replace_file(self.path, text)
            except OSError as error:
                raise FacekitError(f"not saved: {refusal_in_words(error, str(self.path))}") from error
            self._stamp = stamp_of([self.path])


def _vectors_of(config: ReviewConfig, source: Source, table: DecisionTable) -> Any:
    """Vectors of the rows of the table, or None where nothing says where they lie.

    Raises
    ------
    ConfigError, FacekitError
        What was named is none, or is of another model or pack.
    """
    beside = Path(os.fspath(config.folder).rstrip("/") + ".features")
    if config.features is None and not is_features(beside):
        return None
    faces = open_vectors(config.features or str(beside), source)
    if faces.model == table.about.get("model"):
        return faces.vectors
    if config.features is None:
        return None
    raise FacekitError(f"{config.features} has other vectors than those that the decisions were made from")


def _cleaned_source(named: str | None, folder: Path, table: DecisionTable) -> Source:
    """Open the pack that was cleaned: the one that is named, or the one that lay where it lay then."""
    path = folder / SOURCE_PATH
    if named is None and not path.is_file():
        raise FacekitError(f"{folder} does not say where the pack lies that was cleaned: name it with --source")
    source, _ = open_source(named or os.fsdecode(path.read_bytes().rstrip(b"\n")), layout="flat")
    if source.content != table.about["source"]["content"]:
        raise FacekitError(f"{source.path} is not the pack that was cleaned: name it with --source")
    if np.array_equal(source.keys, table.keys) and np.array_equal(source.labels, table.old_label):
        return dataclasses.replace(
            source, keys=table.keys, labels=table.old_label
        )  # 16 bytes a face that are there already
    return source
