"""A folder output: what is refused, what stays, and what is left after a kill at any moment."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from facekit.errors import ConfigError, DestinationExists, FacekitError
from facekit.output import PNG, check_files, check_folder, input_of, open_files, open_folder, open_run_folder
from facekit.output.staging import staging_folder

CALLS = ("rename", "replace", "unlink", "link", "mkdir", "rmdir", "fsync", "open")
"""Calls of the system before which a run is killed."""


def write(
    target: Path, content: str = "new", overwrite: bool = False, shards: int = 2, looks: bool = True
) -> None:
    """A small job: shards, an output put together from them, published; or all at once, never looking what is there."""
    with open_folder(target, "test", settings={"content": content}, overwrite=overwrite) as output:
        if looks and output.published:
            return
        for number in range(shards):
            if looks and number not in output.finished():
                aside = output.shards / f".{number}"
                aside.write_text(f"{content} {number}")
                os.replace(aside, output.shard(number))
        folder = output.new_folder()
        (folder / "report").mkdir()
        for number in range(shards):
            (folder / f"part-{number}").write_text(output.shard(number).read_text() if looks else f"{content} {number}")
        (folder / "report" / "page.html").write_text(content)
        output.publish()


def interrupt(target: Path, content: str) -> None:
    """Leave a run that has finished one shard."""
    with contextlib.suppress(RuntimeError), open_folder(target, "test", settings={"content": content}) as output:
        output.shard(0).write_text(f"{content} 0")
        raise RuntimeError


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder and what is in it; links as what they say."""
    found = {}
    for place, folders, names in os.walk(folder):
        for name in [*names, *(f for f in folders if os.path.islink(os.path.join(place, f)))]:
            path = Path(place, name)
            text = os.readlink(path) if path.is_symlink() else path.read_text(errors="replace")
            found[str(path.relative_to(folder))] = text
        for name in folders:
            found.setdefault(str(Path(place, name).relative_to(folder)) + "/", "")
    return found


def own(folder: Path) -> dict[str, str]:
    """What `write` made, without the record."""
    return {name: text for name, text in tree(folder).items() if name != "run.json"}


def made(content: str) -> dict[str, str]:
    return {"part-0": f"{content} 0", "part-1": f"{content} 1", "report/": "", "report/page.html": content}


def test_an_output_appears_with_its_record_and_nothing_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "out")
    assert own(tmp_path / "out") == made("new")
    assert os.listdir(tmp_path) == ["out"]
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert [name for name, _, _ in record["files"]] == ["part-0", "part-1", "report/page.html"]
    assert record["command"] == "test"
    assert record["content"] == "new"


def test_an_existing_folder_is_refused_and_an_empty_one_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write(tmp_path / "out")
    with pytest.raises(DestinationExists, match="--overwrite"):
        write(tmp_path / "out")
    assert own(tmp_path / "out") == made("new")
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("make", [
    lambda path: path.write_text("mine"),
    lambda path: (path.mkdir(), (path / "train.rec").write_text("mine")),
    lambda path: (path.mkdir(), (path / "run.json").write_text('{"files": [], "listed_in": null}')),
    lambda path: (path.mkdir(), (path / "run.json").write_text("[" * 100_000)),
    lambda path: (path.mkdir(), (path / "run.json").write_text(
        '{"facekit": "1", "command": "x", "files": [["../../kept", 1, null]], "listed_in": null}')),
    lambda path: path.symlink_to("/dev/null"),
])  # fmt: skip
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_facekit_did_not_write_is_never_replaced(
    tmp_path: Path, make: Callable[[Path], object], overwrite: bool
) -> None:
    make(tmp_path / "out")
    before = tree(tmp_path)
    for attempt in (write, lambda target, overwrite: check_folder(target, (), overwrite)):
        with pytest.raises((DestinationExists, FacekitError)):
            attempt(tmp_path / "out", overwrite=overwrite)
        assert tree(tmp_path) == before


def foreign(folder: Path) -> None:
    """Put things of a user's into a folder that facekit wrote."""
    (folder / "notes.txt").write_text("mine")
    (folder / "pictures" / "deep").mkdir(parents=True)
    (folder / "pictures" / "deep" / "a.jpg").write_text("mine too")
    (folder / "nothing").mkdir()
    (folder / "report" / "review.json").write_text("a day's work")
    (folder / "link").symlink_to("notes.txt")
    (folder / "dangling").symlink_to("nowhere")


FOREIGN = {
    "notes.txt": "mine", "pictures/": "", "pictures/deep/": "", "pictures/deep/a.jpg": "mine too", "nothing/": "",
    "report/review.json": "a day's work", "link": "notes.txt", "dangling": "nowhere",
}  # fmt: skip


def test_overwriting_replaces_what_the_record_lists_and_leaves_the_rest(tmp_path: Path) -> None:
    write(tmp_path / "out", "old", shards=3)
    foreign(tmp_path / "out")
    inode = (tmp_path / "out" / "notes.txt").stat().st_ino
    write(tmp_path / "out", "new", overwrite=True)
    assert own(tmp_path / "out") == made("new") | FOREIGN
    assert (tmp_path / "out" / "notes.txt").stat().st_ino == inode
    assert os.listdir(tmp_path) == ["out"]
    write(tmp_path / "out", "newer", overwrite=True)
    assert own(tmp_path / "out") == made("newer") | FOREIGN


@pytest.mark.parametrize("name", ["part-0", "report/page.html"])
def test_a_file_that_somebody_changed_is_not_replaced(tmp_path: Path, name: str) -> None:
    write(tmp_path / "out", "old")
    (tmp_path / "out" / name).write_text("OLD")
    before = tree(tmp_path)
    with pytest.raises(DestinationExists, match=f"{name} changed since facekit wrote it"):
        write(tmp_path / "out", overwrite=True)
    assert tree(tmp_path) == before


def test_a_foreign_file_whose_name_the_output_needs_is_named(tmp_path: Path) -> None:
    write(tmp_path / "out", "old", shards=1)
    (tmp_path / "out" / "part-1").write_text("mine")
    before = tree(tmp_path / "out")
    with pytest.raises(DestinationExists, match="part-1 is not of facekit"):
        write(tmp_path / "out", overwrite=True)
    assert tree(tmp_path / "out") == before
    (tmp_path / "out" / "part-1").rename(tmp_path / "elsewhere")
    write(tmp_path / "out", overwrite=True)
    assert own(tmp_path / "out") == made("new")


@pytest.mark.parametrize("make", [
    lambda path: path.mkdir() or (path / "holiday.jpg").write_text("mine"),
    lambda path: path.write_text("mine"),
    lambda path: (path.parent / "album").mkdir() or path.symlink_to("album"),
    lambda path: path.mkdir() or (path / "journal.json").write_text('{"mark": "of another tool", "settings": {}}'),
])  # fmt: skip
def test_a_foreign_sibling_with_the_name_of_the_staging_folder_is_left_alone(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(staging_folder(tmp_path / "out"))
    before = tree(tmp_path)
    for attempt in (write, check_folder):
        with pytest.raises(DestinationExists, match=r"out\.partial.*move it away"):
            attempt(tmp_path / "out")
    assert tree(tmp_path) == before


def test_a_file_that_came_into_the_staging_folder_is_refused_and_stays(tmp_path: Path) -> None:
    interrupt(tmp_path / "out", "new")
    (tmp_path / "out.partial" / "mine").write_text("mine")
    with pytest.raises(DestinationExists, match="holds mine"):
        write(tmp_path / "out")
    assert (tmp_path / "out.partial" / "mine").read_text() == "mine"


def test_a_folder_that_appears_while_a_job_runs_stays(tmp_path: Path) -> None:
    with pytest.raises(DestinationExists, match="appeared"), open_folder(tmp_path / "out", "test") as output:
        (output.new_folder() / "a").write_text("new")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a").write_text("mine")
        output.publish()
    assert (tmp_path / "out" / "a").read_text() == "mine"


def test_a_folder_that_changes_while_its_successor_is_made_stays(tmp_path: Path) -> None:
    write(tmp_path / "out", "old")
    with (
        pytest.raises(DestinationExists, match="changed"),
        open_folder(tmp_path / "out", "test", overwrite=True) as output,
    ):
        (output.new_folder() / "a").write_text("new")
        (tmp_path / "out" / "part-0").write_text("edited")
        output.publish()
    assert (tmp_path / "out" / "part-0").read_text() == "edited"
    assert (tmp_path / "out" / "part-1").exists()


def test_a_second_run_is_refused_while_the_first_holds_the_lock(tmp_path: Path) -> None:
    with open_folder(tmp_path / "out", "test", settings={"content": "new"}) as output:
        code = f"from test_output_folder import write; from pathlib import Path; write(Path({str(tmp_path / 'out')!r}))"
        second = subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert "another run is writing" in second.stderr
        (output.new_folder() / "a").write_text("first")
        output.publish()
    assert own(tmp_path / "out") == {"a": "first"}


def related(tmp_path: Path) -> dict[str, tuple[Path, Path]]:
    """Destinations that are an input, hold one or lie in one, with the input."""
    source = tmp_path / "people"
    (source / "train").mkdir(parents=True)
    for name in ("train.rec", "train.idx"):
        (source / name).write_text(name)
    (tmp_path / "link").symlink_to(source)
    (tmp_path / "parent").symlink_to(tmp_path)
    os.link(source / "train.rec", tmp_path / "hard")
    return {
        "itself": (source, source),
        "through a link": (tmp_path / "link", source),
        "the input through a link": (source, tmp_path / "link"),
        "through a linked parent": (tmp_path / "parent" / "people", source),
        "a relative name": (source / ".." / "people" / ".", source),
        "a parent": (tmp_path, source),
        "in it": (source / "out", source),
        "deep in it": (source / "a" / "b", source),
        "holds the file": (source, source / "train.rec"),
        "holds the prefix": (source, source / "train"),
        "a hard link": (tmp_path / "hard", source / "train.rec"),
        "the index": (source / "train.idx", source / "train.rec"),
    }


@pytest.mark.parametrize("name", [
    "itself", "through a link", "the input through a link", "through a linked parent", "a relative name", "a parent",
    "in it", "deep in it", "holds the file", "holds the prefix", "a hard link", "the index",
])  # fmt: skip
def test_a_destination_that_is_holds_or_lies_in_an_input_is_refused(tmp_path: Path, name: str) -> None:
    target, source = related(tmp_path)[name]
    before = tree(tmp_path)
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="input"):
            open_folder(target, "test", [input_of(source)], overwrite=overwrite)
        with pytest.raises(ConfigError, match="input"):
            check_folder(target, [input_of(source)], overwrite)
    assert tree(tmp_path) == before


def test_a_source_that_changes_is_never_published(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("first")
    with (
        pytest.raises(FacekitError, match="source changed while it was read"),
        open_folder(tmp_path / "out", "test", [input_of(tmp_path / "source")]) as output,
    ):
        (output.new_folder() / "a").write_text("made of the first")
        (tmp_path / "source").write_text("other")
        output.publish()
    assert sorted(os.listdir(tmp_path)) == ["source"]


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "big disk").mkdir()
    (tmp_path / "out").symlink_to("big disk/out")
    write(tmp_path / "out", "old")
    write(tmp_path / "out", "new", overwrite=True)
    assert (tmp_path / "out").is_symlink()
    assert own(tmp_path / "big disk" / "out") == made("new")


@pytest.mark.parametrize("name", ["-rf", "n\xf6n\udcff", "x" * 247, " "])
def test_odd_names_are_written(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, "old")
    write(tmp_path / name, overwrite=True)
    assert own(tmp_path / name) == made("new")
    assert os.listdir(tmp_path) == [name]


def test_names_that_are_too_long_or_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shorter"):
        write(tmp_path / ("x" * 248))
    with pytest.raises(ConfigError, match="as a whole"):
        write(Path("/"))
    assert not os.listdir(tmp_path)


def test_a_job_that_the_disk_cannot_hold_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(FacekitError, match=r"needs about 1000000000\.0 TB and its disk has .* free"):
        open_folder(tmp_path / "out", "test", needed=10**21)
    assert not os.listdir(tmp_path)


def test_other_settings_are_refused_while_something_is_finished(tmp_path: Path) -> None:
    interrupt(tmp_path / "out", "old")
    with pytest.raises(ConfigError, match="content was 'old', is 'new'"):
        write(tmp_path / "out")
    write(tmp_path / "out", overwrite=True)
    assert own(tmp_path / "out") == made("new")


def killed_at(step: int, target: Path, content: str, overwrite: bool, looks: bool = True) -> bool:
    """Run `write` in a process that dies at one of its calls of the system; False where it had fewer."""
    process = os.fork()
    if process == 0:
        _die_at(step)
        write(target, content, overwrite, looks=looks)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9


def _die_at(step: int) -> None:
    count = [0]

    def dying(name: str) -> Callable[..., object]:
        call = getattr(os, name)

        def patched(*given: object, **named: object) -> object:
            count[0] += 1
            if count[0] == step:
                os._exit(9)
            return call(*given, **named)

        return patched

    os.fsync = lambda descriptor: None  # seconds of waiting for the disk in every process
    for name in CALLS:
        setattr(os, name, dying(name))


@pytest.mark.parametrize("looks", [True, False])  # some jobs make again what is published: they count it on the way
@pytest.mark.parametrize("replaces", [False, True])
def test_killed_before_any_call_the_same_command_goes_on(
    tmp_path: Path, replaces: bool, looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    step = 1
    while True:
        target = tmp_path / str(step) / "out"
        target.parent.mkdir()
        if replaces:
            write(target, "old", shards=3)
            foreign(target)
        if not killed_at(step, target, "new", replaces, looks):
            break
        lying = tree(target) | tree(staging_folder(target) / "former")
        assert not replaces or lying.items() >= {k: v for k, v in FOREIGN.items() if k != "report/"}.items(), step
        with contextlib.suppress(DestinationExists):  # it was done but for the last line
            write(target, "new", overwrite=replaces, looks=looks)
        assert own(target) == made("new") | (FOREIGN if replaces else {}), step
        assert os.listdir(target.parent) == ["out"], step
        step += 1
    assert step > 30


def test_a_file_system_that_takes_no_folders_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As /proc refuses them: as if what is to be made were missing."""

    def refuse(folder: Path, *_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", str(folder))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ConfigError, match=rf"no folder can be made in {tmp_path}, .*another destination"):
        open_folder(tmp_path / "out", "test", (), {}, overwrite=False, needed=0)


@pytest.mark.parametrize("name", ["mine", "mine/x", "mine/x/y"])
def test_a_place_below_a_file_is_refused_by_the_name_of_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").write_text("mine")
    target = tmp_path / name / "out"
    for attempt in (
        lambda: open_folder(target, "test"),
        lambda: check_folder(target),
        lambda: open_files({target.with_suffix(".png"): PNG}, "test"),
        lambda: check_files({target.with_suffix(".png"): PNG}),
        lambda: open_run_folder(target, "test").__enter__(),
    ):
        with pytest.raises(ConfigError, match=f"{tmp_path / 'mine'} is a file, and nothing can be written below it"):
            attempt()
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_full_disk_is_told_with_what_was_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facekit.output.system.free_bytes", lambda path: 1000)
    full = OSError(errno.ENOSPC, "No space left on device")
    message = rf"disk is full: free some space; {tmp_path}/(out|a.png) needs more than 5.0 kB$"
    with pytest.raises(FacekitError, match=message), open_folder(tmp_path / "out", "test") as output:
        output.new_folder().joinpath("half").write_bytes(b"x" * (4000 - settings_size(output.staging)))
        raise full
    with pytest.raises(FacekitError, match=message), open_files({tmp_path / "a.png": PNG}, "test") as files:
        files.paths[0].write_bytes(b"x" * (4000 - settings_size(files.staging)))
        raise full
    assert not list(tmp_path.iterdir())


def settings_size(staging: Path) -> int:
    return (staging / "journal.json").stat().st_size
