"""Trials: what becomes of a mutant.

It is *caught* if a run breaks a named property. It is *equivalent* if it does nothing else than the tables. If Z3
proves that the invariant still holds, safety does not need what was changed, and it is marked by what does: *liveness*,
if something is lost that the tables can do, and *defence in depth* if nothing is. What is left is *needed by the
proof*: the argument fails, and no run was found.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from hacore.protocol.table import Table
from model_check.checks.explored import steps_to
from model_check.explore import Exploration, explore, ready
from model_check.explore.result import Engine, State
from model_check.ground import Ground
from model_check.invariants import CONJUNCTS
from model_check.mutants import grounds
from model_check.mutants.changes import Mutant
from model_check.mutants.losses import Seen
from model_check.mutants.proofs import Proofs, same_rows
from model_check.mutants.schema import CHOSEN, ORIGINAL, Difference, Worlds
from model_check.outcome import Step
from model_check.properties import SAFETY
from model_check.theorem import WORLD
from model_check.world.slices import Slice

MOST = 2_500_000
"""States of one run."""
WEAKER = "proved with a weaker invariant of"
MOST_ACTIONS = 800
"""Of mutants, in one model."""
PROVED_AFTER = 4
"""So many slices mutants are caught: then it is time to prove."""
PROPERTIES = tuple(it.name for it in SAFETY)


class Fate(StrEnum):
    CAUGHT = "caught"
    EQUIVALENT = "equivalent"
    LIVENESS = "liveness"
    DEFENCE = "defence in depth"
    NEEDED = "needed by the proof"


@dataclass(frozen=True)
class Trial:
    """What became of a mutant."""

    mutant: Mutant
    fate: Fate
    property: str = ""
    """Broken by a run; or of what is needed by the proof, what is not proved to be kept."""
    slice: str = ""
    """Where the run is, or where something is lost."""
    reason: str = ""
    """Why it is equivalent, what is lost, or how it was proved safe."""
    steps: tuple[Step, ...] = ()
    """The run: a shortest one, or if it has a detour, shortest from there on."""
    detour: str = ""
    """A conjunct of the invariant that the run breaks first, as soon as can be."""


class Found(NamedTuple):
    ground: Ground
    run: Exploration


class Bench:
    """Runs of one slice, of the tables and of several mutants, from one compiled model."""

    def __init__(self, worlds: Worlds, differences: Sequence[Difference], conjuncts: bool = False) -> None:
        self.slice = worlds.slice
        self.ground, self.changes = worlds.together(differences, CONJUNCTS if conjuncts else ())
        self.engine: Engine = ready(self.ground)

    def run(
        self, chosen: str, wanted: Sequence[str] = PROPERTIES, *, start: State = (), deadlock: bool = False
    ) -> Exploration:
        """Of one mutant; it begins where the slice does, or at a packed state."""
        begin = start or self.ground.pack(self.ground.start(**{CHOSEN: chosen}))
        return explore(
            self.ground, start=[begin], made=self.engine, threads=1, limit=MOST, invariants=wanted, deadlock=deadlock
        )


class Court:
    """Tries many mutants together. ``slices``: only in these, by name."""

    def __init__(self, tables: Mapping[str, Table], slices: Collection[str] = ()) -> None:
        self.tables, self.proofs = tables, Proofs(tables)
        self.small = [it for it in grounds.SMALL if not slices or it.slice.name in slices]
        self.deep = [it for it in grounds.DEEP if not slices or it.slice.name in slices]
        self._worlds: dict[str, Worlds] = {}
        self._seen: dict[str, Seen] = {}
        self._live = Worlds(replace(WORLD, happens=WORLD.happens | {"live"}), tables)

    def worlds(self, slice_: Slice) -> Worlds:
        return self._worlds.setdefault(slice_.name, Worlds(slice_, self.tables))

    # ------------------------------------------------------------------------------------------------------ trials

    def tried(self, mutants: Sequence[Mutant], say: Callable[[str], None] = lambda _: None) -> Iterator[Trial]:
        """Each as soon as its fate is known."""
        pending: list[Case] = []
        for mutant in mutants:
            difference = self.proofs.difference(mutant)
            if difference:
                pending.append(Case(mutant, difference))
            else:
                yield Trial(mutant, Fate.EQUIVALENT, reason=self.why_equivalent(mutant))
        for number, where in enumerate(self.small):
            say(f"{where.slice.name}: {sum(not it.done for it in pending)} of {len(mutants)} mutants")
            yield from self._explored(where, pending)
            if number == PROVED_AFTER:
                yield from self._prove(pending)
        yield from self._prove(pending)
        yield from (it.over(Trial(it.mutant, Fate.DEFENCE)) for it in pending if it.safe and not it.done)
        unsafe = [it for it in pending if not it.done]
        for case, broken in zip(unsafe, self.proofs.broken([it.difference for it in unsafe]), strict=True):
            case.broken = broken
        for where in self.deep:
            say(f"{where.slice.name}: {sum(not it.done for it in pending)} of {len(mutants)} mutants")
            yield from self._guided(where, pending)
        for case in pending:
            if not case.done:
                say(f"a weaker invariant for {case.mutant.name}")
                yield case.over(self._with_less(case))

    def why_equivalent(self, mutant: Mutant) -> str:
        if same_rows(self.tables[mutant.table.name], mutant):
            return "in every case the same row fires (Z3)"
        if self._live.difference(mutant):
            return "it matters only to services that move while they run, and none does so far"
        return "the closed model does not tell it from the table"

    def _prove(self, cases: Sequence[Case]) -> Iterator[Trial]:
        due = [it for it in cases if it.open]
        for case, broken in zip(due, self.proofs.broken([it.difference for it in due], most=1), strict=True):
            case.broken = broken
            if case.lost and case.safe:
                yield case.over(Trial(case.mutant, Fate.LIVENESS, slice=case.where, reason=case.lost))

    def _explored(self, where: grounds.Ground, cases: Sequence[Case]) -> Iterator[Trial]:
        due = [it for it in cases if not (where.large and it.safe and it.seen)]
        for bench, alike in self._benches(where, due):
            chosen = alike[0][0]
            run, original = bench.run(chosen, deadlock=True), self._original(bench)
            seen = Seen.of(bench.ground, run)
            if run.violated is None and run.deadlocked is not None:
                run = bench.run(chosen)
            if run.violated is not None:
                steps = run_of(Found(bench.ground, run))
                yield from (it.over(caught(it.mutant, bench.slice, run.violated[0], steps)) for _, it in alike)
                continue
            for _, case in alike:
                case.seen |= case.mutant.row in original.fired | seen.fired
                if run.complete and not case.lost:
                    case.lost = next(original.lost(seen, case.mutant.row), "")
                    case.where = bench.slice.name if case.lost else ""
                if case.lost and case.safe:
                    yield case.over(Trial(case.mutant, Fate.LIVENESS, slice=case.where, reason=case.lost))

    def _original(self, bench: Bench) -> Seen:
        """What the tables do in a slice. All of the slices that are not deep are explored to the end."""
        if bench.slice.name not in self._seen:
            self._seen[bench.slice.name] = Seen.of(bench.ground, bench.run(ORIGINAL, deadlock=True))
        return self._seen[bench.slice.name]

    def _guided(self, where: grounds.Ground, cases: Sequence[Case]) -> Iterator[Trial]:
        """First to where the argument breaks, then on from there."""
        for bench, alike in self._benches(where, cases, conjuncts=True):
            for chosen, case in alike:
                run = bench.run(
                    chosen, (*PROPERTIES, *(it for it in case.broken or () if it in bench.ground.invariants))
                )
                found, detour = [Found(bench.ground, run)], ""
                if run.violated is not None and run.violated[0] not in PROPERTIES:
                    detour, state = run.violated
                    run = bench.run(chosen, start=bench.ground.pack(state))
                    found.append(Found(bench.ground, run))
                if run.violated is not None:
                    yield case.over(caught(case.mutant, bench.slice, run.violated[0], run_of(*found), detour))

    def _benches(
        self, where: grounds.Ground, cases: Iterable[Case], conjuncts: bool = False
    ) -> Iterator[tuple[Bench, Alike]]:
        """Cases that differ from the tables in the slice, those together that do so alike."""
        worlds, due = (
            self.worlds(where.slice),
            (it for it in cases if not it.done and it.mutant.table.name in where.tables),
        )
        differing = [(case, it) for case in due if (it := worlds.difference(case.mutant))]
        for part in batches(differing):
            bench, groups = Bench(worlds, [it for _, it in part], conjuncts), dict[frozenset[int], Alike]()
            for number, (case, _) in enumerate(part):
                if changes := bench.changes[str(number)]:
                    groups.setdefault(changes, []).append((str(number), case))
            yield from ((bench, alike) for alike in groups.values())

    def _with_less(self, case: Case) -> Trial:
        broken = self.proofs.broken([case.difference], patient=True)[0]
        kept = self.proofs.safe_with_less(case.difference) if broken else ()
        if broken and not kept:
            return Trial(case.mutant, Fate.NEEDED, broken[0], case.where, case.lost)
        how = f"{WEAKER} {len(kept)} conjuncts" if broken else ""
        if case.lost:
            return Trial(case.mutant, Fate.LIVENESS, slice=case.where, reason="; ".join(filter(None, (case.lost, how))))
        return Trial(case.mutant, Fate.DEFENCE, reason=how)


Alike: TypeAlias = list[tuple[str, "Case"]]
"""Cases of which one run tells all, each with what is chosen for its own."""


@dataclass
class Case:
    """A mutant on trial."""

    mutant: Mutant
    difference: Difference
    broken: tuple[str, ...] | None = None
    """Invariants that are not proved to be kept; None if that was not asked."""
    seen: bool = False
    """The changed row fires in some slice."""
    lost: str = ""
    where: str = ""
    done: bool = field(default=False)

    @property
    def safe(self) -> bool:
        return self.broken == ()

    @property
    def open(self) -> bool:
        return not self.done and self.broken is None

    def over(self, trial: Trial) -> Trial:
        self.done = True
        return trial


def batches(differing: Sequence[tuple[Case, Difference]]) -> Iterator[list[tuple[Case, Difference]]]:
    """Not more new actions in one model than compile in seconds."""
    part: list[tuple[Case, Difference]] = []
    actions = 0
    for each in differing:
        part.append(each)
        actions += len(each[1].new)
        if actions > MOST_ACTIONS:
            yield part
            part, actions = [], 0
    if part:
        yield part


def caught(mutant: Mutant, slice_: Slice, name: str, steps: tuple[Step, ...], detour: str = "") -> Trial:
    return Trial(mutant, Fate.CAUGHT, name, slice_.name, steps=steps, detour=detour)


def run_of(*found: Found) -> tuple[Step, ...]:
    """The whole run, of parts each of which begins where the one before ends."""
    steps: list[Step] = []
    for ground, run in found:
        assert run.violated is not None
        before = len(steps)
        steps += (replace(it, number=it.number + before) for it in steps_to(ground, run, run.violated[1]))
    return tuple(steps)
