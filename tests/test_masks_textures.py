"""Textures: present for every type, drawn by the tool that says so, and fair when they shrink."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from facekit.errors import ConfigError
from facekit.masks.catalogue import TYPES, mask_type, table
from facekit.masks.textures import MaskTexture, crease_slopes, load_texture, pyramid, to_linear

NAMES = sorted(table()["texture"])


def test_the_eight_types_of_the_table_are_the_eight_types() -> None:
    assert sorted(table()["type"]) == sorted(TYPES)
    assert len(set(TYPES)) == 8


def test_every_texture_is_worn_by_some_type_and_every_worn_texture_exists() -> None:
    assert {name for type in TYPES for name in mask_type(type).textures} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_texture_is_opaque_inside_and_ends_softly_at_its_border(name: str) -> None:
    rgba = load_texture(name).rgba
    assert rgba.dtype == np.uint8
    assert rgba.shape == (384, 512, 4)
    alpha = rgba[..., 3]
    assert (alpha[120:260, 130:382] == 255).all()
    assert alpha[0].max() < 30
    assert alpha[-1].max() < 30
    assert ((alpha > 8) & (alpha < 247)).any()  # no hard edge


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_textures", Path(__file__).parents[1] / "tools/draw_textures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["draw_textures"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["surgical-b", "n95-valve-side", "cloth-tartan", "sponge-a"])
def test_the_tool_draws_what_ships(tool: ModuleType, name: str) -> None:
    import cv2

    made = cv2.imdecode(np.frombuffer(tool.png(tool.TEXTURES[name]()), np.uint8), cv2.IMREAD_UNCHANGED)
    shipped = load_texture(name).rgba
    assert np.abs(made[..., [2, 1, 0, 3]].astype(int) - shipped).max() <= 1  # the last level is the machine's
    assert set(tool.TEXTURES) == set(NAMES)


def test_the_tool_draws_the_creases_that_ship(tool: ModuleType) -> None:
    slopes = tool.creases(61).astype(np.float32)
    halved = (slopes[::2, ::2] + slopes[1::2, ::2] + slopes[::2, 1::2] + slopes[1::2, 1::2]) / 4
    assert np.abs((halved - 128) / 40 - crease_slopes()).max() < 0.05


def test_halving_keeps_the_amount_of_cloth_and_of_light() -> None:
    rng = np.random.default_rng(0)
    texture = MaskTexture("noise", "colour", rng.integers(0, 256, (96, 192, 4), dtype=np.uint8))
    levels = pyramid(texture).levels
    assert len(levels) > 1
    cover = [float(level[..., 3].mean()) for level in levels]
    light = [float((level[..., :3] * level[..., 3:]).mean()) for level in levels]
    assert np.allclose(cover, cover[0], rtol=1e-5)
    assert np.allclose(light, light[0], rtol=1e-4)
    assert abs(light[0] - float((to_linear()[texture.rgba[..., :3]] * (texture.rgba[..., 3:] / 255)).mean())) < 1e-5


def test_levels_are_the_srgb_curve() -> None:
    curve = to_linear()
    assert curve[0] == 0
    assert curve[255] == 1
    assert (np.diff(curve) > 0).all()
    assert abs(float(curve[188]) - 0.5029) < 1e-3  # IEC 61966-2-1: mid grey


def test_an_unknown_texture_is_refused_with_the_list() -> None:
    with pytest.raises(ConfigError, match=r"denim.*surgical-a"):
        load_texture("denim")
