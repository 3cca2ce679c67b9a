"""What `facekit` exports is enough: every type in the signature of a public name is public, or of Python or numpy."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Iterator
from typing import Any

import pytest

import facekit

PUBLIC = {name: getattr(facekit, name) for name in facekit.__all__}
FOREIGN = {*sys.stdlib_module_names, "numpy"}


def annotated(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A function; or a class, its constructor, and its public methods and properties that facekit defines."""
    yield name, value
    for attribute, member in vars(value).items() if inspect.isclass(value) else ():
        inner = getattr(member, "__func__", None) or getattr(member, "fget", None) or getattr(member, "func", member)
        shown = attribute in ("__init__", "__call__") or not attribute.startswith("_")
        if shown and inspect.isfunction(inner) and inner.__module__ == value.__module__:
            yield f"{name}.{attribute}", inner


def types_in(hint: Any) -> Iterator[type]:
    """Every class that an annotation is made of."""
    if isinstance(hint, type) and not typing.get_origin(hint):
        yield hint
    elif isinstance(hint, list):  # the arguments of a Callable
        for part in hint:
            yield from types_in(part)
    for part in typing.get_args(hint):
        yield from types_in(part)


def hints_of(annotated: Any) -> dict[str, Any]:
    """The annotations as types, those included whose names a module imports for the type checker alone."""
    module = sys.modules[annotated.__module__]
    block = inspect.getsource(module).partition("if TYPE_CHECKING:\n")[2].partition("\n\n")[0]
    scope = vars(module) | {}
    exec(inspect.cleandoc(block), scope)
    return typing.get_type_hints(annotated, globalns=scope)


@pytest.mark.parametrize(("name", "value"), [each for pair in PUBLIC.items() for each in annotated(*pair)])
def test_the_types_of_a_public_signature_are_public(name: str, value: Any) -> None:
    for part, hint in hints_of(value).items():
        for found in types_in(hint):
            known = found.__module__.partition(".")[0] in FOREIGN or found in PUBLIC.values()
            assert known, f"{name} takes or gives {found.__qualname__} ({part}): facekit.__all__ must name it"


def test_private_types_would_be_seen() -> None:
    names = [name for pair in PUBLIC.items() for name, _ in annotated(*pair)]
    assert {"wear_mask", "Worn", "MaskAugment.__init__", "MaskAugment.__call__", "Pack.header_columns"} <= {*names}
    assert facekit.HeaderColumns in types_in(hints_of(facekit.Pack.header_columns)["return"])
    assert facekit.Vectors in types_in(hints_of(facekit.clean_embeddings)["vectors"])
    assert facekit.MaskParams in types_in(hints_of(facekit.Worn)["params"])
