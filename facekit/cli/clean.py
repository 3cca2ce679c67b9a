"""``facekit clean``, and the options about cleaning that ``facekit sweep`` shares with it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import asdict, fields
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.embed import model_options, take_model
from facekit.cli.options import dry_run_option, engine_options, partial_index_option
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.clean.settings import CleanSettings
    from facekit.jobs.clean.config import CleanSummary

__all__ = ["command", "settings_options", "take_settings", "text_of"]

SETTINGS_OPTIONS = (
    click.option("--mode", type=click.Choice(["published", "robust"]), default="published", show_default=True,
                 help="The method as published, or with what was measured to be better."),
    click.option("--inter", type=float, default=0.75, show_default=True,
                 help="Identities with centres at least this similar are merged; robust mode calibrates its own."),
    click.option("--intra", default="0.25", show_default=True, metavar="COSINE|auto",
                 help="Faces less similar than this to their identity's centre are dropped."),
    click.option("--cluster", type=click.Choice(["dbscan", "hdbscan"]), default="dbscan", show_default=True,
                 help="How the faces of one identity are clustered."),
    click.option("--eps", default="0.55", show_default=True, metavar="DISTANCE|auto",
                 help="Cosine distance of neighbours in a cluster."),
    click.option("--min-samples", type=int, default=2, show_default=True, metavar="N",
                 help="Faces that make a cluster."),
    click.option("--union", type=float, default=0.95, show_default=True,
                 help="Centres at least this similar are one identity under two labels."),
    click.option("--union-action", type=click.Choice(["join", "drop"]), default="join", show_default=True,
                 help="What becomes of the images of the second label."),
    click.option("--guard", type=click.Choice(["complete", "recheck", "none"]), default="complete", show_default=True,
                 help="What stops a chain of merges whose ends are different people."),
)  # fmt: skip


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options about cleaning."""
    return reduce(lambda function, option: option(function), reversed(SETTINGS_OPTIONS), command)


def take_settings(given: dict[str, Any], threads: int = 0) -> CleanSettings:
    """Take the options about cleaning out of what was given."""
    from facekit.clean.settings import CleanSettings

    chosen = {field.name: given.pop(field.name) for field in fields(CleanSettings) if field.name in given}
    numbers = {name: _number(name, chosen[name]) for name in ("intra", "eps")}
    return CleanSettings(**{**chosen, **numbers, "threads": threads})


def _number(name: str, text: str) -> float | str:
    from facekit.errors import ConfigError

    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise ConfigError(f"--{name} is {text!r}: give a number or auto") from None


@click.command("clean", short_help="Purify a pack: merge identities, drop wrong faces.")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--features", metavar="F", help="What facekit embed wrote, or an .npy with a row for each image.")
@click.option("--model", metavar="FILE", help="Embed SRC with this first (kept in DST.features), and test sets too.")
@model_options
@settings_options
@click.option(
    "--exclude",
    multiple=True,
    metavar="TEST",
    help="Drop who is in this test set: a .bin, a pack, a folder of pictures or of vectors. Repeatable.",
)
@click.option(
    "--exclude-identity",
    type=float,
    default=0.6,
    show_default=True,
    help="Similarity of an identity's centre with a test picture.",
)
@click.option("--exclude-image", type=float, default=0.9, show_default=True, help="Likewise of a single face.")
@click.option("--near-duplicates", is_flag=True, help="Also drop pictures that are there again.")
@click.option("--low-quality", is_flag=True, help="Also drop pictures whose norm is far below the others'.")
@click.option("--overrides", metavar="FILE", help="What a person decided (facekit review saves it).")
@click.option("--decisions-only", is_flag=True, help="Write decisions and report, no pack.")
@click.option(
    "--allow-loss",
    type=float,
    default=0.5,
    show_default=True,
    metavar="SHARE",
    help="Refuse a result that takes more of the images or of the identities.",
)
@click.option("--round", type=int, default=0, show_default=True, help="Of self-learning; noted in the decisions.")
@click.option("--report/--no-report", default=True, show_default=True, help="Write DST/report/index.html.")
@dry_run_option
@engine_options(workers=1)
@click.option("--overwrite", is_flag=True, help="Replace what facekit wrote at DST; other files there stay.")
@partial_index_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(as_json: bool, features: str | None, model: str | None, **given: Any) -> None:
    """Purify a pack: identities that are there twice become one, faces that belong to somebody else go.

    SRC is a pack (or a folder of pictures, one folder a person) and stays as it is. DST is a folder that appears when
    everything is done: the cleaned pack, decisions.parquet with a row for every image, identities.parquet, labels.csv,
    report/index.html. facekit apply SRC DST OTHER makes the same pack again, or undoes it.

    \b
    Example:
      facekit clean ms1m ms1m-clean --features ms1m-features --intra 0.25
    """
    from facekit.errors import ConfigError
    from facekit.jobs.clean.config import CleanConfig
    from facekit.jobs.clean.features import embed_beside
    from facekit.jobs.clean.job import clean

    threads, device = given["threads"], given["device"]
    choice = take_model(model or "", given)
    settings = take_settings(given, threads)
    if not model and not features:
        raise ConfigError("nothing says what the faces look like: give --features F or --model M")
    if not features and given["executor"].part is not None:
        raise ConfigError(
            "parts of clean share the clustering of faces that are embedded already: share facekit embed first, and "
            "give --features F"
        )
    features = features or embed_beside(given["source"], given["destination"], choice, given["partial_index"])
    config = CleanConfig(features=features, model=choice if model else None, settings=settings, device=device, **given)
    summary = clean(config)
    text = text_of(summary, pack=not config.decisions_only, hint=True)
    if config.decisions_only:
        text += f"\nfacekit apply {shlex.quote(config.source)} {shlex.quote(config.destination)} DST makes the pack"
    echo(json.dumps(asdict(summary), indent=2) if as_json else text)


MODES = {
    "published": "--mode robust, which also moves dropped faces to where they belong, kept people better together "
    "where that was measured (pairwise F1 .999 against .933)",
    "robust": "--mode published is the method as published, for results that are to be compared with others'",
}
"""What the mode that was not chosen is for; see ``docs/cleaning.md``."""


def text_of(summary: CleanSummary, pack: bool = True, hint: bool = False) -> str:
    """The summary for a person.

    Parameters
    ----------
    summary : CleanSummary
    pack : bool
        Whether a pack was written, not only decisions.
    hint : bool
        Whether to say what the other mode is for.
    """
    taken = f"{summary.images:,} images of {summary.identities:,} identities"
    fate = f"{summary.kept:,} kept, {summary.moved:,} moved, {summary.dropped:,} dropped, {summary.review:,} to review"
    given = f"{summary.images_out:,} images of {summary.identities_out:,} identities"
    reasons = [f"  {name:16}{count:>12,}" for name, count in sorted(summary.reasons.items(), key=lambda one: -one[1])]
    lines = [
        f"{taken}: {fate}",
        *reasons,
        f"{given} in {summary.destination} ({summary.seconds:,.1f} s)"
        if pack
        else f"{given} would be left; decisions only, in {summary.destination} ({summary.seconds:,.1f} s)",
        *[summary.config] * pack,
    ]
    lines += [f"  {name:20}{count:>12,}" for name, count in summary.found.items()]
    if summary.found.get("with channels swapped"):
        lines.append("channels are swapped: red and blue of those pictures are the other way round than in the list")
    lines += [f"the list is {summary.signature}"] * bool(summary.signature)
    report = Path(summary.destination, "report", "index.html")
    if hint and report.is_file():
        lines.append(f"report  {report}; facekit review {shlex.quote(summary.destination)} opens it for changes")
    if hint and summary.settings.get("mode") in MODES:
        mode = summary.settings["mode"]
        lines.append(f"this was --mode {mode}; {MODES[mode]}: docs/cleaning.md")
    if "pairs_recall" in summary.settings:
        lines.append(f"similar identities were searched approximately: {summary.settings['pairs_recall']:.2%} found")
    return "\n".join(lines)
