"""Mutants are what they are said to be, and the check finds it if they are not."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from pathlib import Path

import pytest

from hacore.protocol.table import ALWAYS
from hacore.protocol.tables import TABLES
from model_check.checks.mutated import mutated
from model_check.mutants.changes import own
from model_check.mutants.court import WEAKER, Court, Fate, Trial
from model_check.mutants.grounds import DEEP, NAMED, SMALL
from model_check.mutants.pages import UNTRIED, guards_page, mutants_page, stale
from model_check.mutants.record import Entry, load, save
from model_check.mutants.schema import Worlds
from model_check.mutants.selection import FEW, selected
from model_check.outcome import Verdict
from model_check.properties import SAFETY
from model_check.world import READ, world

EVERY = own()


UNSAFE = "lrm.active.leave_frozen: without QUIET"
UNSEEN = "service.request_start.balance: without ELSEWHERE"
LOSING = "service.fence.fenced: left out"
HARMLESS = "lrm.wait.ask: given without NO_FENCE_MARK"
TWICE = replace(EVERY["lrm.wait.quit: left out"], kind="says twice", table=TABLES["lrm"])


@pytest.fixture(scope="module")
def trials() -> dict[str, Trial]:
    """Some mutants, tried together in two slices."""
    lrm, row = TABLES["lrm"], TABLES["lrm"].by_id[TWICE.row]
    again = replace(row, guard=row.guard & row.guard)
    twice = replace(TWICE, table=replace(lrm, rows=tuple(again if it is row else it for it in lrm.rows)))
    chosen = [*(EVERY[it] for it in (UNSAFE, UNSEEN, LOSING, HARMLESS)), twice]
    return {it.mutant.name: it for it in Court(TABLES, ("suspect", "one restart")).tried(chosen)}


def test_a_table_that_goes_in_circles_makes_a_model() -> None:
    """An LRM that has lost its lock, and rests for ever, one round after the other."""
    lrm = TABLES["lrm"]
    endless = lrm.substituted({"lrm.lost.blind": lrm.changed("lrm.lost.blind", guard=ALWAYS)})
    rows = {action.row for action in world(NAMED["suspect"], {**TABLES, "lrm": endless}).actions}
    assert "lrm.active.fenced" in rows


def test_every_table_is_changed_in_every_way() -> None:
    assert len(EVERY) > 1000
    assert all(mutant.table != TABLES[mutant.table.name] for mutant in EVERY.values())
    kinds = {"given without", "does not", "left out", "without", "with the opposite of", "leads to"}
    assert {it.kind for it in EVERY.values()} == kinds
    assert {it.table.name for it in EVERY.values()} == set(READ)


def test_every_part_of_a_guard_is_dropped_and_reversed() -> None:
    kinds = {(it.kind, it.part) for it in EVERY.values() if it.row == "lrm.lost.quit"}
    assert {("without", "QUIET"), ("with the opposite of", "QUIET"), ("without", "~WORKERS"), ("left out", "")} <= kinds


@pytest.mark.parametrize(
    "name",
    [
        "lrm.wait.arm: does not OPEN_WATCHDOG",
        "lrm.active.blind: left out",
        "crm.master.write: given without TOKEN_CURRENT",
        "crm.master.change: left out",
        "service.fence.fenced: without FENCED",
        "service.started.lost: leads to freeze",
        "node.fence.done: does not FREE_LOCK",
        "disarm.deferred.go: left out",
        "worker.begin.start: left out",
    ],
)
def test_what_a_mutant_changes_is_found_without_reading_all_tables(name: str) -> None:
    worlds = Worlds(NAMED["suspect"], TABLES)
    ours = {it.identity for it in worlds.original.actions}
    theirs = {it.identity for it in world(worlds.slice, {**TABLES, EVERY[name].table.name: EVERY[name].table}).actions}
    found = worlds.difference(EVERY[name])
    assert {it.identity for it in found.new} == theirs - ours
    assert found.gone == ours - theirs


# ----------------------------------------------------------------------------------------------------------- fates


def test_an_unsafe_mutant_is_caught_with_the_named_property(trials: dict[str, Trial]) -> None:
    trial = trials[UNSAFE]
    assert (trial.fate, trial.property) == (Fate.CAUGHT, "SafeDisarm")
    assert [it.number for it in trial.steps] == list(range(1, len(trial.steps) + 1))
    assert trial.steps[-1].row == "lrm.active.leave"


def test_what_the_model_cannot_tell_is_equivalent(trials: dict[str, Trial]) -> None:
    assert trials[UNSEEN].fate is Fate.EQUIVALENT
    assert trials[UNSEEN].reason == "the closed model does not tell it from the table"


def test_a_mutant_whose_rows_fire_in_the_same_cases_is_equivalent_by_z3(trials: dict[str, Trial]) -> None:
    assert trials[TWICE.name].fate is Fate.EQUIVALENT
    assert trials[TWICE.name].reason == "in every case the same row fires (Z3)"


def test_a_safe_mutant_that_loses_something_is_marked_liveness(trials: dict[str, Trial]) -> None:
    assert (trials[LOSING].fate, trials[LOSING].reason) == (Fate.LIVENESS, "the service never is recovery")


def test_a_safe_mutant_that_loses_nothing_is_defence_in_depth(trials: dict[str, Trial]) -> None:
    assert trials[HARMLESS].fate is Fate.DEFENCE


# ---------------------------------------------------------------------------------------------------------- record


def test_the_selection_is_spread_over_tables_kinds_and_fates() -> None:
    soon = {fate: Entry(fate.value, slice="suspect" if fate is Fate.LIVENESS else "") for fate in Fate}
    record = {name: soon[fate] for name, fate in zip(EVERY, cycle(Fate), strict=False)}
    chosen = selected(record)
    assert len(chosen) == FEW >= 60
    assert chosen == selected(dict(reversed(record.items()))), "and is always the same"
    assert {EVERY[it].table.name for it in chosen} == set(READ)
    assert {EVERY[it].kind for it in chosen} == {it.kind for it in EVERY.values()}
    assert {record[it].fate for it in chosen} == set(Fate) - {Fate.NEEDED}, "of which nothing is soon known"


def test_what_only_deep_slices_or_a_weaker_invariant_tell_is_not_selected() -> None:
    name = "lrm.wait.ask: given without LOCK_AVAILABLE"
    assert selected({name: Entry(Fate.CAUGHT.value, "OneMaster", "suspect")}) == [name]
    assert selected({name: Entry(Fate.CAUGHT.value, "OneMaster", "two masters")}) == []
    assert selected({name: Entry(Fate.DEFENCE.value, reason=f"{WEAKER} 40 conjuncts")}) == []


def test_the_record_speaks_of_mutants_properties_and_slices_that_there_are() -> None:
    record = load()
    assert set(record) <= set(EVERY)
    names = {it.name for it in SAFETY}
    assert {it.property for it in record.values() if it.fate == Fate.CAUGHT} <= names
    assert {it.slice for it in record.values()} - {""} <= {it.slice.name for it in (*SMALL, *DEEP)}
    assert all(it.steps for it in record.values() if it.fate == Fate.CAUGHT)


def test_the_pages_are_what_the_record_says() -> None:
    assert stale(load()) == [], "run hacore mutants --write"


def test_a_page_says_what_was_not_tried() -> None:
    name = "lrm.wait.ask: given without LOCK_AVAILABLE"
    record = {name: Entry(Fate.CAUGHT.value, "OneMaster", "suspect", steps=7)}
    assert "- given without `LOCK_AVAILABLE`: caught: OneMaster" in mutants_page(record)
    assert f"- given without `NO_FENCE_MARK`: {UNTRIED}" in mutants_page(record)
    assert "given `LOCK_AVAILABLE` | **OneMaster** |" in guards_page(record)


def test_the_record_is_kept_in_the_order_of_the_tables(tmp_path: Path) -> None:
    record = dict(list(load().items())[:5])
    save(dict(reversed(record.items())), tmp_path / "record.json")
    assert list(load(tmp_path / "record.json").items()) == list(record.items())


# ----------------------------------------------------------------------------------------------------------- check


def test_a_mislabelled_record_fails() -> None:
    check = mutated(record={"service.fence.fenced: without FENCED": Entry(Fate.DEFENCE.value)})
    assert check.verdict is Verdict.BROKEN
    assert "service.fence.fenced: without FENCED\n  on record: defence in depth\n  now:       caught: " in check.problem
    assert "FenceBeforeRecover" in check.problem


def test_a_record_of_a_mutant_that_is_none_fails() -> None:
    check = mutated(record={"lrm.wait.none: left out": Entry(Fate.EQUIVALENT.value)})
    assert check.verdict is Verdict.BROKEN
    assert "no mutant is called so" in check.problem


@pytest.mark.slow
def test_the_selection_meets_its_fates() -> None:
    check = mutated()
    assert (check.verdict, check.problem) == (Verdict.PASSED, "")
