"""From a model to numbers: indices filled in, quantifiers unrolled, values coded as small as they can be.

A *slot* is one variable: a field at one index. An *instance* is one action with its parameters filled in. What is left
of the language in a ground expression is ``const var equal less plus and or not ite``: every engine that enumerates
reads only these, over small numbers.

Values are coded by :mod:`model_check.coding`: a packed state holds them in as few bits as they need.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from model_check.coding import Coder, Instance, Slot, Values
from model_check.expr import Expr, LangError, number_of
from model_check.lang import Model
from model_check.unroll import Unrolled


class Ground:
    """A model, grounded. Raises :class:`LangError` where an action may write one place twice."""

    def __init__(self, model: Model) -> None:
        self.model = model
        raw = Unrolled(model)
        coder, alive = Coder(raw, Values(raw)), len(raw.instances) + 1
        while len(raw.instances) < alive:  # what can never fire writes nothing
            alive = len(raw.instances)
            raw.instances = coder.alive()
            coder = Coder(raw, Values(raw))
        self.slots = coder.slots
        self.words = max((slot.word for slot in self.slots if slot.bits), default=0) + 1
        self.instances = tuple(coder.instances())
        self.invariants = {name: coder.code(raw.ground(expr, {})) for name, expr in model.invariants.items()}
        self.initial = tuple(slot.values.index(raw.initial[slot.number]) for slot in self.slots)
        self._raw, self._coder = raw, coder

    @cached_property
    def varying(self) -> tuple[Slot, ...]:
        """The slots that can change: the others are constants."""
        return tuple(slot for slot in self.slots if slot.bits)

    def expression(self, expr: Expr) -> Expr:
        """Any truth about the state, ground and coded."""
        return self._coder.code(self._raw.ground(expr, {}))

    def start(self, **chosen: object) -> tuple[int, ...]:
        """The initial state, with the values of fields that are chosen for a run."""
        unknown = chosen.keys() - {name for name, field_ in self.model.fields.items() if field_.chosen}
        if unknown:
            raise LangError(f"not to be chosen for a run: {', '.join(sorted(unknown))}")
        state = list(self.initial)
        for slot in self.slots:
            if slot.field.name in chosen:
                state[slot.number] = slot.values.index(number_of(slot.field.type, chosen[slot.field.name]))
        return tuple(state)

    def pack(self, state: tuple[int, ...]) -> tuple[int, ...]:
        words = [0] * self.words
        for slot, code in zip(self.slots, state, strict=True):
            words[slot.word] |= code << slot.shift
        return tuple(words)

    def unpack(self, words: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(words[slot.word] >> slot.shift & ((1 << slot.bits) - 1) for slot in self.slots)

    def shown(self, state: tuple[int, ...]) -> dict[str, object]:
        """A state as people read it: the slots that can change, by name."""
        return {slot.name: slot.shown(state[slot.number]) for slot in self.varying}

    def successors(self, state: tuple[int, ...]) -> Iterator[tuple[Instance, tuple[int, ...]]]:
        """One state's steps, the slow and simple way: for stories, and to check the engines against."""
        for instance in self.instances:
            if evaluate(instance.guard, state):
                after = list(state)
                for slot, expr in instance.updates.items():
                    after[slot] = evaluate(expr, state)
                yield instance, tuple(after)


def evaluate(expr: Expr, state: tuple[int, ...]) -> int:
    """The value of a ground, coded expression."""
    args = expr.args
    match expr.op:
        case "const":
            value: int = args[0]
        case "var":
            value = state[args[0]]
        case "plus":
            value = evaluate(args[0], state) + args[1]
        case "not":
            value = 1 - evaluate(args[0], state)
        case "and":
            value = evaluate(args[0], state) and evaluate(args[1], state)
        case "or":
            value = evaluate(args[0], state) or evaluate(args[1], state)
        case "ite":
            value = evaluate(args[1] if evaluate(args[0], state) else args[2], state)
        case "equal":
            value = int(evaluate(args[0], state) == evaluate(args[1], state))
        case "less":
            value = int(evaluate(args[0], state) < evaluate(args[1], state))
        case other:
            raise LangError(f"{other} is not ground")
    return value


def conjuncts(expr: Expr) -> Iterator[Expr]:
    if expr.op == "and":
        yield from conjuncts(expr.args[0])
        yield from conjuncts(expr.args[1])
    else:
        yield expr
