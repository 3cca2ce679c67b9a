"""Can a small network learn who is who from drawn people? Rank-1 on pictures held out, AUC on people never seen.

    python benchmarks/synth_learnability.py --seed 7 --identities 80 --images 16 --held-out 4

A 0.4-million-parameter CNN is trained from nothing on `--images` pictures of each of `--identities` people (softmax
over normalised features, mirrored and shifted crops), in minutes on two cores. Rank-1: each held-out picture of these
people against their training pictures, by the nearest class centre. AUC: all pairs of 10 pictures of each of 40 people
whom the network has not seen. The raw-pixel nearest neighbour stands beside it: what needs no learning is too easy.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import torch
from numpy.typing import NDArray
from synth_quality import Claim, auc
from torch import Tensor, nn

from facekit.synth import build_person, render_compressed, sample_capture, sample_identity

Pictures = NDArray[np.uint8]


def pictures(seed: int, people: range, images: int) -> tuple[Pictures, NDArray[np.int64]]:
    """(n, 112, 112, 3) pictures and their people."""
    drawn, label = [], []
    for identity in people:
        person = build_person(sample_identity(seed, identity))
        drawn += [render_compressed(person, sample_capture(seed, identity, k)).image for k in range(images)]
        label += [identity] * images
    return np.array(drawn), np.array(label)


def block(inside: int, outside: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(inplace=True)
    )


class Network(nn.Module):
    """Pictures (n, 3, 56, 56) to unit vectors (n, 128)."""

    def __init__(self) -> None:
        super().__init__()
        widths = ((3, 32, 2), (32, 48, 1), (48, 64, 2), (64, 96, 1), (96, 128, 2))
        self.body = nn.Sequential(*(block(*w) for w in widths))
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(128 * 16, 128), nn.BatchNorm1d(128))

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.adaptive_avg_pool2d(self.body(x), 4)
        return nn.functional.normalize(self.head(x))


def batch(images: Tensor, generator: torch.Generator, augment: bool) -> Tensor:
    """Half-size crops in [-1, 1]; mirrored, shifted and lit differently for training."""
    x = nn.functional.avg_pool2d(images.permute(0, 3, 1, 2).float() / 127.5 - 1, 2)
    if not augment:
        return x
    flip = torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5
    x = torch.where(flip, x.flip(3), x)
    dx, dy = (int(v) for v in torch.randint(-2, 3, (2,), generator=generator))
    gain = 1 + 0.15 * torch.randn(len(x), 1, 1, 1, generator=generator)
    return torch.roll(x, (dy, dx), (2, 3)) * gain


def train(images: Tensor, labels: Tensor, classes: int, epochs: int) -> Network:
    """Softmax over cosines with a margin of .2 (CosFace, Wang et al. 2018)."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    network, centres = Network(), nn.Parameter(torch.randn(classes, 128, generator=generator))
    optimiser = torch.optim.AdamW([*network.parameters(), centres], 3e-3, weight_decay=5e-2)
    steps = epochs * (len(images) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images), generator=generator).split(64):
            if len(chosen) < 64:
                continue
            cosine = network(batch(images[chosen], generator, True)) @ nn.functional.normalize(centres).T
            margin = 0.2 * nn.functional.one_hot(labels[chosen], classes)
            loss = nn.functional.cross_entropy(20 * (cosine - margin), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return network.eval()


@torch.no_grad()
def embed(network: Network, images: Pictures) -> NDArray[np.float32]:
    """Unit vectors (n, 128) of pictures and their mirror images."""
    out = []
    for part in torch.from_numpy(images).split(64):
        x = batch(part, torch.Generator(), False)
        out.append(nn.functional.normalize(network(x) + network(x.flip(3))).numpy())
    return np.concatenate(out)


def rank_one(
    gallery: NDArray[np.float32], owners: NDArray[np.int64], probes: NDArray[np.float32], label: NDArray[np.int64]
) -> float:
    people = np.unique(owners)
    centres = np.array([gallery[owners == p].mean(axis=0) for p in people])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    return float((people[(probes @ centres.T).argmax(axis=1)] == label).mean())


def nearest_pixels(gallery: Pictures, owners: NDArray[np.int64], probes: Pictures, label: NDArray[np.int64]) -> float:
    a, b = (x.reshape(len(x), -1).astype(np.float32) for x in (gallery, probes))
    distance = (a**2).sum(axis=1)[None] - 2 * b @ a.T
    return float((owners[distance.argmin(axis=1)] == label).mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--identities", type=int, default=80)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--held-out", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=32)
    options = parser.parse_args()
    torch.set_num_threads(2)
    start = time.perf_counter()
    known, label = pictures(options.seed, range(options.identities), options.images + options.held_out)
    strange, stranger = pictures(options.seed, range(10_000, 10_040), 10)
    drawn = time.perf_counter() - start
    place = np.arange(len(label)) % (options.images + options.held_out)
    training = place < options.images
    network = train(
        torch.from_numpy(known[training]), torch.from_numpy(label[training]), options.identities, options.epochs
    )
    vectors, others = embed(network, known), embed(network, strange)
    upper = np.triu_indices(len(stranger), 1)
    same, similarity = (stranger[:, None] == stranger[None])[upper], (others @ others.T)[upper].astype(float)
    claims = [
        Claim(
            "rank-1 on held-out pictures",
            rank_one(vectors[training], label[training], vectors[~training], label[~training]),
            0.85,
            True,
        ),
        Claim("AUC on people never seen", auc(similarity[same], similarity[~same]), 0.96, True),
        Claim(
            "raw-pixel nearest neighbour, rank-1",
            nearest_pixels(known[training], label[training], known[~training], label[~training]),
            0.35,
            False,
        ),
    ]
    size = sum(p.numel() for p in network.parameters())
    print(
        f"seed {options.seed}: {size:,} parameters, drawn in {drawn:.0f} s, all in {time.perf_counter() - start:.0f} s"
    )
    print("\n".join(c.row() for c in claims))
    return 0 if all(c.holds for c in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
