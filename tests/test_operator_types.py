"""That numba tries numbers and elements first, and finds what it would find without."""

from __future__ import annotations

import operator
from itertools import product
from typing import Any

import pytest
from numba import types
from numba.core.errors import NumbaError
from numba.core.registry import cpu_target
from numba.core.target_extension import get_local_target
from numba.core.utils import order_by_target_specificity

from facekit.operator_types import OPERATIONS, try_numbers_first

NUMBERS = (types.boolean, types.uint8, types.int32, types.int64, types.uint64, types.float32, types.float64)
ROWS, PAIR = types.Array(types.float32, 2, "C"), types.UniTuple(types.int64, 2)
ELEMENTS = {operator.getitem: [(ROWS, types.int64), (ROWS, PAIR)], operator.setitem: [(ROWS, PAIR, types.float64)]}


def templates(operation: Any) -> list[Any]:
    """What numba goes through for an operation, in its order."""
    try_numbers_first()
    context = cpu_target.typing_context
    context.refresh()
    known = context.resolve_value_type(operation)
    return list(order_by_target_specificity(get_local_target(context), known.templates, fnkey=operation))


def found(rules: list[Any], given: tuple[Any, ...]) -> Any:
    """The signature by the first rule that has one."""
    for rule in rules:
        try:
            signature = rule(cpu_target.typing_context).apply(given, {})
        except NumbaError:
            continue
        if signature is not None:
            return signature
    return None


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.__name__)
def test_numbers_and_elements_come_first_and_mean_what_they_did(operation: Any) -> None:
    rules = templates(operation)
    first = [rule for rule in rules if getattr(rule, "metadata", {}).get("target") == "cpu"]
    assert first
    assert rules[: len(first)] == first
    cases = ELEMENTS.get(operation) or [*product(NUMBERS, NUMBERS)]
    signatures = [found(rules, case) for case in cases]
    assert signatures == [found(rules[len(first) :], case) for case in cases]
    assert sum(found(first, case) is not None for case in cases) > len(cases) / 2, "they do decide"
