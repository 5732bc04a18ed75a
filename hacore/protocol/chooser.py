"""Finds the row that fires by asking each fact once at most: what takes thousands of steps at a time needs it.

The rows of a state ask for the same facts again and again. What is left of them once a fact is known is again a list of
rows, a shorter one; so the rows become questions, each about the first fact that still matters, and what the answers
lead to in the end is a row. The questions are made of the guards and of nothing else, so they name the row that
:meth:`hacore.protocol.table.Table.step` names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from hacore.protocol.table import And, Fact, Guard, Not, Or, Row, Table, TableError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """Ask for the fact, and go on with what the answer leads to."""

    fact: Fact
    yes: Choice
    no: Choice


Choice: TypeAlias = "Question | Row | None"
"""What is to be asked next; or the row that fires; or None, if there is no row that holds."""


class Chooser(Generic[T]):
    """A table, and what its facts mean of a subject."""

    def __init__(self, table: Table, meanings: Mapping[Fact, Callable[[T], bool]]) -> None:
        self.table = table
        self._meanings = meanings
        self._functions: dict[str, Callable[[T], Row | None]] = {}
        """By state, made when a subject is first in it."""

    def row(self, state: str, subject: T) -> Row:
        """The row that fires in this state. Raises TableError if there is none."""
        if state not in self._functions:
            self._functions[state] = function(questions(self.table.by_state[state]), self._meanings)
        row = self._functions[state](subject)
        if row is None:
            raise TableError(f"table {self.table.name}: state {state} is final or has no row that holds")
        return row


def questions(rows: Iterable[Row]) -> Choice:
    """The questions by which the first row is found whose guard holds."""
    made: dict[tuple[tuple[Guard | bool, str], ...], Question] = {}

    def first(guards: Iterable[tuple[Guard | bool, Row]]) -> Choice:
        possible = tuple((guard, row) for guard, row in guards if guard is not False)
        if not possible or isinstance(possible[0][0], bool):
            return possible[0][1] if possible else None
        case = tuple((guard, row.id) for guard, row in possible)
        if case not in made:  # different answers often leave the same
            fact = next(possible[0][0].facts())
            yes, no = (first((_known(guard, fact, value), row) for guard, row in possible) for value in (True, False))
            made[case] = Question(fact, yes, no)
        return made[case]

    return first((_known(row.guard), row) for row in rows)


def function(first: Choice, meanings: Mapping[Fact, Callable[[T], bool]]) -> Callable[[T], Row | None]:
    """The questions as one function of Python: an expression of the form ``row1 if fact1(it) else row2 if ...``."""
    names: dict[str, object] = {}

    def text(found: Choice) -> str:
        if isinstance(found, Question):
            names[found.fact.name] = meanings[found.fact]
            return f"({text(found.yes)} if {found.fact.name}(it) else {text(found.no)})"
        name = f"row{id(found)}" if found else "None"
        names[name] = found
        return name

    made: Callable[[T], Row | None] = eval(f"lambda it: {text(first)}", names)
    return made


def _known(guard: Guard | bool, fact: Fact | None = None, value: bool = False) -> Guard | bool:
    """What is left of the guard if the fact is known: a guard without it, or the guard's own value."""
    match guard:
        case Fact():
            return value if guard == fact else guard
        case Not():
            inner = _known(guard.inner, fact, value)
            return not inner if isinstance(inner, bool) else Not(inner)
        case And() | Or():
            left, right = _known(guard.left, fact, value), _known(guard.right, fact, value)
            decisive = isinstance(guard, Or)
            if left is decisive or right is decisive:
                return decisive
            return right if isinstance(left, bool) else left if isinstance(right, bool) else type(guard)(left, right)
    return guard if isinstance(guard, bool) else True
