"""Expressions of the modelling language: types, symbolic values, quantifiers, and time.

:mod:`model_check.lang` says what the language is for. Here is its graph: equal expressions are one object, constants
fold as they are built, and wrong uses of Python's own words raise, with advice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count as _numbers
from typing import Any, NoReturn, TypeAlias

ADVICE = (
    "a symbolic value has no truth value: write & | ~ ite() some() every() instead of and, or, not, if, any, all; "
    "put comparisons in parentheses, (a == b) & c, and write (a < b) & (b < c) instead of a < b < c"
)


class LangError(TypeError):
    """The language was used wrongly; the message says what to write instead."""


# -------------------------------------------------------------------------------------------------------- types


@dataclass(frozen=True)
class Domain:
    """What fields are indexed by: ``size`` many when enumerated, any number when proved."""

    name: str
    size: int


@dataclass(frozen=True)
class Bool:
    size = 2


@dataclass(frozen=True)
class Enum:
    """One of some names."""

    name: str
    values: tuple[str, ...]

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def size(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Ref:
    """An element of a domain, or None."""

    domain: Domain
    none: bool = False

    @property
    def size(self) -> int:
        return self.domain.size + self.none


@dataclass(frozen=True)
class Count:
    """A number that only grows: from 0 to ``most`` when enumerated, any integer when proved."""

    most: int

    @property
    def size(self) -> int:
        return self.most + 1


@dataclass(frozen=True)
class Timer:
    """A moment ahead, at most ``most`` ticks; 0 when enumerated: it has passed, or nobody waits for it."""

    most: int

    @property
    def size(self) -> int:
        return self.most + 1


Type: TypeAlias = Bool | Enum | Ref | Count | Timer
BOOL = Bool()


@dataclass(frozen=True)
class Duration:
    """A named length of time: ``ticks`` when enumerated, an unknown real number when proved."""

    name: str
    ticks: int


# -------------------------------------------------------------------------------------------------- expressions


class Expr:
    """A node of the graph. Equal expressions are one object, so a graph is walked by identity."""

    __slots__ = ("args", "id", "op", "type")
    _known: dict[tuple[Any, ...], Expr] = {}  # noqa: RUF012 - the one table of all expressions

    op: str
    args: tuple[Any, ...]
    type: Type
    id: int

    def __new__(cls, op: str, args: tuple[Any, ...], type_: Type) -> Expr:
        key = (op, type_, *((arg.id, Expr) if isinstance(arg, Expr) else arg for arg in args))
        known = cls._known.get(key)
        if known is None:
            known = object.__new__(cls)
            known.op, known.args, known.type, known.id = op, args, type_, len(cls._known)
            cls._known[key] = known
        return known

    __hash__ = object.__hash__

    def __bool__(self) -> NoReturn:
        raise LangError(ADVICE)

    def __contains__(self, value: object) -> NoReturn:
        raise LangError(f"a symbolic value cannot be searched: write x.isin(...) instead of 'x in ...'; {ADVICE}")

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return equal(self, lift(other, self.type))

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return ~equal(self, lift(other, self.type))

    def __lt__(self, other: object) -> Expr:
        return less(self, lift(other, self.type))

    def __gt__(self, other: object) -> Expr:
        return less(lift(other, self.type), self)

    def __and__(self, other: object) -> Expr:
        return conjunction(self, lift(other, BOOL))

    def __or__(self, other: object) -> Expr:
        return disjunction(self, lift(other, BOOL))

    __rand__, __ror__ = __and__, __or__

    def __invert__(self) -> Expr:
        return negation(self)

    def isin(self, *values: object) -> Expr:
        """Whether it is one of several constants."""
        return any_of(self == value for value in values)

    def is_none(self) -> Expr:
        """Whether a reference is None."""
        return equal(self, lift(None, self.type))

    def next(self) -> Expr:
        """A counter's next value."""
        if not isinstance(self.type, Count):
            raise LangError(f"only a Count has a next value, not {self.type}")
        if self.op == "const":
            return Expr("const", (self.args[0] + 1,), self.type)
        return Expr("next", (self,), self.type)

    def __repr__(self) -> str:
        return f"{self.op}({', '.join(map(repr, self.args))})" if self.op != "const" else str(self.args[0])


TRUE, FALSE = Expr("const", (1,), BOOL), Expr("const", (0,), BOOL)


def value_of(type_: Type, number: int) -> object:
    """A constant's value as people write it."""
    match type_:
        case Bool():
            return bool(number)
        case Enum(values=values):
            return values[number]
        case Ref(domain=domain):
            return None if number == domain.size else number
    return number


def number_of(type_: Type, value: object) -> int:
    """The number that stands for a value. Raises :class:`LangError` for a value that the type does not have."""
    match type_:
        case Enum(values=values) if value in values:
            return values.index(value)
        case Bool() if value in (0, 1):
            return int(bool(value))
        case Ref(domain=domain, none=True) if value is None:
            return domain.size
        case Ref(domain=domain) if isinstance(value, int) and 0 <= value < domain.size:
            return value
        case Count() | Timer() if isinstance(value, int) and 0 <= value < type_.size:
            return value
    raise LangError(f"{value!r} is no value of {type_}")


def lift(value: object, type_: Type) -> Expr:
    """A Python value as an expression of the type."""
    if isinstance(value, Expr):
        return value
    if value is None and isinstance(type_, Ref):
        return Expr("none", (), Ref(type_.domain, none=True))
    return Expr("const", (number_of(type_, value),), type_)


def require_truths(*parts: Expr) -> None:
    for part in parts:
        if not isinstance(part.type, Bool):
            raise LangError(f"& | ~ need truth values, not {part!r}; {ADVICE}")


def family(type_: Type) -> object:
    return type_.domain if isinstance(type_, Ref) else type(type_) if isinstance(type_, Count | Timer) else type_


def equal(left: Expr, right: Expr) -> Expr:
    if family(left.type) != family(right.type):
        raise LangError(f"{left!r} ({left.type}) and {right!r} ({right.type}) cannot be equal; {ADVICE}")
    if left is right:
        return TRUE
    if {left.op, right.op} <= {"const", "none"}:
        return TRUE if left.op == right.op and left.args == right.args else FALSE
    if isinstance(left.type, Bool):
        for one, other in ((left, right), (right, left)):
            if one.op == "const":
                return other if one is TRUE else negation(other)
    if _rank(left) > _rank(right):
        left, right = right, left
    return Expr("equal", (left, right), BOOL)


def _rank(expr: Expr) -> tuple[bool, str, str, int]:
    """An order that does not depend on what was built before, as far as that is cheap; constants come last."""
    about = getattr(expr.args[0], "name", "") if expr.args else ""
    return expr.op in {"const", "none"}, expr.op, about, expr.id


def less(left: Expr, right: Expr) -> Expr:
    if not isinstance(left.type, Count) or not isinstance(right.type, Count):
        raise LangError("only counters are compared with < and >; timers with ahead(), passed(), no_later()")
    if left.op == right.op == "const":
        return TRUE if left.args[0] < right.args[0] else FALSE
    return FALSE if left is right else Expr("less", (left, right), BOOL)


def _opposite(left: Expr, right: Expr) -> bool:
    return (left.op == "not" and left.args[0] is right) or (right.op == "not" and right.args[0] is left)


def conjunction(left: Expr, right: Expr) -> Expr:
    require_truths(left, right)
    if left is FALSE or right is FALSE or _opposite(left, right):
        return FALSE
    if left is TRUE or left is right:
        return right
    return left if right is TRUE else Expr("and", (left, right), BOOL)


def disjunction(left: Expr, right: Expr) -> Expr:
    require_truths(left, right)
    if left is TRUE or right is TRUE or _opposite(left, right):
        return TRUE
    if left is FALSE or left is right:
        return right
    return left if right is FALSE else Expr("or", (left, right), BOOL)


def negation(part: Expr) -> Expr:
    require_truths(part)
    if part.op == "const":
        return FALSE if part is TRUE else TRUE
    return part.args[0] if part.op == "not" else Expr("not", (part,), BOOL)


def all_of(parts: Iterable[Expr]) -> Expr:
    whole = TRUE
    for part in parts:
        whole = conjunction(whole, part)
    return whole


def any_of(parts: Iterable[Expr]) -> Expr:
    whole = FALSE
    for part in parts:
        whole = disjunction(whole, part)
    return whole


def implies(one: Expr, other: Expr) -> Expr:
    return ~one | other


def ite(condition: Expr, then: object, otherwise: object) -> Expr:
    """``then`` if the condition holds, else ``otherwise``; at least one of the two is symbolic, or both are bools."""
    require_truths(condition)
    type_ = next((part.type for part in (then, otherwise) if isinstance(part, Expr)), BOOL)
    one, other = lift(then, type_), lift(otherwise, type_)
    if condition.op == "const":
        return one if condition is TRUE else other
    if one is other:
        return one
    if isinstance(type_, Bool):
        return (condition & one) | (~condition & other)
    wider = Ref(type_.domain, none=True) if isinstance(type_, Ref) else type_
    return Expr("ite", (condition, one, other), wider)


def _quantified(kind: str, domain: Domain, body: Callable[..., Expr]) -> Expr:
    """The bound variable is named by how deep quantifiers nest in the body: so that equal bodies are one object, and no
    inner variable can be taken for an outer one."""
    name = body.__code__.co_varnames[0].rstrip("0123456789")
    symbol = Expr("param", (f"{name}{next(_fresh)}?",), Ref(domain))
    inside = body(symbol)
    parameter = Expr("param", (f"{name}{_nesting(inside) + 1}",), Ref(domain))
    return Expr(kind, (parameter, _renamed(inside, symbol, parameter, {})), BOOL)


_fresh = _numbers()
_nestings: dict[int, int] = {}


def _nesting(expr: Expr) -> int:
    known = _nestings.get(expr.id)
    if known is None:
        deepest = max((_nesting(arg) for arg in expr.args if isinstance(arg, Expr)), default=0)
        known = _nestings[expr.id] = deepest + (expr.op in {"some", "every"})
    return known


def _renamed(expr: Expr, old: Expr, new: Expr, done: dict[int, Expr]) -> Expr:
    if expr is old:
        return new
    known = done.get(expr.id)
    if known is None:
        args = tuple(_renamed(arg, old, new, done) if isinstance(arg, Expr) else arg for arg in expr.args)
        known = done[expr.id] = Expr(expr.op, args, expr.type)
    return known


def some(domain: Domain, body: Callable[[Expr], Expr]) -> Expr:
    """There is an element for which ``body`` holds."""
    return _quantified("some", domain, body)


def every(domain: Domain, body: Callable[[Expr], Expr]) -> Expr:
    """``body`` holds for all elements."""
    return _quantified("every", domain, body)


# --------------------------------------------------------------------------------------------------------- time


def after(duration: Duration) -> Expr:
    """The moment when ``duration`` will have passed from now."""
    return Expr("after", (duration,), Timer(duration.ticks))


def later(timer: Expr, duration: Duration) -> Expr:
    """The moment ``duration`` after another one."""
    return Expr("later", (_timer(timer), duration), Timer(timer.type.size - 1 + duration.ticks))


def ahead(timer: Expr, by: Duration | None = None) -> Expr:
    """The moment has not come yet, nor the one that is ``by`` earlier."""
    return Expr("ahead", (_timer(timer), by), BOOL)


def passed(timer: Expr) -> Expr:
    """The moment is over."""
    return Expr("passed", (_timer(timer),), BOOL)


def outlasts(timer: Expr) -> Expr:
    """The moment will not be over after this tick: only for the guard of the action in which time passes."""
    return Expr("outlasts", (_timer(timer),), BOOL)


def no_later(one: Expr, other: Expr) -> Expr:
    """The first of two moments, both still ahead, comes no later than the second."""
    return Expr("no_later", (_timer(one), _timer(other)), BOOL)


OFF = Expr("off", (), Timer(0))
"""For a timer that nobody waits for."""


def _timer(value: Expr) -> Expr:
    if not isinstance(value.type, Timer):
        raise LangError(f"{value!r} is no timer")
    return value
