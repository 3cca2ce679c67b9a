"""Sheets of really worn and of rendered masks in one order, for judges who do not know which is which.

    python benchmarks/blind_sheets.py SHEETS [--seed 0] [--first 0] [--shared ../shared]

Both kinds are cut in eye coordinates. Bare and really masked photographs differ by more than masks: a small network
tells their eyes alone apart, so that judges could too. Pairs are therefore matched: a real and a bare picture that the
network finds equally likely to be of either source (a propensity score, of five folds, three times). SHEETS gets two
pictures of 40, and SHEETS.json beside it what each number was; --first goes on in the list of pairs, for a second
sheet. With --answers FILE (a list of R and D) it counts who was told.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import facekit
from facekit.faces.mesh import LiteRTMesh
from facekit.masks.catalogue import AS_WORN

SHARED = Path(__file__).resolve().parents[2] / "shared"
WIDTH, HEIGHT, LEFT, TOP, ACROSS = 176, 152, -1.1, -0.55, 2.2
"""Of a cell, pixels; where it begins and how wide it is, in eye distances."""
EYES = 24
"""Rows of a cell of half the size that show eyes and brows, and no mask."""
EACH, CALIPER, MOST_YAW = 40, 0.35, 35
NOSE_OUT = 0.08
"""Of the really masked faces; rendered ones get the same share."""
Pictures = NDArray[np.uint8]


class Face(NamedTuple):
    """A picture of either source: its key, and its cell without a mask that was rendered."""

    real: bool
    key: int
    row: int
    cell: Pictures


def tool(shared: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, shared / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cell_of(picture: Pictures, eyes: Any) -> Pictures:
    """(HEIGHT, WIDTH, 3), level and as many pixels an eye distance in each."""
    left, right = np.asarray(eyes, float)
    across, scale = right - left, WIDTH / ACROSS
    x, y = (np.arange(WIDTH) + 0.5) / scale + LEFT, (np.arange(HEIGHT) + 0.5) / scale + TOP
    down = np.array([-across[1], across[0]])
    at = ((left + right) / 2 + x[None, :, None] * across + y[:, None, None] * down).astype(np.float32)
    found = cv2.remap(picture, at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.uint8)


def faces_of(shared: Path) -> list[Face]:
    realism, outline, mesh = tool(shared, "realism"), tool(shared, "outline"), LiteRTMesh()
    folder, faces = shared / "data" / "real_masks", []
    kinds = {int(row["key"]): row["type"] for row in csv.DictReader((folder / "types.csv").open())}
    masked, bare, measure = facekit.open_pack(folder / "masked"), facekit.open_pack(folder / "bare"), np.load(
        folder / "measure.npz"
    )  # fmt: skip
    for key in map(int, masked.keys):
        picture = realism.jpeg(masked.image(key))
        vertices = mesh(picture).vertices
        if kinds[key] not in ("drawn or pasted picture", "no mask") and abs(outline.yaw_of(vertices)) <= MOST_YAW:
            faces.append(Face(True, key, -1, cell_of(picture, outline.eyes_of(vertices))))
    for row, key in enumerate(map(int, bare.keys)):
        vertices = measure["vertices"][row]
        if abs(outline.yaw_of(vertices)) <= MOST_YAW:
            picture = realism.jpeg(realism.reframed(bare.image(key), measure["own_frames"][row]))
            faces.append(Face(False, key, row, cell_of(picture, outline.eyes_of(vertices))))
    return faces


def network() -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in ((3, 16), (16, 32), (32, 48), (48, 64)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(64, 1))


def learn(x: torch.Tensor, y: torch.Tensor, seed: list[int], epochs: int = 20, batch: int = 32) -> nn.Sequential:
    torch.manual_seed(seed[0])
    net, steps = network(), len(x) // batch + 1
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=epochs * steps)
    for epoch in range(epochs):
        order = np.random.default_rng([*seed, epoch]).permutation(len(x))
        for some in np.array_split(order, steps):
            seen = x[some].flip(3) if epoch % 2 else x[some]
            seen = seen * (1 + 0.2 * torch.randn(len(some), 1, 1, 1)) + 0.1 * torch.randn(len(some), 3, 1, 1)
            loss = nn.functional.binary_cross_entropy_with_logits(net(seen)[:, 0], y[some])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def propensity(faces: list[Face]) -> NDArray[np.float64]:
    """How much each picture's eyes speak for the source of the bare ones (logarithm of the odds), out of fold."""
    half = np.stack([cv2.resize(face.cell, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA) for face in faces])
    x = torch.from_numpy((half[:, :EYES].astype(np.float32) / 127.5 - 1).transpose(0, 3, 1, 2).copy())
    y, found = torch.tensor([0.0 if face.real else 1.0 for face in faces]), np.zeros(len(faces))
    for again in range(3):
        folds = np.random.default_rng(again).permutation(len(faces)) % 5
        for fold in range(5):
            net = learn(x[folds != fold], y[folds != fold], [again, fold])
            with torch.no_grad():
                both = net(x[folds == fold]) + net(x[folds == fold].flip(3))
            found[folds == fold] += both[:, 0].numpy() / 6
    return found


def area(real: NDArray[np.bool_], odds: NDArray[np.float64]) -> float:
    """Area under the ROC curve."""
    return float(np.mean(odds[~real][:, None] > odds[real][None]))


def matched(faces: list[Face], odds: NDArray[np.float64], seed: int) -> list[tuple[int, int]]:
    """Pairs of a real and a bare one that are equally likely to be either; each is taken once."""
    free, pairs = {i for i, face in enumerate(faces) if not face.real}, []
    for real in np.random.default_rng([seed, 1]).permutation([i for i, face in enumerate(faces) if face.real]).tolist():
        nearest = min(free, key=lambda i: abs(odds[i] - odds[real]))
        if abs(odds[nearest] - odds[real]) < CALIPER:
            pairs.append((real, nearest))
            free.remove(nearest)
    return pairs


def masked_cell(face: Face, shared: Path, kind: str, seed: int) -> Pictures:
    realism, outline = tool(shared, "realism"), tool(shared, "outline")
    folder = shared / "data" / "real_masks"
    measure, bare = np.load(folder / "measure.npz"), facekit.open_pack(folder / "bare")
    vertices = measure["vertices"][face.row]
    worn = facekit.wear_mask(bare.image(face.key), kind, face.key + seed, vertices, nose_out=NOSE_OUT)
    picture = realism.jpeg(realism.reframed(worn.image, measure["own_frames"][face.row]))
    return cell_of(picture, outline.eyes_of(vertices))


def write(out: Path, shared: Path, seed: int, first: int) -> None:
    faces = faces_of(shared)
    odds, real = propensity(faces), np.array([face.real for face in faces])
    pairs = matched(faces, odds, seed)
    rows = np.array(pairs).ravel()
    print(f"eyes alone: area {area(real, odds):.3f}, of {len(pairs)} pairs {area(real[rows], odds[rows]):.3f}")
    rng, names = np.random.default_rng([seed, first]), list(AS_WORN)
    share = np.array(list(AS_WORN.values())) / sum(AS_WORN.values())
    cells: list[tuple[dict[str, Any], Pictures]] = []
    for one, other in pairs[first : first + EACH]:
        kind = str(rng.choice(names, p=share))
        cells.append(({"what": "real", "key": faces[one].key}, faces[one].cell))
        worn = masked_cell(faces[other], shared, kind, seed)
        cells.append(({"what": "rendered", "key": faces[other].key, "type": kind}, worn))
    order = rng.permutation(len(cells))
    out.mkdir(parents=True, exist_ok=True)
    for sheet, part in enumerate(np.array_split(order, 2)):
        shown = [numbered(cells[i][1], sheet * len(part) + place + 1) for place, i in enumerate(part.tolist())]
        table = np.concatenate([np.concatenate(shown[row : row + 8], 1) for row in range(0, len(shown), 8)])
        cv2.imwrite(str(out / f"sheet{sheet + 1}.png"), table[..., ::-1])
    answers = {str(number): cells[i][0] for number, i in enumerate(order.tolist(), 1)}
    out.with_suffix(".json").write_text(json.dumps(answers, indent=1))


def numbered(cell: Pictures, number: int) -> Pictures:
    framed = np.full((HEIGHT + 24, WIDTH + 8, 3), 255, np.uint8)
    framed[20 : 20 + HEIGHT, 4 : 4 + WIDTH] = cell
    cv2.putText(framed, str(number), (6, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return framed


def count(out: Path, answers: Path) -> None:
    known, said = json.loads(out.with_suffix(".json").read_text()), json.loads(answers.read_text())
    right = [(known[str(n)]["what"] == "real") == (word == "R") for n, word in enumerate(said, 1)]
    drawn = [good for n, good in enumerate(right, 1) if known[str(n)]["what"] == "rendered"]
    print(f"{sum(right)} of {len(right)} right; of rendered ones {sum(drawn)} of {len(drawn)} were told")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--answers", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if given.answers:
        count(given.out, given.answers)
    else:
        write(given.out, given.shared, given.seed, given.first)


if __name__ == "__main__":
    main()
