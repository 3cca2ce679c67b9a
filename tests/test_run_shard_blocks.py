"""The records of finished shards, a block at a time: every byte once, and memory that does not grow with shards."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mask_stand_ins import painter, png, stored_mesh
from photo import face

from facekit.errors import FacekitError
from facekit.jobs.clean import write
from facekit.jobs.clean.apply import ApplyConfig, apply
from facekit.jobs.clean.config import CleanConfig
from facekit.jobs.clean.job import clean
from facekit.jobs.mask import job as mask_job
from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.outputs.append_records import append_records
from facekit.jobs.pack import job as pack_job
from facekit.jobs.pack.config import PackConfig
from facekit.jobs.photos import finish as photos_finish
from facekit.records import Header, PackWriter, open_pack, pack_record
from facekit.records.framing import frame
from facekit.run import shard_blocks, shards
from facekit.run.choice import ExecutorChoice, Part, PartFinished
from facekit.run.shard_blocks import BLOCK, read_span, record_blocks
from facekit.run.shard_file import ShardWriter

RECORDS, BYTES = 64, 400_000
"""A shard of 26 MB, twelve blocks."""

MOST = 6 * BLOCK
"""What may be held at once: a block, rows, the contact sheet and what drawing it imports; half of the shard, of which
whole ones were held three times."""


def write_shard(path: Path, records: list[bytes]) -> np.ndarray:
    with ShardWriter(path) as out:
        offsets = [out.write(record) for record in records]
        out.finish(pa.table({"offset": offsets}))
    return np.array(offsets, np.int64)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(1, 100))
def test_blocks_hold_every_record_once_and_no_more_than_fits(sizes: list[int], most: int) -> None:
    from tempfile import TemporaryDirectory

    records = [bytes([number % 251]) * (size + 1) for number, size in enumerate(sizes)]
    with TemporaryDirectory() as folder:
        offsets = write_shard(Path(folder, "0"), records)
        rows, found = [], []
        for block in record_blocks(Path(folder, "0"), offsets, most):
            stops = [*block.starts[1:].tolist(), len(block.framed)]
            rows += range(block.rows.start, block.rows.stop)
            found += [bytes(block.framed[a:b]) for a, b in zip(block.starts.tolist(), stops, strict=True)]
            assert len(block.framed) <= most or len(block.starts) == 1
            more = block.rows.stop < len(records)
            assert (
                not more or len(block.framed) + len(records[block.rows.stop]) > most
            )  # a block is as full as it can be
        assert rows == list(range(len(records)))
        assert found == records
        spans = zip(offsets.tolist(), [*offsets[1:].tolist(), sum(map(len, records))], strict=True)
        assert [read_span(Path(folder, "0"), *span) for span in spans] == records


def test_a_shard_that_becomes_shorter_while_it_is_read_is_no_endless_loop(tmp_path: Path) -> None:
    offsets = write_shard(tmp_path / "0", [b"a" * 50, b"b" * 50])
    blocks = record_blocks(tmp_path / "0", offsets, 60)
    assert next(blocks).framed == b"a" * 50
    with open(tmp_path / "0", "r+b") as file:
        file.truncate(70)
    with pytest.raises(FacekitError, match="became shorter while it was read; delete it"):
        next(blocks)


# --- what jobs hold while they put shards of photographs together ---------------------------------------------------


def traced(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[int]:
    """Peaks of the memory that calls of a function allocate, which the job itself fills."""
    peaks: list[int] = []
    call: Callable[..., Any] = getattr(module, name)

    def counted(*given: Any) -> Any:
        tracemalloc.start()
        try:
            return call(*given)
        finally:
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()

    monkeypatch.setattr(module, name, counted)
    return peaks


def large(seed: int) -> bytes:
    """A picture that decodes, and 400,000 bytes that decoders pass by."""
    return png(face(seed)) + np.random.default_rng(seed).bytes(BYTES)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people and two shards, of 26 and 3 MB."""
    folder = tmp_path_factory.mktemp("large") / "pack"
    with PackWriter(folder) as writer:
        for number in range(RECORDS + 8):
            key = writer.next_key
            writer.write(Header(0, float(number >= RECORDS), key, 0), large(number))
    return folder


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_mask_holds_blocks(mode: str, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = traced(monkeypatch, mask_job, "assemble_output")
    done = mask_job.mask(MaskConfig(str(pack), str(tmp_path / "out"), ratio=0.1, mode=mode), stored_mesh, painter)
    assert done.masked > 3
    assert done.contact is not None
    assert peaks[0] < MOST
    with open_pack(tmp_path / "out") as out, open_pack(pack) as source:
        kept = {record.payload for record in source}
        assert sum(record.payload in kept for record in out) == done.images - done.masked


def parent_peak(folder: Path, pictures: int) -> int:
    """Highest allocation of a masking job whose shards, of two pictures each, are finished: plan, assembly, summary."""
    with PackWriter(folder / "pack") as writer:
        for number in range(pictures):
            writer.write(Header(0, float(number), writer.next_key, 0), b"payload")
    config = MaskConfig(str(folder / "pack"), str(folder / "out"), ratio=0)
    with pytest.raises(PartFinished):
        mask_job.mask(replace(config, executor=ExecutorChoice(part=Part(1, 1))), stored_mesh, painter)
    gc.collect()
    tracemalloc.start()
    assert mask_job.mask(config, stored_mesh, painter).images == pictures
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_a_shard_more_costs_the_parent_less_than_a_byte_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards of photographs hold up to 4,096 records: what the parent keeps of each must not count."""
    monkeypatch.setattr(shards, "SMALLEST", 2)
    monkeypatch.setattr(shards, "LARGEST", 2)
    parent_peak(tmp_path / "first", 20)  # what is imported or cached the first time
    few, many = (parent_peak(tmp_path / str(count), count) for count in (100, 400))
    assert (many - few) / 150 - 2 * 64 < 4096


def test_pack_holds_blocks(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_pack(pack) as source:
        for record in source:
            path = tmp_path / "people" / str(int(record.header.label)) / f"{record.key:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(record.payload)
        wanted = [record.payload for record in source]
    peaks = traced(monkeypatch, pack_job, "assemble_output")
    pack_job.pack(PackConfig(str(tmp_path / "people"), str(tmp_path / "out"), size=None))
    assert peaks[0] < MOST
    with open_pack(tmp_path / "out") as out:
        assert [record.payload for record in out] == wanted


def test_photographs_are_written_from_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [large(seed) for seed in range(RECORDS)]
    offsets = write_shard(tmp_path / "0", pictures)
    rows, names = pa.table({"offset": offsets}), tuple(f"{number}.png" for number in range(RECORDS))
    peaks = traced(monkeypatch, photos_finish, "write_files")
    assert photos_finish.write_files(tmp_path / "out", names, rows, tmp_path / "0") == RECORDS
    assert [(tmp_path / "out" / name).read_bytes() for name in names] == pictures
    assert peaks[0] < MOST


def test_synth_and_benchmarks_append_blocks(tmp_path: Path) -> None:
    payloads = [large(seed) for seed in range(RECORDS)]
    framed = [frame(pack_record(Header(0, 3.0, 77, 0), payload)) for payload in payloads]
    offsets = write_shard(tmp_path / "0", framed)
    with PackWriter(tmp_path / "out") as writer:
        tracemalloc.start()
        keys = append_records(writer, tmp_path / "0", offsets, np.full(RECORDS, 3))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MOST
    assert keys.tolist() == list(range(1, RECORDS + 1))
    with open_pack(tmp_path / "out") as out:
        assert [(record.header.id, record.payload) for record in out] == list(zip(keys, payloads, strict=True))


def test_apply_takes_shared_records_by_blocks(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.eye(2, 8, dtype=np.float32)[(np.arange(RECORDS + 8) >= RECORDS).astype(int)]
    vectors[3] = np.eye(8, dtype=np.float32)[5]  # a stranger, so that the pack is written and not copied
    np.save(tmp_path / "vectors.npy", vectors)
    decided = CleanConfig(
        str(pack), str(tmp_path / "decided"), str(tmp_path / "vectors.npy"), allow_loss=1, report=False
    )
    assert clean(replace(decided, decisions_only=True)).dropped == 1
    monkeypatch.setattr(write, "BLOCK", RECORDS)
    given = str(pack), decided.destination
    apply(ApplyConfig(*given, str(tmp_path / "alone")))
    shared = ApplyConfig(*given, str(tmp_path / "shared"))
    with pytest.raises(PartFinished):
        apply(replace(shared, executor=ExecutorChoice(part=Part(1, 1))))
    peaks = traced(monkeypatch, write, "write_pack")
    apply(shared)
    assert peaks[0] < MOST
    for name in ("train.rec", "train.idx", "property", "train.ledger.parquet"):
        assert (tmp_path / "shared" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name


def test_the_size_of_a_block_is_no_part_of_an_output(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("large", 1 << 30), ("usual", BLOCK), ("one", 1)):
        monkeypatch.setattr(shard_blocks, "BLOCK", size)
        config = MaskConfig(str(pack), str(tmp_path / name), ratio=0.1)
        mask_job.mask(config, stored_mesh, painter)
    for name in ("train.rec", "train.idx", "property", "train.ledger.parquet", "contact.png"):
        assert len({(tmp_path / size / name).read_bytes() for size in ("large", "usual", "one")}) == 1, name
