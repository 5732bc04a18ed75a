"""Two versions of the tables in one cluster: what is harmless passes, and what only together does harm is found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hacore.protocol import lrm, service
from hacore.protocol.export import export
from hacore.protocol.table import State, Table
from hacore.protocol.tables import TABLES
from model_check.check import compared
from model_check.checks.explored import explored, model_of
from model_check.checks.proved import proved
from model_check.conform import against_tlc
from model_check.explore import explore
from model_check.ground import Ground
from model_check.holes import ANY_FREEZE, BOAST, substituted
from model_check.imported import ImportedError, load
from model_check.outcome import Check, Verdict
from model_check.theorem import prover
from model_check.world.mixed import DEFAULT, LONG, NEW, QUICK, acting, mixed
from model_check.world.slices import SMALL

UPDATE, FAILOVER = QUICK
EARLY_WORD = Path(__file__).parents[2] / "docs" / "examples" / "early_word.py"
NEEDED, START = lrm.LRM.by_id["lrm.wait.needed"], service.SERVICE.by_id["service.stopped.start"]
HARMLESS: Mapping[str, Table] = {
    **TABLES,
    **substituted(lrm.LRM, {NEEDED.id: replace(NEEDED, id="lrm.wait.wanted")}),
    **substituted(service.SERVICE, {START.id: replace(START, guard=START.guard & ~service.NODE_LOST)}),
}
"""A row of the LRM had another name, and a master did not start what was stopped on a lost node."""


def harmless() -> Mapping[str, Table]:
    return HARMLESS


def with_another_state() -> Mapping[str, Table]:
    return {**TABLES, **substituted(lrm.LRM, {}, State("wait.musing", "Does nothing.", "wait_for_agent_lock", True))}


def versions(check: Check) -> set[str]:
    """Those that the steps of a story name."""
    return {step.name.rpartition(", ")[2] for story in check.stories for step in story.steps if step.row}


def test_what_is_harmless_together_passes() -> None:
    check = explored(UPDATE, TABLES, old=HARMLESS)
    assert (check.verdict, check.problem, check.group) == (Verdict.PASSED, "", "upgrade")
    assert check.fired["lrm.wait.needed"] > 0, "the new version's row is taken"
    assert check.fired["lrm.wait.wanted"] > 0, "and the old version's"


@pytest.mark.slow
def test_what_is_harmless_together_is_proved_so_for_any_number_of_nodes() -> None:
    check = proved(old=harmless)
    assert (check.verdict, check.problem) == (Verdict.PASSED, "")
    assert 0 < int(check.figures["obligations"]) < 1000, "only of what differs"


@pytest.mark.parametrize("tables", [TABLES, load(EARLY_WORD)], ids=["ours", "early word"])
def test_each_version_of_the_example_is_safe_alone(tables: Mapping[str, Table]) -> None:
    check = explored(UPDATE, tables)
    assert (check.verdict, check.problem) == (Verdict.PASSED, "")


@pytest.mark.parametrize(
    "ours_is_new", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["from it to ours", "from ours to it"]
)
def test_the_versions_of_the_example_are_not_safe_together(ours_is_new: bool) -> None:
    old, new = (load(EARLY_WORD), TABLES) if ours_is_new else (TABLES, load(EARLY_WORD))
    check = explored(UPDATE, new, old=old)
    assert (check.verdict, check.stories[0].property) == (Verdict.SAFETY, "SafeDisarm")
    assert versions(check) == {"old", "new"}
    rows = {step.row for step in check.stories[0].steps}
    assert "lrm.wait.say_active" in rows
    assert any(changed == ("old", "new") for step in check.stories[0].steps for changed in step.changes.values())


@pytest.mark.parametrize(
    ("old", "generations"), [(BOAST, 1), pytest.param(ANY_FREEZE, 2, marks=pytest.mark.slow)], ids=["boast", "freeze"]
)
def test_a_hole_of_the_old_version_is_found(old: Mapping[str, Table], generations: int) -> None:
    check = explored(replace(UPDATE, generations=generations), TABLES, old={**TABLES, **old})
    assert check.verdict is Verdict.SAFETY


def test_a_daemon_changes_its_version_only_when_it_begins_anew() -> None:
    model = mixed(
        replace(UPDATE, happens=UPDATE.happens | {"crash", "lapse", "lrm_dies", "shutdown"}), HARMLESS, TABLES
    )
    for field, state in (("version", "lrm"), ("crm_version", "crm")):
        changing = [it for it in model.actions if any(update.field.name == field for update in it.updates)]
        assert {it.row for it in changing} == {""}
        others = {it.name for it in changing if all(update.field.name != state for update in it.updates)}
        assert others == ({"world.lrm_is_new"} if state == "lrm" else set())
    assert {it.name.removesuffix(" as new") for it in model.actions if it.name.endswith(" as new")} == {
        *("world.watchdog_resets", "world.node_crashes", "world.node_shuts_down"),
        *("world.lrm_starts", "world.lrm_dies", "world.crm_dies"),
    }


def test_a_worker_left_behind_may_be_of_either_version() -> None:
    """And so a story does not say of which."""
    renamed = replace(TABLES["worker"].by_id["worker.begin.idle"], id="worker.begin.rest")
    model = mixed(UPDATE, {**TABLES, **substituted(TABLES["worker"], {"worker.begin.idle": renamed})}, TABLES)
    (step,) = (action for action in model.actions if action.name == "worker.begin.rest")
    assert any("doomed" in repr(guard) for guard in step.guards)
    assert acting(step, {"n": 1}, {"version[1]": "new", "doomed[1]": False}) == "new"
    assert acting(step, {"n": 1}, {"version[1]": "new", "doomed[1]": True}) == "left behind"
    assert acting(step, {"n": 1}, {"doomed[1]": True}) == ""


def test_versions_are_kept_only_of_daemons_in_which_they_differ() -> None:
    def changed(old: Mapping[str, Table]) -> set[str]:
        actions = mixed(UPDATE, old, TABLES).actions
        return {update.field.name for it in actions for update in it.updates} & {"version", "crm_version"}

    assert changed(TABLES) == set()
    assert changed({**HARMLESS, "lrm": TABLES["lrm"]}) == {"crm_version"}
    assert changed({**HARMLESS, "service": TABLES["service"]}) == {"version"}


@pytest.mark.slow
def test_a_cluster_that_is_new_altogether_is_the_ordinary_one() -> None:
    """Without the change-over, and begun as new, the same states are reached as with the new tables alone."""
    model = model_of(UPDATE, TABLES, HARMLESS)
    for name in ("version", "crm_version"):
        model.fields[name] = replace(model.fields[name], initial=NEW)
    model.actions = [
        action
        for action in model.actions
        if all(update.field.name not in {"version", "crm_version"} for update in action.updates)
    ]
    alone, together = (explore(Ground(it), keep=False) for it in (model_of(UPDATE, TABLES), model))
    assert together.distinct == alone.distinct


@pytest.mark.slow
def test_explorer_and_tlc_agree_on_a_mixed_world() -> None:
    small = next(slice_ for slice_ in SMALL if slice_.name == "new")
    model = model_of(replace(small, happens=small.happens | {"manager_dies"}), TABLES, HARMLESS)
    assert {"version", "crm_version"} & {update.field.name for action in model.actions for update in action.updates}
    ground = Ground(model)
    both = against_tlc(model, ground, explore(ground, keep=False))
    assert both.equal


@pytest.mark.slow
def test_steps_of_the_new_version_are_proved_where_they_may_meet_what_is_new_to_them() -> None:
    """A state that only the old version knows may be met by the new one, so its steps are proved in that presence."""
    assert "lrm.wait.needed" in {action.row for action in prover(old=with_another_state).model.actions}


def test_rows_that_differ_are_named() -> None:
    check = compared(HARMLESS, TABLES)
    assert (check.figures["new rows"], check.figures["changed rows"], check.figures["dropped rows"]) == (1, 1, 1)
    for row in ("lrm.wait.needed", "lrm.wait.wanted", "service.stopped.start"):
        assert row in check.sentence


def test_slices_contain_each_other_and_every_master_may_change() -> None:
    assert set(QUICK) < set(DEFAULT) < set(LONG)
    assert len({slice_.name for slice_ in LONG}) == len(LONG)
    assert all(slice_.has("manager_dies") for slice_ in LONG)


def test_words_that_nobody_knows_are_refused(tmp_path: Path) -> None:
    written = export(TABLES["crm"])
    assert isinstance(written["facts"], list)
    file = tmp_path / "old.json"
    file.write_text(json.dumps([written]).replace('"LOCK_EXPIRED"', '"LOCK_ROTTEN"'))
    with pytest.raises(ImportedError, match="does not know what LOCK_ROTTEN would mean"):
        load(file)
