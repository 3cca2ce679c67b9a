"""Records that are copied under new labels: an id follows its key only where it did in the source."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.records import Header, PackWriter, open_pack
from facekit.records.rewrite import copy_records, extents

IDS = st.lists(st.none() | st.integers(0, 2**64 - 1), min_size=1, max_size=12)


@pytest.mark.parametrize("layout", ["insightface", "flat"])
@settings(max_examples=25, deadline=None)
@given(ids=IDS, seed=st.integers(0, 99), small=st.booleans())
def test_an_id_follows_the_key_only_where_it_did(layout: str, ids: list[int | None], seed: int, small: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with PackWriter(folder / "source", "flat") as writer:
            for place, own in enumerate(ids):
                number = writer.next_key if own is None else own
                writer.write(Header(0, 1.0, number, 5), bytes([place]) * (3 + place))
        rows = np.random.default_rng(seed).permutation(len(ids))
        with open_pack(folder / "source") as pack, PackWriter(folder / "out", layout) as writer:
            given_ids = [pack.read(key).header.id for key in pack.keys.tolist()]
            where = extents(pack, pack.keys)
            done = [
                *copy_records(
                    pack.paths.rec, where, rows, np.zeros(len(ids), np.int64), writer, 8 if small else 1 << 20
                )
            ]
        with open_pack(folder / "out") as pack:
            found = [(pack.read(key).header, pack.read(key).payload, key) for key in pack.keys.tolist()]
    assert np.concatenate([block.keys for block in done]).tolist() == [key for *_, key in found]
    for (header, payload, key), row in zip(found, rows.tolist(), strict=True):
        assert payload == bytes([row]) * (3 + row)
        assert header.id == (key if given_ids[row] == row else given_ids[row])
        assert (header.label, header.id2) == (0.0, 5)
