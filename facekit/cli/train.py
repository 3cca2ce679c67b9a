"""``facekit train``."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.named_json import to_json
from facekit.cli.options import dry_run_option
from facekit.cli.printing import echo, printable

if TYPE_CHECKING:
    from facekit.train.loop import Report, Run

__all__ = ["command", "reporting"]


@click.command("train", short_help="Train a recognizer on a pack.")
@click.argument("plugin", metavar="PLUGIN")
@click.argument("pack", metavar="PACK")
@click.argument("destination", metavar="OUT")
@click.option("--recipe", metavar="NAME|FILE", help="A recipe of the plugin's, or a .toml.  [default: its first]")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a setting. Repeatable.")
@click.option("--init", metavar="WEIGHTS", help="Start from OUT of a run, a checkpoint, or a public backbone.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in OUT, if there is one.")
@click.option("--eval", "pairs", multiple=True, metavar="PAIRS|PACK", help="Score pairs, or a masked pack.")
@click.option("--mesh-cache", metavar="FILE", help="Meshes for online masks, kept by facekit mask.")
@click.option("--best", metavar="SCORE", help="Keep the network with the highest of a score, as best.pt.")
@click.option(
    "--log",
    "logs",
    type=click.Choice(["csv", "tensorboard", "wandb"]),
    multiple=True,
    help="Besides log.csv.  [default: tensorboard, where installed]",
)
@dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(as_json: bool, **given: Any) -> None:
    """Train a recognizer on a pack.

    facekit plugins lists the plugins, their recipes and settings. OUT is a folder with checkpoints, log.csv, the files
    of TensorBoard and, at the end, model.pt, which facekit export turns into ONNX. Several processes are started by
    torchrun --nproc-per-node N -m facekit train ... A run that was killed goes on with --resume, to the same bits.

    \b
    Examples:
      facekit train bcl ms1m-clean runs/bcl --eval lfw.bin --best "lfw accuracy"
      facekit train bcl people runs/small --recipe curricular-small --set epochs=20
    """
    from facekit.jobs.train.config import TrainConfig
    from facekit.jobs.train.job import train

    with resumable(given["destination"]), reporting() as (report, warn):
        run = train(TrainConfig(**given), report, warn)
    if int(os.environ.get("RANK", "0")) == 0:
        echo(to_json(run) if as_json else text_of(run))


@contextmanager
def resumable(destination: str) -> Iterator[None]:
    """Say, where a run ends by an error that is none of its settings', how it goes on."""
    from facekit.errors import ConfigError, FacekitError

    try:
        yield
    except ConfigError:
        raise
    except (FacekitError, OSError):
        from facekit.jobs.train.folder import has_checkpoint

        if has_checkpoint(destination):
            echo("when that is mended, the same command with --resume goes on from the last checkpoint", err=True)
        raise


def text_of(run: Run) -> str:
    """The summary for a person."""
    resumed = f" (from step {run.resumed_from:,})" if run.resumed_from else ""
    lines = [f"{run.steps:,} steps{resumed}, {run.seconds:,.1f} s, {run.images_per_second:,.0f} images/s"]
    lines += [f"  {name:24}{value:.5g}" for name, value in run.values.items() if name != "images_per_second"]
    out = shlex.quote(os.path.dirname(run.model) or ".")
    lines.append(f"model  {run.model}; facekit export {out} MODEL.onnx makes of it what embed and eval read")
    if run.best is not None:
        lines.append(f"best   {run.best.model}: {run.best.name} {run.best.value:.5g} at step {run.best.step:,}")
    return "\n".join(lines)


Listeners = tuple["Callable[[Report], None]", "Callable[[str], None]"]


@contextmanager
def reporting() -> Iterator[Listeners]:
    """Show reports on stderr, a bar on a terminal and lines elsewhere; from the first process only."""
    if int(os.environ.get("RANK", "0")) != 0:
        yield (lambda _: None), (lambda _: None)
        return

    def warn(sentence: str) -> None:
        echo(f"warning: {sentence}", err=True)

    if not sys.stderr.isatty():
        yield (lambda report: echo(line_of(report), err=True)), warn
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("epoch {task.fields[epoch]}"), BarColumn(), MofNCompleteColumn(),
               TextColumn("{task.fields[values]}", markup=False), TimeRemainingColumn(compact=True))  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None, epoch="0.00", values="")

        def report(said: Report) -> None:
            bar.update(
                task,
                total=said.steps,
                completed=said.step,
                epoch=f"{said.epoch:.2f}",
                values=printable(values_of(said)),
            )

        yield report, warn


def line_of(said: Report) -> str:
    """A report as a line."""
    return f"step {said.step}/{said.steps}  epoch {said.epoch:.2f}  {values_of(said)}"


def values_of(said: Report) -> str:
    """Names and values."""
    return "  ".join(f"{name} {value:.4g}" for name, value in said.values.items())
