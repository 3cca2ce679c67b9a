"""Header and payload <-> record buffer."""

from __future__ import annotations

import pickle
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.errors import ConfigError, RecordError
from facekit.records import Header, Record, pack_record, unpack_record

words = st.integers(0, 2**64 - 1)
float32s = st.floats(width=32, allow_nan=True)


@given(st.one_of(float32s, st.lists(float32s, min_size=1, max_size=9)), words, words, st.binary(max_size=40))
def test_unpack_inverts_pack(label: Any, id_: int, id2: int, payload: bytes) -> None:
    buffer = pack_record(Header(99, label, id_, id2), payload)
    header, found = unpack_record(buffer)
    assert found == payload
    assert header == Header(len(label) if isinstance(label, list) else 0, np.float32(label), id_, id2)
    assert pack_record(header, found) == buffer
    assert pack_record(header, memoryview(payload)) == pack_record(header, bytearray(payload)) == buffer


def test_the_bytes_are_those_of_the_format() -> None:
    assert pack_record(Header(5, 3, 7, 9), b"xy") == struct.pack("<IfQQ", 0, 3.0, 7, 9) + b"xy"
    assert pack_record((0, [3, 4], 7, 9), b"") == struct.pack("<IfQQff", 2, 0.0, 7, 9, 3.0, 4.0)


def test_scalar_labels_come_back_as_python_floats_and_vectors_as_read_only_copies() -> None:
    assert type(unpack_record(pack_record(Header(0, 1, 0, 0), b""))[0].label) is float
    vector = unpack_record(pack_record(Header(0, [1, 2], 0, 0), b"z"))[0].label
    assert (vector.dtype, vector.base, vector.flags.writeable) == (np.float32, None, False)


@pytest.mark.parametrize(
    "header",
    [Header(0, 1.0, -1, 0), Header(0, 1.0, 2**64, 0), Header(0, 1e39, 0, 0), Header(0, "x", 0, 0), Header(0, 1j, 0, 0)],
)
def test_a_header_that_does_not_fit(header: Header) -> None:
    with pytest.raises(ConfigError, match="cannot be packed"):
        pack_record(header, b"")


@pytest.mark.parametrize("payload", ["text", None, 3])
def test_a_payload_that_is_no_bytes(payload: Any) -> None:
    with pytest.raises(ConfigError, match=type(payload).__name__):
        pack_record(Header(0, 1.0, 0, 0), payload)


@pytest.mark.parametrize("size", range(24))
def test_a_buffer_shorter_than_a_header(size: int) -> None:
    with pytest.raises(RecordError, match="too short") as caught:
        unpack_record(bytes(size), path="p.rec", key=4, offset=8)
    assert (caught.value.path, caught.value.key, caught.value.offset) == ("p.rec", 4, 8)


def test_a_flag_that_claims_more_than_there_is() -> None:
    with pytest.raises(RecordError, match="label of 4294967295 numbers, the record has room for 1"):
        unpack_record(struct.pack("<IfQQf", 2**32 - 1, 0, 0, 0, 1))


def test_headers_compare_by_value() -> None:
    one, same, other = (Header(2, np.array(v, np.float32), 1, 0) for v in ([1, 2], [1, 2], [1, 3]))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert not (one == other)  # noqa: SIM201 - both operators are our own
    assert not (one != same)  # noqa: SIM202
    assert one != Header(2, np.array([1, 2], np.float32), 5, 0)
    assert Record(1, one, b"x") == Record(1, same, b"x") == pickle.loads(pickle.dumps(Record(1, one, b"x")))
    assert one != 3


labels = float32s | st.lists(float32s, min_size=1, max_size=4).map(lambda values: np.array(values, np.float32))
headers = st.builds(Header, st.integers(0, 5), labels, words, words)


@given(headers, st.data())
def test_headers_are_equal_exactly_where_every_field_is(header: Header, data: st.DataObject) -> None:
    same = Header(header.flag, np.array(header.label, np.float32), header.id, header.id2)
    assert header == same
    assert not header != same  # noqa: SIM202 -- both operators are tested
    assert hash(header) == hash(same)
    for name in Header._fields:
        value = data.draw(labels if name == "label" else words)
        if np.array_equal(np.asarray(value), np.asarray(getattr(header, name)), equal_nan=True):
            continue
        other = header._replace(**{name: value})
        assert header != other
        assert not header == other  # noqa: SIM201
        assert other != header
