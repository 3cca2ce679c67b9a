"""Recipes: drawn once, written down, read back, and bounded by what the caller allows."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest

from facekit.errors import ConfigError
from facekit.masks import TYPES, MaskOptions, MaskParams, sample_params
from facekit.masks.catalogue import mask_type
from facekit.masks.draws import Draws
from facekit.masks.params import VERSION
from facekit.masks.prints import draw_print

MOST_FOLDED = 42
MOST_OF_A_PRINT = 54
"""Lines: three rows of six glyphs of three strokes."""


def drawn(type: str, seed: int = 0, options: MaskOptions | None = None) -> MaskParams:
    return sample_params(np.random.default_rng([seed, 7]), type, options)


@pytest.mark.parametrize("type", TYPES)
def test_a_recipe_survives_its_line_of_json(type: str) -> None:
    for seed in range(40):
        params = drawn(type, seed)
        assert MaskParams.from_json(params.to_json()) == params
        assert "\n" not in params.to_json()


@pytest.mark.parametrize("type", TYPES)
def test_the_same_seed_draws_the_same_mask_and_another_seed_another(type: str) -> None:
    assert drawn(type, 1) == drawn(type, 1)
    assert len({drawn(type, seed) for seed in range(50)}) == 50


@pytest.mark.parametrize("type", TYPES)
def test_draws_stay_within_the_type_and_physics(type: str) -> None:
    kind = mask_type(type)
    for seed in range(200):
        params = drawn(type, seed)
        assert params.type == type
        assert params.texture in kind.textures
        assert all(0 < channel <= 0.92 for ink in params.inks[:1] for channel in ink)
        assert all(0 <= channel <= 1 for ink in (*params.inks, params.strap) for channel in ink)
        assert kind.folds[0] <= len(params.folds) <= kind.folds[1]
        assert 0.9 < params.stretch[0] < 1.1
        assert 0.85 <= params.stretch[1] <= 1.2
        assert -1.3 <= params.slide[1] <= 0.98  # not below the nose, which takes 1.6 cm


def test_every_texture_of_a_type_is_worn_as_often_as_it_is_named() -> None:
    for type in TYPES:
        names = mask_type(type).textures
        worn = [drawn(type, seed).texture for seed in range(400)]
        for name in set(names):
            assert abs(worn.count(name) / 400 - names.count(name) / len(names)) < 0.12


def test_options_bound_what_is_drawn() -> None:
    options = MaskOptions(tilt_range=(3, 4), shadow_range=(0.0, 0.0), light_range=(2.0, 2.5))
    for seed in range(30):
        params = drawn("kn95", seed, options)
        assert 3 <= params.tilt <= 4
        assert params.shadow == 0
        assert 2 <= params.light <= 2.5


def test_options_change_nothing_that_they_do_not_name() -> None:
    usual, tilted = drawn("kn95", 5), drawn("kn95", 5, MaskOptions(tilt_range=(9, 9)))
    assert dataclasses.replace(usual, tilt=9.0) == tilted


@pytest.mark.parametrize(
    "ranges",
    [{"tilt_range": (5, -5)}, {"tilt_range": (-90, 0)}, {"shadow_range": (0, 1.5)}, {"light_range": (-1, 1)}],
)
def test_options_out_of_range_are_refused_with_the_range(ranges: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(ranges))}.*between"):
        MaskOptions(**ranges)


def test_an_unknown_type_is_refused_with_the_list() -> None:
    with pytest.raises(ConfigError, match=r"bandana.*surgical-blue.*sponge-black"):
        drawn("bandana")


@pytest.mark.parametrize("spoil", ["", "[1, 2]", "{}", "{not json", '{"version": 2}', '{"version": "1"}'])
def test_what_is_no_recipe_is_refused(spoil: str) -> None:
    with pytest.raises(ConfigError, match=r"not mask parameters.*ledger"):
        MaskParams.from_json(spoil)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tilt", "hello"), ("tilt", None), ("tilt", True), ("tilt", float("nan")), ("tilt", [1.0]), ("light", 10**400),
        ("type", 3), ("texture", None), ("folds", [[1]]), ("folds", 1), ("folds", ["abcdef"]), ("edge", [0.0] * 5),
        ("lines", [[0.5] * 12]),
        ("inks", [[0.1, 0.2, 0.3]] * 2), ("strap", [0.1, 0.2, "b"]), ("stretch", {"0": 1, "1": 1}),
        ("grain_seed", 1.5), ("grain_seed", -1),
    ],
)  # fmt: skip
def test_a_recipe_with_a_wrong_value_is_refused_by_the_name_of_its_field(name: str, value: object) -> None:
    row = {**json.loads(drawn("kn95").to_json()), name: value}
    with pytest.raises(ConfigError, match=rf"not mask parameters: {name} is .*ledger"):
        MaskParams.from_json(json.dumps(row))


def test_whole_numbers_stand_for_numbers_in_a_recipe() -> None:
    row = {**json.loads(drawn("kn95").to_json()), "tilt": 3}
    assert MaskParams.from_json(json.dumps(row)).tilt == 3


@pytest.mark.parametrize("version", [1, VERSION + 1])
def test_parameters_of_another_version_are_refused_with_both_versions(version: int) -> None:
    row = {**json.loads(drawn("kn95").to_json()), "version": version}
    with pytest.raises(ConfigError, match=rf"version {version} .*version {VERSION}.*mask the source anew"):
        MaskParams.from_json(json.dumps(row))


def test_a_line_of_the_first_ledgers_is_refused_for_its_version() -> None:
    """As facekit 0.1.0 wrote it, to the letter: its fields have other names, but the version is what tells."""
    line = (
        '{"type":"kn95","texture":"kn95-a","inks":[[0.8,0.8,0.8],[0.7,0.7,0.7],[0.6,0.6,0.6]],"strap":[0.8,0.8,0.8],'
        '"strap_radius":0.1,"stretch":[1.0,1.02],"slide":[0.0,-0.16],"tilt":1.5,"gape":0.05,"folds":[],'
        '"gather":[0.0,3.0,0.5],"edge":[0.0,0.0,0.0,0.0,0.0,0.0],"falloff":[0.3,0.2,0.0],"relief":[1.0,0.1,-0.9],'
        '"form":[0.1,0.1],"creases":[0.2,0.7,1.0,0.5,0.5],"ambient":0.1,"light":1.2,"trust":1.1,"gloss":1.4,'
        '"shadow":0.3,"crispness":0.1,"softness":0.4,"grain_seed":7,"version":1}'
    )
    with pytest.raises(ConfigError, match=r"parameters are of version 1"):
        MaskParams.from_json(line)


@pytest.mark.parametrize("type", TYPES)
def test_lines_lie_on_the_cloth_and_are_never_blacker_than_black(type: str) -> None:
    kind = mask_type(type)
    for seed in range(100):
        lines = drawn(type, seed).lines
        assert len(lines) <= MOST_FOLDED + MOST_OF_A_PRINT * (kind.printed > 0)
        for s0, t0, s1, t1, bow, sway, width, reach, dark, lip, shade, *along in lines:
            assert max(abs(s - 0.5) for s in (s0, s1)) <= 0.55
            assert max(abs(t - 0.5) for t in (t0, t1)) <= 0.6
            assert max(abs(bow), abs(sway)) < 0.4
            assert 0 < width <= 0.2
            assert 0 < abs(reach) <= 0.4
            assert dark <= 1  # below 0: light ink on dark cloth, and sheen
            assert 0 <= lip <= 1.2
            assert 0 <= shade <= 0.65
            assert all(0 <= strength <= 1.4 for strength in along)


@pytest.mark.parametrize("given", [None, 3, ["{}"]])
def test_a_recipe_must_be_a_text(given: object) -> None:
    with pytest.raises(ConfigError, match=r"not mask parameters.*ledger"):
        MaskParams.from_json(given)  # type: ignore[arg-type]


def test_masks_are_worn_rightly_unless_asked_otherwise() -> None:
    def slides(**shares: float) -> list[float]:
        return [drawn("surgical-blue", seed, MaskOptions(**shares)).slide[1] for seed in range(300)]  # type: ignore[arg-type]

    rightly, out, under = slides(), slides(nose_out=1.0), slides(under_chin=1.0)
    assert all(1.69 < a - b < 2.71 for a, b in zip(rightly, out, strict=True))
    assert all(5.39 < a - b < 6.41 for a, b in zip(rightly, under, strict=True))
    some = slides(nose_out=0.2, under_chin=0.1)
    changed = [a - b for a, b in zip(rightly, some, strict=True) if a != b]
    assert 0.2 < len(changed) / 300 < 0.4
    assert 0.2 < sum(change > 4 for change in changed) / len(changed) < 0.5


def test_prints_are_added_to_masks_that_are_otherwise_the_same() -> None:
    def pairs(share: float) -> list[tuple[MaskParams, MaskParams]]:
        return [
            (drawn("surgical-black", seed), drawn("surgical-black", seed, MaskOptions(prints=share)))
            for seed in range(200)
        ]

    for plain, printed in pairs(1.0):
        assert printed.lines[: len(plain.lines)] == plain.lines
        assert len(printed.lines) > len(plain.lines)
        assert replace(printed, lines=plain.lines) == plain
        assert MaskParams.from_json(printed.to_json()) == printed
        for s0, t0, s1, t1, *_ in printed.lines[len(plain.lines) :]:
            assert 0.1 < min(s0, s1) <= max(s0, s1) < 0.9
            assert 0.3 < min(t0, t1) <= max(t0, t1) < 0.9
    assert 0.2 < sum(plain != printed for plain, printed in pairs(0.3)) / 200 < 0.4


def test_print_is_lighter_than_dark_cloth_and_darker_than_light_cloth() -> None:
    def darkness(level: float) -> set[bool]:
        return {line[8] > 0 for seed in range(50) for line in draw_print(Draws(np.random.default_rng(seed)), level)}

    assert darkness(0.03) == {False}
    assert darkness(0.6) == {True}


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_of_prints_must_be_one(share: float) -> None:
    with pytest.raises(ConfigError, match=r"prints is .* from 0 to 1"):
        MaskOptions(prints=share)


@pytest.mark.parametrize("shares", [{"nose_out": -0.1}, {"under_chin": 1.1}, {"nose_out": 0.6, "under_chin": 0.6}])
def test_shares_that_are_none_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"shares of all masks, from 0 to 1, together at most 1"):
        MaskOptions(**shares)  # type: ignore[arg-type]
