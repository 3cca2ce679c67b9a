"""A photograph in, the photograph with a mask on every face out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facekit.errors import ConfigError
from facekit.faces.detector import Detection
from facekit.faces.finder import FaceFinder, eye_distance
from facekit.faces.gate import gate
from facekit.faces.landmarks import CHIN, HAIRLINE, OVAL
from facekit.faces.mesh import Mesh, pose
from facekit.images import as_picture
from facekit.masks.catalogue import TYPES, mask_type
from facekit.masks.params import MaskOptions, MaskParams
from facekit.masks.recipe import sample_params
from facekit.masks.render import render_worn
from facekit.masks.wear import checked_seed, face_finder, options_of

__all__ = ["WornFace", "WornPhoto", "wear_masks", "worn_on"]

REACH = 1.2
"""Of the face's longer side: what is rendered around it, which holds the straps and what the light is taken from."""
HEAD_ABOVE = 0.35
"""Of the mesh's height: how far the head goes on above the hairline."""


class WornFace(NamedTuple):
    """A face of a photograph.

    Attributes
    ----------
    box : (4,) float32
        Left, top, right, bottom in pixels.
    points : (5, 2) float32
        (x, y) of eyes, tip of the nose and corners of the mouth, for `facekit.faces.align.align`.
    vertices : (468, 3) float32
        Its mesh: pixels of the photograph, x right, y down, z toward the viewer.
    corner : (int, int)
        x and y of the upper left pixel of ``coverage`` in the photograph.
    coverage : (h, w) float32
        Opacity of mask and straps, in [0, 1], where the nearer faces do not hide them; (0, 0) where none is worn.
    params : MaskParams or None
        What was drawn; None where no mask is worn.
    reason : str or None
        Why none is: a word of `facekit.faces.gate.REASONS`.
    """

    box: NDArray[np.float32]
    points: NDArray[np.float32]
    vertices: NDArray[np.float32]
    corner: tuple[int, int]
    coverage: NDArray[np.float32]
    params: MaskParams | None
    reason: str | None


class WornPhoto(NamedTuple):
    """A photograph with masks on.

    Attributes
    ----------
    image : (H, W, 3) uint8
        RGB. Where no mask and no shadow of one reaches, the bytes are those of the bare photograph.
    faces : tuple of WornFace
        Every face that was to be masked: the largest first, or in the order of the boxes that were given.
    """

    image: NDArray[np.uint8]
    faces: tuple[WornFace, ...]


def wear_masks(
    photo: Any,
    type: str = "surgical-blue",
    seed: int = 0,
    faces: str | NDArray[np.floating] | Sequence[Sequence[float]] = "all",
    upright: bool = False,
    **options: Any,
) -> WornPhoto:
    """Find the faces of a photograph and put a mask on each.

    Parameters
    ----------
    photo : (H, W, 3) uint8 RGB, or a picture of Pillow
        Of any size, with any number of faces, each turned any way. Pillow's is turned as its EXIF orientation says.
    type : str
        One of `facekit.masks.TYPES`, several with commas between them, or ``"all"``: then each face draws its own.
    seed : int
        The same seed gives the same picture.
    faces : str or (N, 4) array
        ``"all"``, ``"largest"``, or boxes (left, top, right, bottom in pixels): the faces in these.
    upright : bool
        Look only for faces that are turned by less than 45 degrees, which takes less than half of the time.
    **options
        As `wear_mask` takes them.

    Returns
    -------
    WornPhoto

    Raises
    ------
    ConfigError
        Unknown type, option or choice of faces, or values that are none.
    PictureError
        ``photo`` is no picture.

    Examples
    --------
    >>> import skimage.data, facekit
    >>> worn = facekit.wear_masks(skimage.data.astronaut(), type="kn95", seed=3)
    >>> [(face.params.type, face.reason) for face in worn.faces]
    [('kn95', None)]
    """
    types, drawn, first = _wanted(type), options_of(options), checked_seed(seed)
    image = as_picture(photo, turn=True)
    found = _chosen(image, faces, face_finder(bool(upright)))
    return worn_on(image, found, [_sampled(first, place, types, drawn) for place in range(len(found))])


def _wanted(type: str) -> tuple[str, ...]:
    """Names of mask types, each of which there is."""
    names = TYPES if type == "all" else tuple(name.strip() for name in type.split(","))
    for name in names:
        mask_type(name)
    return names


def _sampled(seed: int, place: int, types: tuple[str, ...], options: MaskOptions) -> MaskParams:
    """Draw what the face of a number wears."""
    rng = np.random.default_rng([seed, place])
    return sample_params(rng, types[int(rng.integers(len(types)))] if len(types) > 1 else types[0], options)


def worn_on(image: NDArray[np.uint8], found: Sequence[Detection], params: Sequence[MaskParams | None]) -> WornPhoto:
    """Put masks on faces that were found, the farthest first, so that nearer faces hide what lies behind them.

    Parameters
    ----------
    image : (H, W, 3) uint8 RGB
    found : sequence of Detection
        With their meshes.
    params : sequence of MaskParams or None
        What each wears; None: its face stays bare, and hides those behind it all the same.

    Returns
    -------
    WornPhoto
    """
    out, worn = image.copy(), list[WornFace | None]([None] * len(found))
    nearness = [eye_distance(_mesh(face).vertices) for face in found]
    order = sorted(range(len(found)), key=lambda place: (nearness[place], place))
    for rank, place in enumerate(order):
        nearer = [_mesh(found[other]).vertices for other in order[rank + 1 :]]
        worn[place] = _wear(out, found[place], params[place], nearer)
    return WornPhoto(out, tuple(face for face in worn if face is not None))


def _wear(
    out: NDArray[np.uint8], face: Detection, params: MaskParams | None, nearer: list[NDArray[np.float32]]
) -> WornFace:
    """Draw one mask into the picture, and say how it came out."""
    mesh, nothing = _mesh(face), np.empty((0, 0), np.float32)
    reason = gate(*_upright(mesh, out.shape))
    if params is None or reason is not None:
        return WornFace(face.box, face.points, mesh.vertices, (0, 0), nothing, None, reason)
    left, top, right, bottom = _window(face.box, out.shape)
    part, corner = out[top:bottom, left:right], np.array([left, top, 0], np.float32)
    image, coverage = _rendered(part, mesh.vertices - corner, params)
    hidden = _hidden(part.shape, [vertices - corner for vertices in nearer])
    if hidden is not None:
        image = _blended(image, part, hidden)
        coverage = coverage * (1 - hidden)
    part[:] = image
    return WornFace(face.box, face.points, mesh.vertices, (left, top), coverage, params, None)


def _rendered(
    part: NDArray[np.uint8], vertices: NDArray[np.float32], params: MaskParams
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Render with the face upright to 45 degrees: the picture is turned by quarters, which changes no pixel."""
    turns = _quarters(vertices)
    worn = render_worn(np.ascontiguousarray(np.rot90(part, turns)), _turned(vertices, part.shape, turns), params)
    return np.rot90(worn.image, -turns), np.rot90(worn.coverage, -turns)


def _upright(mesh: Mesh, shape: tuple[int, ...]) -> tuple[Mesh, tuple[int, ...]]:
    """Mesh and shape of the picture turned by the quarters that bring the face nearest to upright."""
    turns = _quarters(mesh.vertices)
    turned = shape[1::-1] if turns % 2 else shape[:2]
    return Mesh(_turned(mesh.vertices, shape, turns), mesh.presence), turned


def _quarters(vertices: NDArray[np.float32]) -> int:
    """Counter-clockwise quarter turns after which the face is within 45 degrees of upright."""
    return round(pose(vertices).roll / 90) % 4


def _turned(vertices: NDArray[np.float32], shape: tuple[int, ...], turns: int) -> NDArray[np.float32]:
    """Vertices in ``np.rot90(image, turns)``."""
    height, width = shape[:2]
    x, y, z = vertices.T
    places = {0: (x, y), 1: (y, width - 1 - x), 2: (width - 1 - x, height - 1 - y), 3: (height - 1 - y, x)}
    return np.ascontiguousarray(np.stack([*places[turns], z], -1), np.float32)


def _window(box: NDArray[np.float32], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is rendered, whole pixels inside the picture."""
    reach = REACH * float((box[2:] - box[:2]).max())
    left, top = (max(math.floor(float(low) - reach), 0) for low in box[:2])
    right, bottom = min(math.ceil(float(box[2]) + reach), shape[1]), min(math.ceil(float(box[3]) + reach), shape[0])
    return left, top, right, bottom


def _hidden(shape: tuple[int, ...], nearer: list[NDArray[np.float32]]) -> NDArray[np.float32] | None:
    """(h, w) share of each pixel that nearer heads hide; None where they hide nothing."""
    import cv2

    canvas, shift = np.zeros(shape[:2], np.uint8), 4
    for vertices in nearer:
        outline = np.rint(_head_outline(vertices) * (1 << shift)).astype(np.int32)
        cv2.fillPoly(canvas, [outline], 255, cv2.LINE_AA, shift)
    return canvas.astype(np.float32) / np.float32(255) if canvas.any() else None


def _head_outline(vertices: NDArray[np.float32]) -> NDArray[np.float32]:
    """(36, 2): the border of the mesh, its upper half raised to where the head ends."""
    outline, up = vertices[list(OVAL), :2], vertices[HAIRLINE, :2] - vertices[CHIN, :2]
    height = (outline - vertices[CHIN, :2]) @ up / max(float(up @ up), 1e-6)
    raised = np.clip((height - 0.5) / 0.5, 0, 1)[:, None] * HEAD_ABOVE
    return np.asarray(outline + raised * up, np.float32)


def _blended(image: NDArray[np.uint8], before: NDArray[np.uint8], hidden: NDArray[np.float32]) -> NDArray[np.uint8]:
    share = hidden[..., None]
    return np.rint(share * before + (1 - share) * image).astype(np.uint8)


def _mesh(face: Detection) -> Mesh:
    if face.mesh is None:
        raise ConfigError("this face has no mesh; facekit.faces.finder.FaceFinder finds faces with theirs")
    return face.mesh


def _chosen(image: NDArray[np.uint8], faces: Any, finder: FaceFinder) -> list[Detection]:
    """The faces that are to be masked."""
    if isinstance(faces, str):
        if faces not in ("all", "largest"):
            raise ConfigError(f"faces is {faces!r}; it must be 'all', 'largest', or boxes (left, top, right, bottom)")
        return finder(image)[: 1 if faces == "largest" else None]
    boxes = np.asarray(faces, np.float64)
    if boxes.size == 0:
        return []
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not (boxes[:, 2:] > boxes[:, :2]).all():
        raise ConfigError(
            f"faces is {faces!r}; boxes are (N, 4): left, top, right, bottom in pixels, each above 0 wide"
        )
    return [finder.in_box(image, box) for box in boxes]
