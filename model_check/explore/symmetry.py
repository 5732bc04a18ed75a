"""Symmetry: of states that differ only by an exchange of nodes, or of services, one stands for all.

The one is the least, as a packed state, of all images under the permutations of the chosen domains. That is sound if
the model treats all elements of such a domain alike. The language can tell elements apart in two ways only: by naming
one, which is seen by looking, and by reading a field at None, which is tried out on some states. Initial states have to
come with all their images, so that what stands for one is one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import permutations, product
from math import factorial, prod

import numpy as np

from model_check.coding import Slot
from model_check.explore.plan import parts
from model_check.explore.result import State, Words
from model_check.explore.vector import Batch, Columns, Expander, columns
from model_check.expr import Domain, Expr, LangError, Ref, any_of, conjunction, disjunction, negation
from model_check.ground import Ground

MOST_IMAGES = 5040
TRIED = 1000
"""States on which is tried out whether the model treats all elements alike."""


class SymmetryError(LangError):
    """The model does not treat all elements of a domain alike."""


class Image:
    """What one permutation makes of a packed state."""

    def __init__(self, ground: Ground, permutation: Mapping[Domain, tuple[int, ...]]) -> None:
        self.ground, self.permutation = ground, permutation
        self.moved = sum(at != to for order in permutation.values() for at, to in enumerate(order))
        number = {(slot.field.name, slot.index): slot.number for slot in ground.slots}
        self.target = {slot.number: number[slot.field.name, self._index(slot)] for slot in ground.slots}
        """For each slot, the slot to which its value goes."""
        self.codes = dict(self._codes())
        """For each slot that refers to an element, what each code becomes."""
        self.moves: dict[tuple[int, int, int], int] = defaultdict(int)
        """Of all others: from word, to word, how many bits to the left: which bits."""
        for slot in ground.varying:
            to = ground.slots[self.target[slot.number]]
            if slot.number not in self.codes:
                self.moves[slot.word, to.word, to.shift - slot.shift] |= ((1 << slot.bits) - 1) << slot.shift

    def _index(self, slot: Slot) -> tuple[int, ...]:
        pairs = zip(slot.field.domains, slot.index, strict=True)
        return tuple(self.permutation[domain][at] if domain in self.permutation else at for domain, at in pairs)

    def _codes(self) -> Iterator[tuple[int, list[int]]]:
        for slot in self.ground.slots:
            type_ = slot.field.type
            if isinstance(type_, Ref) and type_.domain in self.permutation:
                order = (*self.permutation[type_.domain], type_.domain.size)
                if {order[value] for value in slot.values} != set(slot.values):
                    raise SymmetryError(f"{slot.field.name} can refer to some elements of {type_.domain.name} only")
                yield slot.number, [slot.values.index(order[value]) for value in slot.values]

    def lookups(self) -> Iterator[tuple[Slot, Slot, list[int]]]:
        for number, codes in self.codes.items():
            if self.ground.slots[number].bits:
                yield self.ground.slots[number], self.ground.slots[self.target[number]], codes

    def columns(self, states: Columns) -> Columns:
        """The images of many states."""
        after = [np.zeros_like(column) for column in states]
        for (word, to, left), mask in self.moves.items():
            bits = states[word] & np.uint64(mask)
            after[to] |= bits << np.uint64(left) if left >= 0 else bits >> np.uint64(-left)
        for slot, to_slot, codes in self.lookups():
            code = states[slot.word] >> np.uint64(slot.shift) & np.uint64((1 << slot.bits) - 1)
            after[to_slot.word] |= np.array(codes, np.uint64)[code] << np.uint64(to_slot.shift)
        return tuple(after)

    def text(self) -> Iterator[str]:
        """The same in C: for each word an expression of the words ``w0``, ``w1`` and so on."""
        terms: list[list[str]] = [[] for _ in range(self.ground.words)]
        for (word, to, left), mask in self.moves.items():
            terms[to].append(f"(w{word} & {mask:#x}u) {'<<' if left >= 0 else '>>'} {abs(left)}")
        for slot, to_slot, codes in self.lookups():
            table, ones = sum(code << at * slot.bits for at, code in enumerate(codes)), (1 << slot.bits) - 1
            code = f"(w{slot.word} >> {slot.shift} & {ones}) * {slot.bits}"
            terms[to_slot.word].append(f"({table:#x}u >> {code} & (u64){ones}) << {to_slot.shift}")
        yield from (" | ".join(parts) or "0" for parts in terms)

    def expression(self, expr: Expr) -> Expr:  # noqa: PLR0911 - one case an operator
        """What holds of a state if ``expr`` holds of its image under the inverse permutation."""
        args = expr.args
        match expr.op:
            case "const":
                return expr
            case "var":
                return Expr("var", (self.target[args[0]],), expr.type)
            case "not":
                return negation(self.expression(args[0]))
            case "and":
                return conjunction(self.expression(args[0]), self.expression(args[1]))
            case "or":
                return disjunction(self.expression(args[0]), self.expression(args[1]))
            case "equal" if args[0].op == "var" and args[0].args[0] in self.codes:
                code = Expr("const", (self.codes[args[0].args[0]][args[1].args[0]],), args[1].type)
                return Expr("equal", (self.expression(args[0]), code), expr.type)
        return Expr(expr.op, tuple(self.expression(a) if isinstance(a, Expr) else a for a in args), expr.type)


class Symmetry:
    """All images but the state itself. Raises :class:`SymmetryError` if the model is not symmetric."""

    def __init__(self, ground: Ground, domains: Iterable[Domain], starts: Words) -> None:
        self.ground, self.domains = ground, tuple(domains)
        if prod(factorial(domain.size) for domain in self.domains) > MOST_IMAGES:
            raise SymmetryError(f"more than {MOST_IMAGES} permutations: choose fewer domains, or smaller ones")
        orders = product(*(permutations(range(domain.size)) for domain in self.domains))
        images = (Image(ground, dict(zip(self.domains, order, strict=True))) for order in orders)
        self.images = [image for image in images if image.moved]
        if self.images:
            self._check_names()
            self._check_starts(starts)
            self._check_steps(starts)

    # ------------------------------------------------------------------------------------------------- what is asked

    def columns(self, states: Columns) -> Columns:
        """Of each state, what stands for it."""
        least = states
        for image in self.images:
            least = _least(least, image.columns(states))
        return least

    def canonical(self, state: State) -> State:
        return tuple(int(column[0]) for column in self.columns(tuple(np.array([word], np.uint64) for word in state)))

    def text(self) -> str:
        """The body of the same function in C."""
        words = range(self.ground.words)
        lines = [f"  const u64 {', '.join(f'w{word} = s[{word}]' for word in words)};"] if self.images else []
        for image in self.images:
            made = ", ".join(image.text())
            lines.append(f"  {{ const u64 image[] = {{{made}}}; if (compare(image, s) < 0) put(s, image); }}")
        return "\n".join(lines)

    def somewhere(self, truth: Expr) -> Expr:
        """That a ground truth holds of a state, or of one for which it stands."""
        return any_of(dict.fromkeys((truth, *(image.expression(truth) for image in self.images))))

    # ---------------------------------------------------------------------------------------- whether it may be asked

    def _check_names(self) -> None:
        model = self.ground.model
        said = [(f"action {action.name}", expr) for action in model.actions for expr in action.guards]
        said += [
            (f"action {action.name}", expr)
            for action in model.actions
            for update in action.updates
            for expr in (*update.index, update.value)
        ]
        said += [(f"invariant {name}", expr) for name, expr in model.invariants.items()]
        for where, expr in said:
            for part in _walk(expr):
                if part.op == "const" and isinstance(part.type, Ref) and part.type.domain in self.domains:
                    raise SymmetryError(f"{where} names element {part.args[0]} of {part.type.domain.name}")

    def _check_starts(self, starts: Words) -> None:
        known = set(map(tuple, starts.tolist()))
        for image in self.images:
            for state in zip(*(column.tolist() for column in image.columns(columns(starts))), strict=True):
                if state not in known:
                    shown = self.ground.shown(self.ground.unpack(state))
                    raise SymmetryError(f"an initial state has an image that is none: {shown}")

    def _check_steps(self, starts: Words) -> None:
        expander = Expander(self.ground)
        tried, found = starts[:0], np.unique(starts, axis=0)
        while len(found) > len(tried) and len(tried) < TRIED:
            tried = found[:TRIED]
            steps = [np.stack(after, axis=1) for _, _, after in expander.steps(columns(tried))]
            found = np.unique(np.concatenate([tried, *steps]), axis=0)
        states = columns(tried)
        for image in self.images:
            if image.moved == 2:  # they make all others # noqa: PLR2004
                moved = image.columns(states)
                one, other = _after(expander, moved, None), _after(expander, states, image)
                here, there = Batch.of(self.ground, states), Batch.of(self.ground, moved)
                truths = self.ground.invariants.values()
                agree = all(np.array_equal(here.truth(truth), there.truth(truth)) for truth in truths)
                if not agree or not np.array_equal(one, other):
                    names = ", ".join(domain.name for domain in self.domains)
                    raise SymmetryError(f"elements of {names} are not treated alike: is a field read at None?")


def _least(one: Columns, other: Columns) -> Columns:
    """Of each pair of states the one that is less, by the first word in which they differ."""
    if len(one) == 1:
        return (np.minimum(one[0], other[0]),)
    less, same = np.zeros(len(one[0]), np.bool_), np.ones(len(one[0]), np.bool_)
    for left, right in zip(one, other, strict=True):
        less |= same & (right < left)
        same &= right == left
    return tuple(np.where(less, right, left) for left, right in zip(one, other, strict=True))


def _after(expander: Expander, states: Columns, image: Image | None) -> Words:
    """Each state's successors, or their images, in order."""
    found = [
        np.stack([batch.rows.astype(np.uint64), *(image.columns(after) if image else after)], axis=1)
        for _, batch, after in expander.steps(states)
    ]
    steps = np.concatenate(found) if found else np.zeros((0, 1 + len(states)), np.uint64)
    return steps[np.lexsort(steps.T)]


def _walk(expr: Expr) -> Iterator[Expr]:
    yield expr
    for part in parts(expr):
        yield from _walk(part)
