"""Which branch a picture takes through a network that has one for masked faces."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["AUTO", "KNOWN", "branch_flags"]

KNOWN, AUTO = "ledger", "auto"


def branch_flags(
    branch: str | None, masked: npt.NDArray[np.bool_], images: npt.NDArray[np.uint8]
) -> npt.NDArray[np.bool_]:
    """Whether each picture takes the branch for masked faces.

    Parameters
    ----------
    branch : str, optional
        One of `facekit.embeddings.BRANCHES`; None: ``ledger``.
    masked : (N,) bool
        What is known of each: masked by a ledger or for an evaluation.
    images : (N, H, W, 3) uint8
        RGB. Looked at for ``auto`` alone: what is not known to be masked and looks so is taken for masked.
    """
    if branch == AUTO:
        from facekit.faces.worn import mask_scores

        return masked | (mask_scores(images) > 0)
    return masked if branch in (None, KNOWN) else np.full(len(masked), branch == "masked")
