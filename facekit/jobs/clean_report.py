"""Decisions and a source -> the report folder (written in full by facekit.report)."""

from __future__ import annotations

from pathlib import Path

from facekit.clean.decisions import Decisions
from facekit.jobs.clean_tables import DecisionTable
from facekit.jobs.source import Source

__all__ = ["write_report"]


def write_report(folder: Path, source: Source, table: DecisionTable, decisions: Decisions | None) -> None:
    """Write ``index.html``."""
