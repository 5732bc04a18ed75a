"""Sets of packed states, with numpy: sorted by a key of 64 bits.

The key of a state of one word is the state. The key of a longer one is a hash, and two states may have one key. That is
noticed, for states are compared wherever keys are equal, and :class:`Collision` is raised: whoever gets it begins again
with another ``salt``. So no state is ever taken for another one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from model_check.explore.vector import Column, Columns, Rows

Result = TypeVar("Result")
MULTIPLIER = 0xD6E8FEB86659FD93
MERGE_BELOW = 3
"""Runs are merged while the one before is not so many times as long."""


class Collision(Exception):  # noqa: N818 - no error: see above
    """Two states have one key."""


def salted(work: Callable[[int], Result]) -> Result:
    """What work gives with the first salt with which no two states have one key."""
    for salt in count():
        with suppress(Collision):
            return work(salt)
    raise AssertionError


def keys_of(columns: Columns, salt: int) -> Column:
    """The keys of states."""
    if len(columns) == 1:
        return columns[0]
    multiplier = np.uint64((MULTIPLIER + 2 * salt) % (1 << 64))
    key = np.zeros_like(columns[0])
    for column in columns:
        key = (key ^ column) * multiplier
        key ^= key >> np.uint64(32)
    return key * multiplier


@dataclass(frozen=True)
class States:
    """Packed states with their keys; of one word, the states are the keys."""

    key: Column
    columns: Columns

    @classmethod
    def of(cls, columns: Columns, salt: int) -> States:
        return cls(keys_of(columns, salt), columns)

    def __len__(self) -> int:
        return len(self.key)

    def __getitem__(self, part: slice) -> States:
        key = self.key[part]
        return States(key, (key,) if len(self.columns) == 1 else tuple(column[part] for column in self.columns))

    def take(self, rows: Rows) -> States:
        key = self.key.take(rows)
        return States(key, (key,) if len(self.columns) == 1 else tuple(column.take(rows) for column in self.columns))

    def distinct(self) -> States:
        """Each state once, sorted. Stable sorting is fast where parts are in order already."""
        if len(self.columns) == 1:
            key = np.sort(self.key, kind="stable")
            return States(key, (key,)).take(np.flatnonzero(_first(key)))
        order = np.argsort(self.key, kind="stable")
        first = _first(self.key.take(order))
        again = np.flatnonzero(~first)
        _compare(self, order.take(again), self, order.take(again - 1))
        return self.take(order.take(np.flatnonzero(first)))


def _first(ordered: Column) -> npt.NDArray[np.bool_]:
    """Where another one begins."""
    first = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return first


def joined(parts: Sequence[States]) -> States:
    key = np.concatenate([part.key for part in parts])
    words = range(len(parts[0].columns))
    if len(words) == 1:
        return States(key, (key,))
    return States(key, tuple(np.concatenate([part.columns[word] for part in parts]) for word in words))


def _compare(one: States, rows: Rows, other: States, others: Rows) -> None:
    """States whose keys are equal are to be equal."""
    if len(one.columns) > 1:
        for column, against in zip(one.columns, other.columns, strict=True):
            if not np.array_equal(column.take(rows), against.take(others)):
                raise Collision


def positions(states: States, among: States) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Where each state is among sorted ones, and whether it is there at all."""
    at = np.searchsorted(among.key, states.key)
    at[at == len(among)] = 0
    there = among.key.take(at) == states.key if len(among) else np.zeros(len(states), np.bool_)
    rows = np.flatnonzero(there)
    _compare(states, rows, among, at.take(rows))
    return at, there


class Known:
    """States seen, as sorted runs, each much longer than the next."""

    def __init__(self) -> None:
        self._runs: list[States] = []

    def fresh(self, states: States) -> States:
        """Those that are not known, of sorted ones."""
        for run in self._runs:
            states = states.take(np.flatnonzero(~positions(states, run)[1]))
        return states

    def add(self, states: States) -> None:
        """Sorted states, none of them known."""
        self._runs.append(states)
        while len(self._runs) > 1 and len(self._runs[-2]) < MERGE_BELOW * len(self._runs[-1]):
            last, before = self._runs.pop(), self._runs.pop()
            self._runs.append(joined([before, last]).distinct())

    @property
    def bytes(self) -> int:
        arrays = [array for run in self._runs for array in {id(a): a for a in (run.key, *run.columns)}.values()]
        return sum(array.nbytes for array in arrays)
