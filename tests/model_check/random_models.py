"""Models made up at random, of every type and operator: what two readers of a model have to agree on."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import strategies as st

from model_check.lang import (
    BOOL,
    OFF,
    Bool,
    Context,
    Count,
    Domain,
    Duration,
    Enum,
    Expr,
    Field,
    Model,
    Ref,
    Timer,
    Type,
    after,
    ahead,
    every,
    ite,
    later,
    no_later,
    outlasts,
    passed,
    some,
)

THING = Domain("Thing", 2)
COLOUR = Enum("Colour", ("red", "green", "blue"))
DURATIONS = (Duration("SHORT", 1), Duration("LONG", 2))
TYPES: tuple[Type, ...] = (BOOL, COLOUR, Ref(THING), Ref(THING, none=True), Count(2), Timer(2))


class Maker:
    """Makes one model, as a source of chance will have it."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.fields = [self.field(f"f{number}") for number in range(chance.randint(2, 4))]

    def pick(self, among: Any) -> Any:
        return self.chance.choice(among)

    def field(self, name: str) -> Field:
        type_ = self.pick(TYPES)
        initial = "red" if type_ == COLOUR else 0
        return Field(name, type_, self.pick(((), (THING,))), initial, chosen=self.chance.random() < 0.1)

    def model(self) -> Model:
        model = Model("random", self.fields)
        for number in range(self.chance.randint(1, 4)):
            params = self.pick(({}, {"n": THING}))
            ticks = self.chance.random() < 0.2
            model.add(f"a{number}", self.body(ticks), params, ticks=ticks)
        state = model.state()
        for number in range(2):
            model.invariants[f"i{number}"] = self.truth(state, [], 2) | self.truth(state, [], 1)
        return model

    def body(self, ticks: bool) -> Callable[..., None]:
        def declare(c: Context, **params: Expr) -> None:
            symbols = list(params.values())
            c.when(*(self.truth(c, symbols, 2) for _ in range(self.chance.randint(0, 2))))
            for field in self.fields:
                lapses = ticks and isinstance(field.type, Timer)
                if not field.chosen and not lapses and self.chance.random() < 0.5:
                    self.write(c, field, symbols)

        return declare

    # -------------------------------------------------------------------------------------------------------- values

    def write(self, c: Context, field: Field, symbols: list[Expr]) -> None:
        if not field.domains:
            setattr(c, field.name, self.new(c, field, symbols))
        elif self.chance.random() < 0.3:
            getattr(c, field.name)[:] = lambda each: self.new(c, field, [*symbols, each])
        else:
            getattr(c, field.name)[self.element(c, symbols)] = self.new(c, field, symbols)

    def new(self, c: Context, field: Field, symbols: list[Expr]) -> Any:
        """A value for a field, or one of two."""
        value = self.value(c, field, symbols)
        if self.chance.random() < 0.3:
            return ite(self.truth(c, symbols, 1), value, self.read(c, field, symbols))
        return value

    def value(self, c: Context, field: Field, symbols: list[Expr]) -> Any:
        other = self.read(c, self.pick([other for other in self.fields if other.type == field.type]), symbols)
        match field.type:
            case Bool():
                return self.truth(c, symbols, 1)
            case Enum(values=values):
                return self.pick((*values, other))
            case Ref(none=none):
                return self.pick((self.element(c, symbols), other, None if none else other))
            case Count():
                return self.pick((0, 1, other, other.next()))
        again = ite(ahead(other), other, later(other, self.pick(DURATIONS)))
        return self.pick((OFF, other, again, after(self.pick(DURATIONS))))

    def read(self, c: Context, field: Field, symbols: list[Expr]) -> Expr:
        place = getattr(c, field.name)
        found: Expr = place[self.element(c, symbols)] if field.domains else place
        return found

    def element(self, c: Context, symbols: list[Expr]) -> Any:
        """A symbol, a constant, or what a field refers to."""
        refers = [getattr(c, field.name) for field in self.fields if field.type == Ref(THING) and not field.domains]
        return self.pick((*symbols, *symbols, *refers, 0, 1))

    # -------------------------------------------------------------------------------------------------------- truths

    def truth(self, c: Context, symbols: list[Expr], depth: int) -> Any:  # noqa: PLR0911 - one case an operator
        if depth == 0 or self.chance.random() < 0.3:
            return self.atom(c, symbols)
        match self.chance.randrange(6):
            case 0:
                return self.truth(c, symbols, depth - 1) & self.truth(c, symbols, depth - 1)
            case 1:
                return self.truth(c, symbols, depth - 1) | self.truth(c, symbols, depth - 1)
            case 2:
                return ~self.truth(c, symbols, depth - 1)
            case 3:
                return some(THING, lambda each: self.truth(c, [*symbols, each], depth - 1))
            case 4:
                return every(THING, lambda each: self.truth(c, [*symbols, each], depth - 1))
        return ite(*(self.truth(c, symbols, depth - 1) for _ in range(3)))

    def atom(self, c: Context, symbols: list[Expr]) -> Any:
        field = self.pick(self.fields)
        value, other = (self.read(c, field, symbols) for _ in range(2))
        match field.type:
            case Bool():
                return value
            case Enum(values=values):
                return self.pick((value == self.pick(values), value.isin("red", "blue"), value != other))
            case Ref(none=none):
                return self.pick((value == self.element(c, symbols), value == (None if none else other)))
            case Count():
                return self.pick((value == 1, value < other, value > 0, value == other.next()))
        short = DURATIONS[0]
        exact = self.pick((value == OFF, value == 0, value == 1, value == after(short), no_later(value, other)))
        return self.pick((ahead(value), ahead(value, short), passed(value), outlasts(value), exact))


def models() -> st.SearchStrategy[Model]:
    return st.randoms(use_true_random=False).map(lambda chance: Maker(chance).model())
