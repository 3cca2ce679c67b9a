"""Named vertices against the mesh itself: sides, mirror images, the border; no other file has their numbers."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from facekit.faces import landmarks
from facekit.faces.landmarks import BROWS, EYES, FIVE_POINTS, LIPS, LIPS_OUTLINE, OVAL
from facekit.faces.topology import load_topology

POSITIONS = load_topology().positions.astype(np.float64)
PAIRS = ("EDGE", "EYE_CORNER", "MOUTH_CORNER")
MIDDLE = (landmarks.HAIRLINE, landmarks.CHIN, landmarks.NOSE_TIP, landmarks.UPPER_LIP, landmarks.CHIN_FRONT)
FACEKIT = Path(landmarks.__file__).parents[1]


def mirrored(vertices: list[int]) -> list[int]:
    """The vertex nearest to each one's mirror image."""
    distance = np.linalg.norm(POSITIONS[vertices][:, None] * (-1, 1, 1) - POSITIONS[None], axis=-1)
    assert distance.min(1).max() < 0.1
    return [int(v) for v in distance.argmin(1)]


@pytest.mark.parametrize("name", PAIRS)
def test_left_is_the_left_of_the_picture(name: str) -> None:
    left, right = getattr(landmarks, f"LEFT_{name}"), getattr(landmarks, f"RIGHT_{name}")
    assert POSITIONS[left, 0] < 0 < POSITIONS[right, 0]
    assert mirrored([left]) == [right]


def test_what_lies_on_the_middle_line_is_its_own_mirror_image() -> None:
    assert mirrored(list(MIDDLE)) == list(MIDDLE)


@pytest.mark.parametrize("part", [*zip(EYES[0], EYES[1], strict=True), *zip(BROWS[0], BROWS[1], strict=True)])
def test_eyes_and_brows_are_mirror_images_left_first_and_outer_end_first(part: tuple[tuple[int, ...], ...]) -> None:
    left, right = map(list, part)
    assert mirrored(left) == right
    assert POSITIONS[left, 0].max() < 0
    assert (np.diff(POSITIONS[left, 0]) > 0).all()


def test_lids_folds_and_brows_lie_above_each_other() -> None:
    for eye, brow in zip(EYES, BROWS, strict=True):
        rows = [POSITIONS[list(row)][len(row) // 2, 1] for row in (eye.bag, eye.lower, eye.upper, eye.fold, *brow)]
        assert rows == sorted(rows)
        assert (eye.upper[0], eye.upper[-1]) == (eye.lower[0], eye.lower[-1])
        assert len(set(eye.outline)) == len(eye.outline) == 16
        assert set(eye.outline) == {*eye.upper, *eye.lower}


def test_the_oval_is_the_border_of_the_mesh_in_order() -> None:
    triangles = load_topology().triangles
    sides = {(int(a), int(b)) for t in triangles for a, b in zip(t, np.roll(t, -1), strict=True)}
    border = {frozenset(side) for side in sides if side[::-1] not in sides}
    assert {frozenset(side) for side in zip(OVAL, (*OVAL[1:], OVAL[0]), strict=True)} == border
    assert len(set(OVAL)) == len(OVAL) == len(border)
    assert POSITIONS[OVAL[9], 0] > 0, "down the right side first"


def test_the_lips_hold_their_edges_and_are_symmetric() -> None:
    inner = landmarks.UPPER_LIP_INNER, landmarks.LOWER_LIP_INNER
    assert {*LIPS_OUTLINE, *inner[0], *inner[1]} <= LIPS
    assert set(mirrored(sorted(LIPS))) == LIPS
    for line in inner:
        assert (np.diff(POSITIONS[list(line), 0]) > 0).all()
        assert mirrored(list(line)) == list(line)[::-1]
    assert POSITIONS[list(inner[0]), 1].mean() > POSITIONS[list(inner[1]), 1].mean()


def test_five_points_are_eyes_nose_and_mouth_left_first() -> None:
    x, y = (np.array([POSITIONS[list(row), axis].mean() for row in FIVE_POINTS]) for axis in (0, 1))
    assert x[0] < x[3] < x[2] < x[4] < x[1]
    assert y[0] > y[2] > y[3]


def test_the_numbers_stand_in_one_file() -> None:
    """No other module of the package lists two of the corners and edges."""
    telling = {v for name in PAIRS for v in (getattr(landmarks, f"LEFT_{name}"), getattr(landmarks, f"RIGHT_{name}"))}
    for path in FACEKIT.rglob("*.py"):
        displays = (n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, (ast.Tuple, ast.List)))
        lists = ({e.value for e in display.elts if isinstance(e, ast.Constant)} for display in displays)
        assert path.name == "landmarks.py" or not any(len(telling & numbers) > 1 for numbers in lists), path
