"""``facekit pack``: every picture ends in the pack or in the ledger with its reason."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from mask_stand_ins import png
from photo import POINTS, face, photograph
from PIL import Image

from facekit.cli import main
from facekit.errors import ConfigError, DestinationExists, FacekitError
from facekit.faces.align import ARCFACE_TEMPLATE, align
from facekit.faces.detector import Detection
from facekit.images import decode, encode_jpeg
from facekit.jobs.pack.config import PackConfig
from facekit.jobs.pack.job import pack
from facekit.jobs.pack.picture_list import read_pictures
from facekit.jobs.pack.shard import align_face
from facekit.records import open_pack


class FixedDetector:
    """Knows where the face of `photo.photograph` is; finds none in pictures of another size."""

    def __call__(self, image: np.ndarray) -> list[Detection]:
        if image.shape[:2] != (512, 512):
            return []
        small = Detection(0.99, np.float32([0, 0, 20, 20]), POINTS.astype(np.float32) / 9)
        return [small, Detection(0.8, np.float32([180, 60, 270, 170]), POINTS.astype(np.float32))]


FIXED = f"{__name__}:FixedDetector"


def crop(seed: int) -> bytes:
    return encode_jpeg(face(seed), 90)


def big() -> bytes:
    return encode_jpeg(photograph(), 95)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """anna: two crops and a photograph; bert: a crop as PNG and what is no picture; carl: one crop; dora: nothing."""
    files = {
        "anna/1.jpg": crop(1), "anna/2.JPG": crop(2), "anna/3.jpg": big(),
        "bert/1.png": png(face(4)), "bert/2.jpg": b"no picture", "bert/notes.txt": b"",
        "carl/deeper/1.jpg": crop(6), "dora/readme.md": b"",
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / "people" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "people" / name).write_bytes(content)
    return tmp_path / "people"


def ledger_of(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "train.ledger.parquet").to_pylist()


def table_of(folder: Path) -> list[list[str]]:
    return [line.split(",") for line in (folder / "labels.csv").read_text().splitlines()]


def config(source: Path, destination: Path, **given: Any) -> PackConfig:
    return PackConfig(str(source), str(destination), **given)


def test_crops_are_stored_byte_for_byte_and_the_rest_has_its_reason(people: Path, tmp_path: Path) -> None:
    summary = pack(config(people, tmp_path / "out"))
    with open_pack(tmp_path / "out") as out:
        assert [record.payload for record in out] == [crop(1), crop(2), png(face(4)), crop(6)]
        assert out.labels.tolist() == [0, 0, 1, 2]
        assert [record.header.id for record in out] == out.keys.tolist() == [1, 2, 3, 4]
        assert out.dataset_header.label.tolist() == [5, 8]
    rows = {row["source_key"]: row for row in ledger_of(tmp_path / "out") if row["source_key"] is not None}
    assert [(key, row["key"], row["action"]) for key, row in sorted(rows.items())] == [
        (1, 1, "copy"), (2, 2, "copy"), (3, None, "refused"), (4, 3, "copy"), (5, None, "error"), (6, 4, "copy"),
    ]  # fmt: skip
    assert rows[3]["reason"] == "size 512x512"
    assert "no JPEG" in rows[5]["reason"]
    assert (summary.images, summary.pictures, summary.identities) == (4, 6, 3)
    assert sum(summary.skipped.values()) == 2
    assert (
        summary.config == "config.num_classes = 3\nconfig.num_image = 4\n" == (tmp_path / "out/config.txt").read_text()
    )
    assert table_of(tmp_path / "out") == [
        ["label", "name", "images"], ["0", "anna", "2"], ["1", "bert", "1"], ["2", "carl", "1"],
    ]  # fmt: skip
    listed = (tmp_path / "out" / "source.lst").read_text().splitlines()
    assert listed[5] == "6\t2\tcarl/deeper/1.jpg"


def test_people_with_too_few_pictures_are_left_out_and_labels_close_up(people: Path, tmp_path: Path) -> None:
    (people / "aaron").mkdir()
    (people / "aaron" / "1.jpg").write_bytes(crop(9))
    summary = pack(config(people, tmp_path / "out", min_images=2, layout="flat"))
    with open_pack(tmp_path / "out") as out:
        assert (out.layout, out.keys.tolist(), out.labels.tolist()) == ("flat", [0, 1], [0, 0])
        assert [record.payload for record in out] == [crop(1), crop(2)]
        assert [record.header.label for record in out] == [0.0, 0.0]
    assert summary.skipped["few_images"] == 3
    assert len(ledger_of(tmp_path / "out")) == summary.pictures == 7
    assert (tmp_path / "out" / "source.lst").read_text().splitlines()[0] == "1\t-1\taaron/1.jpg"


def test_the_largest_face_is_aligned_and_crops_are_left_alone(people: Path, tmp_path: Path) -> None:
    (people / "anna" / "4.jpg").write_bytes(encode_jpeg(photograph()[:200], 95))
    summary = pack(config(people, tmp_path / "out", align=True, detector=FIXED, quality=97))
    assert summary.by_action == {"copy": 3, "align": 1}
    assert summary.skipped["no_face"] == 2  # the photograph without the face, and the PNG, which is looked at
    with open_pack(tmp_path / "out") as out:
        assert out.read(1).payload == crop(1)
        expected = align(decode(big()), POINTS.astype(np.float32))
        assert np.abs(out.image(3).astype(int) - expected).mean() < 2
        assert out.read(3).payload == encode_jpeg(expected, 97)
    row = next(row for row in ledger_of(tmp_path / "out") if row["action"] == "align")
    assert np.allclose(json.loads(row["params"])["points"], POINTS, atol=0.01)
    assert row["score"] == pytest.approx(0.8)


def test_photographs_are_turned_upright_before_they_are_aligned(tmp_path: Path) -> None:
    exif, out = Image.Exif(), io.BytesIO()
    exif[274] = 6
    Image.fromarray(np.rot90(photograph()).copy()).save(out, "JPEG", quality=95, exif=exif.tobytes(), subsampling=0)
    (tmp_path / "p" / "a").mkdir(parents=True)
    (tmp_path / "p" / "a" / "1.jpg").write_bytes(out.getvalue())
    pack(config(tmp_path / "p", tmp_path / "out", align=True, detector=FIXED))
    with open_pack(tmp_path / "out") as result:
        assert np.abs(result.image(1).astype(int) - align(photograph(), POINTS)).mean() < 3


def test_both_kinds_of_list_are_told_apart(people: Path, tmp_path: Path) -> None:
    lists = {
        "im2rec": "7\t30\tanna/1.jpg\n3\t20\tbert/1.png\n9\t30\tanna/2.JPG\n",
        "im2rec_floats": "7\t30.000000\tanna/1.jpg\n3\t20.000000\tbert/1.png\n9\t30.000000\tanna/2.JPG\n",
        "im2rec_labels": "7\t30\t0.5\tanna/1.jpg\r\n3\t20\t0.25\tbert/1.png\r\n9\t30\t1\tanna/2.JPG\r\n",
        "insightface": "1\tanna/1.jpg\t30\n1\tbert/1.png\t20\n\n1\tanna/2.JPG\t30\n",
    }
    for name, text in lists.items():
        (people / "a.lst").write_text(text, newline="")
        pack(config(people / "a.lst", tmp_path / name))
        with open_pack(tmp_path / name) as out:
            assert [record.payload for record in out] == [png(face(4)), crop(1), crop(2)], name
            assert out.labels.tolist() == [0, 1, 1]
        assert [row[1] for row in table_of(tmp_path / name)] == ["name", "20", "30"]
        keys = [row["source_key"] for row in ledger_of(tmp_path / name) if row["source_key"] is not None]
        assert keys == ([3, 7, 9] if name.startswith("im2rec") else [2, 1, 3])
    pack(config(people / "a.lst", tmp_path / "flat", layout="flat"))
    with open_pack(tmp_path / "flat") as out:
        assert [record.payload for record in out] == [crop(1), png(face(4)), crop(2)]  # the order of the list
        assert out.labels.tolist() == [1, 0, 1]


def test_points_in_a_list_are_used_instead_of_a_detector(people: Path, tmp_path: Path) -> None:
    points = "\t".join(f"{value:.3f}" for value in [*POINTS[:, 0], *POINTS[:, 1]])
    (tmp_path / "a.lst").write_text(
        f"0\tanna/3.jpg\t0\t180\t60\t270\t170\t{points}\n0\tanna/1.jpg\t0\n0\tcarl/deeper/1.jpg\t1\t1\t2\t3\t4\n"
        f"0\tanna/3.jpg\t1\t1\t2\t3\t4\t" + "\t".join(["5"] * 10) + "\n0\tnowhere.jpg\t1\n"
    )
    summary = pack(config(tmp_path / "a.lst", tmp_path / "out", root=str(people), align=True, detector=FIXED))
    assert summary.by_action == {"copy": 2, "align": 1}
    assert list(summary.skipped) == [
        "points: these 5 points lie too close to one place or line to determine a transform",
        "unreadable: No such file or directory",
    ]
    with open_pack(tmp_path / "out") as out:
        assert out.read(1).payload == encode_jpeg(align(decode(big()), POINTS.astype(np.float32)), 95)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("anna/1.jpg\t3\n", "line 1: 2 columns"),
        ("1\t2\t3\n", "line 1: 3 columns"),
        ("1\tanna/1.jpg\t0\n5\t1\tanna/2.jpg\n", "line 2: .*another column"),
        ("2\tanna/1.jpg\t0\n", "line 1"),
        ("1\tanna/1.jpg\t0.5\n", "line 1"),
        ("1\tanna/1.jpg\t-1\n", "line 1"),
        ("1\tanna/1.jpg\t0\t1\t2\n", "line 1: 5 columns"),
        ("1 anna/1.jpg 0\n", "line 1: 1 columns"),
        ("4\tnan\tanna/1.jpg\n", "line 1"),
    ],
)
def test_lines_that_are_neither_are_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.lst").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_pictures(tmp_path / "a.lst")


def test_the_bytes_do_not_depend_on_the_workers_and_a_run_goes_on(
    people: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    for number in range(30):
        (people / f"p{number:02}").mkdir()
        for picture in range(5):
            (people / f"p{number:02}" / f"{picture}.jpg").write_bytes(crop(100 + 5 * number + picture))
    pack(config(people, tmp_path / "one"))
    pack(config(people, tmp_path / "two", workers=2))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("facekit.jobs.pack.job.assemble_output", stop)
        pack(config(people, tmp_path / "three"))
    assert not (tmp_path / "three").exists()
    again = pack(config(people, tmp_path / "three"))
    assert again.images_per_second == 0  # every shard was done already
    for name in ("train.rec", "train.idx", "property", "labels.csv", "source.lst"):
        assert len({(tmp_path / run / name).read_bytes() for run in ("one", "two", "three")}) == 1
    assert not list(tmp_path.glob("*.partial"))


def test_nothing_to_pack_says_why_and_leaves_the_way_free(tmp_path: Path) -> None:
    (tmp_path / "p" / "a").mkdir(parents=True)
    (tmp_path / "p" / "a" / "1.jpg").write_bytes(big())
    with pytest.raises(FacekitError, match=r"no picture could be packed; size 512x512 \(1 times\)"):
        pack(config(tmp_path / "p", tmp_path / "out"))
    with pytest.raises(FacekitError, match="no one has 2 pictures"):
        pack(config(tmp_path / "p", tmp_path / "out", size=None, min_images=2))
    assert pack(config(tmp_path / "p", tmp_path / "out", align=True, detector=FIXED)).images == 1
    with pytest.raises(DestinationExists):
        pack(config(tmp_path / "p", tmp_path / "out", size=None))
    with pytest.raises(ConfigError, match="holds the input"):
        pack(config(tmp_path / "p", tmp_path, overwrite=True))
    with pytest.raises(FacekitError, match="no such folder of pictures"):
        pack(config(tmp_path / "nowhere", tmp_path / "out2"))
    with pytest.raises(ConfigError, match="a pack already"):
        pack(config(tmp_path / "out", tmp_path / "out2"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layout": "round"}, "layout"),
        ({"min_images": 0}, "min_images"),
        ({"quality": 101}, "quality"),
        ({"workers": 0}, "workers"),
        ({"align": True, "detector": "mine"}, "MODULE:NAME"),
        ({"detector": "blazeface"}, "leave out detector, or give align"),
        ({"align": True, "size": None}, "112 x 112"),
    ],
)
def test_wrong_settings_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PackConfig("a", "b", **given)


def test_the_detector_for_upright_faces_finds_no_other(tmp_path: Path) -> None:
    (tmp_path / "p" / "anna").mkdir(parents=True)
    (tmp_path / "p" / "anna" / "up.jpg").write_bytes(big())
    (tmp_path / "p" / "anna" / "down.jpg").write_bytes(encode_jpeg(np.ascontiguousarray(photograph()[::-1, ::-1])))
    for detector, images in (("blazeface", 2), ("blazeface-upright", 1)):
        summary = pack(config(tmp_path / "p", tmp_path / detector, align=True, detector=detector))
        assert (summary.images, sum(summary.skipped.values())) == (images, 2 - images)


def test_a_detector_that_is_not_there_is_refused_before_anything_is_read(people: Path, tmp_path: Path) -> None:
    for name in ("nowhere:Detector", f"{__name__}:Nobody"):
        with pytest.raises(ConfigError, match=name):
            pack(config(people, tmp_path / "out", align=True, detector=name))
    assert not (tmp_path / "out.partial").exists()


def test_large_faces_are_shrunk_by_area_first() -> None:
    """A fine checkerboard averages out; bilinear sampling alone would alias it."""
    board = np.indices((896, 896)).sum(0) % 2 * 255
    image = np.repeat(board[..., None], 3, -1).astype(np.uint8)
    crop = align_face(image, (ARCFACE_TEMPLATE + 0.5) * 8 - 0.5)
    assert crop.shape == (112, 112, 3)
    assert np.abs(crop[8:-8, 8:-8].astype(int) - 127).max() <= 2
    smooth = np.repeat(np.repeat(face(3), 8, 0), 8, 1)
    assert np.abs(align_face(smooth, (ARCFACE_TEMPLATE + 0.5) * 8 - 0.5).astype(int) - face(3))[2:-2, 2:-2].mean() < 2


def test_photographs_of_real_people_are_aligned(shared: Path, tmp_path: Path) -> None:
    """All 48 are found, and someone else's network knows the people again."""
    import onnxruntime

    summary = pack(config(shared / "data" / "photos", tmp_path / "out", align=True))
    assert (summary.images, summary.identities, summary.by_action) == (48, 12, {"align": 48})
    network = onnxruntime.InferenceSession(shared / "data" / "models" / "embedder_128d.onnx")
    with open_pack(tmp_path / "out") as out:
        crops = np.stack([(out.image(key)[:, 8:104].astype(np.float32) - 127.5) / 128 for key in out.keys])
        labels = out.labels
    vectors = network.run(None, {network.get_inputs()[0].name: crops.transpose(0, 3, 1, 2)})[0]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    first, second = np.triu_indices(48, 1)
    right = ((vectors @ vectors.T)[first, second] > 0.27) == (labels[first] == labels[second])
    assert right.mean() > 0.98


def test_the_command(people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["pack", str(people), str(tmp_path / "out"), "--size", "any", "--workers", "1"])
    said = capsys.readouterr().out
    assert done.value.code == 0
    assert "5 of 6 pictures, 3 people" in said
    assert "1 x the payload begins with" in said
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(SystemExit) as done:
        main(["pack", str(people), str(tmp_path / "out"), "--json", "--workers", "1"])
    assert json.loads(capsys.readouterr().out)["images"] == 4
    with pytest.raises(SystemExit) as done:
        main(["pack", str(people), str(tmp_path / "out2"), "--size", "big"])
    assert (done.value.code, "HEIGHTxWIDTH" in capsys.readouterr().err) == (2, True)
