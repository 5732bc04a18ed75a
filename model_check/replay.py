"""A run of a model, step by step as a script names them, with all that is discrete as it is and moments as symbols.

Time may pass before any step. So what a replay leaves is a formula: what the steps ask of the moments at which they
happen, and of the durations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, TypeAlias

import z3

from model_check.expr import Bool, Duration, Expr, LangError, Timer, number_of, value_of
from model_check.lang import Action, Field, Model
from model_check.script import parsed

Value: TypeAlias = Any
"""A number, as the type numbers its values; True or False; or where the field is a timer, a real number of Z3."""
OVER = None
"""A moment for which nobody waits."""
Place: TypeAlias = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Happened:
    """One step of a run: its line in the script, and what it changed, by field: what was and what is."""

    line: str
    action: Action
    at: Value
    changes: Mapping[str, tuple[Value, Value]]
    """As people write values; moments are terms."""


@dataclass
class Replay:
    """A script, replayed from the start of a model."""

    model: Model
    script: Sequence[str]
    steps: list[Happened] = field(default_factory=list)
    asked: list[Value] = field(default_factory=list)
    """What must be so of moments and durations."""
    durations: dict[Duration, Value] = field(default_factory=dict)
    refused: str = ""
    """The step that cannot happen, whatever the durations; nothing after it is replayed."""

    def __post_init__(self) -> None:
        self._named = {action.name: action for action in self.model.actions}
        self._now = self._until = z3.RealVal(0)
        self.values: dict[Place, Value] = {
            (it.name, index): _start(it)
            for it in self.model.fields.values()
            for index in product(*(range(domain.size) for domain in it.domains))
        }
        for line in self.script:
            self._step(line)
            if self.refused:
                break

    def holds(self, truth: Expr) -> bool:
        """Whether something that does not depend on time is the case at the end."""
        return bool(self._discrete(truth, {}))

    # ------------------------------------------------------------------------------------------------------ steps

    def _step(self, line: str) -> None:
        action, env = self._parse(line)
        self._let_time_pass()
        if not self._ask(action.guards, env):
            self.refused = f"step {len(self.steps) + 1}, {line}"
            return
        after = self._updated(action, env)
        changes = {
            f"{name}[{','.join(map(str, index))}]" if index else name: (self.shown(name, old), self.shown(name, new))
            for (name, index), new in after.items()
            if not _same(old := self.values[name, index], new)
        }
        self.values |= after
        self.steps.append(Happened(line, action, self._now, changes))

    def _parse(self, line: str) -> tuple[Action, dict[str, int]]:
        name, given = parsed(line)
        action = self._named.get(name)
        if action is None or {param.args[0] for param in action.params} != set(given):
            raise LookupError(f"the model has no action '{line}'")
        return action, given

    def _let_time_pass(self) -> None:
        """As long as one likes, if no deadline bars it. (That none bars the passing of no time is the invariant
        AliveInTime.)"""
        self._until = z3.Real(f"t{len(self.steps) + 1}")
        ticks = [action for action in self.model.actions if action.ticks]
        passes = any(self._ask(action.guards, {}) for action in ticks)
        self.asked.append(self._until >= self._now if passes else self._until == self._now)
        self._now = self._until

    def _ask(self, guards: Iterable[Expr], env: Mapping[str, int]) -> bool:
        """Whether the guards may hold; what they need for it is noted."""
        values = [self._value(guard, env) for guard in guards]
        possible = all(value is not False for value in values)
        self.asked += [value for value in values if possible and z3.is_expr(value)]
        return possible

    def _updated(self, action: Action, env: Mapping[str, int]) -> dict[Place, Value]:
        written: dict[Place, Value] = {}
        for update in action.updates:
            evaluate = self._value if isinstance(update.field.type, Timer) else self._discrete
            for numbers in product(*(range(param.type.size) for param in update.free)):
                inner = {**env, **{it.args[0]: number for it, number in zip(update.free, numbers, strict=True)}}
                place = update.field.name, tuple(self._discrete(it, inner) for it in update.index)
                if place in self.values:  # else it is indexed by None
                    written[place] = evaluate(update.value, inner)
        return written

    def shown(self, name: str, value: Value) -> Value:
        """A field's value as people write it."""
        type_ = self.model.fields[name].type
        return value_of(type_, value) if not isinstance(type_, Timer) else "over" if value is OVER else value

    # ------------------------------------------------------------------------------------------------- evaluation

    def _discrete(self, expr: Expr, env: Mapping[str, int]) -> Value:
        value = self._value(expr, env)
        if z3.is_expr(value):
            raise LangError(f"{expr!r} depends on time")
        return value

    def _value(self, expr: Expr, env: Mapping[str, int]) -> Value:  # noqa: PLR0911, PLR0912 - one case an operator
        if expr.op in ("some", "every"):
            param, body = expr.args
            parts = (self._value(body, {**env, param.args[0]: number}) for number in range(param.type.size))
            return _either(parts) if expr.op == "some" else _both(parts)
        if expr.op == "ite":
            return self._value(expr.args[1 if self._discrete(expr.args[0], env) else 2], env)
        match (expr.op, *(self._value(arg, env) if isinstance(arg, Expr) else arg for arg in expr.args)):
            case "const", number:
                return bool(number) if isinstance(expr.type, Bool) else number
            case "param", name:
                return env[name]
            case ("none",):
                return expr.type.size - 1
            case ("off",):
                return OVER
            case "get", Field() as read, *index:
                sizes = (domain.size for domain in read.domains)
                return self.values[read.name, tuple(min(at, size - 1) for at, size in zip(index, sizes, strict=True))]
            case "after", duration:
                return self._now + self.length(duration)
            case "later", moment, duration:
                return OVER if moment is OVER else moment + self.length(duration)
            case "ahead", moment, by:
                return moment is not OVER and self._now + (self.length(by) if by else 0) < moment
            case "passed", moment:
                return moment is OVER or self._now > moment
            case "outlasts", moment:
                return moment is not OVER and self._until <= moment
            case "next", number:
                return number + 1
            case "less", one, other:
                return one < other
            case "equal", one, other:
                return one == other
            case "and", one, other:
                return _both((one, other))
            case "or", one, other:
                return _either((one, other))
            case "not", part:
                return z3.Not(part) if z3.is_expr(part) else not part
        raise LangError(f"unknown operator {expr.op}")

    def length(self, duration: Duration) -> Value:
        """A duration's symbol."""
        return self.durations.setdefault(duration, z3.Real(duration.name))


def _start(field_: Field) -> Value:
    if isinstance(field_.type, Timer):
        return OVER
    number = number_of(field_.type, field_.initial)
    return bool(number) if isinstance(field_.type, Bool) else number


def _same(one: Value, other: Value) -> bool:
    return bool(one.eq(other)) if z3.is_expr(one) and z3.is_expr(other) else one is other or one == other


def _both(parts: Iterable[Value]) -> Value:
    parts = [part for part in parts if part is not True]
    return False if False in map(_known, parts) else z3.And(*parts) if len(parts) > 1 else parts[0] if parts else True


def _either(parts: Iterable[Value]) -> Value:
    parts = [part for part in parts if part is not False]
    return True if True in map(_known, parts) else z3.Or(*parts) if len(parts) > 1 else parts[0] if parts else False


def _known(part: Value) -> Value:
    return None if z3.is_expr(part) else part
