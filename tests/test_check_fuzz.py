"""The readers on bytes of any kind: by properties, and by a fuzzer that coverage guides (fuzz/)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from facekit.errors import FacekitError, RecordError
from facekit.jobs.packs.check import CheckConfig, check
from facekit.records import Header, PackWriter, open_pack, scan
from facekit.records.findings import Findings

FUZZ = Path(__file__).parents[1] / "fuzz"
MAGIC = b"\n#\xd7\xce"


@pytest.fixture(scope="module")
def invariants() -> Any:
    sys.path.insert(0, str(FUZZ))
    try:
        import invariants
    finally:
        sys.path.remove(str(FUZZ))
    return invariants


payloads = st.lists(
    st.tuples(st.integers(0, 3), st.lists(st.sampled_from([MAGIC, b"\xff\xd8", b"abc", b"\0" * 5]), max_size=4)),
    min_size=1,
    max_size=9,
)
damages = st.lists(
    st.tuples(
        st.sampled_from(["change", "cut", "insert", "zero"]), st.integers(0, 10_000), st.integers(1, 60), st.binary()
    ),
    max_size=3,
)


def build(folder: Path, records: Any, layout: str) -> Path:
    with PackWriter(folder / "pack", layout) as writer:
        for label, pieces in sorted(records, key=lambda record: record[0]):
            writer.write(Header(0, float(label), writer.next_key, 0), b"\xff" + b"".join(pieces))
    return folder / "pack" / "train.rec"


def damaged(content: bytes, damage: Any) -> tuple[bytes, tuple[int, int]]:
    """The bytes after one accident, and the span of the old ones that it touched."""
    how, place, length, junk = damage
    at = place % (len(content) + 1)
    stop = min(at + length, len(content))
    if how == "insert":
        return content[:at] + junk + content[at:], (at, at)
    middle = {"change": junk[: stop - at].ljust(stop - at, b"\1"), "cut": b"", "zero": b"\0" * (stop - at)}[how]
    return content[:at] + middle + content[stop:], (at, stop)


@settings(max_examples=60)
@given(payloads, st.sampled_from(["insightface", "flat"]), damages)
@example([(0, [MAGIC])], "flat", [("cut", 0, 4, b"")])
def test_any_accident_is_accounted_for_byte_by_byte(
    tmp_path_factory: Any, invariants: Any, records: Any, layout: str, accidents: Any
) -> None:
    rec = build(tmp_path_factory.mktemp("accident"), records, layout)
    content = rec.read_bytes()
    for accident in accidents:
        content, _ = damaged(content, accident)
    rec.write_bytes(content)
    invariants.check_pack(rec)
    rec.with_suffix(".idx").unlink()
    invariants.check_pack(rec)


@settings(max_examples=30)
@given(payloads, st.sampled_from(["insightface", "flat"]), st.integers(0, 10_000), st.integers(1, 12), st.binary())
def test_what_an_accident_did_not_touch_is_saved(
    tmp_path_factory: Any, records: Any, layout: str, place: int, length: int, junk: bytes
) -> None:
    """Bytes change inside the file: every image whose own bytes are as before is in the repaired copy."""
    folder = tmp_path_factory.mktemp("save")
    rec = build(folder, records, layout)
    content = rec.read_bytes()
    broken, (at, stop) = damaged(content, ("change", place, length, junk))
    walked = scan_of(rec)
    with open_pack(rec) as pack:
        places = [(pack.reader.offset(key), pack.read(key).payload) for key in pack.keys.tolist()]
    ends = dict(zip(walked.offsets.tolist(), walked.stops.tolist(), strict=True))
    untouched = [payload for start, payload in places if ends[start] <= at or start >= stop]
    rec.write_bytes(broken)
    if MAGIC in broken[max(at - 3, 0) : stop + 3]:
        return  # new bytes may look like the start of a record, and then be taken for one
    config = CheckConfig(str(rec.parent), repair=str(folder / "mended"))
    if not untouched:
        with suppress(FacekitError):  # nothing to save
            check(config)
        return
    check(config)
    with open_pack(folder / "mended") as mended:
        saved = [record.payload for record in mended]
    for payload in untouched:
        assert payload in saved
        saved.remove(payload)
    assert len(saved) <= len(places) - len(untouched)


def scan_of(rec: Path) -> scan.Scan:
    return scan.scan(rec)


@settings(max_examples=100)
@given(st.binary(max_size=300), st.binary(max_size=60), st.booleans())
def test_bytes_of_any_kind(tmp_path_factory: Any, invariants: Any, rec: bytes, idx: bytes, framed: bool) -> None:
    folder = tmp_path_factory.mktemp("any")
    head = MAGIC + len(rec).to_bytes(4, "little") if framed else b""
    (folder / "x.rec").write_bytes(head + rec + b"\0" * (-len(rec) % 4))
    (folder / "x.idx").write_bytes(idx)
    invariants.check_pack(folder / "x.rec")
    (folder / "x.bin").write_bytes(rec)
    invariants.check_bins(folder / "x.bin")


def test_the_invariants_notice_a_reader_that_loses_records(
    tmp_path: Path, invariants: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise neither the fuzzer nor the properties above would say anything."""
    rec = build(tmp_path, [(0, [b"abc"]), (0, [MAGIC]), (1, [])], "flat")
    invariants.check_pack(rec)
    true = scan.scan

    def forgetful(path: Path, resynchronise: bool = False) -> scan.Scan:
        walked = true(path, resynchronise)
        return walked._replace(offsets=walked.offsets[:-1], stops=walked.stops[:-1])

    monkeypatch.setattr(invariants, "scan", forgetful)
    with pytest.raises(AssertionError, match="lost in silence"):
        invariants.check_pack(rec)


@pytest.mark.parametrize(("target", "runs"), [("pack", 3_000), ("bins", 40_000)])
def test_a_bounded_run_of_the_fuzzer(tmp_path: Path, target: str, runs: int) -> None:
    """Reproducible: the seed is fixed. An input that breaks an invariant, hangs or wants half a gigabyte fails it."""
    command = [sys.executable, str(FUZZ / "fuzz_reader.py"), target, f"-runs={runs}"]
    in_memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=in_memory) as scratch:
        environment = {**os.environ, "TMPDIR": scratch}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"Done {runs} runs" in done.stderr
    assert not [*tmp_path.glob("crash-*"), *tmp_path.glob("timeout-*"), *tmp_path.glob("oom-*")]
    seen = [int(count) for count in re.findall(r"cov: (\d+)", done.stderr)]
    assert seen[-1] > seen[0] > 50, "coverage must guide it"


@pytest.mark.parametrize(
    ("first", "second"),
    [(2.0**58, 2.0**58), (np.inf, np.inf), (3.0, np.inf), (np.nan, 1.0), (2.0**24 + 2, 2.0**25), (3e38, 3.1e38)],
)
def test_a_header_may_claim_anything(tmp_path: Path, first: float, second: float) -> None:
    """Found by the fuzzer: such numbers asked for 220 GiB."""
    from facekit.records import RecordWriter, pack_record
    from facekit.records.roles import read_roles
    from facekit.records.structure import read_structure

    with RecordWriter(tmp_path / "x.rec") as writer:
        writer.write_bytes(0, pack_record(Header(2, np.array([first, second], np.float32), 0, 0), b""))
        writer.write_bytes(1, pack_record(Header(0, 0.0, 1, 0), b"picture"))
    with open_pack(tmp_path / "x.rec") as pack:
        assert 1 in pack.keys.tolist()
        if np.isfinite(first):
            assert pack.labels[-1] == 0
        else:
            with pytest.raises(RecordError, match=r"key 0, .*not a whole number"):
                assert pack.labels is None
    found = Findings()
    records = read_structure(tmp_path / "x.rec", tmp_path / "x.idx", found)
    assert read_roles(records, tmp_path / "property", found).sound.sum() == 1
