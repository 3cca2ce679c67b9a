"""Two and three processes (gloo, CPU) give what one gives: loss to 1e-6, gradients to 1e-5, t the same on all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import bcl_ranks
import pytest
import torch

torch.set_num_threads(1)
Results = list[dict[str, bcl_ranks.Result]]


@pytest.fixture(scope="module", params=[2, 3])
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What each rank wrote; all cases in one start of the processes."""
    world, folder = request.param, tmp_path_factory.mktemp("ranks")
    command = [sys.executable, str(Path(bcl_ranks.__file__))]
    started = [
        subprocess.Popen([*command, str(rank), str(world), str(folder)], stderr=subprocess.PIPE, text=True)
        for rank in range(world)
    ]
    try:
        errors = [process.communicate(timeout=240)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0] * world, "\n".join(errors)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(world)]


def compare(ranks: Results, name: str, single: bcl_ranks.Result) -> None:
    for rank in ranks:
        assert torch.allclose(rank[name]["loss"], single["loss"], rtol=1e-6, atol=1e-6)
        assert torch.allclose(rank[name]["slope"], single["slope"], rtol=1e-5, atol=1e-5)
        assert torch.equal(rank[name]["t"], ranks[0][name]["t"])
        assert torch.allclose(rank[name]["t"], single["t"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", bcl_ranks.CASES)
def test_more_processes_equal_one(ranks: Results, name: str) -> None:
    compare(ranks, name, bcl_ranks.CASES[name](0, 1))


@pytest.mark.parametrize("name", bcl_ranks.SAMPLED)
def test_a_sampled_classifier_equals_one_process(ranks: Results, name: str) -> None:
    compare(ranks, name, bcl_ranks.SAMPLED[name](0, 1))


@pytest.mark.parametrize("name", bcl_ranks.MUTANTS)
def test_mutants_differ(ranks: Results, name: str) -> None:
    run = bcl_ranks.on_rows if "rows" in name else bcl_ranks.on_shards
    with pytest.raises(AssertionError):
        compare(ranks, name, run(0, 1, bcl_ranks.balanced()))


def test_some_rank_has_no_positive(ranks: Results) -> None:
    start, _ = bcl_ranks.shard(len(ranks) - 1, len(ranks))
    labels = [set(bcl_ranks.problem(step)[2].tolist()) for step in range(bcl_ranks.STEPS)]
    empty = [all(label < start for label in present) for present in labels]
    assert any(empty) or len(ranks) == 2
    assert len({bcl_ranks.shard(rank, len(ranks))[1] for rank in range(len(ranks))}) == 2


def test_batches_of_one_kind_do_not_stop_ddp(ranks: Results) -> None:
    for rank in ranks:
        assert torch.equal(rank["two streams"]["slope"], ranks[0]["two streams"]["slope"])
        assert torch.isfinite(rank["two streams"]["loss"]).all()
