"""What a failing seed fails by: the fewest of its faults that do, found by leaving out halves, quarters and so on.

Each fault has its own randomness (:mod:`hacore.sim.faults`), so what is kept stays as it was. The latencies that follow
may be others; therefore each attempt is a run of its own, which must fail in the same way.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hacore.sim.faults import Fault, Seed
from hacore.sim.promises import Unsettled, Violation

MOST_RUNS = 200


@dataclass(frozen=True)
class Failure:
    """How a run failed."""

    kind: str
    """``safety``, ``liveness`` or ``crash``."""
    name: str
    """The promise, Unsettled, or the exception: two runs fail in the same way if this is the same."""
    text: str
    faults: tuple[Fault, ...]
    """What had been done to the cluster by then."""
    story: str


def failure(run: Seed) -> Failure | None:
    """Run it."""
    try:
        run.run()
    except Violation as problem:
        kind, name, text = "safety", problem.name, str(problem)
    except Unsettled as problem:
        kind, name, text = "liveness", "Unsettled", str(problem)
    except Exception as problem:
        name = type(problem).__name__
        kind, text = "crash", f"{name}: {problem}\n{traceback.format_exc()}"
    else:
        return None
    return Failure(kind, name, text, tuple(run.chaos.done), run.world.story(600))


def shrunk(make: Callable[[Sequence[str]], Seed], found: Failure) -> tuple[Failure, int]:
    """The shortest failure of the same name that was found, and in how many runs. ``make``: a run with these faults."""
    part, runs = max(1, len(found.faults) // 2), 0
    while found.faults and runs < MOST_RUNS:
        at, smaller = 0, False
        while at < len(found.faults) and runs < MOST_RUNS:
            kept = [it.name for it in (*found.faults[:at], *found.faults[at + part :])]
            runs += 1
            less = failure(make(kept))
            if less is not None and less.name == found.name:
                found, smaller = less, True
            else:
                at += part
        if part == 1 and not smaller:
            break
        part = max(1, part // 2)
    return found, runs


def told(found: Failure) -> list[str]:
    """Its faults as times and sentences."""
    return [f"{it.at_s:9.2f} s  {it.text or '(nothing to be done)'}" for it in found.faults]
