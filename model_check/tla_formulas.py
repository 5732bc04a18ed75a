"""Expressions and writes of the language as TLA+ formulas, for :mod:`model_check.tla`.

A formula that is too long for a line becomes the list of its parts, in TLA+'s own notation: columns have a meaning
there. TLA+ knows no element None: what is looked at only where something is not None may be used as an index there;
elsewhere the module says what such an index means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from model_check.expr import Bool, Count, Domain, Duration, Enum, Expr, LangError, Ref, Timer, Type, negation
from model_check.lang import Field, Update
from model_check.tla_names import Names

WIDTH = 90
SYMBOLS = {"and": "/\\", "or": "\\/", "some": "\\E", "every": "\\A"}
RELATIONS = {
    "equal": ("=", "#"),
    "in": ("\\in", "\\notin"),
    "less": ("<", ">="),
    "no_later": ("<=", ">"),
    "ahead": (">", "<="),
    "outlasts": (">", "<="),
    "passed": ("=", ">"),
}
"""Each with its opposite."""
COMPOUND = {*SYMBOLS, "implies", "ite"}
HELPERS = {
    "Holds": "Holds(p_) == p_ = TRUE  \\* or TLC would take a step for each way in which it holds",
    "Nearer": "Nearer(t_) == IF t_ = 0 THEN 0 ELSE t_ - 1  \\* a timer, when time has passed",
    "Least": "Least(last_, n_) == IF n_ < last_ THEN n_ ELSE last_  \\* a counter or timer stays at its end",
}

Block = list[str]
"""The lines of a formula."""


def hang(prefix: str, block: Block, suffix: str = "") -> Block:
    """A block after a prefix, with its columns kept."""
    lines = [prefix + block[0], *(" " * len(prefix) + line for line in block[1:])]
    return [*lines[:-1], lines[-1] + suffix]


def parts_of(expr: Expr, op: str) -> Iterator[Expr]:
    """The parts of a conjunction or disjunction, as people see it: see :func:`shape`."""
    if expr.op == op and not _disguised(expr):
        yield from parts_of(expr.args[0], op)
        yield from parts_of(expr.args[1], op)
    else:
        yield expr


def shape(expr: Expr) -> tuple[str, tuple[Any, ...]]:
    """What people see in an expression, and its parts: some disjunctions are an ``ite`` of truths, an ``implies``, or
    an ``in``, one value that is compared with several constants."""
    if expr.op not in {"and", "or"}:
        return expr.op, expr.args
    first, *rest = parts_of(expr, expr.op)
    if expr.op == "or" and first.op == "not" and len(rest) == 1:
        return "implies", (first.args[0], *rest)
    return _disguised(expr) or (expr.op, (first, *rest))


def _disguised(expr: Expr) -> tuple[str, tuple[Expr, ...]] | None:
    if expr.op == "or":
        one, other = expr.args
        if one.op == other.op == "and" and other.args[0] is negation(one.args[0]):
            return "ite", (*one.args, other.args[1])
        if compared := _compared(expr):
            return "in", compared
    return None


def _compared(expr: Expr) -> tuple[Expr, ...]:
    """A value and the constants that it is compared with, if that is all."""
    if expr.op == "or":
        one, other = map(_compared, expr.args)
        return (*one, *other[1:]) if one and other and one[0] is other[0] else ()
    if expr.op == "equal":
        constants = [it for it in expr.args if it.op == "const"]
        return (*(it for it in expr.args if it.op != "const"), *constants) if constants else ()
    return ()


def domain_of(parameter: Expr) -> Domain:
    assert isinstance(parameter.type, Ref)
    return parameter.type.domain


@dataclass(frozen=True)
class Scope:
    """What is known where a formula stands: names of parameters, what is not None there, and room in a line."""

    params: Mapping[str, str]
    present: frozenset[Expr] = frozenset()
    width: int = WIDTH


class Formulas:
    """Expressions as text. ``most`` is the greatest number that stands for a value of each field."""

    def __init__(self, most: Mapping[str, int]) -> None:
        self.names, self.most = Names(), most
        self.helpers: dict[str, str] = {}

    def helper(self, name: str) -> str:
        self.helpers[name] = HELPERS[name]
        return name

    def name(self, field: Field) -> str:
        return self.names.of["field", field.name]

    def constant(self, type_: Type, number: int) -> str:
        match type_:
            case Bool():
                return "TRUE" if number else "FALSE"
            case Enum(values=values):
                return f'"{values[number]}"'
            case Ref(domain=domain):
                return self.none() if number == domain.size else self.element(domain, number)
        return str(number)

    def none(self) -> str:
        return self.names.give(None, "None")

    def domain(self, domain: Domain) -> str:
        return self.names.give(domain, domain.name)

    def element(self, domain: Domain, number: int) -> str:
        return self.names.give((domain, number), f"{domain.name.lower()}{number}")

    def bind(self, wish: str, param: str, scope: Scope) -> tuple[str, Scope]:
        name = self.names.bind(wish, scope.params.values())
        return name, replace(scope, params={**scope.params, param: name})

    def term(self, expr: Expr, scope: Scope) -> str:
        """In one line, and in parentheses if it needs them."""
        return self.closed(expr, replace(scope, width=1 << 30))[0]

    def closed(self, expr: Expr, scope: Scope) -> Block:
        """In parentheses, unless it is simple or a list."""
        block, (seen, _) = self.block(expr, scope), shape(expr)
        is_list = len(block) > 1 and all(row.startswith((SYMBOLS.get(seen, "?"), "  ")) for row in block)
        return hang("(", block, ")") if seen in COMPOUND and not is_list else block

    def block(self, expr: Expr, scope: Scope) -> Block:
        seen, parts = shape(expr)
        match seen:
            case "and" | "or":
                return self._junction(seen, parts, scope)
            case "some" | "every":
                name, inner = self.bind(parts[0].args[0].rstrip("0123456789"), parts[0].args[0], scope)
                head = f"{SYMBOLS[seen]} {name} \\in {self.domain(domain_of(parts[0]))} :"
                return self.fit(scope, [head], hang("  ", self.block(parts[1], inner)))
            case "implies":
                implied = self.closed(parts[1], self.learn(parts[0], True, scope))
                return self.fit(scope, self.closed(parts[0], scope), hang("=> ", implied))
            case "ite":
                yes, no = (self.learn(parts[0], truth, scope) for truth in (True, False))
                then, other = hang("THEN ", self.block(parts[1], yes)), self.block(parts[2], no)
                chained = len(other) > 1 and other[1].startswith("THEN")
                other = [f"ELSE {other[0]}", *other[1:]] if chained else hang("ELSE ", other)
                return self.fit(scope, hang("IF ", self.block(parts[0], scope)), then, other)
            case "not":
                opposite = self._relation(parts[0], scope, opposite=True)
                return [opposite] if opposite else hang("~", self.closed(parts[0], scope))
        return [self._relation(expr, scope) or self._atom(expr, scope)]

    @staticmethod
    def fit(scope: Scope, *blocks: Block, bullet: str = "") -> Block:
        """All in one line if there is room, else one below the other, each after a bullet."""
        line = f" {bullet} ".replace("  ", " ").join(block[0].strip() for block in blocks)
        if len(line) <= scope.width and all(len(block) == 1 for block in blocks):
            return [line]
        return [row for block in blocks for row in hang(f"{bullet} " if bullet else "", block)]

    def _junction(self, op: str, parts: tuple[Expr, ...], scope: Scope) -> Block:
        blocks = []
        for part in parts:
            blocks.append(self.closed(part, scope))
            scope = self.learn(part, op == "and", scope)
        return self.fit(scope, *blocks, bullet=SYMBOLS[op])

    def _relation(self, expr: Expr, scope: Scope, *, opposite: bool = False) -> str:
        """A comparison, or nothing."""
        seen, (left, *rest) = shape(expr) if expr.args else ("", (expr,))
        if seen == "equal" and left.op in {"const", "none", "off", "param"} and rest[0].op not in {"const", "none"}:
            left, rest = rest[0], [left]
        match seen, rest:
            case "in", _:
                right = f"{{{', '.join(self.term(it, scope) for it in rest)}}}"
            case (("equal" | "less" | "no_later"), _):
                right = self.term(rest[0], scope)
            case "ahead", [Duration() as by]:
                right = self.names.give(by, by.name)
            case (("ahead" | "passed" | "outlasts"), _):
                right = "1" if seen == "outlasts" else "0"
            case _:
                return ""
        return f"{self.term(left, scope)} {RELATIONS[seen][opposite]} {right}"

    def _atom(self, expr: Expr, scope: Scope) -> str:  # noqa: PLR0911 - one case an operator
        args = expr.args
        match expr.op:
            case "const":
                return self.constant(expr.type, args[0])
            case "param":
                return scope.params[args[0]]
            case "none":
                return self.none()
            case "off":
                return "0"
            case "after":
                return self.names.give(args[0], args[0].name)
            case "later":
                return f"{self.term(args[0], scope)} + {self.names.give(args[1], args[1].name)}"
            case "next":
                return f"{self.term(args[0], scope)} + 1"
            case "get":
                pairs = zip(args[1:], args[0].domains, strict=True)
                return self.name(args[0]) + _at(self._index(*pair, scope) for pair in pairs)
        raise LangError(f"unknown operator {expr.op}")

    def _index(self, expr: Expr, domain: Domain, scope: Scope) -> str:
        if self.present(expr, scope):
            return self.term(expr, scope)
        name, last = self.names.give(("some", domain), f"Some{domain.name}"), self.element(domain, domain.size - 1)
        self.helpers[name] = f"{name}(i_) == IF i_ = {self.none()} THEN {last} ELSE i_  \\* where None is an index"
        return f"{name}({self.term(expr, scope)})"

    def present(self, expr: Expr, scope: Scope) -> bool:
        """It is known not to be None."""
        match expr.op:
            case "ite":
                return all(self.present(part, scope) for part in expr.args[1:])
            case "get":
                field = expr.args[0]
                return expr in scope.present or self.most[field.name] < field.type.domain.size
        return expr.op != "none"

    def learn(self, expr: Expr, truth: bool, scope: Scope) -> Scope:
        """The scope of what is looked at only where ``expr`` is true, or false."""
        match expr.op:
            case "not":
                return self.learn(expr.args[0], not truth, scope)
            case "and" | "or" if (expr.op == "and") is truth:
                return self.learn(expr.args[1], truth, self.learn(expr.args[0], truth, scope))
            case "equal" if isinstance(expr.args[0].type, Ref):
                known = any(self.present(it, scope) for it in expr.args)
                if known if truth else any(it.op == "none" for it in expr.args):
                    return replace(scope, present=scope.present.union(expr.args))
        return scope

    # ------------------------------------------------------------------------------------------------------ writes

    def each(self, field: Field, scope: Scope, since: int = 0) -> tuple[str, list[str], Scope]:
        """The head of a function on the field's domains, its variables, and the scope inside."""
        head, bound = "", []
        for at, domain in [*enumerate(field.domains)][since:]:
            name, scope = self.bind(domain.name[0].lower(), f"{field.name}_{at}", scope)
            head += f"[{name} \\in {self.domain(domain)} |-> "
            bound.append(name)
        return head, bound, scope

    def everywhere(self, field: Field, value: str) -> str:
        return self.each(field, Scope({}))[0] + value + "]" * len(field.domains)

    def lapse(self, field: Field) -> str:
        """A timer when time has passed."""
        head, bound, _ = self.each(field, Scope({}))
        return f"{head}{self.helper('Nearer')}({self.name(field)}{_at(bound)}){']' * len(bound)}"

    def written(self, field: Field, updates: Sequence[Update], scope: Scope) -> Block:
        """The new value of a field."""
        if not field.domains:
            value = self._value(field, updates[0].value, scope)
            truth = isinstance(field.type, Bool) and shape(updates[0].value)[0] in {*COMPOUND, *RELATIONS}
            return hang("(", value, ")") if truth else value  # or only its first part would be the new value
        changes = [self._change(field, update, scope) for update in updates]
        if all(changes):
            ended = [hang("", change, ",") for change in changes[:-1]] + changes[-1:]
            return hang(f"[{self.name(field)} EXCEPT ", [row for change in ended for row in change], "]")
        head, bound, inner = self.each(field, scope)
        block = [self.name(field) + _at(bound)]
        for it in updates:
            fixed = [(name, at) for name, at in zip(bound, it.index, strict=True) if at not in set(it.free)]
            where = " /\\ ".join(f"{name} = {self.term(at, scope)}" for name, at in fixed)
            value = self._value(field, it.value, inner)
            block = self.fit(scope, [f"IF {where}"], hang("THEN ", value), hang("ELSE ", block)) if where else value
        return hang(head, block, "]" * len(bound))

    def _change(self, field: Field, update: Update, scope: Scope) -> Block:
        """The write of one element or row, as it stands after EXCEPT; nothing if it is something else."""
        free = set(update.free)
        fixed = [at for at in update.index if at not in free]
        if not fixed or free & {*update.index[: len(fixed)]} or not all(self.present(at, scope) for at in fixed):
            return []
        head, bound, inner = self.each(field, scope, len(fixed))
        place = _at(self.term(at, scope) for at in fixed)
        return hang(f"!{place} = {head}", self._value(field, update.value, inner), "]" * len(bound))

    def _value(self, field: Field, expr: Expr, scope: Scope) -> Block:
        block, most = self.block(expr, scope), self.most[field.name]
        clipped = isinstance(field.type, Count | Timer) and self._greatest(expr) > most
        return hang(f"{self.helper('Least')}({most}, ", block, ")") if clipped else block

    def _greatest(self, expr: Expr) -> int:
        """What a counter or timer is at most."""
        args = expr.args
        match expr.op:
            case "ite":
                return max(map(self._greatest, args[1:]))
            case "get":
                return self.most[args[0].name]
            case "next":
                return self._greatest(args[0]) + 1
            case "later":
                return self._greatest(args[0]) + int(args[1].ticks)
            case "after":
                return int(args[0].ticks)
        return int(args[0]) if args else 0


def _at(indices: Iterable[str]) -> str:
    return "".join(f"[{index}]" for index in indices)
