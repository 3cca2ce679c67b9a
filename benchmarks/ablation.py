"""The ablations of both papers in shape: Tables 1 to 4 of BCL, Table IV of MaskDUL, on drawn people in small.

    python benchmarks/ablation.py --out ablation
    python benchmarks/ablation.py --out ablation --tables 1 3 --identities 60 --images 16
    python benchmarks/ablation.py --out ablation --full --pack ms1m --test mfr --model r50.onnx --processes 32

Small: a drawn pack with planted noise, a drawn test pack of other people with a masked copy of each picture, a network
of half a million parameters; TAR at FAR 1e-2. Such figures check the wiring, they say nothing about photographs. With
--full the papers' recipes run on a pack of one's own, under torchrun, and TAR is that of the MFR protocol. Every cell
is a folder under --out, and one that is finished is not done again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from facekit.clean.settings import CleanSettings
from facekit.jobs.clean.config import CleanConfig
from facekit.jobs.clean.job import clean
from facekit.jobs.embed.job import EmbedConfig, embed
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.job import evaluate
from facekit.jobs.inputs.model import ModelChoice
from facekit.jobs.mask.config import PRESETS, MaskConfig, parse_types
from facekit.jobs.mask.job import mask
from facekit.jobs.synth.config import SynthConfig
from facekit.jobs.synth.job import synth
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.export import ExportConfig, export
from facekit.jobs.train.job import train
from facekit.synth.plan import PackSpec

TABLES = ("1", "2", "3", "4", "iv")
SHARES = (0.05, 0.10, 0.15, 0.20, 0.25)
INTRAS = (0.05, 0.15, 0.25, 0.35, 0.45, 0.50)
ROWS_IV = ("bcl:arcface", "maskdul:magface", "maskdul:dul_cls", "maskdul:dul_mag", "maskdul:maskdul")
Row = tuple[str, ...]


@dataclass(frozen=True)
class Bench:
    """Where everything lies, and how a network is trained.

    Attributes
    ----------
    out, pack, test : Path
        The cells; the noisy pack; the test pack with a ledger.
    model : str
        ONNX that cleaning embeds with.
    full : bool
    processes : int
    changes : tuple of str
    """

    out: Path
    pack: Path
    test: Path
    model: str
    full: bool
    processes: int
    changes: tuple[str, ...]

    def cleaned(self, pack: Path, intra: float) -> Path:
        """The pack without its noise."""
        folder, features = self.out / f"clean-{intra:g}", self.out / "features"
        if not features.exists():
            embed(EmbedConfig(str(pack), str(features), ModelChoice(self.model)))
        if not folder.exists():
            strict = CleanSettings(intra=intra) if self.full else CleanSettings(intra=intra, inter=0.98, union=0.99)
            clean(CleanConfig(str(pack), str(folder), str(features), settings=strict, report=False))
        return folder

    def masked(self, pack: Path, preset: str, ratio: float) -> Path:
        """The pack with masks."""
        folder = self.out / f"{pack.name}-{preset}-{ratio:g}"
        if not folder.exists():
            given = PRESETS[preset]
            meshes = str(self.out / f"meshes-{pack.name}")
            types = parse_types(given["types"])
            mask(MaskConfig(str(pack), str(folder), ratio, given["mode"], types, mesh_cache=meshes))
        return folder

    def trained(self, name: str, pack: Path) -> Path:
        """The folder of a run; ``name`` is plugin:recipe."""
        plugin, _, recipe = name.partition(":")
        recipe += "" if self.full else "-small"
        folder = self.out / f"run-{recipe}-{pack.name}"
        if (folder / "model.pt").exists():
            return folder
        if self.full:
            command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={self.processes}", "-m",
                       "facekit", "train", plugin, str(pack), str(folder), "--recipe", recipe, "--resume"]  # fmt: skip
            subprocess.run([*command, *(word for one in self.changes for word in ("--set", one))], check=True)
        else:
            train(TrainConfig(plugin, str(pack), str(folder), recipe, self.changes, resume=True), warn=str)
        return folder

    def scored(self, name: str, pack: Path) -> Row:
        """Masked to bare, bare to bare (MR-All), and milliseconds an image."""
        run = self.trained(name, pack)
        path = run / "ablation.json"
        if not path.exists():
            if not (run / "model.onnx").exists():
                export(ExportConfig(str(run), str(run / "model.onnx")))
            fars = () if self.full else (1e-2,)
            model = str(run / "model.onnx")
            done = evaluate(EvalConfig(model, ModelChoice(model, threads=1), pack=str(self.test), fars=fars))
            refused = [*done.protocol_missing, *(score.refused for score in done.scores if score.refused)]
            if refused:
                raise SystemExit(f"{self.test} is too small for the MFR protocol: {refused[0]}")
            tar = done.protocol if self.full else {score.name: score.points[0].tar for score in done.scores}
            path.write_text(json.dumps([tar["masked to bare"], tar["bare to bare"], done.milliseconds_per_image]))
        worn, bare, milliseconds = json.loads(path.read_text())
        return f"{100 * worn:.2f}", f"{100 * bare:.2f}", f"{milliseconds:.1f}"


HEAD = ("masked to bare", "bare to bare", "ms/image")


def table_1(bench: Bench) -> list[Row]:
    """The loss: CurricularFace and BCL, cleaned and masked alike."""
    pack = bench.masked(bench.cleaned(bench.pack, 0.25), "bcl", 0.15)
    rows = [(name, *bench.scored(f"bcl:{recipe}", pack)) for name, recipe in (("CL", "curricular"), ("BCL", "bcl"))]
    return [("loss", *HEAD), *rows]


def table_2(bench: Bench) -> list[Row]:
    """Clean x mask, with BCL."""
    rows = []
    for cleaned in (False, True):
        for worn in (False, True):
            pack = bench.cleaned(bench.pack, 0.25) if cleaned else bench.pack
            pack = bench.masked(pack, "bcl", 0.15) if worn else pack
            marks = tuple("yes" if one else "no" for one in (cleaned, worn))
            rows.append((*marks, *bench.scored("bcl:bcl", pack)))
    return [("clean", "mask", *HEAD), *rows]


def table_3(bench: Bench) -> list[Row]:
    """Share of masked images."""
    pack = bench.cleaned(bench.pack, 0.25)
    rows = [(f"{share:.0%}", *bench.scored("bcl:bcl", bench.masked(pack, "bcl", share))) for share in SHARES]
    return [("masked", *HEAD), *rows]


def table_4(bench: Bench) -> list[Row]:
    """Threshold of Intra-ID."""
    rows = [(f"{intra:.2f}", *bench.scored("bcl:bcl", bench.cleaned(bench.pack, intra))) for intra in INTRAS]
    return [("intra", *HEAD), *rows]


def table_iv(bench: Bench) -> list[Row]:
    """MaskDUL and what it is compared with, half of the pictures masked."""
    pack = bench.masked(bench.cleaned(bench.pack, 0.25), "maskdul", 0.5)
    return [("loss", *HEAD), *((name.partition(":")[2], *bench.scored(name, pack)) for name in ROWS_IV)]


RUN: dict[str, Callable[[Bench], list[Row]]] = {
    "1": table_1, "2": table_2, "3": table_3, "4": table_4, "iv": table_iv,
}  # fmt: skip


def show(rows: Sequence[Row]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def small_bench(out: Path, identities: int, images: int, changes: Sequence[str]) -> Bench:
    """Draw both packs, and train the model that cleaning embeds with on the noisy one."""
    noise = {"label_noise": 0.1, "outliers": 0.05, "duplicate_identities": 0.1}
    pack, bare = out / "noisy", out / "test-bare"
    if not pack.exists():
        synth(SynthConfig(str(pack), PackSpec(identities, images, "long-tail", seed=1, **noise)))
    if not bare.exists():
        synth(SynthConfig(str(bare), PackSpec(max(10, identities // 2), 6, seed=2)))
    given = ("threads=1", "batch=16", "scale=24", "lr=.05", "log_every=100000", *changes)
    bench = Bench(out, pack, out / "test", "", False, 1, given)
    if not bench.test.exists():
        mask(MaskConfig(str(bare), str(bench.test), 0.49))
    run = bench.trained("bcl:arcface", pack)
    model = run / "model.onnx"
    if not model.exists():
        export(ExportConfig(str(run), str(model)))
    return Bench(out, pack, bench.test, str(model), False, 1, given)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--identities", type=int, default=40)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--pack", type=Path)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.full:
        if None in (options.pack, options.test, options.model):
            parser.error("--full needs --pack, --test (a masked pack with its ledger) and --model")
        given = (options.pack, options.test, options.model, True, options.processes)
        bench = Bench(options.out, *given, tuple(options.set))
    else:
        bench = small_bench(options.out, options.identities, options.images, options.set)
    for name in options.tables:
        print(f"\n{'MaskDUL, Table IV' if name == 'iv' else f'BCL, Table {name}'}: {RUN[name].__doc__}\n")
        print(show(RUN[name](bench)), flush=True)


if __name__ == "__main__":
    main()
