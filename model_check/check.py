"""What ``hacore check`` runs: every check of a level, one after the other, each as soon as it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from hacore.protocol.table import Table
from hacore.protocol.tables import TABLES, declared
from model_check import liveness
from model_check.checks.explored import explored, multiplexed, stories_of
from model_check.checks.live import LACKS, MORE_LACKS, live, must_reset, must_stall
from model_check.checks.mutated import mutated
from model_check.checks.proved import proved
from model_check.checks.sometimes import sometimes
from model_check.checks.specified import configurations, conforms, refines, specified
from model_check.explore import explore
from model_check.ground import Ground
from model_check.holes import HOLES, Hole
from model_check.imported import load
from model_check.lint import lint
from model_check.outcome import Check, Verdict
from model_check.script import after
from model_check.world import mixed
from model_check.world.slices import DEFAULT, LONG, MILLION, QUICK, REFINED, REFINED_LONG, SMALL, Slice


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
    slices = {Level.QUICK: QUICK, Level.DEFAULT: DEFAULT, Level.LONG: LONG}[level]
    with ThreadPoolExecutor(1) as aside:  # its work is done by other processes, while this one prepares slices
        proof = aside.submit(proved, tables if tables.path else None)
        yield linted(known)
        found = list[Check]()
        for check in _explored(slices, known, say):
            found.append(check)
            yield check
        yield sometimes(slices, found, known)
        yield multiplexed(known)
        yield from _live(level, tables, say)
        say("proving")
        yield proof.result()
    if level is Level.QUICK:
        say(f"TLC enumerates {SMALL[-1].name}")
        yield conforms(SMALL[-1], tables)
        return
    if not tables.path:
        for hole in HOLES:
            say(f"must fail: {hole.name}")
            yield must_fail(hole)
    yield from _by_tlc(level, tables, say)
    if not tables.path:
        yield mutated(long=level is Level.LONG, say=say)


def _by_tlc(level: Level, tables: Tables, say: Callable[[str], None]) -> Iterator[Check]:
    """What TLC is asked, two questions at a time: a run of it keeps one processor busy."""
    long = level is Level.LONG
    jobs = [partial(conforms, slice_, tables) for slice_ in ((*SMALL, MILLION) if long else SMALL)]
    if not tables.path:
        jobs += [partial(refines, slice_, tables) for slice_ in (REFINED_LONG if long else REFINED)]
        jobs += [partial(specified, config) for config in configurations(slow=long)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for number, answer in enumerate([pool.submit(job) for job in jobs]):
            say(f"TLC: {number} of {len(jobs)}")
            yield answer.result()


def upgrades(level: Level, old: Tables, new: Tables, say: Callable[[str], None] = lambda _: None) -> Iterator[Check]:
    """Every check of the level of a cluster in which some daemons run the old tables and some the new ones."""
    yield compared(old(), new())
    slices = {Level.QUICK: mixed.QUICK, Level.DEFAULT: mixed.DEFAULT, Level.LONG: mixed.LONG}[level]
    yield from _explored(slices, new(), say, old())
    for version, tables in (("old", old()), ("new", new())):
        yield replace(multiplexed(tables), name=f"watchdog {version}")
    say("proving")
    yield proved(new, lambda _, number: say(f"proving: {number:,} obligations"), old)


def _explored(
    slices: Iterable[Slice],
    tables: Mapping[str, Table],
    say: Callable[[str], None],
    old: Mapping[str, Table] | None = None,
) -> Iterator[Check]:
    for slice_ in slices:
        check = explored(
            slice_,
            tables,
            lambda now, name=slice_.name: say(  # type: ignore[misc]
                f"exploring {name}: {now.states:,} states, {now.states_per_s:,.0f} a second, depth {now.depth}, "
                f"{now.queue:,} waiting"
            ),
            old=old,
        )
        yield check


def _live(level: Level, tables: Tables, say: Callable[[str], None]) -> Iterator[Check]:
    for prop in liveness.QUICK if level is Level.QUICK else liveness.DEFAULT:
        say(f"searching for runs without end: {prop.name}")
        yield live(prop, tables())
    if level is not Level.QUICK and not tables.path:
        for lack in (*LACKS, *MORE_LACKS) if level is Level.LONG else LACKS:
            say(f"must fail: {lack.name}")
            yield must_stall(lack)
        yield must_reset()


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


def compared(old: Mapping[str, Table], new: Mapping[str, Table]) -> Check:
    """What the new version changed: the rows of either that the other does not have in that form."""
    begin = time.perf_counter()
    before, after = ({row.id: row for table in tables.values() for row in table.rows} for tables in (old, new))
    return Check(
        group="upgrade",
        name="rows",
        sentence="What differs between the versions: "
        + (", ".join(sorted(row for row in {**before, **after} if before.get(row) != after.get(row))) or "nothing"),
        verdict=Verdict.PASSED,
        seconds=time.perf_counter() - begin,
        figures={
            "new rows": sum(row not in before for row in after),
            "changed rows": sum(row in before and before[row] != after[row] for row in after),
            "dropped rows": sum(row not in after for row in before),
        },
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
