"""Files that a user names: whatever lies there, reading ends soon, with the content or one line that says the cure."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_packs import call, write

from facekit.embeddings.preprocessing import Preprocessing
from facekit.errors import ConfigError
from facekit.masks.custom import MOST_TEXTURES, read_masks
from facekit.run.user_files import MOST_BYTES, parse_json, read_json, read_regular_file, read_toml

DEEP = 100_000
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(value=VALUES, mark=st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_json_comes_back_with_or_without_a_byte_order_mark(
    tmp_path_factory: pytest.TempPathFactory, value: object, mark: bytes
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_bytes(mark + json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    assert read_json(path) == value


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_toml_comes_back_with_or_without_a_byte_order_mark(tmp_path: Path, mark: bytes) -> None:
    (tmp_path / "a.toml").write_bytes(mark + '[type."käse"]\nlike = "kn95"\n'.encode())
    assert read_toml(tmp_path / "a.toml") == {"type": {"käse": {"like": "kn95"}}}


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def sparse(path: Path) -> Path:
    path.touch()
    os.truncate(path, 1 << 40)
    return path


def locked(path: Path) -> Path:
    path.symlink_to(path)
    return path


NO_FILES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda path: path, "No such file"),
    "a folder": (lambda path: path.mkdir() or path, "a folder"),
    "a pipe": (fifo, "a pipe"),
    "endless zeros": (lambda path: Path("/dev/zero"), "a device"),
    "a link to itself": (locked, "symbolic links"),
    "a NUL in the name": (lambda path: path.with_name("a\0b"), "null byte"),
    "a terabyte": (sparse, "more than"),
}


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("read", [read_regular_file, read_toml, read_json])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str, read: Callable[[Path], object]) -> None:
    make, words = NO_FILES[kind]
    with pytest.raises(ConfigError, match=rf"cannot be read.*{words}") as caught:
        read(make(tmp_path / "file.toml"))
    assert str(caught.value).count("cannot be read") == 1
    assert ("no file has such a name" in str(caught.value)) == (kind == "a NUL in the name")


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_no_table_of_masks_and_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = NO_FILES[kind][0](tmp_path / "file.toml")
    with pytest.raises(ConfigError, match=r"there is no such file|not a table of masks: name a TOML file") as caught:
        read_masks(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_the_limit_is_the_last_size_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(100))
    assert read_regular_file(tmp_path / "a", 100) == bytes(100)
    with pytest.raises(ConfigError, match="100 bytes, more than 99"):
        read_regular_file(tmp_path / "a", 99)


@pytest.mark.parametrize("text", ["[" * DEEP, '{"a":' * DEEP, "[" * DEEP + "]" * DEEP])
def test_deep_json_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"here cannot be read"):
        parse_json(text, "here")
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ConfigError, match=r"a\.json cannot be read.*embed again"):
        read_json(tmp_path / "a.json", "embed again")
    with pytest.raises(ConfigError, match="cannot be read"):
        Preprocessing.from_json(text)


@pytest.mark.parametrize("text", ["a = " + "[" * DEEP, "a = " + "{a=" * DEEP, "a = " + "[" * DEEP + "]" * DEEP])
def test_deep_toml_is_an_error_wherever_it_is_named(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "deep.toml"
    path.write_text(text)
    pack = write(tmp_path / "pack", [0, 0, 1])
    for words in (
        ("mask", pack, tmp_path / "out", "--textures", path),
        ("train", "bcl", pack, tmp_path / "run", "--recipe", path),
    ):
        assert call(*words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "deep.toml is no TOML" in line
    assert call("textures", "check", path) == 1
    assert "deep.toml is no TOML" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("a\\u0000b.png", 2, "there is no such picture"),
        ("/dev/zero", 1, "cannot be read"),
        ("pipe.png", 1, "cannot be read"),
        (".", 1, "cannot be read"),
        ("nothing.png", 2, "there is no such picture"),
    ],
)
def test_a_texture_that_is_no_file_is_an_error(
    tmp_path: Path, name: str, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "a.toml").write_text(f'[type.mine]\nlike = "kn95"\ntextures = ["{name}"]\n')
    assert call("mask", write(tmp_path / "pack", [0, 0]), tmp_path / "out", "--textures", tmp_path / "a.toml") == code
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_table_of_thousands_of_textures_is_refused_before_the_first_is_read(tmp_path: Path) -> None:
    """None of the files is there: what is read first would say so."""
    names = ", ".join(f'"{number}.png"' for number in range(MOST_TEXTURES + 1))
    (tmp_path / "a.toml").write_text(f'[type.mine]\nlike = "kn95"\ntextures = [{names}]\n')
    with pytest.raises(ConfigError, match=rf"names {MOST_TEXTURES + 1} textures; it may name {MOST_TEXTURES}"):
        read_masks(tmp_path / "a.toml")
    each = [f'[type.t{number}]\nlike = "kn95"\ntextures = ["a.png"]\n' for number in range(MOST_TEXTURES + 1)]
    (tmp_path / "a.toml").write_text("".join(each))
    with pytest.raises(ConfigError, match="split the table"):
        read_masks(tmp_path / "a.toml")


def test_as_many_textures_as_are_allowed_are_read(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 64, 4), 255, np.uint8))
    names = ", ".join(['"a.png"'] * MOST_TEXTURES)
    (tmp_path / "a.toml").write_text(f'[type.mine]\nlike = "kn95"\ntextures = [{names}]\n')
    ((kind, textures),) = read_masks(tmp_path / "a.toml")
    assert len(kind.textures) == len(textures) == MOST_TEXTURES


def test_settings_are_far_below_the_limit(tmp_path: Path) -> None:
    """A table with as many types as may have a texture, each with an outline, takes a quarter of it at the most."""
    row = 'like = "kn95"\ntextures = ["kn95"]\ntop = [[0, 10], [30, 5], [60, 0], [90, -5]]\n'
    (tmp_path / "a.toml").write_text("".join(f"[type.t{number}]\n{row}" for number in range(MOST_TEXTURES)))
    assert (tmp_path / "a.toml").stat().st_size < MOST_BYTES / 4
    assert len(read_toml(tmp_path / "a.toml")["type"]) == MOST_TEXTURES
