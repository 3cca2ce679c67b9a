"""``facekit embed``, and the options about a model that it shares with other commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import reduce
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.options import dry_run_option, engine_options, partial_index_option
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.jobs.embed.summary import EmbedSummary
    from facekit.jobs.inputs.model import ModelChoice

__all__ = ["MODEL_OPTIONS", "command", "model_options", "take_model"]

MODEL_OPTIONS = (
    click.option("--arch", metavar="NAME", help="Network that .pt weights belong to: r18, r34, r50, r100 or r200."),
    click.option(
        "--branch",
        type=click.Choice(["ledger", "face", "masked", "both", "auto"]),
        help="Branch of a network that has one for masked faces.  [default: as the ledger, or --wear, says; else face]",
    ),
    click.option("--flip", is_flag=True, help="Add the embedding of the mirrored picture."),
    click.option("--batch", type=int, default=64, show_default=True, metavar="N", help="Pictures at a time."),
    click.option(
        "--device",
        default="cpu",
        show_default=True,
        metavar="NAME",
        help="Where it runs: cpu, cuda, or a card such as cuda:1.",
    ),
    click.option(
        "--threads", type=int, default=0, metavar="N", help="Of the network on the CPU.  [default: one for each core]"
    ),
    click.option("--columns", metavar="FIRST:STOP", help="Columns of the pictures that the network sees."),
    click.option("--mean", type=float, help="Input is (x - mean) / std.  [default: the file's own, else 127.5]"),
    click.option("--std", type=float, help="See --mean.  [default: the file's own, else 127.5]"),
    click.option(
        "--channels",
        type=click.Choice(["rgb", "bgr"]),
        help="Order of the channels.  [default: the file's own, else rgb]",
    ),
)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options about a model."""
    return reduce(lambda function, option: option(function), reversed(MODEL_OPTIONS), command)


def take_model(path: str, given: dict[str, Any]) -> ModelChoice:
    """Take the model's options out of what was given."""
    from facekit.jobs.inputs.model import ModelChoice, parse_columns

    names = ("arch", "branch", "flip", "batch", "device", "threads", "columns", "mean", "std", "channels")
    chosen = {name: given.pop(name) for name in names}
    chosen["columns"] = parse_columns(chosen["columns"]) if chosen["columns"] is not None else None
    return ModelChoice(path, **chosen)


@click.command("embed", short_help="Turn the faces of a pack into vectors.")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="FEATURES")
@click.option("--model", required=True, metavar="FILE", help="An .onnx file, or .pt weights with --arch.")
@model_options
@click.option("--limit", type=int, metavar="N", help="Take only the first N pictures.")
@dry_run_option
@engine_options(workers=1)
@click.option("--overwrite", is_flag=True, help="Replace what facekit wrote there; discard an unfinished other run.")
@partial_index_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(as_json: bool, model: str, **given: Any) -> None:
    """Turn the faces of a pack into vectors of unit length.

    SRC is a pack or a folder of aligned pictures. FEATURES is a folder that appears when everything is done: vectors
    that map into memory, and an index of keys, labels and norms. A run that was interrupted goes on where it was when
    the same command is given again.

    \b
    Example:
      facekit embed ms1m-retinaface ms1m-features --model w600k_r50.onnx
    """
    from facekit.jobs.embed.config import EmbedConfig
    from facekit.jobs.embed.job import embed

    choice = take_model(model, given)
    summary = embed(EmbedConfig(model=choice, **given))
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of(summary))


def text_of(summary: EmbedSummary) -> str:
    """The summary for a person."""
    low, middle, high = summary.norm
    lines = [
        f"{summary.vectors:,} of {summary.pictures:,} pictures have a vector of {summary.dimensions} dimensions",
        *(f"  {count:,} x {error}" for error, count in summary.errors.items()),
        f"norms before normalisation: median {middle:.3g}, 90% from {low:.3g} to {high:.3g}",
        f"{summary.images_per_second:,.0f} pictures/s, {summary.seconds:,.1f} s",
        f"model     {summary.model}",
        f"features  {summary.destination}",
    ]
    return "\n".join(lines)
