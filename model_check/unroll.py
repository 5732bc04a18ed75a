"""Indices filled in and quantifiers unrolled: what is left is ``const var equal less plus and or not ite``.

A *place* is a field at one index; ``var k`` is the place number k. Values are still those by which the types number
them; :mod:`model_check.coding` makes them small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

from model_check.expr import (
    BOOL,
    FALSE,
    TRUE,
    Bool,
    Expr,
    LangError,
    Ref,
    Timer,
    Type,
    all_of,
    any_of,
    conjunction,
    disjunction,
    equal,
    ite,
    negation,
    number_of,
)
from model_check.lang import Action, Field, Model


def less(left: Expr, right: Expr) -> Expr:
    if left.op == right.op == "const":
        return TRUE if left.args[0] < right.args[0] else FALSE
    return Expr("less", (left, right), BOOL)


def plus(expr: Expr, by: int) -> Expr:
    if expr.op == "const":
        return Expr("const", (expr.args[0] + by,), expr.type)
    if expr.op == "ite":
        return ite(expr.args[0], plus(expr.args[1], by), plus(expr.args[2], by))
    return Expr("plus", (expr, by), expr.type)


def constant(value: int, type_: Type) -> Expr:
    return Expr("const", (value,), type_)


class Unrolled:
    """Slots and instances over the values as the types number them."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.places = [
            (field_, index)
            for field_ in model.fields.values()
            for index in product(*(range(domain.size) for domain in field_.domains))
        ]
        self.slot = {(field_.name, index): place for place, (field_, index) in enumerate(self.places)}
        self.initial = [number_of(field_.type, field_.initial) for field_, _ in self.places]
        self._free: dict[int, tuple[str, ...]] = {}
        self._memo: dict[tuple[int, tuple[int, ...]], Expr] = {}
        self.instances = list(self._instances())

    def _instances(self) -> Iterator[tuple[Action, dict[str, int], Expr, dict[int, Expr]]]:
        for action in self.model.actions:
            names = [param.args[0] for param in action.params]
            for numbers in product(*(range(param.type.size) for param in action.params)):
                binding = dict(zip(names, numbers, strict=True))
                guard = all_of(self.ground(part, binding) for part in action.guards)
                if guard is not FALSE:
                    yield action, binding, guard, self._updates(action, binding)

    def _updates(self, action: Action, binding: dict[str, int]) -> dict[int, Expr]:
        updates: dict[int, Expr] = {}
        if action.ticks:
            updates.update(self._lapse())
        for update in action.updates:
            for numbers in product(*(range(param.type.size) for param in update.free)):
                env = {**binding, **{p.args[0]: n for p, n in zip(update.free, numbers, strict=True)}}
                index = [self.ground(part, env) for part in update.index]
                value = self.ground(update.value, env)
                for target in product(*(range(domain.size) for domain in update.field.domains)):
                    hit = all_of(equal(at, constant(to, at.type)) for at, to in zip(index, target, strict=True))
                    if hit is FALSE:
                        continue
                    slot = self.slot[update.field.name, target]
                    if slot in updates:
                        raise LangError(f"{action.name} may write {update.field.name}{list(target)} twice")
                    updates[slot] = ite(hit, value, self.var(slot))
        return {slot: expr for slot, expr in updates.items() if expr is not self.var(slot)}

    def _lapse(self) -> Iterator[tuple[int, Expr]]:
        for slot, (field_, _) in enumerate(self.places):
            if isinstance(field_.type, Timer):
                var = self.var(slot)
                over = equal(var, constant(0, field_.type))
                yield slot, Expr("ite", (over, var, Expr("plus", (var, -1), field_.type)), field_.type)

    def var(self, slot: int) -> Expr:
        return Expr("var", (slot,), self.places[slot][0].type)

    def _free_names(self, expr: Expr) -> tuple[str, ...]:
        known = self._free.get(expr.id)
        if known is None:
            if expr.op == "param":
                known = (expr.args[0],)
            else:
                names = {name for arg in expr.args if isinstance(arg, Expr) for name in self._free_names(arg)}
                if expr.op in ("some", "every"):
                    names.discard(expr.args[0].args[0])
                known = tuple(sorted(names))
            self._free[expr.id] = known
        return known

    def ground(self, expr: Expr, env: Mapping[str, int]) -> Expr:
        key = (expr.id, tuple(env[name] for name in self._free_names(expr)))
        known = self._memo.get(key)
        if known is None:
            known = self._memo[key] = self._ground(expr, env)
        return known

    def _ground(self, expr: Expr, env: Mapping[str, int]) -> Expr:  # noqa: PLR0911, PLR0912 - one case an operator
        args = expr.args

        def go(part: Expr) -> Expr:
            return self.ground(part, env)

        match expr.op:
            case "const":
                return expr
            case "param":
                return constant(env[args[0]], expr.type)
            case "none":
                assert isinstance(expr.type, Ref)
                return constant(expr.type.domain.size, expr.type)
            case "off":
                return constant(0, expr.type)
            case "after":
                return constant(args[0].ticks, expr.type)
            case "later":
                return plus(go(args[0]), args[1].ticks)
            case "next":
                return plus(go(args[0]), 1)
            case "ahead":
                return less(constant(args[1].ticks if args[1] else 0, args[0].type), go(args[0]))
            case "outlasts":
                return less(constant(1, args[0].type), go(args[0]))
            case "passed":
                return negation(less(constant(0, args[0].type), go(args[0])))
            case "no_later":
                return negation(less(go(args[1]), go(args[0])))
            case "less":
                return less(go(args[0]), go(args[1]))
            case "equal":
                return same(go(args[0]), go(args[1]))
            case "and":
                return conjunction(go(args[0]), go(args[1]))
            case "or":
                return disjunction(go(args[0]), go(args[1]))
            case "not":
                return negation(go(args[0]))
            case "ite":
                return ite(go(args[0]), go(args[1]), go(args[2]))
            case "get":
                return self._select(args[0], [go(part) for part in args[1:]], ())
            case "some" | "every":
                parameter, body = args
                parts = (self.ground(body, {**env, parameter.args[0]: n}) for n in range(parameter.type.size))
                return any_of(parts) if expr.op == "some" else all_of(parts)
        raise LangError(f"unknown operator {expr.op}")

    def _select(self, field_: Field, index: list[Expr], done: tuple[int, ...]) -> Expr:
        if not index:
            return self.var(self.slot[field_.name, done])
        at, size = index[0], field_.domains[len(done)].size
        if at.op == "const":
            return self._select(field_, index[1:], (*done, min(at.args[0], size - 1)))
        chosen = self._select(field_, index[1:], (*done, size - 1))
        for at_number in reversed(range(size - 1)):
            here = self._select(field_, index[1:], (*done, at_number))
            chosen = ite(same(at, constant(at_number, at.type)), here, chosen)
        return chosen


def same(left: Expr, right: Expr) -> Expr:
    """Equal numbers, whatever the types: a reference that may be None and one that may not number alike."""
    if left.op == right.op == "const":
        return TRUE if left.args[0] == right.args[0] else FALSE
    if left is right:
        return TRUE
    if isinstance(left.type, Bool):
        return equal(left, right)
    if left.op == "const" or (right.op != "const" and left.id > right.id):
        left, right = right, left
    return Expr("equal", (left, right), BOOL)
