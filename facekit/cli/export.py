"""``facekit export``."""

from __future__ import annotations

from typing import Any

import click

from facekit.cli.named_json import to_json
from facekit.cli.options import dry_run_option
from facekit.cli.printing import echo

__all__ = ["command"]


@click.command("export", short_help="Turn a trained network into an ONNX file.")
@click.argument("checkpoint", metavar="CHECKPOINT")
@click.argument("destination", metavar="MODEL.onnx")
@click.option(
    "--branch",
    type=click.Choice(["face", "masked", "both"]),
    help="One input and one output: all pictures take this branch, or the average of both.",
)
@dry_run_option
@click.option("--overwrite", is_flag=True, help="Replace MODEL.onnx.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(as_json: bool, **given: Any) -> None:
    """Turn a trained network into an ONNX file.

    CHECKPOINT is what facekit train wrote: OUT, a checkpoint in it, or model.pt. The file says how pictures are to be
    prepared, which version and classes it comes from, takes batches of any size, and was compared with the network.
    facekit embed and facekit eval read it. With --branch it has one input and one output, and works where insightface
    expects a recognition model of its own.

    \b
    Examples:
      facekit export runs/bcl bcl.onnx
      facekit export runs/maskdul maskdul-face.onnx --branch face
    """
    from facekit.jobs.train.export import ExportConfig, export

    done = export(ExportConfig(**given))
    if as_json:
        echo(to_json(done))
        return
    height, width = done.image_size
    echo(f"inputs     {', '.join(done.inputs)}: pictures of {height} x {width}")
    echo(f"outputs    {', '.join(done.outputs)}: {done.dimensions} dimensions")
    echo(f"deviation  {done.deviation:.1g} from the network")
    echo(f"model      {done.path}")
