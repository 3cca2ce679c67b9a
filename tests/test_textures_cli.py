"""Custom masks: every mistake in a table is named, and a right one is worn."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mask_stand_ins import canonical_vertices
from photo import face

from facekit.cli import main
from facekit.errors import ConfigError, PictureError
from facekit.images import decode
from facekit.masks import TYPES, MaskAugment, add_masks, render_worn, sample_params
from facekit.masks.catalogue import mask_type, type_names
from facekit.masks.custom import ALLOWED, read_masks
from facekit.masks.textures import TEXTURE_SIZE, read_texture


def picture(
    path: Path, size: tuple[int, int] = (300, 420), colour: tuple[int, int, int] = (20, 160, 60), alpha: int = 255
) -> Path:
    """A green cloth with rounded corners."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    inside = ((x / width - 0.5) ** 4 + (y / height - 0.5) ** 4) < 0.055
    rgba = np.zeros((*size, 4), np.uint8)
    rgba[..., :3], rgba[..., 3] = colour, inside * alpha
    cv2.imwrite(str(path), rgba[..., [2, 1, 0, 3]])
    return path


def table(folder: Path, name: str, text: str = "", textures: str = '["cloth.png"]') -> Path:
    """A table with one type; names are never used twice, because a process keeps what it was told."""
    path = folder / "masks.toml"
    path.write_text(f'[type.{name}]\nlike = "cloth-pattern"\ntextures = {textures}\n{text}\n')
    return path


def test_a_picture_and_three_lines_are_worn_in_its_colours(tmp_path: Path) -> None:
    picture(tmp_path / "cloth-green.png")
    assert add_masks(table(tmp_path, "green", textures='["cloth-green.png"]')) == ("green",)
    assert "green" in type_names()
    kind, like = mask_type("green"), mask_type("cloth-pattern")
    assert (kind.shape, kind.relief, kind.colours) == (like.shape, like.relief, ("#ffffff",))
    worn = render_worn(face(3), canonical_vertices(), sample_params(np.random.default_rng(1), "green"))
    red, green, blue = worn.image[worn.coverage > 0.95].astype(float).mean(0)
    assert green > 1.5 * red
    assert green > 1.3 * blue


def test_everything_that_may_be_said_is_said_in_the_end(tmp_path: Path) -> None:
    text = """half_width = 80
top = [[0, 30], [40, 25.5], [80, 10]]
bottom = [[0, -70], [80, -20]]
straps = "none"
colours = ["#102030", "#A0b0C0"]
first = ["base", "#ffffff"]
strap = ["base"]
folds = [0, 2]
contrast = [0.5, 0.5]
form = [-1, 0.5]
cup = 0.4
kind = "ink" """
    ((kind, textures),) = read_masks(table(tmp_path, "all", text, '["surgical-a", "kn95-b"]'))
    assert textures == ()
    assert kind.textures == ("surgical-a", "kn95-b")
    assert (kind.shape.half_width, kind.shape.top[1], kind.shape.straps, kind.shape.cup) == (
        80,
        (40, 25.5),
        "none",
        0.4,
    )
    assert (kind.colours, kind.first, kind.form) == (("#102030", "#A0b0C0"), ("base", "#ffffff"), (-1, 0.5))
    known = set(mask_type("kn95").__dataclass_fields__) | set(kind.shape.__dataclass_fields__)
    assert set(ALLOWED) == known - {"name", "textures", "shape"}


WRONG: list[tuple[str, str]] = [
    ("", "holds nothing"),
    ("[type.x\n", "is no TOML"),
    ("[texture.x]\nkind = 'ink'\n", "holds texture; it must hold tables"),
    ("type = 3\n", "must hold tables"),
    ("[type]\nx = 3\n", r"\[type.x\]: this must be a table"),
    ("[type.x]\ntextures = ['a.png']\n", r"\[type.x\]: like is None; it must be one of surgical-blue"),
    ("[type.x]\nlike = 'cap'\n", "like is 'cap'"),
    ("[type.kn95]\nlike = 'kn95'\n", "facekit has a type of this name"),
    ("[type.x]\nlike = 'kn95'\n", "textures is None; it must be a list"),
    ("[type.x]\nlike = 'kn95'\ntextures = []\n", r"textures is \[\]"),
    (
        "[type.x]\nlike = 'kn95'\ntextures = ['kn95-a']\nkind = 'photo'\n",
        "kind is 'photo'; it must be one of colour, ink",
    ),
    ("[type.x]\nlike = 'kn95'\ntextures = ['kn95-a']\nrelef = 3\n", "there is no key 'relef'; there are like, kind"),
]
VALUES: list[tuple[str, str]] = [
    ("relief = 30", "a number from 0 to 20"),
    ("relief = true", "a number"),
    ("relief = 'much'", "a number"),
    ("straps = 'neck'", "one of ears, head, none"),
    ("colours = ['blue']", "a list of colours like"),
    ("colours = ['base']", "a list of colours like"),
    ("strap = ['#12345g']", 'or "base"'),
    ("colours = []", "a list of colours"),
    ("folds = [5, 2]", "two ascending numbers"),
    ("folds = [1]", "two ascending numbers"),
    ("form = [0.1, 9]", "two numbers from -2 to 2"),
    ("top = [[0, 30]]", "the azimuths ascending from 0"),
    ("top = [[5, 30], [40, 20]]", "the azimuths ascending from 0"),
    ("top = [[0, 30], [40, 20], [40, 10]]", "the azimuths ascending from 0"),
]
WRONG += [(f"[type.x]\nlike = 'kn95'\ntextures = ['kn95-a']\n{line}\n", words) for line, words in VALUES]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_mistakes_are_named_with_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "masks.toml").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        add_masks(tmp_path / "masks.toml")
    assert "masks.toml" in str(caught.value)
    assert type_names() == TYPES + tuple(name for name in type_names() if name not in TYPES)


def test_pictures_are_looked_at(tmp_path: Path) -> None:
    grey = np.zeros((80, 80), np.uint8)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    cv2.imwrite(str(tmp_path / "opaque.png"), np.zeros((80, 80, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "deep.png"), np.zeros((80, 80, 4), np.uint16))
    (tmp_path / "text.png").write_text("no picture")
    picture(tmp_path / "small.png", (63, 200))
    picture(tmp_path / "clear.png", alpha=0)
    for name, message in (
        ("grey.png", "no RGBA picture"), ("opaque.png", "no RGBA picture"),
        ("deep.png", "no RGBA picture"), ("text.png", "no RGBA picture"), ("small.png", "200 x 63 pixels"),
        ("clear.png", "transparent everywhere"),
    ):  # fmt: skip
        with pytest.raises(PictureError, match=message):
            add_masks(table(tmp_path, "bad", textures=f'["{name}"]'))


@pytest.mark.parametrize("size", [(384, 512), (97, 1000), (1200, 900), (768, 1024)])
def test_pictures_of_any_size_keep_their_colour_up_to_the_edge(tmp_path: Path, size: tuple[int, int]) -> None:
    rgba = read_texture(picture(tmp_path / "a.png", size)).rgba
    assert rgba.shape == (*TEXTURE_SIZE, 4)
    cloth = rgba[rgba[..., 3] > 8]
    assert np.abs(cloth[:, :3].astype(int) - (20, 160, 60)).max() <= 2  # what is transparent does not bleed in
    assert 0.6 < (rgba[..., 3] > 128).mean() < 0.95


def test_a_name_stands_for_one_thing_only(tmp_path: Path) -> None:
    picture(tmp_path / "once.png")
    path = table(tmp_path, "once", textures='["once.png"]')
    assert add_masks(path) == add_masks(path) == ("once",)
    with pytest.raises(ConfigError, match="another mask type 'once'"):
        add_masks(table(tmp_path, "once", "relief = 1", '["once.png"]'))
    picture(tmp_path / "once.png", colour=(200, 0, 0))
    with pytest.raises(ConfigError, match=r"another mask texture 'once\.png'"):
        add_masks(table(tmp_path, "twice", textures='["once.png"]'))


def test_other_processes_know_what_an_augmentation_knows(tmp_path: Path) -> None:
    import pickle

    picture(tmp_path / "sent.png")
    augment = MaskAugment(
        1.0, "sent", 2, {5: canonical_vertices()}, textures=table(tmp_path, "sent", textures='["sent.png"]')
    )
    (tmp_path / "augment").write_bytes(pickle.dumps(augment))
    np.save(tmp_path / "face.npy", face(3))
    script = (
        "import pickle, sys, numpy, os; os.chdir(sys.argv[1])\n"
        "image, masked = pickle.load(open('augment', 'rb'))(numpy.load('face.npy'), 5); numpy.save('worn.npy', image)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, str(tmp_path)], check=True)
    assert (np.load(tmp_path / "worn.npy") == augment(face(3), 5)[0]).all()


# --- the commands -----------------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[Any, str, str]:
    with pytest.raises(SystemExit) as done:
        main(["textures", *map(str, arguments)])
    return done.value.code, *capsys.readouterr()


def test_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()][: len(TYPES)] == list(TYPES)
    picture(tmp_path / "listed.png")
    code, out, _ = run(capsys, "list", "--json", "--textures", table(tmp_path, "listed", textures='["listed.png"]'))
    assert json.loads(out)[-1] == {"name": "listed", "custom": True, "straps": "ears", "textures": ["listed.png"]}


def test_preview(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = tmp_path / "sheet.png"
    picture(tmp_path / "shown.png")
    path = table(tmp_path, "shown", textures='["shown.png"]')
    assert run(capsys, "preview", sheet, "shown", "kn95", "--textures", path)[0] == 0
    shown = decode(sheet.read_bytes()).astype(int)
    assert ((shown[..., 1] - shown[..., 0] > 40) & (shown[..., 1] - shown[..., 2] > 20)).sum() > 2000
    code, _, err = run(capsys, "preview", sheet, "kn95")
    assert (code, "--overwrite" in err) == (2, True)
    cv2.imwrite(str(tmp_path / "face.png"), face()[..., ::-1])
    assert run(capsys, "preview", sheet, "kn95", "--face", tmp_path / "face.png", "--overwrite")[0] == 0
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((112, 112, 3), 99, np.uint8))
    for arguments, expected, words in (
        (["--face", tmp_path / "grey.png"], 1, "take an aligned picture of a bare face"),
        (["--face", tmp_path / "nowhere.png"], 2, "nowhere.png: there is no such file"),
        (["--seed", "-1"], 2, "seed is -1"),
    ):
        code, _, err = run(capsys, "preview", tmp_path / "other.png", "kn95", *arguments)
        assert (code, words in err) == (expected, True), err
        assert not (tmp_path / "other.png").exists()
    code, _, err = run(capsys, "preview", tmp_path / "other.png", "cap")
    assert (code, "mask type is 'cap'" in err) == (2, True), err


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(tmp_path / "right.png")
    code, out, _ = run(capsys, "check", table(tmp_path, "right", textures='["right.png"]'))
    assert (code, "is right" in out) == (0, True), out
    code, out, _ = run(capsys, "check", table(tmp_path, "wrong", "relief = 99"))
    assert (code, out.startswith("error: ")) == (1, True)
    rgba = np.full((200, 300, 4), 255, np.uint8)
    cv2.imwrite(str(tmp_path / "full.png"), rgba)
    rgba[:, :, 3] = 0
    rgba[120:160, 100:180, 3] = 100
    cv2.imwrite(str(tmp_path / "stamp.png"), rgba)
    code, out, _ = run(capsys, "check", "--json", table(tmp_path, "odd", textures='["full.png", "stamp.png"]'))
    found = [finding["problem"] for finding in json.loads(out)]
    assert code == 1
    for words in ("full.png is opaque everywhere", "27% of its width", "stamp.png is see-through"):
        assert any(words in problem for problem in found), found
    code, out, _ = run(capsys, "check", table(tmp_path, "bare", "bottom = [[0, 12], [88, 10]]", '["right.png"]'))
    assert (code, "mouth" in out and "bare on a face that looks ahead" in out) == (1, True), out
