"""The ablations of both papers in their shape: BCL's Tables 1 to 4, MaskDUL's II to IV, its parts and its figures.

    python benchmarks/ablation.py --out ablation
    python benchmarks/ablation.py --out ablation --tables 1 iv --identities 60 --images 16
    python benchmarks/ablation.py --out ablation --full --pack ms1m --test mfr --groups groups.csv --model r50.onnx \
        --gallery bare --probe worn --sets M-LFW.bin MFR2.bin --noise-set lfw.bin --processes 8

Small: a drawn pack with planted noise, a drawn test pack of other people with a masked copy of each picture, groups of
it by age and skin, drawn pairs, and a network of half a million parameters; TAR at FAR 1e-2. Such figures check the
wiring, they say nothing about photographs. With --full the commands are printed that do the same with the papers'
recipes and the MFR protocol on packs of one's own, in order and for one machine of --processes cards; nothing is run.
Where they have been run, --show prints the tables. Every cell lies under --out, and one that is finished is not done
again.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import ablation_bcl
import ablation_maskdul
from ablation_plan import Bench, Plan, run_commands, shell_line, show

TABLES = {**ablation_bcl.TABLES, **ablation_maskdul.TABLES}
NEEDED = ("pack", "test", "model", "gallery", "probe", "sets", "noise_set")
TEST_SEED = 2


def write_groups(test: Path, drawn: Path, path: Path) -> None:
    """Groups of drawn people: the younger half of adults for children, thirds by pigment for regions."""
    import numpy as np
    import pyarrow.parquet as pq

    from facekit.jobs.inputs.source import open_source
    from facekit.synth.sampling import sample_identity

    source, _ = open_source(str(test), layout="flat")
    truth = pq.read_table(drawn / "train.truth.parquet", columns=["label", "identity"]).to_pydict()
    people = {
        label: sample_identity(TEST_SEED, who) for label, who in zip(truth["label"], truth["identity"], strict=True)
    }
    bounds = np.quantile([person.melanin for person in people.values()], [1 / 3, 2 / 3])
    age = float(np.median([person.age for person in people.values()]))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("key", "age", "region"))
        for key, label in zip(source.keys.tolist(), source.labels.tolist(), strict=True):
            person = people[label]
            region = ("light", "middle", "dark")[int(np.searchsorted(bounds, person.melanin))]
            writer.writerow((key, "children" if person.age <= age else "adults", region))


def small_bench(options: argparse.Namespace) -> Bench:
    """Draw packs and pairs, and train the model that cleaning embeds with on the noisy pack."""
    out, few = options.out, ("--workers", 1)
    given = ("threads=1", "batch=16", "lr=.05", "log_every=100000", "keep=1", *options.set)
    bench = Bench(out, out / "noisy", out / "test", out / "bare", out / "worn", (out / "M-drawn.bin",),
                  out / "drawn.bin", "", changes=given, maskdul_changes=("scale=24",), shares=tuple(options.shares),
                  intras=tuple(options.intras))  # fmt: skip
    plan, people = Plan(bench), ("--identities", max(10, options.identities // 2), "--images", 6)
    noise = ("--label-noise", 0.1, "--outliers", 0.05, "--duplicate-identities", 0.1, "--sizes", "long-tail")
    sizes = ("--identities", options.identities, "--images", options.images)
    plan.facekit(bench.pack, "synth", bench.pack, *sizes, *noise, "--seed", 1, *few)
    plan.facekit(bench.bare, "synth", bench.bare, *people, "--seed", TEST_SEED, *few)
    plan.facekit(bench.test, "mask", bench.bare, bench.test, "--ratio", 0.49, *few)
    plan.facekit(bench.worn, "mask", bench.bare, bench.worn, "--ratio", 1, "--mode", "replace", *few)
    plan.facekit(bench.noise_set, "bins", "draw", bench.bare, bench.noise_set, "--pairs", options.pairs, "--folds", 5)
    plan.facekit(bench.sets[0], "mask", bench.noise_set, bench.sets[0])
    model = plan.trained("cleaner", "bcl", "arcface", bench.pack, ("scale=24",))
    run_commands(list(plan.commands.values()))
    groups = out / "groups.csv"
    if not groups.exists():
        write_groups(bench.test, bench.bare, groups)
    return Bench(**{**vars(bench), "model": str(model), "groups": str(groups)})


def full_bench(options: argparse.Namespace) -> Bench:
    """Packs and models of one's own, with the papers' recipes."""
    return Bench(options.out, options.pack, options.test, options.gallery, options.probe, tuple(options.sets),
                 options.noise_set, options.model, options.groups or "", True, options.processes, tuple(options.set),
                 (), tuple(options.shares), tuple(options.intras))  # fmt: skip


def read_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """What is asked for; with --full nothing may be missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--identities", type=int, default=40, help="of the drawn pack")
    parser.add_argument("--images", type=int, default=12, help="of each, on average")
    parser.add_argument("--pairs", type=int, default=300, help="drawn ones")
    parser.add_argument("--shares", nargs="+", type=float, default=Bench.shares, help="of Table 3")
    parser.add_argument("--intras", nargs="+", type=float, default=Bench.intras, help="of Table 4")
    parser.add_argument("--full", action="store_true", help="print the commands for a cluster, and run nothing")
    parser.add_argument("--show", action="store_true", help="with --full: print the tables of what has been run")
    for name in ("pack", "test", "gallery", "probe", "noise-set"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--sets", type=Path, nargs="+", help="masked pairs (.bin)")
    parser.add_argument("--groups", help="table of groups of --test: children and regions")
    parser.add_argument("--model", help="what cleaning embeds with")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args(argv)
    missing = [f"--{name.replace('_', '-')}" for name in NEEDED if getattr(options, name) is None]
    if options.full and missing:
        parser.error(f"--full needs {', '.join(missing)}")
    return options


def main(argv: Sequence[str] | None = None) -> None:
    options = read_options(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    plan = Plan(full_bench(options) if options.full else small_bench(options))
    for name in options.tables:
        tables = TABLES[name](plan)
        if options.full and not options.show:
            continue
        if not options.full:
            run_commands(list(plan.commands.values()))
        print("\n" + "\n\n".join(map(show, tables)), flush=True)
    if options.full and not options.show:
        print("\n".join(map(shell_line, plan.commands.values())))


if __name__ == "__main__":
    main()
