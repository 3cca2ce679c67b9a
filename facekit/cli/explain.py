"""``facekit explain``."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from facekit.cli.printing import echo

__all__ = ["command"]


@click.command("explain", short_help="Say why an image was kept, moved or dropped.")
@click.argument("decisions", metavar="DECISIONS")
@click.argument("key", metavar="KEY", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print the decision as JSON.")
def command(decisions: str, key: int, as_json: bool) -> None:
    """Say why an image was kept, moved or dropped.

    DECISIONS is a decisions.parquet, or the folder with one; KEY is the image's key in the source.

    \b
    Example:
      facekit explain ms1m-clean 3104
    """
    from facekit.jobs.clean.compare import EXPLAINED, explain
    from facekit.jobs.clean.tables import read_decisions

    found = explain(read_decisions(decisions, EXPLAINED), key)
    if as_json:
        echo(json.dumps(asdict(found), indent=2))
        return
    echo(found.text)
    faces = found.identity
    echo(f"Identity {found.old_label}: {faces['faces']} faces, {faces['keep']} kept, {faces['move']} moved, "
               f"{faces['drop']} dropped, {faces['review']} to review.")  # fmt: skip
