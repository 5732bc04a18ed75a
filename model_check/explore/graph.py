"""The graph of some states: its edges are the steps from them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from model_check.explore.keys import States, positions
from model_check.explore.result import Words
from model_check.explore.vector import CHUNK, Expander, Rows, columns
from model_check.ground import Ground

Mask: TypeAlias = npt.NDArray[np.bool_]
Numbers: TypeAlias = npt.NDArray[np.int32]
Edges: TypeAlias = tuple[Numbers, Numbers, Numbers]
UNREACHED, BEGIN = -2, -1


@dataclass(frozen=True)
class Graph:
    """States by number, and edges in the order of the states that they leave. Steps in place are no edges.

    The number ``size`` stands for all states elsewhere: edges may lead there, and none leads back.
    """

    states: Words
    source: Numbers
    target: Numbers
    instance: Numbers

    @classmethod
    def of(cls, ground: Ground, states: Words, salt: int, threads: int) -> Graph:
        expander, given = Expander(ground), States.of(columns(states), salt)
        order = np.argsort(given.key, kind="stable")
        among = given.take(order)

        def edges(begin: int) -> Edges:
            found = []
            for instance, batch, after in expander.steps(given[begin : begin + CHUNK].columns):
                at, there = positions(States.of(after, salt), among)
                source, target = begin + batch.rows, np.where(there, order[at], len(given))
                moved = np.flatnonzero(source != target)
                number = np.full(len(moved), instance.number)
                found.append((source[moved], target[moved], number))
            return _in_order(found)

        with ThreadPoolExecutor(max(threads, 1)) as pool:
            whole = zip(*pool.map(edges, range(0, len(given), CHUNK)), strict=True)
            return cls(states, *(np.concatenate(part) for part in whole))

    @property
    def size(self) -> int:
        return len(self.states)

    @cached_property
    def first(self) -> Rows:
        """For each state the first of the edges that leave it, and where the last one's end."""
        first: Rows = np.searchsorted(self.source, np.arange(self.size + 2))
        return first

    def leaving(self, states: Rows) -> Rows:
        """The edges that leave some states."""
        begins, counts = self.first[states], self.first[states + 1] - self.first[states]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        edges: Rows = np.repeat(begins, counts) + within
        return edges

    def components(self, live: Mask) -> Numbers:
        """For each state the number of its strongly connected component, within the ``live`` states."""
        kept = np.flatnonzero(live[self.source] & live[self.target])
        first = np.searchsorted(self.source[kept], np.arange(self.size + 2))
        shape = (self.size + 1, self.size + 1)
        within = csr_array((np.ones(len(kept), np.int8), self.target[kept], first), shape)
        labels: Numbers = connected_components(within, connection="strong")[1]
        return labels

    def spread(self, begin: Numbers, allowed: Mask, until: Mask | None = None) -> tuple[Numbers, Rows]:
        """The least distance of each state, and the edge by which it was reached.

        ``begin`` gives the states where it begins a distance to begin with; other states are UNREACHED. It goes through
        ``allowed`` states only, and ends when one is reached for which ``until`` holds.
        """
        distance, via = np.full_like(begin, UNREACHED), np.full(len(begin), UNREACHED)
        frontier, now, last = np.zeros(0, np.intp), 0, int(begin.max())
        while len(frontier) or now <= last:
            entering = np.flatnonzero((begin == now) & (via == UNREACHED)) if now <= last else frontier[:0]
            via[entering] = BEGIN
            frontier = np.concatenate((frontier, entering))
            distance[frontier] = now
            if until is not None and until[frontier].any():
                break
            edges = self.leaving(frontier)
            target = self.target[edges]
            edges = edges[allowed[target] & (via[target] == UNREACHED)]
            via[self.target[edges]] = edges  # of several edges to one state the last one stays
            frontier = self.target[edges[via[self.target[edges]] == edges]].astype(np.intp)
            now += 1
        return distance, via

    def path(self, via: Rows, state: int) -> list[int]:
        """The edges by which a state was reached."""
        edges: list[int] = []
        while (edge := int(via[state])) != BEGIN:
            edges.append(edge)
            state = int(self.source[edge])
        return edges[::-1]


def _in_order(found: list[tuple[Rows, Rows, Rows]]) -> Edges:
    if not found:
        return (np.zeros(0, np.int32),) * 3
    source, target, instance = (np.concatenate(part).astype(np.int32) for part in zip(*found, strict=True))
    order = np.argsort(source, kind="stable")
    return source[order], target[order], instance[order]
