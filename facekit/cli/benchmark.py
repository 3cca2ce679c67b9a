"""``facekit benchmark``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.options import engine_options
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.jobs.benchmark.job import MakeSummary

__all__ = ["command"]


@click.group("benchmark", short_help="Make a benchmark of drawn people, and score recognizers and cleaners on it.")
def command() -> None:
    """Make a benchmark of drawn people, and score recognizers and cleaners on it.

    A drawn benchmark needs no photographs, no server and no licence: it follows from a preset and a seed, and its name
    is a hash of everything that was sampled for it. It ranks recognizers that were not trained on drawn people; its
    figures are not those of real faces.

    \b
    Examples:
      facekit benchmark make drawn
      facekit benchmark run drawn w600k_r50.onnx
    """


@command.command("make", short_help="Draw a benchmark.")
@click.argument("destination", metavar="DST")
@click.option(
    "--preset",
    type=click.Choice(["drawn-mfr-v1", "drawn-tiny"]),
    default="drawn-mfr-v1",
    show_default=True,
    help="Which; drawn-tiny is for trying the commands.",
)
@click.option("--seed", type=int, default=None, metavar="N", help="Another one of its kind.  [default: the preset's]")
@engine_options()
@click.option("--overwrite", is_flag=True, help="Replace what facekit wrote at DST; discard an unfinished other run.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def make(as_json: bool, **given: Any) -> None:
    """Draw a benchmark.

    DST is a folder that appears when everything is done: a pack of faces (bare, masked, with noise, blurred, in other
    looks), the verification list pairs.csv, groups.csv, benchmark.json with the name, and cleaning tasks. The people
    have seeds that facekit synth refuses. A run that was interrupted goes on when the same command is given again.

    \b
    Example:
      facekit benchmark make drawn --preset drawn-mfr-v1
    """
    from facekit.jobs.benchmark.config import MakeConfig
    from facekit.jobs.benchmark.job import make_benchmark

    summary = make_benchmark(MakeConfig(**given))
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of_make(summary))


def text_of_make(summary: MakeSummary) -> str:
    """The summary for a person."""
    same = {
        None: "no digest of it is published",
        True: "the published pictures, byte for byte",
        False: "not the published ones to the last bit: another processor or other versions of libraries drew them",
    }[summary.published]
    lines = [
        f"{summary.pictures:,} pictures of {summary.people:,} people, {summary.pairs:,} pairs to verify",
        *(f"  {name:20}{count:>10,}" for name, count in summary.by_role.items()),
        *(f"  cleaning {name:16}{count:>5,} images" for name, count in summary.cleaning.items()),
        f"{summary.seconds:,.1f} s",
        f"name     {summary.name}",
        f"content  {summary.content} ({same})",
        f"folder   {summary.destination}",
    ]
    return "\n".join(lines)
