"""From the rows of a table to actions of the model: the one place where a guard, a target or an id is read.

A reader of a table gives each fact and action a meaning. In the model the meaning of a fact is a truth about the state,
or :class:`Maybe`: what the model does not keep track of may be so or not, whatever the rest of the state (Kleene's
three values). Facts that were to be read and could not be are unknown, too. A row may fire if its guard may hold, and
no guard above it must hold. So what the model leaves out only ever adds behaviour.

A row with an effect on the store becomes several actions, one for each way in which the call may go: answered, done but
the answer lost, not done; what the row is ``given`` is asked of the store in the moment of the effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache, partial
from typing import TypeAlias

from hacore.protocol.table import ALWAYS, Action, And, Checker, Fact, Guard, Not, Or, Row, Site, Table
from hacore.protocol.vocabulary import QUORATE
from model_check.lang import FALSE, TRUE, Context, Domain, Expr, Model, all_of, symbols


@dataclass(frozen=True)
class Maybe:
    """A truth that is known only in part: it holds at least where ``must`` does, at most where ``may`` does."""

    may: Expr
    must: Expr

    @classmethod
    def of(cls, truth: Truth) -> Maybe:
        return truth if isinstance(truth, Maybe) else cls(truth, truth)


Truth: TypeAlias = Expr | Maybe
UNKNOWN = Maybe(TRUE, FALSE)
Effect: TypeAlias = Callable[..., None]


def possibly(condition: Expr) -> Maybe:
    """It may be so where the condition holds, and need not be."""
    return Maybe(condition, FALSE)


MOST_CASES = 256
"""Beyond so many combinations of guesses, guesses about one fact are allowed to contradict each other."""


class Way(Enum):
    """How a call goes. The first three say of a call to the store when it may go so."""

    DONE = auto()
    """It is answered, and what the row is given holds at that moment."""
    UNANSWERED = auto()
    """The same, but the answer is lost: only where calls may fail."""
    REFUSED = auto()
    """What the row is given does not hold, or calls may fail."""
    LATE = auto()
    """The request is still on its way; the effect is told whether the store will check what the row is given."""


@dataclass(frozen=True)
class Outcome:
    """One way in which an action may go."""

    name: str
    effect: Effect
    way: Way = Way.DONE


@dataclass(frozen=True)
class Choice:
    """An action that notes something: for each element of ``params``, and each alternative, an action of its own."""

    alternatives: Callable[[Context], Iterator[tuple[str, Mapping[str, Domain], Effect]]]
    """Given a context for conditions over the state: names, parameters, effects."""


@dataclass
class Reader:
    """How the model reads one daemon's table: the field that holds its state, and the meaning of every name."""

    table: str
    pc: str
    over: Mapping[str, Domain]
    """The parameters by which the daemon is known: a node, say."""
    facts: Mapping[Fact, Callable[..., Truth]]
    local: Mapping[Action, Effect | Choice] = field(default_factory=dict)
    effects: Mapping[Action, Sequence[Outcome]] = field(default_factory=dict)
    store: Mapping[Fact, Callable[..., Expr]] = field(default_factory=dict)
    """What the store finds true at the moment of an effect."""
    blind: Callable[..., tuple[Expr, Expr]] = lambda *_, **__: (TRUE, TRUE)
    """Where a call to the store may be answered, and where it may fail."""
    forget: Mapping[Fact, Effect] = field(default_factory=dict)
    """What becomes of an answer when a state has looked at it."""
    settle: Callable[..., str] = lambda _, target, **__: target
    """What else happens when a state is entered (a worker that ends, say), and where the daemon then is."""
    round_over: Effect = lambda *_, **__: None
    """What else happens when a row ends a round."""


def meanings(guard: Guard, values: Mapping[Fact, Maybe]) -> Maybe:  # noqa: PLR0911 - one case an operator
    """A guard's value, fact by fact."""
    match guard:
        case Fact():
            return values[guard]
        case Not(inner=inner):
            part = meanings(inner, values)
            return Maybe(~part.must, ~part.may)
        case And(left=left, right=right):
            one = meanings(left, values)
            if one.may is FALSE:
                return one
            other = meanings(right, values)
            return Maybe(one.may & other.may, one.must & other.must)
        case Or(left=left, right=right):
            one = meanings(left, values)
            if one.must is TRUE:
                return one
            other = meanings(right, values)
            return Maybe(one.may | other.may, one.must | other.must)
    if guard is ALWAYS:
        return Maybe(TRUE, TRUE)
    raise TypeError(f"unknown guard {guard!r}")


def firing(rows: Sequence[Row], known: Callable[[Fact], Truth]) -> dict[str, Expr]:
    """For each row of a state, by id, where it may fire: the first whose guard holds does."""
    facts = dict.fromkeys(fact for row in rows for fact in row.guard.facts())
    values = {fact: Maybe.of(known(fact)) for fact in facts}
    return dict(zip((row.id for row in rows), _firing(tuple(row.guard for row in rows), _Values(values)), strict=True))


class _Values(dict[Fact, Maybe]):
    """Values that are known by what they are: expressions cannot be compared, but equal ones are one object."""

    def _key(self) -> frozenset[tuple[str, int, int]]:
        return frozenset((fact.name, value.may.id, value.must.id) for fact, value in self.items())

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self._key())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Values) and self._key() == other._key()


@lru_cache(10_000)
def _firing(guards: tuple[Guard, ...], values: _Values) -> tuple[Expr, ...]:
    """Worlds that differ little, a table's mutants for one, have most states in common."""
    found: list[Expr] = []
    above: Guard | None = None
    for guard in guards:
        found.append(_possible(guard if above is None else above & guard, values, MOST_CASES))
        above = ~guard if above is None else above & ~guard
    return tuple(found)


def _possible(guard: Guard, values: Mapping[Fact, Maybe], cases: int) -> Expr:
    """Where a guard may hold: case by case of each fact that is not known, so that no two guesses contradict."""
    whole = meanings(guard, values)
    if whole.may is whole.must or cases == 1:
        return whole.may
    guessed = next((fact for fact in guard.facts() if values[fact].may is not values[fact].must), None)
    if guessed is None:
        return whole.may
    guess = values[guessed]
    either = (
        _possible(guard, {**values, guessed: Maybe(value, value)}, cases // 2) for value in (guess.may, guess.must)
    )
    return next(either) | next(either)


def conditions(reader: Reader, rows: Sequence[Row], c: Context) -> dict[str, Expr]:
    """Where each row of a state may fire, be what it looks at read, or not to be read at all."""
    over = symbols(reader.over)

    def seen(fact: Fact) -> Truth:
        return TRUE if fact == QUORATE else reader.facts[fact](c, **over)

    def blind(fact: Fact) -> Truth:
        if fact == QUORATE:
            return FALSE
        return UNKNOWN if fact.checker is Checker.READ else reader.facts[fact](c, **over)

    facts = [fact for row in rows for fact in row.guard.facts()]
    if QUORATE not in facts and not any(fact.checker is Checker.READ for fact in facts):
        return firing(rows, seen)
    answered, fails = reader.blind(c, **over)
    reading, failing = firing(rows, seen), firing(rows, blind)
    return {row.id: (answered & reading[row.id]) | (fails & failing[row.id]) for row in rows}


def chased(reader: Reader, table: Table, state: str) -> tuple[str, tuple[str, ...]]:
    """Where a daemon is that enters ``state``: steps that have no other way and no meaning here are taken at once."""
    passed: list[str] = []
    while table.by_state[state] and (row := table.by_state[state][0]).guard is ALWAYS:
        if any(action in reader.local or action in reader.effects for action in row.do):
            break
        if row.target == row.state or row.id in passed:  # it goes in circles, and stays on them
            break
        passed.append(row.id)
        state = row.target
    return state, tuple(passed)


def add_rows(model: Model, reader: Reader, table: Table) -> None:
    """Add the actions that a daemon's table makes, in the order of its states and rows."""
    for rows in table.by_state.values():
        fires = conditions(reader, rows, model.state())
        for row in rows:
            _add_row(model, reader, table, row, fires[row.id])


def _add_row(model: Model, reader: Reader, table: Table, row: Row, fires: Expr) -> None:
    _, along = chased(reader, table, row.target)
    ends = row.ends_round or any(table.by_id[passed].ends_round for passed in along)
    for name, extra, way, perform in _ways(reader, row, model.state()):

        def body(c: Context, way: Way | None = way, perform: Effect = perform, **given: Expr) -> None:
            over = {key: given[key] for key in reader.over}
            c.when(at(c, reader, over) == row.state, fires, *_permitted(reader, row, way, c, over))
            perform(c, **given)
            _enter(c, reader, table, row, over)
            if ends:
                reader.round_over(c, **over)

        model.add(name, body, {**reader.over, **extra}, row=row.id, tags=along)


def _permitted(reader: Reader, row: Row, way: Way | None, c: Context, over: Mapping[str, Expr]) -> Iterator[Expr]:
    """When a call to the store may go this way."""
    answered, fails = reader.blind(c, **over)
    given = [reader.store[fact](c, **over) for fact in row.given] if way is not None else []
    match way:
        case Way.DONE:
            yield from (answered, *given)
        case Way.UNANSWERED:
            yield from (fails, *given)
        case Way.REFUSED:
            yield fails | ~all_of(given)


def _ways(reader: Reader, row: Row, c: Context) -> Iterator[tuple[str, Mapping[str, Domain], Way | None, Effect]]:
    """The ways in which a row may go: its name, further parameters, how the call to the store goes if there is one,
    what it does."""
    choice = next((it for a in row.do if isinstance(it := reader.local.get(a), Choice)), None)
    notes = [it for a in row.do if (it := reader.local.get(a)) is not None and not isinstance(it, Choice)]
    effect = row.effect
    if effect is not None and effect in reader.effects:
        for outcome in reader.effects[effect]:
            way = outcome.way if effect.site is Site.STORE else None
            perform = partial(outcome.effect, checked=bool(row.given)) if way is Way.LATE else outcome.effect
            yield row.id + outcome.name, {}, way, _together(*notes, perform)
    elif choice is not None:
        for name, extra, perform in choice.alternatives(c):
            yield f"{row.id} {name}".strip(), extra, None, _together(*notes, perform)
    else:
        yield row.id, {}, None, _together(*notes)


def _together(*effects: Effect) -> Effect:
    def perform(c: Context, **given: Expr) -> None:
        for effect in effects:
            effect(c, **given)

    return perform


def _enter(c: Context, reader: Reader, table: Table, row: Row, over: Mapping[str, Expr]) -> None:
    """The state that follows; answers that this state has looked at are forgotten."""
    target = reader.settle(c, chased(reader, table, row.target)[0], **over)
    if target != row.state:
        getattr(c, reader.pc)[tuple(over.values())] = target
    for fact in table.facts_of(row.state):
        if fact in reader.forget:
            reader.forget[fact](c, **over)


def at(c: Context, reader: Reader, over: Mapping[str, Expr]) -> Expr:
    """The field that holds the state."""
    place = getattr(c, reader.pc)
    found: Expr = place[tuple(over.values())] if over else place
    return found
