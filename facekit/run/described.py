"""A dataclass of settings -> its fields with type or choices, default and meaning, from its numpydoc docstring."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any

__all__ = ["Described", "described_fields"]

_ENTRY = re.compile(r"^([A-Za-z_]\w*(?:, \w+)*) : (.+)$")
_SECTION = re.compile(r"^\w[\w ]*\n-{3,}$", re.M)


@dataclass(frozen=True)
class Described:
    """A field.

    Attributes
    ----------
    name : str
    kind : str
        Its type or choices, as the docstring has them.
    default : str
        As a recipe or ``--set`` writes it; empty where it must be given.
    meaning : str
        One paragraph, with unit and range; empty where the docstring says nothing.
    """

    name: str
    kind: str
    default: str
    meaning: str


def described_fields(settings: type) -> list[Described]:
    """The fields of a dataclass or named tuple, as the section Attributes of its docstring has them.

    Parameters
    ----------
    settings : type
        A dataclass, or a named tuple.

    Returns
    -------
    list of Described

    Examples
    --------
    >>> [(one.name, one.kind) for one in described_fields(Described)][:2]
    [('name', 'str'), ('kind', 'str')]
    """
    said = _attributes(inspect.getdoc(settings) or "")
    if not is_dataclass(settings):
        types, defaults = settings.__annotations__, getattr(settings, "_field_defaults", {})
        plain = [(name, str(kind), _written(defaults.get(name))) for name, kind in types.items()]
    else:
        plain = [(one.name, str(one.type), _default(one)) for one in fields(settings)]
    return [Described(name, said.get(name, (kind, ""))[0], default, said.get(name, ("", ""))[1])
            for name, kind, default in plain]  # fmt: skip


def _attributes(doc: str) -> dict[str, tuple[str, str]]:
    """Name to kind and meaning."""
    _, _, rest = doc.partition("Attributes\n----------\n")
    end = _SECTION.search(rest)
    found: dict[str, tuple[str, str]] = {}
    names: list[str] = []
    for line in (rest[: end.start()] if end else rest).splitlines():
        entry = _ENTRY.match(line)
        if entry:
            names = entry[1].split(", ")
            found |= dict.fromkeys(names, (entry[2], ""))
        elif line.strip():
            for name in names:
                found[name] = found[name][0], f"{found[name][1]} {line.strip()}".strip()
    return found


def _default(field: Any) -> str:
    if field.default is not MISSING:
        return _written(field.default)
    return "" if field.default_factory is MISSING else _written(field.default_factory())


def _written(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ",".join(map(_written, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)
