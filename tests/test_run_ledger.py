"""The ledger: what is written is read again, and a table that is none is one line of error, whatever asks for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.errors import FacekitError
from facekit.jobs.inputs.ledger import already_masked, count_outcomes, payload_hashes, read_flags
from facekit.jobs.inputs.source import open_source
from facekit.records.key_rows import rows_of
from facekit.run.ledger import LEDGER, LedgerRow, LedgerWriter, ledger_path, payload_hash, schema, table
from facekit.run.ledger_reader import ledger_batches, read_ledger
from facekit.train.dataset import RecordDataset
from tests.small_models import save_model, save_pack
from tests.small_packs import call, write

KEYS = st.integers(-(2**63), 2**63 - 1)
ROWS = st.lists(
    st.builds(
        LedgerRow,
        st.none() | KEYS,
        st.none() | KEYS,
        st.binary(min_size=16, max_size=16),
        st.sampled_from(["copy", "mask", "refused", "error", "layout", "drop"]),
        st.none() | st.sampled_from(["kn95", "cloth-pattern"]),
        st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.none() | st.floats(width=32, allow_nan=False),
        st.none() | st.just("no_face"),
    ),
    max_size=30,
)


@given(parts=st.lists(ROWS, max_size=3))
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, parts: list[list[LedgerRow]]) -> None:
    path = tmp_path_factory.mktemp("ledger") / LEDGER
    with LedgerWriter(path) as ledger:
        for rows in parts:
            ledger.append(table(rows))
    found = read_ledger(path, *LedgerRow._fields)
    assert found.schema == schema()
    assert [tuple(row.values()) for row in found.to_pylist()] == [tuple(row) for rows in parts for row in rows]


@given(parts=ROWS)
def test_queries_say_what_the_rows_say(tmp_path_factory: pytest.TempPathFactory, parts: list[LedgerRow]) -> None:
    """Against the same questions asked of the rows one by one; keys are unique, as in any pack."""
    rows = list({row.key: row for row in parts if row.key is not None}.values())
    rows = list({(row.action, row.source_key): row for row in rows}.values())
    rows += [row for row in parts if row.key is None]
    path = tmp_path_factory.mktemp("ledger") / "train.ledger.parquet"
    with LedgerWriter(path) as ledger:
        ledger.append(table(rows))
    written = [row for row in rows if row.key is not None]
    masks = {row.key: row for row in written if row.action == "mask"}
    bare = {row.source_key: row.key for row in written if row.action == "copy" and row.source_key is not None}
    found = already_masked(path.parent / "train.rec")
    assert (found is None) == (not masks)
    if found is not None:
        params = found.said(np.arange(len(found.keys)))["params"].to_pylist()
        said = zip(found.keys.tolist(), found.bare.tolist(), params, strict=True)
        assert list(said) == [(key, bare.get(row.source_key, key), row.params) for key, row in sorted(masks.items())]
    asked = np.array([row.key for row in written] + [5], np.int64)
    known = {row.key: row.payload_hash for row in written}
    assert payload_hashes(path.parent / "train.rec").of(asked) == [known.get(key) for key in asked.tolist()]
    counts = count_outcomes(path, "action", "reason")
    expected = [(row.action, row.reason, None if row.key is None else "written") for row in rows]
    assert counts == {kind: expected.count(kind) for kind in expected}


@given(known=st.lists(KEYS, unique=True, max_size=20), wanted=st.lists(KEYS, max_size=20))
def test_keys_are_found_where_they_stand(known: list[int], wanted: list[int]) -> None:
    wanted = [*wanted, *known[::2]]
    rows = rows_of(np.array(known, np.int64), np.array(wanted, np.int64))
    places = {key: place for place, key in enumerate(known)}
    assert rows.tolist() == [places.get(key, -1) for key in wanted]


def plain(keys: int = 6) -> dict[str, pa.Array]:
    rows = [LedgerRow(key, key, payload_hash(bytes([key])), "copy") for key in range(1, keys + 1)]
    return {name: column.combine_chunks() for name, column in zip(schema().names, table(rows).columns)}


def with_column(name: str, values: object) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.table({**plain(), name: values}), path)


def without(name: str) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.table({n: c for n, c in plain().items() if n != name}), path)


def twice(path: Path) -> None:
    columns = [*plain().items(), *plain().items()]
    pq.write_table(pa.table([column for _, column in columns], [name for name, _ in columns]), path)


def truncated(path: Path) -> None:
    pq.write_table(pa.table(plain()), path)
    os.truncate(path, path.stat().st_size // 2)


def no_utf8(path: Path) -> None:
    words = pa.Array.from_buffers(pa.string(), 6, [None, *pa.array([b"\xff\xfe"] * 6, pa.binary()).buffers()[1:]])
    pq.write_table(pa.table({**plain(), "action": words}), path)


BROKEN: dict[str, Callable[[Path], None]] = {
    "text keys": with_column("key", pa.array(list("abcdef"))),
    "text keys that are numbers": with_column("key", pa.array(list("123456"))),
    "fractions for keys": with_column("key", pa.array([1.5] * 6)),
    "keys beyond int64": with_column("key", pa.array([2**64 - 1] * 6, pa.uint64())),
    "lists for keys": with_column("key", pa.array([[1]] * 6)),
    "structures for keys": with_column("key", pa.array([{"x": 1}] * 6)),
    "no keys": without("key"),
    "columns twice": twice,
    "cut off": truncated,
    "empty file": lambda path: path.write_bytes(b"") and None,
    "a folder": lambda path: path.mkdir(),
    "no table": lambda path: path.write_bytes(b"PAR1" + bytes(40) + b"PAR1") and None,
}
MASKS = {
    "no actions": without("action"),
    "numbers for actions": with_column("action", pa.array([1] * 6)),
    "structures for actions": with_column("action", pa.array([{"x": "mask"}] * 6)),
    "actions that are no UTF-8": no_utf8,
}
HASHES = {
    "short hashes": with_column("payload_hash", pa.array([b"x"] * 6)),
    "text for hashes": with_column("payload_hash", pa.array(["0" * 16] * 6)),
    "nested hashes": with_column("payload_hash", pa.array([[bytes(16)]] * 6)),
}
EVERYWHERE = [("inspect",), ("convert", "OUT"), ("mask", "OUT"), ("embed", "OUT"), ("check", "--repair", "OUT")]
CASES = [
    *((words, name) for words in EVERYWHERE for name in BROKEN),
    *((words, name) for words in EVERYWHERE for name in MASKS),
]


@pytest.mark.parametrize(("words", "name"), CASES)
def test_a_broken_ledger_is_one_line_of_error(
    tmp_path: Path, words: tuple[str, ...], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = save_pack(tmp_path / "pack", people=3, each=2, ledger=False)
    (BROKEN | MASKS)[name](pack.path / LEDGER)
    command, *rest = [str(tmp_path / "out") if word == "OUT" else word for word in words]
    model = ["--model", str(save_model(tmp_path / "model.onnx"))] if command == "embed" else []
    assert call(command, pack.path, *rest, *model) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"facekit: {pack.path / LEDGER} cannot be read")
    assert "move it away" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", BROKEN | MASKS | HASHES)
def test_check_finds_a_broken_ledger_and_looks_at_the_rest(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = save_pack(tmp_path / "pack", people=3, each=2, ledger=False)
    (BROKEN | MASKS | HASHES)[name](pack.path / LEDGER)
    os.truncate(pack.path / "train.rec", (pack.path / "train.rec").stat().st_size - 4)
    assert call("check", pack.path, "--deep") == 1
    said = capsys.readouterr()
    assert f"{pack.path / LEDGER} cannot be read" in said.out
    assert "ends inside" in said.out
    assert not said.err


@pytest.mark.parametrize("name", BROKEN | MASKS)
def test_a_broken_ledger_is_a_typed_error_of_the_dataset(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "pack", [0, 0, 1, 1, 2, 2])
    (BROKEN | MASKS)[name](folder / LEDGER)
    with pytest.raises(FacekitError, match=r"train\.ledger\.parquet cannot be read"):
        RecordDataset(folder, return_mask_flag=True)


def test_other_writers_may_choose_narrower_types(tmp_path: Path) -> None:
    columns = plain() | {
        "key": pa.array(range(1, 7), pa.int32()),
        "action": pa.array(["copy", "mask"] * 3).dictionary_encode(),
        "payload_hash": pa.array([bytes([n]) * 16 for n in range(6)], pa.binary()),
        "score": pa.array([None] * 6),
        "note": pa.array([{"any": "thing"}] * 6),
    }
    pq.write_table(pa.table(columns), tmp_path / LEDGER)
    found = read_ledger(tmp_path / LEDGER, *schema().names)
    assert found.schema == schema()
    assert found["action"].to_pylist() == ["copy", "mask"] * 3
    assert found["payload_hash"].to_pylist() == [bytes([n]) * 16 for n in range(6)]


def test_only_the_columns_that_are_asked_for_are_looked_at(tmp_path: Path) -> None:
    with_column("params", pa.array([{"x": 1}] * 6))(tmp_path / LEDGER)
    assert sum(batch.num_rows for batch in ledger_batches(tmp_path / LEDGER, "key", "action")) == 6


def test_a_pack_whose_name_is_not_utf8_has_a_ledger_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """pyarrow opens no such name by itself."""
    pack = save_pack(tmp_path / "pack", people=4, each=3)
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))
    pack.path.rename(odd)
    with_columns = read_ledger(odd / LEDGER, *schema().names)
    masked = int((np.array(with_columns["action"]) == "mask").sum())
    assert masked > 0
    beside, model = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xfe\xfe")), save_model(tmp_path / "model.onnx")
    for words in (
        ("inspect", odd),
        ("convert", odd, beside / "converted"),
        ("mask", odd, beside / "masked", "--ratio", "0"),
        ("embed", odd, beside / "embedded", "--model", model),
        ("check", beside / "converted", "--repair", beside / "repaired", "--deep"),
    ):
        assert call(*words, "--json") in (0, 1), words
        assert "Traceback" not in (said := capsys.readouterr()).err, said
    for folder in ("converted", "masked"):
        found = read_ledger(beside / folder / LEDGER, "action")["action"].to_pylist()
        assert found.count("mask") == masked, folder
    assert int(read_flags(open_source(str(odd))[0]).masked.sum()) == masked
    assert RecordDataset(odd, return_mask_flag=True).is_masked(
        with_columns["key"].to_pylist()[with_columns["action"].to_pylist().index("mask")]
    )
    # A copy of changed payloads has its ledger written again, row by row.
    with LedgerWriter(odd / LEDGER) as ledger:
        other = pa.array([bytes(16)] * len(with_columns), pa.binary(16))
        ledger.append(with_columns.set_column(2, "payload_hash", other))
    assert call("check", odd, "--deep", "--repair", beside / "again", "--json") == 1
    assert "payload_changed" in read_ledger(beside / "again" / LEDGER, "reason")["reason"].to_pylist()


def test_a_row_with_a_huge_key_costs_nothing(tmp_path: Path) -> None:
    """A bit a record of the pack, not a bit a key up to the largest that any row names."""
    folder = write(tmp_path / "pack", [0, 0, 1, 1])
    rows = [LedgerRow(key, key, bytes(16), "mask", "kn95") for key in (2, 2**33, 2**62, -5)]
    with LedgerWriter(folder / LEDGER) as ledger:
        ledger.append(table(rows))
    dataset = RecordDataset(folder, return_mask_flag=True)
    assert [key for key in (-5, 0, 1, 2, 3, 4, 2**33, 2**62) if dataset.is_masked(key)] == [2]
    assert dataset._masked is not None
    assert dataset._masked.nbytes == 1


def test_the_ledger_of_any_file_has_its_name() -> None:
    assert ledger_path(Path("a/train.rec")) == Path("a", LEDGER)
    assert ledger_path(Path("a/lfw.bin")) == Path("a/lfw.ledger.parquet")
