"""A small language for state machines: fields, actions, invariants.

A model is declared by plain Python functions that are run once, over symbolic values; what they do is recorded as an
expression graph, and every reader walks that graph: the explorer makes native code of it, Z3 makes terms, TLC gets
text. So there is one declaration, and no second model::

    NODE = Domain("Node", 2)
    model = Model(Field("lock", Ref(NODE, none=True)), Field("runs", BOOL, NODE))

    @model.action(n=NODE)
    def take(c, n):
        c.when(c.lock == None, ~some(NODE, lambda m: c.runs[m]))
        c.lock = n
        c.runs[n] = True

Reads see the state before the step, writes make the state after it, and an action writes a place at most once.

Time has two readings. A :class:`Timer` is a moment ahead, set with :func:`after`. The explorer and TLC count it down in
whole ticks; Z3 takes it for a real number, the deadline, and compares it with the clock. Both know a lapse only by
:func:`ahead`, :func:`passed`, :func:`outlasts` and :func:`no_later`, so a model cannot tell which reading it gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import is_
from typing import Any, TypeAlias

from model_check.expr import (
    BOOL,
    FALSE,
    OFF,
    TRUE,
    Bool,
    Count,
    Domain,
    Duration,
    Enum,
    Expr,
    LangError,
    Ref,
    Timer,
    Type,
    after,
    ahead,
    all_of,
    any_of,
    every,
    family,
    implies,
    ite,
    later,
    lift,
    no_later,
    outlasts,
    passed,
    require_truths,
    some,
)

__all__ = [
    "BOOL",
    "FALSE",
    "OFF",
    "TRUE",
    "Action",
    "Bool",
    "Context",
    "Count",
    "Domain",
    "Duration",
    "Enum",
    "Expr",
    "Field",
    "LangError",
    "Model",
    "Premise",
    "Ref",
    "Timer",
    "Type",
    "Update",
    "after",
    "ahead",
    "all_of",
    "any_of",
    "every",
    "implies",
    "ite",
    "later",
    "lift",
    "no_later",
    "outlasts",
    "passed",
    "some",
]


@dataclass(frozen=True)
class Field:
    """A variable of the model, or one for each element of its domains. ``initial`` as it is written in actions."""

    name: str
    type: Type
    domains: tuple[Domain, ...] = ()
    initial: Any = field(default=0, compare=False)
    sentence: str = field(default="", compare=False)
    chosen: bool = field(default=False, compare=False)
    """No action writes it, and it may have any value: each run is given one (see :meth:`Ground.start`)."""

    def __hash__(self) -> int:
        return hash(self.name)


@dataclass(frozen=True)
class Update:
    """One write. ``free`` are the parameters over which it ranges: a write to a whole row of a field."""

    field: Field
    index: tuple[Expr, ...]
    free: tuple[Expr, ...]
    value: Expr


@dataclass(frozen=True)
class Action:
    """A step. ``row`` is the row of a table that it is, or "" for a step of the world."""

    name: str
    params: tuple[Expr, ...]
    guards: tuple[Expr, ...]
    updates: tuple[Update, ...]
    row: str = ""
    ticks: bool = False
    """Time passes: all timers come nearer."""
    tags: frozenset[str] = frozenset()

    @property
    def guard(self) -> Expr:
        return all_of(self.guards)

    @property
    def identity(self) -> tuple[object, ...]:
        """The same for two actions if they are called alike and do the same: equal expressions are one object."""
        writes = tuple((it.field.name, tuple(at.id for at in it.index), it.value.id) for it in self.updates)
        return self.name, tuple(param.id for param in self.params), tuple(it.id for it in self.guards), writes


@dataclass(frozen=True)
class Premise:
    """What a proof may use of the durations: the sum of the first is at least the sum of the second."""

    longer: tuple[Duration, ...]
    shorter: tuple[Duration, ...]

    def holds(self) -> bool:
        """Whether it holds of the ticks with which the model is enumerated."""
        return sum(it.ticks for it in self.longer) >= sum(it.ticks for it in self.shorter)


class _Place:
    def __init__(self, context: Context, field_: Field) -> None:
        self._context, self._field = context, field_

    def __getitem__(self, index: Any) -> Expr:
        return self._context.read(self._field, index if isinstance(index, tuple) else (index,))

    def __setitem__(self, index: Any, value: object) -> None:
        self._context.write(self._field, index if isinstance(index, tuple) else (index,), value)


class Context:
    """What a declaring function is given: fields as attributes, ``when`` for guards. A slice writes all at once."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self.__dict__.update(_fields=fields, guards=[], updates=[])

    def __getattr__(self, name: str) -> Any:
        field_ = self._named(name)
        return _Place(self, field_) if field_.domains else self.read(field_, ())

    def __setattr__(self, name: str, value: object) -> None:
        self.write(self._named(name), (), value)

    def _named(self, name: str) -> Field:
        if name not in self.__dict__["_fields"]:
            raise LangError(f"the model has no field {name}")
        found: Field = self.__dict__["_fields"][name]
        return found

    def when(self, *guards: Expr) -> None:
        require_truths(*guards)
        self.__dict__["guards"].extend(guards)

    def read(self, field_: Field, index: tuple[Any, ...]) -> Expr:
        return Expr("get", (field_, *self._index(field_, index)), field_.type)

    def write(self, field_: Field, index: tuple[Any, ...], value: Any) -> None:
        free = {
            at: Expr("param", (f"{field_.name}_{at}",), Ref(domain))
            for at, (given, domain) in enumerate(zip(index, field_.domains, strict=True))
            if isinstance(given, slice)
        }
        whole = self._index(field_, tuple(free.get(at, given) for at, given in enumerate(index)))
        if callable(value) and not isinstance(value, Expr):
            value = value(*free.values())
        lifted = lift(value, field_.type)
        if family(lifted.type) != family(field_.type):
            raise LangError(f"{lifted!r} ({lifted.type}) is written to {field_.name} ({field_.type})")
        _refuse_impossible(field_, lifted)
        written = [update.index for update in self.__dict__["updates"] if update.field is field_]
        if any(all(map(is_, index, whole)) for index in written):
            raise LangError(f"{field_.name} is written twice at the same place in one action")
        self.__dict__["updates"].append(Update(field_, whole, tuple(free.values()), lifted))

    @staticmethod
    def _index(field_: Field, index: tuple[Any, ...]) -> tuple[Expr, ...]:
        if len(index) != len(field_.domains):
            raise LangError(f"{field_.name} is indexed by {len(field_.domains)} element(s), not {len(index)}")
        return tuple(lift(given, Ref(domain)) for given, domain in zip(index, field_.domains, strict=True))


def _refuse_impossible(field_: Field, value: Expr) -> None:
    """What no state could hold: None where there is always something, a moment further ahead than the timer reaches."""
    if value.op == "none" and isinstance(field_.type, Ref) and not field_.type.none:
        raise LangError(f"{field_.name} is never None: declare it as Ref(..., none=True)")
    if value.op == "after" and isinstance(field_.type, Timer) and value.type.size > field_.type.size:
        raise LangError(f"{field_.name} reaches {field_.type.most} ticks ahead, and {value!r} may be further ahead")


def symbols(params: Mapping[str, Domain]) -> dict[str, Expr]:
    """What stands for an action's parameters while it is declared."""
    return {name: Expr("param", (name,), Ref(domain)) for name, domain in params.items()}


Body: TypeAlias = Callable[..., None]


class Model:
    """Fields, the actions that change them, and what shall hold of them."""

    def __init__(self, name: str, fields: Iterable[Field]) -> None:
        self.name = name
        self.fields = {field_.name: field_ for field_ in fields}
        self.actions: list[Action] = []
        self.invariants: dict[str, Expr] = {}
        self.premises: list[Premise] = []

    @property
    def domains(self) -> tuple[Domain, ...]:
        return tuple(dict.fromkeys(domain for field_ in self.fields.values() for domain in field_.domains))

    def state(self) -> Context:
        """For expressions over the state, outside any action."""
        return Context(self.fields)

    def add(
        self,
        name: str,
        body: Body,
        params: Mapping[str, Domain],
        *,
        row: str = "",
        ticks: bool = False,
        tags: Iterable[str] = (),
    ) -> None:
        """Run ``body`` once, with a context and a symbol for each parameter, and keep what it did as an action."""
        context, given = self.state(), symbols(params)
        body(context, **given)
        guards, updates = context.__dict__["guards"], context.__dict__["updates"]
        action = Action(name, tuple(given.values()), tuple(guards), tuple(updates), row, ticks, frozenset(tags))
        if action.guard is not FALSE:
            self.actions.append(action)

    def action(self, **params: Domain) -> Callable[[Body], Body]:
        """Declare the decorated function as an action of its own name."""

        def declare(body: Body) -> Body:
            self.add(body.__name__, body, params)
            return body

        return declare
