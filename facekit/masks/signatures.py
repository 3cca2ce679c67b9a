"""Which kinds of arguments the kernels are called with, for compiling them ahead.

A test holds that a job compiles nothing else; the notation is that of `facekit.run.compiling.types_of`.
"""

from __future__ import annotations

__all__ = ["SIGNATURES"]

SIGNATURES = {
    "facekit.masks.drape_kernels": {
        "wave": "F2 F1 F2",
        "carry": "F2 I1 F2 F2",
        "place": "F2 L F2 F D D D D D",
        "relief": "F2 F2 D D D F1",
        "lift": "F2 F2 F1 F2 D D F2 F",
        "lower": "F2 L L F2 I2 F2 F",
        "bounds": "F2",
    },
    "facekit.masks.surface": {
        "face_normals": "F2 I2r F2",
        "grid_normals": "F2 L L L F F2",
        "_fill_frame": "F2 L L L L F2",
    },
    "facekit.masks.scene": {
        "_sample": "U3 F1 F2 F2 I1 F1 F2 F2 F1 F1",
        "_fill_fit": "F2 F1 F1 D2 D1 D1 F1 D1",
        "_average": "D1 F2 F1",
        "_uneven": "F2 F1 F1 F1 I1 F1",
        "_survey": "U3 L1 L2",
        "_sharpness": "U3 F2 I1",
    },
    "facekit.masks.lighting": {
        "_spread_uneven": "F1 F2 F1 F1",
        "_light_cloth": "F2 F2 F1 L L L F1 F1 F1",
    },
    "facekit.masks.dye": {
        "_dye": "F3 F2 B F3 F1 F2 F2 2D F2 F3",
        "_draw_lines": "F2 F1 F2 F2",
    },
    "facekit.masks.raster": {
        "_occlude": "F2 I2 L L F2",
        "_draw_shell": "F2 F2 F1 I2 F3 2D B L L D F2 F2 F3",
        "_draw_straps": "F2 L L I1 D D 3D 2F L L D F2 F2 F3 F2 B",
    },
    "facekit.masks.finish": {
        "_settle": "F3 3D D 2D F1 L F3",
        "_weigh": "F1 F1 2L F1 F1",
        "_layer_sharpness": "F3 L",
        "_temper": "F3 F3 L D D F F2 L L",
        "_fill_reach": "F2 L L L I1 L L D F1 F2",
        "_compose": "U3 F3 F2 F2 L D L L L L F2 U3",
    },
}
"""Signatures by file and kernel; of kernels that only kernels call there is none."""
