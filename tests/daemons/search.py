"""One seed: a cluster, trouble, quiet. ``python -m tests.daemons.search FIRST LAST`` looks at many and prints why."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from typing import Any

from tests.daemons.chaos import Chaos
from tests.daemons.parts import Violation
from tests.daemons.world import World

SERVICES = {"ct:1": "n1", "ct:2": "n2", "ct:3": "n1", "ct:4": "n3"}
LIVE_SERVICES = {"vm:1": "n1", "vm:2": "n2", "ct:3": "n1", "ct:4": "n3"}
"""With services that can move while they run: see test_known_problems."""


def run_seed(
    seed: int,
    duration_s: float = 40.0,
    without: frozenset[str] = frozenset(),
    *,
    services: Mapping[str, str] = SERVICES,
    settle: bool = True,
    **kinds: Any,
) -> World:
    """Raises Violation."""
    world = World(seed, **kinds)
    try:
        world.careful_arrivals = True
        chaos = Chaos(world, without)
        chaos.operator.begin(
            services, shutdown_policy=world.rng.choice(["conditional", "freeze", "failover", "migrate"])
        )
        world.run(3.0)
        chaos.begin(duration_s)
        world.run(duration_s)
        if settle:
            chaos.settle()
    except Violation as problem:
        problem.add_note(f"seed {seed}")
        problem.world = world  # type: ignore[attr-defined]
        raise
    return world


def main(first: int, last: int, without: frozenset[str], lines: int, kinds: Mapping[str, Any]) -> None:
    found: dict[str, int] = {}
    for seed in range(first, last):
        try:
            run_seed(seed, without=without, **kinds)
        except Violation as problem:
            found[problem.name] = found.get(problem.name, 0) + 1
            print(seed, problem, flush=True)
            if lines:
                print(problem.world.story(lines))  # type: ignore[attr-defined]
        except Exception:
            print(seed, "CRASH", flush=True)
            traceback.print_exc()
    print(found)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), frozenset(sys.argv[4:]), int(sys.argv[3]), {})
