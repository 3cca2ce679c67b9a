"""Centres that are gathered by blocks and mapped: those of whole arrays, bit for bit, without their copies."""

from __future__ import annotations

import dataclasses
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from clean_packs import truth, vectors_of
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.clean import gathered_rows
from facekit.clean.centres import choose_main, concentration, size_aware_rows
from facekit.clean.cluster import Nodes
from facekit.clean.decisions import Decisions
from facekit.clean.gathered_rows import gather_rows, gathered_unit_rows, rows_at, sums_of_groups, unit_rows
from facekit.clean.published import merge_identities
from facekit.clean.purify import clean_embeddings
from facekit.clean.robust import group_nodes
from facekit.clean.settings import CleanSettings
from facekit.clean.vectors import read_unit_rows, unit

WIDE, MANY = 512, 9000  # some blocks of `UNIT_ROWS`


@pytest.fixture(params=[0, 1 << 40], ids=["mapped", "in memory"])
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(gathered_rows, "MAPPED_ABOVE", request.param)
    return int(request.param)


def is_mapped(rows: np.ndarray) -> bool:
    base = rows
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    return not isinstance(base, np.ndarray)


def drawn_nodes(count: int, width: int, seed: int = 0) -> Nodes:
    """Clusters of people who stand under three labels each, so that there is something to join."""
    rng = np.random.default_rng(seed)
    people = rng.standard_normal((count // 3 + 1, width), dtype=np.float32)
    size = rng.integers(1, 30, count)
    rows = unit(people[rng.integers(0, len(people), count)] + rng.standard_normal((count, width), dtype=np.float32) / 4)
    sums = (rows * size[:, None]).astype(np.float32)
    return Nodes(np.zeros(0, np.int32), np.sort(rng.integers(0, count, count)), size, sums, size < 2, np.zeros(0))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=8), st.integers(1, 7), st.integers(0, 200), st.integers(0, 999))
def test_rows_are_those_of_concatenate(sizes: list[int], width: int, most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.standard_normal((size, width), dtype=np.float32) for size in sizes]
    with mock.patch.object(gathered_rows, "MAPPED_ABOVE", most):
        found = gather_rows(iter(parts), width)
    assert np.array_equal(found, np.concatenate([np.zeros((0, width), np.float32), *parts]))
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert found.flags.writeable
    assert is_mapped(found) == (found.nbytes > most)


@pytest.mark.parametrize("room", [0, 1, 24, 25, 96])
def test_a_full_disk_is_no_end(room: int, caplog: pytest.LogCaptureFixture) -> None:
    left = room

    def write(descriptor: int, content: memoryview) -> int:
        nonlocal left
        if not left:
            raise OSError(28, "No space left on device")
        some = bytes(content[: min(left, 20)])
        left -= len(some)
        return real(descriptor, some)

    real = gathered_rows.os.write
    parts = [np.full((4, 3), value, np.float32) for value in range(4)]
    with mock.patch.object(gathered_rows, "MAPPED_ABOVE", 0), mock.patch.object(gathered_rows.os, "write", write):
        found = gather_rows(parts, 3)
    assert np.array_equal(found, np.concatenate(parts))
    assert not is_mapped(found)
    assert "No space left" in caplog.text


def test_no_file_is_left(limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = gather_rows([np.ones((5, 2), np.float32)], 2)
    assert list(tmp_path.iterdir()) == []
    assert is_mapped(rows) == (limit == 0)


@pytest.mark.parametrize("width", [37, 64, 512])
def test_what_is_made_of_centres_is_made_of_each_alone(limit: int, width: int) -> None:
    nodes = drawn_nodes(MANY, width)
    group = np.random.default_rng(1).integers(-1, 7000, MANY)
    total = np.zeros((7000, width), np.float32)
    for row, into in enumerate(group):
        if into >= 0:
            total[into] += nodes.sums[row]
    assert np.array_equal(np.concatenate([*sums_of_groups(nodes.sums, group, 7000)]), total)
    assert np.array_equal(unit_rows(nodes.sums), unit(nodes.sums))
    faces, chosen = nodes.sums.astype(np.float16), np.random.default_rng(2).integers(0, MANY, 5000)
    assert np.array_equal(gathered_unit_rows(faces, chosen), read_unit_rows(faces, chosen))
    rho = concentration(nodes.sums, nodes.size).of_node
    whole = (nodes.sums / (nodes.size * rho)[:, None]).astype(np.float32)
    assert np.array_equal(size_aware_rows(nodes.sums, nodes.size), whole)
    some = np.flatnonzero(nodes.size > 4)
    assert np.array_equal(rows_at(nodes.sums, some), nodes.sums[some])
    assert np.array_equal(rows_at(nodes.sums, np.arange(MANY)[::-1]), nodes.sums[::-1])
    assert rows_at(nodes.sums, np.arange(MANY)) is nodes.sums


def plain_centres(nodes: Nodes, group: np.ndarray, count: int) -> np.ndarray:
    total = np.zeros((count, nodes.sums.shape[1]), np.float32)
    np.add.at(total, group[group >= 0], nodes.sums[group >= 0])
    lengths = np.sqrt(np.einsum("ij,ij->i", total, total, dtype=np.float64))
    return (total / np.where(lengths > 0, lengths, 1)[:, None]).astype(np.float32)


@pytest.mark.parametrize("guard", ["complete", "recheck"])
def test_groups_have_the_centres_of_their_nodes(limit: int, guard: str) -> None:
    nodes = drawn_nodes(MANY, 64)
    asked = CleanSettings(threads=1, guard=guard)
    robust = group_nodes(nodes, MANY, asked)
    assert np.bincount(robust.group[robust.group >= 0]).max() > 1
    assert np.array_equal(robust.centres, plain_centres(nodes, robust.group, len(robust.size)))
    published = merge_identities(nodes, MANY, asked)
    main = choose_main(nodes, MANY)
    of_node = np.full(MANY, -1)
    of_node[main[main >= 0]] = published.group[main >= 0]
    assert np.bincount(of_node[of_node >= 0]).max() > 1
    assert np.allclose(published.centres, plain_centres(nodes, of_node, len(published.leader)), atol=1e-6)


def cleaned(limit: int, mode: str, guard: str) -> Decisions:
    labels, person = truth(3, identities=300)
    with mock.patch.object(gathered_rows, "MAPPED_ABOVE", limit), mock.patch.object(gathered_rows, "UNIT_ROWS", 32):
        return clean_embeddings(vectors_of(person, 3), labels, CleanSettings(threads=2, mode=mode, guard=guard))


@pytest.mark.parametrize("mode", ["robust", "published"])
@pytest.mark.parametrize("guard", ["complete", "recheck"])
def test_decisions_do_not_depend_on_where_centres_lie(mode: str, guard: str) -> None:
    one, other = cleaned(0, mode, guard), cleaned(1 << 40, mode, guard)
    assert {"drop", "move"} <= set(one.action.tolist())
    for field in dataclasses.fields(Decisions):
        np.testing.assert_equal(getattr(one, field.name), getattr(other, field.name), field.name)


@pytest.mark.parametrize("join", [group_nodes, merge_identities], ids=["robust", "published"])
def test_no_copy_of_the_centres_is_in_memory(join: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathered_rows, "MAPPED_ABOVE", 1 << 20)
    monkeypatch.setattr(gathered_rows, "UNIT_ROWS", 512)
    peaks, counts = [], (6000, 12000)
    for count in counts:
        nodes = drawn_nodes(count, WIDE)
        tracemalloc.start()
        join(nodes, count, CleanSettings(threads=1))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / (counts[1] - counts[0]) < 4 * WIDE / 4
