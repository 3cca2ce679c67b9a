"""Which kinds of arguments the kernels are called with, for compiling them ahead.

A test holds that a job compiles nothing else; the notation is that of `facekit.run.compiling.types_of`.
"""

from __future__ import annotations

__all__ = ["SIGNATURES"]

SIGNATURES = {
    "facekit.synth.strand_kernels": {
        "draw_strands": "F3 F2 F2 F2 F1 F1 F F2 F2 F2 F1 F2 F F2 I2 F3",
        "place_strands": "F3 F2 F1 F2 F1 F3",
        "shadow_strands": "F3 F2 L F2",
    },
    "facekit.synth.raster": {
        "rasterize": "F2 I2 B1 F2 I2 F3",
        "shadow_triangles": "F2 I2 F2",
        "vertex_normals": "F2 I2 F2",
    },
    "facekit.synth.person_kernels": {
        "darken": "F3 F2 F1",
        "mix_colour": "F3 F2 F1",
        "nearest_index": "F2 F2 L1",
    },
    "facekit.synth.surfaces": {
        "resolve": "I2 F3 F3 I2 U1 F2 F3 F3 F2 F2 F2 F2 F1 F3 F1 L F3",
    },
}
"""Signatures by file and kernel; of kernels that only kernels call there is none.

Two processes compile them, one from the front and one from the back: the two that take longest stand there.
"""
