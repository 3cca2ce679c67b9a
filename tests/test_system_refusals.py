"""What the system refuses, wherever it does: the message names path and cure, and the command succeeds later."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from reads_by_place import replace_reads
from small_models import save_model, save_pack
from small_packs import write
from train_packs import QUICK, changes, pattern_pack
from writing_commands import WRITING, Command, assert_refused, call, copy_material, do, make_material, snapshot

from facekit.cli import main
from facekit.records.read_at import read_at
from facekit.run.worker import portable_error

CAPGET, CAPSET = (90, 91) if os.uname().machine == "aarch64" else (125, 126)
VERSION = 0x20080522
"""capset(2): _LINUX_CAPABILITY_VERSION_3."""

OVERRIDES = 0b1110
"""capabilities(7): DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER: what lets root write where nobody may."""


@contextmanager
def as_an_ordinary_user() -> Iterator[None]:
    """Give up what root may and others may not; skips where that cannot be."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, held = struct.pack("Ii", VERSION, 0), ctypes.create_string_buffer(24)
    if libc.syscall(CAPGET, header, held):
        pytest.skip("capabilities cannot be asked for here")
    words = list(struct.unpack("6I", held.raw))
    words[0] &= ~OVERRIDES
    if libc.syscall(CAPSET, header, struct.pack("6I", *words)):
        pytest.skip("capabilities cannot be given up here")
    try:
        yield
    finally:
        assert not libc.syscall(CAPSET, header, held)


def small_file_system(folder: Path, kilobytes: int) -> None:
    """Mount one, or make the one that is there larger; skips where nothing can be mounted."""
    options = f"size={kilobytes}k,mode=777"
    mounted = folder.is_mount()
    words = ["-o", f"remount,{options}"] if mounted else ["-t", "tmpfs", "-o", options, "tmpfs"]
    done = subprocess.run(["mount", *words, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


@pytest.fixture(scope="module")
def all_material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_material(tmp_path_factory.mktemp("material"))


@pytest.mark.parametrize("command", WRITING, ids=lambda command: command.name)
def test_a_folder_that_may_not_be_written_in(command: Command, all_material: Path, tmp_path: Path) -> None:
    material = copy_material(all_material, tmp_path / "m", command)
    place = (material / command.fixed).parent if command.fixed else tmp_path / "closed"
    place.mkdir(exist_ok=True)
    (place / "mine").write_text("mine")
    target = command.destination(place)
    before = snapshot(tmp_path)
    place.chmod(0o555)
    try:
        with as_an_ordinary_user():
            said = call(command.words(material, target))
            assert_refused(said, place.name)
            assert snapshot(tmp_path) == before
    finally:
        place.chmod(0o755)
    if command.quick:
        do(command.words(material, target))


@pytest.mark.parametrize("command", [one for one in WRITING if one.reads], ids=lambda command: command.name)
def test_an_input_that_may_not_be_read(command: Command, all_material: Path, tmp_path: Path) -> None:
    material = copy_material(all_material, tmp_path / "m", command)
    source = material / command.reads[0]
    closed = next(source.rglob("model.pt"), None) or next(source.rglob("*.rec"), None) or source
    mode = closed.stat().st_mode
    closed.chmod(0)
    try:
        with as_an_ordinary_user():
            said = call(command.words(material, command.destination(material)))
    finally:
        closed.chmod(mode)
    assert said.code in (1, 2), said
    assert "Traceback" not in said.err
    assert closed.name in said.err.replace("directory", "") or source.name in said.err
    assert not list(material.glob("out*"))


MANY = 130
"""Pictures that make three shards."""


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Packs of some shards."""
    save_pack(tmp_path / "people", people=MANY // 5, each=5)
    save_model(tmp_path / "model.onnx")
    return tmp_path


def embed_with_workers(folder: Path, target: Path) -> list[object]:
    return ["embed", folder / "people", target, "--model", folder / "model.onnx", "--workers", 2]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_fills_up_under_workers(workers: int, many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facekit.output.folder.require_space", lambda target, needed: None)
    place = many / "disk"
    place.mkdir()
    words = [*embed_with_workers(many, place / "out"), "--workers", workers]
    try:
        kept = 0
        for kilobytes in (16, 24, 32, 48, 64, 512):
            small_file_system(place, kilobytes)
            said = call(words)
            if said.code == 0:
                break
            assert_refused(said, "disk", "full: free some space")
            kept += "kept in" in said.err
        assert said.code == 0, said.err
        assert kept
        assert os.listdir(place) == ["out"]
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def before_the_work(monkeypatch: pytest.MonkeyPatch, deed: Callable[[object], None]) -> None:
    """Do something between the opening of the output and the first shard, once."""
    import facekit.run.work as work

    run_shards = work.run_shards

    def after_deed(output: object, *rest: object) -> int:
        monkeypatch.setattr(work, "run_shards", run_shards)
        deed(output)
        return run_shards(output, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(work, "run_shards", after_deed)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_source_that_is_removed_meanwhile(workers: int, many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*embed_with_workers(many, many / "out"), "--workers", workers]
    before_the_work(monkeypatch, lambda output: (many / "people").rename(many / "elsewhere"))
    assert_refused(call(words), "people", "restore it")
    (many / "elsewhere").rename(many / "people")
    do(words)
    assert sorted(os.listdir(many)) == ["model.onnx", "out", "people"]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_unfinished_output_that_is_removed_meanwhile(
    workers: int, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*embed_with_workers(many, many / "out"), "--workers", workers]
    before_the_work(monkeypatch, lambda output: shutil.rmtree(output.staging))  # type: ignore[attr-defined]
    assert_refused(call(words), "out.partial")
    do(words)
    assert sorted(os.listdir(many)) == ["model.onnx", "out", "people"]


@pytest.mark.parametrize("name", ["convert", "unpack", "clean", "merge", "mask", "embed"])
def test_a_read_error_in_mid_pack(
    name: str, all_material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    material = copy_material(all_material, tmp_path / "m")
    command = next(one for one in WRITING if one.name == name)
    words = command.words(material, material / "out")
    size = os.path.getsize(material / command.reads[0] / "train.rec")
    def failing(descriptor: int, count: int, offset: int) -> bytes:
        if os.fstat(descriptor).st_size == size and offset > size // 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read_at(descriptor, count, offset)

    before = snapshot(material)
    with monkeypatch.context() as patched:
        replace_reads(patched, failing)
        said = call(words)
    assert said.code == 1, said
    assert "Traceback" not in said.err
    assert command.reads[0] in said.err
    assert "system's log" in said.err
    assert snapshot(material, [material / "out.partial"]) == before
    do(words)


def test_training_without_shared_memory(tmp_path: Path) -> None:
    pack = pattern_pack(tmp_path / "pack")
    words = ["train", "bcl", str(pack), str(tmp_path / "run"), "--recipe", "bcl-small"]
    words += changes(*QUICK, "workers=2", "max_steps=2")
    inside = 'mount -t tmpfs -o ro,size=4k tmpfs /dev/shm && exec "$0" -m facekit "$@"'
    command = ["unshare", "--mount", "sh", "-c", inside, sys.executable, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 2
    assert "/dev/shm" in done.stderr
    assert "workers=0" in done.stderr
    alone = [word.replace("workers=2", "workers=0") for word in command]
    assert subprocess.run(alone, capture_output=True, check=False).returncode == 0


def test_a_bare_refusal_at_the_top_names_path_and_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = write(tmp_path / "pack", [0, 0, 1])
    for error, wanted in (
        (OSError(errno.ENOSPC, "x", "/far/away"), "/far/away: the disk is full: free some space"),
        (OSError(errno.ENOSPC, "x", "/from", None, "/to"), "/to: the disk is full"),
        (OSError(errno.EXDEV, "Invalid cross-device link", "/far"), "/far: the system refuses (Invalid cross-device"),
        (MemoryError(), "not enough memory"),
    ):
        def refuse(*given: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("facekit.jobs.packs.inspect.inspect", refuse)
        with pytest.raises(SystemExit) as ended:
            main(["inspect", str(pack)])
        assert ended.value.code == 1
        assert wanted in capsys.readouterr().err


def test_a_library_that_the_memory_does_not_hold_is_told_so(tmp_path: Path) -> None:
    pack = write(tmp_path / "pack", [0, 0, 1])
    failing = (
        "import sys, facekit.jobs.packs.inspect as job\n"
        "def fail(config): raise {}\n"
        "job.inspect = fail\n"
        "from facekit.cli import main\n"
        f"main(['inspect', {str(pack)!r}])\n"
    )
    for error in ("ImportError('libx.so: failed to map segment')", "OSError('Could not find libllvmlite.so')"):
        script = [sys.executable, "-c", failing.format(error)]
        limiting = ["bash", "-c", 'ulimit -v 64000000; exec "$@"', "bash", *script]
        limited = subprocess.run(limiting, capture_output=True, text=True, check=False)
        assert limited.returncode == 1
        assert "memory is limited to 65.5 GB (ulimit -v): raise the limit" in limited.stderr
        free = subprocess.run(script, capture_output=True, text=True, check=False)
        assert "Traceback" in free.stderr, "a defect is none of the memory"


def test_what_a_library_made_of_a_full_disk_is_still_a_full_disk() -> None:
    made_of_it = RuntimeError("unexpected pos 64 vs 0")
    made_of_it.__cause__ = OSError(errno.ENOSPC, "No space left on device", "/full")
    sent = portable_error(made_of_it, "shard 3")
    assert isinstance(sent, OSError)
    assert (sent.errno, sent.filename) == (errno.ENOSPC, "/full")
    defect = RuntimeError("a defect")
    defect.__context__ = FileNotFoundError(errno.ENOENT, "No such file", "/cache")  # that somebody was prepared for
    assert "a defect" in str(portable_error(defect, "shard 3"))
