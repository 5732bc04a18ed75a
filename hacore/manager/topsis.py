"""How good each of several placements is, all nodes considered: the TOPSIS score of PROTOCOL section 6.

A placement is known by the loads (used / there is) of all nodes that would follow from it. Every sum here is the exact
one, rounded once (``math.fsum``), so that placements between which no figure tells have the same score to the last bit,
and their names decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, sqrt
from typing import TypeAlias

Criteria: TypeAlias = tuple[float, float, float, float]
"""Of a placement: average and highest processor load, average and highest memory load. Less is better."""

_IMPORTANCE = (1.0, 2.0, 5.0, 10.0)
WEIGHTS = tuple(each / fsum(_IMPORTANCE) for each in _IMPORTANCE)


class Loads:
    """The loads of all nodes as they are; asked of what they would be with a few of them changed."""

    def __init__(self, loads: Sequence[float]) -> None:
        self.loads = list(loads)
        self._squares = [load * load for load in loads]

    def with_(self, changed: Mapping[int, float]) -> tuple[float, float]:
        """Average and highest load, with other loads on the nodes of these indices.

        1 is added, so that tiny loads do not count for much: 0.004 is twice 0.002, but 1.004 is about 1.002.
        """
        loads, squares = self.loads.copy(), self._squares.copy()
        for index, load in changed.items():
            loads[index], squares[index] = load, load * load
        return 1.0 + sqrt(fsum(squares) / len(squares)), 1.0 + max(loads)


def scores(placements: Sequence[Criteria]) -> list[float]:
    """The score of each placement among the others, from 0 (worst) to 1 (best); all 0 if no figure tells."""
    if not placements:
        return []
    columns = [_scaled(column) for column in zip(*placements, strict=True)]
    to_best = _distances(columns, [min(column) for column in columns])
    to_worst = _distances(columns, [max(column) for column in columns])
    return [worst / (worst + best) if worst + best else 0.0 for worst, best in zip(to_worst, to_best, strict=True)]


def _scaled(column: Sequence[float]) -> list[float]:
    norm = sqrt(fsum([value * value for value in column]))
    return [value / norm for value in column]


def _distances(columns: Sequence[Sequence[float]], ideal: Sequence[float]) -> list[float]:
    terms = [
        [(weight * (value - best)) ** 2 for value in column]
        for weight, column, best in zip(WEIGHTS, columns, ideal, strict=True)
    ]
    return [sqrt(fsum(each)) for each in zip(*terms, strict=True)]
