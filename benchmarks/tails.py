"""Who gains on people of few pictures, and by what measure: by the classifier's rows, by centres, and on other people.

    python benchmarks/tails.py drawn --seeds 0 1 2
    python benchmarks/tails.py faces --pack PACK --seeds 0 1 2

drawn   100 drawn people with 100 pictures down to 1 (``facekit synth --sizes exponential:100``), ten more pictures of
        each to be found, and 50 other people.
faces   Four fifths of the people of PACK without one picture each, which is to be found; the other fifth is others.

rows       Closed set: is the row of the own class the nearest? log n acts on rows.
- log n    The same with log n taken off the scores (logit adjustment).
centres    The same with the mean embedding of each class's training images for a row.
others     TAR over all pairs of people who were not trained on.

All methods have one network, schedule and augmentation. Each run is a line of JSON in --results, and what is there
already is not done again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from recipes import embedded_by, held_out, train_one, write_pack

from facekit.evaluate import FaceSet, accuracy_by_count, closed_set, verify_all
from facekit.records import Header, Pack, PackWriter, open_pack

METHODS = ("bcl", "curricular", "arcface", "balanced_softmax")


class Bench(NamedTuple):
    """What is trained on, and how; groups are of at most `few` and of more than `many` training images."""

    few: int
    many: int
    changes: tuple[str, ...]


BENCHES = {
    "drawn": Bench(5, 20, ("scale=16", "margin=0.35", "epochs=10")),
    "faces": Bench(2, 10, ("scale=10", "margin=0.5", "epochs=8")),
}


def draw(folder: Path, seed: int, people: NDArray[np.int64], images: Sequence[range]) -> None:
    """A pack of some pictures of each of some people, under labels from 0 in that order."""
    from facekit.images import encode_jpeg
    from facekit.synth import build_person, sample_capture, sample_identity
    from facekit.synth.picture import render

    with PackWriter(folder) as writer:
        for label, identity in enumerate(people.tolist()):
            person = build_person(sample_identity(seed, identity))
            for image in images[label]:
                capture = sample_capture(seed, identity, image)
                payload = encode_jpeg(render(person, capture).image, capture.quality)
                writer.write(Header(0, float(label), writer.next_key, 0), payload)


def draw_packs(scratch: Path) -> None:
    """What `facekit synth` draws of the exponential plan, ten more of each, and others."""
    from facekit.synth.plan import PackSpec, make_roster

    spec = PackSpec(100, 100, "exponential:100", seed=18)
    roster = make_roster(spec)
    sizes = np.diff(roster.starts).tolist()
    draw(scratch / "train", spec.seed, roster.person, [range(size) for size in sizes])
    draw(scratch / "test", spec.seed, roster.person, [range(1000, 1010)] * len(sizes))
    draw(scratch / "others", spec.seed, np.arange(1000, 1050), [range(10)] * 50)


def split_pack(pack: Pack, scratch: Path) -> None:
    """The parts of a pack of photographs."""
    labels, keys = pack.labels, pack.keys
    people = np.random.default_rng(5).permutation(int(labels.max()) + 1)
    known, probe = np.isin(labels, people[: len(people) * 4 // 5]), held_out(labels, 0)
    for part, keep in (("train", known & ~probe), ("test", known & probe), ("others", ~known)):
        write_pack(pack, keys[keep], labels[keep], scratch / part)


def rows_of(run: Path) -> NDArray[np.float32]:
    """The classifier's rows at the end of a run of one process, (C, D)."""
    from facekit.train.checkpoint import latest_checkpoint
    from facekit.train.model import load_file

    folder = latest_checkpoint(run)
    assert folder is not None, f"{run} has no checkpoint"
    return np.asarray(load_file(folder / "rows-00000-of-00001.pt")["weight"].numpy(), np.float32)


def scale_of(run: Path) -> float:
    """s that a run was trained with."""
    return float(json.loads((run / "config.json").read_text())["settings"]["scale"])


def score(run: Path, scratch: Path, bench: Bench) -> dict[str, float]:
    """Every measure of a trained run."""
    packs = {part: open_pack(scratch / part) for part in ("train", "test", "others")}
    vectors = {
        part: embedded_by(run, pack, pack.keys, np.zeros(len(pack.keys), np.bool_)).vectors
        for part, pack in packs.items()
    }
    counts, labels, rows = np.bincount(packs["train"].labels), packs["test"].labels, rows_of(run)
    centres = np.zeros(rows.shape, np.float64)
    np.add.at(centres, packs["train"].labels, vectors["train"])
    scale, given = scale_of(run), (vectors["test"], labels)
    found = {
        "rows": closed_set(*given, rows),
        "- log n": closed_set(*given, rows, scale, counts),
        "centres": closed_set(*given, centres.astype(np.float32)),
    }
    scores = {
        f"{measure} {group}": value.accuracy
        for measure, right in found.items()
        for group, value in accuracy_by_count(right, labels, counts, bench.few, bench.many).items()
    }
    others = verify_all(FaceSet(vectors["others"], packs["others"].labels), None, (1e-2, 1e-3))
    return scores | {f"others TAR@{point.far:g}": point.tar for point in others.points}


def show(results: list[dict[str, Any]]) -> str:
    """Mean and deviation over seeds, a row a method."""
    names = list(results[0]["scores"])
    lines = ["| method | seeds | " + " | ".join(names) + " |", "|---" * (2 + len(names)) + "|"]
    for method in dict.fromkeys(row["method"] for row in results):
        values = np.array([[100 * row["scores"][name] for name in names] for row in results if row["method"] == method])
        spread = values.std(0, ddof=1) if len(values) > 1 else np.zeros(len(names))
        cells = [f"{mean:.1f} +- {around:.1f}" for mean, around in zip(values.mean(0), spread, strict=True)]
        lines.append(f"| {method} | {len(values)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=list(BENCHES))
    parser.add_argument("--pack", help="photographs, for faces")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--scratch", type=Path)
    options = parser.parse_args()
    scratch = (options.scratch or Path(tempfile.mkdtemp())) / options.what
    path, bench = options.results or scratch / "results.jsonl", BENCHES[options.what]
    scratch.mkdir(parents=True, exist_ok=True)
    if not (scratch / "others").exists():
        if options.what == "drawn":
            draw_packs(scratch)
        else:
            split_pack(open_pack(options.pack), scratch)
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = [row for row in done if (row["what"], row["set"]) == (options.what, options.set)]
    for seed in options.seeds:
        for method in options.methods:
            if any((row["method"], row["seed"]) == (method, seed) for row in done):
                continue
            started, out = time.process_time(), scratch / f"{method}-{seed}"
            run = train_one("bcl", f"{method}-small", scratch / "train", seed, [*bench.changes, *options.set], out)
            row = {"what": options.what, "method": method, "seed": seed, "set": options.set}
            row |= {"scores": score(run, scratch, bench), "cpu_seconds": round(time.process_time() - started)}
            done.append(row)
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
    print(show(done))


if __name__ == "__main__":
    main()
