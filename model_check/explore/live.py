"""What must happen at last: whenever one thing is the case, another will be.

A counterexample is an infinite run: from some state on the goal never holds, and nobody who acts fairly can object.
Whoever is to act says so by :class:`Fairness`; nothing else ever has to happen, so a run may also end where no fair
instance could change the state.

Among the states without the goal, each strongly connected component is asked whether a run may stay in it for ever. A
weakly fair group that could always act there and never does so forbids that. A strongly fair group that never acts
there forbids only the states in which it could; what is left without them is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from model_check.coding import Instance
from model_check.explore.graph import UNREACHED, Graph, Mask, Numbers
from model_check.explore.keys import salted
from model_check.explore.result import Exploration, State, Step, Words
from model_check.explore.run import explore
from model_check.explore.story import step, story
from model_check.explore.vector import CHUNK, Batch, Rows, columns
from model_check.expr import Expr
from model_check.ground import Ground


@dataclass(frozen=True)
class Fairness:
    """A group of instances of which one acts again and again, unless none of them can.

    Weak: it acts, or is again and again unable to change anything. Strong: it acts, or is at last unable for good.
    """

    name: str
    instances: Callable[[Instance], bool]
    strong: bool = False


@dataclass(frozen=True)
class Lasso:
    """A fair run without the goal: the way to a state, and then a cycle for ever; an empty one if nothing happens."""

    prefix: list[Step]
    since: int
    """After so many steps what was given held; from then on the goal does not."""
    state: State
    cycle: list[Step]

    def __str__(self) -> str:
        for_ever = ["then for ever:", *map(str, self.cycle)] if self.cycle else ["then nothing happens any more"]
        return "\n".join((*map(str, self.prefix), *for_ever))


def leads_to(
    ground: Ground,
    given: Expr,
    goal: Expr,
    fairness: Sequence[Fairness] = (),
    *,
    exploration: Exploration | None = None,
    engine: str = "auto",
    threads: int = 2,
) -> Lasso | None:
    """None if every fair run that comes to ``given`` comes to ``goal``, then or later; otherwise a run that does not.

    Both are ground truths: see :meth:`Ground.expression`. ``exploration``: one made before, of all states, and with
    its levels. ``engine``, ``threads``: see :func:`explore`.
    """
    exploration = exploration or explore(ground, engine=engine, threads=threads, invariants=())
    states = np.concatenate(exploration.levels)
    depth = np.repeat(np.arange(exploration.depth, dtype=np.int32), [len(level) for level in exploration.levels])
    waiting = np.flatnonzero(~_truths(ground, goal, states))
    states, depth = states[waiting], depth[waiting]
    begin = np.where(_truths(ground, given, states), depth, np.int32(UNREACHED))
    if not len(begin) or begin.max() == UNREACHED:
        return None
    graph = salted(lambda salt: Graph.of(ground, states, salt, threads))
    return _Search(ground, exploration, graph, np.append(begin, np.int32(UNREACHED)), fairness).lasso()


def _truths(ground: Ground, truth: Expr, states: Words) -> Mask:
    chunks = (columns(states[begin : begin + CHUNK]) for begin in range(0, len(states), CHUNK))
    return np.concatenate([np.zeros(0, np.bool_), *(Batch.of(ground, chunk).truth(truth) for chunk in chunks)])


class Group:
    """A fair group's edges, and the states in which it can change something."""

    def __init__(self, ground: Ground, graph: Graph, fairness: Fairness) -> None:
        self.strong = fairness.strong
        self.member = np.array([fairness.instances(instance) for instance in ground.instances], np.bool_)
        self.edges = np.flatnonzero(self.member[graph.instance])
        self.able = np.zeros(graph.size + 1, np.bool_)
        self.able[graph.source[self.edges]] = True


@dataclass(frozen=True)
class Wish:
    """What a cycle has to come by for the sake of one group: one of some states, and there one of some instances, if
    there are any."""

    states: Mask
    instances: Mask


class _Search:
    def __init__(
        self, ground: Ground, exploration: Exploration, graph: Graph, begin: Numbers, fairness: Sequence[Fairness]
    ) -> None:
        self.ground, self.exploration, self.graph = ground, exploration, graph
        self.groups = [Group(ground, graph, each) for each in fairness]
        inside = np.arange(graph.size + 1) < graph.size
        self.distance, self.via = graph.spread(begin, inside)

    def lasso(self) -> Lasso | None:
        fair, component = self._fair(self.distance != UNREACHED)
        candidates = np.flatnonzero(fair)
        if not len(candidates):
            return None
        entry = int(candidates[np.argmin(self.distance[candidates])])
        way = self.graph.path(self.via, entry)
        first = int(self.graph.source[way[0]]) if way else entry
        before = story(self.ground, self.exploration, self._state(first))
        prefix = [*before, *self._steps(way, len(before))]
        cycle = self._cycle(entry, fair & (component == component[entry]))
        return Lasso(prefix, len(before), self._state(entry), self._steps(cycle, len(prefix)))

    def _fair(self, live: Mask) -> tuple[Mask, Numbers]:
        """The states of components in which a fair run may stay for ever, and the components."""
        while True:
            component = self.graph.components(live)
            hopeless = np.zeros_like(live)
            for group in self.groups:
                acts = np.zeros_like(live)
                acts[component[self.graph.source[self._inside(group, component)]]] = True
                if group.strong:
                    hopeless |= group.able & ~acts[component]
                else:
                    rests = np.zeros_like(live)
                    rests[component[live & ~group.able]] = True
                    hopeless |= ~(acts | rests)[component]
            if not (hopeless & live).any():
                return live, component
            live = live & ~hopeless

    def _inside(self, group: Group, component: Numbers) -> Rows:
        """The group's edges that stay in their component: if live states alone are connected, between live states."""
        source, target = self.graph.source[group.edges], self.graph.target[group.edges]
        inside: Rows = group.edges[component[source] == component[target]]
        return inside

    # ---------------------------------------------------------------------------------------------------- the cycle

    def _cycle(self, entry: int, among: Mask) -> list[int]:
        """The edges of a cycle through all that makes it fair, each time on to what is nearest."""
        if not any(group.able[entry] for group in self.groups):
            return []
        graph, cycle = self.graph, list[int]()
        wishes = [wish for group in self.groups if (wish := self._wish(group, among)) is not None]
        while wishes := [wish for wish in wishes if not self._granted(wish, entry, cycle)]:
            cycle += self._way(self._end(cycle, entry), np.logical_or.reduce([wish.states for wish in wishes]), among)
            here = graph.leaving(np.array([self._end(cycle, entry)]))
            wished = np.logical_or.reduce([wish.instances for wish in wishes])
            cycle += here[among[graph.target[here]] & wished[graph.instance[here]]][:1].tolist()
        back = np.zeros_like(among)
        back[entry] = True
        return cycle + self._way(self._end(cycle, entry), back, among)

    def _wish(self, group: Group, among: Mask) -> Wish | None:
        resting = among & ~group.able
        if not group.strong and resting.any():
            return Wish(resting, np.zeros_like(group.member))
        if group.strong and not (among & group.able).any():
            return None
        source = self.graph.source[group.edges]
        states = np.zeros_like(among)
        states[source[among[source] & among[self.graph.target[group.edges]]]] = True
        return Wish(states, group.member)

    def _granted(self, wish: Wish, entry: int, cycle: list[int]) -> bool:
        if wish.instances.any():
            return bool(wish.instances[self.graph.instance[cycle]].any())
        return bool(wish.states[[entry, *self.graph.target[cycle]]].any())

    def _end(self, edges: list[int], entry: int) -> int:
        return int(self.graph.target[edges[-1]]) if edges else entry

    def _way(self, here: int, to: Mask, among: Mask) -> list[int]:
        """The shortest way to one of the states ``to``."""
        begin = np.full(len(among), UNREACHED, np.int32)
        begin[here] = 0
        distance, via = self.graph.spread(begin, among, until=to)
        (reached,) = np.nonzero(to & (distance == distance.max()))
        return self.graph.path(via, int(reached[0]))

    def _steps(self, edges: list[int], before: int) -> list[Step]:
        return [
            step(
                self.ground,
                number,
                self.ground.instances[self.graph.instance[edge]],
                self._state(self.graph.source[edge]),
                self._state(self.graph.target[edge]),
            )
            for number, edge in enumerate(edges, before + 1)
        ]

    def _state(self, number: int) -> State:
        return self.ground.unpack(tuple(map(int, self.graph.states[number])))
