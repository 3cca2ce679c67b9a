"""Blocks of similarities on a graphics card, for the search of all pairs of centres."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError

__all__ = ["TorchBlocks"]


class TorchBlocks:
    """Products of blocks of rows that reach a threshold; what `facekit.clean.pairs.BlockEngine` asks for.

    faiss has no range search on a graphics card, and its k is at most 2048 there: a product and a comparison have no
    such limits. Products are float32 in full, never TF32: its 10 bits would miss pairs.

    Parameters
    ----------
    device : str
        As torch names it.
    block_rows : int
        Rows and columns of a block; it takes four bytes an entry, and one more for the comparison.

    Raises
    ------
    ConfigError
        torch is not installed, or has no such device.
    """

    def __init__(self, device: str = "cuda", block_rows: int = 32768) -> None:
        try:
            import torch
        except ImportError as error:
            raise ConfigError("pairs on a GPU need torch: pip install '.[train]' in the checkout") from error
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError(f"device {device}: torch sees no graphics card here")
        self.block_rows, self._device = block_rows, torch.device(device)

    def load(self, rows: NDArray[np.float32]) -> Any:
        """Bring (n, k) rows to the device.

        Parameters
        ----------
        rows : (n, k) float32

        Returns
        -------
        torch.Tensor
        """
        import torch

        return torch.from_numpy(np.ascontiguousarray(rows)).to(self._device)

    def above(self, left: Any, right: Any, threshold: float, upper: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        """Rows and columns of the entries of ``left @ right.T`` of at least `threshold`, in row order.

        Parameters
        ----------
        left, right : (n, k) and (m, k) float32 tensor
            What `load` gave.
        threshold : float
            Cosine similarity, where rows have unit norm.
        upper : bool
            Only the entries above the diagonal.

        Returns
        -------
        rows, columns : (p,) int64
        """
        import torch

        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            inside = left @ right.T >= threshold
        finally:
            torch.set_float32_matmul_precision(precision)
        rows, columns = (inside.triu_(1) if upper else inside).nonzero(as_tuple=True)
        return rows.cpu().numpy(), columns.cpu().numpy()
