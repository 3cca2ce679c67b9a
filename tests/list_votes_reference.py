"""Merging of lists as it reads, in whole arrays and over all pairs of pictures: what blocks of them must equal."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from facekit.clean.list_matching import Key
from facekit.clean.lists import CleanList, Pictures, make_list, numbered

OUT, UNKNOWN, LIMIT, MARGIN = -1, -2, 15, 3


def find(listed: CleanList, pictures: Pictures) -> tuple[list[int], list[int]]:
    """Rows and keys, every picture compared with every payload, one after the other."""
    rows_of = defaultdict(list)
    for row, payload in enumerate(map(bytes, listed.pictures.payload_hash)):
        rows_of[payload].append(row)
    said = {
        payload: {(int(listed.identity[r]), int(listed.action_code[r]), int(listed.reason_code[r])) for r in rows}
        for payload, rows in rows_of.items()
    }
    shown = {payload: listed.pictures.perceptual[rows[0]] for payload, rows in rows_of.items()}
    keys, wanting = [Key.NONE] * len(pictures), defaultdict(list)
    for at in range(len(pictures)):
        payload, mine = bytes(pictures.payload_hash[at]), pictures.perceptual[at]
        if payload in rows_of:
            keys[at] = Key.PAYLOAD
            wanting[payload].append((0, at))
            continue
        near = [(bits(mine[:32], shown[other][:32]), other) for other in rows_of if shown[other][:32].any()]
        near = sorted(pair for pair in near if pair[0] <= LIMIT) if mine[:32].any() else []
        if not near:
            continue
        best, known = near[0]
        rest = [other for distance, other in near[1:] if distance < best + MARGIN]
        if any(said[other] != said[known] or len(said[other]) > 1 for other in rest):
            keys[at] = Key.AMBIGUOUS
            continue
        keys[at] = Key.SWAPPED if bits(mine[32:], shown[known][32:]) >= 44 else Key.PERCEPTUAL
        wanting[known].append((1 + best, at))
    found = [-1] * len(pictures)
    for payload, asking in wanting.items():
        for nth, (_, at) in enumerate(sorted(asking)):
            if nth < len(rows_of[payload]):
                found[at] = rows_of[payload][nth]
            else:
                keys[at] = Key.AMBIGUOUS
    return found, [int(key) for key in keys]


def bits(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.unpackbits(one ^ other).sum())


def merge(lists: list[CleanList], vote: str) -> CleanList:
    """One list of several."""
    pictures, rows = join(lists)
    said = np.stack([taken(each.identity, of_list, UNKNOWN) for each, of_list in zip(lists, rows, strict=True)])
    out, known = (said == OUT).sum(axis=0), (said > UNKNOWN).sum(axis=0)
    decided = out >= {"any": np.ones_like(known), "all": known, "majority": known // 2 + 1}[vote]
    people = {"majority": by_majority, "any": by_any, "all": by_all}[vote](said)
    agrees = np.where(decided, said == OUT, said >= 0)
    first = agrees.argmax(axis=0)
    codes = [
        np.stack([taken(getattr(each, name), of_list, 0) for each, of_list in zip(lists, rows, strict=True)])
        for name in ("action_code", "reason_code")
    ]
    action, reason = (code[first, np.arange(len(first))].astype(np.int8) for code in codes)
    knows, says, shift = np.zeros(len(pictures), np.uint64), np.zeros(len(pictures), np.uint64), 0
    for each, of_list, right in zip(lists, rows, agrees, strict=True):
        for at, row in enumerate(of_list.tolist()):
            if row >= 0:
                of_row, same = int(each.known_by[row]), int(each.said_by[row])
                knows[at] |= np.uint64(of_row << shift)
                says[at] |= np.uint64((same if right[at] else of_row & ~same) << shift)
        shift += len(each.about["voters"])
    about = {"voters": [voter for each in lists for voter in each.about["voters"]], "vote": vote}
    return make_list(pictures, action, reason, np.where(decided, OUT, people), about, knows, says)


def join(lists: list[CleanList]) -> tuple[Pictures, np.ndarray]:
    """Every picture once, and the row of each list that speaks of each, (L, U)."""
    whole, rows = lists[0], np.arange(len(lists[0]))[None]
    for listed in lists[1:]:
        found = np.array(find(whole, listed.pictures)[0], np.int64)
        mine = np.full(len(whole), -1, np.int64)
        mine[found[found >= 0]] = np.flatnonzero(found >= 0)
        fresh = np.flatnonzero(found < 0)
        added = np.concatenate([np.full((len(rows), len(fresh)), -1), fresh[None]])
        rows = np.concatenate([np.concatenate([rows, mine[None]]), added], axis=1)
        whole, order = extended(whole, listed, fresh)
        rows = rows[:, order]
    return whole.pictures, rows


def extended(whole: CleanList, listed: CleanList, fresh: np.ndarray) -> tuple[CleanList, np.ndarray]:
    pairs = zip(whole.pictures, listed.pictures, strict=True)
    pictures = Pictures(*(np.concatenate([one, other[fresh]]) for one, other in pairs))
    theirs = listed.identity[fresh]
    shifted = np.where(theirs >= 0, theirs + whole.identity.max(initial=-1) + 1, OUT)
    identity = np.concatenate([whole.identity, shifted])
    order = np.array(sorted(range(len(pictures)), key=lambda row: bytes(pictures.payload_hash[row])), np.int64)
    codes = [np.concatenate([getattr(whole, name), getattr(listed, name)[fresh]])[order]
             for name in ("action_code", "reason_code", "known_by", "said_by")]  # fmt: skip
    return CleanList(pictures.select_rows(order), *codes[:2], identity[order], *codes[2:], whole.about), order


def taken(column: np.ndarray, rows: np.ndarray, missing: int) -> np.ndarray:
    return np.array([missing if row < 0 else int(column[row]) for row in rows.tolist()], np.int64)


def homes(one: np.ndarray, two: np.ndarray, over_half: bool) -> dict[int, int]:
    """The number of the second that most pictures of each number of the first have; of as many the smallest."""
    counts: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for mine, theirs in zip(one.tolist(), two.tolist(), strict=True):
        if min(mine, theirs) >= 0:
            counts[mine][theirs] += 1
    found = {mine: min(each, key=lambda other: (-each[other], other)) for mine, each in counts.items()}
    return {mine: home for mine, home in found.items()
            if not over_half or 2 * counts[mine][home] > sum(counts[mine].values())}  # fmt: skip


def by_majority(said: np.ndarray) -> np.ndarray:
    votes, so_far = said.copy(), said[0].copy()
    for row in range(1, len(said)):
        found, fresh = homes(said[row], so_far, True), max(so_far.max(initial=-1), votes[:row].max(initial=-1)) + 1
        votes[row] = [found.get(who, fresh + who) if who >= 0 else who for who in said[row].tolist()]
        so_far = np.where(so_far >= 0, so_far, votes[row])
    alike = np.stack([((votes == vote) & (vote >= 0)).sum(axis=0) for vote in votes])
    return votes[alike.argmax(axis=0), np.arange(said.shape[1])]


def by_any(said: np.ndarray) -> np.ndarray:
    """Each picture gets the first picture that it hangs together with."""
    groups = [{*np.flatnonzero(row == who).tolist()} for row in said for who in {*row.tolist()} - {OUT, UNKNOWN}]
    for _ in groups:
        for group in groups:
            for other in groups:
                if group & other:
                    group |= other
    return np.array([min((min(group) for group in groups if at in group), default=-1) for at in range(said.shape[1])])


def by_all(said: np.ndarray) -> np.ndarray:
    people = said[0]
    for other in said[1:]:
        mine, theirs, fresh = homes(people, other, False), homes(other, people, False), people.max(initial=-1) + 1
        other = [mine.get(one, -1) if one >= 0 > two else two for one, two in zip(people, other, strict=True)]
        pairs = [
            (theirs.get(two, fresh + two) if one < 0 <= two else one, max(two, -1))
            for one, two in zip(people, other, strict=True)
        ]
        numbers = {pair: at for at, pair in enumerate(dict.fromkeys(pairs))}
        people = numbered(np.array([numbers[pair] if pair[0] >= 0 else -1 for pair in pairs], np.int64))
    return people
