"""The names under which face sets are published: what somebody means who types one, and what facekit needs instead."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["PublishedSet", "published_set"]


class PublishedSet(NamedTuple):
    """A set as its authors count it."""

    title: str
    images: int
    people: int
    shards: str | None = None
    """Names of the WebDataset shards in which copies of it are passed on."""

    def advice(self, named: str) -> str:
        """What is wrong with this name as a source, and what to give."""
        shards = "" if self.shards is None else f" (its copies as WebDataset are {self.shards})"
        return (
            f"{named} is the name of a set ({self.title}: {self.images:,} pictures of {self.people:,} people), and no "
            f"file: facekit fetches nothing by such names, since its terms are between its owners and you. Give where "
            f"your copy lies: a folder, or an address such as 'hf://datasets/OWNER/NAME/*.tar.gz'{shards}"
        )


_SETS = {
    "ms1mv3": PublishedSet("MS1MV3, also MS1M-RetinaFace", 5_179_510, 93_431, "ms1mv3-{0000..0099}.tar"),
    "ms1mv2": PublishedSet("MS1MV2, also MS1M-ArcFace", 5_822_653, 85_742),
    "glint360k": PublishedSet("Glint360K", 17_091_657, 360_232, "glint360k-{0000..1384}.tar.gz"),
    "webface42m": PublishedSet("WebFace42M", 42_474_557, 2_059_906),
    "webface12m": PublishedSet("WebFace12M", 12_720_066, 617_970),
    "webface4m": PublishedSet("WebFace4M", 4_235_242, 205_990),
}
_OTHER_NAMES = {
    "msceleb1mv3": "ms1mv3",
    "ms1mretinaface": "ms1mv3",
    "ms1mretinafacet1": "ms1mv3",
    "msceleb1mv2": "ms1mv2",
    "ms1marcface": "ms1mv2",
    "emore": "ms1mv2",
    "facesemore": "ms1mv2",
    "glint": "glint360k",
    "webface260m": "webface42m",
}


def published_set(named: str) -> PublishedSet | None:
    """The set that a name means, however it is spelled; None where it is none.

    >>> published_set("MS-Celeb-1M v3").title
    'MS1MV3, also MS1M-RetinaFace'
    >>> published_set("faces/train.rec") is None
    True
    """
    plain = re.sub(r"[\s_.-]", "", named.lower())
    return _SETS.get(_OTHER_NAMES.get(plain, plain))
