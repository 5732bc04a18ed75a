"""Every row of the disarm table fires in a decision over real documents; nothing is touched while disarmed."""

from dataclasses import dataclass

import pytest

from hacore.manager.documents import Disarm, LrmStatus, Record, Resource, Status, status_of
from hacore.manager.round import decide
from hacore.manager.view import View
from hacore.protocol.disarm import DISARM
from hacore.protocol.locks import Lock
from tests.manager.cluster import NODES, OWN, VM, WEB, Cluster, after, fired, kinds, settle


@dataclass(frozen=True)
class Case:
    """The state of the disarm request, and what becomes of it in one decision; "" is armed."""

    row: str
    state: str
    then: str
    command: str = ""
    mode: str = "freeze"
    busy: bool = False
    """A service is on its way to another node."""
    released: bool = False
    """Every LRM has published mode disarm and freed its lock."""
    moved: bool = False
    """The service's record follows the resources document."""

    def cluster(self) -> Cluster:
        cluster = Cluster()
        cluster.service(WEB, Record("freeze", "n1", "7", generation=4), Resource("n2"))
        if self.busy:
            cluster.service(VM, Record("migrate", "n1", "8", target="n2"))
        if self.state:
            cluster.status.disarm = Disarm(self.mode, self.state)
        if self.released:
            cluster.lrms = {node: LrmStatus("disarm", 4) for node in NODES}
        cluster.locks = {node: Lock("" if self.released else node, 3, 0, 9.0) for node in NODES}
        if self.command:
            cluster.command(self.command)
        return cluster


CASES = [
    Case("disarm.armed.request", "", "disarming", "disarm-ha freeze"),
    Case("disarm.armed.stay", "", ""),
    Case("disarm.deferred.arm", "deferred", "", "arm-ha", busy=True),
    Case("disarm.deferred.go", "deferred", "disarming"),
    Case("disarm.deferred.wait", "deferred", "deferred", busy=True),
    Case("disarm.disarming.arm_moved", "disarming", "", "arm-ha", mode="ignore", moved=True),
    Case("disarm.disarming.arm", "disarming", "", "arm-ha"),
    Case("disarm.disarming.defer", "disarming", "deferred", busy=True),
    Case("disarm.disarming.done", "disarming", "disarmed", released=True),
    Case("disarm.disarming.wait", "disarming", "disarming"),
    Case("disarm.disarmed.arm_moved", "disarmed", "", "arm-ha", mode="ignore", released=True, moved=True),
    Case("disarm.disarmed.arm", "disarmed", "", "arm-ha", released=True),
    Case("disarm.disarmed.stay", "disarmed", "disarmed", released=True),
]


@pytest.mark.parametrize("case", CASES, ids=[case.row for case in CASES])
def test_a_row_fires_and_sets_what_it_should(case: Case) -> None:
    cluster = case.cluster()
    before = cluster.snapshot()
    with fired() as rows:
        decision = decide(OWN, before, cluster.sight)
    status = status_of(after(before, decision))
    assert case.row in rows
    assert (status.disarm.state if status.disarm else "") == case.then
    assert status.disarm is None or status.disarm.mode == case.mode
    assert status.services[WEB].node == ("n2" if case.moved else "n1")


def test_every_row_of_the_disarm_table_has_a_case() -> None:
    assert sorted(set(DISARM.by_id) - {case.row for case in CASES}) == []


@pytest.mark.parametrize("mode", ["freeze", "ignore"])
def test_the_command_carries_the_mode(mode: str) -> None:
    cluster = Cluster()
    cluster.command(f"disarm-ha {mode}")
    after_it = after(cluster.snapshot(), cluster.decide())
    assert status_of(after_it).disarm == Disarm(mode, "disarming")


def test_one_lock_that_is_held_defers_the_end_of_disarming() -> None:
    case = next(case for case in CASES if case.row == "disarm.disarming.done")
    for node in NODES:
        cluster = case.cluster()
        cluster.locks[node] = Lock(node, 3, 0, 9.0)
        assert "disarmed" not in kinds(cluster.decide())


def test_one_lrm_that_has_not_answered_defers_the_end_of_disarming() -> None:
    case = next(case for case in CASES if case.row == "disarm.disarming.done")
    for node in NODES:
        cluster = case.cluster()
        cluster.lrms[node] = LrmStatus("active", 4)
        assert "disarmed" not in kinds(cluster.decide())


def test_a_node_that_is_away_does_not_defer_the_end_of_disarming() -> None:
    """Its services are in freeze, or it is fenced first: that is what deferred is for."""
    cluster = next(case for case in CASES if case.row == "disarm.disarming.done").cluster()
    cluster.lose("n2", since="away")
    cluster.locks["n2"] = Lock("n2", 3, 0, 9.0)
    assert "disarmed" in kinds(cluster.decide())


def test_everything_freezes_with_its_own_lrms_generation_and_nothing_moves_until_armed() -> None:
    cluster = Cluster()
    for number, state in enumerate(("started", "stopped", "request_stop", "request_start"), 1):
        want = "started" if state.endswith("start") or state == "started" else "stopped"
        sid = f"proc:{state.replace('_', '-')}"
        cluster.service(sid, Record(state, f"n{number % 3 + 1}", str(number)), Resource(f"n{number % 3 + 1}", want))
    cluster.lrms = {node: LrmStatus("disarm", 10 + number) for number, node in enumerate(NODES)}
    cluster.command("disarm-ha freeze")
    settled = settle(cluster.snapshot(), cluster.sight)
    records = status_of(settled).services.values()
    assert {(record.state, record.node, record.generation) for record in records} == {
        ("freeze", node, 10 + number) for number, node in enumerate(NODES)
    }
    cluster.lose("n1", "n2")
    assert {"fence", "recovery"}.isdisjoint(
        record.state for record in status_of(settle(settled, cluster.sight)).services.values()
    )


def test_records_are_kept_while_disarmed_whatever_is_configured() -> None:
    cluster = Cluster()
    cluster.service(WEB, Record("freeze", "n1", "7"))
    cluster.status.disarm = Disarm("freeze", "disarmed")
    cluster.resources = {VM: Resource("n1")}
    view = View.of(OWN, after(cluster.snapshot(), cluster.decide()), cluster.sight)
    assert set(view.status.services) == {WEB}


@pytest.mark.parametrize(("state", "told"), [("disarmed", "rearmed"), ("disarming", "disarm_withdrawn")])
def test_people_are_told_of_arming_after_all_that_follows_from_it(state: str, told: str) -> None:
    cluster = Cluster(status=Status(OWN, dict.fromkeys(NODES, "online"), disarm=Disarm("freeze", state), last_uid=9))
    cluster.service(WEB, Record("freeze", "n1", "7"))
    cluster.command("arm-ha")
    assert kinds(cluster.decide()) == ["service_state", told]
