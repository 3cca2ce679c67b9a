"""What a record costs is found from timings that other work disturbs; the timings are planted, no clock is read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.jobs.cost import calibrate
from facekit.jobs.cost.calibrate import Material, Rate
from facekit.jobs.cost.config import CostConfig
from facekit.jobs.cost.job import Measured, predict
from facekit.jobs.cost.probes import AGREE, BUDGET, FEWEST, MOST, SETTLED, Round, estimate, take_turns

noise = st.lists(st.floats(0, 10), min_size=9, max_size=9)


@settings(deadline=None)
@given(start=st.floats(0.1, 5), more=st.floats(0.05, 50), small=noise, large=noise)
def test_what_other_work_adds_changes_nothing_as_long_as_each_size_was_undisturbed_once(
    start: float, more: float, small: list[float], large: list[float]
) -> None:
    rounds = [Round(start + a, start + more + b) for a, b in zip(small, large, strict=True)]
    rounds += [Round(start, 99.0 + more), Round(99.0, start + more)]
    found = estimate(rounds)
    assert found.small == start
    assert found.difference == pytest.approx(more, rel=1e-9)
    quiet = [Round(start, start + more)] * AGREE
    assert estimate([*rounds, *quiet]).uncertainty == 0


@given(st.lists(st.builds(Round, st.floats(0.1, 9), st.floats(0.1, 9)), min_size=1, max_size=MOST))
def test_no_timings_make_a_rate_below_nothing_or_depend_on_their_order(rounds: list[Round]) -> None:
    found = estimate(rounds)
    assert found.difference >= 0
    assert found.uncertainty >= 0
    assert found == estimate(rounds[::-1])


def planted(timings: list[Round], asked: list[str], name: str) -> Callable[[], Round]:
    coming = iter(timings)

    def probe() -> Round:
        asked.append(name)
        return next(coming)

    return probe


def test_a_step_drops_out_when_its_shortest_timings_agree_and_the_others_go_on(caplog: Any) -> None:
    asked: list[str] = []
    quiet, late = [Round(1, 2)] * MOST, [Round(1 + 1 / turn, 2 + 2 / turn) for turn in range(1, FEWEST)]
    disturbed = [Round(1, 2), *late, Round(1.01, 2.02), Round(1.02, 2.01), Round(9, 9)]
    with caplog.at_level(logging.WARNING):
        found = take_turns({"a": planted(quiet, asked, "a"), "b": planted(disturbed, asked, "b")})
    assert asked == ["a", "b"] * FEWEST + ["b"] * 2
    assert (found["b"].small, found["b"].difference) == (1, 1)
    assert found["b"].uncertainty <= SETTLED
    assert not caplog.records


def test_timings_that_never_agree_end_and_are_told(caplog: Any) -> None:
    asked: list[str] = []
    wild = [Round(0.1 + turn / 10, 0.3 + turn / 5) for turn in range(MOST)]
    with caplog.at_level(logging.WARNING):
        take_turns({"wild": planted(wild, asked, "wild")})
        assert len(asked) == MOST
        assert "wild by 300%" in caplog.text
        asked.clear()
        take_turns({"slow": planted([Round(BUDGET, BUDGET * 2 + turn * 50) for turn in range(9)], asked, "slow")})
    assert len(asked) == FEWEST


STARTS = {"convert": 0.7, "clean": 1.5, "apply": 0.7, "mask": 2.5}
TRUE = {"fetch": 5.1e-5, "convert": 1.7e-6, "clean": 6e-6, "apply": 3e-6, "mask": 1.9e-3}


class Machine:
    """What `_run` measures on a machine where other work comes and goes: for minutes, and for single runs."""

    def __init__(self, seed: int) -> None:
        self._rng, self._busy, self.runs = np.random.default_rng(seed), False, 0

    def measured(self, name: str, folders: list[Path], words: list[str]) -> calibrate._Run:
        self.runs += 1
        few, many = {"mask": (192, 384), "fetch": (4_000, 20_000)}.get(name, (20_000, 100_000))
        cold, *warm = (self._seconds(more + TRUE[name] * count)
                       for more, count in ((STARTS.get(name, 0.8), few), (0.01, few), (0.01, many)))  # fmt: skip
        wall = cold * 2, warm[0] * 2, warm[1] * 2
        return calibrate._Run((cold, *warm), wall, 10**8, (7500 * few, 7500 * many))

    def _seconds(self, true: float) -> float:
        rng = self._rng
        if rng.random() < 0.1:
            self._busy = not self._busy
        more = true * rng.uniform(0.2, 0.6) * (rng.random() < 0.2)
        return float(true * (1.3 if self._busy else 1) + abs(rng.normal(0, 0.005)) + more)


def calibrated(monkeypatch: pytest.MonkeyPatch, folder: Path, seed: int) -> tuple[dict[str, Rate], Machine]:
    machine = Machine(seed)
    made = Material((folder / "a", folder / "b"), (20_000, 100_000), (folder / "c", folder / "d"))
    monkeypatch.setattr(calibrate, "_measured", machine.measured)
    monkeypatch.setattr(calibrate, "make_material", lambda *_: made)
    monkeypatch.setattr(calibrate, "_reading", lambda _: Rate(2e-4, 2e-4, 0, 0, 0, 0))
    return calibrate.calibrate(CostConfig(), folder), machine


def test_of_many_calibrations_on_a_busy_machine_not_one_in_twenty_strays_by_a_fifth(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    strayed = 0
    for seed in range(60):
        rates, machine = calibrated(monkeypatch, tmp_path, seed)
        assert machine.runs <= MOST * len(TRUE)
        config = CostConfig(dimensions=64, per_identity=50)
        found = {step.step: step for step in predict(config, Measured(rates, 0, 50, 2), 10**7).steps}
        for name in ("fetch", "convert", "clean", "apply"):
            true = STARTS.get(name, 0.8) + TRUE[name] * 10**7
            strayed += abs(found[name].cpu_hours * 3600 / true - 1) > 0.2
    assert strayed <= 0.05 * 60 * 4
