"""Every command that writes, and everything in its way: nobody loses a byte, and the message says what helps.

The commands and their material are in `writing_commands`; a command without a row there fails the first test here.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest
from writing_commands import (
    ELSEWHERE,
    READING,
    UNAVAILABLE,
    WRITING,
    Command,
    assert_refused,
    call,
    copy_material,
    do,
    make_material,
    named,
    snapshot,
)

from facekit.cli import COMMANDS
from facekit.output.lock import release, take_lock

MOUNTED = [command for command in WRITING if not command.fixed]


def commands(*left_out: str) -> pytest.MarkDecorator:
    """Run a test for every command but some."""
    rows = [command for command in WRITING if command.name not in left_out]
    return pytest.mark.parametrize("command", rows, ids=lambda command: command.name)


@pytest.fixture(scope="module")
def all_material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_material(tmp_path_factory.mktemp("material"))


@pytest.fixture
def material(all_material: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    command = request.node.callspec.params.get("command") if hasattr(request.node, "callspec") else None
    return copy_material(all_material, tmp_path / "m", command)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own, 64 MB."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=64m,mode=777", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


def test_every_command_stands_in_the_table() -> None:
    known = {command.name.partition(" (")[0] for command in WRITING} | {*READING, *ELSEWHERE, *UNAVAILABLE}
    for name in COMMANDS:
        command = import_module(f"facekit.cli.{name}").command
        subs = [f"{name} {sub}" for sub in command.commands] if isinstance(command, click.Group) else [name]
        for sub in subs:
            assert sub in known, f"give facekit {sub} a row in writing_commands.WRITING, or in READING"


@pytest.mark.parametrize("name", list(READING))
def test_what_only_reads_changes_nothing(name: str, all_material: Path) -> None:
    before = snapshot(all_material)
    do(READING[name](all_material))
    assert snapshot(all_material) == before


def ways_to(source: Path, command: Command) -> dict[str, Path]:
    """Destinations that are a source, lie in it, hold it, or lead to it."""
    link, parent = source.parent / "link", source.parent / "parent"
    link.symlink_to(source.name)
    parent.symlink_to(".")
    os.makedirs(source.parent / "between", exist_ok=True)
    ways = {
        "itself": source,
        "through a link": link,
        "through a linked folder": parent / source.name,
        "by a winding name": source.parent / "between" / ".." / source.name,
        "in it": source / command.destination(Path(), "new"),
        "deep in it": source / "new" / command.destination(Path(), "new"),
        "holds it": source.parent,
    }
    if source.is_dir():
        ways |= {f"its {path.name}": path for path in sorted(source.iterdir()) if path.is_file()}
    else:
        ways = {name: way for name, way in ways.items() if "in it" not in name}
    if command.name == "export":  # a network is exported into the folder of its run
        ways = {name: way for name, way in ways.items() if "in it" not in name}
    return ways


@commands("synth", "benchmark make", "textures preview", "reindex", "lists sign")
def test_a_destination_that_touches_a_source_is_refused(command: Command, material: Path) -> None:
    for name in command.reads:
        for way, target in ways_to(material / name, command).items():
            before = snapshot(material)
            for more in ([], ["--overwrite"]) if command.overwrites else ([],):
                said = call([*command.words(material, target), *more])
                assert said.code in (1, 2), (way, said)
                assert_refused(said, target.name if way == "holds it" else "")
                assert snapshot(material) == before, way
        for made in ("link", "parent"):
            (material / made).unlink()
    if command.quick:
        do(command.words(material, command.destination(material)))


def put_folder(target: Path) -> None:
    """A folder with things of a user's, which looks like a pack."""
    target.mkdir()
    (target / "train.rec").write_text("mine")
    (target / "pictures").mkdir()
    (target / "pictures" / "a.jpg").write_text("mine too")


FOREIGN: dict[str, Callable[[Path], object]] = {
    "folder": put_folder,
    "file": lambda target: target.write_text("mine"),
    "record of another tool": lambda target: (target.mkdir(), (target / "run.json").write_text('{"files": ["a"]}')),
    "pipe": os.mkfifo,
}


@pytest.mark.parametrize("kind", list(FOREIGN))
@commands("reindex", "lists sign")
def test_what_somebody_else_put_at_the_destination_stays(command: Command, kind: str, material: Path) -> None:
    target = command.destination(material)
    FOREIGN[kind](target)
    before = snapshot(material)
    for more in ([], ["--overwrite"]) if command.overwrites else ([],):
        assert_refused(call([*command.words(material, target), *more]), target.name)
        assert snapshot(material) == before
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    if command.quick and kind == "folder":
        do(command.words(material, target))


def link_to_album(path: Path) -> None:
    """A link to somebody's folder."""
    put_folder(path.with_name("album"))
    path.symlink_to("album")


SIBLINGS: dict[str, Callable[[Path], object]] = {
    "folder": put_folder,
    "file": lambda path: path.write_text("mine"),
    "link": link_to_album,
    "dangling link": lambda path: path.symlink_to("nowhere"),
}


@commands("train", "selflearn")
def test_what_has_the_name_of_the_staging_folder_stays(command: Command, material: Path) -> None:
    target = command.destination(material)
    staging = command.staging(material, target)
    for kind, put in SIBLINGS.items():
        put(staging)
        before = snapshot(material)
        for more in ([], ["--overwrite"]):
            assert_refused(call([*command.words(material, target), *more]), staging.name)
            assert snapshot(material) == before, kind
        shutil.rmtree(staging) if staging.is_dir() and not staging.is_symlink() else staging.unlink()
    if command.quick:
        do(command.words(material, target))
        assert not os.path.lexists(staging)


@commands("train", "selflearn", "reindex", "export", "lists sign")
def test_a_folder_that_was_written_is_written_again_and_what_came_into_it_stays(
    command: Command, material: Path
) -> None:
    target = command.destination(material)
    do(command.words(material, target))
    if command.writes_folder:
        put_folder(target / "mine")
        (target / "notes.txt").write_text("mine")
        (target / "link").symlink_to("notes.txt")
    before = snapshot(target, but=[]) if command.writes_folder else {}
    mine = {name: about for name, about in before.items() if name.split(os.sep)[0] in ("mine", "notes.txt", "link")}
    mine = {name: about for name, about in mine.items() if not stat.S_ISDIR(about[0])}
    assert_refused(call(command.words(material, target)), target.stem)
    assert not command.writes_folder or snapshot(target) == before
    do([*command.words(material, target), "--overwrite"])
    assert not command.writes_folder or snapshot(target).items() >= mine.items()
    assert sorted(os.listdir(material)) == sorted({*command.needs, target.name, *ledger_of(command, target)})


def ledger_of(command: Command, target: Path) -> list[str]:
    """The second file that a command writes, where it does."""
    return [target.stem + ".ledger.parquet"] if command.name in ("mask (bin)", "bins draw") else []


@commands()
def test_a_second_run_at_the_same_time_is_refused(command: Command, material: Path) -> None:
    target = command.destination(material)
    held = target if command.keeps_folder else command.staging(material, target)
    lock = take_lock(held)
    assert lock is not None
    before = snapshot(material)
    try:
        assert_refused(call(command.words(material, target)), held.name)
        assert snapshot(material) == before
    finally:
        release(lock)
    if command.quick:
        do(command.words(material, target))


@pytest.mark.parametrize("command", [one for one in WRITING if one.writes_folder], ids=lambda command: command.name)
def test_a_file_system_of_its_own_is_never_replaced(command: Command, material: Path, mounted: Path) -> None:
    (mounted / "mine").write_text("mine")
    before = snapshot(material), snapshot(mounted)
    for more in ([], ["--overwrite"]) if command.overwrites else ([],):
        assert_refused(call([*command.words(material, mounted), *more]), mounted.name)
        assert (snapshot(material), snapshot(mounted)) == before
    (mounted / "mine").unlink()
    said = call(command.words(material, mounted)) if not command.keeps_folder else None
    if said is not None:  # empty, it is still no folder that can be renamed
        assert_refused(said, mounted.name)
        assert not os.listdir(mounted)
    if command.quick:
        do(command.words(material, mounted / "out"))


FULL = ("mask", "mask (bin)", "synth", "pack", "unpack", "convert", "convert (tar)", "merge", "embed", "clean", "apply",
        "train", "bins show (sheet)", "check")  # fmt: skip


@pytest.mark.parametrize("foreseen", [True, False])
@pytest.mark.parametrize("command", [named(name) for name in FULL], ids=lambda command: command.name)
def test_a_full_disk(
    command: Command, foreseen: bool, material: Path, mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = command.destination(mounted)
    (mounted / "mine").write_text("mine")
    if not foreseen:
        for room in ("folder", "files"):
            monkeypatch.setattr(f"facekit.output.{room}.require_space", lambda target, needed: None)
    before, refused = snapshot(material), 0
    for kilobytes in (4, 16, 64, 256, 1024, 65536):
        mount("-o", f"remount,size={kilobytes}k", str(mounted))
        said = call(command.words(material, target))
        if said.code == 0:
            break
        refused += 1
        assert_refused(said, mounted.name)
        assert (mounted / "mine").read_text() == "mine"
        assert not target.exists() or command.keeps_folder
    assert said.code == 0, said.err
    assert refused
    assert snapshot(material) == before
    left = {target.name, "mine", *ledger_of(command, target)}
    assert set(os.listdir(mounted)) == left


NAMES = {"dash": "-rf", "not UTF-8": os.fsdecode(b"caf\xe9 \xff"), "newline": "a\nb", "long": "x" * 200}


@pytest.mark.parametrize("name", list(NAMES))
@commands("export", "selflearn")
def test_odd_names(
    command: Command, name: str, all_material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = NAMES[name]
    copy_material(all_material, tmp_path / odd, command)
    monkeypatch.chdir(tmp_path / odd)
    target = command.destination(Path(), odd)
    words = command.words(tmp_path / odd, target)
    if target in words:
        words.remove(target)
        words += ["--", target]
        if command.name in ("textures preview", "synth", "benchmark make", "merge"):
            words = command.words(tmp_path / odd, target)
            words[words.index(target)] = f"./{target}"
    do(words)
    assert command.fixed or target.exists()


@commands("reindex", "lists sign")
def test_a_name_that_is_too_long_is_refused(command: Command, material: Path) -> None:
    before = snapshot(material)
    for length in (255, 256, 3000):
        target = command.destination(material, "y" * (length - len(command.suffix)))
        if command.keeps_folder and length == 255:
            continue  # nothing is made beside it
        said = call(command.words(material, target))
        assert_refused(said, target.stem[:240])
        assert snapshot(material) == before
