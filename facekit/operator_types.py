"""Let numba try numbers and elements of arrays first where it looks for the types of an operation.

For ``a + b`` numba goes through all that it knows of ``+`` in the order of its own imports: dates, texts, lists, typed
lists and sets among them; numbers and arrays come late. That was a ninth of the time that our kernels take to compile.
What is declared for this kind of processor is tried before what is declared for all, so numba's rules for numbers and
elements are declared a second time here, for this kind: what an operation means does not change.
"""

from __future__ import annotations

import operator
from contextlib import suppress
from typing import Any

__all__ = ["OPERATIONS", "RULES", "try_numbers_first"]

OPERATIONS = (
    *(operator.add, operator.iadd, operator.sub, operator.isub, operator.mul, operator.imul),
    *(operator.truediv, operator.itruediv, operator.floordiv),
    *(operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne),
    *(operator.getitem, operator.setitem),
)
"""Those that kernels are full of."""

RULES = ("BinOp", "CmpOp", "GetItemBuffer", "SetItemBuffer")
"""How the names of numba's classes for them begin."""

_done: list[bool] = []


def try_numbers_first() -> None:
    """Declare the rules, once in a process; a numba that is built in another way is left as it is, and takes longer."""
    if _done:
        return
    _done.append(True)
    with suppress(ImportError, AttributeError, IndexError):
        from numba.core.typing import arraydecl, builtins, templates

        homes = (arraydecl.__name__, builtins.__name__)
        for operation, known in list(templates.builtin_registry.globals):
            if operation in OPERATIONS:
                _declare(operation, known.templates[0].__mro__[1], homes)


def _declare(operation: Any, rule: Any, homes: tuple[str, ...]) -> None:
    from numba.core.typing.templates import infer_global

    if rule.__module__ in homes and rule.__name__.startswith(RULES):
        infer_global(operation)(type(rule.__name__, (rule,), {"metadata": {"target": "cpu"}}))
