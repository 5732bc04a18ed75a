"""How good each of several placements is, all nodes considered: the TOPSIS score of PROTOCOL section 6.

A placement is known by the loads (used / there is) of all nodes that would follow from it. Loads are whole numbers of
parts (see :data:`PART`), so that their sums are exact, quickly changed, and free of order: placements between which no
figure tells have the same score to the last bit, and their names decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import dist, fsum, sqrt
from typing import TypeAlias

PART = 1 << 60
"""The load of a node whose all is used."""

Judged: TypeAlias = tuple[float, float]
"""Of the loads of all nodes: the average (root of the mean square) and the highest. Less is better.

1 is added to both, so that tiny loads do not count for much: 0.004 is twice 0.002, but 1.004 is about 1.002.
"""

_IMPORTANCE = (1.0, 2.0, 5.0, 10.0)
"""Of average and highest processor load, average and highest memory load."""
WEIGHTS = tuple(each / fsum(_IMPORTANCE) for each in _IMPORTANCE)

_ONE = 1.0 / PART


class Loads:
    """The loads of all nodes as they are; asked what follows where one or two of them change."""

    def __init__(self, loads: Iterable[int]) -> None:
        self.loads = list(loads)
        self.total = sum(self.loads)
        self.squares = sum(load * load for load in self.loads)
        order = sorted(range(len(self.loads)), key=self.loads.__getitem__, reverse=True)
        self._highest = [(index, self.loads[index]) for index in order[:3]]
        self._root = PART * sqrt(len(self.loads))

    def judged(self, source: int, less: int, target: int, more: int) -> Judged:
        """What is judged once the load of the source has become less, and that of the target more, by so much."""
        left, there = self.loads[source], self.loads[target]
        squares = self.squares - less * (2 * left - less) + more * (2 * there + more)
        highest = max(left - less, there + more)
        for index, load in self._highest:
            if index not in (source, target):
                highest = max(highest, load)
                break
        return 1.0 + sqrt(squares) / self._root, 1.0 + highest * _ONE

    def judged_with(self, more: Iterable[int]) -> list[Judged]:
        """What is judged were each node, alone, to get so much more load."""
        judged = []
        for index, added in enumerate(more):
            load = self.loads[index]
            squares = self.squares + added * (2 * load + added)
            highest = load + added
            for other, its_load in self._highest:
                if other != index:
                    highest = max(highest, its_load)
                    break
            judged.append((1.0 + sqrt(squares) / self._root, 1.0 + highest * _ONE))
        return judged


def scores(cpu: Sequence[Judged], mem: Sequence[Judged]) -> list[float]:
    """The score of each placement among the others, from 0 (worst) to 1 (best); all 0 if no figure tells."""
    columns = (*zip(*cpu, strict=True), *zip(*mem, strict=True))
    weighted = [_weighted(weight, column) for weight, column in zip(WEIGHTS, columns, strict=False)]
    best, worst = [min(column) for column in weighted], [max(column) for column in weighted]
    if best == worst:
        return [0.0] * len(cpu)
    far = [(dist(row, worst), dist(row, best)) for row in zip(*weighted, strict=True)]
    return [to_worst / (to_worst + to_best) for to_worst, to_best in far]


def _weighted(weight: float, column: Sequence[float]) -> list[float]:
    factor = weight / sqrt(fsum([value * value for value in column]))
    return [value * factor for value in column]
