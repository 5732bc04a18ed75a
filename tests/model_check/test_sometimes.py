"""A level is held to what its slices promise: rows that fire, events that come about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hacore.protocol.tables import TABLES
from model_check.checks.explored import explored
from model_check.checks.sometimes import NEVER, sometimes
from model_check.holes import substituted
from model_check.outcome import Check, Verdict
from model_check.properties import SOMETIMES
from model_check.world import READ
from model_check.world.slices import DEFAULT, LONG, QUICK

ROWS = {row for name in READ for row in TABLES[name].by_id}
BY_NAME = {slice_.name: slice_ for slice_ in LONG}


def shown(level: tuple[object, ...] = LONG, *without: str) -> list[Check]:
    """Explorations that show all that they should, in which some rows do not fire."""
    later = {row for slice_ in LONG if slice_ not in level for row in slice_.adds}
    fired = {row: 1 for row in ROWS - NEVER.keys() - later if row not in without}
    return [
        Check(
            "explore", slice_.name, "", Verdict.PASSED, 0.0, fired=dict(fired), seen=dict.fromkeys(slice_.shows, True)
        )
        for slice_ in LONG
        if slice_ in level
    ]


@pytest.mark.parametrize("level", [QUICK, DEFAULT, LONG], ids=["quick", "default", "long"])
def test_a_level_that_shows_all_it_promises_passes(level: tuple) -> None:  # type: ignore[type-arg]
    check = sometimes(level, shown(level), TABLES)
    assert (check.verdict, check.problem) == (Verdict.PASSED, "")
    assert check.figures["events"] == len(SOMETIMES)


def test_a_row_that_never_fires_is_told() -> None:
    check = sometimes(QUICK, shown(QUICK, "lrm.wait.ask"), TABLES)
    assert (check.verdict, check.problem) == (Verdict.LIVENESS, "lrm.wait.ask never fires")


def test_a_quicker_level_does_not_promise_what_a_longer_one_adds() -> None:
    row = BY_NAME["idle"].adds[0]
    assert sometimes(QUICK, shown(QUICK, row), TABLES).verdict is Verdict.PASSED
    check = sometimes(DEFAULT, shown(DEFAULT, row), TABLES)
    assert (check.verdict, set(check.problem.splitlines())) == (
        Verdict.LIVENESS,
        {f"{row} never fires in idle", f"{row} never fires"},
    )


def test_an_event_that_does_not_come_about_is_told() -> None:
    checks = shown(QUICK)
    checks[0].seen["recovery"] = False
    check = sometimes(QUICK, checks, TABLES)
    assert check.verdict is Verdict.LIVENESS
    assert check.problem == f"never in failover: {SOMETIMES['recovery'].sentence}"


def test_a_row_that_is_listed_and_fires_is_an_error_of_the_list() -> None:
    checks = shown(QUICK)
    checks[0].fired["crm.master.quit"] = 3
    check = sometimes(QUICK, checks, TABLES)
    assert check.verdict is Verdict.BROKEN
    assert check.problem == "crm.master.quit is listed as one that never fires, and fires"


def test_nothing_is_said_of_slices_that_were_not_explored_to_the_end() -> None:
    checks = shown(QUICK, "lrm.wait.ask")
    checks[0] = replace(checks[0], verdict=Verdict.SAFETY)
    check = sometimes(QUICK, checks, TABLES)
    assert (check.verdict, check.problem) == (Verdict.BROKEN, "nothing is known of failover")


def test_what_is_promised_and_listed_is_there() -> None:
    assert NEVER.keys() <= ROWS
    adds = [row for slice_ in LONG for row in slice_.adds]
    assert set(adds) <= ROWS - NEVER.keys()
    assert len(set(adds)) == len(adds), "one slice adds a row"
    assert not any(slice_.adds for slice_ in QUICK)
    assert {name for slice_ in QUICK for name in slice_.shows} == SOMETIMES.keys()


def test_a_slice_adds_what_it_says() -> None:
    check = explored(BY_NAME["reboot"], TABLES)
    assert all(check.fired[row] for row in BY_NAME["reboot"].adds)


def test_tables_in_which_an_update_is_impossible_show_none() -> None:
    rows = substituted(TABLES["lrm"], {"lrm.active.leave_frozen": (), "lrm.lost.quit": ()})
    assert explored(BY_NAME["steady"], {**TABLES, **rows}).seen == {"update": False, "thaw": True}
