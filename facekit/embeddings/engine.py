"""Pictures -> unit vectors, by any network: flip test, branches, norms."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from facekit.embeddings.preprocessing import Preprocessing
from facekit.errors import ConfigError

__all__ = ["BRANCHES", "Embedded", "Engine", "NetworkOutput", "check_branch", "embed_pictures"]

BRANCHES = ("ledger", "face", "masked", "both", "auto")


class NetworkOutput(NamedTuple):
    """What a network says about pictures."""

    embeddings: NDArray[np.float32]
    """(B, D), not normalised."""
    uncertainty: NDArray[np.float32] | None
    """(B,) Euclidean norm of sigma; None: the network has none."""


class Engine(Protocol):
    """An opened network."""

    @property
    def preprocessing(self) -> Preprocessing: ...

    @property
    def takes_flag(self) -> bool:
        """Whether it has an input that says which pictures are masked."""

    @property
    def model_hash(self) -> str:
        """BLAKE2b of the model file, hexadecimal."""

    def run(self, planes: NDArray[np.float32], masked: NDArray[np.bool_]) -> NetworkOutput:
        """Embed preprocessed pictures, (B, 3, H, W), of which some are masked, (B,).

        Parameters
        ----------
        planes : (B, 3, H, W) float32
            What `Preprocessing` makes of pictures.
        masked : (B,) bool
            Which show a masked face.

        Returns
        -------
        NetworkOutput

        Raises
        ------
        FacekitError
            The network does not give one vector a picture.
        """


class Embedded(NamedTuple):
    """Vectors of some pictures."""

    vectors: NDArray[np.float32]
    """(B, D), unit norm; all zero where the network gave zero or no finite number."""
    norms: NDArray[np.float32]
    """(B,) norm before normalisation: a quality. 0 or not finite: there is no vector."""
    uncertainty: NDArray[np.float32] | None


def check_branch(engine: Engine, branch: str | None) -> None:
    """Raise ConfigError for a branch that does not exist, or one for a network without branches.

    Parameters
    ----------
    engine : Engine
    branch : str or None
        One of `BRANCHES`.
    """
    if branch is not None and branch not in BRANCHES:
        raise ConfigError(f"branch is {branch!r}; allowed are {', '.join(BRANCHES)}")
    if branch is not None and not engine.takes_flag:
        raise ConfigError(f"--branch {branch}: the model has no input mask_flag, so it has no branches")


def embed_pictures(
    engine: Engine, pictures: NDArray[np.uint8], masked: NDArray[np.bool_], both: bool = False, flip: bool = False
) -> Embedded:
    """Embed pictures.

    Parameters
    ----------
    engine : Engine
    pictures : (B, H, W, 3) uint8
        RGB, of the size that the engine's preprocessing needs.
    masked : (B,) bool
        Which go through the branch for masked faces; a network without branches does not look at it.
    both : bool
        The average of both branches instead.
    flip : bool
        The average with the mirrored picture: the flip test (a sum, as far as directions go).

    Returns
    -------
    Embedded
    """
    views = [pictures, pictures[:, :, ::-1]] if flip else [pictures]
    flags = [np.zeros_like(masked), np.ones_like(masked)] if both and engine.takes_flag else [masked]
    outputs = [engine.run(planes, flag) for planes in map(engine.preprocessing, views) for flag in flags]
    embeddings: NDArray[np.float32] = np.stack([output.embeddings for output in outputs]).mean(axis=0)
    some = [output.uncertainty for output in outputs if output.uncertainty is not None]
    norms = np.linalg.norm(embeddings, axis=1)
    valid = np.isfinite(norms) & (norms > 0)
    vectors = np.zeros_like(embeddings)
    vectors[valid] = embeddings[valid] / norms[valid, None]
    return Embedded(vectors, norms, np.stack(some).mean(axis=0) if some else None)
