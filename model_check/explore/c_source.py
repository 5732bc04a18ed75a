"""The C text of a ground model: straight-line functions over packed states, for ``search.c.in``.

Guards are asked as :mod:`model_check.explore.plan` has arranged them. A compiler's time grows faster than a function's
length, and what small functions share is computed in each: so there are several, neither long nor short.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path as File

from model_check.coding import Instance
from model_check.explore.plan import Block, Fire, Node, Path, Switch, Test, plan, shared, split, uses
from model_check.expr import Expr
from model_check.ground import Ground

MOST_INSTANCES = 150
"""In one function."""
ALL_ONES = (1 << 64) - 1
TEMPLATE = File(__file__).with_name("search.c.in")


def source(ground: Ground, sometimes: Sequence[Expr] = (), canonical: str = "") -> str:
    """The whole program. ``canonical`` is the body of the function that makes a state canonical, in place."""
    text = Text(ground)
    model = "\n".join(
        (
            *text.expand(),
            *text.listed("static int broken(const u64 *s, const uint8_t *wanted)", *_broken(ground)),
            *text.listed("static void witness(const u64 *s, uint8_t *seen)", *_witness(sometimes)),
            "static inline void canonical(u64 *s) {",
            canonical or "  (void)s;",
            "}",
        )
    )
    numbers = {
        "WORDS": ground.words,
        "INSTANCES": len(ground.instances),
        "INVARIANTS": len(ground.invariants),
        "SOMETIMES": len(sometimes),
    }
    whole = TEMPLATE.read_text()
    for name, number in numbers.items():
        whole = whole.replace(f"@{name}@", str(number))
    return whole.replace("@MODEL@", model)


def _broken(ground: Ground) -> tuple[list[tuple[str, Expr, str]], str]:
    rows = [
        (f"wanted[{number}] && !", expr, f"return {number};") for number, expr in enumerate(ground.invariants.values())
    ]
    return rows, "return -1;"


def _witness(sometimes: Sequence[Expr]) -> tuple[list[tuple[str, Expr, str]], str]:
    return [(f"!seen[{number}] && ", expr, f"seen[{number}] = 1;") for number, expr in enumerate(sometimes)], ""


class Names:
    """How expressions are written: those that have been computed before by the names of their variables."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.of: dict[Expr, str] = {}

    def declared(self, exprs: Iterable[Expr]) -> Iterator[str]:
        for expr in exprs:
            text = self.text(expr)
            self.of[expr] = f"t{len(self.of)}"
            yield f"const int {self.of[expr]} = {text};"

    def text(self, expr: Expr) -> str:  # noqa: PLR0911 - one case an operator
        args = expr.args
        if expr in self.of:
            return self.of[expr]
        match expr.op:
            case "const":
                return str(args[0])
            case "var":
                return self._slot(args[0])
            case "plus":
                return f"({self.text(args[0])} + {args[1]})"
            case "not":
                return f"!{self.text(args[0])}"
            case "ite":
                return f"({self.text(args[0])} ? {self.text(args[1])} : {self.text(args[2])})"
        sign = {"and": "&", "or": "|", "equal": "==", "less": "<"}[expr.op]
        return f"({self.text(args[0])} {sign} {self.text(args[1])})"

    def _slot(self, number: int) -> str:
        slot = self.ground.slots[number]
        return f"(int)(w{slot.word} >> {slot.shift} & {(1 << slot.bits) - 1})" if slot.bits else "0"


class Text:
    """Writes the functions of one model."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground

    def expand(self) -> Iterator[str]:
        """All successors of a state are written to ``out``, whose new end is returned."""
        blocks = list(split(plan(self.ground), MOST_INSTANCES))
        for number, block in enumerate(blocks):
            body = self._block(block, (), shared(uses(block)), Names(self.ground))
            yield from self._expander(f"expand_{number}", body)
        calls = (f"out = expand_{number}(s, out, fired);" for number in range(len(blocks)))
        yield from self._expander("expand", calls)

    def listed(self, head: str, rows: list[tuple[str, Expr, str]], last: str) -> Iterator[str]:
        """A function that asks one truth after the other."""
        names = Names(self.ground)
        yield f"{head} {{"
        if rows:
            yield self._words()
            yield from (f"  {line}" for line in names.declared(shared((expr, ()) for _, expr, _ in rows)[()]))
        yield from (f"  if ({before}{names.text(expr)}) {then}" for before, expr, then in rows)
        yield f"  {last}"
        yield "}"

    def _words(self) -> str:
        return f"  const u64 {', '.join(f'w{word} = s[{word}]' for word in range(self.ground.words))};"

    def _expander(self, name: str, body: Iterable[str]) -> Iterator[str]:
        yield f"static __attribute__((noinline)) u64 *{name}(const u64 *s, u64 *out, u64 *fired) {{"
        yield self._words()
        yield from body
        yield "  return out;"
        yield "}"

    # ---------------------------------------------------------------------------------------------------- blocks

    def _block(self, block: Block, path: Path, found: Mapping[Path, list[Expr]], names: Names) -> Iterator[str]:
        yield from names.declared(found.get(path, ()))
        for at, node in enumerate(block):
            yield from self._node(node, (*path, (at,)), found, names)

    def _node(self, node: Node, path: Path, found: Mapping[Path, list[Expr]], names: Names) -> Iterator[str]:
        match node:
            case Fire(instance=instance, rest=rest):
                yield f"{_if(names, rest)}{{ /* {instance.name} */"
                yield from names.declared(found.get(path, ()))
                yield from self._fired(instance, names)
                yield "}"
            case Test(condition=condition, body=body):
                yield f"if ({names.text(condition)}) {{"
                yield from self._block(body, path, found, names)
                yield "}"
            case Switch(var=var, cases=cases):
                yield f"switch ({names.text(var)}) {{"
                for code, body in cases.items():
                    yield f"case {code}: {{"
                    yield from self._block(body, (*path[:-1], (*path[-1], code)), found, names)
                    yield "} break;"
                yield "}"

    def _fired(self, instance: Instance, names: Names) -> Iterator[str]:
        yield f"fired[{instance.number}]++;"
        for word in range(self.ground.words):
            kept, terms = ALL_ONES, list[str]()
            for number, value in instance.updates.items():
                slot = self.ground.slots[number]
                if slot.word == word:
                    kept &= ~(((1 << slot.bits) - 1) << slot.shift)
                    terms.append(f" | (u64)({names.text(value)}) << {slot.shift}")
            mask = "" if kept == ALL_ONES else f" & {kept:#x}u"
            yield f"out[{word}] = w{word}{mask}{''.join(terms)};"
        yield f"out += {self.ground.words};"


def _if(names: Names, rest: tuple[Expr, ...]) -> str:
    return f"if ({' && '.join(names.text(part) for part in rest)}) " if rest else ""
