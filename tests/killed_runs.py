"""Commands that are killed at seeded random moments and given again: what came of each, compared with a run in peace.

Every run is a process of its own, started through the command line; SIGKILL reaches it alone, and what it started must
see to itself.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from clean_packs import make_pack
from small_models import save_model, save_pack
from test_selflearn import QUICKER, noisy_pack
from test_train_job import pair_list
from train_packs import changes, facekit, pattern_pack
from writing_commands import do

Content = dict[str, object]


@dataclass(frozen=True)
class Job:
    """A command to be killed.

    Attributes
    ----------
    name : str
    words : callable
        Makes its arguments from the folder of the material and the destination.
    content : callable
        What of the destination must be the same whether or not the run was killed.
    again : tuple of str
        What the command is given beside its own words when it is to go on.
    """

    name: str
    words: Callable[[Path, Path], list[object]]
    content: Callable[[Path], Content]
    again: tuple[str, ...] = ()


@dataclass
class Tally:
    """What came of the kills of a command.

    Attributes
    ----------
    kills : int
        Runs that died by SIGKILL.
    early, amid, done : int
        Of them: those before anything was written, those that left something unfinished, and those that had published.
    seconds : float
        Of a run in peace.
    wrong : list of str
        What was not as it should be, a sentence each.
    """

    kills: int = 0
    early: int = 0
    amid: int = 0
    done: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


def whole(folder: Path) -> Content:
    """Every byte of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def names(folder: Path) -> list[str]:
    """The files of a folder; the board of a run has one more each time it goes on."""
    found = (str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file())
    return [name for name in found if "tensorboard" not in name]


def trained(folder: Path) -> Content:
    """The files of a training run, and its weights."""
    import torch

    weights: Content = {"names": names(folder)}

    def add(name: str, value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{name}.{key}", inner)
        else:
            weights[name] = value.numpy().tobytes() if isinstance(value, torch.Tensor) else repr(value)

    for model in sorted(folder.rglob("model.pt")):
        add(str(model.relative_to(folder)), torch.load(model, weights_only=False))
    return weights


def learned(folder: Path) -> Content:
    """The files of a self-learning run, what every round came to, its decisions and scores, and its weights."""
    kept = [folder / "rounds.json", *folder.rglob("decisions.parquet"), *folder.rglob("scores.json")]
    return trained(folder) | {str(path.relative_to(folder)): path.read_bytes() for path in kept}


QUICK = ("batch=8", "threads=1", "epochs=4", "log_every=4", "save_every=4", "warmup=0", "dimensions=16")

JOBS = (
    Job("mask", lambda m, to: ["mask", m / "drawn", to, "--ratio", ".5", "--workers", 2], whole),
    Job("embed", lambda m, to: ["embed", m / "noise", to, "--model", m / "model.onnx", "--workers", 2], whole),
    Job("clean", lambda m, to: ["clean", m / "pack", to, "--features", m / "vectors.npy"], whole),
    Job("apply", lambda m, to: ["apply", m / "pack", m / "decided", to], whole),
    Job("convert", lambda m, to: ["convert", m / "pack", to, "--layout", "flat", "--shuffle"], whole),
    Job("pack", lambda m, to: ["pack", m / "pictures", to, "--size", "any", "--workers", 2], whole),
    Job("merge", lambda m, to: ["merge", m / "pack", m / "noise", to], whole),
    Job("train", lambda m, to: ["train", "bcl", m / "patterns", to, "--recipe", "bcl-small", *changes(*QUICK)], trained,
        ("--resume",)),
    Job("selflearn", lambda m, to: ["selflearn", m / "noisy", to, "--rounds", 1, "--recipe", "bcl-small", "--intra",
        ".3", "--eps", ".4", "--inter", ".97", "--union", ".98", "--allow-loss", 1, "--eval", m / "pairs.csv",
        *changes(*QUICKER)], learned),
)  # fmt: skip


def make_material(folder: Path, people: int) -> Path:
    """Everything that the jobs read; ``people`` is how many the packs have, and decides how long the jobs take."""
    do(["synth", folder / "drawn", "--identities", max(people // 20, 1), "--images", 8, "--workers", 1])
    save_pack(folder / "noise", people=people, each=6)
    save_model(folder / "model.onnx")
    make_pack(folder, identities=people)
    do(["clean", folder / "pack", folder / "decided", "--features", folder / "vectors.npy"])
    do(["unpack", folder / "pack", folder / "pictures"])
    pattern_pack(folder / "patterns")
    pair_list(noisy_pack(folder)[0], folder / "pairs.csv")
    return folder


def kill_runs(job: Job, material: Path, folder: Path, kills: int, seed: int) -> Tally:
    """Kill a job again and again.

    Parameters
    ----------
    job : Job
    material, folder : Path
        What it reads, and an empty folder that it writes in.
    kills : int
    seed : int
        Decides when.
    """
    target, tally = folder / "out", Tally()
    words = [str(word) for word in job.words(material, target)]
    _watch(words, folder)
    expected = job.content(target)
    shutil.rmtree(target)
    first, tally.seconds = _watch(words, folder)  # nothing is compiled any more
    assert job.content(target) == expected
    rng = np.random.default_rng([seed, *job.name.encode()])
    while tally.kills < kills:
        shutil.rmtree(target)
        if not _kill(words, folder, rng.uniform(-0.1, 1) * (tally.seconds - first)):
            continue
        tally.kills += 1
        state = "early" if not os.listdir(folder) else "amid"
        done = facekit(*words, *job.again)
        if done.returncode == 2 and "exists already" in done.stderr:
            state = "done"
        elif done.returncode:
            tally.wrong.append(f"kill {tally.kills}: exit {done.returncode}: {done.stderr[-500:]}")
        setattr(tally, state, getattr(tally, state) + 1)
        tally.wrong += [f"kill {tally.kills}: {problem}" for problem in _problems(job, folder, expected)]
        if not target.is_dir():
            break
    shutil.rmtree(target, ignore_errors=True)
    return tally


def _problems(job: Job, folder: Path, expected: Content) -> list[str]:
    """What is not as after a run in peace."""
    beside = sorted(set(os.listdir(folder)) - {"out"})
    problems = [f"left beside it: {', '.join(beside)}"] if beside else []
    if not (folder / "out").is_dir():
        return [*problems, "there is no output"]
    found = job.content(folder / "out")
    differ = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    return problems + ([f"differs: {', '.join(differ[:5])} {_difference(expected, found)}"] if differ else [])


def _difference(expected: Content, found: Content) -> str:
    extra = _names_in(found) ^ _names_in(expected)
    return ", ".join(sorted(extra)[:5])


def _names_in(content: Content) -> set[str]:
    """The names of a folder's files, where the content says them."""
    names = content.get("names")
    return set(names) if isinstance(names, list) else set()


def _start(words: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "facekit", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _watch(words: list[str], folder: Path) -> tuple[float, float]:
    """Seconds until a run in peace writes something, and until it ends."""
    started, first = time.monotonic(), 0.0
    run = _start(words)
    while run.poll() is None:
        if not first and os.listdir(folder):
            first = time.monotonic() - started
        time.sleep(0.002)
    assert run.returncode == 0, re.sub(r"\s+", " ", facekit(*words).stderr)
    return first, time.monotonic() - started


def _kill(words: list[str], folder: Path, after: float) -> bool:
    """Run a command and kill it so many seconds after it first writes, below 0 before; False where it had ended.

    It is waited for, since other work on the machine shifts that moment by more than the run itself takes.
    """
    run = _start(words)
    while after >= 0 and run.poll() is None and not os.listdir(folder):
        time.sleep(0.001)
    try:
        run.wait(abs(after))
    except subprocess.TimeoutExpired:
        run.send_signal(signal.SIGKILL)
    return run.wait() == -signal.SIGKILL
