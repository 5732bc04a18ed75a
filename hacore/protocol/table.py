"""Transition tables: facts, guards, rows, and the one rule that reads them.

1. A table is data. Nothing that a daemon decides is written anywhere but in a row.
2. A row names the state it leaves, the guard under which it fires, the state it enters and what it does.
   **The first row of a state whose guard holds fires.** Its id is the same word in the table, the trace, the
   model, the diagram and the docs, and never changes its meaning.
3. Every state is total: its last row always holds, so "stay" is a row like any other. Only final states have none.
4. A fact is a named boolean. It says in one sentence what is the case, and it says *who vouches for it*
   (:class:`Checker`), because a thing that was true when it was read need not be true when it is acted upon.
5. A row has at most one effect outside its process. What needs two effects is two rows with a state between them,
   so that a process may be paused, killed or cut off between any two of them and the table still says what holds.
6. A row with an effect is guarded by the daemon's own memory and its own devices only, never by a document that was
   merely read. What the store must check, it checks in the transaction that carries the effect: that is ``given``.

Guards and actions are names here; each reader gives them a meaning of its own: a daemon computes facts from answers
and turns actions into requests, the closed model gives each name a formula, a diagram prints it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, NoReturn

NO_TRUTH_VALUE = (
    "a guard has no truth value of its own: combine guards with & | ~ (and parentheses), "
    "and ask Guard.holds(facts) for a value"
)


class TableError(ValueError):
    """A table breaks its own rules; the message names the row or state and says what to change."""


class Checker(StrEnum):
    """Who vouches for a fact at the moment a row fires."""

    LOCAL = "local"
    """The process's own memory, answers to its own requests included."""
    READ = "read"
    """A document as it was just read; somebody may have changed it since."""
    STORE = "store"
    """The store, in the transaction that carries the row's effect."""
    DEVICE = "device"
    """A device of this node, asked just now."""


class Site(StrEnum):
    """Where an action takes effect."""

    LOCAL = "local"
    """Only in the memory of the process: no effect outside it."""
    STORE = "store"
    DEVICE = "device"
    SERVICE = "service"
    """A service of this node, or the worker process that handles it."""


class Guard:
    """A condition over facts. Built with ``&``, ``|`` and ``~``."""

    __slots__ = ()

    def __and__(self, other: Guard) -> Guard:
        return And(self, _guard(other))

    def __or__(self, other: Guard) -> Guard:
        return Or(self, _guard(other))

    def __invert__(self) -> Guard:
        return Not(self)

    def __bool__(self) -> NoReturn:
        raise TypeError(NO_TRUTH_VALUE)

    def holds(self, fact: Callable[[Fact], bool]) -> bool:
        """Whether the guard holds, given the value of each fact."""
        raise NotImplementedError

    def facts(self) -> Iterator[Fact]:
        """The facts that the guard looks at, in the order of the text."""
        raise NotImplementedError


def _guard(value: object) -> Guard:
    if not isinstance(value, Guard):
        raise TypeError(f"{value!r} is not a guard; {NO_TRUTH_VALUE}")
    return value


@dataclass(frozen=True)
class Fact(Guard):
    """A named boolean about what a daemon can see."""

    name: str
    checker: Checker = field(compare=False)
    sentence: str = field(compare=False)

    def __hash__(self) -> int:
        return hash(self.name)

    def holds(self, fact: Callable[[Fact], bool]) -> bool:
        return fact(self)

    def facts(self) -> Iterator[Fact]:
        yield self

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Not(Guard):
    inner: Guard

    def holds(self, fact: Callable[[Fact], bool]) -> bool:
        return not self.inner.holds(fact)

    def facts(self) -> Iterator[Fact]:
        return self.inner.facts()

    def __str__(self) -> str:
        return f"~{self.inner}" if isinstance(self.inner, Fact) else f"~({self.inner})"


@dataclass(frozen=True)
class And(Guard):
    left: Guard
    right: Guard

    def holds(self, fact: Callable[[Fact], bool]) -> bool:
        return self.left.holds(fact) and self.right.holds(fact)

    def facts(self) -> Iterator[Fact]:
        yield from self.left.facts()
        yield from self.right.facts()

    def __str__(self) -> str:
        return " & ".join(f"({part})" if isinstance(part, Or) else str(part) for part in (self.left, self.right))


@dataclass(frozen=True)
class Or(Guard):
    left: Guard
    right: Guard

    def holds(self, fact: Callable[[Fact], bool]) -> bool:
        return self.left.holds(fact) or self.right.holds(fact)

    def facts(self) -> Iterator[Fact]:
        yield from self.left.facts()
        yield from self.right.facts()

    def __str__(self) -> str:
        return f"{self.left} | {self.right}"


@dataclass(frozen=True)
class _Always(Guard):
    def holds(self, fact: Callable[[Fact], bool]) -> bool:
        return True

    def facts(self) -> Iterator[Fact]:
        return iter(())

    def __str__(self) -> str:
        return "always"


ALWAYS: Guard = _Always()
"""The guard of a state's last row."""


@dataclass(frozen=True)
class Action:
    """A named thing that a row does. ``site`` says where it takes effect."""

    name: str
    site: Site = field(compare=False)
    sentence: str = field(compare=False)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class State:
    """A state of a table. A phase is a state within a state: ``shown`` is what an operator sees of it."""

    name: str
    sentence: str
    within: str = ""
    final: bool = False

    @property
    def shown(self) -> str:
        return self.within or self.name


@dataclass(frozen=True)
class Row:
    """One transition. ``given`` holds what the store must find true in the same transaction as the effect."""

    id: str
    state: str
    guard: Guard
    target: str
    do: tuple[Action, ...] = ()
    given: tuple[Fact, ...] = ()
    ends_round: bool = False
    why: str = ""

    @property
    def effect(self) -> Action | None:
        """The row's one effect outside the process, if it has any."""
        return next((action for action in self.do if action.site is not Site.LOCAL), None)


@dataclass(frozen=True, eq=False)
class Table:
    """Rows in order, and the states between which they lead.

    Raises :class:`TableError` when a name is unknown or used twice, a state cannot be left, or a row has two effects.
    What needs a solver (rows that can never fire) is left to ``hacore lint``.
    """

    name: str
    theory: str
    states: tuple[State, ...]
    rows: tuple[Row, ...]
    assuming: tuple[Guard, ...] = ()
    """What always holds between facts (two modes at once are impossible, say): solvers need to be told."""

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise TableError(f"table {self.name}: {problem}")

    @property
    def initial(self) -> str:
        return self.states[0].name

    @cached_property
    def by_state(self) -> dict[str, tuple[Row, ...]]:
        return {state.name: tuple(row for row in self.rows if row.state == state.name) for state in self.states}

    @cached_property
    def by_id(self) -> dict[str, Row]:
        return {row.id: row for row in self.rows}

    @cached_property
    def state_named(self) -> dict[str, State]:
        return {state.name: state for state in self.states}

    @cached_property
    def _facts_of(self) -> dict[str, tuple[Fact, ...]]:
        return {
            state: tuple(dict.fromkeys(fact for row in rows for fact in row.guard.facts()))
            for state, rows in self.by_state.items()
        }

    def facts_of(self, state: str) -> tuple[Fact, ...]:
        """The facts that the rows of a state look at: all that a daemon must find out before it steps."""
        return self._facts_of[state]

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        """All facts of the table, those that only the store checks included, each once."""
        named = (fact for row in self.rows for fact in (*row.guard.facts(), *row.given))
        return tuple(dict.fromkeys(named))

    @cached_property
    def actions(self) -> tuple[Action, ...]:
        return tuple(dict.fromkeys(action for row in self.rows for action in row.do))

    def substituted(self, rows: Mapping[str, Row | tuple[Row, ...]], *states: State) -> Table:
        """A variant: the rows named by id are replaced by others, or left out: (). ``states`` are added, or replaced;
        a state that no row leaves any more is gone.

        Raises :class:`TableError` if there is no such row, or if what comes out is no table.
        """
        for unknown in sorted(set(rows) - set(self.by_id)):
            raise TableError(f"table {self.name}: there is no row {unknown} to be replaced")
        changed: list[Row] = []
        for row in self.rows:
            new = rows.get(row.id, row)
            changed += [new] if isinstance(new, Row) else new
        left = {row.state for row in changed}
        known = {state.name: state for state in (*self.states, *states) if state.final or state.name in left}
        return replace(self, rows=tuple(changed), states=tuple(known.values()))

    def changed(self, row_id: str, **changes: Any) -> Row:
        """A row of this table with other fields, for a variant."""
        return replace(self.by_id[row_id], **changes)

    def step(self, state: str, fact: Callable[[Fact], bool]) -> Row:
        """The row that fires: the first row of ``state`` whose guard holds. Changes nothing."""
        for row in self.by_state[state]:
            if row.guard.holds(fact):
                return row
        raise TableError(f"table {self.name}: state {state} is final or has no row that holds")

    def grounds(self, state: str, fact: Callable[[Fact], bool]) -> tuple[str, ...]:
        """The facts that held, of those that :meth:`step` asks for: given these alone, it finds the same row."""
        asked: dict[Fact, bool] = {}

        def ask(one: Fact) -> bool:
            if one not in asked:
                asked[one] = fact(one)
            return asked[one]

        self.step(state, ask)
        return tuple(sorted(one.name for one, held in asked.items() if held))

    def _problems(self) -> Iterator[str]:
        names = [state.name for state in self.states]
        ids = [row.id for row in self.rows]
        yield from (f"state {name} is declared twice" for name in sorted({n for n in names if names.count(n) > 1}))
        yield from (f"row id {row} is used twice" for row in sorted({i for i in ids if ids.count(i) > 1}))
        for state in self.states:
            rows = self.by_state[state.name]
            if state.within and state.within not in names:
                yield f"state {state.name} lies within {state.within}, which is not declared"
            if state.final and rows:
                yield f"state {state.name} is final, yet row {rows[0].id} leaves it"
            if not state.final and (not rows or rows[-1].guard is not ALWAYS):
                yield f"state {state.name} is not total: end it with a row guarded by ALWAYS"
        for row in self.rows:
            yield from self._row_problems(row)

    def _row_problems(self, row: Row) -> Iterator[str]:
        if not row.id.startswith(f"{self.name}."):
            yield f"row id {row.id} does not begin with '{self.name}.'"
        for state in (row.state, row.target):
            if state not in self.by_state:
                yield f"row {row.id} names the state {state}, which is not declared"
        if sum(action.site is not Site.LOCAL for action in row.do) > 1:
            yield f"row {row.id} has two effects outside the process: make it two rows with a state between them"
        if any(fact.checker is Checker.STORE for fact in row.guard.facts()):
            yield f"row {row.id}: only the store can check a fact of checker 'store': put it into 'given'"
        if any(fact.checker is not Checker.STORE for fact in row.given):
            yield f"row {row.id}: 'given' is for what the store checks; put the rest into the guard"
        if row.given and (row.effect is None or row.effect.site is not Site.STORE):
            yield f"row {row.id}: 'given' needs an effect on the store to be checked with"
        if row.effect and row.guard is not ALWAYS:
            read = [fact.name for fact in row.guard.facts() if fact.checker is Checker.READ]
            if read:
                yield f"row {row.id} has an effect, yet {read[0]} was merely read: decide in a row of its own"
