"""``facekit passport``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.embed import model_options, take_model
from facekit.cli.named_json import to_json
from facekit.cli.options import dry_run_option
from facekit.cli.printing import echo
from facekit.errors import ConfigError

if TYPE_CHECKING:
    from facekit.jobs.passport.config import CheckSummary, PassportSummary

__all__ = ["command"]


@click.command("passport", short_help="Describe a pack, and find what changed since.")
@click.argument("source", metavar="PACK")
@click.argument("destination", metavar="[FILE]", required=False)
@click.option("--check", metavar="FILE", help="Hold the pack against the passport in this file instead.")
@click.option("--features", metavar="F", help="Vectors of the pack that facekit embed wrote: the noise is estimated.")
@click.option(
    "--against", metavar="SET", multiple=True, help="A test set whose overlap with the pack is stated. Repeatable."
)
@click.option("--model", metavar="FILE", help="Embeds the pictures of those test sets.")
@model_options
@click.option("--sample", type=int, default=2000, show_default=True, metavar="N", help="Pictures that are decoded.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of samples and intervals.")
@dry_run_option
@click.option("--overwrite", is_flag=True, help="Replace the file.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(source: str, check: str | None, model: str | None, as_json: bool, **given: Any) -> int:
    """Describe a pack in a file that other people and programs understand, and that a later pack is held against.

    FILE is a Croissant description (JSON-LD) with counts, hashes of every picture and label gathered to two roots, how
    the pack was made, the share of masked pictures and what they give away, sizes and qualities; with --features an
    estimate of its noise; with --against what it shares with test sets. With --check the exit code is 1 where something
    changed, and the keys are named.

    \b
    Examples:
      facekit passport ms1m-clean ms1m-clean.json --features ms1m-features --against lfw.bin --model w600k_r50.onnx
      facekit passport ms1m-clean --check ms1m-clean.json
    """
    from facekit.jobs.passport.config import PassportConfig
    from facekit.jobs.passport.job import check_passport, make_passport

    choice = take_model(model or "", given)
    if check is not None:
        if given["destination"] is not None or given["against"] or given["features"] or model:
            raise ConfigError("--check reads a passport and the pack alone: leave out what a new passport is made with")
        found = check_passport(source, check)
        echo(to_json(found) if as_json else text_of_check(found))
        return int(not found.unchanged)
    summary = make_passport(PassportConfig(source, model=None if model is None else choice, **given))
    echo(to_json(summary) if as_json else text_of(summary))
    return 0


def text_of(summary: PassportSummary) -> str:
    """The summary for a person."""
    said = summary.passport["facekit:passport"]
    tree, masked = said["tree"], said["masked"]
    lines = [
        f"{said['images']:,} images of {said['identities']:,} identities",
        f"pictures  {tree['pictures']['root']}",
        f"labels    {tree['labels']['root']}",
        "made by   " + (", ".join(map(_run, said["lineage"])) or "nobody knows: there is no run.json"),
    ]
    if said["changedSince"]:
        lines.append(f"  but {', '.join(said['changedSince'])} changed since: somebody else wrote there")
    if masked["share"]:
        lines.append(f"masked    {masked['share']:.1%}")
        lines += [f"  upper faces tell masked from bare by their coding: {_codec(masked['codecLeak'])}"]
        types = masked["typeLeak"]
        lines += [f"  identities tell the type: {types['bits']:.4f} bits beyond chance (p {types['p']:.3f})"]
    if "noise" in said:
        low, high = said["noise"]["interval"]
        lines.append(f"noise     {said['noise']['share']:.2%} [{low:.2%}, {high:.2%}] would be dropped or moved")
    lines += [
        f"with {one['with']}: {one['samePictures']:,} pictures and {one['sharedIdentities']:,} identities in common"
        for one in said["overlap"]
    ]
    return "\n".join(lines + [f"passport  {summary.destination}"] * (summary.destination is not None))


def _run(run: dict[str, Any]) -> str:
    """A command, and whose list it applied."""
    who = ", ".join(str(voter.get("who") or "not said") for voter in run.get("said_by", []))
    return f"{run['command']} (a list of {who})" if who else str(run["command"])


def _codec(leak: Any) -> str:
    if isinstance(leak, str):
        return json.dumps(leak)
    return f"AUC {leak['auc']:.3f} [{leak['interval'][0]:.3f}, {leak['interval'][1]:.3f}], .5 is nothing"


def text_of_check(found: CheckSummary) -> str:
    """What changed, for a person."""
    if found.unchanged:
        return f"{found.images:,} images, and every picture, label and the ledger as in {found.passport}"
    lines = [f"{found.images:,} images, {found.images_before:,} in {found.passport}"] * (
        found.images != found.images_before
    )
    for name, runs in (("pictures", found.pictures), ("labels", found.labels)):
        lines += [f"{name} changed, came or went among keys {first:,} to {last:,}" for first, last in runs[:20]]
        lines += [f"  and in {len(runs) - 20:,} more runs of keys"] * (len(runs) > 20)
    lines += [f"the ledger is {found.ledger}"] * (found.ledger != "same")
    return "\n".join(lines)
