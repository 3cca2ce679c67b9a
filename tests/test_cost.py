"""Predictions follow from rates alone, and the calibration measures what the commands really leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.cli.cost import text_of
from facekit.errors import ConfigError
from facekit.jobs.cost import calibrate, probes
from facekit.jobs.cost.calibrate import Rate
from facekit.jobs.cost.config import SIZES, CostConfig
from facekit.jobs.cost.job import BYTES_A_RECORD, Measured, Step, cost, predict
from facekit.jobs.cost.kept_rates import kept_seconds
from facekit.records import Header, PackWriter
from tests.small_packs import call

NAMES = ("fetch", "convert", "mask", "embed", "clean", "apply", "read")
RATES = {name: Rate(1e-4 * (place + 1), 2e-4, 3.0, 4.0, 7_000.0, 2e8) for place, name in enumerate(NAMES)}


def measured(cores: int = 4, pair: float = 0.0) -> Measured:
    return Measured({name: rate for name, rate in RATES.items() if name != "embed"}, pair, 50.0, cores)


def steps(config: CostConfig, images: int, found: Measured) -> dict[str, Step]:
    return {step.step: step for step in predict(config, found, images).steps}


@given(st.integers(1, 10**9))
def test_a_step_is_a_constant_and_a_rate(images: int) -> None:
    found = steps(CostConfig(), images, measured())
    assert tuple(found) == NAMES
    for name in ("fetch", "convert", "apply"):
        assert found[name].cpu_hours * 3600 == pytest.approx(3 + RATES[name].cpu * images)
        assert found[name].disk_bytes == 7_000 * images
        assert found[name].memory_bytes == round(2e8 + BYTES_A_RECORD[name] * images)
    assert found["convert"].hours * 3600 == pytest.approx(4 + 2e-4 * images)
    assert found["fetch"].hours * 3600 == pytest.approx(4 + RATES["fetch"].cpu * images / 4)
    assert found["fetch"].peak_disk_bytes == 2 * found["fetch"].disk_bytes


def test_centres_are_compared_with_one_another() -> None:
    without, with_pairs = (
        steps(CostConfig(per_identity=20), 2_000_000, measured(pair=seconds)) for seconds in (0.0, 1e-8)
    )
    more = (with_pairs["clean"].cpu_hours - without["clean"].cpu_hours) * 3600
    assert more == pytest.approx(100_000 * 99_999 / 2 * 1e-8)
    assert (with_pairs["clean"].hours - without["clean"].hours) * 3600 == pytest.approx(more / 4)


def test_machines_and_gpus_share_the_work() -> None:
    one, four = (steps(CostConfig(machines=n, gpus=0), 10**7, measured()) for n in (1, 4))
    for name in ("embed", "read"):
        assert one[name].cpu_hours == four[name].cpu_hours
        assert one[name].hours == pytest.approx(4 * four[name].hours, rel=1e-3) or name == "read"
    assert one["embed"].gpu_hours == 0
    assert one["embed"].cpu_hours * 3600 == pytest.approx(10**7 * (RATES["read"].cpu + 24.2 / (50 * 0.6)))
    many = steps(CostConfig(machines=2, gpus=8, gpu_rate=1e9), 10**7, measured())["embed"]
    assert many.hours * 3600 == pytest.approx(10**7 * RATES["read"].cpu / 8)  # as quick as the cores decode
    few = steps(CostConfig(machines=1, gpus=1, gpu_rate=100), 10**7, measured())["embed"]
    assert few.hours == few.gpu_hours == pytest.approx(10**7 / 100 / 3600)


def test_masked_pictures_are_added_to_the_others() -> None:
    found = steps(CostConfig(ratio=0.5), 10**6, measured())["mask"]
    assert found.cpu_hours * 3600 == pytest.approx(3 + 10**6 * (RATES["mask"].cpu + RATES["convert"].cpu))
    assert found.disk_bytes == 2 * 7_000 * 10**6


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "MOST", 500)
    monkeypatch.setattr(calibrate, "FEWEST", 500)
    monkeypatch.setattr(calibrate, "FACES", (6, 12))
    monkeypatch.setattr(calibrate, "TIMES", 1)
    monkeypatch.setattr(probes, "MOST", 1)
    monkeypatch.setattr(probes, "FEWEST", 1)
    monkeypatch.setattr(calibrate, "CENTRES", (2000, 4000))


@pytest.mark.usefixtures("small")
def test_the_calibration_measures_what_the_commands_leave(tmp_path: Path, capsys: Any) -> None:
    with PackWriter(tmp_path / "pack") as writer:
        for number in range(90):
            writer.write(Header(0, float(number // 6), 0, 0), b"x" * 4000)
    summary = cost(CostConfig(source=str(tmp_path / "pack"), dimensions=16))
    assert summary.config["picture_bytes"] == pytest.approx(4000, rel=0.05)
    assert (summary.config["per_identity"], summary.costs[0].images, len(summary.costs)) == (6, 90, 1)
    assert set(summary.rates) == set(NAMES) - {"embed"}
    for name in ("fetch", "convert", "apply"):
        assert (4000 if name != "apply" else 3000) < summary.rates[name]["disk"] < 4400  # clean drops the strangers
        assert 1e7 < summary.rates[name]["memory"] < 3e9
    assert all(value >= 0 for rate in summary.rates.values() for value in rate.values())
    assert summary.rates["read"]["cpu"] > 0
    assert summary.core_gigaflops > 0
    text = text_of(summary)
    assert "90 pictures of 15 identities" in text
    assert "assumed:" in text


@pytest.mark.usefixtures("small")
def test_the_command_predicts_for_the_known_sizes(
    tmp_path: Path, monkeypatch: Any, capsys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "facekit")
    monkeypatch.setattr("facekit.jobs.cost.job.calibrate", lambda config, folder: measured().rates)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert call("cost", "--json", "--dimensions", 16) == 0
    assert "half a minute" in caplog.text, "or else nothing is heard of it until it ends"
    told = json.loads(capsys.readouterr().out)
    assert [one["images"] for one in told["costs"]] == list(SIZES)
    assert len(told["assumptions"]) > 5
    rates = measured().rates
    expected = rates["clean"].start_wall + 100 * max(rates["clean"].wall, rates["clean"].cpu / 4)
    assert kept_seconds({"clean": 100}, 4) == pytest.approx(expected)
    assert kept_seconds({"embed": 100}, 4) is None  # of one model


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"source": "x", "images": (5,)}, "a pack has its own number"),
        ({"images": (0,)}, "images is 0"),
        ({"machines": 0}, "machines is 0"),
        ({"gpus": -1}, "gpus is -1"),
        ({"ratio": 1.0}, "ratio is 1.0"),
        ({"gpu_rate": 0.0}, "gpu_rate must be above 0"),
    ],
)
def test_settings_outside_what_is_allowed(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        CostConfig(**options)
