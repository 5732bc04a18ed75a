"""The project's own scenarios give the events that were written down, and together they fire the rows there are.

After a change that means to change events: ``pytest tests/sim --regenerate``, then read what changed in
``tests/scenarios``, and commit only what you understand.
"""

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from hacore.protocol.reference.tables import REFERENCE
from hacore.sim.events import Event, first_difference
from hacore.sim.scenario import read_scenario
from tests.sim.scenarios import PATHS, regenerate, run, text

COVERED = ("service", "node", "disarm", "crm", "lrm", "worker")

NEVER = {
    "the clock lets nothing happen within a round, so what was just asked for is granted, and what was read holds": (
        *("lrm.wait.unarmed", "lrm.needed.refused", "lrm.back.refused"),
        *("lrm.wait.untold", "lrm.active.untold", "lrm.maintenance.untold", "lrm.empty.untold"),
        *("lrm.armed.too_late", "lrm.active.too_late", "lrm.maintenance.too_late"),
        *("lrm.active.late", "lrm.maintenance.late", "lrm.active.marked", "lrm.maintenance.marked"),
        *("crm.wait.outrun", "crm.slave.outrun", "crm.master.unwritten", "crm.master.untaken"),
    ),
    "a cut network lasts at least until the next commands, 100 s, and the watchdog resets the node before": (
        *("lrm.lost.retry", "lrm.lost.ask", "lrm.lost.regained", "lrm.lost.refused", "lrm.lost.fenced"),
        *("lrm.active.fenced", "lrm.maintenance.fenced", "lrm.empty.fenced"),
    ),
    "an earlier row of the round, or the signal itself, has chosen the mode already": (
        *("lrm.active.say_disarm", "lrm.active.say_maintenance", "lrm.active.say_active", "lrm.active.say_shutdown"),
        "lrm.empty.say_maintenance",
    ),
    "a disarm in mode ignore begins when nothing is on its way, and then nothing sets out": (
        *("service.request_start.ignored", "service.migrate.ignored", "service.relocate.ignored"),
        *("service.fence.ignored", "service.recovery.ignored", "disarm.disarming.defer"),
    ),
    "a start has no other outcome, and each answer to one makes a new uid, so that none is watched": (
        *("service.started.onward.error", "worker.begin.watch"),
    ),
}
"""Rows that no scenario can fire by the reference clock, by the reason."""


@cache
def ran(path: Path) -> tuple[list[Event], Counter[str]]:
    return run(read_scenario(path))


@pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
def test_events_are_as_written_down(path: Path, pytestconfig: pytest.Config) -> None:
    events, _ = ran(path)
    if pytestconfig.getoption("--regenerate", default=False):
        regenerate(path, events)
    scenario = read_scenario(path)
    assert first_difference(scenario.expect, events) == ""
    assert scenario.name == path.stem
    assert scenario.purpose.endswith("."), "a scenario says in a sentence what it is for"


def test_every_row_is_fired_by_some_scenario() -> None:
    fired = {row for path in PATHS for row in ran(path)[1]}
    rows = {row.id for name in COVERED for row in REFERENCE[name].rows}
    never = [row for rows in NEVER.values() for row in rows]
    print("rows that no scenario fires:", *sorted(rows - fired))
    assert sorted(rows - fired) == sorted(never)


def test_scenarios_that_are_left_out_would_be_missed() -> None:
    """Rows are counted where they fire: without the scenarios about a disarm the rows about it are missing."""
    fired = {row for path in PATHS if "disarm" not in path.stem for row in ran(path)[1]}
    assert {"disarm.armed.request", "lrm.active.disarm", "service.started.disarm"}.isdisjoint(fired)


def test_scenarios_are_written_as_regenerating_writes_them() -> None:
    for path in PATHS:
        assert path.read_text() == text(json.loads(path.read_text())), path.name


def test_a_changed_event_is_noticed() -> None:
    path = next(path for path in PATHS if path.stem == "failed-node")
    scenario, (events, _) = read_scenario(path), ran(path)
    recovered = next(number for number, event in enumerate(events) if event["event"] == "service_recovered")
    changed = [*events]
    changed[recovered] = {**events[recovered], "target": "n9"}
    assert "service_recovered" in first_difference(scenario.expect, changed)
