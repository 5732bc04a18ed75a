"""What every daemon is: a table, its machine, and a meaning for each fact and action of the table.

A round, in full: find out what the rows of this state look at, let the table decide, do what the row says; go on until
a row ends the round. A subclass binds meanings with the decorators below; that every fact and action of the table is
bound is checked when the class is defined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, TypeVar

from hacore.daemons.machine import Stepper
from hacore.protocol.locks import heartbeat
from hacore.protocol.requests import (
    Asking,
    Clock,
    Committed,
    Conflict,
    Decided,
    Fired,
    Inbox,
    Say,
    Sleep,
    Transact,
    Unavailable,
    ask,
)
from hacore.protocol.table import Action, Checker, Fact, Row, Table
from hacore.protocol.timing import Timing
from hacore.protocol.vocabulary import GRANTED, HEARTBEAT, RESTART_ASKED, SHUTDOWN_ASKED

F = TypeVar("F", bound=Callable[..., Any])


def sees(*facts: Fact) -> Callable[[F], F]:
    """The method says whether the fact holds. With several facts, it is given the one that is asked for."""
    return _mark("_sees", facts)


def does(*actions: Action) -> Callable[[F], F]:
    """The method carries out the action: plain for a local one, a generator of requests for an effect."""
    return _mark("_does", actions)


def checks(*facts: Fact) -> Callable[[F], F]:
    """The method gives the revisions by which the store checks the fact; None: it is known not to hold."""
    return _mark("_checks", facts)


def _mark(attribute: str, names: tuple[Any, ...]) -> Callable[[F], F]:
    def mark(method: F) -> F:
        setattr(method, attribute, names)
        return method

    return mark


class Machine:
    """A table's machine in one process, with a meaning for each of its names."""

    table: ClassVar[Table]
    _meanings: ClassVar[dict[str, dict[Fact | Action, str]]]
    _known: ClassVar[set[Table]]
    """Tables of which every name has a meaning here."""

    def __init_subclass__(cls) -> None:
        if "table" not in vars(cls):
            return
        meanings: dict[str, dict[Fact | Action, str]] = {"_sees": {}, "_does": {}, "_checks": {}}
        for name in dir(cls):
            for kind, bound in meanings.items():
                bound.update((each, name) for each in getattr(getattr(cls, name), kind, ()))
        cls._meanings = meanings
        cls._known = set()
        cls._refuse_unbound(cls.table)

    @classmethod
    def _refuse_unbound(cls, table: Table) -> None:
        if table in cls._known:
            return
        stored = {fact for fact in table.facts if fact.checker is Checker.STORE}
        wanted: dict[str, set[Fact | Action]] = {
            "_sees": {fact for fact in table.facts if fact not in stored},
            "_checks": {*stored},
            "_does": {*table.actions},
        }
        for kind, names in wanted.items():
            unbound = names - set(cls._meanings[kind])
            if unbound:
                raise TypeError(f"{cls.__name__} gives no meaning to {', '.join(sorted(map(str, unbound)))}")
        cls._known.add(table)

    def __init__(self, tables: Mapping[str, Table] | None = None) -> None:
        """``tables``: variants of the tables, by name. Raises TypeError if one has a name without a meaning here."""
        own = type(self).table
        self.variant = tables[own.name] if tables else own
        if self.variant is not own:
            self._refuse_unbound(self.variant)
        self.stepper = Stepper(self.variant)
        self.given: tuple[Fact, ...] = ()
        self._looks: dict[str, tuple[tuple[Fact, Callable[[], object]], ...]] = {}

    @property
    def state(self) -> str:
        return self.stepper.state

    @property
    def shown(self) -> str:
        """The state that operators see."""
        return self.variant.state_named[self.state].shown

    @property
    def finished(self) -> bool:
        return self.variant.state_named[self.state].final

    def look(self, facts: tuple[Fact, ...]) -> Asking[None]:
        """Ask for what these facts, those of the present state, are about."""
        yield from ()

    def moved(self, before: str) -> Asking[None]:
        """Called after each step that led to another state that operators see."""
        yield from ()

    def decided(self, row: Row) -> tuple[Decided, ...]:
        """The rows that make up what this one chooses."""
        return ()

    def step(self) -> Asking[Row]:
        """Look, let the table decide, do what the row says. The machine moves first, effects follow."""
        before = self.state
        facts = self.variant.facts_of(before)
        yield from self.look(facts)
        holding = tuple(fact for fact, holds in self._meaning_of(before) if holds())
        row = self.stepper.step(holding)
        held = tuple(sorted([fact.name for fact in holding]))
        yield Fired(row.id, row.state, row.target, held, self.decided(row))
        self.given = row.given
        for action in self.stepper.todo:
            yield from self._perform(action)
        if self.variant.state_named[before].shown != self.shown:
            yield from self.moved(self.variant.state_named[before].shown)
        return row

    def steps(self) -> Asking[None]:
        """Step until a row ends the round."""
        while not (yield from self.step()).ends_round:
            pass

    def conditions(self) -> dict[str, int] | None:
        """The revisions that the store must check for the row that fired; None if one is known not to hold."""
        revisions: dict[str, int] = {}
        for fact in self.given:
            checked = getattr(self, self._meanings["_checks"][fact])()
            if checked is None:
                return None
            revisions.update(checked)
        return revisions

    def _meaning_of(self, state: str) -> tuple[tuple[Fact, Callable[[], object]], ...]:
        """The facts that the rows of a state look at, and what says whether they hold."""
        if state not in self._looks:
            self._looks[state] = tuple((fact, self._bound(fact)) for fact in self.variant.facts_of(state))
        return self._looks[state]

    def _bound(self, fact: Fact) -> Callable[[], object]:
        method: Callable[..., object] = getattr(self, self._meanings["_sees"][fact])
        return partial(method, fact) if len(method._sees) > 1 else method  # type: ignore[attr-defined]

    def _perform(self, action: Action) -> Asking[None]:
        method = getattr(self, self._meanings["_does"][action])
        requests = method(action) if len(method._does) > 1 else method()
        if requests is not None:
            yield from requests


class Daemon(Machine):
    """A machine that lives in rounds on a node: CRM and LRM."""

    name: ClassVar[str]
    wake_on: ClassVar[tuple[str, ...]]

    def __init__(self, node: str, timing: Timing, tables: Mapping[str, Table] | None = None) -> None:
        super().__init__(tables)
        self.node, self.timing = node, timing
        self.asked: frozenset[str] = frozenset()
        self.began_s = 0.0
        self.revision = 0
        """That of the last read: what is newer has not been looked at."""
        self.granted = False

    def round(self) -> Asking[Sleep | None]:
        """One round. Returns when the next one is due, or None: the daemon has ended."""
        self.asked = yield from ask(Inbox())
        self.began_s = yield from ask(Clock())
        yield from self.steps()
        if self.finished:
            return None
        return Sleep(self.began_s + self.timing.round_s, self.revision, self.wake_on)

    def transact(self, writes: dict[str, Any]) -> Asking[Committed | Conflict | Unavailable]:
        """Write, if everything holds that the row is given; what is known not to hold is not even asked for."""
        conditions = self.conditions()
        if conditions is None:
            answer: Committed | Conflict | Unavailable = Conflict("known not to hold")
        else:
            answer = yield from ask(Transact(conditions, writes))
        self.granted = isinstance(answer, Committed)
        return answer

    def moved(self, before: str) -> Asking[None]:
        if not self.finished:  # its host tells of its exit
            yield from ask(Say("daemon_state", {"from": before, "to": self.shown}))

    @sees(GRANTED)
    def _granted(self) -> bool:
        return self.granted

    @sees(RESTART_ASKED)
    def _restart_asked(self) -> bool:
        return "restart" in self.asked

    @sees(SHUTDOWN_ASKED)
    def _shutdown_asked(self) -> bool:
        return bool(self.asked & {"shutdown", "reboot"})

    @does(HEARTBEAT)
    def _heartbeat(self) -> Asking[None]:
        yield from self.transact({heartbeat(self.node): {"by": self.name}})
