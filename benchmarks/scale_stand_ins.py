"""What scale.py puts in place of networks, importable by workers: a mesh, a mask and a vector that cost nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

WIDTH = 64
"""Numbers of a vector."""


class StandIn:
    """A network that costs nothing: it reads the next vectors of a file, whatever the pictures show."""

    model_hash, takes_flag = "0" * 32, False

    def __init__(self, vectors: Path) -> None:
        from facekit.embeddings import Preprocessing

        self.preprocessing = Preprocessing((112, 112))
        self._vectors, self._seen = np.load(vectors, mmap_mode="r"), 0

    def run(self, planes: Any, _: Any) -> Any:
        from facekit.embeddings.engine import NetworkOutput

        first, self._seen = self._seen, self._seen + len(planes)
        return NetworkOutput(self._vectors[first : self._seen].astype(np.float32), None)


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
    from facekit.jobs.embed.job import EmbedConfig, embed
    from facekit.jobs.inputs.model import ModelChoice

    model = Path(destination).with_suffix(".onnx")
    model.write_bytes(b"\x08\x07")  # an ONNX model of version 7, and nothing else
    embed(EmbedConfig(source, destination, ModelChoice(str(model)), workers=1), stand_in)


def run_mask(source: str, destination: str) -> None:
    from facekit.jobs.mask.config import MaskConfig
    from facekit.jobs.mask.job import mask

    mask(MaskConfig(source, destination, workers=2), same_mesh, leave_bare)


if __name__ == "__main__":
    import scale_stand_ins  # so that workers find its functions by this name

    {"embed": scale_stand_ins.run_embed, "mask": scale_stand_ins.run_mask}[sys.argv[1]](*sys.argv[2:4])
