"""wear_masks: every face of a photograph, whatever its size and turn, and nothing else."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from photo import POINTS, face, photograph
from PIL import Image

import facekit
from facekit.errors import ConfigError, NoFace, PictureError
from facekit.faces.detector import Detection
from facekit.faces.finder import FaceFinder, detection_of
from facekit.faces.mesh import Mesh
from facekit.images import encode_jpeg, stored_as
from facekit.masks import MaskAugment, MaskOptions, sample_params, wear_mask, wear_masks
from facekit.masks.photograph import worn_on

NOSE, FOREHEAD = 4, 151


def at(worn: facekit.WornFace, vertex: int) -> float:
    """Opacity of the mask at a vertex."""
    x, y = np.rint(worn.vertices[vertex, :2]).astype(int) - worn.corner
    return float(worn.coverage[y, x])


def test_the_mask_covers_nose_and_mouth_and_nothing_far_from_it_changes() -> None:
    worn = wear_masks(photograph(), "kn95", seed=3)
    (only,) = worn.faces
    assert (only.reason, only.params and only.params.type) == (None, "kn95")
    assert at(only, NOSE) > 0.99
    assert at(only, FOREHEAD) == 0
    changed = (worn.image != photograph()).any(2)
    left, top, right, bottom = only.box
    rows, columns = np.nonzero(changed)
    reach = 0.35 * (bottom - top)
    assert left - reach < columns.min()
    assert columns.max() < right + reach
    assert top < rows.min()
    assert rows.max() < bottom + reach
    full = np.zeros(changed.shape, np.float32)
    x, y = only.corner
    height, width = only.coverage.shape
    full[y : y + height, x : x + width] = only.coverage
    shadow = cv2.dilate((full > 0).astype(np.uint8), np.ones((41, 41), np.uint8)) > 0
    assert not changed[~shadow].any()


def test_the_same_seed_gives_the_same_picture_and_another_one_another() -> None:
    first, again, other = (wear_masks(photograph(), "all", seed=seed) for seed in (5, 5, 6))
    assert (first.image == again.image).all()
    assert first.faces[0].params == again.faces[0].params != other.faces[0].params


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_picture_turned_by_quarters_gives_the_turned_result(turns: int) -> None:
    """The masks are drawn on an upright face, so all that may differ is where the model puts the mesh."""
    upright = wear_masks(photograph(), "surgical-blue", seed=1)
    turned = wear_masks(np.ascontiguousarray(np.rot90(photograph(), turns)), "surgical-blue", seed=1)
    back = np.rot90(turned.image, -turns)
    assert np.abs(back.astype(int) - upright.image).mean() < 0.2
    assert at(turned.faces[0], NOSE) > 0.99


def test_any_turn_is_masked() -> None:
    for degrees in (40, 100, 160, 220, 290):
        matrix = cv2.getRotationMatrix2D(tuple(POINTS.mean(0)), degrees, 1.0)
        image = cv2.warpAffine(photograph(), matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
        (worn,) = wear_masks(image, seed=2).faces
        assert worn.reason is None
        assert min(at(worn, NOSE), at(worn, 13)) > 0.95


def test_all_the_largest_or_those_in_boxes() -> None:
    small = cv2.resize(photograph()[:256, 90:346], (180, 180), interpolation=cv2.INTER_AREA)
    both = np.full((300, 460, 3), 120, np.uint8)
    both[:256, :256] = photograph()[:256, 90:346]
    both[40:220, 270:450] = small
    everyone, largest = wear_masks(both).faces, wear_masks(both, faces="largest").faces
    assert len(everyone) == 2
    assert len(largest) == 1
    assert (largest[0].vertices == everyone[0].vertices).all()
    (boxed,) = wear_masks(both, faces=[everyone[1].box.tolist()]).faces
    assert np.abs(boxed.vertices - everyone[1].vertices).max() < 2
    assert wear_masks(both, faces=[]).image.tobytes() == both.tobytes()


def meshed(scale: float, shift: tuple[float, float]) -> Detection:
    """The face of the photograph, its mesh scaled and moved."""
    mesh = FaceFinder()(photograph())[0].mesh
    assert mesh is not None
    return detection_of(Mesh(mesh.vertices * scale + np.array([*shift, 0], np.float32), mesh.presence), 1.0)


def test_a_nearer_face_hides_the_mask_behind_it() -> None:
    near, far = meshed(1.2, (0, 0)), meshed(1.0, (75, 20))
    rng = np.random.default_rng(0)
    params = [sample_params(rng, "surgical-white", MaskOptions()) for _ in range(2)]
    picture = cv2.resize(photograph(), (620, 620), interpolation=cv2.INTER_AREA)
    behind, alone = worn_on(picture, [near, far], [None, params[1]]), worn_on(picture, [far], [params[1]])
    assert near.mesh is not None
    inside = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(np.rint(near.mesh.vertices[:, :2]).astype(np.int32)), 1)
    inside = cv2.erode(inside, np.ones((5, 5), np.uint8)) > 0
    assert (behind.image[inside] == picture[inside]).all()
    assert (alone.image[inside] != picture[inside]).any()
    outside = ~(cv2.dilate(inside.astype(np.uint8), np.ones((121, 121), np.uint8)) > 0)
    assert (behind.image[outside] == alone.image[outside]).all()
    both = [
        worn_on(picture, faces, drawn).image for faces, drawn in (([near, far], params), ([far, near], params[::-1]))
    ]
    assert (both[0] == both[1]).all()  # the order in which they are given does not count


def test_a_face_that_is_covered_stays_as_it_is_and_says_why() -> None:
    once = wear_masks(photograph(), "surgical-black", seed=1)
    again = wear_masks(once.image, seed=2, faces=[once.faces[0].box.tolist()])
    (only,) = again.faces
    assert only.params is None
    assert only.reason in ("covered", "no_face", "mesh")
    assert only.coverage.size == 0
    assert (again.image == once.image).all()


def test_pictures_of_pillow_are_taken_and_turned_upright() -> None:
    expected = wear_masks(photograph(), seed=4).image
    assert (wear_masks(Image.fromarray(photograph()), seed=4).image == expected).all()
    exif, out = Image.Exif(), io.BytesIO()
    exif[274] = 6
    Image.fromarray(np.ascontiguousarray(stored_as(photograph(), 6))).save(out, "PNG", exif=exif.tobytes())
    assert (wear_masks(Image.open(out), seed=4).image == expected).all()
    crop = face(side=224)
    assert (wear_mask(Image.fromarray(crop), seed=4).image == wear_mask(crop, seed=4).image).all()


def test_augmentation_gives_pillow_back_where_it_got_it() -> None:
    augment = MaskAugment(1.0, "kn95", seed=1)
    image, masked = augment(Image.fromarray(face()), key=3)
    expected, _ = augment(face(), key=3)
    assert masked
    assert isinstance(image, Image.Image)
    assert (np.asarray(image) == expected).all()
    bare = Image.fromarray(face())
    assert MaskAugment(0.0)(bare, key=3) == (bare, False)


class Tensor:
    """Looks like torch's."""

    shape = (3, 112, 112)

    def detach(self) -> None: ...


def test_what_is_no_picture_is_refused_with_the_cure() -> None:
    for call in (wear_mask, wear_masks, lambda given: MaskAugment(1.0)(given, key=1)):
        with pytest.raises(PictureError, match=r"tensor of shape \(3, 112, 112\).*permute"):
            call(Tensor())
    with pytest.raises(PictureError, match="uint8 RGB"):
        wear_masks(photograph()[..., 0])
    with pytest.raises(PictureError, match="bytes"):
        wear_masks(encode_jpeg(photograph()))
    with pytest.raises(ConfigError, match="'all', 'largest', or boxes"):
        wear_masks(photograph(), faces="some")
    with pytest.raises(ConfigError, match="boxes are"):
        wear_masks(photograph(), faces=[[10, 10, 5, 20]])
    with pytest.raises(ConfigError, match="n96"):
        wear_masks(photograph(), "kn95,n96")


def test_wear_mask_says_what_a_photograph_is_and_which_call_helps() -> None:
    with pytest.raises(NoFace, match=r"no aligned crop: the largest face in its 512 x 512 pixels lies at \(22\d, 12\d\), 4\d px.*facekit\.wear_masks"):  # fmt: skip # noqa: E501
        wear_mask(photograph())
    with pytest.raises(NoFace) as refused:
        wear_mask(np.full((112, 112, 3), 90, np.uint8))
    assert refused.value.detail == ""
    with pytest.raises(NoFace, match="200 x 100 pixels are no aligned crop, and no face was found"):
        wear_mask(np.full((100, 200, 3), 90, np.uint8))
