"""Proof that invariants hold, for any number of elements and at any time: by induction over steps.

They hold at the start, and no action breaks one of them if all of them held before. Each such question is an
*obligation*, and Z3 answers it alone:

- *proved*;
- *refuted*: there is a state in which all invariants hold, and a step from it that breaks one. Perhaps no run leads to
  that state; then an invariant that excludes it is still to be found, and the :class:`Counterexample` shows what for;
- *unknown*: Z3 gave up, and with few elements there is no counterexample. Give it more time, or say the invariant in
  other words: quantifiers in front, and ``every`` rather than ``some``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from multiprocessing import get_context
from time import perf_counter
from typing import TypeAlias

import z3

from model_check.counterexample import Counterexample, Reader, render
from model_check.expr import Domain, Expr, Ref
from model_check.lang import Action, Model
from model_check.smt import Change, Logic, Term, typing

SOON_S = 1.0
"""What is true is mostly proved in milliseconds: after this time a small counterexample is looked for first."""
MOMENT = 300_000
"""The same in units of Z3, which do not depend on the machine or its load: most proofs take less than ten thousand."""
FEW = 3
"""With up to so many elements of each domain."""


class Verdict(StrEnum):
    PROVED = "proved"
    REFUTED = "refuted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Obligation:
    """That a step keeps an invariant, and what became of it."""

    step: int
    """Which of :attr:`Prover.steps` it is; here are its name, or "" for the start, and its row."""
    action: str
    row: str
    invariant: str
    verdict: Verdict
    seconds: float
    used: tuple[str, ...] = ()
    """The invariants from which it follows, if it is proved."""
    reason: str = ""
    """Why there is nothing to show, if it is not proved."""
    counterexample: Counterexample | None = None

    def __str__(self) -> str:
        line = f"{self.action or 'start'} keeps {self.invariant}: {self.verdict} ({self.seconds:.2f} s)"
        if self.counterexample:
            return f"{line}\n{render(self.counterexample)}"
        return f"{line}: {self.reason}; nothing found with up to {FEW} of each domain" if self.reason else line


Answer: TypeAlias = tuple[Verdict, tuple[str, ...], str]
"""A verdict, what was used, and a reason."""


class Prover:
    """The obligations of a model. ``invariants`` are truths about ``model.state()``; each proof may use all of them."""

    def __init__(self, model: Model, invariants: Mapping[str, Expr] | None = None, timeout_s: float = 20) -> None:
        self.model, self.timeout_s = model, timeout_s
        self.invariants = dict(model.invariants if invariants is None else invariants)
        self.typing = typing(model)
        self.steps: tuple[Action | None, ...] = (None, *model.actions)
        """The start, and all actions."""
        self._useful: dict[str, set[str]] = {}
        self._unbounded = _Engine(self)
        self._small: dict[tuple[int, ...], _Engine] = {}

    def prove(self, actions: Collection[str] = (), invariants: Collection[str] = ()) -> Iterator[Obligation]:
        """All obligations, or those of some actions and invariants, each as soon as it is settled."""
        for number, action in enumerate(self.steps):
            if not actions or (action.name if action else "") in actions:
                for name in self.obliged(number):
                    if not invariants or name in invariants:
                        yield self.check(number, name)

    def obliged(self, number: int) -> Iterator[str]:
        """What a step must keep: an action cannot break an invariant that reads nothing of what it writes."""
        action = self.steps[number]
        if action is None:
            yield from self.invariants
            return
        doubtful = {update.field.name for update in action.updates if may_be_none(update.value)}
        yield from (name for name, goal in self.invariants.items() if reads(goal) & writes(action))
        yield from (name for name, goal in self.typing.items() if reads(goal) & doubtful)

    def check(self, number: int, invariant: str, without: Collection[str] = ()) -> Obligation:
        """One obligation, with all invariants assumed before the step but those left out."""
        action, goal = self.steps[number], (self.invariants | self.typing)[invariant]
        assumed = [name for name in self.invariants if name not in without] if action else []
        begun, found = perf_counter(), None
        verdict, used, reason = self._first_try(number, invariant, goal, assumed)
        if verdict is not Verdict.PROVED:
            found = self._counterexample(number, goal, assumed)
            if found:
                verdict, reason = Verdict.REFUTED, ""
            elif verdict is Verdict.UNKNOWN:
                verdict, used, reason = self._unbounded.ask_anew(number, goal, assumed, self.timeout_s)
        name, row = (action.name, action.row) if action else ("", "")
        return Obligation(number, name, row, invariant, verdict, perf_counter() - begun, used, reason, found)

    def proves(self, number: int, invariant: str, assumed: Collection[str], patient: bool = False) -> bool:
        """Whether the obligation is proved from these invariants, in a moment or with patience: no more than that."""
        goal, given = (self.invariants | self.typing)[invariant], list(assumed)
        answer = self._unbounded.ask(number, goal, given, self.timeout_s, MOMENT)
        if answer[0] is Verdict.UNKNOWN and patient:
            answer = self._unbounded.ask_anew(number, goal, given, self.timeout_s)
        return answer[0] is Verdict.PROVED

    def only_where(self, number: int, guard: Expr) -> bool:
        """Whether it is proved in a moment that the step happens only where ``guard``, over its parameters, holds."""
        return self._unbounded.only_where(number, guard, list(self.invariants), MOMENT)

    def _first_try(self, number: int, invariant: str, goal: Expr, assumed: list[str]) -> Answer:
        """First with those invariants only that other steps needed to keep this one: they often suffice, and the fewer
        they are, the less there is to try."""
        timeout_s, useful = min(SOON_S, self.timeout_s), self._useful.setdefault(invariant, {invariant})
        answer = self._unbounded.ask(number, goal, [name for name in assumed if name in useful], timeout_s)
        if answer[0] is not Verdict.PROVED:
            answer = self._unbounded.ask(number, goal, assumed, timeout_s)
        useful.update(answer[1])
        return answer

    def _counterexample(self, number: int, goal: Expr, assumed: list[str]) -> Counterexample | None:
        """One with few elements, if there is one, and with no more of any domain than it takes."""
        least = {domain: 1 + max(named, default=0) for domain, named in self._unbounded.logic.domains.items()}

        def fails(sizes: dict[Domain, int]) -> bool:
            return self._sized(sizes).fails(number, goal, assumed)

        uniform = ({domain: max(size, most) for domain, most in least.items()} for size in range(1, FEW + 1))
        sizes = next(filter(fails, uniform), None)
        if sizes is None:
            return None
        for domain, size in sizes.items():
            smaller = ({**sizes, domain: fewer} for fewer in range(least[domain], size))
            sizes = next(filter(fails, smaller), sizes)
        return self._sized(sizes).explain(number, goal, assumed)

    def _sized(self, sizes: dict[Domain, int]) -> _Engine:
        key = tuple(sizes.values())
        if key not in self._small:
            self._small[key] = _Engine(self, sizes, self._unbounded.logic)
        return self._small[key]


class _Engine:
    """A solver that has been told what may be assumed. Each invariant has a flag, so that it can be left out."""

    def __init__(self, prover: Prover, sizes: Mapping[Domain, int] | None = None, like: Logic | None = None) -> None:
        self.logic, self.steps = Logic(prover.model, sizes), prover.steps
        self._translated: dict[int, tuple[list[Term], Change]] = {}
        if like is None:  # axioms speak of all that occurs
            for number in range(len(self.steps)):
                self._step(number)
        else:
            for duration in like.durations:
                self.logic.duration(duration)
        invariants = {name: self.logic.term(expr) for name, expr in prover.invariants.items()}
        self.flags = {name: z3.Bool(f"?{name} holds", self.logic.context) for name in invariants}
        # One solver for all questions: that saves most of the time that new ones would take, and loses no proof.
        self.solver = z3.SimpleSolver(ctx=self.logic.context)
        self.solver.add(*self.logic.axioms())
        self.solver.add(*(z3.Implies(self.flags[name], term) for name, term in invariants.items()))

    def ask(self, number: int, goal: Expr, assumed: list[str], timeout_s: float, most: int = 0) -> Answer:
        """Whether the goal holds after the step. ``most``: so many of Z3's own units of work at most, if not 0."""
        names = {self.flags[name].get_id(): name for name in assumed}
        with self._broken(number, goal) as solver:
            solver.set("timeout", round(1000 * timeout_s))
            solver.set("rlimit", most)
            answer = solver.check(*(self.flags[name] for name in assumed))
            if answer == z3.unsat:
                return Verdict.PROVED, tuple(names[flag.get_id()] for flag in solver.unsat_core()), ""
            return _not_proved(solver, answer)

    def ask_anew(self, number: int, goal: Expr, assumed: list[str], timeout_s: float) -> Answer:
        """The same of a solver that has seen nothing else, and takes time to think before it begins."""
        solver = z3.Solver(ctx=self.logic.context)
        with self._broken(number, goal) as known:
            solver.add(known.assertions())
        solver.add(*(self.flags[name] for name in assumed))
        solver.set("timeout", round(1000 * timeout_s))
        answer = solver.check()
        return (Verdict.PROVED, tuple(assumed), "") if answer == z3.unsat else _not_proved(solver, answer)

    def only_where(self, number: int, guard: Expr, assumed: list[str], most: int) -> bool:
        self.solver.push()
        try:
            self.solver.add(*self._step(number)[0], z3.Not(self.logic.term(guard)))
            self.solver.set("rlimit", most)
            return bool(self.solver.check(*(self.flags[name] for name in assumed)) == z3.unsat)
        finally:
            self.solver.pop()

    def fails(self, number: int, goal: Expr, assumed: list[str]) -> bool:
        with self._broken(number, goal) as solver:
            return bool(solver.check(*(self.flags[name] for name in assumed)) == z3.sat)

    def explain(self, number: int, goal: Expr, assumed: list[str]) -> Counterexample:
        with self._broken(number, goal) as solver:
            solver.add(*(self.flags[name] for name in assumed))
            return Reader(self.logic, solver, self.steps[number]).read(goal)

    @contextmanager
    def _broken(self, number: int, goal: Expr) -> Iterator[z3.Solver]:
        """Suppose that a step is made, and that ``goal`` does not hold after it."""
        guards, change = self._step(number)
        self.solver.push()
        try:
            self.solver.add(*guards, z3.Not(self.logic.changed(self.logic.term(goal), change)))
            yield self.solver
        finally:
            self.solver.pop()

    def _step(self, number: int) -> tuple[list[Term], Change]:
        if number not in self._translated:
            action = self.steps[number]
            self._translated[number] = self.logic.guards(action) if action else [], self.logic.change(action)
        return self._translated[number]


def _not_proved(solver: z3.Solver, answer: z3.CheckSatResult) -> Answer:
    if answer == z3.sat:
        return Verdict.REFUTED, (), "Z3 knows a counterexample"
    return Verdict.UNKNOWN, (), f"Z3 says {solver.reason_unknown()}"


# ------------------------------------------------------------------------------------------------ what depends on what


def may_be_none(expr: Expr) -> bool:
    """Whether the types alone allow a reference to be None."""
    if expr.op == "ite":
        return any(map(may_be_none, expr.args[1:]))
    return isinstance(expr.type, Ref) and expr.type.none


NOW = "now"
"""Read by what compares a moment with the clock, and written by the passing of time."""


@cache
def reads(expr: Expr) -> frozenset[str]:
    """The fields that a truth depends on, and ``NOW``."""
    own = {expr.args[0].name} if expr.op == "get" else {NOW} if expr.op in ("after", "ahead", "passed") else set()
    return frozenset(own.union(*(reads(arg) for arg in expr.args if isinstance(arg, Expr))))


def writes(action: Action) -> frozenset[str]:
    return frozenset(update.field.name for update in action.updates) | ({NOW} if action.ticks else set())


# ---------------------------------------------------------------------------------------------- which ones are needed


def needed(prover: Prover, proofs: Iterable[Obligation]) -> Iterator[tuple[str, Obligation | None]]:
    """Of each invariant: the first obligation that cannot be met without it, or None if it is not needed for others.

    ``proofs`` are all obligations, proved. Only those that used an invariant are tried again without it.
    """
    proofs = list(proofs)
    for name in prover.invariants:
        users = (it for it in proofs if name in it.used and name != it.invariant)
        again = (prover.check(it.step, it.invariant, {name}) for it in users)
        yield name, next((it for it in again if it.verdict is not Verdict.PROVED), None)


# ------------------------------------------------------------------------------------------------- several processes


def prove_all(factory: Callable[[], Prover], workers: int = 2) -> Iterator[Obligation]:
    """All obligations, in no order. The factory makes a prover in each process, so it must be some module's function
    (or a ``partial`` of one); and a script that calls this must do so under ``if __name__ == "__main__"``."""
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin, (factory,)) as pool:
        try:
            steps = pool.submit(_count).result()
            for done in as_completed([pool.submit(_prove, number) for number in range(steps)]):
                yield from done.result()
        finally:
            pool.shutdown(cancel_futures=True)


_prover: Callable[[], Prover]
"""In a worker: gives the one prover that its factory makes."""


def _begin(factory: Callable[[], Prover]) -> None:
    global _prover  # noqa: PLW0603 - it is the worker's own
    _prover = cache(factory)


def _count() -> int:
    return len(_prover().steps)


def _prove(number: int) -> list[Obligation]:
    prover = _prover()
    return [prover.check(number, name) for name in prover.obliged(number)]
