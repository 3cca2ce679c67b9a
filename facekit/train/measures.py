"""What a step measures, as means over steps and processes; and how much memory it takes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from time import perf_counter

import numpy as np
import torch

from facekit.train.sharded import all_sum, world_size

__all__ = ["Window", "memory_in_use"]


class Window:
    """Means of the measures since the last report, over steps and processes; the device is asked for them only then.

    A measure of a step that is not finite, as of one that the loss scaler skips, is left out of its mean; the mean of
    nothing else is nan. ``nonfinite_steps`` counts the steps whose loss was not finite, where there are any.

    Parameters
    ----------
    images : int
        Of a step, over all processes.

    Attributes
    ----------
    idle : float
        Seconds in `paused`, since the beginning.
    """

    def __init__(self, images: int) -> None:
        self.images, self.started = images, perf_counter()
        self.sums: dict[str, torch.Tensor] = {}
        self.steps, self.idle, self.begun = 0, 0.0, False

    def begin(self, device: torch.device) -> float:
        """Note that the first step is done, and the time; waits for the device, this once."""
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        self.begun = True
        return perf_counter()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave what happens meanwhile out of the speed."""
        stopped = perf_counter()
        yield
        seconds = perf_counter() - stopped
        self.started, self.idle = self.started + seconds, self.idle + seconds

    def add(self, measures: Mapping[str, torch.Tensor]) -> None:
        """Take in the measures of a step.

        Parameters
        ----------
        measures : mapping from str to () tensor
            The same names each time, ``loss`` among them.
        """
        for name, value in measures.items():
            number = value.double()
            valid = number.isfinite()
            pair = torch.stack([number.where(valid, 0.0), valid.double()])
            self.sums[name] = self.sums[name] + pair if name in self.sums else pair
        self.steps += 1

    def close(self) -> dict[str, float]:
        """The means since the last call, and a new beginning. Waits for the device.

        Returns
        -------
        means : dict from str to float
            ``images_per_second`` among them; ``nonfinite_steps`` where there are any.
        """
        names, count = list(self.sums), self.steps * world_size()
        pairs = all_sum(torch.stack([self.sums[name] for name in names])).tolist()
        means = {name: total / some if some else np.nan for name, (total, some) in zip(names, pairs, strict=True)}
        nonfinite = round((count - pairs[names.index("loss")][1]) / world_size())
        speed = self.steps * self.images / max(perf_counter() - self.started, 1e-9)
        self.sums, self.steps, self.started = {}, 0, perf_counter()
        return means | ({"nonfinite_steps": nonfinite} if nonfinite else {}) | {"images_per_second": speed}


def memory_in_use(device: torch.device) -> dict[str, float]:
    """The most memory that this process, and it on its graphics card, has had so far, MiB, as far as it is known.

    Parameters
    ----------
    device : torch.device
    """
    found = {}
    with contextlib.suppress(ImportError):  # there is none on Windows
        import resource

        unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
        found["memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    if device.type == "cuda":
        found["device_memory_mib"] = torch.cuda.max_memory_allocated(device) / 2**20
    return found
