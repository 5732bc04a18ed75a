"""A step that breaks an invariant, as people read it.

Z3's answer over a small universe is first made plain: as much as possible is as it is at the start, so that what is
not has something to do with the failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from textwrap import TextWrapper
from typing import TypeAlias

import z3

from model_check.expr import Expr, Timer, value_of
from model_check.lang import Action, Field
from model_check.smt import Change, Logic, Term, domain_of

Env: TypeAlias = Mapping[Expr, Term]
"""The elements that parameters stand for."""
Fact: TypeAlias = tuple[Expr, Env, bool]
"""Something that is, or is not, the case."""


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A state in which all that is assumed holds, and a step to one in which the invariant does not."""

    universe: tuple[str, ...]
    lengths: Mapping[str, str]
    before: Mapping[str, str]
    """What is not as at the start, and what the step and the failure read. Timers count from the clock: +2 is ahead."""
    step: str
    changes: Mapping[str, str]
    wrong: tuple[str, ...]
    """After the step, what the invariant does not allow together."""


def render(found: Counterexample) -> str:
    """Five lines or more, the last one without an end."""

    def state(name: str, value: str) -> str:
        return {"True": name, "False": f"~{name}"}.get(value, f"{name}={value}")

    among = (*found.universe, *(f"{name}={value}" for name, value in found.lengths.items()))
    return "\n".join(
        (
            _line("among", among),
            _line("before", [state(*pair) for pair in found.before.items()] or ["all as at the start"]),
            _line("step", [found.step]),
            _line("after", [f"{name}: {value}" for name, value in found.changes.items()] or ["nothing has changed"]),
            _line("wrong", [found.wrong[0], *(f"& {part}" for part in found.wrong[1:])], " "),
        )
    )


def _line(title: str, words: Iterable[str], between: str = "  ") -> str:
    """Words that contain spaces are not broken."""
    whole = between.join(word.replace(" ", "\0") for word in words)
    wrapped = TextWrapper(120, f"  {title:<7}", " " * 9, break_long_words=False, break_on_hyphens=False)
    return wrapped.fill(whole).replace("\0", " ")


class Reader:
    """Reads the answer of a solver that has found, over a universe of given sizes, that a goal may fail."""

    def __init__(self, logic: Logic, solver: z3.Solver, action: Action | None) -> None:
        self.logic, self.action, self.change = logic, action, logic.change(action)
        self.params = action.params if action else ()
        self.places = {
            _at(field.name, index): (field, logic.functions[field.name](*index))
            for field in logic.model.fields.values()
            for index in product(*map(logic.elements, field.domains))
        }
        self.model = self._plainest(solver)
        self.env: Env = {param: self._value(param, {}, []) for param in self.params}

    def _plainest(self, solver: z3.Solver) -> z3.ModelRef:
        """The answer that grants as many wishes as can be; the first ones count most."""
        logic = self.logic
        wishes = [logic.now == 0, logic.over == -1, *(term == it.ticks for it, term in logic.durations.items())]
        wishes += [logic.term(it) == logic.elements(domain_of(it))[0] for it in self.params]
        wishes += [term == logic.initial(field) for field, term in self.places.values()]
        while solver.check(*wishes) == z3.unsat:
            refused = {wish.get_id() for wish in solver.unsat_core()}
            del wishes[max(number for number, wish in enumerate(wishes) if wish.get_id() in refused)]
        return solver.model()

    def read(self, goal: Expr) -> Counterexample:
        wrong = list(self._reasons(goal, self.env, False))
        touched = {name for expr, env, _ in wrong for name in self._touched(expr, env, self.change)}
        for guard in self.action.guards if self.action else ():
            touched |= set(self._touched(guard, self.env, []))
        before, changes = {}, {}
        for name, (field, term) in self.places.items():
            start, old, new = (
                self._text(field, *at) for at in ((self.logic.initial(field), []), (term, []), (term, self.change))
            )
            if self.action is None:
                old = new
            if name in touched or old != start:
                before[name] = old
            if old != new and (name in touched or not self._lapses(field)):
                changes[name] = f"{old} -> {new}"
        return Counterexample(
            tuple(str(element) for domain in self.logic.domains for element in self.logic.elements(domain)),
            {it.name: _number(self._eval(term)) for it, term in self.logic.durations.items()},
            before,
            self._step(),
            changes,
            tuple(dict.fromkeys(self._fact(*fact) for fact in wrong)),
        )

    def _step(self) -> str:
        if self.action is None:
            return "none: this is the start"
        given = [f"{param.args[0]}={element}" for param, element in self.env.items()]
        lapse = f", after {_number(self._eval(self.logic.delta))}" if self.action.ticks else ""
        return f"{self.action.name}({', '.join(given)}){lapse}"

    def _lapses(self, field: Field) -> bool:
        return isinstance(field.type, Timer) and self.action is not None and self.action.ticks

    # ----------------------------------------------------------------------------------------------------- values

    def _eval(self, term: Term) -> Term:
        return self.model.eval(term, model_completion=True)

    def _value(self, expr: Expr, env: Env, change: Change) -> Term:
        pairs = [(self.logic.term(param), element) for param, element in env.items()]
        return self._eval(self.logic.changed(z3.substitute(self.logic.term(expr), *pairs), change))

    def _text(self, field: Field, term: Term, change: Change) -> str:
        if isinstance(field.type, Timer):
            return _number(self._eval(self.logic.changed(term - self.logic.now, change)), "+")
        return str(self._eval(self.logic.changed(term, change)))

    def _touched(self, expr: Expr, env: Env, change: Change) -> Iterator[str]:
        """The places that an expression reads, but for what stands under quantifiers."""
        if expr.op == "get":
            yield _at(expr.args[0].name, [self._value(at, env, change) for at in expr.args[1:]])
        if expr.op not in ("some", "every"):
            for arg in expr.args:
                if isinstance(arg, Expr):
                    yield from self._touched(arg, env, change)

    # ---------------------------------------------------------------------------------------------------- failure

    def _reasons(self, expr: Expr, env: Env, truth: bool) -> Iterator[Fact]:
        """Facts that suffice to make ``expr`` what it is after the step."""
        if expr.op == "not":
            yield from self._reasons(expr.args[0], env, not truth)
        elif (expr.op, truth) in (("and", True), ("or", False)):
            for arg in expr.args:
                yield from self._reasons(arg, env, truth)
        elif (expr.op, truth) in (("and", False), ("or", True)):
            yield from self._reasons(next(arg for arg in expr.args if self._is(arg, env, truth)), env, truth)
        elif (expr.op, truth) in (("every", False), ("some", True)):
            param, body = expr.args
            chosen = ({**env, param: element} for element in self.logic.elements(domain_of(param)))
            yield from self._reasons(body, next(each for each in chosen if self._is(body, each, truth)), truth)
        else:
            yield expr, env, truth

    def _is(self, expr: Expr, env: Env, truth: bool) -> bool:
        return bool(z3.is_true(self._value(expr, env, self.change)) == truth)

    def _fact(self, expr: Expr, env: Env, truth: bool) -> str:
        if expr.op == "equal" and not truth:
            for one, other in (expr.args, expr.args[::-1]):
                if one.op == "const":
                    return f"{shown(other, env)} == {self._value(other, env, self.change)}"
        return shown(expr, env) if truth else denied(expr, env)


def _at(name: str, index: Sequence[object]) -> str:
    return f"{name}[{','.join(map(str, index))}]" if index else name


def _number(term: Term, sign: str = "") -> str:
    return f"{float(term.as_fraction()):{sign}g}"


# --------------------------------------------------------------------------------------------------------- writing

_TWO = {"equal": "==", "less": "<", "no_later": "<=", "and": "&", "or": "|"}


def shown(expr: Expr, env: Env) -> str:  # noqa: PLR0911, PLR0912 - one case an operator
    """An expression, as one would write it; moments as numbers on the clock."""

    def go(part: Expr) -> str:
        return shown(part, env)

    args = expr.args
    match expr.op:
        case "const":
            return str(value_of(expr.type, args[0]))
        case "param":
            return str(env[expr]) if expr in env else args[0].rstrip("0123456789")
        case "get":
            return _at(args[0].name, [go(at) for at in args[1:]])
        case "none":
            return "none"
        case "after":
            return f"now + {args[0].name}"
        case "later":
            return f"{go(args[0])} + {args[1].name}"
        case "next":
            return f"{go(args[0])} + 1"
        case "ahead":
            return f"now + {args[1].name} < {go(args[0])}" if args[1] else f"now < {go(args[0])}"
        case "passed":
            return f"{go(args[0])} < now"
        case "not":
            return f"~{_in_brackets(args[0], env)}"
        case "ite":
            return f"({go(args[1])} if {go(args[0])} else {go(args[2])})"
        case "some" | "every":
            return f"{expr.op} {go(args[0])}: {_in_brackets(args[1], env)}"
        case op if op in _TWO:
            args = args[::-1] if op == "equal" and args[1].op == "get" else args
            one, other = (_in_brackets(arg, env) if op in ("and", "or") else go(arg) for arg in args)
            return f"{one} {_TWO[op]} {other}"
    return f"{expr.op}({', '.join(map(go, args))})"


def denied(expr: Expr, env: Env) -> str:
    """That it is not so."""
    if expr.op == "equal":
        return shown(expr, env).replace(" == ", " != ")
    if expr.op in ("less", "no_later"):
        one, other = (shown(arg, env) for arg in expr.args)
        return f"{other} {'<=' if expr.op == 'less' else '<'} {one}"
    return f"now <= {shown(expr.args[0], env)}" if expr.op == "passed" else f"~{_in_brackets(expr, env)}"


def _in_brackets(expr: Expr, env: Env) -> str:
    return shown(expr, env) if expr.op in ("get", "not") else f"({shown(expr, env)})"
