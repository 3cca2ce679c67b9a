"""Does |sigma|, or |mu|, follow blur? Rank correlation with the deviation by which each picture was blurred.

    python benchmarks/sigma_blur.py PACK RUN [RUN ...] --pictures 800

PACK has a ledger of masked faces; RUN is a folder of ``facekit train``. Every picture is blurred by a deviation of its
own, drawn evenly from 0 to 4 pixels; within: the same picture sharp and blurred, the share of pictures of which the
blurred one has the larger |sigma| and the smaller |mu| (half is chance).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from facekit.embeddings import Embedded, embed_pictures
from facekit.images import blurred, decode
from facekit.jobs.inputs.ledger import read_flags
from facekit.jobs.inputs.source import open_source
from facekit.records import open_pack
from facekit.train.live import LiveEngine
from facekit.train.model import open_model

MOST = 4.0
PART = 128


def embedded_by(run: Path, pictures: NDArray[np.uint8], masked: NDArray[np.bool_]) -> Embedded:
    """|mu| (N,) and |sigma| (N,) or None, by the branch of each picture."""
    model = open_model(run)
    config = model.settings.plugin
    flag = "mask_flag" in model.plugin.export_inputs(config)
    engine = LiveEngine(model.plugin, config, model.network, torch.device("cpu"), model.image_size, flag)
    parts = [
        embed_pictures(engine, pictures[start : start + PART], masked[start : start + PART])
        for start in range(0, len(pictures), PART)
    ]
    sigma = [part.uncertainty for part in parts if part.uncertainty is not None]
    joined = np.concatenate(sigma) if sigma else None
    return Embedded(np.concatenate([part.vectors for part in parts]), np.concatenate([p.norms for p in parts]), joined)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack")
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--pictures", type=int, default=800)
    options = parser.parse_args()
    torch.set_num_threads(1)
    source, _ = open_source(options.pack, layout="flat")
    rng = np.random.default_rng(18)
    rows = np.sort(rng.permutation(len(source.keys))[: options.pictures])
    masked, deviation = read_flags(source).masked[rows], rng.uniform(0, MOST, len(rows))
    with open_pack(options.pack) as pack:
        sharp = np.stack([decode(pack.read(int(key)).payload) for key in source.keys[rows]])
    soft = np.stack([blurred(picture, float(width)) for picture, width in zip(sharp, deviation, strict=True)])
    print("| run | kind | faces | corr. of sigma | of mu | blurred has the larger sigma | the smaller mu |")
    for run in options.runs:
        before, after = (embedded_by(run, pictures, masked) for pictures in (sharp, soft))
        for kind, chosen in (("bare", ~masked), ("masked", masked)):
            cells = []
            for values in (after.uncertainty, after.norms):
                cells.append("" if values is None else f"{spearmanr(values[chosen], deviation[chosen]).statistic:+.2f}")
            if after.uncertainty is None or before.uncertainty is None:
                cells.append("")
            else:
                cells.append(f"{(after.uncertainty > before.uncertainty)[chosen].mean():.0%}")
            cells.append(f"{(after.norms < before.norms)[chosen].mean():.0%}")
            print(f"| {run.name} | {kind} | {chosen.sum()} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
