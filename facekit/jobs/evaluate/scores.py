"""The evaluations: pairs of a .bin, pairs by key, a gallery with probes, one pack with masked faces."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.embeddings import Features, is_features, open_features
from facekit.errors import ConfigError
from facekit.evaluate import (
    BARE_FAR,
    MASKED_FAR,
    AllPairs,
    FaceSet,
    Roc,
    combined_score,
    group_far,
    identify,
    identify_open_set,
    people_of_pairs,
    verify_all,
)
from facekit.evaluate.operating_points import allowed_accepts
from facekit.jobs.evaluate.comparisons import Findings, Score, score_all_pairs, score_of, score_or_reason, verify
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.faces import Alter, Faces, Network, mapped, of_bins, of_features, of_pack
from facekit.jobs.evaluate.mapped_faces import Pictured, pair_similarity
from facekit.jobs.evaluate.pictures import alterations
from facekit.jobs.evaluate.rehearsal import counted, searched
from facekit.jobs.inputs.pair_tables import KeyPairs, read_groups, read_pairs
from facekit.output.dry_run import is_dry
from facekit.records.bins import Bins, read_bins
from facekit.records.key_rows import rows_of

__all__ = [
    "BARE",
    "MASKED",
    "Findings",
    "Score",
    "bin_scores",
    "gallery_scores",
    "key_scores",
    "pack_scores",
    "search_scores",
]

MASKED, BARE = "masked to bare", "bare to bare"
"""The challenge's Mask and MR-All."""


def bin_scores(config: EvalConfig, subject: Network | Features) -> Findings:
    """The pairs of a .bin."""
    if isinstance(subject, Features):
        raise ConfigError(f"{config.pairs} holds pictures, and {config.subject} vectors: give the model")
    if config.groups:
        raise ConfigError("--groups goes by key, and the pictures of a .bin have none: use pairs as .csv")
    pairs = read_bins(str(config.pairs))
    faces = of_bins(subject, str(config.pairs), pairs, alterations(config))
    keys = np.arange(2 * len(pairs.same)).reshape(-1, 2)
    return _pairs(config, faces, faces, KeyPairs(keys, pairs.same), people_of_bins(pairs))


def key_scores(config: EvalConfig, subject: Network | Features) -> Findings:
    """Pairs by key, of a folder of vectors or of a pack's pictures."""
    pairs = read_pairs(str(config.pairs))
    if isinstance(subject, Features):
        faces = mapped(subject)
        _refuse_absent(config, subject, pairs)
        return _pairs(config, faces, faces, pairs)
    if config.pack is None:
        raise ConfigError(f"{config.pairs} names pictures by key: say of which pack, with --pack")
    first, second = alterations(config)
    left = of_pack(subject, config.pack, first, np.unique(pairs.keys[:, 0]))
    right = of_pack(subject, config.pack, second, np.unique(pairs.keys[:, 1]))
    return _pairs(config, left, right, pairs)


def _refuse_absent(config: EvalConfig, features: Features, pairs: KeyPairs) -> None:
    """Refuse a key that the embedded pack does not have: it has neither a vector nor failed."""
    keys = pairs.keys.reshape(-1)
    lost = keys[features.rows_of(keys) < 0]
    absent = lost[rows_of(features.failed_keys(), lost) < 0]
    if len(absent):
        raise ConfigError(f"{config.subject} has no vector of key {absent[0]}: features of another pack?")


def people_of_bins(pairs: Bins) -> npt.NDArray[np.int64]:
    """Who is in each pair of a .bin, (P, 2): equal pictures, and those that genuine pairs connect, show one person."""
    first: dict[bytes, int] = {}
    pictures = [first.setdefault(payload, place) for place, payload in enumerate(pairs.payloads)]
    return people_of_pairs(np.array(pictures, np.int64).reshape(-1, 2), pairs.same)


def _pairs(
    config: EvalConfig, left: Pictured, right: Pictured, pairs: KeyPairs, people: npt.NDArray[np.int64] | None = None
) -> Findings:
    """Scores of a list; who is in its pairs is what the labels say, where ``people`` does not."""
    rows = np.stack([left.rows_of(pairs.keys[:, 0]), right.rows_of(pairs.keys[:, 1])], 1)
    whole = (rows >= 0).all(axis=1)
    if not whole.all():
        rows, pairs = rows[whole], KeyPairs(pairs.keys[whole], pairs.same[whole])
    similarity = pair_similarity(left.vectors_at, right.vectors_at, rows)
    more = {"left_out": int((~whole).sum()), "contradictions": 0}
    if people is None:
        who = np.stack([left.labels_at(rows[:, 0]), right.labels_at(rows[:, 1])], 1)
        more["contradictions"] = int(((who[:, 0] == who[:, 1]) != pairs.same).sum())
    else:
        who = people[whole]
    del rows
    scores = verify(config, similarity, pairs.same, who)
    lines, curves = [score_of("pairs", scores)], {"pairs": scores.roc}
    for name, keep in _pair_groups(config, pairs):
        lines.append(score_or_reason(name, similarity[keep], pairs.same[keep], who[keep], config))
    return Findings(lines, curves, [left] if left is right else [left, right], more)


def _pair_groups(config: EvalConfig, pairs: KeyPairs) -> Iterable[tuple[str, npt.NDArray[np.bool_]]]:
    """Groups that both pictures of a pair belong to."""
    if config.groups is None:
        return
    for column, groups in read_groups(config.groups, pairs.keys.ravel()).items():
        both = groups.reshape(-1, 2)
        for name in np.unique(both):
            if name:
                yield f"{column} {name}", (both == name).all(axis=1)


def gallery_scores(config: EvalConfig, subject: Network | Features) -> Findings:
    """Probes against a gallery."""
    first, second = alterations(config)
    # In two packs that have nothing in common, equal keys mean nothing.
    related = config.related or os.path.realpath(str(config.gallery)) == os.path.realpath(str(config.probe))
    gallery = _one_side(str(config.gallery), subject, first, related)
    probe = _one_side(str(config.probe), subject, second, related)
    return search_scores(config, gallery, probe)


def search_scores(config: EvalConfig, gallery: Faces, probe: Faces) -> Findings:
    """Verification over all pairs, identification by rank, and in an open set where there are probes for it."""
    if is_dry():
        pairs = counted(probe.set, gallery.set, config.fars or None)
        strangers = searched(probe.set, gallery.set, config.fpirs)
        counted_ones = [Score("probe to gallery", pairs.genuine, pairs.impostor)]
        return Findings(counted_ones, {}, [gallery, probe], {"probes_without_mate": strangers})
    scores = verify_all(probe.set, gallery.set, config.fars or None)
    ranks = identify(probe.set, gallery.set, config.ranks)
    more = {"ranks": ranks.accuracy, "probes_without_mate": ranks.without_mate}
    more |= _open_set(config, gallery, probe, ranks.without_mate)
    line = score_all_pairs(config, "probe to gallery", scores, probe.set, gallery.set)
    return Findings([line], {"probe to gallery": scores.roc}, [gallery, probe], more)


def _open_set(config: EvalConfig, gallery: Faces, probe: Faces, strangers: int) -> dict[str, Any]:
    fpirs = config.fpirs or tuple(fpir for fpir in (0.01, 0.1) if fpir * strangers * (1 + 1e-12) >= 1)
    if not fpirs:
        return {}
    return {"open_set": identify_open_set(probe.set, gallery.set, fpirs).points}


def _one_side(path: str, subject: Network | Features, alter: Alter | None, related: bool) -> Faces:
    """A pack's pictures, or a folder of vectors that the same model made."""
    known = subject.model_hash if isinstance(subject, Features) else subject.engine.model_hash
    if is_features(Path(path)):
        features = open_features(path)
        if features.model_hash != known:
            raise ConfigError(f"{path} was made by model {features.model_hash}, not {known}: nothing can be compared")
        faces = of_features(features)
    elif isinstance(subject, Features):
        raise ConfigError(f"{path} is no folder of vectors: give the model in place of {subject.path}, or embed it")
    else:
        faces = of_pack(subject, path, alter)
    return faces if related else replace(faces, set=replace(faces.set, sources=None))


def pack_scores(config: EvalConfig, subject: Network | Features) -> Findings:
    """One pack with a ledger: masked to bare, bare to bare, masked to masked, and the bare faces of each group."""
    if isinstance(subject, Network) and config.pack is None:
        raise ConfigError("nothing to compare: give --pairs, --gallery and --probe, or a --pack with a ledger")
    if isinstance(subject, Features):
        faces = of_features(subject)
    else:
        faces = of_pack(subject, str(config.pack), alterations(config)[0])
    masked = faces.masked
    scores: dict[str, AllPairs | str] = {}
    sets: dict[str, tuple[FaceSet, FaceSet | None]] = {}
    protocol = {}
    if masked.any() and not masked.all():
        worn, bare = faces.set.take(masked), faces.set.take(~masked)
        sets = {MASKED: (worn, bare), BARE: (bare, None), "masked to masked": (worn, None)}
        protocol = {MASKED: MASKED_FAR, BARE: BARE_FAR}
    else:
        name = "masked to masked" if masked.any() else BARE
        sets = {name: (faces.set, None)}
        protocol = {} if masked.any() else {BARE: BARE_FAR}
    required = list(sets)[:2]
    # As in the challenge, a group's faces are bare, where there are any.
    counted = ~masked if not masked.all() else masked
    for column, group, keep in _groups(config, faces.keys):
        name = f"{column} {group}"
        sets[name] = (faces.set.take(keep & counted), None)
        protocol[name] = max(group_far(column), group_far(group))
    for name, (probe, gallery) in sets.items():
        scores[name] = _all_pairs(config, probe, gallery, name in required)
    config = replace(config, bootstrap=0) if is_dry() else config
    lines = [_line(config, name, score, *sets[name]) for name, score in scores.items()]
    return Findings(lines, _curves(scores), [faces], _protocol(config, scores, protocol))


def _line(config: EvalConfig, name: str, score: AllPairs | str, probe: FaceSet, gallery: FaceSet | None) -> Score:
    return (
        Score(name, refused=score) if isinstance(score, str) else score_all_pairs(config, name, score, probe, gallery)
    )


def _curves(scores: dict[str, AllPairs | str]) -> dict[str, Roc]:
    return {name: score.roc for name, score in scores.items() if isinstance(score, AllPairs)}


def _groups(config: EvalConfig, keys: npt.NDArray[np.int64]) -> Iterable[tuple[str, str, npt.NDArray[np.bool_]]]:
    """Column, name and faces of each group."""
    if config.groups is None:
        return
    for column, groups in read_groups(config.groups, keys).items():
        for name in np.unique(groups):
            if name:
                yield column, str(name), groups == name


def _all_pairs(
    config: EvalConfig, probe: FaceSet, gallery: FaceSet | None = None, required: bool = False
) -> AllPairs | str:
    """Scores at the FARs asked for, or at those that can be measured; a sentence where there are none.

    Where FARs were asked for, a comparison that is ``required`` and cannot be had at them is an error.
    """
    try:
        return (counted if is_dry() else verify_all)(probe, gallery, config.fars or None)
    except ConfigError as error:
        if config.fars and required:
            raise
        return str(error)


def _protocol(
    config: EvalConfig, scores: dict[str, AllPairs | str], fars: dict[str, float]
) -> dict[str, dict[str, float] | tuple[str, ...] | float | None]:
    """What the summary says of the challenge: the TARs at its FARs, why some are missing, and the score of the two."""
    tars: dict[str, float] = {}
    missing = []
    for name, far in fars.items():
        score = scores[name]
        if isinstance(score, str):
            continue  # the comparison itself says why
        try:
            allowed_accepts(far, score.impostor)
        except ConfigError as error:
            missing.append(f"{name}: {error}")
        for point in score.points:
            if point.far == far:
                tars[name] = point.tar
    both = MASKED in tars and BARE in tars
    return {
        "protocol": tars,
        "protocol_missing": () if config.fars else tuple(missing),
        "masked_score": combined_score(tars[MASKED], tars[BARE]) if both else None,
    }
