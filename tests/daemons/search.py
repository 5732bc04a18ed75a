"""One seed: a cluster, trouble, quiet. ``python -m tests.daemons.search FIRST LAST [LINES]`` looks at many seeds."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from tests.daemons.chaos import POLICIES, Chaos
from tests.daemons.parts import Violation
from tests.daemons.world import World

SERVICES = {"ct:1": "n1", "ct:2": "n2", "ct:3": "n1", "ct:4": "n3"}
LIVE_SERVICES = {"vm:1": "n1", "vm:2": "n2", "ct:3": "n1", "ct:4": "n3"}
"""With services that can move while they run: see test_known_problems."""


def run_seed(
    seed: int,
    duration_s: float = 40.0,
    only: Sequence[str] = (),
    *,
    services: Mapping[str, str] = SERVICES,
    settle: bool = True,
    **kinds: Any,
) -> World:
    """Raises Violation, which says the seed; the same arguments give the same run, event by event."""
    world = World(seed, **kinds)
    world.careful_arrivals = True
    try:
        chaos = Chaos(world, only)
        chaos.operator.begin(services, shutdown_policy=world.rng.choice(POLICIES))
        world.run(3.0)
        chaos.begin(duration_s)
        world.run(duration_s)
        if settle:
            chaos.settle()
    except Violation as problem:
        problem.add_note(f"{world.story()}\nseed {seed}: python -m tests.daemons.search {seed} {seed + 1} 600")
        raise
    return world


def main(first: int, last: int, lines: int) -> None:
    found: dict[str, int] = {}
    for seed in range(first, last):
        try:
            run_seed(seed)
        except Violation as problem:
            found[problem.name] = found.get(problem.name, 0) + 1
            print(seed, problem, flush=True)
            if lines:
                print(*problem.__notes__, sep="\n")
        except Exception:
            print(seed, "CRASH", flush=True)
            traceback.print_exc()
    print(found)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
