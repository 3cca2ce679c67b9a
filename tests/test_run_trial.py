"""A plan's time: from records that are really done, by a clock of the tests' own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.output.dry_run import Forecast
from facekit.run import trial
from facekit.run.choice import ExecutorChoice, Part
from facekit.run.shards import Shard, cut
from facekit.run.trial import DONE, SHARED, UNCOMPILED, forecast_shards, milliseconds
from facekit.run.work import ShardWork


class Clock:
    """Moves when a stand-in worker says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Clock]:
    """Also: eight processors, and nothing stays in the temporary folder."""
    ours = Clock()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(trial, "perf_counter", ours)
    monkeypatch.setattr(trial, "processors", lambda: 8)
    yield ours
    assert not list(tmp_path.iterdir())


def work_of(
    clock: Clock, count: int, size: int, each: float, start: float = 2.0, first: float = 0.0, **more: Any
) -> tuple[ShardWork, list[Shard]]:
    """Work that takes so long by the clock, and what of it was done."""
    done: list[Shard] = []

    def begin(config: object) -> Callable[[tuple[Shard, Path]], Shard]:
        assert config == "a config"
        clock.now += start

        def do(task: tuple[Shard, Path]) -> Shard:
            shard, path = task
            assert path.parent.is_dir()
            assert not path.exists()
            path.write_text("a shard")
            clock.now += each * (shard.stop - shard.first) + first * (not done)
            done.append(shard)
            return shard

        return do

    return ShardWork("drawing", cut(count, size), lambda *given: given, begin, "a config", **more), done


@given(st.integers(1, 5000), st.integers(1, 400), st.sampled_from([0.001, 0.01, 0.3, 2.0]), st.integers(1, 12))
def test_time_grows_with_what_is_left_and_not_with_workers(count: int, size: int, each: float, workers: int) -> None:
    trial.perf_counter = clock = Clock()
    work, done = work_of(clock, count, size, each, workers=workers)
    told = forecast_shards(work, Forecast(count), set())
    shared = min(workers, 8, len(work.shards))
    assert told.times["drawing"] == pytest.approx(each * count / shared)
    assert told.times["start"] == pytest.approx(2.0)
    assert told.pictures == count
    assert told.timed is not None
    assert f"{milliseconds(each)} each; shared by {shared} process" in told.timed
    assert clock.now - 2.0 <= trial.BUDGET + 2 * each
    for shard in done:  # only parts of shards that there are, and not many
        whole = work.shards[shard.number]
        assert whole.first == shard.first < shard.stop <= whole.stop
        assert shard.stop - shard.first <= trial.MOST


def test_what_comes_with_the_first_record_is_paid_once(clock: Clock) -> None:
    work, _ = work_of(clock, 300, 100, each=0.01, first=0.25)
    told = forecast_shards(work, Forecast(), set())
    assert told.times == pytest.approx({"start": 2.25, "drawing": 3.0})


def test_what_was_timed_is_said(clock: Clock) -> None:
    work, done = work_of(clock, 300, 100, each=1 / 64)
    told = forecast_shards(work, Forecast(), set())
    assert [(shard.number, shard.stop - shard.first) for shard in done] == [(0, 1), (0, 1), (0, 25), (1, 25), (2, 25)]
    assert told.timed is not None
    assert told.timed.startswith("timed on 75 pictures, 15.6 ms each; shared by 1 process;")


def test_finished_shards_are_not_counted(clock: Clock) -> None:
    work, done = work_of(clock, 300, 100, each=0.01)
    told = forecast_shards(work, Forecast(counts={"pictures": 300}), {0, 2})
    assert told.times["drawing"] == pytest.approx(1.0)
    assert {shard.number for shard in done} == {1}
    assert told.counts == {"pictures": 300, "done before": 200}


def test_where_all_is_done_it_says_so(clock: Clock) -> None:
    work, done = work_of(clock, 300, 100, each=0.01)
    told = forecast_shards(work, Forecast(), {0, 1, 2})
    assert (told.timed, told.times, done) == (DONE, {}, [])
    assert told.counts == {"done before": 300}


@pytest.mark.parametrize("executor", [ExecutorChoice("ray"), ExecutorChoice(part=Part(1, 2))])
def test_of_what_others_share_nothing_is_tried(clock: Clock, executor: ExecutorChoice) -> None:
    work, done = work_of(clock, 300, 100, each=0.01, executor=executor)
    told = forecast_shards(work, Forecast(), set())
    assert (told.timed, told.times, done) == (SHARED, {}, [])


def test_nothing_is_compiled_for_a_plan(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    work, done = work_of(clock, 300, 100, each=0.01)
    monkeypatch.setattr(trial, "kernels_of", lambda module: [module])
    monkeypatch.setattr(trial, "is_compiled", lambda kernel: kernel != "facekit.synth.raster")
    told = forecast_shards(work, Forecast(), set(), rooms=("masks", "synth"))
    assert (told.timed, told.times, done) == (UNCOMPILED, {}, [])
    assert forecast_shards(work, Forecast(), set(), rooms=("masks",)).times
