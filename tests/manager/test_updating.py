"""When a node may be updated, when its LRM has let go, and what is not as it was."""

from typing import Any

import pytest

from hacore.manager.documents import MEMBERS, RESOURCES, STATUS, UPDATE, lrm_key
from hacore.manager.updating import refused, released, unlike
from hacore.protocol.locks import MANAGER_LOCK, Lock, agent_lock
from hacore.protocol.requests import Document, Snapshot


def snapshot(**changed: Any) -> Snapshot:
    """A well cluster, whose node1 runs a service; ``changed`` are documents that are otherwise."""
    services = {
        "proc:web": {"state": "started", "node": "node1", "uid": "1", "running": True},
        "proc:far": {"state": "error", "node": "node2", "uid": "2"},
    }
    documents: dict[str, Any] = {
        MEMBERS: ["node1", "node2"],
        RESOURCES: {"proc:web": {"node": "node1"}, "proc:far": {"node": "node2"}},
        STATUS: {"master": "node2", "nodes": {"node1": "online", "node2": "online"}, "services": services},
        MANAGER_LOCK: Lock("node2", 1, 1, 9.0).document(),
        agent_lock("node1"): Lock("node1", 1, 1, 9.0).document(),
        lrm_key("node1"): {"mode": "active", "generation": 0, "results": {}},
    } | changed
    return Snapshot({key: Document(value, 1) for key, value in documents.items()}, 9)


def web(**changed: Any) -> dict[str, Any]:
    """The status, with a record of proc:web that is otherwise."""
    status: dict[str, Any] = snapshot()[STATUS].value
    return {**status, "services": {"proc:web": {**status["services"]["proc:web"], **changed}}}


def status(**changed: Any) -> dict[str, Any]:
    return {**web(), **changed}


def test_a_node_that_is_well_may_be_updated_whatever_is_amiss_elsewhere() -> None:
    assert refused(snapshot(), "node1") == ""


def test_nor_is_a_master_needed_where_there_is_nothing_to_freeze() -> None:
    empty: dict[str, Any] = {MEMBERS: ["node1"], RESOURCES: {}, STATUS: {}, MANAGER_LOCK: None}
    assert refused(snapshot(**empty), "node1") == ""


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no member": ({MEMBERS: ["node2"]}, "node1 is no node of this cluster: node2"),
    "another": ({UPDATE: {"node": "node2"}}, "hacore update node2 --clear"),
    "itself": ({UPDATE: {"node": "node1"}}, "hacore update node1 --clear"),
    "disarmed": ({STATUS: status(disarm={"mode": "freeze", "state": "disarmed"})}, "the cluster is disarmed"),
    "no master": ({MANAGER_LOCK: Lock("", 1).document()}, "there is no master"),
    "not well": ({STATUS: status(nodes={"node1": "unknown"})}, "its state is unknown"),
    "error": ({STATUS: web(state="error")}, "proc:web is in error"),
    "frozen": ({STATUS: web(state="freeze")}, "proc:web is in state freeze"),
    "leaving": ({STATUS: web(state="migrate", target="node2")}, "proc:web is in state migrate"),
    "coming": ({STATUS: web(state="migrate", node="node2", target="node1")}, "proc:web is in state migrate"),
}


@pytest.mark.parametrize("how", REFUSED)
def test_it_is_refused(how: str) -> None:
    changed, says = REFUSED[how]
    assert says in refused(snapshot(**changed), "node1")


def test_an_lrm_has_let_go_when_its_lock_is_not_its_own() -> None:
    assert not released(snapshot(), "node1")
    assert released(snapshot(**{agent_lock("node1"): Lock("", 1, 1, 9.0).document()}), "node1")


UNLIKE: dict[str, tuple[dict[str, Any], str]] = {
    "gone": ({STATUS: status(services={})}, "proc:web is managed no more"),
    "moved": ({STATUS: web(node="node2")}, "proc:web is on node2"),
    "frozen": ({STATUS: web(state="freeze")}, "proc:web is in state freeze, and was started"),
    "down": ({STATUS: web(running=False)}, "proc:web is not running"),
    "silent": ({lrm_key("node1"): {"mode": "restart"}}, "its LRM has not said yet that it is back"),
    "idle": ({lrm_key("node1"): {"mode": "idle"}}, "its LRM does not guard its services"),
    "no lock": ({agent_lock("node1"): Lock().document()}, "its LRM does not guard its services"),
    "lost": ({STATUS: status(nodes={"node1": "unknown"})}, "its state is unknown"),
}


@pytest.mark.parametrize("how", UNLIKE)
def test_what_is_not_as_before(how: str) -> None:
    changed, says = UNLIKE[how]
    assert says in unlike(snapshot(), snapshot(**changed), "node1")


def test_all_is_as_before_also_with_other_names_for_requests() -> None:
    assert unlike(snapshot(), snapshot(**{STATUS: web(uid="7")}), "node1") == ""
