"""Tables II to IV of MaskDUL, its parts, its figures, and error against reject rate.

All rows have one plugin, one recipe and one network: ArcFace is MagFace with a fixed margin of .5, that of DUL-cls,
from the first step on and without the regulariser of the magnitude, which is ArcFace's formula. The pack is as it was
given: the notes of the paper say nothing of cleaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablation_bcl import mfr_cells, scored
from ablation_plan import Plan, Row, Table
from rejection import SHARES

__all__ = ["TABLES"]

FIXED = {
    True: ("margin_bounds=.5,.5", "lambda_g=0", "easy_margin=false"),
    False: ("margin_bounds=.35,.35", "lambda_g=0"),
}
"""ArcFace of the paper's size, and small: the margins of DUL-cls there."""
GENERAL = ("arcface", "magface")
MASKED = ("arcface", "magface", "dul_cls", "dul_mag", "maskdul")
BLUR, NOISE = 2.0, 20.0
"""Standard deviations: pixels, and grey levels."""
Model = tuple[tuple[str, str], Path]


def _trained(plan: Plan, name: str, pack: Path, changes: tuple[str, ...] = (), suffix: str = "") -> Path:
    recipe = "magface" if name == "arcface" else name
    fixed = FIXED[plan.bench.full] if name == "arcface" else ()
    given = (*plan.bench.maskdul_changes, *fixed, *changes)
    return plan.trained(f"maskdul-{name}{suffix}", "maskdul", recipe, pack, given)


def _models(plan: Plan) -> list[Model]:
    """Names, what they learned from, and files: general models of bare faces, then all on half masked ones."""
    half = plan.masked(plan.bench.pack, "maskdul", 0.5)
    bare = [((name, "bare"), _trained(plan, name, plan.bench.pack)) for name in GENERAL]
    return bare + [((name, "half masked"), _trained(plan, name, half)) for name in MASKED]


HEAD = ("loss", "trained on")


def table_ii(plan: Plan) -> list[Table]:
    """Verification over the masked sets."""
    rows = []
    for labels, model in _models(plan):
        files = {path.stem: plan.evaluated(model, path.stem, "--pairs", path, "--flip") for path in plan.bench.sets}
        rows.append(Row(labels, files))
    return [Table("MaskDUL, Table II: accuracy over ten folds", HEAD, rows, _accuracies)]


def _accuracies(_labels: tuple[str, ...], files: Mapping[str, Any]) -> dict[str, str]:
    found = {name: summary["scores"][0]["accuracy"] for name, summary in files.items()}
    cells = {name: f"{100 * accuracy:.2f}" for name, accuracy in found.items()}
    return cells | {"average": f"{100 * sum(found.values()) / len(found):.2f}"}


def table_iii(plan: Plan) -> list[Table]:
    """Identification of masked probes in a gallery of bare faces."""
    given = ("--gallery", plan.bench.bare, "--probe", plan.bench.worn, "--related", "--rank", 1, "--rank", 5, "--flip")
    rows = [Row(labels, {"ranks": plan.evaluated(model, "ranks", *given)}) for labels, model in _models(plan)]
    return [Table("MaskDUL, Table III: identification", HEAD, rows, _ranks)]


def _ranks(_labels: tuple[str, ...], files: Mapping[str, Any]) -> dict[str, str]:
    return {f"rank-{rank}": f"{100 * found:.2f}" for rank, found in files["ranks"]["ranks"].items()}


def table_iv(plan: Plan) -> list[Table]:
    """Noise: learned from sharp and from blurred faces, tested on sharp, blurred and noisy ones, all masked."""
    bench, half = plan.bench, plan.masked(plan.bench.pack, "maskdul", 0.5)
    sharp, noisy = bench.out / f"M-{bench.noise_set.name}", bench.out / f"noisy-{bench.noise_set.name}"
    worn = bench.out / f"M-noisy-{bench.noise_set.name}"
    plan.facekit(sharp, "mask", bench.noise_set, sharp)
    plan.script(noisy, "noisy_pairs.py", bench.noise_set, noisy, "--deviation", NOISE)
    plan.facekit(worn, "mask", noisy, worn)
    tests = {"clean": ("--pairs", sharp), "blurred": ("--pairs", sharp, "--blur", BLUR), "noisy": ("--pairs", worn)}
    blur = ("blur=.5", f"blur_size={2 * BLUR:g}")
    rows = []
    for name in ("arcface", "dul_cls", "maskdul"):
        for trained, changes in (("clean", ()), ("blurred", blur)):
            model = _trained(plan, name, half, changes, "-blurred" if changes else "")
            files = {test: plan.evaluated(model, f"noise-{test}", *given, "--flip") for test, given in tests.items()}
            rows.append(Row((name, trained), files))
    return [Table("MaskDUL, Table IV: noise, accuracy over ten folds", HEAD, rows, _accuracies)]


def parts(plan: Plan) -> list[Table]:
    """The loss and its parts, by the scores of the masked challenge."""
    rows = [Row(labels, {"mfr": scored(plan, model)}) for labels, model in _models(plan)]
    return [Table("MaskDUL, its parts: one recipe for all rows", HEAD, rows, mfr_cells)]


def figures(plan: Plan) -> list[Table]:
    """|sigma| of bare and masked faces as pictures, and misses by the share of faces rejected."""
    bench, found = plan.bench, {labels: model for labels, model in _models(plan) if labels[1] == "half masked"}
    pictures, rejected = [], []
    for (name, pack), model in found.items():
        features = plan.features(bench.test, model)
        misses = model.parent / "rejection.json"
        plan.script(misses, "rejection.py", features, "--far", "1e-4" if bench.full else "1e-2", captured=True)
        rejected += [Row((name, by), {"misses": misses}) for by in ("|mu|", "|sigma|") if by == "|mu|" or "dul" in name]
        if "dul" in name:
            title = "Figure 4" if name == "maskdul" else "Figure 2" if name == "dul_cls" else name
            drawn = bench.out / f"{title.lower().replace(' ', '-')}.svg"
            plan.script(drawn, "rejection.py", features, "--draw", drawn, "--title", f"{title}: {name}, {pack}")
            pictures.append(Row((title, name, drawn.name), {"misses": misses}))
    return [
        Table("MaskDUL, figures: medians of |sigma|", ("figure", "loss", "picture"), pictures, _medians),
        Table("Misses (%) when the faces of least quality are rejected", ("loss", "by"), rejected, _misses),
    ]


def _medians(_labels: tuple[str, ...], files: Mapping[str, Any]) -> dict[str, str]:
    found = files["misses"]["|sigma|"]
    return {side: f"{found[side]:.2f}" for side in ("median bare", "median masked")}


def _misses(labels: tuple[str, ...], files: Mapping[str, Any]) -> dict[str, str]:
    misses = files["misses"][labels[1]]["misses"]
    return {f"{share:.0%}": f"{100 * miss:.1f}" for share, miss in zip(SHARES, misses, strict=True)}


TABLES = {"ii": table_ii, "iii": table_iii, "iv": table_iv, "parts": parts, "figures": figures}
