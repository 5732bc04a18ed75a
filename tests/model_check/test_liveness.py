"""What must come about does, with hacore's tables; and a run is found where something that it needs is lacking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from hacore.protocol import lrm, service
from hacore.protocol.reference.weak import Rows
from hacore.protocol.table import ALWAYS, Table
from hacore.protocol.tables import TABLES
from model_check.checks.explored import explored
from model_check.checks.live import LACKS, MORE_LACKS, Lack, live, must_reset, must_stall, rests_on
from model_check.ground import Ground
from model_check.holes import substituted
from model_check.liveness import ARMED, DEFAULT, MASTER, QUICK, RECOVERED, THAWED, Liveness
from model_check.outcome import Check, Verdict
from model_check.world import world
from model_check.world.slices import QUICK as SLICES

BY_NAME = {slice_.name: slice_ for slice_ in SLICES}
STEADY = BY_NAME["steady"]
NAMED = {lack.name: lack for lack in (*LACKS, *MORE_LACKS)}


def changed(rows: Rows) -> Mapping[str, Table]:
    """All tables, with some rows of one exchanged or left out."""
    (name,) = {row.partition(".")[0] for row in rows}
    return {**TABLES, **substituted(TABLES[name], rows)}


# ---------------------------------------------------------------------------------------------------------- liveness


@pytest.mark.parametrize("prop", [THAWED, MASTER], ids=lambda it: it.name)
def test_our_tables_keep_their_promises(prop: Liveness) -> None:
    check = live(prop, TABLES)
    assert (check.verdict, check.problem, check.stories) == (Verdict.PASSED, "", ())


@pytest.mark.slow
@pytest.mark.parametrize("prop", [it for it in DEFAULT if it not in (THAWED, MASTER)], ids=lambda it: it.name)
def test_our_tables_keep_the_others_too(prop: Liveness) -> None:
    assert live(prop, TABLES).verdict is Verdict.PASSED


def test_what_a_promise_rests_on_is_said() -> None:
    sentence = rests_on(THAWED)
    assert all(it.sentence in sentence for it in THAWED.assuming)
    assert "Time passes, unless the LRM of a connected node is owed a step." in sentence


def test_what_never_begins_is_no_promise_kept() -> None:
    check = live(RECOVERED, changed({"lrm.wait.needed": ()}))
    assert (check.verdict, check.problem) == (Verdict.BROKEN, "what it begins with never happens")


def test_a_broken_promise_is_told_with_its_cycle() -> None:
    check = live(*NAMED["no thaw"].lacking())
    assert check.verdict is Verdict.LIVENESS
    (story,) = check.stories
    assert story.property == "FrozenIsThawed"
    assert [step.number for step in (*story.steps, *story.cycle)] == list(
        range(1, len(story.steps) + len(story.cycle) + 1)
    )
    assert returns(check)
    acts = {step.row.partition(".")[0] for step in story.cycle}
    assert {"lrm", "crm"} <= acts, "who is fair goes on acting"
    assert "world.time_passes" in {step.name for step in story.cycle}


def returns(check: Check) -> bool:
    """What the cycle changes, it changes back."""
    (story,) = check.stories
    now: dict[str, str] = {}
    first: dict[str, str] = {}
    for step in story.cycle:
        for name, (old, new) in step.changes.items():
            assert now.get(name, old) == old
            first.setdefault(name, old)
            now[name] = new
    return now == first


def test_a_master_that_stands_still_is_no_master() -> None:
    check = must_stall(NAMED["one CRM is stuck"])
    assert (check.verdict, check.figures["breaks"]) == (Verdict.PASSED, "MasterEmerges")


def test_what_is_not_needed_may_be_taken_away() -> None:
    check = must_stall(Lack("nothing", "All that is needed is there.", MASTER, "time"))
    assert (check.verdict, check.problem) == (Verdict.BROKEN, "MasterEmerges should be broken, and is not")


@pytest.mark.slow
@pytest.mark.parametrize("lack", NAMED.values(), ids=lambda it: it.name)
def test_what_is_taken_away_is_needed(lack: Lack) -> None:
    assert must_stall(lack).problem == ""


def test_what_is_lacking_names_something_that_is_there() -> None:
    for lack in NAMED.values():
        prop, tables = lack.lacking()
        assert (prop.assuming, tables) != (lack.prop.assuming, TABLES), lack.name


def test_levels_contain_each_other_and_names_differ() -> None:
    assert set(QUICK) < set(DEFAULT)
    assert len({prop.name for prop in DEFAULT}) == len(DEFAULT)


def test_nobody_relies_on_trouble_or_on_operators() -> None:
    for prop in (MASTER, ARMED):
        ground = Ground(world(prop.slice, TABLES))
        groups = [group for it in prop.assuming for group in it.groups(ground, TABLES)]
        for group in groups:
            names = {it.action.name for it in ground.instances if group.instances(it)}
            events = {name for name in names if name.startswith("world.")}
            assert events <= {"world.time_passes", "world.watchdog_resets", "world.lrm_starts"}
            if group.strong:
                assert not names & {f"crm.master.change disarm.{row}" for row in COMMANDED}


COMMANDED = ("armed.request", "deferred.arm", "disarming.arm", "disarmed.arm")


# --------------------------------------------------------------------------------------------------- NoNeedlessReset


def test_connected_nodes_are_not_reset() -> None:
    check = explored(STEADY, TABLES)
    assert (check.verdict, check.problem) == (Verdict.PASSED, "")
    assert check.seen == {"update": True, "thaw": True}
    assert check.fired["lrm.active.too_late"] > 0, "trouble does reset it: else there would be nothing to excuse"


def test_a_watchdog_shorter_than_a_round_resets_connected_nodes() -> None:
    assert must_reset().problem == ""


RESETS: dict[str, Rows] = {
    "marks a node that is online": {
        "service.started.lost": replace(service.SERVICE.by_id["service.started.lost"], guard=ALWAYS)
    },
    "does not move the deadline": {"lrm.active.confirmed": ()},
    "leaves with the watchdog armed": {"lrm.active.leave": replace(lrm.LRM.by_id["lrm.active.leave"], do=())},
}


@pytest.mark.parametrize("name", RESETS)
def test_tables_that_reset_connected_nodes_are_found_out(name: str) -> None:
    check = explored(STEADY, changed(RESETS[name]))
    assert [story.property for story in check.stories] == ["NoNeedlessReset"]
    excuse = [step.changes["excuse[0]"][1] for step in check.stories[0].steps if "excuse[0]" in step.changes]
    assert excuse[-1:] in ([], ["none"]), "without an excuse"


def test_worlds_without_spells_know_nothing_of_them() -> None:
    model = world(BY_NAME["failover"], TABLES)
    assert not {"trouble", "owed", "excuse"} & model.fields.keys()
    assert not any(action.name.startswith("world.node_is") for action in model.actions)
    assert {"trouble", "owed", "excuse"} <= world(STEADY, TABLES).fields.keys()
