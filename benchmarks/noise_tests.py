"""Networks that recipes.py trained, on sharp, blurred and noisy faces of people who were not trained on.

    python benchmarks/recipes.py why PACK --scratch FOLDER --methods "arcface, from arcface" "maskdul, from arcface"
    python benchmarks/noise_tests.py PACK --scratch FOLDER --methods "arcface, from arcface" "maskdul, from arcface"

MaskDUL's Table IV asks for clean and for blurred training, and for clean, blurred and noisy tests; it has them from a
trained network. Blurred: all pictures, bare and masked, by a deviation of 2 pixels. Noisy: 20 grey levels of Gaussian
noise of each picture's own before masks are put on, which are the ones of the clean test.
Each network and test is a line of JSON in --results, and what is there already is not done again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from noisy_pairs import noisy
from recipes import masked_packs, masked_scores, put_on

from facekit.records import Header, PackWriter, open_pack

BLUR, NOISE = 2.0, 20.0
TESTS = ("clean", "blurred", "noisy")
PAIRS = ("masked to bare", "masked to masked", "bare to bare")


def noisy_test(scratch: Path) -> Path:
    """The bare test pack with noise, then masked as the clean one was."""
    folder, bare = scratch / "test-noisy-masked", open_pack(scratch / "test")
    if not folder.exists():
        with PackWriter(scratch / "test-noisy") as writer:
            for key, label in zip(bare.keys.tolist(), bare.labels.tolist(), strict=True):
                payload = noisy(bytes(bare.read(key).payload), key, NOISE)
                writer.write(Header(0, float(label), writer.next_key, 0), payload)
        put_on(scratch / "test-noisy", folder, "add", 0.499)
    return folder


def tested(run: Path, test: str, scratch: Path) -> dict[str, Any]:
    """The scores of one network in one test."""
    folder = noisy_test(scratch) if test == "noisy" else scratch / "test-masked"
    return masked_scores(run, folder, BLUR if test == "blurred" else 0.0)


def shown(rows: list[dict[str, Any]], far: str = "0.01") -> Iterator[str]:
    """TAR in %, mean and deviation over seeds, a row a method, a column a test and kind of pairs."""
    columns = [(test, pair) for pair in PAIRS for test in TESTS]
    yield "| method | seeds | " + " | ".join(f"{pair}, {test}" for test, pair in columns) + " |"
    yield "|---" * (len(columns) + 2) + "|"
    for method in dict.fromkeys(row["method"] for row in rows):
        seeds = sorted({row["seed"] for row in rows if row["method"] == method})
        cells = []
        for test, pair in columns:
            mine = [row for row in rows if (row["method"], row["test"]) == (method, test)]
            found = [100 * row["scores"][f"{pair} TAR@{far}"] for row in mine]
            cells.append(f"{np.mean(found):.1f}" + (f" +- {np.std(found, ddof=1):.1f}" if len(found) > 1 else ""))
        yield f"| {method} | {len(seeds)} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", help="the pack that recipes.py was run on")
    parser.add_argument("--scratch", type=Path, required=True, help="the --scratch of recipes.py")
    parser.add_argument("--methods", nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    path = options.results or options.scratch / "noise.jsonl"
    masked_packs(open_pack(options.pack), options.scratch)
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(row["method"], row["seed"], row["test"]) for row in rows}
    wanted = [(method, seed, test) for method in options.methods for seed in options.seeds for test in TESTS]
    for method, seed, test in wanted:
        if (method, seed, test) not in done:
            scores = tested(options.scratch / f"{method}-{seed}", test, options.scratch)
            rows.append({"method": method, "seed": seed, "test": test, "scores": scores})
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    print("\n".join(shown([row for row in rows if row["method"] in options.methods])))


if __name__ == "__main__":
    main()
