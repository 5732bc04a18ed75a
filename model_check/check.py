"""What ``hacore check`` runs: every check of a level, one after the other, each as soon as it is done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hacore.protocol.table import Table
from hacore.protocol.tables import TABLES, declared
from model_check.checks.explored import explored, stories_of
from model_check.checks.mutated import mutated
from model_check.checks.proved import proved
from model_check.checks.specified import configurations, conforms, specified
from model_check.explore import explore
from model_check.ground import Ground
from model_check.holes import HOLES, Hole
from model_check.imported import load
from model_check.lint import lint
from model_check.outcome import Check, Verdict
from model_check.script import after
from model_check.world.slices import DEFAULT, LONG, QUICK, SMALL

READ = ("lrm", "crm", "service", "node", "disarm", "worker")
"""The tables that the closed model reads."""


class Level(StrEnum):
    QUICK = "quick"
    DEFAULT = "default"
    LONG = "long"


@dataclass(frozen=True)
class Tables:
    """Where tables come from: a file, or hacore itself. Worker processes call it anew."""

    path: Path | None = None

    def __call__(self) -> Mapping[str, Table]:
        return load(self.path) if self.path else TABLES


def checks(level: Level, tables: Tables, say: Callable[[str], None] = lambda _: None) -> Iterator[Check]:
    """Every check of the level. ``say`` is told how far a long one is."""
    known = tables()
    yield linted(known)
    yield from _explored(level, known, say)
    say("proving")
    yield proved(tables if tables.path else None, lambda _, number: say(f"proving: {number:,} obligations"))
    for slice_ in SMALL if level is not Level.QUICK else SMALL[-1:]:
        say(f"TLC enumerates {slice_.name}")
        yield conforms(slice_, known)
    if level is not Level.QUICK and not tables.path:
        for hole in HOLES:
            say(f"must fail: {hole.name}")
            yield must_fail(hole)
        for config in configurations(slow=level is Level.LONG):
            say(f"TLC checks {config.stem}")
            yield specified(config)
        yield mutated(long=level is Level.LONG, say=say)


def _explored(level: Level, tables: Mapping[str, Table], say: Callable[[str], None]) -> Iterator[Check]:
    fired: Counter[str] = Counter()
    for slice_ in {Level.QUICK: QUICK, Level.DEFAULT: DEFAULT, Level.LONG: LONG}[level]:
        check = explored(
            slice_,
            tables,
            lambda now, name=slice_.name: say(  # type: ignore[misc]
                f"exploring {name}: {now.states:,} states, {now.states_per_s:,.0f} a second, depth {now.depth}, "
                f"{now.queue:,} waiting"
            ),
        )
        fired.update(check.fired)
        yield check


def linted(tables: Mapping[str, Table]) -> Check:
    """What a solver finds by looking at the rows of each state together."""
    begin = time.perf_counter()
    findings = lint(tables.values(), declared() if tables is TABLES else ())
    return Check(
        group="lint",
        name="tables",
        sentence="No row is shadowed, no state unreachable, no fact idle.",
        verdict=Verdict.BROKEN if findings else Verdict.PASSED,
        seconds=time.perf_counter() - begin,
        figures={"rows": sum(len(table.rows) for table in tables.values()), "tables": len(tables)},
        problem="\n".join(map(str, findings)),
    )


def must_fail(hole: Hole) -> Check:
    """A weaker protocol, which must break its property: else the check finds nothing where there is something."""
    begin = time.perf_counter()
    ground = Ground(hole.model())
    start = after(ground, hole.script[: hole.begin])
    found = explore(ground, start=[start], invariants=[hole.breaks])
    caught = found.violated is not None
    steps = next(iter(stories_of(ground, found))).steps if caught else ()
    return Check(
        group="must fail",
        name=hole.name,
        sentence=hole.sentence,
        verdict=Verdict.PASSED if caught else Verdict.BROKEN,
        seconds=time.perf_counter() - begin,
        figures={"breaks": hole.breaks, "steps": len(steps) + hole.begin, "distinct states": found.distinct},
        problem="" if caught else f"{hole.breaks} should be broken, and is not",
    )
