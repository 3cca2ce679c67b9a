"""``facekit overlap``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from facekit.cli.embed import model_options, take_model
from facekit.cli.named_json import to_json
from facekit.cli.options import dry_run_option
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.jobs.overlap.config import OverlapSummary, SideSummary

__all__ = ["command"]


@click.command("overlap", short_help="Find what two sets of faces share.")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.argument("destination", metavar="[DST]", required=False)
@click.option("--model", metavar="FILE", help="Embeds what has no vectors: people are found whatever their pictures.")
@model_options
@click.option("--features-a", metavar="F", help="Vectors of A that facekit embed wrote.")
@click.option("--features-b", metavar="F", help="Vectors of B that facekit embed wrote.")
@click.option(
    "--identity", type=float, default=0.6, show_default=True, metavar="COSINE", help="Of two centres: one person."
)
@click.option(
    "--picture", type=float, default=0.9, show_default=True, metavar="COSINE", help="Of two faces: nearly one picture."
)
@click.option("--workers", type=int, default=1, show_default=True, metavar="N", help="Threads of the search.")
@dry_run_option
@click.option("--overwrite", is_flag=True, help="Replace what facekit wrote at DST; other files there stay.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(as_json: bool, model: str | None, **given: Any) -> None:
    """Find the identities and pictures that two sets of faces share.

    A and B are packs, folders of pictures, verification .bin files, folders of vectors, or lists of decisions.
    Pictures are compared by their bytes; with --model or vectors also people by their centres, and pictures of one
    person by their vectors.
    DST is a folder with identities.csv, pictures.csv and strips.png.

    \b
    Example, which people of LFW are in a pack:
      facekit overlap ms1m-retinaface lfw.bin shared --model w600k_r50.onnx --features-a ms1m-features
    """
    from facekit.jobs.overlap.config import OverlapConfig
    from facekit.jobs.overlap.job import overlap

    choice = take_model(model or "", given)
    summary = overlap(OverlapConfig(model=None if model is None else choice, **given))
    echo(to_json(summary) if as_json else text_of(summary))


def text_of(summary: OverlapSummary) -> str:
    """The summary for a person."""
    lines = [*lines_of("A", summary.a), *lines_of("B", summary.b)]
    lines.append(f"{summary.identity_pairs:,} pairs of identities share something")
    if summary.placeholders:
        lines.append(f"  {summary.placeholders:,} pictures of A stand under so many identities that they tell nobody")
    if not summary.by_vectors:
        lines.append("only bytes were compared: --model finds people whatever their pictures, where both have some")
    if not summary.by_bytes:
        lines.append("only vectors were compared: a folder of vectors has no pictures")
    return "\n".join(lines + [f"tables  {summary.destination}"] * (summary.destination is not None))


def lines_of(name: str, side: SideSummary) -> list[str]:
    """What one side shares with the other."""
    near = "" if side.near_pictures is None else f", {side.near_pictures:,} more nearly"
    return [
        f"{name} {side.path}: {side.pictures:,} pictures of {side.identities:,} identities",
        f"  {side.same_pictures:,} pictures are in the other, byte for byte{near}",
        f"  {side.shared_identities:,} identities ({side.shared_identities / max(side.identities, 1):.1%}) are in both",
    ]
