"""Traces of several daemons and nodes, merged into one order in which all of it may have happened.

What is known for certain: the lines of one daemon stand in their order. A transaction that was committed at revision r
happened after all with a lower one, and after every read that showed a lower one; a read that showed r happened after
the transaction r. Beyond that, times on one clock (one boot) tell.

Clocks of different boots are aligned by the same facts: whatever the store did lies, on its asker's clock, between the
asker's line before and the line of the answer. So each pair of a transaction and a later one, or a read, of another
boot bounds by how much the two clocks differ. The middle of these bounds is taken; the error is at most half of what
lies between them, and decides nothing that revisions decide.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf

from hacore.trace.problem import Problem
from hacore.trace.reading import Line, Traces

NAME = "Order"
Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Moment:
    """A line, and when it was by a clock that all lines have in common: that of the first boot."""

    at: float
    line: Line


@dataclass(frozen=True, slots=True)
class Merged:
    """All lines in one order."""

    moments: tuple[Moment, ...]
    slack: dict[str, float]
    """By how much the common time of a boot's lines may be wrong."""
    problems: tuple[Problem, ...]

    def unsure(self, one: str, other: str) -> float:
        """By how much two boots' times may be wrong against each other, in seconds."""
        return 0.0 if one == other else self.slack.get(one, 0.0) + self.slack.get(other, 0.0)


def merged(traces: Traces) -> Merged:
    """The order. Lines that no order can hold are told as problems; they stand where their own daemon has them."""
    threads = [[line for life in lives for line in life.lines] for lives in traces.threads.values()]
    problems = list(_backwards(threads))
    wrong = {place for problem in problems for place in problem.lines[:1]}
    keys = {line.place: key for lines in threads for line in lines if (key := _key(line)) and line.place not in wrong}
    offsets, slack = _aligned(threads, keys)
    threads += [[line for line in traces.hardware if line.node == node] for node in traces.nodes]
    moments = tuple(_in_order(threads, keys, offsets))
    return Merged(moments, slack, tuple(problems))


def _key(line: Line) -> Key | None:
    """Where the store's revisions place a line: a transaction before the reads that show it."""
    return (line.committed, 0) if line.committed else (line.seen, 1) if line.seen >= 0 else None


def _backwards(threads: Iterable[list[Line]]) -> Iterator[Problem]:
    """Lines whose revision contradicts their daemon's order, or that of another transaction."""
    taken: dict[int, Line] = {}
    for lines in threads:
        last: tuple[Key, Line] | None = None
        for line in lines:
            key = _key(line)
            if key is None:
                continue
            if last and key < last[0]:
                yield Problem.at(
                    NAME, f"revision {key[0]} after {last[0][0]}: the store never goes back", line, last[1]
                )
                continue
            if line.committed and taken.setdefault(line.committed, line) is not line:
                yield Problem.at(NAME, f"two transactions have revision {key[0]}", line, taken[line.committed])
            last = key, line


# -------------------------------------------------------------------------------------------------------- clocks


def _aligned(threads: Iterable[list[Line]], keys: dict[str, Key]) -> tuple[dict[str, float], dict[str, float]]:
    """By boot: what is to be added to its times, and by how much that may be wrong."""
    spans = sorted(_spans(threads, keys), key=lambda span: span[0])
    bounds = _bounds(spans)
    offsets, slack = dict[str, float](), dict[str, float]()
    for boot in dict.fromkeys(
        [*(boot for _, boot, _, _ in spans), *(line.boot for lines in threads for line in lines)]
    ):
        least, most = _range(bounds, offsets, boot)
        known = [at for at in (least, most) if abs(at) < inf] or [0.0]
        offsets[boot] = sum(known) / len(known)
        slack[boot] = abs(most - least) / 2 if most - least < inf else 0.0
    return offsets, slack


def _range(bounds: dict[tuple[str, str], float], offsets: dict[str, float], boot: str) -> tuple[float, float]:
    """Between what the boot's offset lies, by what is known of the others'. Clocks that drift may leave less than
    nothing between."""
    least = max((offset - bounds.get((one, boot), inf) for one, offset in offsets.items()), default=-inf)
    most = min((offset + bounds.get((boot, one), inf) for one, offset in offsets.items()), default=inf)
    return least, most


def _spans(threads: Iterable[list[Line]], keys: dict[str, Key]) -> Iterator[tuple[Key, str, float, float]]:
    """What the store did: its key, and between which times of which boot."""
    for lines in threads:
        before = lines[0] if lines else None
        for line in lines:
            if before and line.place in keys:
                yield keys[line.place], line.boot, before.t if before.boot == line.boot else line.t, line.t
            if line.worker is None:
                before = line


def _bounds(spans: Iterable[tuple[Key, str, float, float]]) -> dict[tuple[str, str], float]:
    """By pair of boots: how much greater the first one's offset is than the second one's, at most."""
    latest: dict[str, float] = {}
    bounds: dict[tuple[str, str], float] = {}
    for _, boot, begin, end in spans:
        for other, at in latest.items():
            if other != boot:
                bounds[other, boot] = min(bounds.get((other, boot), inf), end - at)
        latest[boot] = max(latest.get(boot, -inf), begin)
    return bounds


# --------------------------------------------------------------------------------------------------------- order


def _in_order(threads: list[list[Line]], keys: dict[str, Key], offsets: dict[str, float]) -> Iterator[Moment]:
    queues = [deque(lines) for lines in threads if lines]
    outstanding = deque(sorted(keys.values()))
    ready: list[tuple[float, int]] = []
    waiting: list[tuple[Key, float, int]] = []

    def offer(number: int) -> None:
        """The head of a queue is ready, or waits until it is the store's turn."""
        if queues[number]:
            line = queues[number][0]
            at = line.t + offsets.get(line.boot, 0.0)
            if line.place in keys:
                insort(waiting, (keys[line.place], at, number))
            else:
                heapq.heappush(ready, (at, number))

    for number in range(len(queues)):
        offer(number)
    while ready or waiting:
        turns = [entry for entry in waiting if entry[0] == outstanding[0]] if outstanding else []
        first = min(turns, key=lambda entry: entry[1:], default=None)
        if first and (not ready or first[1:] <= ready[0]):
            waiting.remove(first)
            outstanding.popleft()
            at, number = first[1:]
        else:
            at, number = heapq.heappop(ready)
        yield Moment(at, queues[number].popleft())
        offer(number)
