"""Expressions without what is settled: by fields that never change, and by values that a field never has.

What is left is still symbolic, and equal to what it was in every state that can be reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from model_check.expr import (
    FALSE,
    TRUE,
    Enum,
    Expr,
    Ref,
    conjunction,
    disjunction,
    ite,
    less,
    lift,
    negation,
    value_of,
)
from model_check.unroll import same


def open_in(expr: Expr) -> dict[Expr, None]:
    """The parameters that no quantifier binds, in order."""
    if expr.op == "param":
        return {expr: None}
    found = {param: None for arg in expr.args if isinstance(arg, Expr) for param in open_in(arg)}
    if expr.op in {"some", "every"}:
        found.pop(expr.args[0], None)
    return found


class Folder:
    """Folds with the values, as numbers, that each field can have."""

    def __init__(self, values: Mapping[str, Sequence[int]]) -> None:
        self.values = values
        self._known: dict[Expr, Expr] = {}

    def fold(self, expr: Expr) -> Expr:
        known = self._known.get(expr)
        if known is None:
            known = self._known[expr] = self._fold(expr)
        return known

    def _fold(self, expr: Expr) -> Expr:  # noqa: PLR0911 - one case an operator
        args = tuple(self.fold(arg) if isinstance(arg, Expr) else arg for arg in expr.args)
        match expr.op:
            case "get" if len(numbers := self.values[expr.args[0].name]) == 1:
                return lift(value_of(expr.type, numbers[0]), expr.type)
            case "and":
                return conjunction(*args)
            case "or":
                return disjunction(*args)
            case "not":
                return negation(*args)
            case "ite":
                return ite(*args)
            case "equal":
                return FALSE if self._differ(*args) else same(*args)
            case "less":
                return less(*args)
            case "some" | "every" if args[0] not in open_in(args[1]):
                return args[1]
            case "ahead" if args[0].op == "const":
                return TRUE if args[0].args[0] > (args[1].ticks if args[1] else 0) else FALSE
            case "passed" if args[0].op == "const":
                return TRUE if args[0].args[0] == 0 else FALSE
            case "next" if args[0].op == "const":
                return args[0].next()
        return Expr(expr.op, args, expr.type)

    def _differ(self, *sides: Expr) -> bool:
        left, right = map(self._numbers, sides)
        return bool(left and right) and not left & right

    def _numbers(self, expr: Expr) -> set[int]:
        """What a name or an element may be; nothing if that is not known."""
        found: Iterable[int] = ()
        match expr.op, expr.type:
            case "const", Enum() | Ref():
                found = expr.args
            case "none", Ref(domain=domain):
                found = [domain.size]
            case "param", Ref(domain=domain):
                found = range(domain.size)
            case "get", Enum() | Ref():
                found = self.values[expr.args[0].name]
            case "ite", Enum() | Ref():
                found = self._numbers(expr.args[1]) | self._numbers(expr.args[2])
        return set(found)
