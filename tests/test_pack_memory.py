"""What the parent of ``facekit pack`` holds of each picture of a list, counted by tracemalloc."""

from __future__ import annotations

import gc
import pickle
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facekit.jobs.outputs import tables
from facekit.jobs.pack import job, shard
from facekit.jobs.pack.config import PackConfig
from facekit.jobs.pack.picture_list import PictureList, pictures_input, read_pictures
from facekit.records.distinct import blocks
from facekit.records.name_list import NameList
from facekit.run import ledger
from facekit.run.shards import Shard

SMALL, LARGE, EACH = 4_000, 16_000, 50
ROOM = "a-folder-whose-name-is-as-long-as-those-that-people-have"


def write_list(path: Path, count: int) -> Path:
    """An im2rec list of pictures that are nowhere."""
    lines = (f"{row}\t{row // EACH}\tperson-{row // EACH:07d}/{row:08d}.png\n" for row in range(count))
    path.write_text("".join(lines))
    return path


def grown(make: Callable[[int], Callable[[], Any]]) -> float:
    """Bytes that a picture more adds to the highest that a call allocates."""
    peaks = []
    for count in (SMALL, SMALL, LARGE):  # the first one imports and caches
        call = make(count)
        gc.collect()
        tracemalloc.start()
        call()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return (peaks[2] - peaks[1]) / (LARGE - SMALL)


def copied(pictures: PictureList, place: int, *_: object) -> tuple[shard.Packed, bytes]:
    """Every picture is a few bytes of its own."""
    payload = b"%012d" % int(pictures.keys[place])
    return shard.Packed("copy", payload), payload


def test_paths_of_a_list_are_looked_at_one_by_one(tmp_path: Path) -> None:
    root = tmp_path / ROOM
    root.mkdir()

    def make(count: int) -> Callable[[], Any]:
        listed = write_list(root / f"{count}.lst", count)
        pictures = read_pictures(listed)
        return lambda: pictures_input(pictures, str(listed))

    assert grown(make) < 1


def test_the_parent_holds_sixty_bytes_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which fifty-three are the line; names in tuples took two hundred."""
    root = tmp_path / ROOM
    root.mkdir()
    monkeypatch.setattr(ledger, "ROW_GROUP", 512)
    monkeypatch.setattr(tables, "blocks", partial(blocks, rows=512))
    monkeypatch.setattr(job, "shard_size", lambda _: 200)
    monkeypatch.setattr(shard, "packed_file", copied)

    def make(count: int) -> Callable[[], Any]:
        listed = write_list(root / f"{count}.lst", count)
        return lambda: job.pack(PackConfig(str(listed), str(tmp_path / "out"), overwrite=True))

    assert grown(make) < 62


@pytest.mark.parametrize("people", [1, 1000])
def test_a_task_does_not_grow_with_the_people_of_the_list(people: int) -> None:
    many = PictureList(
        "root", np.arange(8), np.arange(8) // 4, NameList(map(str, range(8))),
        tuple(map(str, range(people))), np.zeros(8, np.bool_), np.empty((0, 5, 2), np.float32),
        np.empty((0, 4), np.float32), others={"": people},
    )  # fmt: skip
    sent = pickle.dumps(job._task(many, Shard(0, 2, 4), Path("shard")))
    assert len(sent) < 1500
    assert list(pickle.loads(sent).pictures.files) == ["2", "3"]
