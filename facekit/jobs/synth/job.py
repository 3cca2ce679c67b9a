"""``facekit synth``: a pack of drawn people, with everything known about them beside it.

Plan the labels, draw the shards, assemble the output, move it into place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError
from facekit.jobs.synth.config import SynthConfig
from facekit.jobs.synth.finish import SHEET, TRUTH, assemble_output
from facekit.jobs.synth.shard import SynthTask, SynthWorker, WearMask, start_worker
from facekit.output import check_folder, open_folder
from facekit.output.dry_run import Forecast
from facekit.run.compiling import compile_ahead
from facekit.run.ledger import LEDGER
from facekit.run.parquet import parquet_batches
from facekit.run.platform_stamp import instruction_set
from facekit.run.shards import Shard, cut, shard_size
from facekit.run.trial import forecast_shards
from facekit.run.work import ShardWork, run_job
from facekit.synth.plan import BENCHMARK_SEEDS, make_roster

__all__ = ["SynthSummary", "synth", "textured_shells"]

BYTES_A_PICTURE = 20_000
"""What a drawn picture takes at the most, in its shard and in the output together."""


@dataclass(frozen=True)
class SynthSummary:
    """The result of ``facekit synth``.

    Attributes
    ----------
    destination, truth, ledger, contact : str
        Where the pack, the truth about it, its ledger and a sheet of its first pictures lie.
    layout : str
    identities, labels, images : int
        People, labels (more where people were split between two) and pictures.
    by_kind : dict from str to int
        Pictures by kind; see `facekit.synth.plan.KINDS`.
    bytes : int
        Size of ``train.rec``.
    seconds, images_per_second : float
        Of this run; what an earlier one had finished is not counted.
    """

    destination: str
    truth: str
    ledger: str
    contact: str
    layout: str
    identities: int
    labels: int
    images: int
    by_kind: dict[str, int]
    bytes: int
    seconds: float
    images_per_second: float


def textured_shells() -> WearMask:
    """The masks of facekit, every type as often as the others."""
    from facekit.masks import TYPES, MaskOptions, render_worn, sample_params

    names, options = list(TYPES), MaskOptions()

    def wear(
        image: NDArray[np.uint8], vertices: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], str, str]:
        params = sample_params(rng, names[int(rng.integers(len(names)))], options)
        worn = render_worn(image, vertices, params)
        return worn.image, params.type, worn.params.to_json()

    return wear


def synth(config: SynthConfig, wear: Callable[[], WearMask] = textured_shells) -> SynthSummary:
    """Draw a pack of people.

    Parameters
    ----------
    config : SynthConfig
    wear : callable
        Makes the function that puts masks on drawn faces; importable by name.

    Raises
    ------
    ConfigError, DestinationExists
        The settings contradict each other, the seed is one of the benchmarks', the destination exists, another run is
        writing it, or an unfinished run was made with other settings or on a processor of another instruction set.
    """
    started = perf_counter()
    if config.spec.seed >= BENCHMARK_SEEDS:
        raise ConfigError(
            f"seed is {config.spec.seed}; seeds from 2**62 on are those of facekit benchmark, and a network trained on "
            "its people would be measured on people that it knows: choose a smaller one"
        )
    check_folder(config.destination, (), config.overwrite)
    settings = {
        "config": config.settings(),
        "wear": f"{wear.__module__}.{wear.__qualname__}",
        "instruction_set": instruction_set(),
    }
    starts = make_roster(config.spec).starts
    shards = _shards(starts)
    needed = BYTES_A_PICTURE * int(starts[-1])
    shared = config.executor.part is not None
    counts = {"people": config.spec.identities, "labels": len(starts) - 1, "pictures": int(starts[-1])}
    work = ShardWork(
        "drawing", shards, SynthTask, start_worker, SynthWorker(config, wear), config.workers, config.executor
    )
    rooms = ("synth", "masks") if config.spec.masked else ("synth",)
    output = open_folder(
        config.destination, "synth", (), settings, config.overwrite, needed, shared,
        forecast=lambda finished: forecast_shards(work, Forecast(0, counts=counts), finished, rooms=rooms),
    )  # fmt: skip
    compile_ahead("synth", config.executor.engine)
    done = run_job(output, work, lambda output: assemble_output(shards, config.layout, output))
    return _summarise(config, len(starts) - 1, int(starts[-1]), done, perf_counter() - started)


def _shards(starts: NDArray[np.int64]) -> list[Shard]:
    count = int(starts[-1])
    return cut(count, shard_size(count), np.repeat(np.arange(len(starts) - 1), np.diff(starts)))


def _summarise(config: SynthConfig, labels: int, images: int, done: int, seconds: float) -> SynthSummary:
    shown, kinds = Path(config.destination), Counter[str]()
    for batch in parquet_batches(shown / TRUTH, ["kind"]):
        kinds.update(batch["kind"].to_pylist())
    return SynthSummary(
        destination=str(shown),
        truth=str(shown / TRUTH),
        ledger=str(shown / LEDGER),
        contact=str(shown / SHEET),
        layout=config.layout,
        identities=config.spec.identities,
        labels=labels,
        images=images,
        by_kind=dict(kinds.most_common()),
        bytes=(shown / "train.rec").stat().st_size,
        seconds=seconds,
        images_per_second=done / seconds,
    )
