"""hacore status."""

import signal
import subprocess
import sys
from typing import Any

import pytest

from hacore.protocol.locks import FENCING, MANAGER_LOCK, Lock, agent_lock, heartbeat
from tests.cli.clusters import STATUS, Cluster, resource

RECORDS: dict[str, dict[str, Any]] = {
    "proc:a": {"state": "started", "node": "node1", "uid": "1", "running": True},
    "proc:b": {"state": "migrate", "node": "node1", "uid": "2", "target": "node2"},
    "proc:c": {"state": "error", "node": "node2", "uid": "3", "failed_nodes": ["node1", "node2"]},
    "proc:d": {"state": "recovery", "node": "node3", "uid": "4"},
    "proc:e": {"state": "fence", "node": "node3", "uid": "5"},
    "proc:f": {"state": "freeze", "node": "node2", "uid": "6", "generation": 2},
    "proc:g": {"state": "started", "node": "node2", "uid": "7", "failed_nodes": ["node1"]},
    "proc:h": {"state": "error", "node": "node2", "uid": "8", "stop_tried": True},
}


@pytest.fixture
def busy(cluster: Cluster) -> Cluster:
    """A cluster in which everything happens at once."""
    configured = {sid: resource(record["node"]) for sid, record in RECORDS.items() if sid != "proc:g"}
    configured["proc:h"]["state"] = "disabled"
    cluster.write(
        **{
            MANAGER_LOCK: Lock("node2", 7, 30, 7.51).document(),
            STATUS: {
                "master": "node2",
                "nodes": {"node1": "maintenance", "node2": "online", "node3": "fence", "node4": "unknown"},
                "services": RECORDS,
                "maintenance": ["node1"],
            },
            "resources": {**configured, "proc:new": resource("node1"), "proc:own": resource("node1", "ignored")},
            "commands": {"last_id": 9, "queue": [{"id": 9, "text": "stop proc:a 10"}]},
            "lrm/node2": {"mode": "restart", "generation": 2, "results": {"1": "success"}},
            agent_lock("node2"): Lock("node2", 3, 1, 7.51).document(),
            agent_lock("node3"): Lock(FENCING, 5, 0, 7.51).document(),
        }
    )
    cluster.put(heartbeat("node2"), {"by": "lrm"})
    return cluster


def test_a_fresh_cluster(cluster: Cluster) -> None:
    told = cluster.json("status")
    assert told["master"] == {"node": None, "token": 0, "renewals": 0}
    assert told["services"] == {}
    assert told["commands"] == []
    assert list(told["nodes"]) == ["node1", "node2", "node3"]
    assert told["nodes"]["node1"] == {
        "state": None,
        "member": True,
        "maintenance_requested": False,
        "lrm": None,
        "lock": {"owner": None, "token": 0},
        "heartbeat": 0,
    }
    lines = cluster.ok("status").splitlines()
    assert lines[0] == f"store   answered, revision {told['revision']}"
    assert lines[1] == "master  none"
    assert lines[2] == "node  node1  not seen yet  lrm not heard of  lock free, token 0  heartbeat 0"
    assert lines[-1] == "notable  no master, and none is needed: no service is configured"


def test_an_empty_store(cluster: Cluster) -> None:
    cluster.write(members=None, settings=None)
    assert cluster.json("status")["nodes"] == {}
    assert cluster.ok("status").startswith("store   answered")


def test_json_tells_all(busy: Cluster) -> None:
    told = busy.json("status")
    assert told["directory"] == str(busy.directory)
    assert told["master"] == {"node": "node2", "token": 7, "renewals": 30}
    assert told["nodes"]["node2"]["lrm"] == {"mode": "restart", "generation": 2}
    assert told["nodes"]["node2"]["lock"] == {"owner": "node2", "token": 3}
    assert told["nodes"]["node2"]["heartbeat"] == told["revision"]
    assert not told["nodes"]["node4"]["member"]
    assert told["nodes"]["node1"]["maintenance_requested"]
    assert told["commands"] == [{"id": 9, "text": "stop proc:a 10"}]
    assert told["services"]["proc:b"] == {
        "state": "migrate",
        "node": "node1",
        "target": "node2",
        "requested": "started",
        "running": False,
        "failed_nodes": [],
        "maintenance_node": None,
        "uid": "2",
        "comment": "",
    }
    assert told["services"]["proc:g"]["requested"] is None
    assert told["services"]["proc:new"]["state"] is None


def test_text_tells_the_same(busy: Cluster) -> None:
    lines = [" ".join(line.split()) for line in busy.ok("status").splitlines()]
    for line in (
        "master node2, token 7",
        "node node1 maintenance, maintenance requested lrm not heard of lock free, token 0 heartbeat 0",
        "node node3 fence lrm not heard of lock held for fencing, token 5 heartbeat 0",
        "service proc:a started, running node1 requested started",
        "service proc:b migrate node1 -> node2 requested started",
        "service proc:c error node2 requested started failed on node1, node2",
        "service proc:g started node2 requested nothing: configured no more failed on node1",
        "service proc:new new node1 requested started",
        "service proc:own ignored node1 requested ignored",
        "command 9: stop proc:a 10",
    ):
        assert line in lines
    assert any(line.startswith("node node2 online lrm restart lock held by node2, token 3") for line in lines)


def test_what_is_notable(busy: Cluster) -> None:
    assert busy.json("status")["notable"] == [
        "no site runs in this directory, so all this is as it was left: hacore up",
        "node1 is in maintenance until hacore node-maintenance disable node1",
        "node3 is being fenced: its services wait until its lock has stood still for its lifetime",
        "node4 is not online",
        "proc:c is in error, and left alone: find out why, then hacore set proc:c --state disabled",
        "proc:d waits to be recovered: no node that may have it is online",
        "proc:e waits until node3 is fenced",
        "proc:f is frozen until the LRM of node2 is active again",
        "proc:g could not be started on node1",
        "proc:h is in error, and could not be stopped: find out why, then hacore set proc:h --state stopped",
        "proc:new has not been seen by a master yet",
    ]
    lines = busy.ok("status").splitlines()
    assert [line for line in lines if line.startswith("notable")] == lines[-11:]


def test_without_a_master(serving: Cluster) -> None:
    assert any(it.startswith("no master: nothing is decided") for it in serving.json("status")["notable"])


def test_a_disarmed_cluster(busy: Cluster) -> None:
    status = busy.value(STATUS)
    busy.put(STATUS, {**status, "disarm": {"mode": "ignore", "state": "disarming"}})
    told = busy.json("status")
    assert told["disarm"] == {"mode": "ignore", "state": "disarming"}
    assert any(it.startswith("the cluster is disarming: no service is") for it in told["notable"])
    assert not any("frozen" in it for it in told["notable"])
    assert "disarm  disarming, mode ignore" in busy.ok("status").splitlines()


def test_the_site_is_told_of(busy: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = {"node1": {"power": "on"}, "node2": {"power": "off"}, "node3": {"power": "off"}}
    monkeypatch.setattr("hacore.runtime.site.site_call", lambda *_, **__: {"nodes": machines})
    told = busy.json("status")
    assert told["site"] == {"power": {"node1": "on", "node2": "off", "node3": "off"}}
    assert not any("site" in it for it in told["notable"])
    assert "site    runs, off: node2, node3" in busy.ok("status").splitlines()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (STATUS, {"services": {"proc:a": {"node": "node1"}}}),
        ("resources", {"proc:a": {"node": "node1", "state": "running"}}),
        ("members", "node1"),
        ("commands", {"queue": 1}),
        ("lrm/node1", {"mode": 1}),
    ],
)
def test_a_document_that_cannot_be_understood(cluster: Cluster, key: str, value: object) -> None:
    cluster.put(key, value)
    assert cluster.refused("status").startswith(f"document '{key}': ")


def test_watched_it_is_shown_anew_until_ctrl_c(cluster: Cluster) -> None:
    words = [sys.executable, "-m", "hacore", "-C", str(cluster.directory), "status", "--watch"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout
        revisions = []
        for line in watching.stdout:
            if line.startswith("store"):
                revisions.append(line)
                cluster.put("settings", {"rebalance_threshold": len(revisions)})
            if len(revisions) == 2:
                break
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 0
    assert revisions[0] != revisions[1]
    assert cluster.run("status", "--watch", "--json").exit_code == 2
