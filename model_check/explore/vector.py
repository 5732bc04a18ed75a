"""Ground expressions over many states at once, with numpy.

A :class:`Batch` holds packed states as one array for each word, and evaluates expressions over all of them. The
:class:`Expander` asks the guards as :mod:`model_check.explore.plan` has arranged them, and each only of the states for
which all that stands above it holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from model_check.coding import Instance
from model_check.explore.plan import Block, Fire, Path, Switch, Test, plan, shared, uses
from model_check.explore.result import Words
from model_check.expr import Bool, Expr
from model_check.ground import Ground

Column: TypeAlias = npt.NDArray[np.uint64]
Columns: TypeAlias = tuple[Column, ...]
"""Packed states, one array for each word."""
Rows: TypeAlias = npt.NDArray[np.intp]
ALL_ONES = (1 << 64) - 1
CHUNK = 1 << 15
"""States at a time, where there are many: what is computed of them stays near the processor."""
NUMBER = np.int32
"""Codes, with room for what is added to a counter or timer."""


def columns(states: Words) -> Columns:
    return tuple(np.ascontiguousarray(states[:, word]) for word in range(states.shape[1]))


@dataclass(eq=False)
class Batch:
    """Some states, and the expressions that were evaluated over them.

    A batch made of another one's ``rows`` has the values of the outer one where ``places`` says that an expression is
    to be computed there, once for all the batches inside.
    """

    ground: Ground
    size: int
    places: Mapping[Expr, Path]
    path: Path = ()
    outer: tuple[Batch, Rows] | None = None
    _columns: dict[int, Column] = field(default_factory=dict)
    _values: dict[Expr, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, ground: Ground, columns: Columns, places: Mapping[Expr, Path] | None = None) -> Batch:
        return cls(ground, len(columns[0]), places or {}, _columns=dict(enumerate(columns)))

    def inner(self, rows: Rows, path: Path) -> Batch:
        """The batch of some of the states."""
        return Batch(self.ground, len(rows), self.places, path, (self, rows))

    @property
    def rows(self) -> Rows:
        """Where its states are in the outermost batch."""
        if self.outer is None:
            return np.arange(self.size)
        outer, rows = self.outer
        return outer.rows.take(rows) if outer.outer else rows

    def column(self, word: int) -> Column:
        if word not in self._columns:
            assert self.outer is not None
            outer, rows = self.outer
            self._columns[word] = outer.column(word).take(rows)
        return self._columns[word]

    def where(self, *truths: Expr) -> Rows:
        """The states for which all hold."""
        whole = np.ones(self.size, np.bool_)
        for truth in truths:
            whole &= self.value(truth)
        return np.flatnonzero(whole)

    def truth(self, expr: Expr) -> npt.NDArray[np.bool_]:
        truth: npt.NDArray[np.bool_] = np.broadcast_to(self.value(expr), self.size)
        return truth

    def value(self, expr: Expr) -> Any:
        """One value for each state; of a constant, one for all."""
        known = self._values.get(expr)
        if known is None:
            if self.outer and expr in self.places and len(self.places[expr]) < len(self.path):
                outer, rows = self.outer
                known = outer.value(expr).take(rows)
            else:
                known = self._computed(expr)
            self._values[expr] = known
        return known

    def _computed(self, expr: Expr) -> Any:  # noqa: PLR0911 - one case an operator
        args = expr.args
        match expr.op:
            case "const":
                return np.bool_(args[0]) if isinstance(expr.type, Bool) else NUMBER(args[0])
            case "var":
                return self._slot(args[0])
            case "plus":
                return self.value(args[0]) + NUMBER(args[1])
            case "not":
                return ~self.value(args[0])
            case "and":
                return self.value(args[0]) & self.value(args[1])
            case "or":
                return self.value(args[0]) | self.value(args[1])
            case "equal":
                return self.value(args[0]) == self.value(args[1])
            case "less":
                return self.value(args[0]) < self.value(args[1])
        return np.where(self.value(args[0]), self.value(args[1]), self.value(args[2]))

    def _slot(self, number: int) -> npt.NDArray[Any]:
        slot = self.ground.slots[number]
        if not slot.bits:
            return np.zeros(self.size, NUMBER)
        column, mask = self.column(slot.word), (1 << slot.bits) - 1
        if isinstance(slot.field.type, Bool):
            truth: npt.NDArray[Any] = (column & np.uint64(mask << slot.shift)) != 0
            return truth
        codes = column >> np.uint64(slot.shift)
        codes &= np.uint64(mask)
        values: npt.NDArray[Any] = codes.astype(NUMBER)
        return values


class Expander:
    """The steps of a model from many states at once."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self._block = plan(ground)
        found = shared(uses(self._block))
        self._places = {expr: path for path, exprs in found.items() for expr in exprs}

    def steps(self, states: Columns) -> Iterator[tuple[Instance, Batch, Columns]]:
        """Each instance that may fire in some of the states: in which, and to where that leads."""
        yield from self._steps(self._block, Batch.of(self.ground, states, self._places))

    def _steps(self, block: Block, batch: Batch) -> Iterator[tuple[Instance, Batch, Columns]]:
        for at, node in enumerate(block):
            path = (*batch.path, (at,))
            match node:
                case Fire(instance=instance, rest=rest):
                    fired = batch.inner(batch.where(*rest), path)
                    if fired.size:
                        yield instance, fired, self._after(instance, fired)
                case Test(condition=condition, body=body):
                    held = batch.inner(batch.where(condition), path)
                    if held.size:
                        yield from self._steps(body, held)
                case Switch(var=var, cases=cases):
                    codes = batch.value(var)
                    for code, body in cases.items():
                        held = batch.inner(np.flatnonzero(codes == code), (*batch.path, (at, code)))
                        if held.size:
                            yield from self._steps(body, held)

    def _after(self, instance: Instance, batch: Batch) -> Columns:
        kept, bits = [ALL_ONES] * self.ground.words, [0] * self.ground.words
        terms: list[list[Column]] = [[] for _ in kept]
        for number, value in instance.updates.items():
            slot = self.ground.slots[number]
            kept[slot.word] &= ~(((1 << slot.bits) - 1) << slot.shift)
            if value.op == "const":
                bits[slot.word] |= value.args[0] << slot.shift
            else:
                terms[slot.word].append(batch.value(value).astype(np.uint64) << np.uint64(slot.shift))
        after = []
        for word, more in enumerate(terms):
            column = batch.column(word)
            if kept[word] != ALL_ONES:
                column = column & np.uint64(kept[word])
                column |= np.uint64(bits[word])
                for term in more:
                    column |= term
            after.append(column)
        return tuple(after)
