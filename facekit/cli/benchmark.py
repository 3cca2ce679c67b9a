"""``facekit benchmark``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.embed import model_options, take_model
from facekit.cli.named_json import to_json
from facekit.cli.options import dry_run_option, engine_options
from facekit.cli.printing import echo
from facekit.errors import as_written

if TYPE_CHECKING:
    from facekit.jobs.benchmark.cleaning import CleaningSummary
    from facekit.jobs.benchmark.job import MakeSummary
    from facekit.jobs.benchmark.run import RunSummary
    from facekit.jobs.evaluate.comparisons import Score

__all__ = ["command"]


@click.group("benchmark", short_help="Draw a benchmark, and score recognizers and cleaners on it.")
def command() -> None:
    """Draw a benchmark, and score recognizers and cleaners on it.

    A drawn benchmark needs no photographs, no server and no licence: it follows from a preset and a seed, and its name
    is a hash of everything that was sampled for it. It ranks recognizers that were not trained on drawn people; its
    figures are not those of real faces.

    \b
    Examples:
      facekit benchmark make drawn
      facekit benchmark run drawn w600k_r50.onnx
    """


@command.command("make", short_help="Draw a benchmark.")
@click.argument("destination", metavar="DST")
@click.option(
    "--preset",
    type=click.Choice(["drawn-mfr-v1", "drawn-tiny"]),
    default="drawn-mfr-v1",
    show_default=True,
    help="Which; drawn-tiny is for trying the commands.",
)
@click.option("--seed", type=int, default=None, metavar="N", help="Another one of its kind.  [default: the preset's]")
@dry_run_option
@engine_options()
@click.option("--overwrite", is_flag=True, help="Replace what facekit wrote at DST; discard an unfinished other run.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def make(as_json: bool, **given: Any) -> None:
    """Draw a benchmark.

    DST is a folder that appears when everything is done: a pack of faces (bare, masked, with noise, blurred, in other
    looks), the verification list pairs.csv, groups.csv, benchmark.json with the name, and cleaning tasks. The people
    have seeds that facekit synth refuses. A run that was interrupted goes on when the same command is given again.

    \b
    Example:
      facekit benchmark make drawn --preset drawn-mfr-v1
    """
    from facekit.jobs.benchmark.config import MakeConfig
    from facekit.jobs.benchmark.job import make_benchmark

    summary = make_benchmark(MakeConfig(**given))
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of_make(summary))


def same_pictures(published: bool | None, apart: float | None) -> str:
    """Whether pictures are the published ones, in words."""
    from facekit.jobs.benchmark.sketch import ALIKE_TO

    if published is None:
        return "no digest of it is published"
    if published:
        return "the published pictures, byte for byte"
    if apart is None:
        return "not the published ones to the last bit"
    if apart <= ALIKE_TO:
        return f"the published pictures but for {apart:.3f} levels: another processor or other versions of libraries"
    return f"NOT the published pictures, {apart:.2f} levels away: figures cannot be compared with others'"


def text_of_make(summary: MakeSummary) -> str:
    """The summary for a person."""
    same = same_pictures(summary.published, summary.apart)
    lines = [
        f"{summary.pictures:,} pictures of {summary.people:,} people, {summary.pairs:,} pairs to verify",
        *(f"  {name:20}{count:>10,}" for name, count in summary.by_role.items()),
        *(f"  cleaning {name:16}{count:>5,} images" for name, count in summary.cleaning.items()),
        f"{summary.seconds:,.1f} s",
        f"name     {summary.name}",
        f"content  {summary.content} ({same})",
        f"folder   {summary.destination}",
    ]
    return "\n".join(lines)


@command.command("run", short_help="Score a recognizer on a benchmark.")
@click.argument("benchmark", metavar="BENCH")
@click.argument("subject", metavar="MODEL|FEATURES")
@model_options
@click.option(
    "--bootstrap", type=int, default=200, show_default=True, metavar="N", help="Replicates of 95% intervals; 0: none."
)
@click.option("--page", metavar="FILE.html", help="Write the table as a page.")
@dry_run_option
@click.option("--overwrite", is_flag=True, help="Replace a page that facekit wrote.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def run(as_json: bool, subject: str, **given: Any) -> None:
    """Score a recognizer on a benchmark.

    FEATURES is what facekit embed made of BENCH. TAR at the benchmark's FARs for masked to bare faces, all bare ones,
    children, groups by skin and age, noise and blur; the accuracy of the verification list in folds that share no
    person; and how much is lost where the same faces are drawn in another look.

    \b
    Examples:
      facekit benchmark run drawn w600k_r50.onnx --page w600k.html
      facekit embed drawn vectors --model w600k_r50.onnx
      facekit benchmark run drawn vectors
    """
    from facekit.jobs.benchmark.config import RunConfig
    from facekit.jobs.benchmark.run import run_benchmark

    model = take_model(subject, given)
    summary = run_benchmark(RunConfig(subject=subject, model=model, **given))
    echo(to_json(summary) if as_json else text_of_run(summary))


def text_of_run(summary: RunSummary) -> str:
    """The summary for a person."""
    from facekit.jobs.benchmark.protocols import ALIKE

    common = [score for score in summary.scores if score.accuracy is None]  # the list of pairs has FARs of its own too
    fars = sorted({point.far for score in common for point in score.points}, reverse=True)
    lines = [f"{'TAR at FAR':24}" + "".join(f"{far:>10g}" for far in fars)]
    for score in summary.scores:
        if score.refused is not None:
            lines.append(f"{score.name:24}  {score.refused}")
            continue
        tars = {point.far: f"{point.tar:.2%}" for point in score.points}
        lines.append(f"{score.name:24}" + "".join(f"{tars.get(far, ''):>10}" for far in fars) + accuracy_of(score))
    if summary.score is not None:
        lines.append(f".25 masked to bare + .75 bare to bare at FAR {as_written(summary.far)}: {summary.score:.2%}")
    if summary.alike is not None:
        warning = (
            ": unless its vectors lack their mean, it was probably trained on drawn people, and ranks too high"
            if summary.saw_drawn
            else f"; below {ALIKE:g} it would have been trained on drawn people, and on no photographs beside them"
        )
        lines.append(f"mean cosine of two drawn people {summary.alike:.3f}{warning}")
    lines += [f"lost of the TAR as drawn, {name}: {gap:.1%}" for name, gap in summary.style_gap.items()]
    lines += [f"{summary.missing:,} pictures without a vector: their pairs are left out"] * bool(summary.missing)
    lines += [
        f"name     {summary.benchmark}",
        f"content  {summary.content} ({same_pictures(summary.published, summary.apart)})",
        f"model    {summary.model}",
    ]
    return "\n".join(lines + [f"page     {summary.page}"] * (summary.page is not None))


def accuracy_of(score: Score) -> str:
    """The accuracy of a list of pairs, where there is one."""
    if score.accuracy is None:
        return ""
    between = score.accuracy_interval
    return f"  accuracy {score.accuracy:.2%}" + ("" if between is None else f" [{between[0]:.2%}, {between[1]:.2%}]")


@command.command("score-cleaning", short_help="Score what a cleaner says of a planted task.")
@click.argument("benchmark", metavar="BENCH")
@click.argument("result", metavar="RESULT")
@click.option("--task", required=True, metavar="NAME", help="drawn, planted-strong, planted-weak or planted-noisy.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def score_cleaning(as_json: bool, **given: Any) -> None:
    """Score what a cleaner says of a planted task.

    RESULT is a .csv or .parquet with one row an image of BENCH/cleaning/NAME: key, and label (new; below 0: dropped),
    or keep (0 or 1), or both; facekit clean's decisions.parquet is one. Labels may be renumbered and merged.

    \b
    Example:
      facekit benchmark score-cleaning drawn mine.csv --task planted-strong
    """
    from facekit.jobs.benchmark.cleaning import score_result
    from facekit.jobs.benchmark.config import ScoreConfig

    summary = score_result(ScoreConfig(**given))
    echo(to_json(summary) if as_json else text_of_cleaning(summary))


def text_of_cleaning(summary: CleaningSummary) -> str:
    """The summary for a person."""
    lines = [f"{summary.result.images:,} images, {summary.result.wrong:,} of them wrong",
             f"{'':20}{'result':>10}{'as given':>10}"]  # fmt: skip
    for name in ("kept", "removed"):
        values = (getattr(side, name) for side in (summary.result, summary.as_given))
        lines.append(f"{name:20}" + "".join(f"{value:>10,}" for value in values))
    for name in ("drop_precision", "drop_recall", "drop_f1", "pairwise_f1", "hard_lost"):
        values = (getattr(side, name) for side in (summary.result, summary.as_given))
        lines.append(f"{name.replace('_', ' '):20}" + "".join(f"{value:>10.4f}" for value in values))
    return "\n".join([*lines, f"name  {summary.benchmark}, task {summary.task}"])
