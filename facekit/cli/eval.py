"""``facekit eval``."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.embed import model_options, take_model
from facekit.cli.named_json import to_json
from facekit.cli.options import dry_run_option, engine_options
from facekit.cli.printing import echo
from facekit.errors import as_written

if TYPE_CHECKING:
    from facekit.evaluate import Interval
    from facekit.jobs.evaluate.job import EvalSummary
    from facekit.jobs.evaluate.scores import Score

__all__ = ["command"]

BRANCHES = {
    "face": "the branch for faces",
    "masked": "the branch for masked faces",
    "both": "both branches",
    "auto": "the branch that each looked right for",
}


def _take_one(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> str | None:
    if len(given) > 1:
        raise click.BadParameter("one file at a time: give the command once for each", context, parameter)
    return given[0] if given else None


@click.command("eval", short_help="Score a model, or the vectors it made.")
@click.argument("subject", metavar="MODEL|FEATURES")
@click.option(
    "--pairs",
    metavar="FILE",
    multiple=True,
    callback=_take_one,
    help="Pairs to verify: a .bin, or a .csv with key_a, key_b, same.",
)
@click.option("--gallery", metavar="P", help="Pack, or folder of vectors, to look in; or a .mat of TinyFace.")
@click.option("--probe", metavar="P", help="Pack, or folder of vectors, of the probes; or a .mat of TinyFace.")
@click.option(
    "--related", is_flag=True, help="The probes were made from the gallery: a photograph is not its own match."
)
@click.option("--pack", metavar="P", help="Pack that keys belong to; alone: its masked faces against its bare ones.")
@model_options
@click.option("--wear", metavar="TYPE", help="Put this mask on the second of each pair, or on the probes.")
@click.option(
    "--side", type=click.Choice(["second", "both"]), default="second", show_default=True, help="Who wears it."
)
@click.option("--blur", type=float, default=0.0, metavar="SIGMA", help="Blur all pictures by that many pixels.")
@click.option("--groups", metavar="FILE", help="A .csv or .parquet with key and columns of groups to score one by one.")
@click.option("--far", "fars", type=float, multiple=True, metavar="RATE", help="A FAR; may be repeated.")
@click.option("--folds", type=int, default=10, show_default=True, metavar="N", help="Folds of the accuracy.")
@click.option(
    "--folds-by",
    type=click.Choice(["pair", "identity"]),
    default="pair",
    show_default=True,
    help="Runs of pairs, as on LFW, or folds that share no person with what decides their threshold.",
)
@click.option(
    "--bootstrap", type=int, default=1000, show_default=True, metavar="N", help="Replicates of 95% intervals; 0: none."
)
@click.option(
    "--rank",
    "ranks",
    type=int,
    multiple=True,
    default=(1, 5),
    show_default=True,
    metavar="K",
    help="Of identification.",
)
@click.option("--fpir", "fpirs", type=float, multiple=True, metavar="RATE", help="Of an open set; may be repeated.")
@click.option(
    "--templates", metavar="FILE", help="IJB's list (name, template, medium); the other lists name templates."
)
@click.option(
    "--aggregate", type=click.Choice(["mean", "norm"]), default="mean", show_default=True, help="Pictures to templates."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the masks, and of the bootstrap.")
@click.option(
    "--features", metavar="DIR", help="Embed the --pack into this folder first, shared; what is there is taken."
)
@dry_run_option
@engine_options(workers=1)
@click.option("--plots", metavar="DIR", help="Write the ROC, and what is known of uncertainty, as SVG pictures.")
@click.option("--overwrite", is_flag=True, help="Replace pictures that facekit drew there before.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(as_json: bool, subject: str, **given: Any) -> None:
    """Score a model, or the vectors it made.

    With --pairs: 10-fold accuracy and TAR at FARs. With --gallery and --probe: TAR over all pairs, identification by
    rank, and TPIR at FPIRs where probes have no mate. In brackets stand 95% intervals: people are drawn again.
    With a --pack that facekit masked, or the vectors of one: masked to bare, bare to bare,
    masked to masked, and the bare faces of each group; the score of ICCV21-MFR is .25 of masked to bare at FAR 1e-4 and
    .75 of bare to bare at 1e-6. A masked copy is never compared with its original. A FAR below one over the number of
    impostor pairs is refused.

    --features DIR keeps the vectors of the --pack and shares the work: several processes, a Ray cluster, or one
    --part I/N on each machine, and then the same command without --part, which scores.

    \b
    Example, LFW with a mask on the second picture of each pair:
      facekit eval w600k_r50.onnx --pairs lfw.bin --wear surgical-blue --flip
    """
    from facekit.jobs.evaluate.config import EvalConfig
    from facekit.jobs.evaluate.job import evaluate

    model = take_model(subject, given)
    summary = evaluate(EvalConfig(subject=subject, model=model, **given))
    echo(to_json(summary) if as_json else text_of(summary))


def text_of(summary: EvalSummary) -> str:
    """The summary for a person."""
    lines = [line for score in summary.scores for line in lines_of(score)]
    if summary.contradictions:
        lines.append(f"  {summary.contradictions:,} pairs contradict the labels: are these keys of another pack?")
    if summary.masked_score is not None:
        lines.append(f".25 masked to bare at 1e-4 + .75 bare to bare at 1e-6: {summary.masked_score:.2%} (ICCV21-MFR)")
    lines += [f"not measured for ICCV21-MFR: {sentence}" for sentence in summary.protocol_missing]
    if summary.ranks is not None:
        lines += [f"rank-{rank} identification {accuracy:.2%}" for rank, accuracy in summary.ranks.items()]
        lines += [f"  {summary.probes_without_mate:,} probes have no mate in the gallery"] * bool(
            summary.probes_without_mate
        )
    lines += [f"TPIR {tpir:.2%} at FPIR {as_written(fpir)} (similarity above {limit:.4f})"
              for fpir, tpir, limit in summary.open_set]  # fmt: skip
    lines += [f"median |sigma| of {kind} faces: {value:.3g}" for kind, value in summary.uncertainty.items()]
    lines.append(f"{summary.pictures:,} pictures" + speed_of(summary))
    lines += [f"  {count:,} through {BRANCHES[name]}" for name, count in summary.branches.items()]
    lines += [f"  {count:,} without a vector: {error}" for error, count in summary.errors.items()]
    lines += [f"  {summary.left_out:,} pairs left out because of them"] * bool(summary.left_out)
    lines.append(f"model  {summary.model}")
    return "\n".join(lines + [f"plot   {path}" for path in summary.plots])


def lines_of(score: Score) -> list[str]:
    """A comparison, one line a FAR."""
    if score.refused is not None:
        return [f"{score.name}: {score.refused}"]
    lines = [f"{score.name}: {score.genuine:,} genuine and {score.impostor:,} impostor pairs"]
    if score.accuracy is not None:
        shown = between(score.accuracy_interval)
        limits = f"thresholds {min(score.fold_thresholds):.4f} to {max(score.fold_thresholds):.4f}"
        lines.append(f"  accuracy {score.accuracy:.2%}{shown} +- {score.deviation:.2%} over folds, {limits}")
    for point, interval in zip_longest(score.points, score.intervals):
        share = f"{point.true_accepts:,} of {point.genuine:,}"
        limit = f"similarity above {point.threshold:.4f}"
        lines.append(f"  TAR {point.tar:.2%}{between(interval)} at FAR {as_written(point.far)} ({share}, {limit})")
    return lines


def between(interval: Interval | None) -> str:
    """A 95% interval."""
    return "" if interval is None else f" [{interval[0]:.2%}, {interval[1]:.2%}]"


def speed_of(summary: EvalSummary) -> str:
    """How long the network took."""
    return "" if summary.milliseconds_per_image is None else f", {summary.milliseconds_per_image:.2f} ms each"
