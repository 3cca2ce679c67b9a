"""Tables 1 to 4 of BCL, with Figure 4's counts beside Table 4."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablation_plan import Plan, Row, Table

from facekit.evaluate import combined_score

__all__ = ["TABLES", "mfr_cells", "tars"]

PARTS = {"masked to bare": "Mask", "bare to bare": "MR-ALL"}


def tars(summary: Mapping[str, Any]) -> dict[str, float]:
    """TAR of each comparison: at the challenge's FARs, or at the one that was asked for."""
    if summary["protocol"]:
        return dict(summary["protocol"])
    return {score["name"]: score["points"][0]["tar"] for score in summary["scores"] if score["points"]}


def mfr_cells(_labels: tuple[str, ...], files: Mapping[str, Any]) -> dict[str, str]:
    """Mask, MR-ALL, the groups, .25 Mask + .75 MR-ALL, and milliseconds an image."""
    found = tars(files["mfr"])
    cells = {PARTS.get(name, name): f"{100 * tar:.2f}" for name, tar in found.items() if name != "masked to masked"}
    if set(PARTS) <= set(found):
        cells["score"] = f"{100 * combined_score(found['masked to bare'], found['bare to bare']):.2f}"
    return cells | {"ms/image": f"{files['mfr']['milliseconds_per_image']:.1f}"}


def scored(plan: Plan, model: Path) -> Path:
    """Scores of the challenge; small packs are scored at FAR 1e-2."""
    bench = plan.bench
    groups = ("--groups", bench.groups) if bench.groups else ()
    return plan.evaluated(model, "mfr", "--pack", bench.test, *groups, *(() if bench.full else ("--far", 0.01)))


def _row(plan: Plan, labels: tuple[str, ...], recipe: str, pack: Path) -> Row:
    return Row(labels, {"mfr": scored(plan, plan.trained(recipe, "bcl", recipe, pack))})


def table_1(plan: Plan) -> list[Table]:
    """The loss: CurricularFace against BCL, on the cleaned pack without masks."""
    pack = plan.cleaned(0.25)
    rows = [_row(plan, (name,), recipe, pack) for name, recipe in (("CL", "curricular"), ("BCL", "bcl"))]
    return [Table("BCL, Table 1: loss, cleaned, without masks", ("loss",), rows, mfr_cells)]


def table_2(plan: Plan) -> list[Table]:
    """Clean x mask, with BCL."""
    rows = []
    for cleaned in (False, True):
        for worn in (False, True):
            pack = plan.cleaned(0.25) if cleaned else plan.bench.pack
            pack = plan.masked(pack, "bcl", 0.15) if worn else pack
            rows.append(_row(plan, tuple("yes" if one else "no" for one in (cleaned, worn)), "bcl", pack))
    return [Table("BCL, Table 2: clean x mask", ("clean", "mask"), rows, mfr_cells)]


def table_3(plan: Plan) -> list[Table]:
    """Share of masked images."""
    pack = plan.cleaned(0.25)
    rows = [_row(plan, (f"{share:.0%}",), "bcl", plan.masked(pack, "bcl", share)) for share in plan.bench.shares]
    return [Table("BCL, Table 3: masked share, cleaned", ("masked",), rows, mfr_cells)]


def table_4(plan: Plan) -> list[Table]:
    """Threshold of Intra-ID, with the images that are left."""
    bench = plan.bench
    features = plan.features(bench.pack, bench.model)
    counts = bench.out / "sweep.json"
    plan.facekit(counts, "sweep", bench.pack, features, *plan.centres(), "--json", captured=True)
    rows = []
    for intra in bench.intras:
        row = _row(plan, (f"{intra:.2f}",), "bcl", plan.cleaned(intra))
        rows.append(row._replace(files={**row.files, "sweep": counts}))
    title = "BCL, Table 4 and Figure 4: threshold of Intra-ID, without masks"
    return [Table(title + ("" if bench.full else "; inter .98, union .99"), ("intra",), rows, _threshold_cells)]


def _threshold_cells(labels: tuple[str, ...], files: Mapping[str, Any]) -> dict[str, str]:
    kept = {f"{row['threshold']:.2f}": row["images"] for row in files["sweep"]}
    return {"images": f"{kept[labels[0]]:,}", **mfr_cells(labels, files)}


TABLES = {"1": table_1, "2": table_2, "3": table_3, "4": table_4}
