"""The errors facekit raises on purpose. Each message says what is wrong, where, and the cure."""

from __future__ import annotations

import os
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DestinationExists",
    "FacekitError",
    "MissingInput",
    "NoFace",
    "PictureError",
    "RecordError",
    "WrongInput",
    "as_written",
    "did_you_mean",
    "none_of",
]


class FacekitError(Exception):
    """The parent of every error that facekit raises on purpose; the command line turns it into exit code 1."""


class ConfigError(FacekitError, ValueError):
    """An argument or option outside what is allowed; the command line turns it into exit code 2."""


class DestinationExists(ConfigError, FileExistsError):
    """An output would be overwritten without having been asked to."""


class NoFace(FacekitError):
    """A picture on which no mask can be worn.

    Attributes
    ----------
    reason : str
        A short machine-readable word, the one that stands in the ledger: ``"no_face"``, ``"covered"``, ...
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"no mask can be worn here: {reason}" + (f" ({detail})" if detail else ""))
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.reason, self.detail)


class PictureError(FacekitError):
    """A payload that is not a picture, or a picture that cannot be encoded."""


class RecordError(FacekitError):
    """A record, index or pack file that is missing, truncated or corrupt.

    Attributes
    ----------
    problem : str
        What is wrong, without the place.
    path : str
        The file.
    key : int or None
        The record's key, where it is known.
    offset : int or None
        Byte offset in the file, where it is known.
    """

    def __init__(
        self, problem: str, path: str | os.PathLike[str], key: int | None = None, offset: int | None = None
    ) -> None:
        self.problem, self.path, self.key, self.offset = problem, os.fspath(path), key, offset
        where = [self.path] + [f"{n} {v}" for n, v in (("key", key), ("offset", offset)) if v is not None]
        super().__init__(f"{', '.join(where)}: {problem}")

    def __reduce__(self) -> tuple[type, tuple[str, str, int | None, int | None]]:
        return type(self), (self.problem, self.path, self.key, self.offset)


class MissingInput(RecordError, ConfigError):
    """What was named to be read is not there; the command line turns it into exit code 2, whatever it is."""


class WrongInput(RecordError, ConfigError):
    """What was named to be read is of another kind; the command line turns it into exit code 2, whatever it is."""


def as_written(number: float) -> str:
    """A number as people write it, to six digits.

    >>> as_written(0.5), as_written(3.34e-05), as_written(1e-09), as_written(2.0)
    ('0.5', '3.34e-5', '1e-9', '2')
    """
    digits, e, exponent = f"{number:g}".partition("e")
    return f"{digits}e{int(exponent)}" if e else digits


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """The end of a message about a word that is none of those allowed: the nearest, where one is near.

    Parameters
    ----------
    given : str
    allowed : iterable of str

    Examples
    --------
    >>> did_you_mean("n96-cup", ["kn95", "n95-cup"]), did_you_mean("Key", ["key", "label"]), did_you_mean("x", ["key"])
    ("; did you mean 'n95-cup'?", "; did you mean 'key'?", '')
    """
    from difflib import get_close_matches

    words = {word.casefold(): word for word in allowed}
    near = get_close_matches(str(given).casefold(), words, 1)
    return f"; did you mean {words[near[0]]!r}?" if near else ""


def none_of(name: str, given: object, allowed: Iterable[str]) -> ConfigError:
    """The error about a word that is none of those allowed.

    Parameters
    ----------
    name : str
        What it is, such as ``type``.
    given : object
    allowed : iterable of str

    Examples
    --------
    >>> str(none_of("type", "n96-cup", ["kn95", "n95-cup"]))
    "type is 'n96-cup'; it must be one of kn95, n95-cup; did you mean 'n95-cup'?"
    """
    words = list(allowed)
    return ConfigError(f"{name} is {given!r}; it must be one of {', '.join(words)}{did_you_mean(str(given), words)}")
