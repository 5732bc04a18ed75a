"""The reference variant has every weak point that the checker holds against it."""

from __future__ import annotations

import pytest

from hacore.protocol import crm, lrm
from hacore.protocol.reference import weak
from hacore.protocol.reference.tables import REFERENCE
from model_check.holes import HOLES

VARIANT = REFERENCE["lrm"].by_id


@pytest.mark.parametrize(
    ("table", "unchecked"),
    [("crm", weak.NO_TOKEN), ("lrm", weak.BLIND_RELEASE), ("crm", weak.UNMARKED)],
    ids=["no token", "blind release", "unmarked"],
)
def test_its_store_does_not_check(table: str, unchecked: weak.Unchecked) -> None:
    for row, facts in unchecked.items():
        assert not set(REFERENCE[table].by_id[row].given) & set(facts)


def test_it_arms_after_it_has_locked() -> None:
    assert VARIANT["lrm.wait.arm"].state == VARIANT["lrm.wait.ask"].target
    assert lrm.OPEN_WATCHDOG in VARIANT["lrm.wait.arm"].do


def test_it_says_active_where_it_holds_nothing() -> None:
    said = VARIANT["lrm.wait.say_active"]
    assert (said.state, said.do) == ("wait_for_agent_lock", (lrm.SAY_ACTIVE,))


def test_it_takes_any_freeze_for_an_answer() -> None:
    assert lrm.QUIET not in VARIANT["lrm.active.leave_frozen"].guard.facts()


def test_each_weak_point_is_a_hole_of_the_checker() -> None:
    """What a hole changes, row by row."""
    of_holes = [
        {row for table in hole.tables.values() for row in table.rows if row not in (lrm.LRM.rows + crm.CRM.rows)}
        for hole in HOLES
    ]
    for rows in (weak.LOCK_FIRST, weak.BOAST, weak.ANY_FREEZE):
        changed = {row for new in rows.values() for row in ((new,) if not isinstance(new, tuple) else new)}
        assert any(changed <= found | set(lrm.LRM.rows) for found in of_holes)
    for table, unchecked in ((crm.CRM, weak.NO_TOKEN), (lrm.LRM, weak.BLIND_RELEASE), (crm.CRM, weak.UNMARKED)):
        weaker = weak.without_given(table, unchecked)
        assert any({weaker.by_id[row] for row in unchecked} <= found for found in of_holes)
