"""What scale.py puts in place of networks, pictures and disks, importable by workers, so that they cost nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np


class StandIn:
    """A network that costs nothing: it reads the next vectors of a file, whatever the pictures show."""

    model_hash, takes_flag = "0" * 32, False

    def __init__(self, vectors: Path) -> None:
        from facekit.embeddings import Preprocessing

        self.preprocessing = Preprocessing((112, 112))
        self._vectors, self._seen = np.load(vectors, mmap_mode="r"), 0

    def next(self, count: int) -> Any:
        """As many vectors as pictures, whatever their lengths."""
        from facekit.embeddings.engine import Embedded

        first, self._seen = self._seen, self._seen + count
        vectors = self._vectors[first : self._seen].astype(np.float32)
        norms = np.linalg.norm(vectors, axis=1)
        return Embedded(vectors / norms[:, None], norms, None)


def undecoded(source: Any, size: int, *_: object) -> Iterator[Any]:
    """Batches of no pixels: decoding is measured by feed.py."""
    from facekit.jobs.embed.feed import Batch

    for first in range(0, len(source), size):
        rows = slice(first, min(first + size, len(source)))
        count = rows.stop - rows.start
        yield Batch(rows, np.ones(count, np.bool_), np.empty((count, 0, 0, 3), np.uint8), {})


def next_vectors(engine: StandIn, pictures: Any, *_: object) -> Any:
    return engine.next(len(pictures))


def stand_in(choice: Any) -> StandIn:
    return StandIn(Path(choice.path).with_name("vectors.npy"))


def same_mesh() -> Any:
    return stand_ins().any_mesh()


def leave_bare(_: object) -> Any:
    """Gives every picture back as it is, with the parameters that a drawn mask has."""
    paint = stand_ins().Paint

    def wear(image: Any, _: Any, kind: str, rng: np.random.Generator) -> tuple[Any, Any]:
        return image, paint(kind, rng.integers(0, 256, 3).tolist())

    return wear


def stand_ins() -> Any:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    import mask_stand_ins

    return mask_stand_ins


def run_embed(source: str, destination: str) -> None:
    from facekit.jobs.embed import shard
    from facekit.jobs.embed.job import EmbedConfig, embed
    from facekit.jobs.inputs.model import ModelChoice

    model = Path(destination).with_suffix(".onnx")
    model.write_bytes(b"\x08\x07")  # an ONNX model of version 7, and nothing else
    with mock.patch.multiple(shard, decoded_batches=undecoded, embed_pictures=next_vectors):
        embed(EmbedConfig(source, destination, ModelChoice(str(model)), workers=1), stand_in)


def run_mask(source: str, destination: str) -> None:
    from facekit.jobs.mask.config import MaskConfig
    from facekit.jobs.mask.job import mask

    mask(MaskConfig(source, destination, workers=2), same_mesh, leave_bare)


def drawing_once(worker: Any) -> Any:
    """A worker of ``facekit synth`` for which one picture is drawn, and taken for all."""
    from facekit.jobs.synth import shard

    drawn: dict[str, Any] = {}
    draw, build = shard.draw_record, shard.build_person

    def drawn_once(plan: Any, seed: int, person: Any, wear: Any) -> Any:
        first = drawn.setdefault("record", None) or draw(plan, seed, person, wear)
        drawn["record"] = first
        return first._replace(plan=plan)

    def built_once(identity: Any) -> Any:
        drawn["person"] = drawn.get("person") or build(identity)
        return drawn["person"]

    shard.draw_record, shard.build_person = drawn_once, built_once  # type: ignore[assignment]
    return shard.start_worker(worker)


def run_synth(count: str, destination: str) -> None:
    from facekit.jobs.synth import job
    from facekit.jobs.synth.config import SynthConfig
    from facekit.synth.plan import PackSpec

    with mock.patch.object(job, "start_worker", drawing_once):
        job.synth(SynthConfig(destination, PackSpec(int(count) // 50, 50), workers=2))


def unflushed(_: object) -> None:
    """A flush that takes no time: a disk's three milliseconds a file are not what is counted here."""


def unpacking(config: Any) -> Any:
    """A worker of ``facekit unpack`` that flushes nothing."""
    from facekit.jobs.packs import unpack_shard

    unpack_shard.flush_files = unflushed
    return unpack_shard.start_worker(config)


def run_unpack(source: str, destination: str) -> None:
    from facekit.jobs.packs import unpack
    from facekit.output import folder

    with mock.patch.object(unpack, "start_worker", unpacking), mock.patch.object(folder, "flush_files", unflushed):
        unpack.unpack(unpack.UnpackConfig(source, destination, workers=2))


if __name__ == "__main__":
    import scale_stand_ins  # so that workers find its functions by this name

    getattr(scale_stand_ins, f"run_{sys.argv[1].partition('-')[0]}")(*sys.argv[2:4])
