"""Decisions and their source -> the report of a cleaning, as a page of its own or served for review."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.clean.decisions import Decisions
from facekit.clean.overrides import read_overrides
from facekit.clean.sweep import sweep_thresholds
from facekit.errors import FacekitError
from facekit.jobs.clean.tables import DecisionTable, read_decisions
from facekit.jobs.clean.write import take
from facekit.jobs.inputs.source import Source, open_source, read_records
from facekit.report.clean_content import CleanRows, build_content, pictures_wanted
from facekit.report.clean_page import build_page
from facekit.report.review import ReviewHandlers, open_server

__all__ = ["OVERRIDES", "PAIRS", "ReviewConfig", "open_review", "write_pairs", "write_report"]

OVERRIDES, PAIRS = "overrides.json", "pairs.parquet"
MOST_PICTURES, STATIC_ROWS = 700, 5000


@dataclasses.dataclass(frozen=True)
class ReviewConfig:
    """Settings of ``facekit review``.

    Attributes
    ----------
    folder : str
        What ``facekit clean`` wrote.
    source : str, optional
        The pack that was cleaned, if it lies elsewhere now.
    overrides : str, optional
        Where to save; ``overrides.json`` in the folder by default.
    port : int
        0 takes a free one.
    """

    folder: str
    source: str | None = None
    overrides: str | None = None
    port: int = 0


def write_pairs(path: Path, decisions: Decisions) -> None:
    """Write the similar pairs of identities: two old labels and their similarity."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    left, right, similarity = decisions.pairs[:3]
    pq.write_table(pa.table({"a": left, "b": right, "similarity": similarity}), path, compression="zstd")


def write_report(folder: Path, source: Source, table: DecisionTable, pairs: Path) -> None:
    """Write ``index.html``, with the pictures of the most doubtful decisions inside it."""
    content = content_of(table, pairs, STATIC_ROWS)
    folder.mkdir()
    wanted = np.array(pictures_wanted(content, MOST_PICTURES), np.int64)
    (folder / "index.html").write_text(build_page(content, _payloads(source, wanted)), "utf-8")


def content_of(table: DecisionTable, pairs: Path, most: int) -> dict[str, Any]:
    """Build what the page shows from the tables alone."""
    import pyarrow.parquet as pq

    near = pq.read_table(pairs)
    columns = [np.asarray(near[name].to_numpy()) for name in ("a", "b", "similarity")]
    rows = CleanRows(
        table.keys, table.old_label, table.new_label, table.action, table.reason, table.similarity, table.threshold,
        table.nearest, table.evidence, *columns,
    )  # fmt: skip
    settings = dict(table.about.get("settings", {}))
    about = table.about.get("source", {})
    place = f"{about.get('path', '')} · model {table.about.get('model')}"
    return build_content(rows, settings, _sweep(table, settings), place, most, table.about.get("comparison", []))


def _sweep(table: DecisionTable, settings: dict[str, Any]) -> list[dict[str, float]]:
    if settings.get("mode") != "published":
        return []
    group = np.unique(table.nearest, return_inverse=True)[1].reshape(-1)
    found = sweep_thresholds(table.similarity, group)
    rows = zip(found.threshold.tolist(), found.images.tolist(), found.identities.tolist())
    return [{"threshold": t, "images": images, "identities": identities} for t, images, identities in rows]


def _payloads(source: Source, keys: npt.NDArray[np.int64]) -> dict[int, bytes]:
    order = np.argsort(source.keys, kind="stable")
    rows = order[np.searchsorted(source.keys, keys, sorter=order)]
    rows = rows[np.argsort(source.offsets[rows], kind="stable")]
    return {record.key: record.payload for record, _ in read_records(take(source, rows))}


def open_review(config: ReviewConfig) -> ThreadingHTTPServer:
    """Open the page of a cleaning on loopback; overrides are written aside and renamed.

    Raises
    ------
    FacekitError
        The folder holds no decisions, or the source is not the pack that was cleaned.
    """
    folder = Path(config.folder)
    table = read_decisions(folder)
    if not (folder / PAIRS).is_file():
        raise FacekitError(f"{folder} holds no {PAIRS}: review what facekit clean wrote")
    source, _ = open_source(config.source or str(table.about["source"]["path"]), layout="flat")
    if source.content != table.about["source"]["content"]:
        raise FacekitError(f"{source.path} is not the pack that was cleaned: name it with --source")
    content = content_of(table, folder / PAIRS, len(table))
    saved = Path(config.overrides) if config.overrides else folder / OVERRIDES
    place = {int(key): at for at, key in enumerate(source.keys)}
    lock = threading.Lock()

    def page() -> str:
        known = {"overrides": json.loads(saved.read_text("utf-8"))} if saved.exists() else {}
        return build_page({**content, **known}, {}, review=True)

    def picture(key: int) -> bytes:
        if key not in place:
            raise FacekitError(f"there is no key {key}")
        return next(iter(read_records(take(source, np.array([place[key]]))))).record.payload

    def save(body: bytes) -> None:
        text = read_overrides(body).to_json()
        with lock:
            aside = saved.with_name(saved.name + ".partial")
            aside.write_text(text, "utf-8")
            os.replace(aside, saved)

    return open_server(ReviewHandlers(page, picture, save), config.port)
