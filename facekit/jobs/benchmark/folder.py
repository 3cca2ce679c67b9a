"""A benchmark's folder, opened: what it says of itself and of its pictures, compared with its specification."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError, FacekitError, none_of
from facekit.jobs.benchmark.finish import CLEANING, FACES, MANIFEST
from facekit.jobs.benchmark.presets import BenchmarkSpec, PlantedTask
from facekit.records.named_inputs import describe_path, require_there
from facekit.run.ledger import LEDGER
from facekit.run.ledger_reader import ledger_batches
from facekit.run.parquet import read_parquet
from facekit.run.user_files import read_json

__all__ = ["Benchmark", "FaceTable", "open_benchmark", "task_folder"]

CURE = "make the benchmark again with facekit benchmark make"


class FaceTable(NamedTuple):
    """The pictures of a benchmark, as arrays of N.

    Attributes
    ----------
    key, person, source : int64
    child : bool
    role, skin, age : str
    image : int64
    """

    key: npt.NDArray[np.int64]
    person: npt.NDArray[np.int64]
    child: npt.NDArray[np.bool_]
    role: npt.NDArray[np.str_]
    image: npt.NDArray[np.int64]
    source: npt.NDArray[np.int64]
    skin: npt.NDArray[np.str_]
    age: npt.NDArray[np.str_]


class Benchmark(NamedTuple):
    """An opened benchmark.

    Attributes
    ----------
    folder : Path
    name, content : str
    published : bool or None
    apart : float or None
        See `facekit.jobs.benchmark.job.MakeSummary`.
    spec : BenchmarkSpec
    faces : FaceTable
    """

    folder: Path
    name: str
    content: str
    published: bool | None
    apart: float | None
    spec: BenchmarkSpec
    faces: FaceTable


def open_benchmark(path: str) -> Benchmark:
    """Open a benchmark.

    Parameters
    ----------
    path : str
        A folder that ``facekit benchmark make`` wrote.

    Returns
    -------
    Benchmark

    Raises
    ------
    ConfigError
        It is no such folder, or of another version.
    FacekitError
        Its pictures are no longer those that were drawn.
    """
    folder = Path(path)
    require_there(folder, "benchmark")
    if not (folder / MANIFEST).is_file():
        found = describe_path(path)
        raise ConfigError(f"{path} is {found}, no benchmark (it has no {MANIFEST}): facekit benchmark make writes one")
    about = read_json(folder / MANIFEST, CURE)
    spec = _spec(about, folder)
    columns = [np.asarray(column.to_pylist()) for column in read_parquet(folder / FACES).columns]
    faces = FaceTable(*columns)
    found = _content(folder / LEDGER)
    if found != about["content"]:
        raise FacekitError(f"{path} was changed: its pictures have digest {found}, not {about['content']}; {CURE}")
    return Benchmark(folder, about["name"], about["content"], about["published"], about.get("apart"), spec, faces)


def _spec(about: Any, folder: Path) -> BenchmarkSpec:
    try:
        given = dict(about["spec"])
        given["planted"] = {name: PlantedTask(*task) for name, task in given["planted"].items()}
        lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
        spec = BenchmarkSpec(**{**given, **lists})
        names = [about[name] for name in ("name", "content", "published")]
    except (AttributeError, KeyError, TypeError, ValueError):
        names, spec = [], None
    if spec is None or spec.version != 1 or not all(isinstance(name, str) for name in names[:2]):
        raise ConfigError(f"{folder / MANIFEST} is not as this version of facekit writes it: {CURE}")
    return spec


def _content(ledger: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for batch in ledger_batches(ledger, "payload_hash"):
        for payload in batch["payload_hash"].to_pylist():
            digest.update(payload)
    return digest.hexdigest()


def task_folder(benchmark: Benchmark, task: str) -> Path:
    """The folder of a cleaning task.

    Raises
    ------
    ConfigError
        There is no such task.
    """
    root = benchmark.folder / CLEANING
    names = sorted(place.name for place in root.iterdir() if place.is_dir()) if root.is_dir() else []
    if task not in names:
        raise none_of(f"task of {benchmark.folder}", task, names)
    return root / task
