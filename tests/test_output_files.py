"""Single files that a command writes: what is refused, what stays, and what is left after a kill at any moment."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from test_output_folder import _die_at, related, tree, write

from facekit.errors import ConfigError, DestinationExists, FacekitError
from facekit.output import PNG, FileKind, check_files, files, input_of, open_files, open_run_folder
from facekit.output.aside import aside_file, replace_file
from facekit.output.staging import staging_folder

START = b"\x89PNG\r\n\x1a\n"
ANY = FileKind("a table")


def draw(folder: Path, content: bytes = b"new", overwrite: bool = False) -> None:
    """Write a picture and a table beside it."""
    targets = {str(folder / "a.png"): PNG, str(folder / "a.txt"): ANY}
    with open_files(targets, "test", settings={"content": content.decode()}, overwrite=overwrite) as output:
        if not output.published:
            for path in output.paths:
                path.write_bytes(START + content)


def test_files_appear_whole_and_leave_nothing_beside_them(tmp_path: Path) -> None:
    draw(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == {
        "a.png": START + b"new", "a.txt": START + b"new",
    }  # fmt: skip


def test_nothing_appears_when_something_goes_wrong(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), open_files({str(tmp_path / "a.png"): PNG}, "test") as output:
        output.paths[0].write_bytes(START)
        raise RuntimeError
    assert not os.listdir(tmp_path)


def test_an_interruption_while_it_is_published_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(files, "flush_file", interrupted)
        draw(tmp_path)
    assert not os.listdir(tmp_path)
    draw(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["a.png", "a.txt"]


def test_missing_parents_are_made(tmp_path: Path) -> None:
    draw(tmp_path / "a" / "b")
    assert sorted(os.listdir(tmp_path / "a" / "b")) == ["a.png", "a.txt"]


def picture(path: Path) -> None:
    path.write_bytes(START + b"mine")


@pytest.mark.parametrize("name", ["a.png", "a.txt"])
def test_an_existing_file_is_refused_unless_asked_for(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(START + b"mine")
    before = tree(tmp_path)
    with pytest.raises(DestinationExists, match="--overwrite"):
        draw(tmp_path)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("make", [
    lambda path: path.write_text("a letter"),
    lambda path: path.mkdir(),
    lambda path: path.symlink_to("/dev/null"),
])  # fmt: skip
def test_what_is_not_of_the_kind_is_never_replaced(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "a.png")
    before = tree(tmp_path)
    with pytest.raises(DestinationExists):
        draw(tmp_path, overwrite=True)
    assert tree(tmp_path) == before


def test_pictures_are_replaced_by_pictures(tmp_path: Path) -> None:
    draw(tmp_path, b"old")
    draw(tmp_path, b"new", overwrite=True)
    assert (tmp_path / "a.png").read_bytes() == START + b"new"
    assert sorted(os.listdir(tmp_path)) == ["a.png", "a.txt"]


def test_a_file_that_belongs_to_a_folder_of_facekit_is_not_replaced(tmp_path: Path) -> None:
    write(tmp_path / "out")
    targets = {str(tmp_path / "out" / "part-0"): ANY}
    for attempt in (check_files, lambda targets, inputs, overwrite: open_files(targets, "test", inputs, {}, overwrite)):
        with pytest.raises(DestinationExists, match="belongs to what facekit test wrote"):
            attempt(targets, (), True)
    assert (tmp_path / "out" / "part-0").read_text() == "new 0"


def test_a_file_that_appears_while_it_is_made_stays(tmp_path: Path) -> None:
    with pytest.raises(DestinationExists), open_files({str(tmp_path / "a.png"): PNG}, "test") as output:
        output.paths[0].write_bytes(START)
        (tmp_path / "a.png").write_text("mine")
    assert tree(tmp_path) == {"a.png": "mine"}


@pytest.mark.parametrize("name", ["itself", "through a link", "in it", "deep in it", "a hard link", "the index"])
def test_an_input_is_never_written_to(tmp_path: Path, name: str) -> None:
    target, source = related(tmp_path)[name]
    before = tree(tmp_path)
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="input"):
            open_files({str(target): ANY}, "test", [input_of(source)], overwrite=overwrite)
    assert tree(tmp_path) == before


def test_a_source_that_changes_is_never_published(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("first")
    with (
        pytest.raises(FacekitError, match="changed while it was read"),
        open_files({str(tmp_path / "a.png"): PNG}, "test", [input_of(tmp_path / "source")]) as output,
    ):
        output.paths[0].write_bytes(START)
        (tmp_path / "source").write_text("other")
    assert os.listdir(tmp_path) == ["source"]


def test_a_foreign_staging_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.txt.partial").mkdir()
    (tmp_path / "a.txt.partial" / "mine").write_text("mine")
    with pytest.raises(DestinationExists, match="move it away"):
        draw(tmp_path)
    assert tree(tmp_path) == {"a.txt.partial/": "", "a.txt.partial/mine": "mine"}


def test_two_runs_on_one_name_exclude_each_other_whatever_they_write_beside_it(tmp_path: Path) -> None:
    named = {str(tmp_path / "pairs.bin"): ANY}
    with (
        open_files({str(tmp_path / "pairs.ledger.parquet"): ANY, **named}, "test") as output,
        pytest.raises(ConfigError, match="another run is writing"),
    ):
        for path in output.paths:
            path.write_bytes(START)
        open_files(named, "test")
    assert sorted(os.listdir(tmp_path)) == ["pairs.bin", "pairs.ledger.parquet"]


def test_a_name_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.png"):
        open_files({str(tmp_path / "a.jpg"): PNG}, "test")


@pytest.mark.parametrize("replaces", [False, True])
def test_killed_before_any_call_the_same_command_goes_on(
    tmp_path: Path, replaces: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    step = 1
    while True:
        folder = tmp_path / str(step)
        folder.mkdir()
        if replaces:
            draw(folder, b"old")
        process = os.fork()
        if process == 0:
            _die_at(step)
            draw(folder, b"new", replaces)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0:
            break
        for name in ("a.png", "a.txt"):  # whole at every moment
            assert not (folder / name).exists() or (folder / name).read_bytes() in (START + b"old", START + b"new")
        with contextlib.suppress(DestinationExists):  # it was done but for the last line
            draw(folder, b"new", replaces)
        assert sorted(os.listdir(folder)) == ["a.png", "a.txt"], step
        assert (folder / "a.png").read_bytes() == (folder / "a.txt").read_bytes() == START + b"new", step
        step += 1
    assert step > 15


def test_a_run_folder_is_of_one_command_and_one_run(tmp_path: Path) -> None:
    with open_run_folder(tmp_path / "run", "train") as folder:
        (folder / "config.json").write_text("{}")
        with pytest.raises(ConfigError, match="another run works in"), open_run_folder(folder, "train"):
            pass
    with open_run_folder(tmp_path / "run", "train"):
        pass
    other = open_run_folder(tmp_path / "run", "selflearn")
    with pytest.raises(DestinationExists, match="is of facekit train, not selflearn"), other:
        pass
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    with pytest.raises(DestinationExists, match="is not of facekit train"), open_run_folder(tmp_path / "mine", "train"):
        pass
    assert tree(tmp_path / "mine") == {"config.json": "{}"}
    inside = open_run_folder(tmp_path / "mine" / "run", "train", [input_of(tmp_path / "mine")])
    with pytest.raises(ConfigError, match="lies in the input"), inside:
        pass
    assert staging_folder(tmp_path / "a").name == "a.partial"


def test_what_a_killed_run_left_beside_a_file_is_removed_by_the_next_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "page.html"
    child = os.fork()
    if child == 0:
        file, _ = aside_file(path)
        file.write(b"half")
        file.flush()
        os._exit(9)
    os.waitpid(child, 0)
    (orphan,) = os.listdir(tmp_path)
    for foreign in (f".page.html.{'0' * 12}.partial.mine", ".page.html.partial", ".other.html.0123456789ab.partial"):
        (tmp_path / foreign).write_text("mine")
    living, aside = aside_file(path)
    replace_file(path, "whole")
    assert not (tmp_path / orphan).exists()
    assert aside.exists()
    assert len(os.listdir(tmp_path)) == 5
    with living:
        living.write(b"later")
    os.replace(aside, path)
    assert path.read_text() == "later"
