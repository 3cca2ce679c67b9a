"""Where compiled kernels are kept, how many are there, and making those that are missing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from facekit.compiled import KERNELS, is_compiled, kernels_of

__all__ = ["KernelCache", "compile_kernels", "kernel_cache"]


@dataclass(frozen=True)
class KernelCache:
    """Where numba keeps what it compiled of facekit.

    Attributes
    ----------
    folders : list of str
        Where.
    kernels, compiled : int
        How many there are, and how many of them have been compiled since their file was last changed.
    problem : str
        Why nothing can be kept, with the cure; empty where it can.
    """

    folders: list[str]
    kernels: int
    compiled: int
    problem: str = ""


def kernel_cache() -> KernelCache:
    """Look at the caches; nothing is compiled."""
    kernels = [kernel for room in KERNELS.values() for file in room for kernel in kernels_of(file)]
    folders = sorted({str(kernel.stats.cache_path) for kernel in kernels})
    closed = [folder for folder in folders if not _writable(Path(folder))]
    problem = (
        f"compiled kernels cannot be kept in {closed[0]}: set NUMBA_CACHE_DIR to a folder that can be written, or each "
        "process compiles anew"
        if closed
        else ""
    )
    return KernelCache(folders, len(kernels), sum(map(is_compiled, kernels)), problem)


def _writable(folder: Path) -> bool:
    near = next(place for place in (folder, *folder.parents) if place.exists())
    return os.access(near, os.W_OK)


def compile_kernels(say: Callable[[str, float], None]) -> None:
    """Have every command's kernels compiled, by small jobs on drawn people.

    Parameters
    ----------
    say : callable
        Told of each job with its seconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, job in _jobs(Path(folder)).items():
            started = perf_counter()
            job()
            say(name, perf_counter() - started)


def _jobs(folder: Path) -> dict[str, Callable[[], object]]:
    people, masked = str(folder / "people"), str(folder / "masked")

    def unit_vectors() -> npt.NDArray[np.float32]:
        vectors = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def draw() -> None:
        from facekit.jobs.synth.config import SynthConfig
        from facekit.jobs.synth.job import synth
        from facekit.synth.plan import PackSpec

        synth(SynthConfig(people, PackSpec(8, 3, seed=1), workers=1))

    def wear() -> None:
        from facekit.jobs.mask.config import MaskConfig
        from facekit.jobs.mask.job import mask
        from facekit.masks import MaskOptions

        mask(MaskConfig(people, masked, ratio=1.0, mode="replace", workers=1, options=MaskOptions(rims=True)))

    def purify() -> None:
        from facekit.clean import clean_embeddings
        from facekit.clean.outliers import score_faces
        from facekit.clean.tree_kernels import spanning_tree

        clean_embeddings(unit_vectors(), np.arange(64) // 8)
        left, right, squares = np.empty(63, np.int64), np.empty(63, np.int64), np.empty(63)
        spanning_tree(unit_vectors(), left, right, squares)
        score_faces(unit_vectors(), unit_vectors()[:8], np.arange(64) // 8)

    def score() -> None:
        from facekit.evaluate import FaceSet, identify, verify_all
        from facekit.evaluate.all_pairs_bootstrap import all_pairs_intervals

        faces = FaceSet(unit_vectors(), np.arange(64) // 8)
        all_pairs_intervals(faces, None, verify_all(faces), replicates=2)
        identify(faces, faces)

    def hop() -> None:
        from facekit.records.kernels import hop_records

        hop_records(np.zeros(8, np.uint32), 0, np.empty(4, np.int64))

    return {"synth": draw, "mask": wear, "check": hop, "clean": purify, "eval": score}
