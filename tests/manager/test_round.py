"""A round of the master: every row of the node table; and, whatever the documents hold, what a decision never does."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings

from hacore.manager.documents import (
    COMMANDS,
    RESOURCES,
    STATUS,
    Device,
    DocumentError,
    LrmStatus,
    Record,
    Resource,
    Settings,
    resources_of,
    status_of,
)
from hacore.manager.round import busy, decide, fit
from hacore.manager.view import Sight
from hacore.protocol import service
from hacore.protocol.locks import FENCING, Lock, agent_lock
from hacore.protocol.node import NODE
from hacore.protocol.requests import Document, Snapshot
from hacore.protocol.service import SERVICE
from hacore.protocol.table import ALWAYS
from hacore.protocol.tables import TABLES
from tests.manager.cluster import OWN, VM, WEB, Cluster, after, event, fired, kinds, settle
from tests.manager.promises import (
    PROMISES,
    Trial,
    comes_to_rest,
    leaves_error_alone,
    leaves_fence_by_evidence_only,
    leaves_operators_what_is_theirs,
    moves_nothing_that_may_run,
    powers_off_only_what_is_marked_and_waited_for,
    touches_nothing_frozen,
)
from tests.manager.worlds import clusters

# ------------------------------------------------------------------------------------------------- the node table


@dataclass(frozen=True)
class Case:
    """The state of n1, what is seen of it, and its state after the decision; "" is forgotten."""

    row: str
    state: str
    then: str
    seen: str = "online"
    """online, away (for short), lost, gone (for long)."""
    member: bool = True
    mode: str = "active"
    asked: bool = False
    """Maintenance is requested for it."""
    fencing: bool = False
    """A service of it is in fence."""
    fenced: bool = False
    """Its lock is held for fencing."""
    told: tuple[str, ...] = ("node_state",)

    def cluster(self) -> Cluster:
        cluster = Cluster()
        if self.seen != "online":
            cluster.lose("n1", since=self.seen)
        cluster.status.nodes["n1"] = self.state
        cluster.lrms["n1"] = LrmStatus(self.mode)
        cluster.members = ["n1", "n2", "n3"] if self.member else ["n2", "n3"]
        cluster.status.maintenance = ["n1"] if self.asked else []
        cluster.locks["n1"] = Lock(FENCING if self.fenced else "n1", 5, 3, 9.0)
        if self.fencing:
            cluster.service(WEB, Record("fence", "n1", "7"))
        return cluster


MARKED = ("node_state", "fence_started")
CASES = [
    Case("node.unknown.fence", "unknown", "fence", "lost", fencing=True, told=MARKED),
    Case("node.unknown.online", "unknown", "online"),
    Case("node.unknown.gone", "unknown", "gone", "lost", member=False),
    Case("node.unknown.wait", "unknown", "unknown", "lost", told=()),
    Case("node.online.fence", "online", "fence", "lost", fencing=True, told=MARKED),
    Case("node.online.maintenance", "online", "maintenance", mode="maintenance", asked=True),
    Case("node.online.lost", "online", "unknown", "away"),
    Case("node.online.stay", "online", "online", told=()),
    Case("node.maintenance.fence", "maintenance", "fence", "lost", mode="maintenance", fencing=True, told=MARKED),
    Case("node.maintenance.back", "maintenance", "online"),
    Case("node.maintenance.lost", "maintenance", "unknown", "away"),
    Case("node.maintenance.stay", "maintenance", "maintenance", mode="maintenance", told=()),
    Case("node.maintenance.stay", "maintenance", "maintenance", asked=True, told=()),
    Case("node.fence.done", "fence", "unknown", "lost", fenced=True, told=("node_state", "fence_done")),
    Case("node.fence.wait", "fence", "fence", fencing=True, told=()),
    Case("node.gone.fence", "gone", "fence", "lost", member=False, fencing=True, told=MARKED),
    Case("node.gone.online", "gone", "online"),
    Case("node.gone.forget", "gone", "", "gone", member=False, told=("node_state", "node_removed")),
    Case("node.gone.stay", "gone", "gone", "lost", member=False, told=()),
]


@pytest.mark.parametrize("case", CASES, ids=[case.row for case in CASES])
def test_a_row_fires_and_sets_what_it_should(case: Case) -> None:
    cluster = case.cluster()
    before = cluster.snapshot()
    with fired() as rows:
        decision = decide(OWN, before, cluster.sight)
    assert case.row in rows
    assert status_of(after(before, decision)).nodes.get("n1", "") == case.then
    assert tuple(each.kind for each in decision.events if each.fields.get("node") == "n1") == case.told
    freed = decision.writes.get(agent_lock("n1"))
    assert freed == (Lock("", 5, 3, 9.0).document() if case.row == "node.fence.done" else None)


def test_every_row_of_the_node_table_has_a_case() -> None:
    assert sorted(set(NODE.by_id) - {case.row for case in CASES}) == []


# ---------------------------------------------------------------------------------------------- what a round is like


def test_new_services_get_a_record_and_others_lose_theirs() -> None:
    cluster = Cluster(
        resources={"proc:a": Resource("n1"), "proc:b": Resource("n2", "stopped"), "proc:c": Resource("n1", "ignored")}
    )
    cluster.status.services = {"proc:c": Record("started", "n1", "3"), "proc:d": Record("started", "n1", "4")}
    decision = cluster.decide()
    made = status_of(after(cluster.snapshot(), decision)).services
    assert {sid: (record.state, record.node) for sid, record in made.items()} == {
        "proc:a": ("new", "n1"),
        "proc:b": ("new", "n2"),
    }
    removed = [dict(each.fields) for each in decision.events if each.kind == "service_removed"]
    assert removed == [{"sid": "proc:c", "reason": "ignored"}, {"sid": "proc:d", "reason": "unconfigured"}]


def test_a_fenced_nodes_services_are_recovered_and_its_lock_freed_in_one_transaction() -> None:
    cluster = Cluster()
    cluster.service(WEB, Record("fence", "n1", "7"))
    cluster.fence("n1")
    before = cluster.snapshot()
    decision = cluster.decide()
    assert set(decision.writes) == {STATUS, RESOURCES, agent_lock("n1")}
    assert decision.basis == {key: before[key].revision for key in (STATUS, RESOURCES, agent_lock("n1"))}
    assert resources_of(after(before, decision))[WEB].node == "n2"
    assert event(decision, "service_recovered") == {"sid": WEB, "node": "n1", "target": "n2"}


def test_fencing_takes_a_mark_first_then_the_lock_when_it_is_to_be_had() -> None:
    cluster = Cluster(locks={"n1": Lock("n1", 4, 9, 9.0)})
    cluster.service(WEB, Record("started", "n1", "7", running=True))
    cluster.lose("n1")
    marking = cluster.decide()
    assert (marking.fence_due, [*marking.writes]) == ("", [STATUS])
    marked = after(cluster.snapshot(), marking)
    assert decide(OWN, marked, cluster.sight).fence_due == ""
    sight = Sight(cluster.sight.online, cluster.sight.lost, expired=frozenset({"n1", "n2"}))
    decision = decide(OWN, marked, sight)
    assert (decision.fence_due, decision.writes) == ("n1", {})


def test_a_marked_node_with_devices_is_powered_off_once_while_its_lock_is_not_to_be_had() -> None:
    cluster = Cluster(locks={"n1": Lock("n1", 4, 9, 9.0), "n2": Lock("n2", 4, 9, 9.0)})
    cluster.settings = Settings(fencing={"n1": [[Device("fence_dummy")]]})
    cluster.service(WEB, Record("started", "n1", "7", running=True))
    cluster.service(VM, Record("started", "n2", "8", running=True))
    cluster.lose("n1", "n2")
    marking = cluster.decide()
    assert (marking.power_due, [*marking.writes]) == ("", [STATUS]), "the mark is written first"
    marked = settle(cluster.snapshot(), cluster.sight)

    def due(**sight: Any) -> tuple[str, str]:
        decision = decide(OWN, marked, replace(cluster.sight, **sight))
        assert decision.writes == {}
        return decision.power_due, decision.fence_due

    n1 = frozenset({"n1"})
    assert due() == ("n1", ""), "n2 has no devices"
    assert due(shot=n1) == ("", "")
    assert due(shot=n1, off=n1) == ("", "n1")
    assert due(expired=n1) == ("", "n1"), "its watchdog was first"


def test_a_lock_that_is_held_already_is_not_taken_again() -> None:
    cluster = Cluster()
    cluster.service(WEB, Record("recovery", "n2", "7"))
    cluster.fence("n1")
    cluster.sight = Sight(online=frozenset({OWN}), lost=frozenset({"n1", "n2"}), expired=frozenset({"n1"}))
    assert cluster.decide().fence_due == ""


def test_a_service_on_a_node_that_nobody_knows_does_not_wait_in_fence_for_ever() -> None:
    cluster = Cluster()
    cluster.service(WEB, Record("started", "n9", "7"))
    settled = settle(cluster.snapshot(), cluster.sight)
    assert status_of(settled).nodes["n9"] == "fence"
    assert decide(OWN, settled, Sight(cluster.sight.online, expired=frozenset({"n9"}))).fence_due == "n9"


def test_evidence_is_not_given_away_before_it_is_used() -> None:
    cluster = Cluster()
    cluster.service(WEB, Record("fence", "n1", "7"))
    cluster.fence("n1")
    cluster.lose(OWN, since="away")
    assert agent_lock("n1") not in cluster.decide().writes


def test_an_outcome_that_changes_nothing_is_not_written() -> None:
    cluster = Cluster()
    cluster.service(WEB, Record("started", "n1", "7", running=True))
    decision = cluster.decide()
    assert (decision.writes, decision.events, decision.fence_due) == ({}, (), "")
    assert decision.basis == {STATUS: cluster.snapshot()[STATUS].revision}


def test_documents_that_are_absent_are_not_made() -> None:
    """Their writers are operators: only the status is the master's to begin."""
    decision = decide(OWN, Snapshot({"members": Document([OWN], 1)}, 1), Sight(online=frozenset({OWN})))
    assert [*decision.writes] == [STATUS]


@pytest.mark.parametrize("key", [STATUS, RESOURCES, COMMANDS, "settings", "members", "lrm/n1"])
def test_a_document_that_cannot_be_understood_is_named(key: str) -> None:
    before = Cluster().snapshot()
    broken = Snapshot({**before.documents, key: Document(7, 99)}, 99)
    with pytest.raises(DocumentError, match=f"document '{key}': "):
        decide(OWN, broken, Sight())


def test_a_node_is_fit_to_be_master_when_there_is_work_and_it_is_not_about_to_be_fenced() -> None:
    idle = Cluster()
    assert not fit(OWN, idle.snapshot(), idle.sight)
    busy = Cluster(resources={WEB: Resource("n1")})
    assert fit(OWN, busy.snapshot(), busy.sight)
    fencing = Cluster()
    fencing.service(WEB, Record("fence", "n1", "7"))
    assert not fit("n1", fencing.snapshot(), fencing.sight)
    assert fit(OWN, fencing.snapshot(), fencing.sight)


# --------------------------------------------------------------------------- whatever the documents hold: properties


@given(clusters())
@settings(max_examples=100)
def test_whatever_the_documents_hold_a_decision_keeps_its_promises(cluster: Cluster) -> None:
    trial = Trial.of(cluster)
    for promise in PROMISES:
        promise(trial)


@pytest.mark.parametrize(
    ("row", "changes", "promise"),
    [
        ("service.fence.fenced", {"guard": ALWAYS}, leaves_fence_by_evidence_only),
        ("service.freeze.thaw", {"guard": ALWAYS}, touches_nothing_frozen),
        ("service.freeze.stay", {"do": (service.FOLLOW,)}, touches_nothing_frozen),
        ("service.freeze.stay", {"do": (service.FOLLOW,)}, moves_nothing_that_may_run),
        ("service.error.stay", {"target": "started"}, leaves_error_alone),
        ("service.started.stay", {"do": (service.NEW_UID,)}, comes_to_rest),
        ("service.started.stay", {"do": (service.WANT_STOP,)}, leaves_operators_what_is_theirs),
    ],
)
def test_a_promise_is_seen_to_be_broken(row: str, changes: dict[str, Any], promise: Callable[[Trial], None]) -> None:
    """With a broken row in the service table, a small cluster is enough to show it."""
    rows = tuple(replace(each, **changes) if each.id == row else each for each in SERVICE.rows)
    cluster = Cluster()
    for sid, state in (("proc:a", "fence"), ("proc:b", "freeze"), ("proc:c", "error"), ("proc:d", "started")):
        node = "n2" if state == "started" else "n1"
        cluster.service(sid, Record(state, node, sid[-1], running=True), Resource(node))
    cluster.resources["proc:b"].node = "n2"
    cluster.lrms["n1"] = LrmStatus("idle")
    promise(Trial.of(cluster))
    with patch.dict(TABLES, service=replace(SERVICE, rows=rows)), pytest.raises(AssertionError):
        promise(Trial.of(cluster))


def test_a_power_off_of_what_is_not_marked_is_found() -> None:
    cluster = Cluster(settings=Settings(fencing={"n1": [[Device("fence_dummy")]]}))
    powers_off_only_what_is_marked_and_waited_for(Trial.of(cluster))
    with patch("hacore.manager.nodes._unfenced", lambda *_: iter(["n1"])), pytest.raises(AssertionError):
        powers_off_only_what_is_marked_and_waited_for(Trial.of(cluster))


def test_the_master_names_itself() -> None:
    cluster = Cluster()
    cluster.status.master = "n1"
    assert status_of(after(cluster.snapshot(), cluster.decide())).master == OWN
    assert kinds(cluster.decide()) == []


def test_what_is_left_without_services_is_the_recorded_masters() -> None:
    cluster = Cluster()
    cluster.status.master = "n1"
    cluster.command("enable-node-maintenance n2")
    assert not fit(OWN, cluster.snapshot(), cluster.sight)
    assert fit("n1", cluster.snapshot(), cluster.sight)
    cluster.lose("n1")
    assert fit(OWN, cluster.snapshot(), cluster.sight)


def test_a_master_is_busy_with_what_is_configured_not_with_a_command() -> None:
    cluster = Cluster()
    cluster.command("enable-node-maintenance n2")
    assert not busy(cluster.snapshot())
    assert busy(Cluster(resources={WEB: Resource("n1")}).snapshot())


def test_one_node_after_the_other_is_marked_and_fenced() -> None:
    """The first whose lock is to be had is fenced before the next is marked: in the order of the services."""
    cluster = Cluster()
    cluster.service("proc:a", Record("fence", "n2", "7"))
    cluster.service("proc:b", Record("fence", "n1", "8"))
    cluster.lose("n1", "n2")
    cluster.sight = replace(cluster.sight, expired=frozenset({"n1", "n2"}), again=True)
    decision = cluster.decide()
    status = status_of(after(cluster.snapshot(), decision))
    assert (status.nodes["n2"], status.nodes["n1"]) == ("fence", "unknown")
    assert decide(OWN, after(cluster.snapshot(), decision), cluster.sight).fence_due == "n2"
