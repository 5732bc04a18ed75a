"""Automatic rebalancing: which move would even out the load of the nodes (PROTOCOL section 6).

What moves is a bundle: a service with its companions, if all of them are started on one node. The move is commanded for
the first of them; the others follow as companions do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt, trunc
from typing import NamedTuple

from hacore.manager import topsis
from hacore.manager.documents import LIVE_TYPES, Record, Settings
from hacore.manager.placement import Places
from hacore.manager.topsis import Loads

_CUT = 1e15
"""Imbalances are equal if they are so in this many decimal places: what is beyond them is rounding."""


class Rebalance(NamedTuple):
    """A move to be commanded, and the imbalance before and after it."""

    how: str
    """``migrate`` for services that move while they run, else ``relocate``."""
    sid: str
    target: str
    before: float
    after: float


class Move(NamedTuple):
    """A bundle, named by its first member, going from one node to another; both are indices of nodes."""

    sid: str
    source: int
    target: int
    less: tuple[int, int]
    """By how much the processor and the memory load of the source become less."""
    more: tuple[int, int]
    """By how much those of the target become more."""


def rebalance(
    settings: Settings, records: Mapping[str, Record], places: Places, held: int, *, queued: bool
) -> tuple[int, Rebalance | None]:
    """One round: for how many rounds an imbalance has now lasted without a move, and the move to command.

    ``held`` is the number that the round before returned, at first 0; ``queued``: a command to move a service waits.
    """
    if not settings.rebalance or places.load.scheduler == "basic":
        return 0, None
    if queued or any(record.state in {"migrate", "relocate"} for record in records.values()):
        return held, None
    before = imbalance(_nodes(*places.load.settled()))
    if before < settings.rebalance_threshold or not before:
        return 0, None
    if held + 1 < settings.rebalance_hold_rounds:
        return held + 1, None
    return 0, _worthwhile(settings, records, places, before)


def _worthwhile(settings: Settings, records: Mapping[str, Record], places: Places, before: float) -> Rebalance | None:
    """The best move, if there is one that improves the imbalance by the margin."""
    cpu, mem = places.load.settled()
    moves = list(_moves(records, places, cpu, mem))
    if not moves:
        return None
    loads = _nodes(cpu, mem)
    move = _most_even(moves, loads) if settings.rebalance_method == "bruteforce" else _best_ranked(moves, cpu, mem)
    after = imbalance_after(move, loads)
    if (before - after) / before < settings.rebalance_margin:
        return None
    how = "migrate" if move.sid.partition(":")[0] in LIVE_TYPES else "relocate"
    return Rebalance(how, move.sid, places.load.nodes[move.target], before, after)


def _nodes(cpu: Loads, mem: Loads) -> Loads:
    """The loads of nodes: twice the mean of processor and memory load, as only their proportions count."""
    return Loads(map(int.__add__, cpu.loads, mem.loads))


def imbalance(loads: Loads) -> float:
    """The standard deviation of the loads as a part of their mean; 0 where nothing is loaded."""
    return _deviation(len(loads.loads), loads.total, loads.squares)


def imbalance_after(move: Move, loads: Loads) -> float:
    """The imbalance after a move, without the digits that are rounding."""
    left, there = loads.loads[move.source], loads.loads[move.target]
    less, more = sum(move.less), sum(move.more)
    squares = loads.squares - less * (2 * left - less) + more * (2 * there + more)
    return trunc(_CUT * _deviation(len(loads.loads), loads.total - less + more, squares)) / _CUT


def _deviation(count: int, total: int, squares: int) -> float:
    return sqrt((count * squares - total * total) / (total * total)) if total else 0.0


def _moves(records: Mapping[str, Record], places: Places, cpu: Loads, mem: Loads) -> Iterator[Move]:
    """All moves of a bundle to a preferred node on which no service is that it is kept apart from."""
    index = {node: number for number, node in enumerate(places.load.nodes)}
    for sid, bundle, source in _bundles(records, places):
        _, preferred = places.located(sid)
        shares = places.load.shares(places.load.weight(bundle))
        here = index[source]
        # What has not been measured on the node yet cannot leave it.
        less = min(shares[here][0], cpu.loads[here]), min(shares[here][1], mem.loads[here])
        for target in sorted(preferred - places.separated(sid) - {source}):
            there = index[target]
            yield Move(sid, here, there, less, shares[there])


def _bundles(records: Mapping[str, Record], places: Places) -> Iterator[tuple[str, Sequence[str], str]]:
    """The first member, all members and the node of each bundle."""
    for leader in sorted({places.rules.group(sid) for sid, record in records.items() if record.state == "started"}):
        bundle = [sid for sid in places.rules.companions(leader) if sid in records]
        source = records[bundle[0]].node
        if source in places.online and all(_is_started_on(source, records[sid]) for sid in bundle):
            yield bundle[0], bundle, source


def _is_started_on(node: str, record: Record) -> bool:
    return record.state == "started" and record.node == node


def _most_even(moves: Sequence[Move], loads: Loads) -> Move:
    """The move that leaves the least imbalance."""
    return min((imbalance_after(move, loads), move) for move in moves)[1]


def _best_ranked(moves: Sequence[Move], cpu: Loads, mem: Loads) -> Move:
    """The move after which the nodes' loads have the best TOPSIS score."""
    scores = topsis.scores(
        [cpu.judged(move.source, move.less[0], move.target, move.more[0]) for move in moves],
        [mem.judged(move.source, move.less[1], move.target, move.more[1]) for move in moves],
    )
    return min(zip((-score for score in scores), moves, strict=True))[1]
