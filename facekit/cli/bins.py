"""``facekit bins``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.options import dry_run_option
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.jobs.packs.bins_summary import BinsSummary

__all__ = ["command"]


@click.group("bins", short_help="Make verification .bin files, or look into one.")
def command() -> None:
    """Make verification .bin files, or look into one.

    A .bin is a pickle, and a pickle can run programs when it is read. facekit reads pictures and flags from it, and
    refuses a file that asks for anything else.

    \b
    Examples:
      facekit bins make pairs.csv ms1m-test test.bin
      facekit bins draw ms1m-test test.bin
      facekit bins show lfw.bin --sheet lfw.png
    """


@command.command("make", short_help="Make a .bin of listed pairs.")
@click.argument("pairs", metavar="PAIRS")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@dry_run_option
@click.option("--overwrite", is_flag=True, help="Replace what facekit wrote at DST; other files there stay.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def make(as_json: bool, **given: Any) -> None:
    """Make a .bin of listed pairs.

    PAIRS is a .csv with the columns key_a, key_b and same (0 or 1) and SRC the pack that the keys belong to; or PAIRS
    is a list such as LFW's pairs.txt (NAME N M for one person, NAME N NAME M for two) and SRC the folder of people,
    NAME/NAME_000N with any suffix. Pictures are copied byte for byte: give aligned ones.

    \b
    Examples:
      facekit bins make pairs.csv ms1m-test test.bin
      facekit bins make pairs.txt lfw-aligned lfw.bin
    """
    from facekit.jobs.packs.bins import MakeConfig, make_bins

    _print(make_bins(MakeConfig(**given)), as_json)


@command.command("draw", short_help="Make a .bin of drawn pairs.")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--pairs", type=int, default=6000, show_default=True, metavar="N", help="Half of them of one person.")
@click.option("--folds", type=int, default=10, show_default=True, metavar="N", help="Folds; no two share a person.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides which pairs.")
@dry_run_option
@click.option("--overwrite", is_flag=True, help="Replace what facekit wrote at DST; other files there stay.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def draw(as_json: bool, **given: Any) -> None:
    """Make a .bin of drawn pairs.

    SRC is a pack or a folder of people. In each fold the first half of the pairs are of one person, the second of two,
    as in LFW's list; the same seed draws the same pairs. Train on other people than those of SRC.

    \b
    Example:
      facekit bins draw ms1m-test test.bin --pairs 6000
    """
    from facekit.jobs.packs.bins import DrawConfig, draw_bins

    _print(draw_bins(DrawConfig(**given)), as_json)


@command.command("show", short_help="Look into a .bin.")
@click.argument("source", metavar="FILE")
@click.option("--unpack", metavar="DIR", help="Write its pictures into a folder, with pairs.csv.")
@click.option("--sheet", metavar="PNG", help="Write a picture of some of the pairs.")
@dry_run_option
@click.option("--overwrite", is_flag=True, help="Replace DIR and PNG.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def show(as_json: bool, **given: Any) -> None:
    """Look into a .bin.

    \b
    Example:
      facekit bins show lfw.bin --unpack lfw-pictures
    """
    from facekit.jobs.packs.bins_show import ShowConfig, show_bins

    _print(show_bins(ShowConfig(**given)), as_json)


def _print(summary: BinsSummary, as_json: bool) -> None:
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of(summary))


def text_of(summary: BinsSummary) -> str:
    """The summary for a person."""
    lines = [
        f"{summary.pairs:,} pairs, {summary.same:,} of one person and {summary.pairs - summary.same:,} of two",
        f"{summary.pictures:,} different pictures, {summary.bytes / 1e6:,.1f} MB",
        *(f"  {count:,} of {size}" for size, count in summary.sizes.items()),
        f"file    {summary.path}",
        *[f"folder  {summary.unpacked}"] * (summary.unpacked is not None),
        *[f"sheet   {summary.sheet}"] * (summary.sheet is not None),
    ]
    return "\n".join(lines)
