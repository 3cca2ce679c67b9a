"""``facekit cost``."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.jobs.cost.job import Cost, CostSummary

__all__ = ["command"]

_LOG = logging.getLogger("facekit.run.progress")


@click.command("cost", short_help="Predict hours, disk and memory of every step for a large pack.")
@click.argument("source", metavar="[SRC]", required=False)
@click.option(
    "--images",
    type=int,
    multiple=True,
    metavar="N",
    help="Predict for so many pictures; may be repeated.  [default: 5.8, 17, 42 and 260 million]",
)
@click.option(
    "--picture-bytes", type=int, default=7_500, show_default=True, metavar="N", help="Mean size of a picture."
)
@click.option("--per-identity", type=int, default=50, show_default=True, metavar="N", help="Pictures of an identity.")
@click.option("--dimensions", type=int, default=512, show_default=True, metavar="N", help="Of the vectors.")
@click.option("--ratio", type=float, default=0.15, show_default=True, help="Masked pictures of all, for mask.")
@click.option("--model", metavar="FILE", help="Measure this ONNX model instead of reckoning with --gigaflops.")
@click.option("--gigaflops", type=float, default=24.2, show_default=True, help="Of the network, a picture.")
@click.option("--gpu-rate", type=float, default=3_000.0, show_default=True, help="Pictures a GPU embeds in a second.")
@click.option("--machines", type=int, default=1, show_default=True, metavar="N", help="Machines like this one.")
@click.option("--cores", type=int, default=0, metavar="N", help="Cores of each.  [default: as this machine]")
@click.option(
    "--gpus", type=int, default=1, show_default=True, metavar="N", help="GPUs of each; 0 embeds on the cores."
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(as_json: bool, images: tuple[int, ...], **given: Any) -> None:
    """Predict what each step takes for a pack, or for so many pictures: CPU and GPU hours, disk and memory.

    Rates are measured on this machine, in a minute or two, on drawn pictures: every command runs at two small sizes,
    which gives a constant and a rate a record. What is assumed is printed below the tables. SRC is a pack; then
    its number, size and identities of pictures are taken. The rates are kept: --dry-run tells a time by them.

    \b
    Examples:
      facekit cost
      facekit cost --images 17000000 --machines 4 --cores 32 --gpus 8
      facekit cost ms1m
    """
    from facekit.jobs.cost.config import CostConfig
    from facekit.jobs.cost.job import cost
    from facekit.jobs.cost.kept_rates import keep_rates

    config = CostConfig(images=images, **given)
    _LOG.info("measuring every step here, in about half a minute; longer where the machine is busy")
    summary = cost(config)
    keep_rates(summary)
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of(summary))


def text_of(summary: CostSummary) -> str:
    """The summary for a person."""
    lines = []
    for one in summary.costs:
        lines += [*table_of(one), ""]
    lines += ["assumed:", *(f"  {line}" for line in summary.assumptions)]
    lines.append(f"measured in {summary.seconds:,.0f} s")
    return "\n".join(lines)


def table_of(one: Cost) -> list[str]:
    """One size."""
    head = f"{'':10}{'CPU hours':>12}{'GPU hours':>12}{'hours':>12}{'disk GB':>12}{'at most GB':>12}{'memory GB':>12}"
    lines = [f"{one.images:,} pictures of {one.identities:,} identities", head]
    for step in one.steps:
        sizes = (step.disk_bytes / 1e9, step.peak_disk_bytes / 1e9, step.memory_bytes / 1e9)
        numbers = (step.cpu_hours, step.gpu_hours, step.hours, *sizes)
        lines.append(f"{step.step:10}" + "".join(f"{short(number):>12}" for number in numbers))
    return lines


def short(number: float) -> str:
    """Two digits that count."""
    if not number:
        return "-"
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"
