"""What the design promises of the tables' shape holds of their rows, and a table broken on purpose is found out."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hacore.protocol import crm, lrm
from hacore.protocol.crm import CRM
from hacore.protocol.lrm import LRM
from hacore.protocol.table import ALWAYS, Action, Site, Table, TableError
from hacore.protocol.tables import TABLES, declared
from hacore.protocol.vocabulary import RESTART_ASKED
from tests.protocol.promises import (
    Problems,
    acts_on_what_was_merely_read,
    becomes_master_unasked,
    cannot_end_its_round,
    closes_without_reason,
    feeds_without_a_granted_lock,
    fences_before_it_has_written,
    fences_without_mark,
    has_two_effects,
    is_never_reached,
    leaves_while_it_says_active,
    masters_after_an_unconfirmed_renewal,
    powers_off_undecided,
    releases_before_it_closes,
    says_active_elsewhere,
    says_active_unguarded,
    says_nothing,
    spawns_without_a_fresh_read,
    starts_unguarded,
    takes_the_lock_unarmed,
    takes_the_lock_unconditionally,
    takes_the_manager_lock_unseen,
    works_before_it_looks_for_a_mark,
    writes_without_token,
)

OF_EVERY_TABLE = (
    acts_on_what_was_merely_read,
    has_two_effects,
    is_never_reached,
    says_nothing,
)
OF_THE_LRM = (
    feeds_without_a_granted_lock,
    starts_unguarded,
    says_active_unguarded,
    spawns_without_a_fresh_read,
    works_before_it_looks_for_a_mark,
    says_active_elsewhere,
    closes_without_reason,
    releases_before_it_closes,
    takes_the_lock_unconditionally,
    takes_the_lock_unarmed,
)
OF_THE_CRM = (
    writes_without_token,
    fences_without_mark,
    fences_before_it_has_written,
    powers_off_undecided,
    becomes_master_unasked,
    takes_the_manager_lock_unseen,
    masters_after_an_unconfirmed_renewal,
)
PROMISES: list[tuple[Callable[[Table], Problems], Table]] = [
    *((promise, table) for promise in OF_EVERY_TABLE for table in TABLES.values()),
    *((cannot_end_its_round, table) for table in TABLES.values() if table.name in {"crm", "lrm", "worker", "watchdog"}),
    *((promise, LRM) for promise in OF_THE_LRM),
    *((promise, CRM) for promise in OF_THE_CRM),
]


@pytest.mark.parametrize(
    ("promise", "table"), PROMISES, ids=lambda it: getattr(it, "__name__", getattr(it, "name", ""))
)
def test_a_promise_is_kept(promise: Callable[[Table], Problems], table: Table) -> None:
    assert promise(table) == []


def test_an_lrm_does_not_leave_frozen_services_that_may_be_thawed() -> None:
    assert leaves_while_it_says_active(LRM) == []


def test_a_row_id_means_one_row_in_all_tables() -> None:
    ids = [row.id for table in TABLES.values() for row in table.rows]
    assert sorted(ids) == sorted(set(ids))


def test_every_effect_is_declared_with_its_sentence() -> None:
    effects = [each for each in declared() if isinstance(each, Action) and each.site is not Site.LOCAL]
    assert {row.effect for table in TABLES.values() for row in table.rows if row.effect} == {*effects}
    assert [each.name for each in effects if len(each.sentence.split()) < 3] == []


# ------------------------------------------------------------------------------------------- broken copies are found


def broken(table: Table, row: str, **changes: Any) -> Table:
    """The table with one row changed; none of the table's own rules is asked."""
    rows = tuple(replace(each, **changes) if each.id == row else each for each in table.rows)
    assert row in table.by_id
    copy = object.__new__(Table)
    for name in ("name", "theory", "states", "assuming"):
        object.__setattr__(copy, name, getattr(table, name))
    object.__setattr__(copy, "rows", rows)
    return copy


def swapped(table: Table, one: str, other: str) -> Table:
    """The table with two rows in each other's place."""
    of = {one: table.by_id[other], other: table.by_id[one]}
    return replace(table, rows=tuple(of.get(row.id, row) for row in table.rows))


SILENT = replace(lrm.OPEN_WATCHDOG, sentence="")
BROKEN: list[tuple[Callable[[Table], Problems], Table, str]] = [
    (
        acts_on_what_was_merely_read,
        broken(LRM, "lrm.active.job", do=(lrm.CHOOSE_JOB, lrm.SPAWN_WORKER)),
        "lrm.active.job",
    ),
    (
        has_two_effects,
        broken(LRM, "lrm.active.close", do=(lrm.CLOSE_WATCHDOG, lrm.RELEASE_LOCK)),
        "lrm.active.close",
    ),
    (is_never_reached, broken(LRM, "lrm.lost.quit", target="lost.resting"), "lost.leaving"),
    (cannot_end_its_round, broken(CRM, "crm.master.rest", target="master.resting", ends_round=False), "master.resting"),
    (says_nothing, broken(LRM, "lrm.wait.arm", do=(SILENT,)), "OPEN_WATCHDOG"),
    (feeds_without_a_granted_lock, broken(LRM, "lrm.active.confirmed", guard=ALWAYS), "lrm.active.confirmed"),
    (feeds_without_a_granted_lock, broken(LRM, "lrm.wait.refused", target="active.fed"), "lrm.wait.refused"),
    (starts_unguarded, broken(LRM, "lrm.active.guarded", guard=~lrm.ACCEPTED), "lrm.active.spawn"),
    (starts_unguarded, broken(LRM, "lrm.active.unconfirmed", target="active.working"), "lrm.active.spawn"),
    (starts_unguarded, broken(LRM, "lrm.wait.granted", target="active.working", do=()), "lrm.maintenance.spawn"),
    (starts_unguarded, broken(LRM, "lrm.active.rest", target="active.working"), "lrm.active.spawn"),
    (says_active_unguarded, broken(LRM, "lrm.active.too_late", target="active.working"), "lrm.active.say_active"),
    (says_active_unguarded, broken(LRM, "lrm.wait.say_idle", do=(lrm.SAY_ACTIVE,)), "lrm.wait.say_idle"),
    (spawns_without_a_fresh_read, broken(LRM, "lrm.active.spawn", state="active.told"), "lrm.active.tell"),
    (spawns_without_a_fresh_read, broken(LRM, "lrm.active.guarded", target="active.spawning"), "lrm.active.guarded"),
    (works_before_it_looks_for_a_mark, broken(LRM, "lrm.active.marked", guard=lrm.WORKERS), "active.working"),
    (
        works_before_it_looks_for_a_mark,
        swapped(LRM, "lrm.maintenance.blind", "lrm.maintenance.over"),
        "maintenance.working",
    ),
    (works_before_it_looks_for_a_mark, broken(LRM, "lrm.lost.blind", target="lost.asking"), "lrm.lost.blind"),
    (says_active_elsewhere, broken(LRM, "lrm.wait.say_disarm", do=(lrm.SAY_ACTIVE,)), "lrm.wait.say_disarm"),
    (
        closes_without_reason,
        broken(LRM, "lrm.active.leave_frozen", guard=RESTART_ASKED & ~lrm.WORKERS),
        "lrm.active.leave_frozen",
    ),
    (
        closes_without_reason,
        broken(LRM, "lrm.active.disarm", guard=lrm.DISARMING & lrm.QUIET),
        "lrm.active.disarm",
    ),
    (closes_without_reason, broken(LRM, "lrm.active.idle", guard=~lrm.LEAVING), "lrm.active.idle"),
    (closes_without_reason, broken(LRM, "lrm.lost.refused", do=(lrm.CLOSE_WATCHDOG,)), "lrm.lost.ask"),
    (closes_without_reason, broken(LRM, "lrm.lost.retry", target="lost.leaving"), "lrm.lost.retry"),
    (
        leaves_while_it_says_active,
        broken(LRM, "lrm.active.say_restart", guard=lrm.MODE_RESTART),
        "lrm.active.leave_frozen",
    ),
    (leaves_while_it_says_active, broken(LRM, "lrm.active.say_disarm", guard=lrm.MODE_DISARM), "lrm.active.disarm"),
    (releases_before_it_closes, broken(LRM, "lrm.active.disarm", target="active.releasing"), "lrm.active.release"),
    (takes_the_lock_unconditionally, broken(LRM, "lrm.lost.ask", given=(lrm.LOCK_AVAILABLE,)), "lrm.lost.ask"),
    (takes_the_lock_unconditionally, broken(LRM, "lrm.active.exit", given=()), "lrm.active.exit"),
    (takes_the_lock_unconditionally, broken(LRM, "lrm.active.tell", given=()), "lrm.active.tell"),
    (takes_the_lock_unarmed, broken(LRM, "lrm.wait.ask", guard=ALWAYS), "lrm.wait.ask"),
    (takes_the_lock_unarmed, broken(LRM, "lrm.wait.arm", do=()), "lrm.wait.ask"),
    (writes_without_token, broken(CRM, "crm.master.write", given=(crm.BASIS_CURRENT,)), "crm.master.write"),
    (writes_without_token, broken(CRM, "crm.master.retire", given=()), "crm.master.retire"),
    (
        fences_without_mark,
        broken(CRM, "crm.master.take", given=(crm.TOKEN_CURRENT, crm.AGENT_LOCK_SEEN)),
        "crm.master.take",
    ),
    (
        fences_without_mark,
        broken(CRM, "crm.master.take_off", given=(crm.TOKEN_CURRENT, crm.MARK_WRITTEN)),
        "crm.master.take_off",
    ),
    (fences_before_it_has_written, swapped(CRM, "crm.master.change", "crm.master.fence"), "master.deciding"),
    (fences_before_it_has_written, swapped(CRM, "crm.master.change", "crm.master.shoot"), "master.deciding"),
    (powers_off_undecided, broken(CRM, "crm.master.shoot", guard=ALWAYS), "crm.master.shoot"),
    (becomes_master_unasked, broken(CRM, "crm.slave.outrun", target="master"), "crm.slave.outrun"),
    (becomes_master_unasked, broken(CRM, "crm.lost.forget", target="master"), "crm.lost.forget"),
    (takes_the_manager_lock_unseen, broken(CRM, "crm.wait.campaign", guard=ALWAYS), "crm.wait.campaign"),
    (takes_the_manager_lock_unseen, broken(CRM, "crm.slave.campaign", given=()), "crm.slave.campaign"),
    (
        masters_after_an_unconfirmed_renewal,
        broken(CRM, "crm.master.unconfirmed", target="master.deciding"),
        "master.deciding",
    ),
]


@pytest.mark.parametrize(
    ("promise", "table", "where"), BROKEN, ids=lambda it: getattr(it, "__name__", it if isinstance(it, str) else "-")
)
def test_a_broken_promise_is_found(promise: Callable[[Table], Problems], table: Table, where: str) -> None:
    assert where in promise(table)


def test_each_promise_is_shown_to_be_able_to_fail() -> None:
    assert {promise for promise, _ in PROMISES} | {leaves_while_it_says_active} == {promise for promise, _, _ in BROKEN}


@pytest.mark.parametrize(
    ("row", "changes", "words"),
    [
        ("lrm.active.job", {"do": (lrm.SPAWN_WORKER,)}, "was merely read: decide in a row of its own"),
        ("lrm.active.close", {"do": (lrm.CLOSE_WATCHDOG, lrm.RELEASE_LOCK)}, "two effects"),
        ("lrm.active.renew", {"given": (lrm.LOCK_MINE,)}, "needs an effect on the store"),
        ("lrm.active.ask", {"given": (lrm.QUIET,)}, "is for what the store checks"),
    ],
)
def test_the_table_itself_refuses_what_breaks_its_rules(row: str, changes: dict[str, Any], words: str) -> None:
    rows = tuple(replace(each, **changes) if each.id == row else each for each in LRM.rows)
    with pytest.raises(TableError, match=words):
        replace(LRM, rows=rows)
