"""`--branch auto`: what a picture looks like decides its branch, where nothing says that it is masked."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import photo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import save_model, save_pack
from test_evaluate_branches import Spy, findings, save_bins

from facekit.embeddings import open_features
from facekit.errors import PictureError
from facekit.faces.worn import mask_features, mask_scores
from facekit.jobs.embed.job import EmbedConfig, embed
from facekit.jobs.evaluate.faces import of_features
from facekit.jobs.evaluate.scores import bin_scores
from facekit.jobs.inputs.branches import branch_flags
from facekit.jobs.inputs.model import ModelChoice
from facekit.masks import TYPES, MaskAugment
from facekit.records import open_pack

SHARED = Path(__file__).parents[2] / "shared"
BARE = [photo.face(seed) for seed in range(4)]
WORN = [MaskAugment(1.0, kind)(photo.face(seed), seed)[0] for seed, kind in enumerate(TYPES)]


def test_drawn_masks_are_told_from_bare_faces_with_room_to_spare() -> None:
    assert (mask_scores(np.stack(BARE)) < -1).all()
    assert (mask_scores(np.stack(WORN)) > 1).all()
    assert mask_scores(np.empty((0, 112, 112, 3), np.uint8)).shape == (0,)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32))
def test_features_by_loops(seed: int) -> None:
    """Cells of 8 x 8 pixels one by one, mirrored ones together."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 256, (9, 9, 3), np.uint8), (112, 112), interpolation=cv2.INTER_CUBIC)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float64)
    soft = cv2.GaussianBlur(lab[..., 0].astype(np.float32), (0, 0), 1.0).astype(np.float64)
    steps = np.zeros((112, 112, 2))
    steps[:, 1:, 0], steps[1:, :, 1] = abs(soft[:, 1:] - soft[:, :-1]), abs(soft[1:] - soft[:-1])

    def cell(planes: np.ndarray, row: int, column: int) -> np.ndarray:
        return np.array(planes[8 * row : 8 * row + 8, 8 * column : 8 * column + 8].mean((0, 1)))

    skin = np.mean([cell(lab, row, column) for row in range(5, 9) for column in range(3, 11)], 0)
    usual = np.mean([np.log1p(cell(steps, row, column)) for row in range(4, 7) for column in range(1, 13)], 0)

    def both(row: int, column: int) -> np.ndarray:
        colours = (cell(lab, row, column) - skin) / [30, 8, 8]
        return np.r_[colours, np.log1p(cell(steps, row, column)) - usual]

    places = [(row, column) for row in range(7, 14) for column in range(1, 7)]
    mean = [(both(row, column) + both(row, 13 - column)) / 2 for row, column in places]
    apart = [abs(both(row, column) - both(row, 13 - column)) for row, column in places]
    wanted = np.concatenate([np.ravel(mean), np.ravel(apart), usual])
    np.testing.assert_allclose(mask_features(image), wanted, atol=2e-3, rtol=1e-4)


def test_crops_of_any_size_and_nothing_else() -> None:
    large = [cv2.resize(one, (224, 224), interpolation=cv2.INTER_CUBIC) for one in (BARE[0], WORN[0])]
    assert [bool(score > 0) for score in mask_scores(np.stack(large))] == [False, True]
    for wrong in (np.zeros((112, 112), np.uint8), np.zeros((112, 112, 3), np.float32), np.zeros((0, 112, 3), np.uint8)):
        with pytest.raises(PictureError, match="a picture must be"):
            mask_features(wrong)


def test_what_is_known_counts_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    """A picture whose ledger says that it is masked stays so, however it looks."""
    pictures = [BARE[0], WORN[0], BARE[1], WORN[1], WORN[2], BARE[2]]
    spy = Spy((112, 112))
    path = save_bins(tmp_path / "p.bin", pictures, [False, False, True, False, True, False])
    found = findings(bin_scores, spy, pairs=str(path), model={"branch": "auto", "flip": True})
    assert spy.flags_of(pictures) == [{False}, {True}, {True}, {True}, {True}, {False}]
    assert found.faces[0].branches == {"face": 2, "masked": 4}
    assert found.faces[0].masked.tolist() == [False, False, True, False, True, False]
    known = np.array([True, False])
    for branch, wanted in ((None, known), ("ledger", known), ("masked", [True, True]), ("face", [False, False])):
        assert branch_flags(branch, known, np.stack(BARE[:2])).tolist() == list(wanted)


def test_vectors_are_made_by_it(tmp_path: Path) -> None:
    """What `embed --branch auto` writes is what each picture's branch says."""
    save_model(tmp_path / "two.onnx", flag=1)
    save_pack(tmp_path / "pack", people=4)
    made = {}
    for branch in ("auto", "face", "masked"):
        choice = ModelChoice(str(tmp_path / "two.onnx"), branch=branch, threads=1)
        embed(EmbedConfig(str(tmp_path / "pack"), str(tmp_path / branch), choice))
        made[branch] = open_features(tmp_path / branch)
    with open_pack(tmp_path / "pack") as pack:
        looks = mask_scores(np.stack([pack.image(int(key)) for key in made["auto"].keys])) > 0
    looks |= made["auto"].masked
    auto, face, masked = (made[branch].load().vectors for branch in ("auto", "face", "masked"))
    np.testing.assert_allclose(auto, np.where(looks[:, None], masked, face), atol=1e-6)
    assert of_features(made["auto"]).branches == {"auto": len(auto)}


def test_really_worn_masks() -> None:
    folder = SHARED / "data" / "real_masks"
    if not folder.is_dir():
        pytest.skip(f"really masked faces are not at {folder}")
    right = {}
    for name in ("masked", "bare"):
        with open_pack(folder / name) as pack:
            scores = mask_scores(np.stack([pack.image(int(key)) for key in pack.keys]))
        right[name] = float(((scores > 0) == (name == "masked")).mean())
    assert min(right.values()) > 0.96, right
