"""Automatic rebalancing: which move would even out the load of the nodes (PROTOCOL section 6).

What moves is a bundle: a service with its companions, if all of them are started on one node. The move is commanded for
the first of them; the others follow as companions do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import fsum, sqrt, trunc
from typing import NamedTuple

from hacore.manager import topsis
from hacore.manager.documents import LIVE_TYPES, Record, Settings
from hacore.manager.load import Load
from hacore.manager.placement import Places

_CUT = 1e15
"""Imbalances are equal if they are so in this many decimal places: what is beyond them is rounding."""
_NEAR = 1e-9
"""More than rounding can make of a squared imbalance."""


class Rebalance(NamedTuple):
    """A move to be commanded, and the imbalance before and after it."""

    how: str
    """``migrate`` for services that move while they run, else ``relocate``."""
    sid: str
    target: str
    before: float
    after: float


class Move(NamedTuple):
    """A bundle going from one node to another, nodes as indices, and the loads of both afterwards."""

    sid: str
    source: int
    target: int
    cpu: tuple[float, float]
    """On the source, on the target; likewise mem."""
    mem: tuple[float, float]


def rebalance(
    settings: Settings, records: Mapping[str, Record], places: Places, held: int, *, queued: bool
) -> tuple[int, Rebalance | None]:
    """One round: for how many rounds the imbalance has now been held against the cluster, and the move to command.

    ``held`` is what the round before returned, at first 0; ``queued``: a command to move a service waits.
    """
    if not settings.rebalance or places.load.scheduler == "basic":
        return 0, None
    if queued or any(record.state in {"migrate", "relocate"} for record in records.values()):
        return held, None
    spread = _Spread(places.load)
    before = imbalance(spread.loads)
    if before < settings.rebalance_threshold:
        return 0, None
    if held + 1 < settings.rebalance_hold_rounds:
        return held + 1, None
    return 0, _best(settings, before, spread, list(_moves(records, places, spread)))


def _best(settings: Settings, before: float, spread: _Spread, moves: Sequence[Move]) -> Rebalance | None:
    """The best move, if there is one and it is worth the trouble."""
    if not moves:
        return None
    move = spread.most_even(moves) if settings.rebalance_method == "bruteforce" else spread.best_ranked(moves)
    after = spread.after(move)
    if (before - after) / before < settings.rebalance_margin:
        return None
    how = "migrate" if move.sid.partition(":")[0] in LIVE_TYPES else "relocate"
    return Rebalance(how, move.sid, spread.nodes[move.target], before, after)


def imbalance(loads: Sequence[float]) -> float:
    """The standard deviation of the loads, as a part of their mean; 0 where nothing is loaded."""
    total = fsum(loads)
    if not total:
        return 0.0
    mean = total / len(loads)
    return sqrt(fsum([(load - mean) ** 2 for load in loads]) / len(loads)) / mean


def _moves(records: Mapping[str, Record], places: Places, spread: _Spread) -> Iterator[Move]:
    index = {node: number for number, node in enumerate(spread.nodes)}
    for leader in sorted({places.rules.group(sid) for sid, record in records.items() if record.state == "started"}):
        bundle = [sid for sid in places.rules.members.get(leader, (leader,)) if sid in records]
        source, *others = {records[sid].node for sid in bundle}
        if others or source not in index or any(records[sid].state != "started" for sid in bundle):
            continue
        _, preferred = places.located(leader)
        for target in sorted(preferred - places.separated(leader) - {source}):
            yield spread.moved(bundle, index[source], index[target])


class _Spread:
    """How the load is spread over the nodes, and how it would be after a move."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.nodes = load.nodes
        self._cpu, self._mem = load.steady()
        self.cpus = [self._cpu[node] / load.cpu_there_is[node] for node in self.nodes]
        self.mems = [self._mem[node] / load.mem_there_is[node] for node in self.nodes]
        self.loads = [(cpu + mem) / 2 for cpu, mem in zip(self.cpus, self.mems, strict=True)]

    def moved(self, bundle: Sequence[str], source: int, target: int) -> Move:
        leaves, comes = self._with(bundle, source, -1), self._with(bundle, target, 1)
        return Move(bundle[0], source, target, (leaves[0], comes[0]), (leaves[1], comes[1]))

    def _with(self, bundle: Sequence[str], index: int, sign: int) -> tuple[float, float]:
        node = self.nodes[index]
        weights = [self.load.weight(sid, node) for sid in bundle]
        cpu = max(0, self._cpu[node] + sign * sum(each for each, _ in weights))
        mem = max(0, self._mem[node] + sign * sum(each for _, each in weights))
        return cpu / self.load.cpu_there_is[node], mem / self.load.mem_there_is[node]

    def after(self, move: Move) -> float:
        """The imbalance after a move, without the digits that are rounding."""
        loads = self.loads.copy()
        loads[move.source], loads[move.target] = _both(move)
        return trunc(_CUT * imbalance(loads)) / _CUT

    def most_even(self, moves: Sequence[Move]) -> Move:
        """The move that leaves the least imbalance: found by a quick estimate first, as there may be many."""
        count, total, squares = len(self.loads), fsum(self.loads), fsum([load * load for load in self.loads])

        def squared(move: Move) -> float:
            old = self.loads[move.source], self.loads[move.target]
            new = _both(move)
            then = total - old[0] - old[1] + new[0] + new[1]
            return count * (squares - old[0] ** 2 - old[1] ** 2 + new[0] ** 2 + new[1] ** 2) / (then * then) - 1

        estimates = [squared(move) for move in moves]
        limit = min(estimates) + _NEAR
        near = [move for move, estimate in zip(moves, estimates, strict=True) if estimate <= limit]
        return min(near, key=lambda move: (self.after(move), move))

    def best_ranked(self, moves: Sequence[Move]) -> Move:
        """The move after which the nodes' loads have the best TOPSIS score."""
        cpus, mems = topsis.Loads(self.cpus), topsis.Loads(self.mems)
        placements = []
        for move in moves:
            both = move.source, move.target
            cpu, mem = dict(zip(both, move.cpu, strict=True)), dict(zip(both, move.mem, strict=True))
            placements.append((*cpus.with_(cpu), *mems.with_(mem)))
        ranked = zip(topsis.scores(placements), moves, strict=True)
        return min(ranked, key=lambda each: (-each[0], each[1]))[1]


def _both(move: Move) -> tuple[float, float]:
    """The loads of source and target afterwards."""
    return (move.cpu[0] + move.mem[0]) / 2, (move.cpu[1] + move.mem[1]) / 2
