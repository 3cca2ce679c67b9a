"""Decisions -> what the cleaning page shows: numbers, histograms, groups and rows, as plain JSON-able values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["CleanRows", "build_content", "pictures_wanted"]

MAX_ROWS, MAX_GROUPS, MAX_NEAR = 20_000, 5_000, 2_000
SAMPLES = 4
EDGES = np.round(np.linspace(-0.5, 1, 61), 3)
_STAYS = ("inlier", "union", "inter", "override")
_SHOWN = (
    "intra",
    "hub",
    "relabel",
    "second_person",
    "duplicate_label",
    "near_duplicate",
    "low_quality",
    "excluded",
    "override",
)


class CleanRows(NamedTuple):
    """One row for each image, and the pairs of identities that are similar."""

    keys: npt.NDArray[np.int64]
    old_label: npt.NDArray[np.int64]
    new_label: npt.NDArray[np.int64]
    action: npt.NDArray[np.str_]
    reason: npt.NDArray[np.str_]
    similarity: npt.NDArray[np.float32]
    threshold: npt.NDArray[np.float32]
    nearest: npt.NDArray[np.int64]
    evidence: npt.NDArray[np.object_]
    pair_left: npt.NDArray[np.int64]  # old labels
    pair_right: npt.NDArray[np.int64]
    pair_similarity: npt.NDArray[np.float64]


def build_content(
    rows: CleanRows,
    settings: dict[str, Any],
    sweep: list[dict[str, float]],
    source: str,
    max_rows: int = MAX_ROWS,
    comparison: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Build what the page shows.

    Parameters
    ----------
    rows : CleanRows
    settings : dict
        Thresholds in force.
    sweep : list of dict
        ``threshold``, ``images``, ``identities`` of Intra-ID; empty where the threshold does not decide alone.
    source : str
    max_rows : int
        Faces listed, the most doubtful ones first.
    comparison : sequence of dict
        What each mode makes of the pack: ``mode``, images by action, ``identities``, ``agree``; may be empty.

    Returns
    -------
    dict
        JSON-able.
    """
    samples = _samples(rows)
    faces, total = _faces(rows, max_rows)
    return {
        "source": source,
        "settings": {k: v for k, v in settings.items() if v is not None},
        "totals": _totals(rows),
        "flow": _flow(rows),
        "histogram": _histogram(rows, settings),
        "sweep": sweep,
        "comparison": list(comparison),
        "sizes": _sizes(rows),
        "groups": _groups(rows),
        "near": _near(rows),
        "faces": faces,
        "faces_total": total,
        "samples": samples,
    }


def pictures_wanted(content: dict[str, Any], most: int) -> list[int]:
    """Return the keys whose pictures a static page shows, doubtful ones first, at most `most`."""
    wanted: dict[int, None] = {}
    samples = content["samples"]
    for at in range(max(len(content["faces"]), len(content["groups"]), len(content["near"]))):
        for name in ("groups", "near"):
            if at < len(content[name]):
                entry = content[name][at]
                labels = [m["label"] for m in entry["members"]] if name == "groups" else [entry["a"], entry["b"]]
                wanted.update(dict.fromkeys(key for label in labels for key in samples.get(str(label), [])))
        if at < len(content["faces"]):
            face = content["faces"][at]
            wanted.update(dict.fromkeys([face["key"], *samples.get(str(face["old"]), [])]))
        if len(wanted) >= most:
            break
    return list(wanted)[:most]


def _totals(rows: CleanRows) -> dict[str, int]:
    inside = rows.new_label >= 0
    return {
        "images": len(rows.keys),
        "identities": len(np.unique(rows.old_label)),
        "images_out": int(inside.sum()),
        "identities_out": len(np.unique(rows.new_label[inside])),
        **{action: int((rows.action == action).sum()) for action in ("keep", "move", "drop", "review")},
    }


def _flow(rows: CleanRows) -> list[dict[str, Any]]:
    pairs, count = np.unique(np.stack([rows.action, rows.reason]), axis=1, return_counts=True)
    found = [{"action": str(a), "reason": str(r), "images": int(n)} for a, r, n in zip(*pairs, count)]
    order = ("keep", "move", "review", "drop")
    return sorted(found, key=lambda entry: (order.index(entry["action"]), -entry["images"]))


def _histogram(rows: CleanRows, settings: dict[str, Any]) -> dict[str, Any]:
    known = np.clip(rows.similarity[np.isfinite(rows.similarity)], EDGES[0], EDGES[-1])
    after = rows.similarity[np.isfinite(rows.similarity) & (rows.new_label >= 0)]
    return {
        "edges": EDGES.tolist(),
        "before": np.histogram(known, EDGES)[0].tolist(),
        "after": np.histogram(np.clip(after, EDGES[0], EDGES[-1]), EDGES)[0].tolist(),
        "intra": settings.get("intra"),
        "pairs": np.histogram(np.clip(rows.pair_similarity, EDGES[0], EDGES[-1]), EDGES)[0].tolist(),
        "merge": settings.get("merge"),
    }


def _sizes(rows: CleanRows) -> dict[str, list[int]]:
    before = np.unique(rows.old_label, return_counts=True)[1]
    after = np.unique(rows.new_label[rows.new_label >= 0], return_counts=True)[1]
    top = int(np.log2(max(int(before.max(initial=1)), int(after.max(initial=1))))) + 2
    edges = 2 ** np.arange(top)
    return {
        "edges": edges.tolist(),
        "before": np.histogram(before, edges)[0].tolist(),
        "after": np.histogram(after, edges)[0].tolist(),
    }


def _samples(rows: CleanRows) -> dict[str, list[int]]:
    """Return the most typical faces of each identity that any list can show."""
    good = np.flatnonzero(np.isin(rows.reason, _STAYS) & (rows.new_label >= 0))
    order = good[np.lexsort((rows.keys[good], -np.nan_to_num(rows.similarity[good], nan=-1), rows.old_label[good]))]
    labels = rows.old_label[order]
    first = np.flatnonzero(np.concatenate([np.ones(min(len(labels), 1), bool), labels[1:] != labels[:-1]]))
    ends = np.append(first[1:], len(labels))
    return {
        str(labels[a]): rows.keys[order[a : min(a + SAMPLES, b)]].tolist()
        for a, b in zip(first.tolist(), ends.tolist())
    }


def _groups(rows: CleanRows) -> list[dict[str, Any]]:
    """List identities that became one, the weakest link first."""
    stays = np.isin(rows.reason, _STAYS) & (rows.new_label >= 0)
    pairs, count = np.unique(np.stack([rows.new_label[stays], rows.old_label[stays]]), axis=1, return_counts=True)
    home: dict[int, int] = {}
    members: dict[int, list[dict[str, int]]] = {}
    for new, old, faces in zip(*pairs.tolist(), count.tolist()):
        members.setdefault(new, []).append({"label": old, "faces": faces})
        home[old] = new
    weakest: dict[int, float] = {}
    for a, b, value in zip(rows.pair_left.tolist(), rows.pair_right.tolist(), rows.pair_similarity.tolist()):
        if a != b and a in home and home[a] == home.get(b):
            weakest[home[a]] = min(weakest.get(home[a], 2.0), round(value, 4))
    found = [
        {"new": new, "weakest": weakest.get(new), "members": sorted(each, key=lambda m: -m["faces"])}
        for new, each in members.items()
        if len(each) > 1
    ]
    return sorted(found, key=lambda g: (g["weakest"] is None, g["weakest"] or 0, g["new"]))[:MAX_GROUPS]


def _near(rows: CleanRows) -> list[dict[str, Any]]:
    """List pairs of identities that stayed apart, the most similar first."""
    stays = np.isin(rows.reason, _STAYS) & (rows.new_label >= 0)
    home = dict(zip(rows.old_label[stays].tolist(), rows.new_label[stays].tolist()))
    found: dict[tuple[int, int], float] = {}
    for at in np.argsort(-rows.pair_similarity, kind="stable").tolist():
        a, b = int(rows.pair_left[at]), int(rows.pair_right[at])
        if a != b and a in home and b in home and home[a] != home[b]:
            found.setdefault((min(a, b), max(a, b)), round(float(rows.pair_similarity[at]), 4))
        if len(found) >= MAX_NEAR:
            break
    return [{"a": a, "b": b, "similarity": value} for (a, b), value in found.items()]


def _faces(rows: CleanRows, most: int) -> tuple[list[dict[str, Any]], int]:
    """List faces that were not simply kept, those nearest to their threshold first."""
    shown = np.flatnonzero(np.isin(rows.reason, _SHOWN))
    doubt = np.abs(rows.similarity[shown] - rows.threshold[shown])
    order = shown[np.lexsort((rows.keys[shown], np.nan_to_num(doubt, nan=9)))]
    return [_face(rows, at) for at in order[:most].tolist()], len(shown)


def _face(rows: CleanRows, at: int) -> dict[str, Any]:
    value = float(rows.similarity[at])
    return {
        "key": int(rows.keys[at]),
        "old": int(rows.old_label[at]),
        "new": int(rows.new_label[at]),
        "action": str(rows.action[at]),
        "reason": str(rows.reason[at]),
        "similarity": round(value, 4) if np.isfinite(value) else None,
        "near": int(rows.nearest[at]),
        "why": str(rows.evidence[at] or ""),
    }
