"""Every row of the service table fires in a decision over real documents, and sets what it should, and no more."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from hacore.manager.documents import Disarm, LrmStatus, Record, Resource, dump
from hacore.manager.round import decide
from hacore.manager.view import View
from hacore.protocol.service import SERVICE
from tests.manager.cluster import OWN, UID, VM, WEB, Cluster, after, fired

STALE = {"running": True, "generation": 3, "timeout_s": 9.0}
STALE_DOWN = {"generation": 3, "timeout_s": 9.0}
"""What a record holds of an earlier state: no change of state keeps it."""


@dataclass(frozen=True)
class Case:
    """A record in a situation, and the record that the decision makes of it (defaults and uid aside)."""

    row: str
    record: dict[str, Any]
    then: dict[str, Any]
    live: bool = False
    """The service is of a type that can move while it runs."""
    want: str = "started"
    answer: str = ""
    command: str = ""
    node: str = "online"
    """The state of n1: online, away (for short), lost, maintenance, fenced."""
    mode: str = "active"
    generation: int = 4
    disarm: bool = False
    resource: dict[str, Any] = field(default_factory=dict)
    rebalance: bool = False
    nowhere: bool = False
    """No node is fit to run services."""
    placed: str = ""
    """Where the resources document places the service afterwards, if anywhere else than before."""
    wanted: str = ""
    """The requested state afterwards, if another than before."""
    kept_uid: bool = False
    """Nothing new is asked of the LRM."""

    @property
    def sid(self) -> str:
        return VM if self.live else WEB

    def cluster(self) -> Cluster:
        cluster = Cluster()
        results = {UID: self.answer} if self.answer else {}
        cluster.lrms["n1"] = LrmStatus(self.mode, self.generation, results)
        cluster.settings.rebalance_on_start = self.rebalance
        record = Record(**{"node": "n1", "uid": UID, **self.record})
        cluster.service(self.sid, record, Resource(**{"node": "n1", "state": self.want, **self.resource}))
        if self.rebalance:
            cluster.service("proc:other", Record("started", "n1", "8", running=True))
        if self.disarm:
            cluster.status.disarm = Disarm("freeze", "disarming")
        if self.node == "maintenance":
            cluster.status.nodes["n1"] = "maintenance"
            cluster.status.maintenance = ["n1"]
        elif self.node == "fenced":
            cluster.fence("n1")
        elif self.node != "online":
            cluster.lose("n1", since=self.node)
        if self.nowhere:
            cluster.lose(*{"n1", "n2"} - {record.node if self.node == "fenced" else ""})
            cluster.status.nodes[OWN] = "maintenance"
            cluster.status.maintenance = [OWN]
            cluster.lrms[OWN].mode = "maintenance"
        if self.command:
            cluster.command(self.command.format(sid=self.sid))
        return cluster


def record(state: str, /, **more: Any) -> dict[str, Any]:
    return {"state": state, **more}


def moving(state: str) -> list[Case]:
    """A service on its way from n1 to n2."""
    row, before = f"service.{state}", record(state, target="n2", maintenance_node="n1", failed_nodes=["n3"])
    kept = {"maintenance_node": "n1", "failed_nodes": ["n3"]}
    return [
        Case(f"{row}.done", before, record("started", node="n2", **kept), node="maintenance",
             answer="success", placed="n2", live=True),
        Case(f"{row}.done_stop", before, record("request_stop", node="n2", **kept),
             answer="success", want="stopped", placed="n2"),
        Case(f"{row}.wrong_node", before, record("error", node="n1", **kept), answer="wrong_node"),
        Case(f"{row}.failed", before, record("started", node="n1", **kept), answer="stuck"),
        Case(f"{row}.failed_stop", before, record("request_stop", node="n1", **kept),
             answer="ignored", want="disabled"),
        Case(f"{row}.lost", before,
             record("fence", node="n1", **kept, **({"target": "n2"} if state == "migrate" else {})), node="lost"),
        Case(f"{row}.wait", before, record(state, node="n1", target="n2", **kept), kept_uid=True),
        Case(f"{row}.done", record(state, target="n2", maintenance_node="n2"), record("started", node="n2"),
             answer="success", placed="n2"),
    ]  # fmt: skip


FROZEN = record("freeze", node="n1", generation=4)
WAS_STARTED = record("started", failed_nodes=["n2"], **STALE)
AT_N1 = {"node": "n1", "failed_nodes": ["n2"]}

CASES = [
    Case("service.new.start", record("new"), record("started", node="n1"), answer="success"),
    Case("service.new.balance", record("new"), record("request_start_balance", node="n1", target="n2"),
         answer="success", rebalance=True),
    Case("service.new.stop", record("new"), record("request_stop", node="n1"), answer="success", want="stopped"),
    Case("service.new.wait", record("new"), record("new", node="n1"), kept_uid=True),
    # ------------------------------------------------------------------------------------------------- to be started
    Case("service.request_start.disarm", record("request_start", **STALE), FROZEN, disarm=True, mode="disarm"),
    Case("service.request_start.balance", record("request_start", **STALE),
         record("request_start_balance", node="n1", target="n2"), rebalance=True),
    Case("service.request_start.go", record("request_start", **STALE), record("started", node="n1")),
    Case("service.request_start_balance.disarm", record("request_start_balance", target="n2"), FROZEN, disarm=True),
    *moving("request_start_balance"),
    # ------------------------------------------------------------------------------------------------------- started
    Case("service.started.lost", WAS_STARTED, record("fence", **AT_N1), node="lost"),
    Case("service.started.disarm", WAS_STARTED, record("freeze", **AT_N1, generation=4), disarm=True, mode="disarm"),
    Case("service.started.away", WAS_STARTED, record("started", **AT_N1, **STALE), node="away", kept_uid=True,
         answer="down"),
    Case("service.started.stop", WAS_STARTED, record("request_stop", **AT_N1), want="disabled"),
    Case("service.started.migrate", WAS_STARTED, record("migrate", **AT_N1, target="n2"), live=True,
         command="migrate {sid} n2"),
    Case("service.started.relocate", WAS_STARTED, record("relocate", **AT_N1, target="n2"), live=True,
         command="relocate {sid} n2"),
    Case("service.started.relocate", WAS_STARTED, record("relocate", **AT_N1, target="n2"),
         command="migrate {sid} n2"),
    Case("service.started.command_stop", WAS_STARTED, record("request_stop", **AT_N1, timeout_s=30.0),
         command="stop {sid} 30", wanted="stopped"),
    Case("service.started.freeze", WAS_STARTED, record("freeze", **AT_N1, generation=4), mode="restart"),
    Case("service.started.give_up", WAS_STARTED, record("error", node="n1", failed_nodes=["n2", "n1"]),
         answer="failed"),
    Case("service.started.flee", record("started", **STALE),
         record("relocate", node="n1", target="n2", failed_nodes=["n1"]), answer="failed", live=True),
    Case("service.started.flee", record("started", **STALE),
         record("relocate", node="n1", target="n2", failed_nodes=["n1"]), answer="wrong_node"),
    Case("service.started.retry", record("started", failed_nodes=["n2", "n3"], **STALE),
         record("started", node="n1", failed_nodes=["n2", "n3", "n1"], **STALE_DOWN), answer="failed",
         resource={"max_relocate": 3}),
    Case("service.started.down", WAS_STARTED, record("started", **AT_N1, **STALE_DOWN),
         answer="down"),
    Case("service.started.error", WAS_STARTED, record("error", **AT_N1), answer="stuck"),
    Case("service.started.note", record("started", failed_nodes=["n2"]),
         record("started", node="n1", running=True), answer="success", kept_uid=True),
    Case("service.started.away_live", WAS_STARTED,
         record("migrate", **AT_N1, target="n2", maintenance_node="n1"), live=True, node="maintenance"),
    Case("service.started.away_down", WAS_STARTED,
         record("relocate", **AT_N1, target="n2", maintenance_node="n1"), node="maintenance"),
    Case("service.started.move_live", record("started", maintenance_node="n2", **STALE),
         record("migrate", node="n1", target="n2", maintenance_node="n2"), live=True),
    Case("service.started.move", record("started", maintenance_node="n2", **STALE),
         record("relocate", node="n1", target="n2", maintenance_node="n2")),
    Case("service.started.stay", WAS_STARTED, record("started", **AT_N1, **STALE), kept_uid=True),
    # -------------------------------------------------------------------------------------------------- to be stopped
    Case("service.request_stop.done", record("request_stop", **STALE), record("stopped", node="n1"),
         answer="success", want="stopped"),
    Case("service.request_stop.stuck", record("request_stop", **STALE), record("error", node="n1", stop_tried=True),
         answer="stuck", want="disabled"),
    Case("service.request_stop.failed", record("request_stop", **STALE), record("error", node="n1"),
         answer="stuck", want="stopped"),
    Case("service.request_stop.lost", record("request_stop", **STALE), record("fence", node="n1"),
         node="lost", want="stopped"),
    Case("service.request_stop.freeze", record("request_stop"), FROZEN, mode="restart", want="stopped"),
    Case("service.request_stop.freeze", record("request_stop"), FROZEN, disarm=True, want="stopped"),
    Case("service.request_stop.wait", record("request_stop", **STALE), record("request_stop", node="n1", **STALE),
         want="stopped", kept_uid=True),
    # ------------------------------------------------------------------------------------------------------- stopped
    Case("service.stopped.follow", record("stopped"), record("stopped", node="n2"),
         want="stopped", resource={"node": "n2"}),
    Case("service.stopped.disarm", record("stopped"), FROZEN, disarm=True, want="stopped"),
    Case("service.stopped.migrate", record("stopped"), record("migrate", node="n1", target="n2"), live=True,
         want="stopped", command="migrate {sid} n2"),
    Case("service.stopped.relocate", record("stopped"), record("relocate", node="n1", target="n2"),
         want="stopped", command="migrate {sid} n2"),
    Case("service.stopped.disabled", record("stopped"), record("stopped", node="n1"),
         want="disabled", node="lost", kept_uid=True),
    Case("service.stopped.lost", record("stopped"), record("fence", node="n1"), want="stopped", node="lost"),
    Case("service.stopped.start", record("stopped"), record("started", node="n1")),
    Case("service.stopped.freeze", record("stopped"), FROZEN, want="stopped", mode="restart"),
    Case("service.stopped.stay", record("stopped"), record("stopped", node="n1"), want="stopped", kept_uid=True),
    # -------------------------------------------------------------------------------------------------------- moving
    *moving("migrate"),
    *moving("relocate"),
    # -------------------------------------------------------------------------------------------------------- frozen
    Case("service.freeze.acknowledge", record("freeze", generation=3), FROZEN, mode="restart"),
    Case("service.freeze.acknowledge", record("freeze", generation=3), FROZEN, mode="disarm", disarm=True),
    Case("service.freeze.thaw", record("freeze", generation=3), record("started", node="n1")),
    Case("service.freeze.thaw_stop", record("freeze", generation=3), record("request_stop", node="n1"),
         want="disabled"),
    Case("service.freeze.stay", record("freeze", generation=4), FROZEN, mode="restart", kept_uid=True),
    Case("service.freeze.stay", record("freeze", generation=4), FROZEN, disarm=True, kept_uid=True),
    Case("service.freeze.stay", record("freeze", generation=4), FROZEN, mode="idle", node="lost", kept_uid=True),
    # ------------------------------------------------------------------------------------------------------- fencing
    Case("service.fence.moved", record("fence", target="n2"), record("started", node="n2"), node="fenced",
         placed="n2"),
    Case("service.fence.moved_stop", record("fence", target="n2"), record("request_stop", node="n2"), node="fenced",
         want="stopped", placed="n2"),
    Case("service.fence.fenced", record("fence", **STALE), record("recovery", node="n1", blocked_told=True),
         node="fenced", nowhere=True),
    Case("service.fence.wait", record("fence"), record("fence", node="n1"), node="lost", kept_uid=True),
    Case("service.recovery.start", record("fence", **STALE), record("started", node="n2"), node="fenced",
         placed="n2"),
    Case("service.recovery.stop", record("recovery"), record("request_stop", node="n2"), node="lost",
         want="stopped", placed="n2"),
    Case("service.recovery.disabled", record("recovery"), record("stopped", node="n1"), want="disabled",
         nowhere=True),
    Case("service.recovery.blocked", record("recovery"), record("recovery", node="n1", blocked_told=True), nowhere=True,
         kept_uid=True),
    Case("service.recovery.wait", record("recovery", blocked_told=True),
         record("recovery", node="n1", blocked_told=True), nowhere=True, kept_uid=True),
    # --------------------------------------------------------------------------------------------------------- error
    Case("service.error.disabled", record("error", failed_nodes=["n1", "n2"]), record("request_stop", node="n1"),
         want="disabled"),
    Case("service.error.changed", record("error", stop_tried=True), record("error", node="n1"), want="stopped",
         kept_uid=True),
    Case("service.error.stay", record("error", stop_tried=True), record("error", node="n1", stop_tried=True),
         want="disabled", kept_uid=True),
    Case("service.error.stay", record("error", **STALE), record("error", node="n1", **STALE), answer="success",
         node="lost", kept_uid=True),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.row for case in CASES])
def test_a_row_fires_and_sets_what_it_should(case: Case) -> None:
    cluster = case.cluster()
    before = cluster.snapshot()
    with fired() as rows:
        decision = decide(OWN, before, cluster.sight)
    view = View.of(OWN, after(before, decision), cluster.sight)
    made = dump(view.status.services[case.sid])
    uid = made.pop("uid")
    assert case.row in rows
    assert made == case.then
    assert (uid == UID) == case.kept_uid
    resource = cluster.resources[case.sid]
    assert view.resources[case.sid].node == (case.placed or resource.node)
    assert view.resources[case.sid].state == (case.wanted or case.want)


def test_every_row_of_the_service_table_has_a_case() -> None:
    assert sorted(set(SERVICE.by_id) - {case.row for case in CASES}) == []


@pytest.mark.parametrize("case", CASES, ids=[case.row for case in CASES])
def test_an_answer_to_another_uid_changes_nothing(case: Case) -> None:
    """With the answers of old requests beside it, every decision is the same."""
    cluster = case.cluster()
    decision = cluster.decide()
    said = cluster.lrms["n1"]
    others = dict.fromkeys(("1", "6", f"{UID}0", "shutdown proc:web"), "success") | {"5": "failed", "4": "down"}
    cluster.lrms["n1"] = LrmStatus(said.mode, said.generation, {**others, **said.results})
    cluster.lrms["n2"].results = {UID: "failed", **others}
    assert cluster.decide() == decision


@pytest.mark.parametrize("case", CASES, ids=[case.row for case in CASES])
def test_a_change_of_state_is_told(case: Case) -> None:
    told = [each.fields for each in case.cluster().decide().events if each.kind == "service_state"]
    path = [case.record["state"], *(fields["to"] for fields in told if fields["sid"] == case.sid)]
    assert [fields["from"] for fields in told if fields["sid"] == case.sid] == path[:-1]
    assert path[-1] == case.then["state"]


def test_a_case_is_found_when_the_table_is_broken() -> None:
    """The cases can fail: without the row, its case sees another."""
    case = next(case for case in CASES if case.row == "service.started.lost")
    with fired() as rows:
        replace(case, node="away").cluster().decide()
    assert "service.started.lost" not in rows
