"""A trace, checked: by the tables, by living it again, and by what must always hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from hacore.trace.again import again
from hacore.trace.history import History
from hacore.trace.lines import own_tables
from hacore.trace.merging import Merged, merged
from hacore.trace.multiplexing import multiplexed
from hacore.trace.problem import Problem
from hacore.trace.promises import Promises
from hacore.trace.reading import TraceError, Traces, read
from hacore.trace.steps import steps
from hacore.trace.why import needless


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it."""

    problems: tuple[Problem, ...]
    nodes: int
    lives: int
    lines: int
    rows: int
    """Rows that fired, those included by which a master decided."""
    partial: int
    """Lives whose beginning is not there any more: they are held against the tables from their second row on."""


def check(paths: Iterable[Path]) -> Report:
    """Read, merge and check. Raises TraceError if there is nothing to check, or other tables were in use."""
    traces = read(paths)
    refuse_foreign(traces)
    return checked(traces, merged(traces))


def checked(traces: Traces, order: Merged) -> Report:
    """The same of traces that are read and merged already."""
    lines = [line for life in traces.lives for line in life.lines]
    return Report(
        problems=tuple(_problems(traces, order)),
        nodes=len(traces.nodes),
        lives=sum(1 for _ in traces.lives),
        lines=len(lines),
        rows=sum(1 + len(line.said.get("decided", ())) for line in lines if line.row),
        partial=sum(not life.whole for life in traces.lives),
    )


def refuse_foreign(traces: Traces) -> None:
    """Raises TraceError for a life that ran other tables than these: only its own can judge it."""
    for life in traces.lives:
        if life.tables not in {"", own_tables()}:
            raise TraceError(
                f"{life.lines[0].place} was written with other tables ({life.tables}) than those of this hacore "
                f"({own_tables()}): check it with the hacore that wrote it"
            )


def _problems(traces: Traces, order: Merged) -> Iterator[Problem]:
    for place, why in traces.broken:
        yield Problem("Line", "", 0.0, why, (place,))
    yield from chain.from_iterable(chain(steps(life), again(life), multiplexed(life)) for life in traces.lives)
    yield from order.problems
    if not order.problems:  # else its order is not known
        yield from Promises(traces, order).broken()
        yield from needless(History.of(traces, order))
