"""Pairs for verification: as LFW lists them, and drawn in folds that share nobody."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from small_models import save_pack
from writing_commands import call, do

from facekit.errors import ConfigError, FacekitError
from facekit.images import encode_jpeg
from facekit.jobs.packs.pair_lists import draw_pairs
from facekit.records import open_pack, read_bins


def picture(number: int) -> bytes:
    return encode_jpeg(np.full((112, 112, 3), number, np.uint8))


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Three people as LFW has them; one picture is a PNG by its name."""
    number = 0
    for name, count in (("Ann_B", 3), ("Émile", 2), ("Zoe", 1)):
        (tmp_path / "people" / name).mkdir(parents=True)
        for place in range(1, count + 1):
            number += 1
            suffix = "png" if number == 2 else "jpg"
            (tmp_path / "people" / name / f"{name}_{place:04d}.{suffix}").write_bytes(picture(number))
    return tmp_path / "people"


def make(folder: Path, text: str, people: Path) -> tuple[list[bytes], list[bool]]:
    (folder / "pairs.txt").write_text(text, "utf-8")
    do(["bins", "make", folder / "pairs.txt", people, folder / "out.bin", "--overwrite"])
    found = read_bins(folder / "out.bin")
    return found.payloads, found.same.tolist()


@pytest.mark.parametrize("head", ["2\t1\n", "1\n", "", "\ufeff10\t300\n"])
def test_the_list_of_lfw_is_read(people: Path, tmp_path: Path, head: str) -> None:
    text = head + "Ann_B\t1\t2\nAnn_B\t3\tÉmile\t2\n\nÉmile\t1\t2\r\nZoe\t1\tAnn_B\t1\n"
    payloads, same = make(tmp_path, text, people)
    assert payloads == [picture(n) for n in (1, 2, 3, 5, 4, 5, 6, 1)]
    assert same == [True, False, True, False]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Ann_B\t1", "is no pair"),
        ("Ann_B\t1\tx", "is no pair"),
        ("Ann_B\t1\tZoe\t1\t1", "is no pair"),
        ("Ann_B\t-1\t2", "is no pair"),
        ("Ann_B\t1\t4", "no picture Ann_B/Ann_B_0004"),
        ("Nobody\t1\tZoe\t1", "no picture Nobody/Nobody_0001"),
    ],
)
def test_a_line_that_is_no_pair_is_named(people: Path, tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "pairs.txt").write_text(f"10\t300\nZoe 1 Ann_B 1\n{line}\n")
    said = call(["bins", "make", tmp_path / "pairs.txt", people, tmp_path / "out.bin"])
    assert said.code == 1
    assert "line 3" in said.err
    assert words in said.err
    assert not (tmp_path / "out.bin").exists()


def test_lists_that_are_none_are_refused(people: Path, tmp_path: Path) -> None:
    pack = save_pack(tmp_path / "pack", people=2, each=2).path
    (tmp_path / "pairs.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.txt").write_text("10\t300\n")
    for name, source, code, words in (
        ("pairs.txt", people, 1, "cannot be read as a list of pairs"),
        ("empty.txt", people, 1, "lists no pair"),
        ("empty.txt", pack, 2, "lists pictures by name"),
        ("nothing.txt", people, 2, "no such file"),
    ):
        said = call(["bins", "make", tmp_path / name, source, tmp_path / "out.bin"])
        assert (said.code, words in said.err) == (code, True), said


COUNTS = st.lists(st.integers(0, 6), min_size=1, max_size=12)


@given(counts=COUNTS, folds=st.integers(1, 3), each=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_drawn_pairs_are_what_they_say_or_cannot_be(counts: list[int], folds: int, each: int, seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)) * 7 - 7, counts)  # the first has no label
    labels = np.random.default_rng(seed).permutation(labels)
    sizes = Counter(labels[labels >= 0].tolist()).values()
    room = sum(size * (size - 1) // 2 for size in sizes), sum(a * b for a, b in combinations(sizes, 2))
    if folds == 1 and min(room) < each:
        with pytest.raises(FacekitError, match="fewer pairs or folds"):
            draw_pairs(labels, 2 * each, 1, seed)
        return
    try:
        found = draw_pairs(labels, 2 * folds * each, folds, seed)
    except FacekitError:
        assume(False)  # the people were dealt so that a fold has too few
    assert found.same.tolist() == [n % (2 * each) < each for n in range(2 * folds * each)]
    pairs = [tuple(sorted(row)) for row in found.rows.tolist()]
    assert len(set(pairs)) == len(pairs)
    shown = labels[found.rows]
    assert (shown >= 0).all()
    assert ((shown[:, 0] == shown[:, 1]) == found.same).all()
    assert (found.rows[:, 0] != found.rows[:, 1]).all()
    in_fold = [set(shown[first : first + 2 * each].reshape(-1).tolist()) for first in range(0, len(shown), 2 * each)]
    assert all(not one & other for one, other in combinations(in_fold, 2))
    again = draw_pairs(labels, 2 * folds * each, folds, seed)
    assert (again.rows == found.rows).all()


def test_people_with_many_pictures_do_not_fill_the_list() -> None:
    labels = np.repeat(np.arange(51), [1000, *[3] * 50])
    found = draw_pairs(labels, 200, 1, 0)
    shown = Counter(labels[found.rows[found.same]][:, 0].tolist())
    assert max(shown.values()) <= 3
    assert len(shown) == 51


def test_a_count_that_cannot_be_halved_is_refused() -> None:
    for count, folds in ((10, 10), (0, 1), (7, 1), (20, 0)):
        with pytest.raises(ConfigError, match="a multiple of"):
            draw_pairs(np.repeat(np.arange(9), 9), count, folds, 0)


def test_a_bin_is_drawn_of_a_pack_and_of_a_folder(people: Path, tmp_path: Path) -> None:
    pack = save_pack(tmp_path / "pack", people=8, each=3).path
    do(["bins", "draw", pack, tmp_path / "a.bin", "--pairs", 12, "--folds", 2])
    do(["bins", "draw", pack, tmp_path / "b.bin", "--pairs", 12, "--folds", 2, "--seed", 1])
    found = read_bins(tmp_path / "a.bin")
    assert found.same.tolist() == ([True] * 3 + [False] * 3) * 2
    assert found.payloads != read_bins(tmp_path / "b.bin").payloads
    with open_pack(pack) as opened:
        labels = {opened.read(key).payload: label for key, label in zip(opened.keys, opened.labels, strict=True)}
    one, other = ([labels[payload] for payload in found.payloads[side::2]] for side in (0, 1))
    assert [a == b for a, b in zip(one, other, strict=True)] == found.same.tolist()
    do(["bins", "draw", people, tmp_path / "c.bin", "--pairs", 2, "--folds", 1])
    assert read_bins(tmp_path / "c.bin").same.tolist() == [True, False]
