"""What would happen if: plans say what the master does then, and touch nothing."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings

from hacore.manager import plan as module
from hacore.manager.commands import append
from hacore.manager.documents import COMMANDS, RULES, Commands, Record, Resource, Settings, commands_of, dump
from hacore.manager.plan import Plan, plan, whole_round, with_documents
from hacore.protocol.requests import Snapshot
from tests.manager.cluster import OWN, VM, WEB, Cluster
from tests.manager.worlds import clusters

STRICT = {"type": "node-affinity", "resources": [WEB], "nodes": {"n1": 1}, "strict": True}


def running() -> Cluster:
    cluster = Cluster()
    cluster.service(WEB, Record("started", "n1", "1", running=True))
    cluster.service(VM, Record("started", "n2", "2", running=True))
    return cluster


def commanded(text: str) -> Callable[[Snapshot], Snapshot]:
    return lambda seen: with_documents(seen, {COMMANDS: dump(append(commands_of(seen), text))})


def unchanged(seen: Snapshot) -> Snapshot:
    return seen


def told(found: Plan, kind: str) -> list[dict[str, Any]]:
    return [dict(event.fields) for event in found.events if event.kind == kind]


def test_nothing_happens_without_a_change() -> None:
    found = plan(running().snapshot(), unchanged)
    assert (found.events, found.unplaced, found.settled) == ((), {}, True)


def test_a_failed_node_is_fenced_and_its_services_are_recovered() -> None:
    found = plan(running().snapshot(), unchanged, down=["n1"])
    assert told(found, "fence_done") == [{"node": "n1"}]
    assert told(found, "service_recovered") == [{"sid": WEB, "node": "n1", "target": "n3"}]
    assert found.settled
    assert not found.unplaced


def test_a_master_that_fails_is_followed_by_another() -> None:
    cluster = running()
    cluster.service("proc:c", Record("started", OWN, "3", running=True))
    assert told(plan(cluster.snapshot(), unchanged, down=[OWN]), "service_recovered")[0]["node"] == OWN


def test_a_service_that_may_be_nowhere_else_would_have_no_place() -> None:
    before = with_documents(running().snapshot(), {RULES: {"here": STRICT}})
    found = plan(before, unchanged, down=["n1"])
    assert found.unplaced == {WEB: "n1"}


def test_a_command_is_followed_to_its_end() -> None:
    moves = told(plan(running().snapshot(), commanded(f"migrate {VM} n1")), "service_state")
    assert [(it["from"], it["to"], it["node"]) for it in moves] == [
        ("started", "migrate", "n2"),
        ("migrate", "started", "n1"),
    ]


def test_a_refusal_is_told() -> None:
    assert plan(running().snapshot(), commanded(f"migrate {VM} n9")).refused[0]["reason"] == "n9 is not online"


def test_maintenance_moves_services_away() -> None:
    found = plan(running().snapshot(), commanded("enable-node-maintenance n1"))
    assert [(it["sid"], it["target"]) for it in told(found, "service_state") if it["to"] == "relocate"] == [(WEB, "n3")]
    assert told(found, "node_state") == [{"node": "n1", "from": "online", "to": "maintenance"}]


def test_a_rule_moves_services_and_says_which_cannot_be_followed() -> None:
    rules = {"together": {"type": "resource-affinity", "resources": [WEB, VM], "affinity": "positive"}}
    found = plan(running().snapshot(), lambda seen: with_documents(seen, {RULES: rules}))
    assert {it["to"] for it in told(found, "service_state")} & {"migrate", "relocate"}
    rules["apart"] = {**rules["together"], "affinity": "negative"}
    found = plan(running().snapshot(), lambda seen: with_documents(seen, {RULES: rules}))
    assert set(found.infeasible) == {"apart", "together"}
    assert not found.events


def test_only_what_follows_from_the_change_is_told() -> None:
    cluster = running()
    cluster.resources["proc:new"] = Resource("n2")
    cluster.commands = append(Commands(), f"migrate {VM} n3")
    found = plan(cluster.snapshot(), commanded(f"relocate {WEB} n2"))
    assert {it["sid"] for it in told(found, "service_state")} == {WEB}


def test_automatic_rebalancing_is_left_out() -> None:
    cluster = running()
    cluster.settings = Settings(rebalance=True, scheduler="static")
    assert plan(cluster.snapshot(), unchanged).settled


def test_a_round_without_an_end_is_told() -> None:
    """The lock that was taken is not the one that the master waits for, so it never has it."""
    cluster = running()
    cluster.lose("n1")
    sight = type(cluster.sight)(cluster.sight.online, cluster.sight.lost, expired=frozenset({"n1"}))
    fenced = whole_round(OWN, cluster.snapshot(), sight)[0]
    assert fenced.revision > cluster.snapshot().revision
    with patch.object(module, "FENCING", "nobody"), pytest.raises(RuntimeError, match="still writes"):
        whole_round(OWN, cluster.snapshot(), sight)


@settings(max_examples=10, deadline=None)
@given(clusters())
def test_whatever_there_is_a_plan_ends_and_touches_nothing(cluster: Cluster) -> None:
    before = cluster.snapshot()
    kept = deepcopy(before)
    plan(before, unchanged, down=["n1"])
    assert before == kept
