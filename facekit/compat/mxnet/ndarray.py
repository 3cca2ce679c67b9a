"""``mxnet.nd``: numpy arrays with the few methods of mxnet's that training scripts call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

__all__ = ["NDArray", "array", "concat", "empty", "flip", "ones", "slice_axis", "transpose", "zeros"]


class NDArray(np.ndarray[Any, np.dtype[Any]]):
    """A numpy array that also answers to mxnet's names. Shape, dtype, indexing and arithmetic are numpy's."""

    def asnumpy(self) -> np.ndarray[Any, np.dtype[Any]]:
        """The same numbers as a plain, writable numpy array."""
        return np.array(self, copy=not self.flags.writeable or not self.flags.c_contiguous, subok=False, order="C")

    def asscalar(self) -> Any:
        """The one number in it."""
        return self.item()

    def wait_to_read(self) -> None:
        """Everything is there already."""

    def as_in_context(self, context: object) -> NDArray:
        """There is one place where arrays live."""
        return self


def wrap(values: np.ndarray[Any, np.dtype[Any]]) -> NDArray:
    """A view of a numpy array."""
    return values.view(NDArray)


def array(source: Any, ctx: object = None, dtype: Any = None) -> NDArray:
    """A copy; as in mxnet float32 where neither a dtype is given nor the source is an array."""
    if dtype is None:
        dtype = source.dtype if isinstance(source, NDArray) else np.float32
    return wrap(np.array(source, dtype=dtype))


def empty(shape: int | Sequence[int], ctx: object = None, dtype: Any = np.float32) -> NDArray:
    """Uninitialised, float32 unless another dtype is given."""
    return wrap(np.empty(shape, dtype or np.float32))


def zeros(shape: int | Sequence[int], ctx: object = None, dtype: Any = np.float32) -> NDArray:
    """Zeros, float32 unless another dtype is given."""
    return wrap(np.zeros(shape, dtype or np.float32))


def ones(shape: int | Sequence[int], ctx: object = None, dtype: Any = np.float32) -> NDArray:
    """Ones, float32 unless another dtype is given."""
    return wrap(np.ones(shape, dtype or np.float32))


def transpose(data: Any, axes: Sequence[int] | None = None) -> NDArray:
    """Permute the axes; without ``axes`` reverse them."""
    return wrap(np.ascontiguousarray(np.transpose(np.asarray(data), axes or None)))


def flip(data: Any, axis: int | Sequence[int]) -> NDArray:
    """Reverse the order along an axis or several."""
    return wrap(np.ascontiguousarray(np.flip(np.asarray(data), axis if isinstance(axis, int) else tuple(axis))))


def slice_axis(data: Any, axis: int, begin: int, end: int | None) -> NDArray:
    """From one position (included) to another (excluded) of an axis; None: to its end."""
    chosen = [slice(None)] * np.ndim(data)
    chosen[axis] = slice(begin, end)
    return wrap(np.array(np.asarray(data)[tuple(chosen)]))


def concat(*data: Any, dim: int = 1) -> NDArray:
    """Join arrays along an axis, by default the second, as mxnet does."""
    return wrap(np.concatenate([np.asarray(part) for part in data], axis=dim))


def __getattr__(name: str) -> NoReturn:
    raise AttributeError(f"facekit's stand-in for mxnet has no nd.{name}; it has {', '.join(__all__)}")
