"""What a training picture costs a reading process: decoded, changed as by the recipe of bcl, and masked online.

    python benchmarks/online_masks.py PACK --pictures 600

CPU time of ``facekit.train.samples.TrainingSet``, a picture after the other on one thread, with no masks, with a share
of 15%, of half and of all, meshes found by the model or known from a mesh cache; beside it the render alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from facekit import open_pack
from facekit.faces.cache import MeshCacheWriter
from facekit.faces.gate import gate
from facekit.faces.mesh import LiteRTMesh, Mesh, rounded
from facekit.faces.pack_meshes import mesh_fingerprint, open_meshes
from facekit.masks import TYPES, MaskOptions, render_worn, sample_params
from facekit.masks.augment import MaskAugment
from facekit.records.content import sampled_hash
from facekit.train.plugin import load_plugin
from facekit.train.recipe import read_settings
from facekit.train.samples import TrainingSet

ROUNDS = 3


def keep_meshes(pack: str, keys: list[int], path: Path) -> list[Mesh]:
    """Find the meshes of some pictures, and keep them as ``facekit mask --mesh-cache`` does."""
    estimator, meshes = LiteRTMesh(), []
    with open_pack(pack) as opened:
        content = sampled_hash(opened.paths.rec)
        with MeshCacheWriter(path, mesh_fingerprint(content)) as writer:
            for key in keys:
                meshes.append(rounded(estimator(opened.image(key))))
                writer.add(key, meshes[-1])
    return meshes


def render_alone(pack: str, keys: list[int], meshes: list[Mesh]) -> float:
    """Microseconds a picture of draw and render."""
    with open_pack(pack) as opened:
        images = [opened.image(key) for key in keys]
    good = [n for n, mesh in enumerate(meshes) if gate(mesh, images[n].shape) is None]
    spent = []
    for _ in range(ROUNDS + 1):
        started = time.process_time()
        for n in good:
            drawn = sample_params(np.random.default_rng([0, n]), TYPES[n % len(TYPES)], MaskOptions())
            render_worn(images[n], meshes[n].vertices, drawn)
        spent.append(time.process_time() - started)
    return 1e6 * min(spent[1:]) / len(good)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack")
    parser.add_argument("--pictures", type=int, default=600)
    options = parser.parse_args()
    config = replace(read_settings(load_plugin("bcl"), "bcl", []).train, workers=0)
    with open_pack(options.pack) as opened:
        keys = opened.keys[: options.pictures].tolist()
    with tempfile.TemporaryDirectory() as scratch:
        meshes = keep_meshes(options.pack, keys, Path(scratch) / "meshes")
        cache = open_meshes(Path(scratch) / "meshes", options.pack)
        alone = render_alone(options.pack, keys, meshes)
        print(f"render alone: {alone:,.0f} us, {1e6 / alone:,.0f} masks/s")
        cases = {
            (share, known): TrainingSet(options.pack, config, MaskAugment(share, "all", 0, cache if known else None))
            for share in (0.0, 0.15, 0.5, 1.0)
            for known in (True, False)
            if share or known
        }
        spent = dict.fromkeys(cases, float("inf"))
        for _ in range(ROUNDS + 1):
            for case, samples in cases.items():
                started = time.process_time()
                for place in range(len(keys)):
                    samples[place]
                spent[case] = min(spent[case], time.process_time() - started)
        for (share, known), seconds in spent.items():
            each, how = seconds / len(keys), "known" if known else "found"
            print(f"masked {share:.0%}, meshes {how}: {1e6 * each:,.0f} us, {1 / each:,.0f}/s")


if __name__ == "__main__":
    main()
