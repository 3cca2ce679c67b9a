"""Which kinds of arguments the kernels are called with, for compiling them ahead.

A test holds that a job compiles nothing else; the notation is that of `facekit.run.compiling.types_of`.
"""

from __future__ import annotations

__all__ = ["SIGNATURES"]

SIGNATURES = {
    "facekit.synth.kernels": {
        "rasterize": "F2 I2 B1 F2 I2 F3",
        "darken": "F3 F2 F1",
        "mix_colour": "F3 F2 F1",
        "nearest_index": "F2 F2 L1",
        "place_strands": "F3 F2 F1 F2 F1 F3",
        "shadow_triangles": "F2 I2 F2",
        "shadow_strands": "F3 F2 L F2",
        "draw_strands": "F3 F2 F2 F2 F1 F1 F F2 F2 F2 F1 F2 F F2 I2 F3",
        "vertex_normals": "F2 I2 F2",
        "resolve": "I2 F3 F3 I2 U1 F2 F3 F3 F2 F2 F2 F2 F1 F3 F1 L F3",
    },
}
"""Signatures by file and kernel; of kernels that only kernels call there is none."""
