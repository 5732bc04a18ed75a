"""What must happen at last: verdicts on small graphs that can be read, and on random ones by trying everything out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from model_check.coding import Instance
from model_check.explore import Step
from model_check.explore.live import Fairness, Lasso, leads_to
from model_check.ground import Ground
from model_check.lang import Context, Enum, Field, Model

Edge = tuple[str, str, str]
"""From, by what, to."""


def graph(*edges: Edge, begin: str = "0") -> Ground:
    """A model whose states are single letters, and whose instances are edges, each of an action of its label."""
    places = Enum("Place", tuple(sorted({begin, *(place for a, _, b in edges for place in (a, b))})))
    model = Model("graph", [Field("at", places, (), begin)])
    for source, label, target in edges:

        def move(c: Context, source: str = source, target: str = target) -> None:
            c.when(c.at == source)
            c.at = target

        model.add(label, move, {})
    return Ground(model)


def weak(label: str) -> Fairness:
    return Fairness(label, labelled(label))


def strong(label: str) -> Fairness:
    return Fairness(label, labelled(label), strong=True)


def labelled(label: str):  # type: ignore[no-untyped-def]
    def selected(instance: Instance) -> bool:
        return instance.action.name == label

    return selected


def ask(ground: Ground, given: str, goal: str, *fairness: Fairness) -> Lasso | None:
    c = ground.model.state()
    return leads_to(
        ground,
        ground.expression(c.at.isin(*given)),
        ground.expression(c.at.isin(*goal)),
        fairness,
        engine="numpy",
    )


def told(steps: list[Step]) -> str:
    """Where a run comes by."""
    return "".join(str(step.changes["at"][1]) for step in steps)


# ---------------------------------------------------------------------------------------------------- readable graphs


def test_what_nobody_promises_need_not_happen() -> None:
    ground = graph(("0", "go", "1"))
    lasso = ask(ground, "0", "1")
    assert lasso is not None
    assert (lasso.prefix, lasso.since, lasso.state, lasso.cycle) == ([], 0, ground.initial, [])
    assert str(lasso) == "then nothing happens any more"
    assert ask(ground, "0", "1", weak("go")) is None


def test_a_run_that_cannot_go_on_ends() -> None:
    lasso = ask(graph(("0", "go", "1"), ("0", "astray", "2")), "0", "1", weak("go"), weak("astray"))
    assert lasso is not None
    assert (told(lasso.prefix), lasso.since, lasso.cycle) == ("2", 0, [])


def test_who_is_able_now_and_then_has_to_act_only_if_strongly_fair() -> None:
    ground = graph(("0", "turn", "1"), ("1", "turn", "0"), ("0", "leave", "2"))
    assert told(must(ask(ground, "0", "2", weak("leave"), weak("turn"))).cycle) == "10"
    assert ask(ground, "0", "2", strong("leave"), weak("turn")) is None


def test_who_is_always_able_has_to_act_if_weakly_fair() -> None:
    ground = graph(("0", "turn", "1"), ("1", "turn", "0"), ("0", "leave", "2"), ("1", "leave", "2"))
    assert told(must(ask(ground, "0", "2", weak("turn"))).cycle) == "10"
    assert ask(ground, "0", "2", weak("leave")) is None


def test_a_cycle_comes_by_all_that_makes_it_fair() -> None:
    ring = [(str(at), "turn", str((at + 1) % 6)) for at in range(6)]
    ground = graph(*ring, ("2", "left", "0"), ("4", "right", "0"), ("0", "out", "9"))
    lasso = must(ask(ground, "0", "9", *map(strong, ("left", "right", "turn"))))
    names = [step.instance.action.name for step in lasso.cycle]
    assert {"left", "right", "turn"} <= set(names)
    assert told(lasso.cycle).endswith("0")


def test_strong_fairness_takes_away_states_one_after_another() -> None:
    """Who promises to leave 0 does not stay in 0 and 1; then who can turn only in 1 cannot stay in 1 and 2."""
    ground = graph(("0", "turn", "1"), ("1", "turn", "0"), ("1", "spin", "2"), ("2", "spin", "1"), ("0", "out", "9"))
    fair = [strong("out"), weak("turn")]
    lasso = must(ask(ground, "0", "9", *fair))
    assert (told(lasso.prefix), told(lasso.cycle)) == ("1", "21")
    assert must(ask(ground, "0", "9", strong("out"), strong("turn"))).cycle == []
    assert ask(ground, "0", "9", strong("out"), strong("turn"), weak("spin")) is None


def test_a_step_in_place_is_no_step() -> None:
    ground = graph(("0", "stay", "0"), ("0", "go", "1"))
    assert must(ask(ground, "0", "1", strong("stay"))).cycle == []


def test_what_is_not_given_leads_to_nothing() -> None:
    ground = graph(("0", "go", "1"), ("1", "go", "2"))
    assert ask(ground, "2", "2") is None
    assert ask(ground, "", "1") is None
    assert ask(ground, "0", "012") is None


def test_the_prefix_is_the_shortest() -> None:
    ground = graph(("0", "a", "1"), ("1", "a", "2"), ("2", "a", "3"), ("0", "b", "3"), ("3", "c", "4"), ("4", "d", "3"))
    lasso = must(ask(ground, "3", "", weak("c"), weak("d"), weak("a"), weak("b")))
    assert (told(lasso.prefix), lasso.since, told(lasso.cycle)) == ("3", 1, "43")
    assert str(lasso).splitlines() == [
        "  1 b  at: 0 -> 3",
        "then for ever:",
        "  2 c  at: 3 -> 4",
        "  3 d  at: 4 -> 3",
    ]


def must(lasso: Lasso | None) -> Lasso:
    assert lasso is not None
    return lasso


# ----------------------------------------------------------------------------------------------------- random graphs

PLACES = "01234"
LABELS = "abc"


def edges() -> st.SearchStrategy[list[Edge]]:
    edge = st.tuples(st.sampled_from(PLACES), st.sampled_from(LABELS), st.sampled_from(PLACES))
    return st.lists(edge, min_size=1, max_size=10, unique=True)


def fairnesses() -> st.SearchStrategy[list[tuple[str, bool]]]:
    return st.lists(st.tuples(st.sampled_from(LABELS), st.booleans()), max_size=3, unique=True)


def is_fair(states: set[str], taken: set[Edge], moves: set[Edge], fairness: Iterable[tuple[str, bool]]) -> bool:
    """Whether a run may for ever come by these states and edges again and again, and by no others."""
    for label, is_strong in fairness:
        able = {source for source, by, _ in moves if by == label} & states
        if any(by == label for _, by, _ in taken):
            continue
        if able if is_strong else able == states:
            return False
    return True


def connected(states: set[str], within: set[Edge]) -> bool:
    return all(reach({state}, within) >= states for state in states)


def reach(states: set[str], moves: set[Edge]) -> set[str]:
    while more := {target for source, _, target in moves if source in states} - states:
        states = states | more
    return states


def nearest_fair_run(moves: set[Edge], goal: str, given: str, fairness: list[tuple[str, bool]]) -> int | None:
    """After how many steps at least a run is where it may stay for ever, the goal never met since what was given."""
    free = {(a, by, b) for a, by, b in moves if a not in goal and b not in goal}
    places = [place for place in PLACES if place not in goal]
    homes = set[str]()
    for some in map(set, chain.from_iterable(combinations(places, size) for size in range(1, len(places) + 1))):
        within = {(a, by, b) for a, by, b in free if a in some and b in some}
        if connected(some, within) and is_fair(some, within, moves, fairness):
            homes |= some
    before, since, steps = {"0"}, set[str](), 0
    known: set[tuple[frozenset[str], frozenset[str]]] = set()
    while True:
        since |= {place for place in before if place in given and place not in goal}
        if since & homes:
            return steps
        if (frozenset(before), frozenset(since)) in known:
            return None
        known.add((frozenset(before), frozenset(since)))
        before = {b for a, _, b in moves if a in before}
        since = {b for a, _, b in free if a in since}
        steps += 1


@settings(max_examples=400, deadline=None)
@given(edges(), fairnesses(), st.sets(st.sampled_from(PLACES)), st.sets(st.sampled_from(PLACES)))
def test_all_is_as_trying_everything_out_says(
    drawn: list[Edge], fairness: list[tuple[str, bool]], given: set[str], goal: set[str]
) -> None:
    ground = graph(*drawn, *((place, "never", place) for place in PLACES))
    promises = [Fairness(label, labelled(label), is_strong) for label, is_strong in fairness]
    lasso = ask(ground, "".join(given), "".join(goal), *promises)
    moves = {(a, by, b) for a, by, b in drawn if a != b}
    least = nearest_fair_run(moves, "".join(goal), "".join(given), fairness)
    assert (lasso is None) == (least is None)
    if lasso is not None:
        assert len(lasso.prefix) == least
        replay(ground, lasso, given, goal)
        taken = set(edges_of(lasso.cycle))
        states = {place(ground, lasso.state), *(target for _, _, target in taken)}
        assert is_fair(states, taken, moves, fairness)


def place(ground: Ground, state: tuple[int, ...]) -> str:
    return str(ground.slots[0].shown(state[0]))


def edges_of(steps: list[Step]) -> Iterator[Edge]:
    for step in steps:
        old, new = step.changes["at"]
        yield str(old), step.instance.action.name, str(new)


def replay(ground: Ground, lasso: Lasso, given: set[str], goal: set[str]) -> None:
    states = [ground.initial]
    for number, step in enumerate((*lasso.prefix, *lasso.cycle), 1):
        assert (step.number, step.before) == (number, states[-1])
        assert (step.instance, step.after) in list(ground.successors(states[-1]))
        states.append(step.after)
    at = [place(ground, state) for state in states]
    assert states[len(lasso.prefix)] == states[-1] == lasso.state
    assert at[lasso.since] in given
    assert not goal & set(at[lasso.since :])
