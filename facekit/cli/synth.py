"""``facekit synth``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.options import dry_run_option, engine_options
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.jobs.synth.config import SynthConfig
    from facekit.jobs.synth.job import SynthSummary

__all__ = ["command"]

CHANCES = ("label_noise", "duplicate_identities", "outliers", "near_duplicates", "low_quality", "masked")


@click.command("synth", short_help="Draw a pack of people with everything known about them.")
@click.argument("destination", metavar="DST")
@click.option("--identities", type=int, default=40, show_default=True, metavar="N", help="People.")
@click.option("--images", type=int, default=10, show_default=True, metavar="M", help="Pictures of each.")
@click.option(
    "--sizes",
    metavar="SIZES",
    default="equal",
    show_default=True,
    help="equal: M of everyone; long-tail: M on average, few of most; exponential:RATIO: from M down to M / RATIO.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides every random choice.")
@click.option("--label-noise", type=float, default=0.0, metavar="P", help="Share that shows another person of DST.")
@click.option("--duplicate-identities", type=float, default=0.0, metavar="P", help="Share of people with two labels.")
@click.option("--outliers", type=float, default=0.0, metavar="P", help="Share that shows somebody not in DST.")
@click.option("--near-duplicates", type=float, default=0.0, metavar="P", help="Share that shows a picture again.")
@click.option("--low-quality", type=float, default=0.0, metavar="P", help="Share that is blurred, dark or blocky.")
@click.option("--masked", type=float, default=0.0, metavar="P", help="Share that wears a mask.")
@click.option(
    "--layout",
    type=click.Choice(["insightface", "flat"]),
    default="insightface",
    show_default=True,
    help="Layout of the output; flat has neither record 0 nor identity records, as DALI needs it.",
)
@dry_run_option
@engine_options()
@click.option("--overwrite", is_flag=True, help="Replace what facekit wrote at DST; discard an unfinished other run.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(as_json: bool, **given: Any) -> None:
    """Draw a pack of people with everything known about them.

    The people are computer graphics, aligned as ArcFace wants them. DST is a folder that appears when everything is
    done; in it lies train.truth.parquet with one row a picture: who it shows and under which label, what is wrong with
    it, pose, light, expression and the face mesh. A run that was interrupted, in whatever way, goes on where it was
    when the same command is given again.

    \b
    Example, a pack with planted noise to clean:
      facekit synth drawn --identities 200 --images 16 --label-noise 0.1 --duplicate-identities 0.05
    """
    from facekit.jobs.synth.job import synth

    summary = synth(config_of(given))
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of(summary))


def config_of(given: dict[str, Any]) -> SynthConfig:
    """The frozen config that the options ask for."""
    from facekit.jobs.synth.config import SynthConfig
    from facekit.synth.plan import PackSpec

    spec = PackSpec(**{name: given.pop(name) for name in ("identities", "images", "sizes", "seed", *CHANCES)})
    return SynthConfig(spec=spec, **given)


def text_of(summary: SynthSummary) -> str:
    """The summary for a person."""
    lines = [
        f"{summary.images:,} pictures of {summary.identities:,} people under {summary.labels:,} labels",
        *(f"  {name:20}{count:>10,}" for name, count in summary.by_kind.items()),
        f"{summary.images_per_second:,.0f} pictures/s, {summary.seconds:,.1f} s, {summary.bytes / 1e6:,.1f} MB",
        f"pack    {summary.destination} ({summary.layout})",
        f"truth   {summary.truth}",
        f"ledger  {summary.ledger}",
        f"sheet   {summary.contact}",
    ]
    return "\n".join(lines)
