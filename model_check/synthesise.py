"""The least durations that are safe, by Z3 in exact fractions; and why less does not do.

The requirements are those of :mod:`hacore.protocol.timing`, the same formulas, here over terms. That they suffice, and
that nothing less does, is asked of clocks themselves: two clocks that run wrong by at most ``drift``, one by which the
owner of a lock counts to its end, one by which another node counts until it takes the lock. :func:`overtaken` is a run
of both in which the lock is taken too early. There is one exactly when the safety inequality does not hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import z3

from hacore.protocol import timing
from hacore.protocol.timing import REQUIREMENTS, TimingError

GIVEN = ("round_s", "call_timeout_s", "hardware_s", "margin_s", "drift", "missed_rounds")
"""The settings from which the rest follows."""
SOUGHT = ("watchdog_s", "lock_ttl_s", "offline_s", "offline_delay_s")
"""What is to be as short as it can be."""
BOUNDS = ("failover_s", "failover_with_master_s")
"""What follows from it: the worst case of a failover."""
LESS = Fraction(999, 1000)
"""How much less is tried."""


def exactly(number: object) -> Fraction:
    """A number as it is written: 0.3 is three tenths."""
    return Fraction(str(number))


def _term(number: Fraction) -> Any:
    return z3.Q(number.numerator, number.denominator)


def _fraction(term: Any) -> Fraction:
    return Fraction(term.numerator_as_long(), term.denominator_as_long())


# ------------------------------------------------------------------------------------------------------ least values


@dataclass(frozen=True)
class Synthesis:
    """For given settings, the least of everything that is sought: one timing has all of it at once."""

    given: Mapping[str, Fraction]
    least: Mapping[str, Fraction]
    """:data:`SOUGHT`, those that were fixed included, and :data:`BOUNDS`."""
    shorter: Witness
    """What may happen if the lock lives a thousandth shorter than that watchdog needs."""

    @property
    def reset_s(self) -> Fraction:
        return Fraction(timing.reset_s(SimpleNamespace(**self.given)))

    @property
    def pause_s(self) -> Fraction:
        """How long everything on a healthy node, or its way to the store, may stand still without a reset."""
        return self.least["watchdog_s"] - Fraction(timing.guarded_round_s(SimpleNamespace(**self.given)))


def synthesise(settings: Mapping[str, object]) -> Synthesis:
    """The least durations for these settings: all of ``GIVEN``; what is set of ``SOUGHT``, and not 0, is kept.

    Raises :class:`TimingError` if what is kept excludes each other.
    """
    given = {name: exactly(settings[name]) for name in GIVEN}
    fixed = {name: exactly(settings[name]) for name in SOUGHT if settings.get(name)}
    system = _System(given, fixed)
    system.refuse_contradiction()
    least = {name: system.least(name) for name in (*SOUGHT, *BOUNDS)}
    assert system.has(**least), "each is least alone, but not all are together"
    needed = _System(given, {"watchdog_s": least["watchdog_s"]}).least("lock_ttl_s")
    clocks = least["watchdog_s"], Fraction(system.it.reset_s)
    assert overtaken(*clocks, needed, given["drift"]) is None, "the inequality is not enough"
    shorter = overtaken(*clocks, needed * LESS, given["drift"])
    assert shorter is not None, "the inequality asks for too much"
    return Synthesis(given, least, shorter)


class _System:
    """The requirements, over what is given and terms for what is sought."""

    def __init__(self, given: Mapping[str, Fraction], fixed: Mapping[str, Fraction]) -> None:
        self.terms = {name: z3.Real(name) for name in (*SOUGHT, *BOUNDS, "wait_s")}
        it = self.it = SimpleNamespace(**given, **{name: self.terms[name] for name in SOUGHT})
        # A fraction and a term do not mix: what is given becomes terms, once what follows from it alone is known.
        it.reset_s = timing.reset_s(it)
        over = SimpleNamespace(**{name: _lifted(value) for name, value in vars(it).items()})
        wait = self.terms["wait_s"]
        self.required = {text: holds(over) for text, holds in REQUIREMENTS.items()}
        self.fixed = {f"{name} = {float(value):g}": self.terms[name] == _term(value) for name, value in fixed.items()}
        self.meant = [
            *(wait >= each for each in timing.waits_s(over)),
            self.terms["failover_s"] >= timing.failover_s(over, wait),
            self.terms["failover_with_master_s"] >= timing.failover_with_master_s(over, wait),
        ]

    def _all(self) -> Iterator[Any]:
        yield from self.required.values()
        yield from self.fixed.values()
        yield from self.meant

    def refuse_contradiction(self) -> None:
        solver, named = z3.Solver(), self.required | self.fixed
        for text, formula in named.items():
            solver.assert_and_track(formula, text)
        if solver.check() == z3.unsat:
            texts = [str(text) for text in solver.unsat_core()]
            raise TimingError(f"no timing has all of: {'; '.join(text for text in named if text in texts)}")

    def least(self, name: str) -> Fraction:
        """Found by optimisation, then checked: less contradicts the requirements."""
        optimize = z3.Optimize()
        optimize.add(*self._all())
        optimize.minimize(self.terms[name])
        assert optimize.check() == z3.sat
        found = _fraction(optimize.model().eval(self.terms[name]))
        solver = z3.Solver()
        solver.add(*self._all(), self.terms[name] < _term(found))
        assert solver.check() == z3.unsat, f"there is a smaller {name}"
        return found

    def has(self, **values: Fraction) -> bool:
        """Whether all these values are possible together."""
        solver = z3.Solver()
        solver.add(*self._all(), *(self.terms[name] == _term(value) for name, value in values.items()))
        return bool(solver.check() == z3.sat)


def _lifted(value: Any) -> Any:
    return _term(value) if isinstance(value, Fraction) else value


# -------------------------------------------------------------------------------------------------------- why so long


@dataclass(frozen=True)
class Witness:
    """Moments in real time, in seconds: a run in which a lock is taken before its owner's services have ended."""

    lock_ttl_s: Fraction
    sent_s: Fraction
    seen_s: Fraction
    deadline_s: Fraction
    taken_s: Fraction
    ended_s: Fraction

    def moments(self) -> list[tuple[Fraction, str]]:
        """In order, with what happens."""
        return sorted(
            [
                (self.sent_s, "the owner sends its last renewal, and reads its clock before"),
                (self.seen_s, "another node sees that renewal, and begins to count"),
                (self.deadline_s, "the watchdog's deadline has come on the owner's clock, which is as slow as may be"),
                (
                    self.taken_s,
                    "the lock has stood still for its lifetime on the other clock, as fast as may be: taken",
                ),
                (self.ended_s, "everything on the owner's node has ended, after its lock was taken"),
            ],
            key=lambda moment: moment[0],
        )


def overtaken(watchdog_s: Fraction, reset_s: Fraction, lock_ttl_s: Fraction, drift: Fraction) -> Witness | None:
    """The run in which the lock is taken as long as possible before the services have ended; None: there is no run."""
    sent, seen, deadline, taken, ended = z3.Reals("sent seen deadline taken ended")
    owner_ends, watched = z3.Reals("owner_ends watched")
    """What clocks say: the owner's at the end of its services, since the renewal; the other's since it saw it."""

    def runs(clock: Any, real: Any) -> list[Any]:
        return [clock >= (1 - _term(drift)) * real, clock <= (1 + _term(drift)) * real]

    optimize = z3.Optimize()
    optimize.add(
        *(sent == 0, seen >= sent, taken >= seen, deadline >= sent, ended >= deadline),
        *runs(_term(watchdog_s), deadline - sent),
        *runs(owner_ends, ended - sent),
        *runs(owner_ends - _term(watchdog_s), ended - deadline),
        *runs(watched, taken - seen),
        owner_ends <= _term(watchdog_s + reset_s),
        watched >= _term(lock_ttl_s),
        taken < ended,
    )
    optimize.maximize(ended - taken)
    if optimize.check() != z3.sat:
        return None
    model = optimize.model()
    return Witness(lock_ttl_s, *(_fraction(model.eval(it, True)) for it in (sent, seen, deadline, taken, ended)))
