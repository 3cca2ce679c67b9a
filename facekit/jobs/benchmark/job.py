"""``facekit benchmark make``: people, pairs and protocols that follow from one seed, drawn into one folder.

Plan the pictures, draw the shards of the faces and of the drawn cleaning task, assemble, move into place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from facekit.images import decode
from facekit.jobs.benchmark.config import MakeConfig
from facekit.jobs.benchmark.finish import (
    CLEANING,
    DRAWN_TASK,
    MANIFEST,
    write_faces,
    write_manifest,
    write_planted,
    write_truth,
)
from facekit.jobs.benchmark.plan import BenchmarkPlan, cleaning_pack, make_plan, name_of
from facekit.jobs.benchmark.presets import PUBLISHED
from facekit.jobs.benchmark.shard import start_drawing
from facekit.jobs.benchmark.sketch import distance, sketch
from facekit.jobs.inputs.source import open_source
from facekit.jobs.inputs.source_records import read_records
from facekit.jobs.synth.config import SynthConfig
from facekit.jobs.synth.finish import TRUTH, assemble_pack
from facekit.jobs.synth.job import textured_shells
from facekit.jobs.synth.shard import SynthTask, SynthWorker, start_worker
from facekit.output import FolderOutput, check_folder, open_folder
from facekit.output.dry_run import Forecast
from facekit.run.compiling import compile_ahead
from facekit.run.ledger import LEDGER
from facekit.run.platform_stamp import instruction_set
from facekit.run.shards import Shard, cut, shard_size
from facekit.run.trial import forecast_shards
from facekit.run.user_files import read_json
from facekit.run.work import ShardWork, run_job
from facekit.synth.plan import Roster, make_roster

__all__ = ["MakeSummary", "make_benchmark"]

BYTES_A_PICTURE = 20_000
LIBRARIES = ("numpy", "numba", "opencv-python-headless")
"""Those that decide pixels."""


@dataclass(frozen=True)
class MakeSummary:
    """The result of ``facekit benchmark make``.

    Attributes
    ----------
    destination : str
    name : str
        Of the benchmark: the same wherever the same preset and seed are made.
    content : str
        Digest of the pictures that were drawn here.
    published : bool or None
        Whether it is the published one, byte for byte; None where none is published.
    apart : float or None
        By how many levels of 255 its pictures differ from the published ones (estimated, root mean square of fields of
        7 x 7 pixels); another processor makes .02.
    people, pictures, pairs : int
        Of the faces to recognize, and of the verification list.
    by_role : dict from str to int
        Pictures by what they are for.
    cleaning : dict from str to int
        Images of each cleaning task.
    seconds : float
    """

    destination: str
    name: str
    content: str
    published: bool | None
    apart: float | None
    people: int
    pictures: int
    pairs: int
    by_role: dict[str, int]
    cleaning: dict[str, int]
    seconds: float


class Work(NamedTuple):
    """What is drawn, in the order of the shards: faces first, then the drawn cleaning task.

    Attributes
    ----------
    plan : BenchmarkPlan
    roster : Roster
        Of the cleaning task.
    shards : list of Shard
    faces : int
        How many of the shards are of faces.
    """

    plan: BenchmarkPlan
    roster: Roster
    shards: list[Shard]
    faces: int


def make_benchmark(config: MakeConfig) -> MakeSummary:
    """Draw a benchmark.

    Parameters
    ----------
    config : MakeConfig

    Returns
    -------
    MakeSummary

    Raises
    ------
    ConfigError, DestinationExists
        The destination exists, another run is writing it, or an unfinished run was made with other settings or on a
        processor of another instruction set.
    """
    started = perf_counter()
    check_folder(config.destination, (), config.overwrite)
    settings = {"preset": config.preset, "spec": asdict(config.spec), "instruction_set": instruction_set()}
    work = _cut(config)
    needed, shared = BYTES_A_PICTURE * work.shards[-1].stop, config.executor.part is not None
    drawing = ShardWork("drawing", work.shards, SynthTask, start, config, config.workers, config.executor)
    told = Forecast(0, counts=_counts(config, work))
    output = open_folder(
        config.destination, "benchmark make", (), settings, config.overwrite, needed, shared,
        forecast=lambda finished: forecast_shards(drawing, told, finished, rooms=("synth", "masks")),
    )  # fmt: skip
    compile_ahead("synth", config.executor.engine)
    run_job(output, drawing, lambda output: _assemble(config, work, output))
    return _summary(config, work, perf_counter() - started)


def _counts(config: MakeConfig, work: Work) -> dict[str, int]:
    """What is drawn, for a dry run."""
    spec, faces = config.spec, len(work.plan.person)
    counts = {"people": spec.adults + spec.children, "pictures of them": faces, "pairs": spec.pairs}
    counts |= {f"cleaning {DRAWN_TASK}": work.shards[-1].stop - faces}
    return counts | {f"cleaning {name}: people": task.people for name, task in spec.planted.items()}


def _cut(config: MakeConfig) -> Work:
    plan, roster = make_plan(config.spec), make_roster(cleaning_pack(config.spec))
    count, drawn = len(plan.person), int(roster.starts[-1])
    faces = cut(count, shard_size(count), plan.person)
    labels = np.repeat(np.arange(len(roster.starts) - 1), np.diff(roster.starts))
    others = cut(drawn, shard_size(drawn), labels)
    moved = [Shard(len(faces) + one.number, count + one.first, count + one.stop) for one in others]
    return Work(plan, roster, faces + moved, len(faces))


def start(config: MakeConfig) -> Callable[[SynthTask], Shard]:
    """What a worker does with a task of either kind."""
    work = _cut(config)
    count = len(work.plan.person)
    spec = cleaning_pack(config.spec)
    draw, synth = (
        start_drawing(config.spec),
        start_worker(SynthWorker(SynthConfig(config.destination, spec, "flat"), textured_shells)),
    )

    def do(task: SynthTask) -> Shard:
        if task.shard.number < work.faces:
            return draw(task)
        moved = Shard(task.shard.number, task.shard.first - count, task.shard.stop - count)
        synth(SynthTask(moved, task.path))
        return task.shard

    return do


def _assemble(config: MakeConfig, work: Work, output: FolderOutput) -> None:
    folder, spec = output.new_folder(), config.spec
    files = [output.shard(shard.number) for shard in work.shards]
    content = write_faces(folder, output.scratch("faces"), files[: work.faces], spec, work.plan)
    drawn = folder / CLEANING / DRAWN_TASK
    aside = {LEDGER: output.scratch("drawn-ledger"), TRUTH: output.scratch("drawn-truth")}
    assemble_pack(files[work.faces :], int(work.roster.starts[-1]), "flat", drawn, aside)
    write_truth(drawn)
    for name, task in spec.planted.items():
        write_planted(folder / CLEANING / name, spec, name, task)
    about = {
        "name": name_of(config.preset, spec),
        "preset": config.preset,
        "content": content,
        "published": _is_published(config, content),
        "apart": _apart(config, folder),
        "instruction_set": instruction_set(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }
    write_manifest(folder, about, spec)


def _is_published(config: MakeConfig, content: str) -> bool | None:
    """Whether these pictures are, byte for byte, those of which figures were published."""
    if config.seed is not None or config.preset not in PUBLISHED:
        return None
    return PUBLISHED[config.preset].content == content


def _apart(config: MakeConfig, folder: Path) -> float | None:
    """By how many levels the pictures differ from those of which figures were published."""
    if config.seed is not None or config.preset not in PUBLISHED:
        return None
    source, _ = open_source(str(folder), layout="flat")
    found = sketch(decode(record.payload) for record, _ in read_records(source))
    return round(distance(found, PUBLISHED[config.preset].sketch), 4)


def _summary(config: MakeConfig, work: Work, seconds: float) -> MakeSummary:
    folder = Path(config.destination)
    about: Any = read_json(folder / MANIFEST, "make the benchmark again")
    tasks = {name: _images(folder / CLEANING / name) for name in (DRAWN_TASK, *config.spec.planted)}
    return MakeSummary(
        destination=config.destination,
        name=about["name"],
        content=about["content"],
        published=about["published"],
        apart=about["apart"],
        people=config.spec.adults + config.spec.children,
        pictures=len(work.plan.person),
        pairs=config.spec.pairs,
        by_role=dict(Counter(work.plan.roles.tolist())),
        cleaning=tasks,
        seconds=seconds,
    )


def _images(task: Path) -> int:
    from facekit.run.parquet import count_rows

    return count_rows(task / "truth.parquet")
