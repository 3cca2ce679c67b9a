"""The folder of a benchmark, assembled from its shards: one pack of faces, its tables, and the cleaning tasks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.jobs.benchmark.plan import (
    BARE,
    BenchmarkPlan,
    age_group,
    benchmark_seed,
    list_pairs,
    person_of,
    skin_group,
)
from facekit.jobs.benchmark.presets import BenchmarkSpec, PlantedTask
from facekit.jobs.outputs.append_records import append_records
from facekit.jobs.outputs.counts import check_counts, records_in
from facekit.jobs.outputs.tables import write_parquet
from facekit.jobs.synth.finish import TRUTH
from facekit.records import PackWriter
from facekit.run.ledger import LEDGER, LedgerWriter, schema
from facekit.run.parquet import read_parquet
from facekit.run.shard_file import read_rows
from facekit.synth.planted_vectors import HARD_COSINE, plant_vectors

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "CLEANING",
    "DRAWN_TASK",
    "FACES",
    "GROUPS",
    "MANIFEST",
    "PAIRS",
    "write_faces",
    "write_planted",
    "write_truth",
]

MANIFEST, FACES, PAIRS, GROUPS = "benchmark.json", "train.faces.parquet", "pairs.csv", "groups.csv"
CLEANING, DRAWN_TASK = "cleaning", "drawn"


def write_faces(folder: Path, aside: Path, files: Sequence[Path], spec: BenchmarkSpec, plan: BenchmarkPlan) -> str:
    """Write the pack of faces, its ledger and tables.

    Parameters
    ----------
    folder : Path
        Empty.
    aside : Path
        Where the ledger is written first.
    files : sequence of Path
        The shards, in order.
    spec : BenchmarkSpec
    plan : BenchmarkPlan

    Returns
    -------
    str
        Digest of the pictures: BLAKE2b of the hashes of all payloads, in order.

    Raises
    ------
    FacekitError
        The counts do not add up: a defect of facekit, and nothing is published.
    """
    digest, done = hashlib.blake2b(digest_size=16), 0
    with PackWriter(folder, "flat") as pack, LedgerWriter(aside) as ledger:
        first = pack.next_key
        for path in files:
            rows = read_rows(path)
            stop = done + rows.num_rows
            labels = plan.person[done:stop]
            keys = append_records(pack, path, rows["offset"].to_numpy(), labels)
            ledger.append(_keyed(rows, keys, first))
            for payload in rows["payload_hash"].to_pylist():
                digest.update(payload)
            done = stop
    check_counts(("pictures", done, len(plan.person)), ("records", ledger.written, records_in(folder)))
    aside.rename(folder / LEDGER)
    _write_tables(folder, first, spec, plan)
    return digest.hexdigest()


def _keyed(rows: pa.Table, keys: np.ndarray, first: int) -> pa.Table:
    import pyarrow as pa

    sources = rows["source_key"].to_numpy() + first
    columns = rows.set_column(0, "key", pa.array(keys, pa.int64()))
    return columns.set_column(1, "source_key", pa.array(sources, pa.int64())).select(schema().names)


def _write_tables(folder: Path, first: int, spec: BenchmarkSpec, plan: BenchmarkPlan) -> None:
    import pyarrow as pa

    people = [person_of(spec, number) for number in range(spec.adults + spec.children)]
    skin, age = (np.array([group(one) for one in people])[plan.person] for group in (skin_group, age_group))
    keys, roles = np.arange(len(plan.person)) + first, plan.roles
    columns = {"key": keys, "person": plan.person, "child": plan.child, "role": roles, "image": plan.images,
               "source_key": plan.source + first, "skin": skin, "age": age}  # fmt: skip
    write_parquet(folder / FACES, pa.table({name: pa.array(values) for name, values in columns.items()}))
    bare = (roles == BARE) & ~plan.child
    groups = [f"{key},{skin[row]},{age[row]}\n" for row, key in enumerate(keys.tolist()) if bare[row]]
    (folder / GROUPS).write_text("".join(["key,skin,age\n", *groups]), "ascii")
    pairs = list_pairs(spec, plan)
    listed = zip((pairs.rows + first).tolist(), pairs.same.tolist(), strict=True)
    lines = [f"{a},{b},{int(same)}\n" for (a, b), same in listed]
    (folder / PAIRS).write_text("".join(["key_a,key_b,same\n", *lines]), "ascii")


def write_planted(folder: Path, spec: BenchmarkSpec, name: str, task: PlantedTask) -> None:
    """Write a task of planted vectors: ``vectors.npy``, ``images.csv`` (key, label) and ``truth.parquet``."""
    folder.mkdir(parents=True)
    number = sorted(spec.planted).index(name)
    made = plant_vectors(benchmark_seed(spec) + number, task.people, task.mean, task.noise, task.weak)
    wrong = made.person != made.home[made.label]
    np.save(folder / "vectors.npy", made.vectors.astype(np.float16))
    keys = np.arange(len(made.label))
    lines = [f"{key},{label}\n" for key, label in enumerate(made.label.tolist())]
    (folder / "images.csv").write_text("".join(["key,label\n", *lines]), "ascii")
    hard = ~wrong & (made.cosine < HARD_COSINE)
    _write_truth(folder, keys, made.label, made.person, wrong, hard, np.ones(len(keys), np.bool_))


def write_truth(folder: Path) -> None:
    """Write ``truth.parquet`` of the drawn cleaning task from what ``facekit synth`` knows of its pack."""
    names = ["key", "identity", "label", "kind"]
    known = read_parquet(str(folder / TRUTH), names)
    key, person, label = (known[name].to_numpy() for name in names[:3])
    kind = np.array(known["kind"].to_pylist())
    wrong, bad = np.isin(kind, ["label_noise", "outlier"]), kind == "low_quality"
    _write_truth(folder, key, label, np.where(kind == "outlier", -1, person), wrong, bad, ~bad)


def _write_truth(folder: Path, *columns: np.ndarray) -> None:
    import pyarrow as pa

    names = ("key", "label", "person", "wrong", "hard", "scored")
    table = pa.table({name: pa.array(values) for name, values in zip(names, columns, strict=True)})
    write_parquet(folder / "truth.parquet", table)


def write_manifest(folder: Path, about: dict[str, Any], spec: BenchmarkSpec) -> None:
    """Write ``benchmark.json``."""
    (folder / MANIFEST).write_text(json.dumps({**about, "spec": asdict(spec)}, indent=2) + "\n", "utf-8")
