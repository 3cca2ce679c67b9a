"""``facekit mask --photos``: the same tree, the same names, every picture of its own kind, every face accounted for."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from photo import face, photograph
from PIL import Image, features

from facekit.cli import main
from facekit.errors import ConfigError, DestinationExists, FacekitError
from facekit.images import decode, encode_jpeg, jpeg_coding, open_picture_file, stored_as
from facekit.jobs.photos.config import PhotosConfig
from facekit.jobs.photos.job import mask_photos
from facekit.masks import MaskParams
from facekit.run.choice import ExecutorChoice, Part, PartFinished

SHOWN = np.ascontiguousarray(photograph()[20:260, 110:340])


def as_file(picture: np.ndarray, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, format, **options)
    return out.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photographs in folders of several depths, one turned, one with nobody, one that is none, and notes."""
    turned = Image.Exif()
    turned[274], turned[315] = 8, "somebody"
    files = {
        "a.jpg": encode_jpeg(SHOWN, 88, "4:4:4"),
        "holiday/b.webp": as_file(SHOWN, "WEBP", lossless=True),
        "holiday/sea/c.PNG": as_file(SHOWN[:, ::-1], "PNG"),
        "holiday/sea/turned.jpg": as_file(np.ascontiguousarray(stored_as(SHOWN, 8)), "JPEG", quality=90, exif=turned),
        "nobody.jpg": encode_jpeg(np.full((120, 90, 3), 140, np.uint8)),
        "broken.jpg": encode_jpeg(SHOWN)[:3000],
        "notes.txt": b"no picture",
    }
    for name, content in files.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "photos"


def tree(folder: Path) -> dict[str, bytes]:
    """The pictures of a tree, without what facekit adds at its top."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if not name.startswith(("photos.", "run.json"))}


def ledger_of(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "photos.ledger.parquet").to_pylist()


def config(source: Path, destination: Path, **given: Any) -> PhotosConfig:
    return PhotosConfig(str(source), str(destination), **given)


@pytest.mark.usefixtures("capfd")  # the decoder warns
def test_the_same_tree_with_a_mask_on_every_face(photos: Path, tmp_path: Path) -> None:
    summary = mask_photos(config(photos, tmp_path / "out", seed=3))
    before, after = tree(photos), tree(tmp_path / "out")
    del before["notes.txt"]
    assert after.keys() == before.keys()
    same = {name for name in before if before[name] == after[name]}
    assert same == {"nobody.jpg", "broken.jpg"}
    rows = ledger_of(tmp_path / "out")
    assert {row["path"]: row["action"] for row in rows} == {
        "a.jpg": "mask", "broken.jpg": "error", "holiday/b.webp": "mask", "holiday/sea/c.PNG": "mask",
        "holiday/sea/turned.jpg": "mask", "nobody.jpg": "none",
    }  # fmt: skip
    assert (summary.pictures, summary.changed, summary.faces, summary.masked) == (6, 4, 4, 4)
    assert (summary.without_face, sum(summary.errors.values()), summary.others) == (1, 1, {".txt": 1})
    for row in rows:
        if row["action"] == "mask":
            old, new = (open_picture_file(side[row["path"]]) for side in (before, after))
            assert (new.kind, new.orientation) == (old.kind, old.orientation)
            left, top, right, bottom = np.rint(row["box"]).astype(int)
            off = np.abs(new.image.astype(int) - old.image).mean(2)
            middle = off[(top + bottom) // 2 : bottom, left:right]
            assert middle.mean() > 10 > 20 * off[: top // 2].mean()
            assert MaskParams.from_json(row["params"]).type == row["type"]
    assert jpeg_coding(after["a.jpg"])[:4] == jpeg_coding(before["a.jpg"])[:4]
    assert Image.open(io.BytesIO(after["holiday/sea/turned.jpg"])).getexif()[315] == "somebody"
    assert summary.contact is not None
    assert decode(Path(summary.contact).read_bytes()).shape[2] == 3


@pytest.mark.usefixtures("capfd")
def test_the_bytes_do_not_depend_on_the_workers_and_a_run_goes_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(18):  # more than a shard holds
        (photos / f"z{number}.jpg").write_bytes(encode_jpeg(SHOWN[number:], 80))
    mask_photos(config(photos, tmp_path / "one", seed=3))
    mask_photos(config(photos, tmp_path / "two", seed=3, workers=2))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("facekit.jobs.photos.job.assemble_output", stop)
        mask_photos(config(photos, tmp_path / "three", seed=3))
    assert not (tmp_path / "three").exists()
    assert mask_photos(config(photos, tmp_path / "three", seed=3)).pictures_per_second == 0
    with pytest.raises(PartFinished) as ended:
        mask_photos(config(photos, tmp_path / "four", seed=3, executor=ExecutorChoice(part=Part(2, 2))))
    assert 0 < ended.value.done.finished < ended.value.done.total
    assert not (tmp_path / "four").exists()
    mask_photos(config(photos, tmp_path / "four", seed=3))
    trees = [tree(tmp_path / name) for name in ("one", "two", "three", "four")]
    assert trees == [trees[0]] * 4
    assert not list(tmp_path.glob("*.partial"))
    (tmp_path / "one" / "mine.txt").write_text("kept")
    with pytest.raises(DestinationExists):
        mask_photos(config(photos, tmp_path / "one", seed=4))
    mask_photos(config(photos, tmp_path / "one", seed=4, limit=2, overwrite=True))
    assert sorted(tree(tmp_path / "one")) == ["a.jpg", "broken.jpg", "mine.txt"]


def test_the_ratio_is_of_faces_or_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    both = np.full((170, 340, 3), 120, np.uint8)
    both[:, :170] = both[:, 170:] = np.asarray(Image.fromarray(photograph()[20:260, 110:350]).resize((170, 170)))
    for number in range(10):
        (tmp_path / "photos" / f"{number}.png").write_bytes(as_file(both, "PNG"))
    of_faces = mask_photos(config(tmp_path / "photos", tmp_path / "faces", ratio=0.5))
    assert of_faces.faces == 20
    assert (of_faces.masked + of_faces.bare, 4 <= of_faces.masked <= 16) == (20, True)
    assert of_faces.changed * 2 > of_faces.masked  # of some pictures one face is masked and one is bare
    of_pictures = mask_photos(config(tmp_path / "photos", tmp_path / "pictures", ratio=0.3, ratio_of="picture"))
    assert (of_pictures.changed, of_pictures.masked, of_pictures.bare) == (3, 6, 14)
    largest = mask_photos(config(tmp_path / "photos", tmp_path / "largest", faces="largest", limit=2))
    assert (largest.masked, largest.bare) == (2, 2)
    rows = ledger_of(tmp_path / "largest")
    assert [(row["face"], row["action"]) for row in rows] == [(0, "mask"), (1, "bare")] * 2


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_and_animations(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.avif").write_bytes(as_file(SHOWN, "AVIF", quality=85))
    moving = as_file(SHOWN, "WEBP", save_all=True, append_images=[Image.fromarray(SHOWN[::-1])])
    (tmp_path / "photos" / "b.webp").write_bytes(moving)
    summary = mask_photos(config(tmp_path / "photos", tmp_path / "out"))
    assert Image.open(io.BytesIO((tmp_path / "out" / "a.avif").read_bytes())).format == "AVIF"
    assert (tmp_path / "out" / "b.webp").read_bytes() == moving
    assert (summary.masked, list(summary.errors.values())) == (1, [1])
    assert "animated (2 frames)" in next(iter(summary.errors))


def test_what_is_asked_for_is_checked(photos: Path, tmp_path: Path) -> None:
    for given, message in (
        ({"ratio": 1.5}, "ratio is 1.5"),
        ({"ratio_of": "eye"}, "ratio_of is 'eye'"),
        ({"faces": "left"}, "faces is 'left'"),
        ({"types": (("n96", 1.0),)}, "n96"),
        ({"limit": 0}, "limit"),
        ({"smallest": 1.0}, "smallest is 1.0"),
    ):
        with pytest.raises(ConfigError, match=message):
            config(photos, tmp_path / "out", **given)
    with pytest.raises(ConfigError, match="lies in the input"):
        mask_photos(config(photos, photos / "out"))
    with pytest.raises(FacekitError, match="is a picture; --photos takes a folder"):
        mask_photos(config(photos / "a.jpg", tmp_path / "out"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FacekitError, match="holds no pictures"):
        mask_photos(config(tmp_path / "empty", tmp_path / "out"))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str, str]:
    with pytest.raises(SystemExit) as done:
        main(["mask", *arguments, "--workers", "1"])
    said = capsys.readouterr()
    return done.value.code, said.out, said.err


def test_faces_that_are_turned_or_small_are_left_out_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(as_file(SHOWN, "PNG"))
    (tmp_path / "photos" / "b.png").write_bytes(as_file(np.ascontiguousarray(SHOWN[::-1, ::-1]), "PNG"))
    wide = np.full((1400, 1400, 3), 120, np.uint8)  # the eyes are 19 px apart
    wide[500:604, 500:600] = np.asarray(Image.fromarray(SHOWN).resize((100, 104)))
    (tmp_path / "photos" / "c.png").write_bytes(as_file(wide, "PNG"))
    for given, faces in (({}, 3), ({"upright": True}, 2), ({"smallest": 60.0}, 2)):
        summary = mask_photos(config(tmp_path / "photos", tmp_path / str(given), **given))
        assert (summary.faces, summary.without_face) == (faces, 3 - faces)


def test_the_command(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, str(photos), str(tmp_path / "out"), "--photos", "--types", "kn95")
    assert code == 0
    assert "4 of 4 faces are masked\n4 of 6 photographs have one\n  kn95" in out
    assert "1 photographs show no face" in out
    assert "1 other files are no pictures by their names and were left out: 1 .txt" in out
    code, out, _ = run(capsys, str(photos), str(tmp_path / "out2"), "--photos", "--json", "--ratio", "0")
    assert (code, json.loads(out)["bare"]) == (0, 4)
    for option in (("--mode", "add"), ("--layout", "flat"), ("--mesh-cache", "m"), ("--preset", "bcl")):
        code, _, err = run(capsys, str(photos), str(tmp_path / "out3"), "--photos", *option)
        assert (code, f"{option[0]} is for packs" in err) == (2, True)
    for words in (("--faces", "all"), ("--upright",), ("--smallest", "20")):
        code, _, err = run(capsys, str(photos), str(tmp_path / "out3"), *words)
        assert (code, f"{words[0]} is for photographs: give --photos too" in err) == (2, True)


def test_photographs_given_as_crops_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos" / "anna").mkdir(parents=True)
    for number in range(4):
        (tmp_path / "photos" / "anna" / f"{number}.jpg").write_bytes(encode_jpeg(photograph()[number:]))
    code, _, err = run(capsys, str(tmp_path / "photos"), str(tmp_path / "out"), "--ratio", "0.5")
    assert code == 1
    assert "these look unaligned: 4 of 4 chosen faces were refused" in err
    assert "--photos" in err
    (tmp_path / "crops").mkdir()
    for number in range(4):
        (tmp_path / "crops" / f"{number}.jpg").write_bytes(encode_jpeg(face(number)))
    code, out, _ = run(capsys, str(tmp_path / "crops"), str(tmp_path / "flat"), "--ratio", "0.5")
    assert (code, "the pictures lie in one folder and became one identity" in out) == (0, True)


def test_a_pack_is_no_folder_of_photographs_though_its_sheet_is_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train.rec", "train.idx", "property"):
        (tmp_path / name).write_bytes(b"")
    Image.fromarray(face(0)).save(tmp_path / "contact.png")
    code, _, err = run(capsys, str(tmp_path), str(tmp_path.parent / "out"), "--photos")
    assert code == 2
    assert "is a pack, whose faces are aligned: mask it without --photos" in err
