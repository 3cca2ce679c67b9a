"""``facekit apply``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from facekit.cli.options import dry_run_option, engine_options, partial_index_option
from facekit.cli.printing import echo

__all__ = ["command"]


@click.command("apply", short_help="Apply decisions to a pack, or undo them.")
@click.argument("source", metavar="SRC")
@click.argument("decisions", metavar="DECISIONS")
@click.argument("destination", metavar="DST")
@click.option(
    "--match",
    type=click.Choice(["key", "hash", "auto"]),
    default="key",
    show_default=True,
    help="Find pictures by key in the same pack, by their bytes in any pack of the same pictures, or those of a "
    "list by their bytes and then by what they show.",
)
@click.option(
    "--unmatched",
    type=click.Choice(["refuse", "drop"]),
    default="refuse",
    show_default=True,
    help="Pictures that the decisions do not know; with --match auto they are dropped.",
)
@click.option(
    "--least-found",
    type=float,
    default=0.9,
    show_default=True,
    metavar="SHARE",
    help="With --match auto, refuse a pack of which the list knows less.",
)
@click.option(
    "--allowed-signers",
    metavar="FILE",
    help="Refuse a list that none of these signed; lines of NAME KEY, as ssh-keygen has them.",
)
@click.option(
    "--revert",
    multiple=True,
    metavar="NAME",
    help="Undo decisions with this action or reason; all undoes everything. Repeatable.",
)
@click.option("--overrides", metavar="FILE", help="What a person decided (facekit review saves it).")
@dry_run_option
@engine_options(workers=1)
@click.option("--overwrite", is_flag=True, help="Replace what facekit wrote at DST; other files there stay.")
@partial_index_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(as_json: bool, **given: Any) -> None:
    """Apply decisions to a pack, or undo them.

    DECISIONS is a decisions.parquet, or the folder with one. With --revert all, DST is SRC again, byte for byte. With
    --match hash, decisions that somebody else made on their pack of the same pictures apply to yours. With --match
    auto, DECISIONS is a list (facekit lists export), and your pictures may be stored in another way: as JPEG of another
    quality, as PNG, a few pixels larger or smaller. A list that is not what the signature beside it signs is refused.

    \b
    Examples:
      facekit apply ms1m ms1m-clean ms1m-restored --revert all
      facekit apply my-ms1m ms1m.list my-ms1m-clean --match auto
    """
    from facekit.cli.clean import text_of
    from facekit.jobs.clean.apply import ApplyConfig, apply

    summary = apply(ApplyConfig(**given))
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of(summary))
