"""In which order the guards of all instances are asked, so that what many have in common is asked once.

There may be a thousand instances, and most of their guards begin alike: *the daemon of node 1 is in this state*. So
guards are taken apart into conjuncts, and the conjunct that most instances share is asked first, for all of them;
conjuncts that compare one slot with constants make a single switch. Then the same again, inside and beside it.

:func:`shared` says where an expression that is used more than once is best computed: in the innermost block that
holds all its uses. A block is named by the path that leads to it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from model_check.coding import Instance
from model_check.expr import TRUE, Expr
from model_check.ground import Ground, conjuncts

Path: TypeAlias = tuple[tuple[int, ...], ...]
"""From the root: at which node of each block, and for a switch in which case."""


@dataclass(frozen=True, eq=False)
class Fire:
    """An instance, and what is left of its guard."""

    instance: Instance
    rest: tuple[Expr, ...]


@dataclass(frozen=True, eq=False)
class Test:
    condition: Expr
    body: Block


@dataclass(frozen=True, eq=False)
class Switch:
    """One slot's codes, and what may fire at each."""

    var: Expr
    cases: Mapping[int, Block]


Node: TypeAlias = Fire | Test | Switch
Block: TypeAlias = tuple[Node, ...]
Item: TypeAlias = tuple[Instance, tuple[Expr, ...]]


def plan(ground: Ground) -> Block:
    """All instances of a model."""
    return _arranged(
        [
            (instance, tuple(part for part in dict.fromkeys(conjuncts(instance.guard)) if part is not TRUE))
            for instance in ground.instances
        ]
    )


def _arranged(items: list[Item]) -> Block:
    nodes: list[Node] = []
    while items:
        common = Counter(question for _, parts in items for question in dict.fromkeys(map(_question, parts)))
        question, number = max(common.items(), key=lambda pair: pair[1], default=(None, 0))
        if question is None or number == 1:
            return (*nodes, *(Fire(*item) for item in items))
        nodes.append(_asked(question, [item for item in items if _asks(item, question)]))
        items = [item for item in items if not _asks(item, question)]
    return tuple(nodes)


def _asked(question: Expr, items: list[Item]) -> Node:
    answers: dict[int, Expr] = {}
    inner: dict[int, list[Item]] = defaultdict(list)
    for instance, parts in items:
        answer = next(part for part in parts if _question(part) is question)
        answers[_code(answer)] = answer
        inner[_code(answer)].append((instance, tuple(part for part in parts if part is not answer)))
    if len(inner) == 1:
        ((code, rest),) = inner.items()
        return Test(answers[code], _arranged(rest))
    return Switch(question, {code: _arranged(rest) for code, rest in inner.items()})


def _asks(item: Item, question: Expr) -> bool:
    return any(_question(part) is question for part in item[1])


def _question(part: Expr) -> Expr:
    """The variable that a conjunct compares with a constant, or the whole conjunct."""
    compares = part.op == "not" or (part.op == "equal" and part.args[1].op == "const")
    inner: Expr = part.args[0] if compares else part
    return inner if inner.op == "var" else part


def _code(answer: Expr) -> int:
    """With which code an answer compares its variable."""
    compares = answer.op == "equal" and answer.args[1].op == "const"
    return int(answer.args[1].args[0] if compares else answer.op != "not")


def size(block: Block) -> int:
    """How many instances it holds."""
    return sum(1 if isinstance(node, Fire) else sum(size(inner) for _, inner in inside(0, node)) for node in block)


def inside(at: int, node: Node) -> Iterator[tuple[tuple[int, ...], Block]]:
    """The blocks of a node, with the step that leads to each."""
    match node:
        case Test(body=body):
            yield (at,), body
        case Switch(cases=cases):
            for code, body in cases.items():
                yield (at, code), body


def split(block: Block, most: int) -> Iterator[Block]:
    """The same in parts of at most so many instances. What is asked around them is asked again in each."""
    part: Block = ()
    for node in _split(block, most):
        if size((*part, node)) > most:
            yield part
            part = ()
        part = (*part, node)
    yield part


def _split(block: Block, most: int) -> Iterator[Node]:
    for node in block:
        match node:
            case Test(condition=condition, body=body) if size((node,)) > most:
                yield from (Test(condition, part) for part in split(body, most))
            case Switch(var=var, cases=cases) if size((node,)) > most:
                group: dict[int, Block] = {}
                for code, part in ((code, part) for code, body in cases.items() for part in split(body, most)):
                    if code in group or size((Switch(var, group), *part)) > most:
                        yield Switch(var, group)
                        group = {}
                    group[code] = part
                yield Switch(var, group)
            case _:
                yield node


# --------------------------------------------------------------------------------------------- shared expressions


def uses(block: Block, path: Path = ()) -> Iterator[tuple[Expr, Path]]:
    """Every expression that a block asks for, and the block in which it does. Updates make a block of their own."""
    for at, node in enumerate(block):
        match node:
            case Fire(instance=instance, rest=rest):
                yield from ((part, path) for part in rest)
                yield from ((value, (*path, (at,))) for value in instance.updates.values())
            case Test(condition=condition):
                yield condition, path
            case Switch(var=var):
                yield var, path
        for step, body in inside(at, node):
            yield from uses(body, (*path, step))


def shared(used: Iterable[tuple[Expr, Path]]) -> dict[Path, list[Expr]]:
    """For each block the expressions to compute in it, because they are used more than once; inner ones first."""
    place: dict[Expr, Path] = {}
    times = Counter[Expr]()

    def use(expr: Expr, path: Path) -> None:
        place[expr] = _common(place[expr], path) if expr in place else path
        times[expr] += 1

    for expr, path in used:
        use(expr, path)
    for expr in sorted(_whole(place), key=lambda expr: -expr.id):  # parts are older than what they are parts of
        for part in parts(expr):
            use(part, place[expr])
    found: dict[Path, list[Expr]] = defaultdict(list)
    for expr in sorted(place, key=lambda expr: expr.id):
        if times[expr] > 1 and expr.op != "const":
            found[place[expr]].append(expr)
    return found


def parts(expr: Expr) -> Iterator[Expr]:
    return (arg for arg in expr.args if isinstance(arg, Expr))


def _common(one: Path, other: Path) -> Path:
    length = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def _whole(roots: Iterable[Expr]) -> set[Expr]:
    known, ahead = set(roots), list(roots)
    while ahead:
        for part in parts(ahead.pop()):
            if part not in known:
                known.add(part)
                ahead.append(part)
    return known
