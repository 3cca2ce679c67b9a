"""What the jobs of a benchmark are asked to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from facekit.errors import ConfigError
from facekit.jobs.benchmark.presets import PRESETS, BenchmarkSpec
from facekit.jobs.inputs.checks import check_at_least, check_choice
from facekit.jobs.inputs.model import ModelChoice
from facekit.run.choice import LOCAL, ExecutorChoice

__all__ = ["MakeConfig", "RunConfig", "ScoreConfig"]

MOST_SEEDS = 1 << 32


@dataclass(frozen=True)
class MakeConfig:
    """Settings of ``facekit benchmark make``.

    Attributes
    ----------
    destination : str
        Folder that will appear when everything is done.
    preset : str
        One of `facekit.jobs.benchmark.presets.PRESETS`.
    seed : int, optional
        Another benchmark of the same kind, with a name of its own; counted from the first seed of benchmarks.
    workers : int
        Worker processes; the output does not depend on it.
    executor : ExecutorChoice
        Where the workers are, and which part of the shards is done; the output does not depend on it.
    overwrite : bool

    Raises
    ------
    ConfigError
        A value is not allowed; the message says what was given and what is allowed.
    """

    destination: str
    preset: str = "drawn-mfr-v1"
    seed: int | None = None
    workers: int = 1
    executor: ExecutorChoice = LOCAL
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_choice("preset", self.preset, tuple(PRESETS))
        check_at_least("workers", self.workers, 1)
        if self.seed is not None and not 0 <= self.seed < MOST_SEEDS:
            raise ConfigError(f"seed is {self.seed}; it must be from 0 to 2**32 - 1")

    @property
    def spec(self) -> BenchmarkSpec:
        """What is to be made."""
        spec = PRESETS[self.preset]
        return spec if self.seed is None else replace(spec, seed=self.seed)


@dataclass(frozen=True)
class RunConfig:
    """Settings of ``facekit benchmark run``.

    Attributes
    ----------
    benchmark : str
        A folder that ``facekit benchmark make`` wrote.
    subject : str
        A model, or the folder of vectors that ``facekit embed`` made of the benchmark.
    model : ModelChoice
        How ``subject`` is used, if it is a model.
    bootstrap : int
        Replicates of the 95% intervals; 0: none.
    page : str, optional
        An ``.html`` to write.
    overwrite : bool
        Replace a page that facekit wrote.
    """

    benchmark: str
    subject: str
    model: ModelChoice
    bootstrap: int = 200
    page: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_at_least("bootstrap", self.bootstrap, 0)
        if self.page is not None and Path(self.page).suffix != ".html":
            raise ConfigError(f"{self.page} must end in .html: choose such a name")


@dataclass(frozen=True)
class ScoreConfig:
    """Settings of ``facekit benchmark score-cleaning``.

    Attributes
    ----------
    benchmark : str
        A folder that ``facekit benchmark make`` wrote.
    result : str
        What a cleaner says: a ``.csv`` or ``.parquet`` with the columns key, and label or keep or both; or the
        ``decisions.parquet`` of ``facekit clean``.
    task : str
        One of the benchmark's cleaning tasks.
    """

    benchmark: str
    result: str
    task: str
