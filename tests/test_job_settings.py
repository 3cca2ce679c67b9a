"""The settings of every job: what is not allowed is refused where it is given, with what is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.errors import ConfigError
from facekit.jobs.embed.config import EmbedConfig
from facekit.jobs.inputs.checks import check_at_least, check_choice, check_seed
from facekit.jobs.inputs.model import ModelChoice
from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.pack.config import PackConfig
from facekit.jobs.packs.check import CheckConfig
from facekit.jobs.packs.convert import ConvertConfig
from facekit.jobs.packs.inspect import InspectConfig
from facekit.jobs.packs.merge import MergeConfig
from facekit.jobs.packs.split import SplitConfig
from facekit.jobs.packs.unpack import UnpackConfig

JOBS: dict[str, Callable[..., Any]] = {
    "mask": partial(MaskConfig, "a", "b"),
    "pack": partial(PackConfig, "a", "b"),
    "embed": partial(EmbedConfig, "a", "b", ModelChoice("m.onnx")),
    "model": partial(ModelChoice, "m.onnx"),
    "convert": partial(ConvertConfig, "a", "b"),
    "merge": partial(MergeConfig, ("a", "b"), "c"),
    "split": partial(SplitConfig, "a", "b", test=0.5),
    "unpack": partial(UnpackConfig, "a", "b"),
    "inspect": partial(InspectConfig, "a"),
    "check": partial(CheckConfig, "a"),
}
LEAST = {"workers": 1, "limit": 1, "min_images": 1, "quality": 1, "batch": 1, "threads": 0, "shard_records": 1,
         "sample": 1, "most": 0, "seed": 0}  # fmt: skip
WORDS = {"layout", "mode", "arch", "branch"}


def settings(job: str) -> set[str]:
    return {field.name for field in fields(JOBS[job].func)}  # type: ignore[attr-defined]


NUMBERS = [(job, name) for job in JOBS for name in sorted(settings(job) & LEAST.keys())]
CHOICES = [(job, name) for job in JOBS for name in sorted(settings(job) & WORDS)]


@pytest.mark.parametrize(("job", "name"), NUMBERS)
def test_a_number_that_is_too_small_is_refused(job: str, name: str) -> None:
    least = LEAST[name]
    JOBS[job](**{name: least})
    for value in (least - 1, -(10**30)):
        with pytest.raises(ConfigError, match=rf"{name} is {value}; it must be (at least|from) {least}"):
            JOBS[job](**{name: value})


@pytest.mark.parametrize(("job", "name"), CHOICES)
def test_a_word_that_is_not_known_is_refused_with_those_that_are(job: str, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} is 'bogus'; it must be one of \w"):
        JOBS[job](**{name: "bogus"})


def test_every_job_is_a_frozen_dataclass_that_says_what_it_refuses() -> None:
    for make in JOBS.values():
        kind = make.func  # type: ignore[attr-defined]
        assert is_dataclass(kind)
        assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
        assert "Raises\n    ------\n    ConfigError" in (kind.__doc__ or ""), kind
        for field in fields(kind):
            assert f"{field.name} :" in kind.__doc__ or f"{field.name}," in kind.__doc__, (kind, field.name)


def test_numbers_that_are_none() -> None:
    for job in ("split",):
        with pytest.raises(ConfigError, match="test is nan"):
            JOBS[job].func("a", "b", math.nan)  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="ratio is nan"):
        JOBS["mask"](ratio=math.nan)
    with pytest.raises(ConfigError, match=r"size is \(0, 5\)"):
        JOBS["pack"](size=(0, 5))


@given(least=st.integers(-5, 5), value=st.none() | st.integers() | st.floats())
def test_what_passes_is_what_is_large_enough(least: int, value: float | None) -> None:
    if value is None or value >= least:
        check_at_least("x", value, least)
    else:
        with pytest.raises(ConfigError):
            check_at_least("x", value, least)


@given(seed=st.integers())
def test_a_seed_fits_64_bits(seed: int) -> None:
    if 0 <= seed < 2**63:
        check_seed(seed)
    else:
        with pytest.raises(ConfigError, match=str(seed)):
            check_seed(seed)


@given(allowed=st.lists(st.text(), min_size=1), value=st.text())
def test_a_choice_is_one_of_those_allowed(allowed: list[str], value: str) -> None:
    check_choice("x", allowed[0], allowed)
    if value not in allowed:
        with pytest.raises(ConfigError):
            check_choice("x", value, allowed)
