"""facekit beside the unmodified code of others, which is no part of it: heads, networks from weights, IJB's templates.

    python benchmarks/public_code.py FOLDER

FOLDER holds checkouts, or the files of them that are named below; what is missing is skipped and said.

heads      ``arcface_torch/losses.py``, ``CurricularFace/head/metrics.py``, ``MagFace/models/magface.py`` and
           ``AdaFace/head.py``: loss and both gradients over three steps, since some heads remember.
networks   ``arcface_torch/backbones/iresnet.py``, ``MagFace/models/iresnet.py``, CurricularFace's
           ``backbone/model_irse.py`` and CVLface's ``iresnet/model.py``: random weights and statistics, saved, taken by
           ``--init``, and the embeddings compared.
templates  ``image2template_feature`` and ``verification`` of ``arcface_torch/eval_ijbc.py`` on drawn vectors, and the
           ranks of ``DIR_FAR`` in CVLface's ``tinyface/metrics.py`` in a gallery with distractors.
classifier ``arcface_torch/partial_fc_v2.py``, on one and two processes: see `public_partial_fc.py`.

What is imported there and not needed here (timm, fvcore, termcolor) is stood in for by empty modules.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.util
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from facekit_bcl import AdaMargin, ArcMargin, CosMargin, CurricularMargin
from facekit_maskdul import MagnitudeMargin
from torch.nn import functional

from facekit.evaluate import FaceSet, aggregate, identify
from facekit.train.angular import cosine_matrix
from facekit.train.backbones import backbone
from facekit.train.model import load_initial_weights

ROWS, CLASSES, DIMENSIONS, STEPS = 32, 50, 64, 3
CVLFACE = "CVLface/cvlface/research/recognition/code/run_v1/models/iresnet/model.py"
TINYFACE = "CVLface/cvlface/research/recognition/code/run_v1/evaluations/tinyface/metrics.py"
IRSE = "CurricularFace/backbone/model_irse.py"


def load(path: Path) -> ModuleType:
    """A file as a module."""
    spec = importlib.util.spec_from_file_location(f"public_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with stand_ins(), contextlib.redirect_stdout(io.StringIO()):
        spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def stand_ins() -> Iterator[None]:
    """Empty modules for what is imported and not used."""
    made = {"fvcore": mock.MagicMock(), "fvcore.nn": mock.MagicMock(), "termcolor": mock.MagicMock()}
    made |= {"models": mock.MagicMock()}  # MagFace's head imports its networks
    with mock.patch.dict(sys.modules, made):
        yield


class Batch(NamedTuple):
    """Embeddings (ROWS, DIMENSIONS), a row a class (CLASSES, DIMENSIONS) and labels (ROWS,)."""

    embeddings: torch.Tensor
    weight: torch.Tensor
    labels: torch.Tensor


def draw(step: int) -> Batch:
    """Some targets near, some far, some beyond pi - m; norms of 2 to 60."""
    rng = np.random.default_rng([18, step])
    weight, labels = rng.normal(size=(CLASSES, DIMENSIONS)), rng.integers(0, CLASSES, ROWS)
    pull = rng.uniform(-0.3, 1.2, (ROWS, 1))
    pull[:2] = -4.0
    embeddings = pull * weight[labels] + rng.normal(size=(ROWS, DIMENSIONS)) * 0.7
    embeddings *= rng.uniform(2, 60, (ROWS, 1)) / np.linalg.norm(embeddings, axis=1, keepdims=True)
    points, rows = (torch.tensor(one, dtype=torch.float32, requires_grad=True) for one in (embeddings, weight))
    return Batch(points, rows, torch.from_numpy(labels))


Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def far_apart(ours: Loss, theirs: Loss) -> float:
    """Largest difference of the loss and of both gradients, over the largest value of each, in three steps."""
    worst = 0.0
    for step in range(STEPS):
        found = []
        for loss in (ours, theirs):
            points, rows, labels = draw(step)
            value = loss(points, rows, labels)
            value.backward()
            found.append((value.detach(), points.grad, rows.grad))
        for mine, other in zip(*found, strict=True):
            worst = max(worst, float((mine - other).abs().max() / other.abs().max()))
    return worst


def ours_of(head: Any, norms: bool = False) -> Loss:
    """The loss through one of facekit's heads on cosines."""

    def loss(points: torch.Tensor, rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        given = {"norms": points.norm(dim=1)} if norms else {}
        return functional.cross_entropy(head(cosine_matrix(points, rows), labels, **given), labels)

    return loss


def of_kernel(head: Any, call: Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor]) -> Loss:
    """The loss through a head that holds its rows as columns."""

    def loss(points: torch.Tensor, rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        name = "kernel" if hasattr(head, "kernel") else "weight"
        del head._parameters[name]
        setattr(head, name, rows.T)
        try:
            return call(head, points, labels)
        finally:
            delattr(head, name)
            head.register_parameter(name, torch.nn.Parameter(torch.zeros(1)))

    return loss


def heads(folder: Path) -> dict[str, float]:
    """Each head beside facekit's."""
    found = {}
    if (path := folder / "arcface_torch/losses.py").exists():
        public = load(path)

        def of_cosines(head: Any) -> Loss:
            def loss(points: torch.Tensor, rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
                cosines = functional.linear(functional.normalize(points), functional.normalize(rows)).clamp(-1, 1)
                return functional.cross_entropy(head(cosines, labels.view(-1, 1)), labels)

            return loss

        found["ArcFace of arcface_torch"] = far_apart(ours_of(ArcMargin(64, 0.5)), of_cosines(public.ArcFace(64, 0.5)))
        found["CosFace of arcface_torch"] = far_apart(ours_of(CosMargin(64, 0.4)), of_cosines(public.CosFace(64, 0.4)))
    if (path := folder / "CurricularFace/head/metrics.py").exists():
        head = load(path).CurricularFace(DIMENSIONS, CLASSES, 0.5, 64.0)
        theirs = of_kernel(head, lambda one, x, y: functional.cross_entropy(one(x, y)[0], y))
        ours = CurricularMargin(64, 0.5, 0.01)
        found["CurricularFace"] = far_apart(ours_of(ours), theirs)
        found["CurricularFace, t"] = abs(float(ours.t) - float(head.t)) / abs(float(head.t))
    if (path := folder / "AdaFace/head.py").exists():
        with contextlib.redirect_stdout(io.StringIO()):
            head = load(path).AdaFace(DIMENSIONS, CLASSES, 0.4, 0.333, 64.0, 0.01)

        def adaface(one: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            norms = x.norm(dim=1, keepdim=True)
            return functional.cross_entropy(one(x / norms, norms, y), y)

        found["AdaFace"] = far_apart(ours_of(AdaMargin(64, 0.4, 0.333, 0.01), norms=True), of_kernel(head, adaface))
    if (path := folder / "MagFace/models/magface.py").exists():
        found |= magface(load(path))
    return found


def magface(public: ModuleType) -> dict[str, float]:
    """MagFace's head and regulariser, with the easy margin of its code and without."""
    found = {}
    for easy in (True, False):
        ours, theirs = MagnitudeMargin(easy_margin=easy), public.MagLinear(DIMENSIONS, CLASSES, 64.0, easy)
        criterion = public.MagLoss(10, 110, 0.45, 0.8, 64.0)

        def both(points: torch.Tensor, rows: torch.Tensor, labels: torch.Tensor, head: Any = ours) -> torch.Tensor:
            logits, regularizer = head(points, rows, labels)
            return functional.cross_entropy(logits, labels) + regularizer

        def public_loss(head: Any, x: torch.Tensor, y: torch.Tensor, criterion: Any = criterion) -> torch.Tensor:
            logits, norms = head(x, lambda a: (0.8 - 0.45) / 100 * (a - 10) + 0.45, 10, 110)
            loss, penalty, _ = criterion(logits, y, norms)
            return loss + 35 * penalty

        name = "MagFace" if easy else "MagFace without the easy margin"
        found[name] = far_apart(both, of_kernel(theirs, public_loss))
    return found


class Network(NamedTuple):
    """A public network, by file and function, and facekit's."""

    file: str
    make: Callable[[ModuleType], torch.nn.Module]
    ours: str
    prefix: str = ""
    picture: Callable[[torch.Tensor], torch.Tensor] = lambda image: image
    container: str | None = None


SIZE = (112, 112)
NETWORKS = {
    "arcface_torch iresnet50": Network("arcface_torch/backbones/iresnet.py", lambda m: m.iresnet50(), "iresnet50"),
    "arcface_torch iresnet100": Network("arcface_torch/backbones/iresnet.py", lambda m: m.iresnet100(), "iresnet100"),
    "MagFace iresnet50": Network(
        "MagFace/models/iresnet.py", lambda m: m.iresnet50(), "iresnet50", "features.module.",
        lambda image: (image[:, [2, 1, 0]] + 1) / 2, "state_dict",
    ),
    "CurricularFace IR_101": Network(IRSE, lambda m: m.IR_101(SIZE), "ir101_curricular"),
    "CurricularFace IR_SE_101": Network(IRSE, lambda m: m.IR_SE_101(SIZE), "irse101"),
    "CVLface IR_50": Network(CVLFACE, lambda m: m.IR_50(SIZE), "ir50_adaface", "net."),
    "CVLface IR_101": Network(CVLFACE, lambda m: m.IR_101(SIZE), "ir101_adaface", "net."),
}  # fmt: skip


def shake(network: torch.nn.Module) -> None:
    """Statistics and scales that are not those of a start."""
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            if module.weight is not None:
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.normal_(module.bias, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
        elif isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)


def networks(folder: Path) -> dict[str, float]:
    """Largest difference of unit embeddings of two pictures."""
    found = {}
    for name, one in NETWORKS.items():
        path = folder / one.file
        if not path.exists():
            continue
        torch.manual_seed(0)
        theirs = one.make(load(path))
        shake(theirs)
        state = {one.prefix + key: value for key, value in theirs.state_dict().items()}
        ours = backbone(one.ours, 512).eval()
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "weights.pth"
            torch.save(state if one.container is None else {one.container: state}, file)
            load_initial_weights(ours, str(file))
        image = torch.rand(2, 3, 112, 112) * 2 - 1
        with torch.inference_mode():
            said = theirs.eval()(one.picture(image))
            vectors = [functional.normalize(v) for v in (ours(image), said[0] if isinstance(said, tuple) else said)]
        found[name] = float((vectors[0] - vectors[1]).abs().max())
    return found


def templates(folder: Path) -> dict[str, float]:
    """Largest difference of a similarity of two templates, with norms as weights and without."""
    path = folder / "arcface_torch/eval_ijbc.py"
    if not path.exists():
        return {}
    import sklearn
    import sklearn.preprocessing

    names = functions(path, ("image2template_feature", "verification"), np=np, sklearn=sklearn)
    rng = np.random.default_rng(18)
    template = np.repeat(np.arange(300) * 7 + 3, rng.integers(1, 12, 300))
    media = rng.integers(0, 5, len(template)) + 100 * template
    vectors = rng.normal(size=(len(template), 128))
    vectors *= rng.uniform(3, 30, (len(template), 1)) / np.linalg.norm(vectors, axis=1, keepdims=True)
    norms = np.linalg.norm(vectors, axis=1)
    left, right = rng.choice(np.unique(template), (2, 2000))
    found = {}
    for name, given, weights in (
        ("IJB templates by norm (N1)", vectors, norms),
        ("IJB templates by mean", vectors / norms[:, None], None),
    ):
        with contextlib.redirect_stdout(io.StringIO()):
            theirs, ids = names["image2template_feature"](given, template, media)
            scores = names["verification"](theirs, ids, left, right)
        ours = aggregate(vectors / norms[:, None], template, media, weights)
        place = [np.searchsorted(ours.ids, side) for side in (left, right)]
        mine = np.einsum("ij,ij->i", *(ours.vectors[rows].astype(np.float64) for rows in place))
        found[name] = float(np.abs(mine - scores).max())
    return found


def functions(path: Path, wanted: tuple[str, ...], **names: Any) -> dict[str, Any]:
    """Some functions of a script that does its work when it is imported, unmodified."""
    parts = [part for part in ast.parse(path.read_text()).body if isinstance(part, ast.FunctionDef)]
    exec(compile(ast.Module([part for part in parts if part.name in wanted], []), str(path), "exec"), names)
    return names


def ranks(folder: Path) -> dict[str, float]:
    """Largest difference of rank-1, 5 and 20 of probes in a gallery of matches and distractors."""
    path, rng = folder / TINYFACE, np.random.default_rng(18)
    if not path.exists():
        return {}
    centres = rng.normal(size=(200, 32))
    people = [rng.permutation(200), rng.integers(0, 200, 900)]
    gallery, probe = (centres[who] + 1.6 * rng.normal(size=(len(who), 32)) for who in people)
    gallery = np.concatenate([gallery, rng.normal(size=(3000, 32)) * 1.9])
    labels = np.r_[people[0], np.full(3000, -1)]
    sides = [(side / np.linalg.norm(side, axis=1, keepdims=True)).astype(np.float32) for side in (probe, gallery)]
    with contextlib.redirect_stdout(io.StringIO()):
        same = people[1][:, None] == labels
        theirs = functions(path, ("DIR_FAR",), np=np)["DIR_FAR"](sides[0] @ sides[1].T, same, [1, 5, 20])[0]
    ours = identify(FaceSet(sides[0], people[1]), FaceSet(sides[1], labels), (1, 5, 20)).accuracy
    shown = ", ".join(f"{100 * value:.1f}%" for value in ours.values())
    return {f"TinyFace's ranks ({shown})": max(abs(a - float(b)) for a, b in zip(ours.values(), theirs, strict=True))}


def classifier(folder: Path) -> None:
    """On one process and on two; they print what they find."""
    if (folder / "arcface_torch/partial_fc_v2.py").exists():
        script = Path(__file__).with_name("public_partial_fc.py")
        for processes in (1, 2):
            subprocess.run([sys.executable, str(script), str(folder), str(processes)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    torch.set_num_threads(1)
    for title, part in (("heads", heads), ("networks", networks), ("templates", templates), ("ranks", ranks)):
        print(f"{title}: largest difference")
        for name, value in part(folder).items():
            print(f"  {name:44} {value:.1e}")
    classifier(folder)


if __name__ == "__main__":
    main()
