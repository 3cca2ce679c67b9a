"""CPU time of masking, stage by stage, as multiples of bare decode + encode of the same pictures.

    python benchmarks/mask_speed.py --pack ../shared/data/faces --job

All stages run in one thread of one process, interleaved. Without `--pack` the pictures are crops of scikit-image's
astronaut. `--job` also runs `facekit mask` on the pack with one worker and with two, after a first run that compiles.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from timing import Timing, machine, ratio, side_by_side

from facekit import MaskAugment, open_pack
from facekit.faces.cache import MeshCache, MeshCacheWriter
from facekit.faces.gate import gate
from facekit.faces.mesh import LiteRTMesh, Mesh
from facekit.images import decode, encode_jpeg, encode_like, jpeg_coding
from facekit.masks import TYPES, MaskOptions, render_worn, sample_params

BASELINE = "bare decode + encode"
LIMITS = {"render": 3.2, "pipeline, meshes cached": 4.2, "whole pipeline": 10.0}
AUGMENTATION_LIMIT = 1.6  # times the render alone
SAMPLING = {"4:4:4": 0x111111, "4:2:2": 0x211111, "4:2:0": 0x221111}


def astronaut_payloads(count: int) -> list[bytes]:
    """JPEG crops of the one photograph that everybody has."""
    import skimage.data

    photograph, rng = skimage.data.astronaut(), np.random.default_rng(0)
    payloads = []
    for _ in range(count):
        side, x, y = (int(v) for v in rng.integers([170, 215, 100], [200, 230, 115]))
        crop = photograph[y - 90 : y - 90 + side, x - 90 : x - 90 + side]
        payloads.append(encode_jpeg(cv2.resize(crop, (112, 112), interpolation=cv2.INTER_AREA), 92))
    return payloads


def bare(payload: bytes, quality: int, sampling: int) -> None:
    """What any tool must do at the least; the codec alone, without facekit."""
    image = cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling])


def stages(payloads: list[bytes], folder: Path) -> dict[str, Callable[[], object]]:
    """Every stage over all payloads; inputs of one stage are made before it is timed."""
    estimator, images = LiteRTMesh(), [decode(p) for p in payloads]
    meshes = [estimator(image) for image in images]
    codings = [jpeg_coding(p) for p in payloads]
    settings = [(c.quality or 95, SAMPLING.get(c.subsampling, 0x221111)) for c in codings]
    numbers = range(len(payloads))
    kinds = [TYPES[n % len(TYPES)] for n in numbers]
    params = [sample_params(np.random.default_rng([0, n]), kinds[n], MaskOptions()) for n in numbers]
    with MeshCacheWriter(folder / "meshes", "benchmark") as writer:
        for n in numbers:
            writer.add(n, meshes[n])
    cache = MeshCache(folder / "meshes", "benchmark")
    augment = MaskAugment(1.0, TYPES, 0, cache)

    def mask(n: int, image: NDArray[np.uint8], mesh: Mesh) -> bytes:
        gate(mesh, image.shape)
        drawn = sample_params(np.random.default_rng([0, n]), kinds[n], MaskOptions())
        return encode_like(render_worn(image, mesh.vertices, drawn).image, payloads[n])

    def cached(n: int) -> Mesh:
        mesh = cache.get(n)
        assert mesh is not None
        return mesh

    def whole(n: int) -> bytes:
        image = decode(payloads[n])
        return mask(n, image, estimator(image))

    calls: dict[str, Callable[[int], object]] = {
        BASELINE: lambda n: bare(payloads[n], *settings[n]),
        "decode": lambda n: decode(payloads[n]),
        "encode": lambda n: encode_like(images[n], payloads[n]),
        "mesh": lambda n: estimator(images[n]),
        "mesh from cache": cached,
        "gate": lambda n: gate(meshes[n], images[n].shape),
        "parameters": lambda n: sample_params(np.random.default_rng([0, n]), kinds[n], MaskOptions()),
        "render": lambda n: render_worn(images[n], meshes[n].vertices, params[n]),
        "augmentation": lambda n: augment(images[n], n),
        "pipeline, meshes cached": lambda n: mask(n, decode(payloads[n]), cached(n)),
        "whole pipeline": whole,
    }
    return {name: partial(each, call, numbers) for name, call in calls.items()}


def each(call: Callable[[int], object], numbers: Iterable[int]) -> None:
    """One call after another."""
    for number in numbers:
        call(number)


def report(timings: dict[str, Timing]) -> bool:
    """Print every stage; true when the limits hold."""
    holds = True
    for name, timing in timings.items():
        times = ratio(timing, timings[BASELINE])
        limit = LIMITS.get(name)
        kept = limit is None or times <= limit
        holds &= kept
        print(
            f"{timing}  {times:6.2f}x" + ("" if limit is None else f"  (limit {limit:g}x{'' if kept else ', missed'})")
        )
    times = ratio(timings["augmentation"], timings["render"])
    print(f"augmentation: {times:.2f}x the render (limit {AUGMENTATION_LIMIT:g}x)")
    return holds and times <= AUGMENTATION_LIMIT


def job_seconds(pack: Path, destination: Path, workers: int) -> float:
    """CPU seconds of one `facekit mask`, its workers included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [
        sys.executable,
        "-m",
        "facekit",
        "mask",
        str(pack),
        str(destination),
        "--workers",
        str(workers),
        "--ratio",
        "0.5",
    ]
    subprocess.run([*command, "--overwrite"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def report_job(pack: Path, folder: Path) -> bool:
    job_seconds(pack, folder / "masked", 1)
    rounds = [(job_seconds(pack, folder / "masked", 1), job_seconds(pack, folder / "masked", 2)) for _ in range(3)]
    one, two = (float(np.median([r[k] for r in rounds])) for k in (0, 1))
    times = float(np.median([b / a for a, b in rounds]))
    print(f"facekit mask: one worker {one:.1f} s of CPU, two workers {two:.1f} s: {times:.2f}x (limit 1.1x)")
    return times <= 1.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--job", action="store_true")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if arguments.pack:
        pack = open_pack(arguments.pack)
        chosen = np.random.default_rng(0).permutation(pack.keys)[: arguments.images]
        payloads = [bytes(pack.read(int(key)).payload) for key in chosen]
    else:
        payloads = astronaut_payloads(arguments.images)
    print(f"{machine()}; {len(payloads)} pictures, {arguments.repeats} repeats")
    with tempfile.TemporaryDirectory() as folder:
        timings = side_by_side(stages(payloads, Path(folder)), len(payloads), arguments.repeats)
        holds = report(timings)
        if arguments.job and arguments.pack:
            holds &= report_job(arguments.pack, Path(folder))
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
