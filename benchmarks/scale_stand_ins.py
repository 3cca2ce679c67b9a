"""What scale.py puts in place of networks, pictures and disks, importable by workers, so that they cost nothing."""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
import urllib.request
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

    # What stands in is called in the same way and says less of what it takes and gives.
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


def enlarge_benchmark(count: int) -> None:
    """Give the preset adults for as many pictures; its cleaning tasks stay small."""
    from facekit.jobs.benchmark import config

    spec = config.PRESETS["drawn-mfr-v1"]
    pictures = spec.images + spec.masked + (len(spec.noise) + len(spec.blur)) * spec.altered + 3 * spec.styled
    config.PRESETS = {
        "drawn-mfr-v1": dataclasses.replace(spec, adults=count // pictures, cleaning_people=2, cleaning_images=3)
    }


def sketching(config: Any) -> Any:
    """A worker of ``facekit benchmark make`` that draws nothing; the seed says how many pictures there are."""
    from facekit.jobs.benchmark import job, shard

    enlarge_benchmark(config.seed)
    nothing = np.zeros((112, 112, 3), np.uint8)
    # Nobody is drawn: what asks for a person is given none, and one black picture.
    shard.build_person = lambda _: None  # type: ignore[assignment]
    shard.alter = lambda *_: shard.Altered(nothing, 50)  # type: ignore[assignment]
    return job.start(config)


def run_benchmark(count: str, destination: str) -> None:
    from facekit.jobs.benchmark import config, job
    from facekit.run.work import ShardWork

    enlarge_benchmark(int(count))
    with mock.patch.object(job, "ShardWork", lambda *given: ShardWork(*given[:3], sketching, *given[4:])):
        job.make_benchmark(config.MakeConfig(destination, seed=int(count), workers=2))


def run_review(cleaned: str, vectors: str) -> None:
    """The page, a face, identities that are near, an identity, and something saved.

    The page lists 1,000 faces: of 200,000, which is the end of it, it takes as much for any larger pack.
    """
    from facekit.jobs.clean import report

    report.REVIEWED_ROWS = 1000
    with report.open_review(report.ReviewConfig(cleaned, features=vectors)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        for path in ("/", "/picture/7", "/near/7", "/identity/3"):
            with urllib.request.urlopen(address + path) as answer:
                answer.read()
        body = json.dumps({"format": 1, "keep": [7], "drop": [9]}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{address}/overrides", body, {"X-Facekit": "review"})).close()
        server.shutdown()


def run_selflearn(source: str, destination: str) -> None:
    """A round from a model that is trained on the pack as it is, two steps each; vectors come from a file."""
    from scale_commands import TRAINING

    from facekit.clean.settings import CleanSettings
    from facekit.jobs.embed import shard
    from facekit.jobs.embed.job import embed
    from facekit.jobs.selflearn import round
    from facekit.jobs.selflearn.config import SelfLearnConfig
    from facekit.jobs.selflearn.job import selflearn

    vectors = Path(source).with_name("vectors.npy")
    width = np.load(vectors, mmap_mode="r").shape[1]
    config = SelfLearnConfig(source, destination, rounds=1, recipe="bcl-small", allow_loss=1.0,
                             changes=(*TRAINING, f"dimensions={width}"), settings=CleanSettings())  # fmt: skip
    with (
        mock.patch.multiple(shard, decoded_batches=undecoded, embed_pictures=next_vectors),
        mock.patch.object(round, "embed", lambda config: embed(config, lambda _: StandIn(vectors))),
    ):
        selflearn(config)


if __name__ == "__main__":
    import scale_stand_ins  # so that workers find its functions by this name

    getattr(scale_stand_ins, f"run_{sys.argv[1].partition('-')[0]}")(*sys.argv[2:4])
