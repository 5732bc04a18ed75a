"""Values coded as small as they can be.

:class:`Values` finds out which values each field can have at all: from the initial state on, whatever an action that
may fire can write, until nothing is added. That leaves out no reachable state. Actions that can never fire disappear,
fields that never change become constants, and an enumeration of forty states takes only the bits of those that are
reached. So a model can be declared with everything in it, and costs what is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from model_check.expr import (
    BOOL,
    FALSE,
    TRUE,
    Bool,
    Count,
    Expr,
    LangError,
    Timer,
    any_of,
    conjunction,
    disjunction,
    ite,
    negation,
    value_of,
)
from model_check.lang import Action, Field
from model_check.unroll import Unrolled, constant, less, plus, same

WORD = 64


@dataclass(frozen=True)
class Slot:
    """One variable of the ground model, and where it lies in a packed state."""

    number: int
    field: Field
    index: tuple[int, ...]
    values: tuple[int, ...]
    """The values it can have; a packed state holds the place of its value in this tuple."""
    word: int
    shift: int

    @property
    def bits(self) -> int:
        return (len(self.values) - 1).bit_length()

    @property
    def name(self) -> str:
        return f"{self.field.name}[{','.join(map(str, self.index))}]" if self.index else self.field.name

    def shown(self, code: int) -> object:
        """The value that a code stands for, as people write it."""
        return value_of(self.field.type, self.values[code])


@dataclass(frozen=True)
class Instance:
    """One action with its parameters filled in; ``updates`` gives each slot that may change its new value."""

    number: int
    action: Action
    binding: tuple[tuple[str, int], ...]
    guard: Expr
    updates: Mapping[int, Expr]

    @property
    def name(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.binding)
        return f"{self.action.name}({given})" if given else self.action.name


class Values:
    """The values that each field can have, at most: the least sets closed under the actions that may fire."""

    def __init__(self, raw: Unrolled) -> None:
        self.raw = raw
        self.of: dict[str, set[int]] = {field_.name: set() for field_ in raw.model.fields.values()}
        for (field_, _), number in zip(raw.places, raw.initial, strict=True):
            self.of[field_.name] |= set(range(field_.type.size)) if field_.chosen else {number}
        grown = True
        while grown:
            grown, self._memo = False, {}
            for _, _, guard, updates in raw.instances:
                if 1 in self.possible(guard):
                    for slot, expr in updates.items():
                        field_ = raw.places[slot][0]
                        found = self._kept(field_, self.possible(expr))
                        grown |= not found <= self.of[field_.name]
                        self.of[field_.name] |= found
        self._memo = {}
        for field_ in raw.model.fields.values():
            if isinstance(field_.type, Count | Timer):
                self.of[field_.name] = set(range(max(self.of[field_.name]) + 1))

    _memo: dict[int, frozenset[int]]

    @staticmethod
    def _kept(field_: Field, numbers: Iterable[int]) -> set[int]:
        """What a field holds when these are written: past its end a counter or timer stays there."""
        last, stays = field_.type.size - 1, isinstance(field_.type, Count | Timer)
        return {min(number, last) for number in numbers if number >= 0 and (stays or number <= last)}

    def possible(self, expr: Expr) -> frozenset[int]:
        known = self._memo.get(expr.id)
        if known is None:
            known = self._memo[expr.id] = frozenset(self._possible(expr))
        return known

    def _possible(self, expr: Expr) -> Iterator[int]:  # noqa: PLR0912 - one case an operator
        args = expr.args
        match expr.op:
            case "const":
                yield args[0]
            case "var":
                yield from self.of[self.raw.places[args[0]][0].name]
            case "plus":
                yield from (number + args[1] for number in self.possible(args[0]))
            case "not":
                yield from (1 - number for number in self.possible(args[0]))
            case "and" | "or":
                decides, left = int(expr.op == "or"), self.possible(args[0])
                if decides in left:
                    yield decides
                if 1 - decides in left:
                    yield from self.possible(args[1])
            case "ite":
                for number in self.possible(args[0]):
                    yield from self.possible(args[2 - number])
            case _:
                left, right = self.possible(args[0]), self.possible(args[1])
                if expr.op == "less":
                    yield from {int(a < b) for a in (min(left), max(left)) for b in (min(right), max(right))}
                else:
                    if left & right:
                        yield 1
                    if len(left | right) > 1:
                        yield 0


# ---------------------------------------------------------------------------------------------------------- coding


class Coder:
    """Ground expressions over codes: the place of each value among those that its field can have."""

    def __init__(self, raw: Unrolled, values: Values) -> None:
        self.raw, self.values = raw, values
        self.codes = {name: tuple(sorted(numbers)) for name, numbers in values.of.items()}
        self.slots = tuple(self._layout())
        self._memo: dict[int, Expr] = {}

    def _layout(self) -> Iterator[Slot]:
        word = shift = 0
        for number, (field_, index) in enumerate(self.raw.places):
            values = self.codes[field_.name]
            bits = (len(values) - 1).bit_length()
            if shift + bits > WORD:
                word, shift = word + 1, 0
            yield Slot(number, field_, index, values, word, shift)
            shift += bits

    def alive(self) -> list[tuple[Action, dict[str, int], Expr, dict[int, Expr]]]:
        """The instances of the unrolled model that may fire, as far as can be seen here."""
        return [instance for instance in self.raw.instances if self.code(instance[2]) is not FALSE]

    def instances(self) -> Iterator[Instance]:
        number = 0
        for action, binding, guard, updates in self.raw.instances:
            coded = self.code(guard)
            if coded is not FALSE:
                new = {slot: self._encoded(expr, self.raw.places[slot][0]) for slot, expr in updates.items()}
                changes = {slot: expr for slot, expr in new.items() if expr is not self.raw.var(slot)}
                moving = {slot: expr for slot, expr in changes.items() if self.slots[slot].bits}
                yield Instance(number, action, tuple(binding.items()), coded, moving)
                number += 1

    def code(self, expr: Expr) -> Expr:
        """A truth, over codes."""
        known = self._memo.get(expr.id)
        if known is None:
            possible = self.values.possible(expr)
            known = self._code(expr) if len(possible) > 1 else TRUE if 1 in possible else FALSE
            self._memo[expr.id] = known
        return known

    def _code(self, expr: Expr) -> Expr:
        args = expr.args
        match expr.op:
            case "var":
                return expr
            case "not":
                return negation(self.code(args[0]))
            case "and":
                return conjunction(self.code(args[0]), self.code(args[1]))
            case "or":
                return disjunction(self.code(args[0]), self.code(args[1]))
            case "less":
                return Expr("less", (self._plain(args[0]), self._plain(args[1])), BOOL)
            case "equal":
                return self._equal(args[0], args[1])
        raise LangError(f"{expr!r} is no truth")

    def _plain(self, expr: Expr) -> Expr:
        """A timer or counter, whose codes are its values."""
        if expr.op == "ite":
            return ite(self.code(expr.args[0]), self._plain(expr.args[1]), self._plain(expr.args[2]))
        return plus(self._plain(expr.args[0]), expr.args[1]) if expr.op == "plus" else expr

    def _equal(self, left: Expr, right: Expr) -> Expr:
        for one, other in ((left, right), (right, left)):
            if one.op == "ite":
                then, otherwise = (same(part, other) for part in one.args[1:])
                condition = self.code(one.args[0])
                return (condition & self.code(then)) | (~condition & self.code(otherwise))
        if isinstance(left.type, Count | Timer):
            return Expr("equal", (self._plain(left), self._plain(right)), BOOL)
        if isinstance(left.type, Bool):
            one, other = self.code(left), self.code(right)
            return (one & other) | (~one & ~other)
        both = sorted(self.values.possible(left) & self.values.possible(right))
        return any_of(self._is(left, number) & self._is(right, number) for number in both)

    def _is(self, expr: Expr, number: int) -> Expr:
        if expr.op == "const":
            return TRUE if expr.args[0] == number else FALSE
        codes = self.codes[self.raw.places[expr.args[0]][0].name]
        if len(codes) == 1:
            return TRUE
        if isinstance(expr.type, Bool):
            return expr if number else negation(expr)
        return Expr("equal", (expr, constant(codes.index(number), expr.type)), BOOL)

    def _encoded(self, expr: Expr, field_: Field) -> Expr:
        """A value as the code that ``field_`` has for it."""
        if isinstance(field_.type, Bool):
            return self.code(expr)
        if isinstance(field_.type, Count | Timer):
            return self._clipped(self._plain(expr), field_)
        codes = self.codes[field_.name]
        match expr.op:
            case "const":
                return constant(codes.index(expr.args[0]) if expr.args[0] in codes else 0, field_.type)
            case "ite":
                condition = self.code(expr.args[0])
                return ite(condition, *(self._encoded(part, field_) for part in expr.args[1:]))
            case "var" if self.codes[self.raw.places[expr.args[0]][0].name] == codes:
                return expr if len(codes) > 1 else constant(0, field_.type)
            case "var":
                return self._translated(expr, field_)
        raise LangError(f"{expr!r} cannot be written to {field_.name}")

    def _translated(self, var: Expr, field_: Field) -> Expr:
        codes = self.codes[field_.name]
        numbers = [number for number in sorted(self.values.possible(var)) if number in codes]
        chosen = constant(codes.index(numbers[-1]) if numbers else 0, field_.type)
        for number in numbers[:-1]:
            chosen = ite(self._is(var, number), constant(codes.index(number), field_.type), chosen)
        return chosen

    def _clipped(self, expr: Expr, field_: Field) -> Expr:
        """Past its end a counter or timer stays there."""
        if expr.op == "ite":
            return ite(expr.args[0], *(self._clipped(part, field_) for part in expr.args[1:]))
        last = self.codes[field_.name][-1]
        if max(self.values.possible(expr)) <= last:
            return expr
        end = constant(last, field_.type)
        return ite(less(end, expr), end, expr)
