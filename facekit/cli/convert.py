"""``facekit convert``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.options import dry_run_option, engine_options, partial_index_option
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.jobs.packs.convert import ConvertSummary

__all__ = ["command"]

AT_ONCE = 4
"""Files that are read from a store at once where nothing else is asked for: that waits more than it works."""


@click.command("convert", short_help="Rewrite a pack in another layout, with contiguous labels.")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option(
    "--layout",
    type=click.Choice(["insightface", "flat", "webdataset", "parquet"]),
    default=None,
    help="flat has images only, as DALI needs it; webdataset is tar shards, parquet is for datasets.  "
    "[default: insightface, in a store webdataset]",
)
@click.option("--shuffle", is_flag=True, help="Write the records in a random order (not insightface).")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order.")
@click.option("--min-images", type=int, default=1, show_default=True, metavar="N", help="Drop identities with fewer.")
@click.option("--drop", metavar="FILE", help="Drop the records whose keys stand in FILE, one a line.")
@click.option("--keep-labels", is_flag=True, help="Leave the labels as they are, with their gaps.")
@click.option(
    "--shard-records", type=int, default=10_000, show_default=True, metavar="N", help="Records of a shard written."
)
@click.option("--hash/--no-hash", "hashes", default=True, show_default=True, help="Of each payload, in the ledger.")
@dry_run_option
@engine_options(workers=1)
@click.option("--overwrite", is_flag=True, help="Replace what facekit wrote at DST; other files there stay.")
@partial_index_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(as_json: bool, **given: Any) -> None:
    """Rewrite a pack in another layout, with contiguous labels.

    SRC is a pack, tar shards (WebDataset: NAME.jpg with NAME.cls or NAME.json, plain, gzip or zstd), or parquet with
    pictures and labels: a file, a folder of them, or an address in a store (https, s3, hf), with * or {0000..0099} for
    several. What lies in a store or is compressed is read file by file, several at once, and a run that was
    interrupted reads only what is missing when the same command is given again. DST is a folder that
    appears when everything is done: the records with their payloads byte for byte, train.ledger.parquet with what
    became of each, labels.csv with old and new labels, and config.txt with the two numbers that arcface_torch needs.

    In a store (s3 and others) DST is a prefix for tar or parquet shards: run.json is written last, and until then
    run.json.unfinished says that the rest is not whole; --overwrite removes what run.json lists first.

    \b
    Examples:
      facekit convert ms1m-cleaned ms1m-dali --layout flat --shuffle --seed 7
      facekit convert ms1m-cleaned ms1m-tars --layout webdataset
      facekit convert ms1m-tars ms1m --min-images 3
      facekit convert 'hf://datasets/OWNER/NAME/*.tar.gz' ms1m
      facekit convert ms1m s3://bucket/ms1m-tars
      facekit convert 'shards/ms1mv3-{0000..0099}.tar' ms1m
    """
    from facekit.jobs.packs.convert import ConvertConfig, convert
    from facekit.stores import is_address

    default = click.get_current_context().get_parameter_source("workers") == click.core.ParameterSource.DEFAULT
    if default and is_address(given["source"]):
        given["workers"] = AT_ONCE
    summary = convert(ConvertConfig(**given))
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of(summary))


def text_of(summary: ConvertSummary) -> str:
    """The summary for a person."""
    lines = [
        f"{summary.images:,} of {summary.source_images:,} pictures, {summary.identities:,} identities",
        *(f"  {count:,} dropped: {reason.replace('_', ' ')}" for reason, count in summary.dropped.items()),
        f"{summary.images / summary.seconds:,.0f} pictures/s, {summary.seconds:,.1f} s, {summary.bytes / 1e6:,.1f} MB",
        f"pack    {summary.destination} ({summary.layout})",
        f"labels  {summary.labels}",
        summary.snippet.rstrip(),
    ]
    return "\n".join(lines)
