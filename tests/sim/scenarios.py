"""The project's own scenarios: where they are, how they are written down, and what happens in a run of one."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from hacore.protocol.reference.tables import REFERENCE, timing
from hacore.sim.clockwork import Clockwork
from hacore.sim.events import Event
from hacore.sim.scenario import Scenario
from tests.manager.cluster import fired

DIRECTORY = Path(__file__).parents[1] / "scenarios"
PATHS = sorted(DIRECTORY.glob("*.json"))
LINED = ("nodes", "services", "rules", "static_stats", "dynamic_stats", "commands", "expect")
"""The parts of a scenario that are written with a line for each of their items."""


def run(scenario: Scenario) -> tuple[list[Event], Counter[str]]:
    """The events of the reference profile, and how often each row fired."""
    loop_s = max(20, 2 * len(scenario.nodes))
    clockwork = Clockwork(scenario, REFERENCE, timing(loop_s), loop_s)
    with fired() as decided:  # by the master, in its documents
        events = clockwork.run().list
    return events, clockwork.fired + Counter(decided)


def text(scenario: dict[str, Any]) -> str:
    """The scenario as JSON that is read, and compared, line by line."""
    parts = [f'"{key}": {_lined(value) if key in LINED else json.dumps(value)}' for key, value in scenario.items()]
    return "{\n " + ",\n ".join(parts) + "\n}\n"


def _lined(value: dict[str, Any] | list[Any]) -> str:
    if isinstance(value, dict):
        lines, (begin, end) = [f"{json.dumps(key)}: {json.dumps(it)}" for key, it in value.items()], "{}"
    else:
        lines, (begin, end) = [json.dumps(it) for it in value], "[]"
    return begin + "\n  " + ",\n  ".join(lines) + "\n " + end if lines else begin + end


def regenerate(path: Path, events: list[Event]) -> None:
    """Write down what happened; what operators did stands there already, as commands."""
    scenario = json.loads(path.read_text())
    path.write_text(text({**scenario, "expect": [event for event in events if event["actor"] != "operator"]}))
