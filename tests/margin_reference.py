"""The heads written a second time: loops over complex numbers, so that an imaginary step gives exact gradients."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable

import numpy as np

STEP = 1e-40


def gradient(function: Callable[[np.ndarray], complex], point: np.ndarray) -> np.ndarray:
    """df/dx by complex steps, exact to rounding."""
    result = np.zeros(point.shape)
    for index in np.ndindex(point.shape):
        moved = point.astype(complex)
        moved[index] += STEP * 1j
        result[index] = (function(moved) / STEP).imag
    return result


def cosines(embeddings: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.array([[dot(x, w) / cmath.sqrt(dot(x, x)) / cmath.sqrt(dot(w, w)) for w in weight] for x in embeddings])


def dot(a: np.ndarray, b: np.ndarray) -> complex:
    return sum(complex(p) * complex(q) for p, q in zip(a, b, strict=True))


def clip(c: complex) -> complex:
    return c if -1 <= c.real <= 1 else complex(math.copysign(1, c.real))


def added(c: complex, m: complex) -> complex:
    """cos(theta + m)."""
    square = 1 - c * c
    return c * cmath.cos(m) - (cmath.sqrt(square) if square.real > 1e-12 else 1e-6) * cmath.sin(m)


def target(c: complex, m: complex) -> complex:
    return added(c, m) if c.real > math.cos(math.pi - m.real) else c - m * cmath.sin(math.pi - m)


def arc(c: np.ndarray, labels: np.ndarray, s: float, m: float) -> list[list[complex]]:
    rows, columns = c.shape
    return [[s * (target(clip(c[i, j]), m) if j == labels[i] else clip(c[i, j])) for j in range(columns)]
            for i in range(rows)]  # fmt: skip


def curricular(c: np.ndarray, labels: np.ndarray, t: float, s: float, m: float) -> list[list[complex]]:
    return balanced_curricular(c, labels, t, s, m, np.ones(c.shape[1]))


def balanced_curricular(
    c: np.ndarray, labels: np.ndarray, t: float, s: float, m: float, counts: np.ndarray
) -> list[list[complex]]:
    logits = []
    for i in range(len(c)):
        own = clip(c[i, labels[i]])
        row = []
        for j in range(c.shape[1]):
            other = clip(c[i, j])
            if j == labels[i]:
                z = target(own, m)
            elif other.real <= added(own, m).real:
                z = other
            else:
                z = other * (t + other)
            row.append(s * z + math.log(max(counts[j], 1)))
        logits.append(row)
    return logits


def cross_entropy(logits: list[list[complex]], labels: np.ndarray, smoothing: float = 0.0) -> complex:
    losses = []
    for row, label in zip(logits, labels, strict=True):
        highest = max(z.real for z in row)
        log_sum = highest + cmath.log(sum(cmath.exp(z - highest) for z in row))
        losses.append(log_sum - (1 - smoothing) * row[label] - smoothing * sum(row) / len(row))
    return sum(losses) / len(losses)


def moving_average(t: float, c: np.ndarray, labels: np.ndarray, momentum: float) -> float:
    mean = sum(clip(complex(c[i, labels[i]])).real for i in range(len(c))) / len(c)
    return momentum * mean + (1 - momentum) * t
