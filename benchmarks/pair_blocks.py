"""What the pairs of two million centres would cost, from blocks that are measured: on processors and graphics cards.

    python benchmarks/pair_blocks.py [--rows N] [--blocks B] [--centres M] [--device cuda]

Rows as benchmarks/clean_speed.py draws them: unit vectors of 512 columns, 5% of them with a partner. The head of
columns that is multiplied is chosen for N rows; how many candidates a block has does not depend on how many rows there
are. Of each block CPU seconds, the median of B blocks.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import numpy as np
from clean_speed import WIDTH, centres_with_pairs
from threadpoolctl import threadpool_limits

from facekit.clean.pairs import Processor, block_pairs, pairs_above, prepare
from facekit.clean.shared_blocks import SharedBlocks

THRESHOLD = 0.75


def blocks_of(rows: int, step: int) -> float:
    """Blocks of a search of so many rows."""
    count = -(-rows // step)
    return count * (count + 1) / 2


def seconds_a_block(rows: np.ndarray, blocks: int) -> tuple[float, int]:
    """CPU seconds of a block on one core, and how many columns are multiplied."""
    engine, ready = Processor(), prepare(rows, rows, THRESHOLD, True)
    rng, step, spent = np.random.default_rng(0), engine.block_rows, []
    with threadpool_limits(1):
        for _ in range(blocks):
            a, b = (int(at) * step for at in np.sort(rng.choice(len(rows) // step, 2, replace=False)))
            heads = ready.heads[0][a : a + step], ready.heads[1][b : b + step]
            started = process_time()
            block_pairs(engine, (rows, rows), heads, (a, b), ready)
            spent.append(process_time() - started)
    return float(np.median(spent[blocks // 4 :])), ready.heads[0].shape[1]


def overhead(rows: np.ndarray) -> tuple[float, float]:
    """Seconds by the clock of the search in this process, and by one worker that is handed strips."""
    some = np.ascontiguousarray(rows[:30_000])
    with TemporaryDirectory() as folder, threadpool_limits(1):
        started = perf_counter()
        here = pairs_above(some, THRESHOLD)
        middle = perf_counter()
        there = pairs_above(some, THRESHOLD, engine=SharedBlocks(Path(folder), 2))
        done = perf_counter()
    assert np.array_equal(here.similarity, there.similarity)
    return middle - started, done - middle


def on_card(rows: np.ndarray, device: str) -> float:
    """Seconds of a block of the engine for graphics cards."""
    import torch

    from facekit.embeddings.torch_blocks import TorchBlocks

    engine, ready = TorchBlocks(device), prepare(rows, rows, THRESHOLD, True)
    step = min(engine.block_rows, len(rows) // 2)
    loaded = engine.load(ready.heads[0])
    spent = []
    for _ in range(6):
        torch.cuda.synchronize()
        started = perf_counter()
        block_pairs(engine, (rows, rows), (loaded[:step], loaded[step : 2 * step]), (0, step), ready)
        spent.append(perf_counter() - started)
    return float(np.median(spent[1:])) * (engine.block_rows / step) ** 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--blocks", type=int, default=200)
    parser.add_argument("--centres", type=int, default=2_000_000)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    rows = centres_with_pairs(given.rows)
    seconds, columns = seconds_a_block(rows, given.blocks)
    count = blocks_of(given.centres, Processor().block_rows)
    print(f"a block of 1024 x 1024: {1000 * seconds:.2f} ms of a core, {columns} of {WIDTH} columns multiplied")
    print(f"{given.centres:,} centres: {count:,.0f} blocks, {count * seconds / 3600:.1f} core hours")
    for cores in (16, 64, 256):
        print(f"  {cores} cores: {count * seconds / cores / 60:,.0f} minutes")
    here, there = overhead(rows)
    print(f"30,000 centres by the clock: {here:.1f} s in this process, {there:.1f} s by two workers, the same pairs")
    if given.device != "cpu":
        of_card = on_card(rows, given.device)
        hours = blocks_of(given.centres, 32768) * of_card / 3600
        print(f"{given.device}: {1000 * of_card:.0f} ms a block of 32768 x 32768, {hours * 60:.1f} minutes in all")


if __name__ == "__main__":
    main()
