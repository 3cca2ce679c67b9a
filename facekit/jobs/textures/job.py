"""``facekit textures``: list mask types, show them on a face, and check a table of custom masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facekit.errors import FacekitError, NoFace, PictureError, WrongInput
from facekit.faces.gate import gate
from facekit.faces.landmarks import CHIN_FRONT, NOSE_TIP, UPPER_LIP
from facekit.faces.mesh import LiteRTMesh
from facekit.images import decode
from facekit.masks import render_worn, sample_params
from facekit.masks.catalogue import TYPES, mask_type, type_names
from facekit.masks.custom import add_masks, read_masks
from facekit.masks.textures import MaskTexture
from facekit.output.dry_run import Forecast
from facekit.records.named_inputs import describe_path, require_file, require_text

__all__ = [
    "SHEET_BYTES",
    "Finding",
    "TypeLine",
    "Wearer",
    "check_table",
    "drawn_wearer",
    "forecast_preview",
    "list_types",
    "photographed",
    "preview",
]

SHOWN, SHEET_BYTES = 4, 8_000_000


@dataclass(frozen=True)
class TypeLine:
    """A mask type as ``facekit textures list`` prints it.

    Attributes
    ----------
    name : str
        As --types takes it.
    custom : bool
        It comes from a user's table rather than with facekit.
    straps : str
        See `facekit.masks.shell.ShellShape`.
    textures : tuple of str
        Its pictures, one of which each mask takes.
    """

    name: str
    custom: bool
    straps: str
    textures: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """Something in a table of custom masks that is wrong, or that is likely not meant.

    Attributes
    ----------
    type : str
        Mask type; empty where it concerns the whole table.
    problem : str
        What is wrong and the cure.
    fatal : bool
        The table cannot be used as it is.
    """

    type: str
    problem: str
    fatal: bool


@dataclass(frozen=True)
class Wearer:
    """A bare face to try masks on.

    Attributes
    ----------
    image : (H, W, 3) uint8
        RGB.
    vertices : (468, 3) float32
        Its mesh in pixels: x right, y down, z toward the viewer.
    """

    image: NDArray[np.uint8]
    vertices: NDArray[np.float32]


def list_types(textures: str | None = None) -> list[TypeLine]:
    """Every type there is, those of a table of custom masks last.

    Parameters
    ----------
    textures : str, optional
        Table of custom masks.

    Returns
    -------
    list of TypeLine

    Raises
    ------
    ConfigError, PictureError
        See `facekit.masks.custom.add_masks`.
    """
    if textures is not None:
        add_masks(textures)
    kinds = [mask_type(name) for name in type_names()]
    different = [tuple(dict.fromkeys(kind.textures)) for kind in kinds]  # a name may stand there twice
    return [
        TypeLine(kind.name, kind.name not in TYPES, kind.shape.straps, names)
        for kind, names in zip(kinds, different, strict=True)
    ]


def drawn_wearer() -> Wearer:
    """A drawn face that looks ahead; nobody's photograph.

    Returns
    -------
    Wearer
        A 112 x 112 picture.
    """
    from facekit.synth.person import build_person
    from facekit.synth.picture import render
    from facekit.synth.sampling import sample_capture, sample_identity

    person, captures = build_person(sample_identity(3, 0)), (sample_capture(3, 0, image) for image in range(64))
    # Of the captures that were drawn for this person the one that looks ahead.
    capture = min(captures, key=lambda capture: abs(capture.yaw) + abs(capture.pitch) + abs(capture.roll))
    drawn = render(person, capture)
    return Wearer(drawn.image, drawn.vertices)


def photographed(path: str | Path) -> Wearer:
    """An aligned picture and the mesh that the model finds in it.

    Raises
    ------
    PictureError
        The file is no picture.
    NoFace
        No mask can be worn in it.
    """
    require_file(path, "a picture", "name one")
    try:
        image = decode(Path(path).read_bytes(), upright=True)
    except OSError as error:
        raise FacekitError(f"{path} cannot be read: {error.strerror}; name another") from error
    except PictureError as error:
        if describe_path(path) != "a picture":
            raise WrongInput(f"it is {describe_path(path)}, not a picture: name one", path) from error
        raise PictureError(f"{path}: {error}") from error
    mesh = LiteRTMesh()(image)
    reason = gate(mesh, image.shape)
    if reason is not None:
        raise NoFace(reason, f"{path}: take an aligned picture of a bare face")
    return Wearer(image, mesh.vertices)


def preview(names: tuple[str, ...], wearer: Wearer, textures: str | None = None, seed: int = 0) -> bytes:
    """A sheet with some masks of each type on one face.

    Parameters
    ----------
    names : tuple of str
        Types; all of them where it is empty.
    wearer : Wearer
    textures : str, optional
        Table of custom masks.
    seed : int

    Returns
    -------
    bytes
        A PNG.
    """
    from facekit.report.contact import Pair, contact_sheet

    if textures is not None:
        add_masks(textures)
    groups = {}
    for name in names or type_names():
        worn = [
            render_worn(wearer.image, wearer.vertices, sample_params(np.random.default_rng([seed, number]), name))
            for number in range(SHOWN)
        ]
        groups[name] = [Pair(wearer.image, each.image, each.params.texture) for each in worn]
    return contact_sheet(groups)


def forecast_preview(names: tuple[str, ...], textures: str | None, face: str | None, seed: int) -> Forecast:
    """What a dry run tells of `preview`; refuses what that would refuse.

    Parameters
    ----------
    names, textures, seed
        As there.
    face : str, optional
        The picture that `photographed` would take.
    """
    if face is not None:
        photographed(face)
    if textures is not None:
        add_masks(textures)
    types = names or tuple(type_names())
    for name in types:
        sample_params(np.random.default_rng([seed, 0]), name)
    return Forecast(counts={"types": len(types), "faces": SHOWN * len(types)}, timed="seconds")


def check_table(path: str | Path) -> list[Finding]:
    """Look for what is wrong in a table of custom masks, and for what is likely not meant.

    Every type is rendered on a drawn face, so that what is found here is found before a run of hours.

    Parameters
    ----------
    path : path
        The table.

    Returns
    -------
    list of Finding
        Empty where there is nothing to say. One fatal finding where the table cannot be used.

    Raises
    ------
    MissingInput
        Nothing is there.
    """
    require_text(path, "a table of masks", "name a TOML file")
    try:
        masks = read_masks(path)
        add_masks(path)
    except FacekitError as error:
        return [Finding("", str(error), True)]
    wearer, findings = drawn_wearer(), list[Finding]()
    for kind, textures in masks:
        findings += [Finding(kind.name, problem, False) for texture in textures for problem in _doubts(texture)]
        findings += [Finding(kind.name, problem, False) for problem in _bare_places(kind.name, wearer)]
    return findings


def _doubts(texture: MaskTexture) -> list[str]:
    """What is odd about a picture."""
    alpha = texture.rgba[..., 3]
    problems = []
    if (alpha == 255).all():
        problems.append(
            f"{texture.name} is opaque everywhere: the mask will have the outline of its shell; draw its own with alpha"
        )
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    if len(rows) < 0.7 * alpha.shape[0] or len(columns) < 0.7 * alpha.shape[1]:
        problems.append(
            f"{texture.name} has cloth in {len(columns) / alpha.shape[1]:.0%} of its width and "
            f"{len(rows) / alpha.shape[0]:.0%} of its height: crop it so that the mask fills the picture"
        )
    if (alpha < 255).mean() > 0.02 and alpha[alpha > 0].mean() < 160:
        problems.append(f"{texture.name} is see-through where there is cloth: alpha should be 255 there")
    return problems


def _bare_places(name: str, wearer: Wearer) -> list[str]:
    """What of the face the mask leaves bare."""
    worn = render_worn(wearer.image, wearer.vertices, sample_params(np.random.default_rng(0), name))
    bare = []
    for word, vertex in (("nose", NOSE_TIP), ("mouth", UPPER_LIP), ("chin", CHIN_FRONT)):
        x, y = np.rint(wearer.vertices[vertex, :2]).astype(int).clip(0, np.array(wearer.image.shape[1::-1]) - 1)
        if worn.coverage[y, x] < 0.5:
            bare.append(word)
    return [f"the mask leaves {' and '.join(bare)} bare on a face that looks ahead"] if bare else []
