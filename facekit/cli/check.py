"""``facekit check``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.options import dry_run_option, engine_options
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.jobs.packs.check import CheckSummary

__all__ = ["command"]

SHOWN = 5


@click.command("check", short_help="Find every fault of a pack, and save what can be saved.")
@click.argument("source", metavar="SRC")
@click.option("--deep", is_flag=True, help="Decode every picture, and compare payloads with the ledger's hashes.")
@click.option("--repair", metavar="DST", help="Write a copy of every record that can be saved.")
@click.option(
    "--most", type=click.IntRange(0), default=1000, show_default=True, metavar="N", help="Findings of a kind to list."
)
@click.option("--journal", metavar="DIR", help="With --deep: workers and parts keep beside it what they found.")
@dry_run_option
@engine_options(workers=1)
@click.option("--overwrite", is_flag=True, help="Replace what facekit wrote at DST; other files there stay.")
@click.option("--json", "as_json", is_flag=True, help="Print counts and findings as JSON.")
def command(as_json: bool, **given: Any) -> int:
    """Find every fault of a pack, and save what can be saved.

    The file is walked from its first byte to its last, whatever the index says: framing, index, record 0, identity
    ranges, labels, property. Exit code 1 when anything is wrong, and one finding for each fault, with key and offset.
    The repaired copy has contiguous labels (labels.csv), and its train.ledger.parquet lists what could not be saved.

    \b
    Examples:
      facekit check ms1m-retinaface --deep
      facekit check broken --repair mended
    """
    from facekit.jobs.packs.check import CheckConfig, check

    summary = check(CheckConfig(**given))
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of(summary))
    return 1 if summary.counts else 0


def text_of(summary: CheckSummary) -> str:
    """The summary for a person: the first findings of each kind."""
    from facekit.records.findings import KINDS

    held = f"{summary.records:,} records, {summary.images:,} images, {summary.identities:,} identities"
    lines = [f"{summary.source}: layout {summary.layout}, {held}"]
    for kind, count in summary.counts.items():
        lines.append(f"{count:,} x {kind}: {KINDS[kind]}")
        kept = [finding for finding in summary.findings if finding["kind"] == kind]
        lines += [f"  {place_of(finding)}{finding['problem']}" for finding in kept[:SHOWN]]
        lines += rest_of(count, len(kept))
    if not summary.counts:
        lines.append("nothing is wrong" + ("" if summary.deep else "; --deep looks at the pictures too"))
    if summary.repaired is not None:
        lines.append(f"saved {summary.saved:,} images to {summary.repaired}, {summary.lost:,} losses in its ledger")
    if summary.changed:
        lines.append(f"{summary.changed:,} of them are not what they were: the ledger there says payload_changed")
    return "\n".join(lines)


def rest_of(count: int, kept: int) -> list[str]:
    """What is not shown of a kind, and where it is."""
    left = count - min(kept, SHOWN)
    if not left:
        return []
    listed = "--json lists them" if kept == count else f"--json lists {kept:,} in all: a larger --most lists more"
    return [f"  and {left:,} more; {listed}"]


def place_of(finding: dict[str, object]) -> str:
    """Key and offset, as far as they are known."""
    places = [f"{name} {finding[name]}" for name in ("key", "offset") if finding[name] is not None]
    return ", ".join(places) + ": " if places else ""
