"""Of states that differ by an exchange of nodes one stands for all. What is not symmetric is refused."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, permutations, product

import numpy as np
import pytest

from model_check.explore import SymmetryError, explore, story
from model_check.explore.symmetry import Symmetry
from model_check.explore.vector import columns
from model_check.expr import Expr
from model_check.ground import Ground, evaluate
from model_check.lang import BOOL, Context, Domain, Field, Model, Ref
from tests.model_check.models import SOUND, UNSOUND, sometimes, starts
from tests.model_check.random_models import THING

ENGINES = pytest.mark.parametrize("engine", ["c", "numpy"])
State = tuple[int, ...]


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def sound() -> Ground:
    return Ground(SOUND.model)


@ENGINES
@pytest.mark.parametrize("word", [12, 64])
def test_symmetry_keeps_the_verdicts(engine: str, word: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_check.coding.WORD", word)
    ground, domains = Ground(SOUND.model), (SOUND.node, SOUND.service)
    begins, asked = starts(SOUND, ground), sometimes(SOUND, ground)
    plain = explore(ground, start=begins, engine="numpy", sometimes=asked)
    reduced = explore(ground, start=begins, engine=engine, sometimes=asked, symmetry=domains)
    symmetry = Symmetry(ground, domains, np.array(begins, np.uint64))
    for level, orbits in zip(plain.levels, reduced.levels, strict=True):
        stand = np.stack(symmetry.columns(columns(level)), axis=1)
        assert set(map(tuple, stand.tolist())) == set(map(tuple, orbits.tolist()))
    assert reduced.distinct < plain.distinct / 5
    assert (reduced.violated, reduced.seen) == (plain.violated, plain.seen)


def test_the_least_image_stands_for_all() -> None:
    domains = Domain("Node", 3), Domain("Service", 2)
    node, service = domains
    fields = [
        Field("up", BOOL, (node,), chosen=True),
        Field("at", Ref(node, none=True), (service,), None, chosen=True),
        Field("first", Ref(service), (node,), chosen=True),
    ]
    ground = Ground(Model("chosen", fields))
    every_state = [ground.pack(state) for state in product(*(range(len(slot.values)) for slot in ground.slots))]
    symmetry = Symmetry(ground, domains, np.array(every_state, np.uint64))
    for state in every_state:
        assert symmetry.canonical(state) == min(images(ground, domains, state))


def images(ground: Ground, domains: tuple[Domain, ...], state: State) -> Iterator[State]:
    """All images of a packed state, by what its fields mean."""
    number = {(slot.field.name, slot.index): slot.number for slot in ground.slots}
    before = ground.unpack(state)
    for orders in product(*(permutations(range(domain.size)) for domain in domains)):
        order = dict(zip(domains, orders, strict=True))
        after = list(before)
        for slot in ground.slots:
            value = slot.values[before[slot.number]]
            if isinstance(slot.field.type, Ref) and value < slot.field.type.domain.size:
                value = order[slot.field.type.domain][value]
            index = tuple(order[domain][at] for domain, at in zip(slot.field.domains, slot.index, strict=True))
            after[number[slot.field.name, index]] = slot.values.index(value)
        yield ground.pack(tuple(after))


@ENGINES
@pytest.mark.parametrize("word", [12, 64])
def test_a_story_of_symmetric_states_is_a_run(engine: str, word: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_check.coding.WORD", word)
    ground = Ground(UNSOUND.model)
    assert ground.words == (1 if word == 64 else 4)
    begins = starts(UNSOUND, ground)
    exploration = explore(ground, start=begins, engine=engine, symmetry=[UNSOUND.node])
    assert exploration.violated is not None
    name, state = exploration.violated
    steps = story(ground, exploration, state)
    assert (name, len(steps)) == ("fence_safe", 9)
    assert ground.pack(steps[0].before) in begins
    assert not evaluate(ground.invariants[name], steps[-1].after)
    for step, following in pairwise(steps):
        assert (step.instance, step.after) in list(ground.successors(step.before))
        assert following.before == step.after


def test_sometimes_may_name_an_element(sound: Ground) -> None:
    c = SOUND.model.state()
    sometimes = {"node 2 is master": sound.expression(c.master == 2), "2 at once": sound.expression(c.runs[0, 2])}
    exploration = explore(sound, start=starts(SOUND, sound), engine="numpy", sometimes=sometimes, symmetry=[SOUND.node])
    assert exploration.seen == {"node 2 is master": True, "2 at once": True}


def test_what_is_not_symmetric_is_refused(sound: Ground) -> None:
    with pytest.raises(SymmetryError, match="an initial state has an image that is none"):
        explore(sound, engine="numpy", symmetry=[SOUND.node])
    with pytest.raises(SymmetryError, match="choose fewer domains"):
        explore(sound, engine="numpy", symmetry=[Domain("Other", 9)])


def things() -> Model:
    return Model("things", [Field("up", BOOL, (THING,)), Field("who", Ref(THING, none=True), (), None)])


def test_actions_and_invariants_that_name_an_element_are_refused() -> None:
    model = things()
    model.add("first", lambda c: c.when(~c.up[0]), {})
    with pytest.raises(SymmetryError, match="action first names element 0 of Thing"):
        explore(Ground(model), engine="numpy", symmetry=[THING])
    model = things()
    model.invariants["second"] = ~model.state().up[1]
    with pytest.raises(SymmetryError, match="invariant second names element 1 of Thing"):
        explore(Ground(model), engine="numpy", symmetry=[THING])


def test_a_field_that_is_read_at_none_is_refused() -> None:
    model = things()

    @model.action(n=THING)
    def rise(c: Context, n: Expr) -> None:
        c.up[n] = True

    model.invariants["up"] = ~model.state().up[model.state().who]
    with pytest.raises(SymmetryError, match="is a field read at None"):
        explore(Ground(model), engine="numpy", symmetry=[THING])


def test_a_field_that_refers_to_some_elements_only_is_refused() -> None:
    ground = Ground(Model("first", [Field("who", Ref(THING))]))
    with pytest.raises(SymmetryError, match="who can refer to some elements of Thing only"):
        explore(ground, engine="numpy", symmetry=[THING])
