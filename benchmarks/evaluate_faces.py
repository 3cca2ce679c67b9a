"""What worn masks cost a network that never saw one: bare, masked to bare and masked to masked, on real faces.

    python benchmarks/evaluate_faces.py [--shared ../shared] [--work FOLDER]

Every face of shared/data/faces gets one masked copy (eight types, seed 0); the network there embeds both packs. Steps
that --work holds already are not done again.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from facekit.embeddings import is_features, open_features
from facekit.jobs.embed.job import EmbedConfig, embed
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.job import evaluate
from facekit.jobs.evaluate.scores import Score
from facekit.jobs.inputs.model import ModelChoice
from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.mask.job import mask

FARS = (1e-2, 1e-3, 1e-4, 1e-5)


def prepared(shared: Path, work: Path) -> tuple[Path, ModelChoice]:
    """The folder of vectors of the faces and their masked copies."""
    model = ModelChoice(str(shared / "data/models/embedder_128d.onnx"), threads=1, columns=(8, 104), std=128.0)
    pack, features = work / "masked", work / "features"
    if not pack.exists():
        print(mask(MaskConfig(str(shared / "data/faces"), str(pack), ratio=0.5)))
    if not is_features(features):
        print(embed(EmbedConfig(str(pack), str(features), model)))
    return features, model


def listed_pairs(shared: Path, work: Path, folder: Path) -> dict[str, Path]:
    """pairs.csv with the keys of the masked pack, of the same pairs each time: those whose faces could be masked."""
    features = open_features(folder)
    keys = {masked: dict(zip(features.sources[keep].tolist(), features.keys[keep].tolist(), strict=True))
            for masked, keep in ((False, ~features.masked), (True, features.masked))}  # fmt: skip
    listed = np.loadtxt(shared / "data/faces/pairs.csv", delimiter=",", skiprows=1, dtype=int).tolist()
    listed = [pair for pair in listed if pair[0] in keys[True] and pair[1] in keys[True]]
    files = {}
    for name, sides in (
        ("bare", (False, False)),
        ("masked to bare", (False, True)),
        ("masked to masked", (True, True)),
    ):
        files[name] = work / f"pairs {name}.csv"
        lines = [f"{keys[sides[0]][a]},{keys[sides[1]][b]},{same}" for a, b, same in listed]
        files[name].write_text("\n".join(["key_a,key_b,same", *lines]))
    return files


def row(score: Score) -> str:
    tars = {point.far: f"{100 * point.tar:.2f}" for point in score.points}
    cells = [score.name, f"{score.genuine:,}", f"{score.impostor:,}", *(tars.get(far, "-") for far in FARS)]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    work = given.work or Path(tempfile.mkdtemp(prefix="facekit-eval-"))
    work.mkdir(parents=True, exist_ok=True)
    features, model = prepared(given.shared, work)
    print("| pairs | genuine | impostor | " + " | ".join(f"TAR@{far:g}, %" for far in FARS) + " |")
    print("|---|" + "---:|" * (2 + len(FARS)))
    for score in evaluate(EvalConfig(str(features), model, fars=FARS)).scores:
        print(row(score))
    protocol = evaluate(EvalConfig(str(features), model))
    masked, bare = (protocol.protocol[name] for name in ("masked to bare", "bare to bare"))
    print(f"masked to bare TAR@1e-4 {masked:.2%}, bare to bare TAR@1e-6 {bare:.2%}, "
          f".25/.75 score {protocol.masked_score:.2%}")  # fmt: skip
    for name, path in listed_pairs(given.shared, work, features).items():
        score = evaluate(EvalConfig(str(features), model, pairs=str(path), fars=(1e-2, 1e-3))).scores[0]
        tars = ", ".join(f"{point.tar:.2%} at {point.far:g}" for point in score.points)
        print(f"{score.genuine:,} + {score.impostor:,} listed pairs, {name}: 10-fold accuracy {score.accuracy:.2%}"
              f" +- {score.deviation:.2%}, TAR {tars}")  # fmt: skip


if __name__ == "__main__":
    main()
