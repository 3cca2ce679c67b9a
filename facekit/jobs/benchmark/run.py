"""``facekit benchmark run``: a model, or the vectors it made of a benchmark, in; one table and one page out."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from facekit.embeddings import Features
from facekit.errors import ConfigError
from facekit.jobs.benchmark.config import RunConfig
from facekit.jobs.benchmark.folder import Benchmark, open_benchmark
from facekit.jobs.benchmark.plan import STYLES
from facekit.jobs.benchmark.protocols import ALIKE, AS_DRAWN, alikeness, drawn_people, score_of, scores_of, tar_of
from facekit.jobs.embed.pace import TIMED
from facekit.jobs.evaluate.comparisons import Score
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.faces import Faces, Network, of_features, of_pack, open_subject
from facekit.jobs.inputs.model import model_input
from facekit.output import HTML, Input, check_files, input_of, open_files
from facekit.output.dry_run import Forecast, is_dry, stop_if_dry
from facekit.report.benchmark_page import build_benchmark_page

__all__ = ["RunSummary", "run_benchmark", "run_on"]

PAGE_BYTES = 1_000_000
"""The page is one table."""


@dataclass(frozen=True)
class RunSummary:
    """The result of ``facekit benchmark run``.

    Attributes
    ----------
    benchmark : str
        Its name.
    content : str
        Digest of the pictures that were scored.
    published : bool or None
        Whether they are the published ones, byte for byte.
    apart : float or None
        By how many levels of 255 they differ from the published ones; another processor makes .02. Above .1 they are
        other pictures, and figures cannot be compared.
    model : str
        BLAKE2b of the model file.
    pictures : int
        That have a vector.
    missing : int
        That have none; their pairs are left out.
    far : float
        Of the score and of the check.
    score : float or None
        A quarter of masked to bare and three quarters of bare to bare.
    scores : tuple of Score
        Of every protocol, and of the verification list.
    alike : float or None
        Mean cosine of bare pictures of two people. A network of photographs finds drawn people alike.
    saw_drawn : bool
        It does not: it was probably trained on drawn people, and ranks too high.
    style_gap : dict from str to float
        By how much the TAR falls from the pictures as drawn to the same ones in each other look, over what it was as
        drawn.
    page : str or None
        What was written.
    """

    benchmark: str
    content: str
    published: bool | None
    apart: float | None
    model: str
    pictures: int
    missing: int
    far: float
    score: float | None
    scores: tuple[Score, ...]
    alike: float | None
    saw_drawn: bool
    style_gap: dict[str, float]
    page: str | None = None


def run_benchmark(config: RunConfig) -> RunSummary:
    """Score a model, or the vectors it made.

    Parameters
    ----------
    config : RunConfig

    Returns
    -------
    RunSummary

    Raises
    ------
    ConfigError
        There is no benchmark, or the vectors are not of it.
    RecordError, FacekitError
        Something that is to be read is missing, corrupt or changed.
    """
    read = [input_of(path, lambda: ()) for path in (config.benchmark, config.subject)]
    if config.page is not None:
        check_files({config.page: HTML}, read, config.overwrite)
    benchmark = open_benchmark(config.benchmark)
    subject = open_subject(config.subject, config.model)
    if is_dry():
        _tell(config, benchmark, subject, read)
    if isinstance(subject, Features):
        faces, model = _known(benchmark, of_features(subject), config.subject), subject.model_hash
    else:
        faces, model = of_pack(subject, config.benchmark), subject.engine.model_hash
        read.append(model_input(config.model))
    summary = run_on(benchmark, faces, model, EvalConfig(config.subject, config.model, bootstrap=config.bootstrap,
                     folds=benchmark.spec.folds, folds_by="identity"), config.page)  # fmt: skip
    if config.page is not None:
        with open_files({config.page: HTML}, "benchmark run", read, asdict(config), config.overwrite) as output:
            # A name that is not UTF-8 is shown with its bytes escaped.
            output.paths[0].write_text(build_benchmark_page(config.subject, summary), "utf-8", "backslashreplace")
    return summary


def _tell(config: RunConfig, benchmark: Benchmark, subject: Network | Features, read: list[Input]) -> None:
    """End with the plan."""
    times, said, device = dict[str, float | None](), "the vectors are there; scoring takes a minute or two", None
    if isinstance(subject, Features):
        faces = _known(benchmark, of_features(subject), config.subject)
    else:
        faces, device = of_pack(subject, config.benchmark), config.model.device
        times, said = {"network": faces.seconds}, f"{TIMED.format(device)}; scoring takes a minute or two more"
        read = [*read, model_input(config.model)]
    known = int((faces.rows_of(benchmark.faces.key) >= 0).sum())
    counts = {"pictures": known, "missing": len(benchmark.faces.key) - known, "pairs": benchmark.spec.pairs}
    forecast = Forecast(len(benchmark.faces.key), counts=counts, times=times, timed=said, device=device)
    if config.page is None:
        stop_if_dry("benchmark run", None, tuple(read), 0, forecast=forecast)
    else:
        about = (asdict(config), config.overwrite, PAGE_BYTES)
        open_files({config.page: HTML}, "benchmark run", read, *about, forecast=forecast)


def run_on(benchmark: Benchmark, faces: Faces, model: str, config: EvalConfig, page: str | None = None) -> RunSummary:
    """Score vectors of a benchmark's pictures, wherever they come from.

    Parameters
    ----------
    benchmark : Benchmark
    faces : Faces
    model : str
        What they come from.
    config : EvalConfig
        Of the intervals and folds.
    page : str, optional
        Named in the summary.

    Returns
    -------
    RunSummary
    """
    scores, far = scores_of(benchmark, faces, config), benchmark.spec.far
    alike = alikeness(drawn_people(benchmark, faces))
    pictures = int((faces.rows_of(benchmark.faces.key) >= 0).sum())
    return RunSummary(
        benchmark=benchmark.name,
        content=benchmark.content,
        published=benchmark.published,
        apart=benchmark.apart,
        model=model,
        pictures=pictures,
        missing=len(benchmark.faces.key) - pictures,
        far=far,
        score=score_of(scores, far),
        scores=tuple(scores),
        alike=alike,
        saw_drawn=alike is not None and alike < ALIKE,
        style_gap=_style_gap(scores, far),
        page=page,
    )


def _known(benchmark: Benchmark, faces: Faces, named: str) -> Faces:
    """Refuse vectors of another pack: their keys or labels are not the benchmark's."""
    table = benchmark.faces
    rows = faces.rows_of(table.key)
    there = rows >= 0
    if not there.any() or len(faces.keys) > there.sum() or (faces.set.labels[rows[there]] != table.person[there]).any():
        raise ConfigError(
            f"{named} holds vectors of other pictures than those of {benchmark.folder}: make them with facekit embed "
            f"{benchmark.folder} FEATURES --model MODEL"
        )
    return faces


def _style_gap(scores: list[Score], far: float) -> dict[str, float]:
    drawn = tar_of(scores, AS_DRAWN, far)
    if not drawn:
        return {}
    tars = {style: tar_of(scores, style, far) for style in STYLES}
    return {style: 1 - tar / drawn for style, tar in tars.items() if tar is not None}
