"""Decisions -> what the cleaning page shows: numbers, histograms, groups and rows, as plain JSON-able values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facekit.records.distinct import blocks, count_distinct, count_pairs, distinct
from facekit.records.key_rows import rows_of

__all__ = ["CleanRows", "build_content", "pictures_wanted"]

MAX_ROWS, MAX_GROUPS, MAX_NEAR, MAX_NARROW = 20_000, 5_000, 2_000, 2_000
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
    """One row for each of N images, and P pairs of similar identities.

    Attributes
    ----------
    keys, old_label, new_label : (N,) int64
        ``new_label`` is -1 where the image was dropped.
    action, reason : (N,) int8
        Positions in `actions` and `reasons`.
    similarity, threshold : (N,) float32
        NaN where there is none.
    nearest : (N,) int32 or int64
        Old label of the most similar other identity; -1: none.
    evidence : (N,) int32
        Positions in `sentences`; -1: none.
    pair_left, pair_right : (P,) int64
        Old labels.
    pair_similarity : (P,) float64
    actions, reasons, sentences : sequence of str
    """

    keys: npt.NDArray[np.int64]
    old_label: npt.NDArray[np.int64]
    new_label: npt.NDArray[np.int64]
    action: npt.NDArray[np.int8]
    reason: npt.NDArray[np.int8]
    similarity: npt.NDArray[np.float32]
    threshold: npt.NDArray[np.float32]
    nearest: npt.NDArray[np.int32] | npt.NDArray[np.int64]
    evidence: npt.NDArray[np.int32]
    pair_left: npt.NDArray[np.int64]  # old labels
    pair_right: npt.NDArray[np.int64]
    pair_similarity: npt.NDArray[np.float64]
    actions: Sequence[str]
    reasons: Sequence[str]
    sentences: Sequence[str]

    def among(self, reasons: Sequence[str]) -> npt.NDArray[np.bool_]:
        """(N,) bool: rows with one of some reasons."""
        chosen = np.array([reason in reasons for reason in self.reasons], np.bool_)
        found: npt.NDArray[np.bool_] = chosen[self.reason]
        return found


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
    faces, total = _faces(rows, max_rows)
    groups, near, narrow = _groups(rows), _near(rows), _narrowly_kept(rows, min(max_rows, MAX_NARROW))
    shown = [face[side] for face in faces + narrow for side in ("old", "near")]
    shown += [member["label"] for group in groups for member in group["members"]]
    shown += [pair[side] for pair in near for side in ("a", "b")]
    return {
        "source": source,
        "settings": {k: v for k, v in settings.items() if v is not None},
        "totals": _totals(rows),
        "flow": _flow(rows),
        "histogram": _histogram(rows, settings),
        "sweep": sweep,
        "comparison": list(comparison),
        "sizes": _sizes(rows),
        "groups": groups,
        "near": near,
        "faces": faces,
        "faces_total": total,
        "narrow": narrow,
        "samples": _samples(rows, np.unique(np.array(shown, np.int64))),
    }


def pictures_wanted(content: dict[str, Any], most: int) -> list[int]:
    """Choose the pictures that a static page shows, the doubtful ones of each reason first.

    Parameters
    ----------
    content : dict
        From `build_content`.
    most : int

    Returns
    -------
    list of int
        Keys, at most ``most``.
    """
    wanted: dict[int, None] = {}
    samples = content["samples"]
    reasons = dict.fromkeys(face["reason"] for face in content["faces"])
    faces = [[face for face in content["faces"] if face["reason"] == reason] for reason in reasons]
    faces.append(content["narrow"])
    for at in range(max(map(len, (*faces, content["groups"], content["near"])))):
        for name in ("groups", "near"):
            if at < len(content[name]):
                entry = content[name][at]
                labels = [m["label"] for m in entry["members"]] if name == "groups" else [entry["a"], entry["b"]]
                wanted.update(dict.fromkeys(key for label in labels for key in samples.get(str(label), [])))
        for face in (kind[at] for kind in faces if at < len(kind)):
            pictures = [key for side in ("old", "near") for key in samples.get(str(face[side]), [])]
            wanted.update(dict.fromkeys([face["key"], *pictures]))
        if len(wanted) >= most:
            break
    return list(wanted)[:most]


def _totals(rows: CleanRows) -> dict[str, int]:
    inside = rows.new_label >= 0
    return {
        "images": len(rows.keys),
        "identities": len(distinct(rows.old_label)),
        "images_out": int(inside.sum()),
        "identities_out": int((distinct(rows.new_label) >= 0).sum()),
        **{action: int((rows.action == code).sum()) for code, action in enumerate(rows.actions)},
    }


def _flow(rows: CleanRows) -> list[dict[str, Any]]:
    counts = np.zeros(len(rows.actions) * len(rows.reasons), np.int64)
    for part in blocks(len(rows.keys)):
        both = rows.action[part].astype(np.int64) * len(rows.reasons) + rows.reason[part]
        counts += np.bincount(both, minlength=len(counts))
    found = [
        {"action": rows.actions[code // len(rows.reasons)], "reason": rows.reasons[code % len(rows.reasons)],
         "images": int(counts[code])}
        for code in np.flatnonzero(counts).tolist()
    ]  # fmt: skip
    order = ("keep", "move", "review", "drop")
    return sorted(found, key=lambda entry: (order.index(entry["action"]), -entry["images"]))


def _histogram(rows: CleanRows, settings: dict[str, Any]) -> dict[str, Any]:
    before, after = np.zeros((2, len(EDGES) - 1), np.int64)
    for part in blocks(len(rows.keys)):
        known = np.isfinite(rows.similarity[part])
        for counts, inside in ((before, known), (after, known & (rows.new_label[part] >= 0))):
            counts += np.histogram(np.clip(rows.similarity[part][inside], EDGES[0], EDGES[-1]), EDGES)[0]
    return {
        "edges": EDGES.tolist(),
        "before": before.tolist(),
        "after": after.tolist(),
        "intra": settings.get("intra"),
        "pairs": np.histogram(np.clip(rows.pair_similarity, EDGES[0], EDGES[-1]), EDGES)[0].tolist(),
        "merge": settings.get("merge"),
        "corrected": settings.get("mode") == "robust",
    }


def _sizes(rows: CleanRows) -> dict[str, list[int]]:
    before, after = (
        count_distinct(labels[part][labels[part] >= 0] for part in blocks(len(labels))).counts
        for labels in (rows.old_label, rows.new_label)
    )
    top = int(np.log2(max(int(before.max(initial=1)), int(after.max(initial=1))))) + 2
    edges = 2 ** np.arange(top)
    return {
        "edges": edges.tolist(),
        "before": np.histogram(before, edges)[0].tolist(),
        "after": np.histogram(after, edges)[0].tolist(),
    }


def _samples(rows: CleanRows, shown: npt.NDArray[np.int64]) -> dict[str, list[int]]:
    """Return the most typical faces of each identity that a list shows, (S,) ascending old labels."""
    stays = rows.among(_STAYS)
    found = [np.zeros(0, np.int64)]
    for part in blocks(len(rows.keys)):
        inside = stays[part] & (rows.new_label[part] >= 0)
        inside &= rows_of(shown, rows.old_label[part], ascending=True) >= 0
        found.append(part.start + np.flatnonzero(inside))
    good = np.concatenate(found)
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
    new, old, faces = count_pairs(rows.new_label, rows.old_label, rows.among(_STAYS) & (rows.new_label >= 0))
    labels = distinct(old)
    home = np.full(len(labels) + 1, -1, np.int64)  # the last one is of labels that are not there
    home[np.searchsorted(labels, old)] = new
    one, two = (home[rows_of(labels, side, ascending=True)] for side in (rows.pair_left, rows.pair_right))
    inside = (rows.pair_left != rows.pair_right) & (one >= 0) & (one == two)
    starts = np.flatnonzero(np.append(True, new[1:] != new[:-1])[: len(new)])
    sizes = np.diff(np.append(starts, len(new)))
    weakest = np.full(len(starts), np.inf)
    np.minimum.at(weakest, np.searchsorted(new[starts], one[inside]), rows.pair_similarity[inside])
    several = np.flatnonzero(sizes > 1)
    chosen = several[np.lexsort((new[starts[several]], np.round(weakest[several], 4)))][:MAX_GROUPS]
    return [
        {
            "new": int(new[starts[at]]),
            "weakest": round(float(weakest[at]), 4) if np.isfinite(weakest[at]) else None,
            "members": _members(old[starts[at] :][: sizes[at]], faces[starts[at] :][: sizes[at]]),
        }
        for at in chosen.tolist()
    ]


def _members(labels: npt.NDArray[np.int64], faces: npt.NDArray[np.int64]) -> list[dict[str, int]]:
    """The identities of a group, the largest first."""
    order = np.argsort(-faces, kind="stable")
    return [{"label": a, "faces": n} for a, n in zip(labels[order].tolist(), faces[order].tolist(), strict=True)]


def _near(rows: CleanRows) -> list[dict[str, Any]]:
    """List pairs of identities that stayed apart, the most similar first."""
    stays, labels = rows.among(_STAYS), distinct(rows.old_label)
    home = np.full(len(labels) + 1, -1, np.int64)
    for part in blocks(len(rows.keys)):
        inside = stays[part] & (rows.new_label[part] >= 0)
        home[np.searchsorted(labels, rows.old_label[part][inside])] = rows.new_label[part][inside]
    one, two = (home[rows_of(labels, side, ascending=True)] for side in (rows.pair_left, rows.pair_right))
    apart = np.flatnonzero((rows.pair_left != rows.pair_right) & (one >= 0) & (two >= 0) & (one != two))
    order = apart[np.argsort(-rows.pair_similarity[apart], kind="stable")]
    found: dict[tuple[int, int], float] = {}
    for at in map(int, order):
        a, b = int(rows.pair_left[at]), int(rows.pair_right[at])
        found.setdefault((min(a, b), max(a, b)), round(float(rows.pair_similarity[at]), 4))
        if len(found) >= MAX_NEAR:
            break
    return [{"a": a, "b": b, "similarity": value} for (a, b), value in found.items()]


def _faces(rows: CleanRows, most: int) -> tuple[list[dict[str, Any]], int]:
    """List faces that were not simply kept, those nearest to their threshold first."""
    shown = np.flatnonzero(rows.among(_SHOWN))
    total = len(shown)
    doubt = np.nan_to_num(np.abs(rows.similarity[shown] - rows.threshold[shown]), nan=9)
    if 0 < most < total:  # all are sorted by key among equals: no need to sort those that are not listed
        near = doubt <= np.partition(doubt, most - 1)[most - 1]
        shown, doubt = shown[near], doubt[near]
    order = shown[np.lexsort((rows.keys[shown], doubt))]
    return [_face(rows, at) for at in order[:most].tolist()], total


def _narrowly_kept(rows: CleanRows, most: int) -> list[dict[str, Any]]:
    """List faces that stayed with their identity, those that are least above their threshold first."""
    stays = np.array([reason in _STAYS[:3] for reason in rows.reasons], np.bool_)
    near, margin = np.zeros(0, np.int64), np.zeros(0, np.float32)
    for part in blocks(len(rows.keys)):
        above = rows.similarity[part] - rows.threshold[part]
        some = np.flatnonzero(stays[rows.reason[part]] & (rows.new_label[part] >= 0) & (above >= 0))
        near, margin = np.append(near, part.start + some), np.append(margin, above[some])
        if 0 < most < len(margin):  # only candidates stay, so that this takes nothing a row
            kept = margin <= np.partition(margin, most - 1)[most - 1]
            near, margin = near[kept], margin[kept]
    order = np.lexsort((rows.keys[near], margin))
    return [_face(rows, at) for at in near[order[: most or None]].tolist()]


def _face(rows: CleanRows, at: int) -> dict[str, Any]:
    value = float(rows.similarity[at])
    return {
        "key": int(rows.keys[at]),
        "old": int(rows.old_label[at]),
        "new": int(rows.new_label[at]),
        "action": rows.actions[rows.action[at]],
        "reason": rows.reasons[rows.reason[at]],
        "similarity": round(value, 4) if np.isfinite(value) else None,
        "near": int(rows.nearest[at]),
        "why": rows.sentences[rows.evidence[at]] if rows.evidence[at] >= 0 else "",
    }
