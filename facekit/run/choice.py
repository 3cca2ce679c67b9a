"""Who does the shards of a job, as a user chooses it: this machine or a Ray cluster, all of them or one part."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from facekit.errors import ConfigError, none_of

__all__ = ["ENGINES", "LOCAL", "ExecutorChoice", "Part", "PartDone", "PartFinished", "given_settings", "parse_part"]

ENGINES = ("local", "ray")


class Part(NamedTuple):
    """One of ``of`` processes that share the shards of a job; ``number`` counts from 1.

    >>> [Part(2, 3).takes(shard) for shard in range(6)]
    [False, True, False, False, True, False]
    """

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def takes(self, shard: int) -> bool:
        """Whether the shard of this number, from 0, is its to do; every shard is one part's."""
        return shard % self.of == self.number - 1


def parse_part(text: str) -> Part:
    """A part as it is written on a command line.

    >>> parse_part("2/16")
    Part(number=2, of=16)

    Raises
    ------
    ConfigError
        It is none.
    """
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    part = Part(int(found[1]), int(found[2])) if found else None
    if part is None or not 1 <= part.number <= part.of:
        raise ConfigError(f"part is {text!r}; write which of how many, from 1/N to N/N, such as 1/4")
    return part


@dataclass(frozen=True)
class ExecutorChoice:
    """Who does the shards. No byte of an output depends on it.

    Attributes
    ----------
    engine : {"local", "ray"}
        Processes on this machine, or a Ray cluster.
    address : str, optional
        Of the Ray cluster; None: the one that ``RAY_ADDRESS`` names, or this machine belongs to, else a new one.
    part : Part, optional
        Do this share of the shards only and publish nothing.

    Raises
    ------
    ConfigError
        There is no such engine, or an address was given for one that has none.
    """

    engine: str = "local"
    address: str | None = None
    part: Part | None = None

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise none_of("engine", self.engine, ENGINES)
        if self.address is not None and self.engine != "ray":
            raise ConfigError("address is that of a Ray cluster: give --engine ray too, or leave it out")

    @property
    def is_shared(self) -> bool:
        """Whether others than this process do shards, whatever the number of workers."""
        return self.engine != "local" or self.part is not None


LOCAL = ExecutorChoice()


class PartDone(NamedTuple):
    """What a part of a job did.

    Attributes
    ----------
    part : Part
    staging : str
        Where the finished shards lie.
    shards, records : int
        Done now.
    finished, total : int
        Shards of the whole job that are finished, by whomever, and all there are.
    """

    part: Part
    staging: str
    shards: int
    records: int
    finished: int
    total: int


class PartFinished(Exception):
    """Raised by a job that was asked for a part, when its share is done: there is no output to summarise yet.

    It is no error. The command line reports it and ends with exit code 0.

    Attributes
    ----------
    done : PartDone
    """

    def __init__(self, done: PartDone) -> None:
        super().__init__(f"part {done.part} is done; the same without a part does what is missing and publishes")
        self.done = done


def given_settings(config: Any) -> dict[str, Any]:
    """The fields of a config that may decide bytes of an output: who works, and whether it may be replaced, do not.

    Parameters
    ----------
    config : dataclass
    """
    given = asdict(config)
    for name in ("workers", "executor", "overwrite"):
        given.pop(name, None)
    return given
