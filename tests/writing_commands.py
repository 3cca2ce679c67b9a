"""Every command that writes, as it is called on the smallest material there is, and what becomes of the material."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from small_models import save_model, save_pack, save_pooling_model
from train_packs import pattern_pack

from facekit.cli import main
from facekit.output.staging import staging_folder

SETTINGS = ("batch=4", "threads=1", "epochs=1", "max_steps=1", "warmup=0", "dimensions=8", "flip=0")
"""Of a training of one step."""

CURES = re.compile(
    r"choose|move (it|them|one)|--overwrite|--resume|free some space|make it writable|wait for|restore|name (a|another)"
)


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Attributes
    ----------
    name : str
        The command, with its subcommand where it has some; what else tells it from the others follows in brackets.
    words : callable
        Makes its arguments from the folder of the material and the destination.
    reads : tuple of str
        What it reads, relative to the material.
    suffix : str
        What the name of its destination must end in; empty: it writes a folder.
    fixed : str
        Where it writes whatever it is told, relative to the material; empty: where it is told to.
    overwrites : bool
        Whether it has ``--overwrite``.
    quick : bool
        Whether it may be run to its end in every test.
    beside : tuple of str
        What it needs beside what it is told to read.
    """

    name: str
    words: Callable[[Path, Path], list[object]]
    reads: tuple[str, ...]
    suffix: str = ""
    fixed: str = ""
    overwrites: bool = True
    quick: bool = True
    beside: tuple[str, ...] = ()

    @property
    def writes_folder(self) -> bool:
        """Whether a folder is what it writes."""
        return not self.suffix and not self.fixed

    @property
    def keeps_folder(self) -> bool:
        """Whether it works in its folder for long, instead of making it beside."""
        return self.name in ("train", "selflearn")

    @property
    def needs(self) -> tuple[str, ...]:
        """What must be there for it."""
        return (*self.reads, *self.beside)

    def destination(self, folder: Path, name: str = "out") -> Path:
        """A destination in a folder."""
        return folder / (name + self.suffix)

    def staging(self, folder: Path, target: Path) -> Path:
        """Where the output of that destination is made."""
        return staging_folder(folder / self.fixed if self.fixed else target)


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


_ALL = (
    Command("mask", lambda m, to: ["mask", m / "drawn", to, "--ratio", ".5", "--workers", 1], ("drawn",)),
    Command("mask (bin)", lambda m, to: ["mask", m / "drawn.bin", to, "--workers", 1], ("drawn.bin",), ".bin"),
    Command("mask (photos)", lambda m, to: ["mask", m / "pictures", to, "--photos", "--workers", 1], ("pictures",)),
    Command("synth", lambda m, to: ["synth", to, "--identities", 1, "--images", 2, "--workers", 1], ()),
    Command("pack", lambda m, to: ["pack", m / "pictures", to, "--size", "any", "--workers", 1], ("pictures",)),
    Command("unpack", lambda m, to: ["unpack", m / "people", to], ("people",)),
    Command("convert", lambda m, to: ["convert", m / "people", to], ("people",)),
    Command("convert (tar)", lambda m, to: ["convert", m / "people", to, "--layout", "webdataset"], ("people",)),
    Command("convert (parquet)", lambda m, to: ["convert", m / "people", to, "--layout", "parquet"], ("people",)),
    Command("convert (files)", lambda m, to: ["convert", m / "parquet", to, "--workers", 1], ("parquet",)),
    Command("convert (from tar)", lambda m, to: ["convert", m / "shards", to], ("shards",)),
    Command("merge", lambda m, to: ["merge", m / "people", m / "more", to], ("people", "more")),
    Command("split", lambda m, to: ["split", m / "people", to, "--test", ".5"], ("people",)),
    Command("reindex", lambda m, to: ["reindex", m / "bare"], ("bare",), ".idx", "bare/train.idx"),
    Command("check", lambda m, to: ["check", m / "people", f"--repair={to}"], ("people",)),
    Command("bins make", lambda m, to: ["bins", "make", m / "pairs.csv", m / "people", to], ("pairs.csv", "people"),
            ".bin"),
    Command("bins draw", lambda m, to: ["bins", "draw", m / "people", to, "--pairs", 4, "--folds", 2], ("people",),
            ".bin"),
    Command("bins show (unpack)", lambda m, to: ["bins", "show", m / "pairs.bin", f"--unpack={to}"], ("pairs.bin",)),
    Command("bins show (sheet)", lambda m, to: ["bins", "show", m / "pairs.bin", f"--sheet={to}"], ("pairs.bin",),
            ".png"),
    Command("inspect", lambda m, to: ["inspect", m / "people", f"--sheet={to}"], ("people",), ".png"),
    Command("embed", lambda m, to: ["embed", m / "people", to, "--model", m / "model.onnx"], ("people", "model.onnx")),
    Command("benchmark make", lambda m, to: ["benchmark", "make", to, "--preset", "drawn-tiny", "--workers", 1], (),
            quick=False),
    Command("benchmark run", lambda m, to: ["benchmark", "run", m / "bench", m / "pool.onnx", f"--page={to}",
            "--bootstrap", 0], ("bench", "pool.onnx"), ".html"),
    Command("clean", lambda m, to: ["clean", m / "people", to, "--features", m / "vectors.npy"],
            ("people", "vectors.npy")),
    Command("apply", lambda m, to: ["apply", m / "people", m / "decided", to], ("people", "decided")),
    Command("lists export", lambda m, to: ["lists", "export", m / "decided", to, "--source", m / "people"],
            ("decided", "people"), ".list"),
    Command("lists merge", lambda m, to: ["lists", "merge", m / "decided.list", m / "other.list", to],
            ("decided.list", "other.list"), ".list"),
    Command("lists sign", lambda m, to: ["lists", "sign", m / "decided.list", "--key", m / "key"],
            ("decided.list", "key"), ".sig", "decided.list.sig"),
    Command("eval", lambda m, to: ["eval", m / "vectors", "--pairs", m / "pairs.csv", f"--plots={to}", "--folds", 2],
            ("vectors", "pairs.csv")),
    Command("passport", lambda m, to: ["passport", m / "people", to], ("people",), ".json"),
    Command("overlap", lambda m, to: ["overlap", m / "people", m / "pairs.bin", to], ("people", "pairs.bin")),
    Command("textures preview", lambda m, to: ["textures", "preview", to, "kn95"], (), ".png"),
    Command("train", lambda m, to: ["train", "bcl", m / "patterns", to, "--recipe", "bcl-small", *changes()],
            ("patterns",), overwrites=False),
    Command("export", lambda m, to: ["export", m / "trained", to], ("trained",), ".onnx", quick=False),
    Command("selflearn", lambda m, to: ["selflearn", m / "people", to, "--recipe", "bcl-small", "--rounds", 1,
            "--init", m / "model.onnx", "--allow-loss", 1, *changes()], ("people", "model.onnx"), overwrites=False,
            quick=False),
)  # fmt: skip

UNAVAILABLE = () if shutil.which("ssh-keygen") else ("lists sign",)
"""Commands that need a program which is not on this machine; their own tests say so."""

WRITING = tuple(command for command in _ALL if command.name not in UNAVAILABLE)

ELSEWHERE = ("review", "cost")
"""Commands with tests of their own: one saves what a browser sends, one writes below a temporary folder alone."""

READING = {
    "diff": lambda m: ["diff", m / "decided", m / "decided"],
    "lists show": lambda m: ["lists", "show", m / "decided.list"],
    "lists diff": lambda m: ["lists", "diff", m / "decided.list", m / "other.list"],
    "explain": lambda m: ["explain", m / "decided", 1],
    "sweep": lambda m: ["sweep", m / "people", m / "vectors.npy"],
    "plugins": lambda m: ["plugins"],
    "doctor": lambda m: ["doctor"],
    "textures list": lambda m: ["textures", "list"],
    "textures check": lambda m: ["textures", "check", m / "masks.toml"],
    "check": lambda m: ["check", m / "people", "--deep"],
    "inspect": lambda m: ["inspect", m / "people"],
    "benchmark score-cleaning": lambda m: [
        "benchmark",
        "score-cleaning",
        m / "bench",
        m / "kept.csv",
        "--task",
        "planted-strong",
    ],
    "bins show": lambda m: ["bins", "show", m / "pairs.bin"],
    "eval": lambda m: ["eval", m / "vectors", "--pairs", m / "pairs.csv", "--folds", 2],
}
"""Commands, and ways to call some, that write nothing."""


def changes() -> list[str]:
    """The settings of a training of one step."""
    return [word for text in SETTINGS for word in ("--set", text)]


def named(name: str) -> Command:
    """The command of a name."""
    return next(command for command in WRITING if command.name == name)


def call(words: Sequence[object]) -> Said:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    code = -1
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


def do(words: Sequence[object]) -> None:
    """Run a command that must succeed."""
    said = call(words)
    assert said.code == 0, said.err


def assert_refused(said: Said, *names: str) -> None:
    """It ended with an error of one line that names each of ``names`` and a cure."""
    assert said.code in (1, 2), said
    lines = [line for line in said.err.splitlines() if line.startswith("facekit: ")]
    assert "Traceback" not in said.err, said.err
    assert len(lines) == 1, said.err
    for name in names:
        assert name in lines[0], said.err
    assert CURES.search(lines[0]), said.err


def make_material(folder: Path) -> Path:
    """Write everything that the commands read."""
    people = save_pack(folder / "people", people=4, each=3)
    save_pack(folder / "more", people=2, each=2, seed=1)
    save_model(folder / "model.onnx")
    noise = np.random.default_rng(0).normal(size=(len(people.labels), 8))
    vectors = 4 * np.eye(8)[people.labels] + noise
    np.save(folder / "vectors.npy", (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))
    (folder / "pairs.csv").write_text("key_a,key_b,same\n1,2,1\n1,4,0\n4,5,1\n2,7,0\n")
    (folder / "masks.toml").write_text('[type.mine]\nlike = "kn95"\ntextures = ["mine.png"]\n')
    y, x = np.mgrid[-1:1:64j, -1:1:96j]
    texture = np.full((64, 96, 4), (40, 90, 160, 255), np.uint8)
    texture[x**4 + y**4 > 1] = 0
    Image.fromarray(texture).save(folder / "mine.png")
    pattern_pack(folder / "patterns", (3, 3))
    save_pooling_model(folder / "pool.onnx")
    do(["benchmark", "make", folder / "bench", "--preset", "drawn-tiny", "--workers", 1])
    shutil.copy(folder / "bench" / "cleaning" / "planted-strong" / "images.csv", folder / "kept.csv")
    do(["unpack", folder / "people", folder / "pictures"])
    do(["convert", folder / "people", folder / "shards", "--layout", "webdataset"])
    do(["convert", folder / "people", folder / "parquet", "--layout", "parquet"])
    do(["bins", "make", folder / "pairs.csv", folder / "people", folder / "pairs.bin"])
    do(["synth", folder / "drawn", "--identities", 1, "--images", 2, "--workers", 1])
    (folder / "drawn.csv").write_text("key_a,key_b,same\n1,2,1\n")
    do(["bins", "make", folder / "drawn.csv", folder / "drawn", folder / "drawn.bin"])
    do(["embed", folder / "people", folder / "vectors", "--model", folder / "model.onnx"])
    do([*named("clean").words(folder, folder / "decided"), "--decisions-only"])
    do(named("lists export").words(folder, folder / "decided.list"))
    do([*named("lists export").words(folder, folder / "other.list"), "--who", "somebody else"])
    if not UNAVAILABLE:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    do(named("train").words(folder, folder / "trained"))
    shutil.copytree(folder / "people", folder / "bare")
    (folder / "bare" / "train.idx").unlink()
    return folder


def copy_material(material: Path, folder: Path, command: Command | None = None) -> Path:
    """Copy what a command reads; all but the trained network where no command is given."""
    folder.mkdir()
    names = os.listdir(material) if command is None else command.needs
    for name in names:
        if command is None and name == "trained":
            continue
        copy = shutil.copytree if (material / name).is_dir() else shutil.copy
        copy(material / name, folder / name)
    return folder


def snapshot(folder: Path, but: Sequence[Path] = ()) -> dict[str, tuple[int, int, bytes]]:
    """Kind, inode and content of everything in a folder, except what lies at or below some paths.

    Links are what they say; of folders the inode counts.
    """
    left_out, found = {os.fspath(path) for path in but}, {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if os.path.join(place, name) not in left_out]
        for name in [*folders, *names]:
            path = os.path.join(place, name)
            if path in left_out:
                continue
            about = os.lstat(path)
            kind = stat.S_IFMT(about.st_mode)
            content = b""
            if kind == stat.S_IFLNK:
                content = os.fsencode(os.readlink(path))
            elif kind == stat.S_IFREG:
                content = Path(path).read_bytes()
            found[os.path.relpath(path, folder)] = (kind, about.st_ino, content)
    return found
