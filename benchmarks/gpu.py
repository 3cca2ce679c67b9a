"""What a graphics card does with the recipes, in one command; without a card it says so and ends well.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --only steps --batch 256

steps       images/s of a whole training step (bf16, channels_last, synthetic pictures already on the card): IResNet-50
            and IR-SE-101 with BCL and MaskDUL, against the same network, head and optimizer in a bare loop, and the
            share of the card's measured product rate that the arithmetic of the step comes to.
classifier  a million classes of 512 dimensions: a step of the head alone, whole and sampled, with its memory, against
            reading and writing what it must at the measured memory rate.
pairs       all pairs above .75 among 2 million unit vectors, against the arithmetic alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from facekit.clean.pairs import pairs_above
from facekit.embeddings.torch_blocks import TorchBlocks
from facekit.train.angular import cosine_matrix
from facekit.train.classifier import Classifier
from facekit.train.plugin import Batch, PackFacts, load_plugin
from facekit.train.recipe import read_settings
from facekit.train.state import State

STEPS = (
    ("IResNet-50, BCL", "bcl", "bcl", ("backbone=iresnet50",)),
    ("IR-SE-101, BCL", "bcl", "bcl", ()),
    ("IResNet-50 x 2 starts, MaskDUL", "maskdul", "maskdul", ()),
)


def seconds(work: Callable[[], Any], repeats: int = 20, warm: int = 5) -> float:
    """Median seconds of a call, the card waited for."""
    taken = []
    for turn in range(warm + repeats):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        work()
        torch.cuda.synchronize()
        if turn >= warm:
            taken.append(time.perf_counter() - begun)
    return float(np.median(taken))


def product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large product."""
    a = torch.randn(8192, 8192, device=device, dtype=dtype)
    return float(2 * 8192**3 / seconds(lambda: a @ a))


def memory_rate(device: torch.device) -> float:
    """Bytes a second, read and written."""
    a = torch.empty(1 << 30, device=device, dtype=torch.uint8)
    b = torch.empty_like(a)
    return float(2 * (1 << 30) / seconds(lambda: b.copy_(a)))


def steps(device: torch.device, batch: int, classes: int) -> None:
    """Whole steps."""
    from torch.utils.flop_counter import FlopCounterMode

    rate = product_rate(device, torch.bfloat16)
    print(f"product rate in bf16: {rate / 1e12:.0f} TFLOP/s\n")
    print("| network and loss | images/s | bare loop | facekit / bare | TFLOP/s | of the product rate | GiB |")
    print("|---|---|---|---|---|---|---|")
    for title, name, recipe, changes in STEPS:
        plugin = load_plugin(name)
        given = (*changes, f"batch={batch}", "precision=bf16", "channels_last=true", "classifier=full", "device=cuda")
        settings = read_settings(plugin, recipe, given)
        facts = PackFacts(np.random.default_rng(0).integers(1, 200, classes), (112, 112), 0.5)
        state = State(name, plugin, settings, facts, device)
        state.wrap()
        made = _batch(device, batch, classes)
        torch.cuda.reset_peak_memory_stats()
        ours = seconds(lambda state=state, made=made: state.train_step(iter([made]), 1e-3))
        memory = torch.cuda.max_memory_allocated() / 2**30
        bare = seconds(lambda state=state, made=made: _bare(state, made))
        with FlopCounterMode(display=False) as counter:
            _bare(state, made)
        done = counter.get_total_flops() / ours
        print(
            f"| {title} | {batch / ours:,.0f} | {batch / bare:,.0f} | {ours / bare:.3f} | {done / 1e12:.0f} "
            f"| {done / rate:.0%} | {memory:.1f} |",
            flush=True,
        )
        del state
        torch.cuda.empty_cache()


def _batch(device: torch.device, batch: int, classes: int) -> Batch:
    image = torch.randn(batch, 3, 112, 112, device=device).contiguous(memory_format=torch.channels_last)
    label = torch.randint(0, classes, (batch,), device=device)
    return Batch(image, label, torch.arange(batch, device=device) % 2 == 0)


def _bare(state: State, batch: Batch) -> None:
    """Forward, loss, backward and optimizer, and nothing else."""
    state.optimizer.zero_grad()
    with torch.autocast("cuda", torch.bfloat16):
        done = state.plugin.training_step(state.settings.plugin, state.network, state.head, state.classifier, batch)
    done.loss.backward()
    state.optimizer.step()


def classifier(device: torch.device, batch: int, classes: int = 1_000_000) -> None:
    """A million classes on one card."""
    plugin = load_plugin("bcl")
    counts = np.random.default_rng(0).integers(1, 200, classes)
    head = plugin.build_head(read_settings(plugin, "bcl").plugin, PackFacts(counts, (112, 112))).to(device)
    rate = memory_rate(device)
    print(f"\nmemory rate: {rate / 1e12:.2f} TB/s\n")
    print("| classes | sampled | batch | ms a step | least by memory, ms | GiB |\n|---|---|---|---|---|---|")
    for share in (1.0, 0.1):
        weights = Classifier(classes, 512, sample_rate=share).to(device)
        optimizer = torch.optim.SGD(weights.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        x = torch.randn(batch, 512, device=device, requires_grad=True)
        label = torch.randint(0, classes, (batch,), device=device)

        def step(weights: Classifier = weights, optimizer: Any = optimizer, x: Any = x, label: Any = label) -> None:
            optimizer.zero_grad()
            seen = weights(x, label)
            logits = head(cosine_matrix(seen.embeddings, seen.weight), seen.labels, seen.class_index)
            weights.loss(logits, seen.labels).backward()
            optimizer.step()

        torch.cuda.reset_peak_memory_stats()
        taken = seconds(step, repeats=5, warm=2)
        used = int(share * classes)
        # Weights, their norm and gradient, momentum; each logit written and read forth and back.
        least = (4 * 512 * (classes * 5 + used * 3) + 4 * batch * used * 4) / rate
        memory = torch.cuda.max_memory_allocated() / 2**30
        print(
            f"| {classes:,} | {share:.0%} | {batch} | {1e3 * taken:.1f} | {1e3 * least:.1f} | {memory:.1f} |",
            flush=True,
        )
        del weights, optimizer
        torch.cuda.empty_cache()


def pairs(device: torch.device, count: int = 2_000_000) -> None:
    """All pairs of centres."""
    generator = torch.Generator(device).manual_seed(0)
    rows = functional.normalize(torch.randn(count, 512, generator=generator, device=device))
    half = count // 100  # one in a hundred has a partner
    rows[:half] = functional.normalize(rows[half : 2 * half] + 0.02 * torch.randn(half, 512, device=device))
    centres = rows.cpu().numpy()
    del rows
    rate = product_rate(device, torch.float32)
    begun = time.perf_counter()
    found = pairs_above(centres, 0.75, engine=TorchBlocks("cuda"), threads=8)
    taken = time.perf_counter() - begun
    least = count * (count - 1) * 512 / rate
    print(f"\nall pairs of {count:,} centres: {taken:.1f} s, {len(found.left):,} pairs (at least {half:,} are planted)")
    print(f"the whole product alone at {rate / 1e12:.0f} TFLOP/s in float32: {least:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=["steps", "classifier", "pairs"])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--classes", type=int, default=10_000)
    parser.add_argument("--centres", type=int, default=2_000_000)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("torch sees no graphics card here: nothing was measured")
        return
    device = torch.device("cuda", 0)
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}")
    wanted = options.only or ["steps", "classifier", "pairs"]
    if "steps" in wanted:
        steps(device, options.batch, options.classes)
    if "classifier" in wanted:
        classifier(device, options.batch)
    if "pairs" in wanted:
        pairs(device, options.centres)


if __name__ == "__main__":
    main()
