"""``facekit selflearn``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.clean import settings_options, take_settings
from facekit.cli.options import dry_run_option
from facekit.cli.printing import echo
from facekit.cli.train import reporting

if TYPE_CHECKING:
    from facekit.jobs.selflearn.job import SelfLearnSummary

__all__ = ["command"]


@click.command("selflearn", short_help="Clean a pack and train on it, in rounds.")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="OUT")
@click.option("--plugin", default="bcl", show_default=True, metavar="NAME", help="What to train; facekit plugins.")
@click.option("--rounds", type=int, default=3, show_default=True, metavar="N", help="More may be added to a run.")
@click.option("--init", metavar="MODEL", help="Model 0: OUT of facekit train, its model.pt, or an .onnx.")
@click.option("--init-pack", metavar="PACK", help="Train model 0 on this.  [default: on SRC as it is]")
@click.option("--mask", type=float, default=0.0, metavar="RATIO", help="Share of masked pictures each round trains on.")
@click.option(
    "--mask-preset", type=click.Choice(["bcl", "maskdul"]), help="Types, mode and share of masks of a published recipe."
)
@click.option("--recipe", metavar="NAME|FILE", help="A recipe of the plugin's, or a .toml.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a setting of training. Repeatable.")
@click.option(
    "--eval", "pairs", multiple=True, metavar="PAIRS", help="Score each model on .bin, or .csv of SRC's keys."
)
@click.option("--truth", metavar="FILE", help="Who is in the pictures, as facekit synth writes it: shows purity.")
@click.option("--allow-loss", type=float, default=0.3, show_default=True, metavar="SHARE",
              help="Stop where a round drops more of the images, or merges more of the identities.")  # fmt: skip
@settings_options
@dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(as_json: bool, **given: Any) -> None:
    """Clean a pack and train on it, in rounds.

    Each round embeds SRC with the last model, cleans SRC anew, and trains the next model on what is left, beginning
    from the last. OUT has a folder a round (vectors, decisions and report, checkpoints, model.onnx, scores) and
    index.html, which shows purity, images kept and scores. The same command goes on with a run that was interrupted.
    Under torchrun all processes train, and the first does the rest.

    \b
    Example:
      facekit selflearn ms1m runs/loop --plugin bcl --rounds 3 --init runs/bcl --mask 0.15 --eval lfw.bin
    """
    from facekit.jobs.selflearn.config import SelfLearnConfig
    from facekit.jobs.selflearn.job import selflearn

    settings = take_settings(given)
    with reporting() as (report, _):
        config = SelfLearnConfig(settings=settings, **given)
        summary = selflearn(config, speaker(), report)
    if int(os.environ.get("RANK", "0")) == 0:
        echo(json.dumps(asdict(summary), indent=2) if as_json else text_of(summary))
    else:
        sys.stderr.flush()
        os._exit(0)  # nothing is left to do, and a thread of gloo's now and then aborts a process that ends in order


def speaker() -> Callable[[str], None]:
    """Says what begins, on stderr; from the first process only."""
    if int(os.environ.get("RANK", "0")) != 0:
        return lambda _: None
    return lambda sentence: echo(sentence, err=True)


def text_of(summary: SelfLearnSummary) -> str:
    """The summary for a person."""
    lines = []
    for one in summary.rounds:
        purity = "" if one.purity is None else f", purity {one.purity:.2%} (initially {one.purity_before:.2%})"
        lines.append(
            f"round {one.number}: {one.kept:,} of {one.images:,} images of {one.identities_kept:,} identities{purity}"
        )
        lines += [f"  {name:24}{value:.4f}" for name, value in one.scores.items()]
    return "\n".join([*lines, f"page   {summary.page}", f"model  {summary.rounds[-1].model}"])
