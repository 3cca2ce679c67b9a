"""What ``facekit pack`` makes of lists and folders as they come: boxes, odd lines, files that are no pictures."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from photo import POINTS, face, photograph
from PIL import Image

import facekit
from facekit.cli import main
from facekit.errors import ConfigError, FacekitError
from facekit.faces.align import align
from facekit.faces.detector import Detection
from facekit.images import decode, encode_jpeg
from facekit.jobs.inputs.source import _folder_source
from facekit.jobs.pack import picture_list
from facekit.jobs.pack.config import PackConfig
from facekit.jobs.pack.job import pack
from facekit.jobs.pack.picture_list import read_pictures
from facekit.jobs.pack.shard import box_iou, make_detector
from facekit.records import open_pack

LEFT = np.float32([180, 60, 270, 170])
SHIFT = np.float32([512, 0])
RIGHT = LEFT + np.float32([508, -6, 516, 6])  # the larger of the two


class Two:
    """Knows the two faces of `group`."""

    def __call__(self, image: np.ndarray) -> list[Detection]:
        points = POINTS.astype(np.float32)
        return [Detection(0.7, LEFT, points), Detection(0.9, RIGHT, points + SHIFT)]


def group() -> bytes:
    return encode_jpeg(np.concatenate([photograph(), photograph()[..., ::-1]], 1), 95)


def aligned_list(folder: Path, boxes: list[np.ndarray | None], **given: Any) -> tuple[Any, list[dict[str, Any]]]:
    """Pack one photograph under one label a box."""
    (folder / "group.jpg").write_bytes(group())
    lines = [["0", "group.jpg", str(label)] for label in range(len(boxes))]
    for line, box in zip(lines, boxes, strict=True):
        line += [] if box is None else [f"{side:.1f}" for side in box.tolist()]
    (folder / "l.lst").write_text("".join("\t".join(line) + "\n" for line in lines))
    config = PackConfig(
        str(folder / "l.lst"), str(folder / "out"), align=True, detector=f"{__name__}:Two", layout="flat", **given
    )
    summary = pack(config)
    rows = pq.read_table(folder / "out" / "train.ledger.parquet").to_pylist()
    return summary, sorted(rows, key=lambda row: row["source_key"])


@pytest.mark.parametrize("workers", [1, 2])
def test_the_box_of_a_line_says_which_face_it_means(tmp_path: Path, workers: int) -> None:
    """Two people in one photograph: without the boxes both would get the larger face."""
    boxes = [LEFT + np.float32([-9, 5, 12, 8]), RIGHT, None, np.zeros(4), np.float32([300, 300, 400, 400])]
    summary, rows = aligned_list(tmp_path, boxes, workers=workers)
    assert [row["reason"] for row in rows] == [None] * 4 + ["no_face_in_box"]
    assert summary.skipped == {"no_face_in_box": 1}
    picture, points = decode(group()), POINTS.astype(np.float32)
    left, right = (encode_jpeg(align(picture, found), 95) for found in (points, points + SHIFT))
    with open_pack(tmp_path / "out") as out:
        assert [record.payload for record in out] == [left, right, right, right]
        assert out.labels.tolist() == [0, 1, 2, 3]


def test_a_face_is_in_a_box_from_three_tenths_on(tmp_path: Path) -> None:
    """Boxes of the face's height and left side: the overlap is the ratio of the widths."""
    width = float(LEFT[2] - LEFT[0])
    boxes = [np.append(LEFT[:2], [LEFT[0] + np.float32(share * width), LEFT[3]]) for share in (0.32, 0.28, 3.2, 3.5)]
    _, rows = aligned_list(tmp_path, list(boxes))
    assert [row["reason"] for row in rows] == [None, "no_face_in_box", None, "no_face_in_box"]


def test_overlap_is_intersection_over_union() -> None:
    box = np.float32([0, 0, 10, 20])
    assert box_iou(box, box) == 1
    assert box_iou(box, np.float32([5, 0, 15, 20])) == pytest.approx(1 / 3)
    apart = [[10, 0, 20, 20], [11, 21, 12, 22], [5, 5, 5, 5], [9, 9, 3, 3]]  # beside it, away, empty, inside out
    assert [box_iou(box, np.float32(other)) for other in apart] == [0, 0, 0, 0]


def test_boxes_and_points_are_read_beside_each_other(tmp_path: Path) -> None:
    points = "\t".join(str(number) for number in range(10))
    (tmp_path / "l.lst").write_text(f"0\ta.jpg\t0\n0\tb.jpg\t0\t0\t0\t0\t0\t{points}\n0\tc.jpg\t1\t1\t2\t3\t4\n")
    found = read_pictures(tmp_path / "l.lst").chosen(np.array([2, 1, 0]))
    nan = np.full(4, np.nan)
    assert np.array_equal(found.boxes, [[1, 2, 3, 4], nan, nan], equal_nan=True)
    assert found.points[1].tolist() == [[0, 5], [1, 6], [2, 7], [3, 8], [4, 9]]
    assert np.isnan(found.points[[0, 2]]).all()


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """p1: a crop, a GIF, a dangling link, a pipe; p2: JPEG by other suffixes; p3: a TIFF; hidden files and folders."""
    folder = tmp_path / "odd"
    names = [
        "p1/a.jpg",
        "p1/b.gif",
        "p2/a.jfif",
        "p2/deep/b.JPE",
        "p3/a.tif",
        "p3/ü\udcff.\udcff",
        "note",
        ".hid/a.jpg",
    ]
    for number, name in enumerate([*names, "p1/.a.jpg", "p1/.git/a.jpg"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode_jpeg(face(number), 90))
    (folder / "p1" / "gone.jpg").symlink_to("/nowhere/at/all")
    (folder / "p1" / "again").symlink_to(folder / "p1")
    (folder / "p4").symlink_to(folder / "p2" / "deep")
    os.mkfifo(folder / "p1" / "pipe.jpg")
    return folder


OTHERS = {".gif": 1, ".tif": 1, ".?": 1, "without a suffix": 1, "link to a folder": 1, ".jpg": 1}


def test_every_file_of_a_folder_is_a_picture_a_row_with_a_reason_or_counted(
    odd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = odd.parent / "out"
    with pytest.raises(SystemExit) as done:
        main(["pack", str(odd), str(out), "--workers", "1"])
    said = capsys.readouterr().out
    assert done.value.code == 0
    assert "4 of 5 pictures, 3 people" in said
    assert "1 x unreadable: No such file or directory" in said
    assert "6 other files are no pictures by their names: 1 " in said
    listed = [line.split("\t")[2] for line in (out / "source.lst").read_text().splitlines()]
    assert listed == ["p1/a.jpg", "p1/gone.jpg", "p2/a.jfif", "p2/deep/b.JPE", "p4/b.JPE"]
    with pytest.raises(SystemExit):
        main(["pack", str(odd), str(out), "--workers", "1", "--json", "--overwrite"])
    assert json.loads(capsys.readouterr().out)["others"] == OTHERS


def test_a_link_that_is_mended_is_another_input(odd: Path) -> None:
    before = read_pictures(odd)
    (odd / "p1" / "gone.jpg").unlink()
    (odd / "p1" / "gone.jpg").symlink_to(odd / "p1" / "a.jpg")
    after = read_pictures(odd)
    assert (before.files, before.content == after.content) == (after.files, False)


def test_a_folder_without_pictures_says_what_it_holds(odd: Path) -> None:
    with pytest.raises(FacekitError, match=r"pictures \(.avif, .bmp, .*\); it holds 1 .tif, 1 .\?$"):
        read_pictures(odd / "p3")


@pytest.mark.parametrize("name", ["odd", "odd/p2", "odd/p2/deep"])
def test_a_folder_that_cannot_be_listed_is_named(odd: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in, since root may list everything."""
    listing, closed = os.scandir, odd.parent / name

    def scandir(path: str) -> Any:
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(FacekitError, match=f"{closed} cannot be listed: Permission denied; make it readable"):
        _folder_source(odd)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_detector_in_the_working_directory_is_found_by_the_command(tmp_path: Path, workers: str) -> None:
    """By the console script's way in: its folder is on the path, the working directory is not."""
    (tmp_path / "p" / "a").mkdir(parents=True)
    (tmp_path / "p" / "a" / "1.jpg").write_bytes(group())
    (tmp_path / "detector_here.py").write_text(
        "import numpy as np\nfrom facekit.faces.detector import Detection\n"
        f"POINTS = np.float32({POINTS.tolist()})\n"
        "def mine():\n    return lambda image: [Detection(0.5, np.float32([0, 0, 9, 9]), POINTS)]\n"
    )
    code = "import sys; sys.path.pop(0); from facekit.cli import main; main()"
    command = [sys.executable, "-c", code, "pack", "p", "out", "--align", "--detector", "detector_here:mine"]
    path = str(Path(facekit.__file__).parents[1])
    done = subprocess.run(
        [*command, "--workers", workers, "--json"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": f"/nowhere:{path}"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["by_action"] == {"align": 1}


def fails() -> None:
    raise OSError("no weights")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("json:loads", "TypeError: .*argument"),
        ("os:getcwd", "an object of type str"),
        (f"{__name__}:fails", "OSError: no weights"),
        ("nowhere_at_all:x", "ModuleNotFoundError: No module named"),
        (".x:y", "TypeError"),
    ],
)
def test_what_makes_no_detector_is_told_what_one_is(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(ConfigError, match=f"^detector is '{name}': .*{message}.*; MODULE:NAME.* callable .*Detection$"):
        make_detector(name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        make_detector(name)
    assert sys.path[-1] == str(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1\ta/1.jpg\t-1", "the label is '-1'; it must be a whole number from 0 to 9223372036854775807"),
        ("1\ta.jpg\t5.5", "the label is '5.5'"),
        ("0\ta.jpg\tbob\t1\t2\t3\t4", "the label is 'bob'"),
        ("7\tbob\ta/1", "the label is 'bob'"),
        ("1\t-1\ta.JPG", "the label is '-1'"),
        ("12345678901234567890\t1\ta.jpg", "the index is '12345678901234567890'"),
        ("-3\t1\ta.jpg", "the index is '-3'"),
        ("0\ta.jpg\t9223372036854775808", "the label is '9223372036854775808'"),
        ("3\t1e300\ta.jpg", "the label is '1e300'"),
        ("x" * 5000, "1 columns beginning .'" + "x" * 40 + "'. are neither"),
    ],
)
def test_the_column_that_is_wrong_is_named(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "l.lst").write_text(f"0\t0\tfirst.jpg\n{line}\n")
    with pytest.raises(ConfigError, match=f"l.lst, line 2: {message}"):
        read_pictures(tmp_path / "l.lst")


def test_the_largest_index_is_read_exactly(tmp_path: Path) -> None:
    (tmp_path / "l.lst").write_text(f"{2**63 - 1}\t{2**53 + 1}.0\ta.jpg\n{2**53 + 1}\t{2**53 + 1}\ta.jpg\n")
    found = read_pictures(tmp_path / "l.lst")
    assert found.keys.tolist() == [2**63 - 1, 2**53 + 1]
    assert found.names == (str(2**53), str(2**53 + 1))


@pytest.mark.parametrize(
    ("name", "content", "cure"),
    [
        ("train.rec", b"\n#\xd7\xce\x18\0\0\0", "facekit convert rewrites a pack"),
        ("l.lst", "1\ta.jpg\t0\n".encode("utf-16"), "save it as text in UTF-8"),
    ],
)
def test_bytes_that_are_no_text_are_not_quoted(name: str, content: bytes, cure: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        ConfigError, match=f"{name} is .*, no list of pictures: it holds bytes that are no text; {cure}$"
    ):
        read_pictures(tmp_path / name)


def test_pictures_of_another_size_come_with_their_cure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p" / "a").mkdir(parents=True)
    (tmp_path / "p" / "a" / "1.jpg").write_bytes(encode_jpeg(face(1, 150), 90))
    cure = "--align finds the faces in photographs, --size any stores pictures of every size"
    with pytest.raises(SystemExit) as done:
        main(["pack", str(tmp_path / "p"), str(tmp_path / "out"), "--workers", "1"])
    assert (done.value.code, f"size 150x150 (1 times); {cure}\n" in capsys.readouterr().err) == (1, True)
    (tmp_path / "p" / "a" / "2.jpg").write_bytes(encode_jpeg(face(1), 90))
    with pytest.raises(SystemExit) as done:
        main(["pack", str(tmp_path / "p"), str(tmp_path / "out"), "--workers", "1"])
    assert (done.value.code, f"1 x size 150x150\n  ({cure})\n" in capsys.readouterr().out) == (0, True)


def test_quality_holds_for_what_training_code_may_not_decode(tmp_path: Path) -> None:
    """It is no matter of align alone."""
    (tmp_path / "p" / "a").mkdir(parents=True)
    Image.fromarray(face(1)).save(tmp_path / "p" / "a" / "1.bmp")
    pack(PackConfig(str(tmp_path / "p"), str(tmp_path / "out"), quality=31))
    with open_pack(tmp_path / "out") as out:
        assert [record.payload for record in out] == [encode_jpeg(face(1), 31)]


def test_a_list_is_read_into_arrays_and_one_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line as objects took 310 bytes, with its path alone as an object 130."""
    monkeypatch.setattr(picture_list, "_content", lambda *_: "")  # looks at a file a line, and keeps nothing
    count, path = 50_000, tmp_path / "people.lst"
    path.write_text("".join(f"{row}\t{row // 50}\tpeople/{row:06}.jpg\n" for row in range(count)))
    tracemalloc.start()
    read = read_pictures(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert read.labels.tolist() == (np.arange(count) // 50).tolist()
    assert peak / count < 90  # 17 of them the path's; a block of a fixed size is in it, which holds all of these


def test_points_and_boxes_stay_with_the_lines_that_give_them(tmp_path: Path) -> None:
    numbers = [None, (), (1.5, 2.0, 30.0, 40.0), None, (0.0, 0.0, 0.0, 0.0, *range(10)), None]
    lines = ["\t".join(["1", f"a/{row}.jpg", "7", *map(str, given or ())]) for row, given in enumerate(numbers)]
    (tmp_path / "a.lst").write_text("\n".join(lines))
    read = read_pictures(tmp_path / "a.lst")
    nowhere = [math.nan] * 4
    np.testing.assert_array_equal(read.boxes, [nowhere, nowhere, numbers[2], nowhere, nowhere, nowhere])
    np.testing.assert_array_equal(read.points[4], [(x, x + 5) for x in range(5)])
    assert np.isnan(np.delete(read.points, 4, axis=0)).all()
