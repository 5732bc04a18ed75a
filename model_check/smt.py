"""The modelling language as Z3 terms: any number of elements in every domain, and dense time.

- A domain is an uninterpreted sort. One element of it, ``none``, stands for None: quantifiers and parameters leave it
  out, and a field whose references may not be None is axiomatically never ``none``.
- A field is a function. The state after an action is made by substitution: every term over the fields becomes one over
  their updates, so that no field is needed twice, and nothing has to be said about what stays as it was.
- A timer is the moment itself, a real number, and ``now`` is the clock. Time passes by any amount above 0. A timer that
  is OFF is over, as it is when enumerated: so it is not proved that somebody may still wait for it.

A :class:`Logic` with ``sizes`` gives the domains just so many elements, and spells quantifiers out. Then Z3 decides
every question, and its models are small enough to be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache, reduce
from itertools import product
from typing import Any, TypeAlias

import z3

from model_check.expr import (
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
    every,
    lift,
    number_of,
)
from model_check.lang import Action, Field, Model, Update

Term: TypeAlias = Any
"""Z3 ships no types."""
Change: TypeAlias = list[tuple[Any, Term]]
"""What becomes of functions: each one with a term over its arguments, which are Z3's numbered variables."""


class Logic:
    """The terms of one model, in a Z3 context of their own."""

    def __init__(self, model: Model, sizes: Mapping[Domain, int] | None = None) -> None:
        self.model, self.sizes = model, sizes
        self.context = z3.Context()
        # Only fields keep their names; "?" sets all other symbols apart from them.
        self.now, self.delta, self.over = (z3.Real(f"?{name}", self.context) for name in ("now", "delta", "over"))
        self._terms: dict[int, Term] = {}
        self.durations: dict[Duration, Term] = {}
        self.domains: dict[Domain, dict[int, Term]] = {}
        """Those that occur, each with the elements that the model calls by number."""
        self._sorts: dict[Domain | Enum, tuple[Any, list[Term]]] = {}
        self.functions = {
            field.name: z3.Function(field.name, *map(self._domain, field.domains), self._sort(field.type))
            for field in model.fields.values()
        }

    # ------------------------------------------------------------------------------------------------------ sorts

    def _domain(self, domain: Domain) -> Any:
        if domain not in self._sorts:
            name, letter = f"?{domain.name}", domain.name[0].lower()
            if self.sizes is None:
                sort = z3.DeclareSort(name, self.context)
                self._sorts[domain] = sort, [z3.Const(f"{name} none", sort)]
            else:
                known = any(other.name[0].lower() == letter for other in self.domains)
                short = domain.name.lower() if known else letter
                names = [f"{short}{number}" for number in range(self.sizes[domain])]
                self._sorts[domain] = z3.EnumSort(name, [*names, "none"], self.context)
            self.domains[domain] = {}
        return self._sorts[domain][0]

    def _sort(self, type_: Type) -> Any:
        match type_:
            case Bool():
                return z3.BoolSort(self.context)
            case Count():
                return z3.IntSort(self.context)
            case Timer():
                return z3.RealSort(self.context)
            case Ref(domain=domain):
                return self._domain(domain)
            case Enum(values=values):
                if type_ not in self._sorts:
                    self._sorts[type_] = z3.EnumSort(f"?enum {len(self._sorts)}", list(values), self.context)
                return self._sorts[type_][0]

    def none(self, domain: Domain) -> Term:
        self._domain(domain)
        return self._sorts[domain][1][-1]

    def elements(self, domain: Domain) -> list[Term]:
        """All of them: only if there are ``sizes``."""
        return self._sorts[domain][1][:-1]

    def _element(self, domain: Domain, number: int) -> Term:
        sort, named = self._domain(domain), self.domains[domain]
        if number not in named:
            constant = z3.Const(f"?{domain.name} {number}", sort)
            named[number] = constant if self.sizes is None else self.elements(domain)[number]
        return named[number]

    def value(self, type_: Type, number: int) -> Term:
        """The constant that a type numbers so."""
        match type_:
            case Bool():
                return z3.BoolVal(bool(number), self.context)
            case Count():
                return z3.IntVal(number, self.context)
            case Ref(domain=domain):
                return self.none(domain) if number == domain.size else self._element(domain, number)
            case Enum():
                self._sort(type_)
                return self._sorts[type_][1][number]
        raise LangError("a timer has no number when time is dense: write after(), later() or OFF")

    def duration(self, duration: Duration) -> Term:
        return self.durations.setdefault(duration, z3.Real(f"?{duration.name}", self.context))

    # ------------------------------------------------------------------------------------------------------ terms

    def term(self, expr: Expr) -> Term:
        known = self._terms.get(expr.id)
        if known is None:
            known = self._terms[expr.id] = self._term(expr)
        return known

    def _term(self, expr: Expr) -> Term:  # noqa: PLR0911, PLR0912 - one case an operator
        if expr.op in ("some", "every"):
            return self._quantified(expr)
        if expr.op == "const":
            return self.value(expr.type, expr.args[0])
        if expr.op == "get":
            return self.functions[expr.args[0].name](*map(self.term, expr.args[1:]))
        match (expr.op, *(self.term(arg) if isinstance(arg, Expr) else arg for arg in expr.args)):
            case "param", name:
                return z3.Const(f"?{name}", self._sort(expr.type))
            case ("none",):
                return self.none(domain_of(expr))
            case ("off",):
                return self.over
            case "after", duration:
                return self.now + self.duration(duration)
            case "later", moment, duration:
                return moment + self.duration(duration)
            case "ahead", moment, None:
                return self.now < moment
            case "ahead", moment, duration:
                return self.now + self.duration(duration) < moment
            case "passed", moment:
                return self.now > moment
            case "outlasts", moment:
                return self.now + self.delta <= moment
            case "no_later", one, other:
                return one <= other
            case "next", number:
                return number + 1
            case "less", one, other:
                return one < other
            case "equal", one, other:
                return one == other
            case "and", one, other:
                return z3.And(one, other)
            case "or", one, other:
                return z3.Or(one, other)
            case "not", part:
                return z3.Not(part)
            case "ite", condition, then, otherwise:
                return z3.If(condition, then, otherwise)
        raise LangError(f"unknown operator {expr.op}")

    def _quantified(self, expr: Expr) -> Term:
        """Quantifiers of one kind in a row become one, without those of no use, over one disjunction: all this lets Z3
        find the terms for which to instantiate it."""
        kind, params = expr.op, []
        while expr.op == kind:
            params.append(expr.args[0])
            expr = expr.args[1]
        params = [param for param in params if param in free(expr)]
        symbols = [self.term(param) for param in params]
        if self.sizes is not None or not params:
            ranges = (self.elements(domain_of(param)) for param in params)
            chosen = (list(zip(symbols, elements, strict=True)) for elements in product(*ranges))
            join = z3.And if kind == "every" else z3.Or
            return join([z3.substitute(self.term(expr), *pairs) for pairs in chosen])
        if kind == "every":
            return z3.ForAll(symbols, z3.Or(*(z3.Not(part) for part in self._real(params)), *self._clause(expr)))
        return z3.Exists(symbols, z3.And(*self._real(params), self.term(expr)))

    def _clause(self, expr: Expr, sign: bool = True) -> Iterator[Term]:
        """What is true if one of these is."""
        if expr.op == "not":
            yield from self._clause(expr.args[0], not sign)
        elif expr.op == ("or" if sign else "and"):
            for arg in expr.args:
                yield from self._clause(arg, sign)
        else:
            yield self.term(expr) if sign else z3.Not(self.term(expr))

    def _real(self, params: Iterable[Expr]) -> Iterator[Term]:
        yield from (self.term(param) != self.none(domain_of(param)) for param in params)

    # ------------------------------------------------------------------------------------------------------ steps

    def guards(self, action: Action) -> list[Term]:
        """When an action may happen, its parameters being real elements."""
        return [*self._real(action.params), *map(self.term, action.guards)]

    def change(self, action: Action | None) -> Change:
        """What an action makes of the functions; None is the start of everything."""
        if action is None:
            return list(self._start())
        written: dict[str, list[Update]] = {}
        for update in action.updates:
            written.setdefault(update.field.name, []).append(update)
        changes = [(self.functions[name], self._updated(updates)) for name, updates in written.items()]
        return [*changes, (self.now.decl(), self.now + self.delta)] if action.ticks else changes

    def initial(self, field: Field) -> Term:
        """With what it begins: a timer is over."""
        if isinstance(field.type, Timer):
            return self.over
        return self.value(field.type, number_of(field.type, field.initial))

    def _start(self) -> Iterator[tuple[Any, Term]]:
        for field in self.model.fields.values():
            if not field.chosen and not (isinstance(field.type, Timer) and field.initial):
                yield self.functions[field.name], self.initial(field)  # else it may have any value

    def _updated(self, updates: list[Update]) -> Term:
        field = updates[0].field
        variables = [z3.Var(number, self._domain(domain)) for number, domain in enumerate(field.domains)]

        def written(before: Term, update: Update) -> Term:
            value, hit = self.term(update.value), []
            for at, variable in zip(update.index, variables, strict=True):
                if any(at is param for param in update.free):
                    value = z3.substitute(value, (self.term(at), variable))
                else:
                    hit.append(variable == self.term(at))
            return z3.If(z3.And(hit), value, before) if hit else value

        return reduce(written, updates, self.functions[field.name](*variables))

    @staticmethod
    def changed(term: Term, change: Change) -> Term:
        """The term, read in the state after a change."""
        return z3.substitute_funs(term, *change)

    # ----------------------------------------------------------------------------------------------------- axioms

    def axioms(self) -> Iterator[Term]:
        """What always holds; no domain is empty. To be asked when all is translated, for it speaks of what occurs."""
        yield self.over < self.now
        yield self.delta > 0
        yield from map(self.term, typing(self.model).values())
        for premise in self.model.premises:
            yield self._sum(premise.longer) >= self._sum(premise.shorter)
        yield from (length > 0 for length in self.durations.values())
        for domain, named in self.domains.items() if self.sizes is None else ():
            yield z3.Distinct(self._element(domain, 0), self.none(domain), *(named[it] for it in named if it))

    def _sum(self, durations: Iterable[Duration]) -> Term:
        return sum(map(self.duration, durations), z3.RealVal(0, self.context))


def domain_of(expr: Expr) -> Domain:
    assert isinstance(expr.type, Ref)
    return expr.type.domain


def typing(model: Model) -> dict[str, Expr]:
    """Of each field with references that may not be None: that none is. Named like invariants, and proved like them."""

    def never_none(field: Field, *index: Expr) -> Expr:
        if len(index) < len(field.domains):
            return every(field.domains[len(index)], lambda x: never_none(field, *index, x))
        return ~(model.state().read(field, index) == lift(None, field.type))

    return {
        f"{field.name} is set": never_none(field)
        for field in model.fields.values()
        if isinstance(field.type, Ref) and not field.type.none
    }


@cache
def free(expr: Expr) -> frozenset[Expr]:
    """The parameters that no quantifier in it binds."""
    if expr.op == "param":
        return frozenset({expr})
    found: frozenset[Expr] = frozenset().union(*(free(arg) for arg in expr.args if isinstance(arg, Expr)))
    return found - {expr.args[0]} if expr.op in ("some", "every") else found
