"""``facekit diff``."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from facekit.cli.printing import echo

__all__ = ["command"]


@click.command("diff", short_help="Compare two sets of decisions.")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--keys", is_flag=True, help="List the keys of every change.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(first: str, second: str, keys: bool, as_json: bool) -> None:
    """Compare two sets of decisions about the same pack.

    A and B are decisions.parquet files, or folders with one. New labels are only names; what counts is who is together.

    \b
    Example:
      facekit diff ms1m-round1 ms1m-round2
    """
    from facekit.jobs.clean.compare import diff
    from facekit.jobs.clean.tables import read_decisions

    columns = ("keys", "new_label", "action_code")
    found = diff(read_decisions(first, columns), read_decisions(second, columns))
    if as_json:
        listed = {name: changed.tolist() for name, changed in found.keys.items()}
        echo(json.dumps({**asdict(found), "keys": listed}, indent=2))
        return
    echo(f"{found.common:,} images in both, {found.same:,} decided alike")
    for name, count in found.changes.items():
        echo(f"  {name:32}{count:>12,}")
        if keys:
            echo("    " + " ".join(map(str, found.keys[name].tolist())))
    for side, count in (("first", found.only_first), ("second", found.only_second)):
        if count:
            echo(f"{count:,} images only in the {side}")
