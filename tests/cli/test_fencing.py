"""hacore fencing add, remove, list, test."""

import os
from pathlib import Path
from typing import Any

import pytest

from hacore.manager.documents import SETTINGS
from tests.cli.clusters import Cluster

IPMI = ["fence_ipmilan", "--set", "ip=10.0.0.11", "--set", "lanplus=1"]
STRIP = ["fence_apc_snmp", "--set", "ip=10.0.0.9"]


def device(words: list[str]) -> dict[str, Any]:
    return {"agent": words[0], "parameters": dict(pair.split("=") for pair in words[2::2])}


def stored(cluster: Cluster) -> Any:
    return cluster.value(SETTINGS).get("fencing")


def test_levels_are_added_shown_and_removed(cluster: Cluster) -> None:
    cluster.put(SETTINGS, {"shutdown_policy": "freeze"})
    assert cluster.ok("fencing") == "no devices: a lost node's watchdog is waited for\n"
    said = cluster.ok("fencing", "add", "node1", *IPMI, "--secret", "password=/etc/hacore/ipmi")
    assert said == "added fence_ipmilan for node1; try it: hacore fencing test node1\n"
    cluster.ok("fencing", "add", "node1", *STRIP)
    cluster.ok("fencing", "add", "node1", *STRIP, "--set", "port=2", "--level", "2")
    cluster.ok("fencing", "add", "node2", "fence_dummy", "--level", "1", "--set", "passwd=s3=cret")
    ipmi = device(IPMI)
    ipmi["parameters"]["password"] = {"file": "/etc/hacore/ipmi"}
    both = [device(STRIP), device([*STRIP, "--set", "port=2"])]
    assert stored(cluster) == {
        "node1": [[ipmi], both],
        "node2": [[{"agent": "fence_dummy", "parameters": {"passwd": "s3=cret"}}]],
    }
    assert cluster.json("fencing", "list") == {
        "node1": [[ipmi], both],
        "node2": [[{"agent": "fence_dummy", "parameters": {"passwd": "***"}}]],
    }
    assert [" ".join(line.split()) for line in cluster.ok("fencing").splitlines()] == [
        "node1 level 1 fence_ipmilan ip=10.0.0.11 lanplus=1 password=file:/etc/hacore/ipmi",
        "node1 level 2 fence_apc_snmp ip=10.0.0.9",
        "node1 level 2 fence_apc_snmp ip=10.0.0.9 port=2",
        "node2 level 1 fence_dummy passwd=***",
    ]
    assert cluster.ok("fencing", "remove", "node1", "--level", "1") == "removed level 1 of node1\n"
    assert stored(cluster)["node1"] == [both]
    cluster.ok("fencing", "remove", "node1")
    cluster.ok("fencing", "remove", "node2", "--level", "1")
    assert cluster.value(SETTINGS) == {"shutdown_policy": "freeze"}


def test_other_settings_keep_the_devices_and_do_not_show_them(cluster: Cluster) -> None:
    cluster.ok("fencing", "add", "node1", "fence_dummy", "--set", "password=s3cret")
    cluster.ok("settings", "set", "shutdown_policy=freeze")
    assert "s3cret" not in cluster.ok("settings") + cluster.ok("settings", "--json") + cluster.ok("fencing")
    assert list(stored(cluster)) == ["node1"]


@pytest.mark.parametrize(
    ("words", "because"),
    [
        ("add node9 fence_dummy", "node9 is no node of this cluster; its nodes are node1, node2, node3"),
        ("add node1 /bin/sh", "agent '/bin/sh' is no fence agent: its name begins with fence_"),
        ("add node1 fence_dummy --set action=on", "a fence agent has no parameter 'action' for hacore to set"),
        ("add node1 fence_dummy --level 3", "node1 has 1 levels: the next one is 2"),
        ("remove node2", "node2 has no fencing devices; the nodes that have any are node1"),
        ("remove node1 --level 2", "node1 has no level 2, only 1"),
        ("test node2", "node2 has no fencing devices; the nodes that have any are node1"),
    ],
)
def test_what_is_refused_changes_nothing(cluster: Cluster, words: str, because: str) -> None:
    cluster.ok("fencing", "add", "node1", "fence_dummy")
    assert because in cluster.refused("fencing", *words.split())


def test_what_is_not_understood(cluster: Cluster) -> None:
    assert "write NAME=VALUE" in cluster.not_understood("fencing", "add", "node1", "fence_dummy", "--set", "ip")


def test_every_device_is_asked_for_its_status(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, script in (("on", "echo Status: ON"), ("off", "echo Status: OFF; exit 2"), ("deaf", "exec sleep 1000")):
        agent = tmp_path / f"fence_{name}"
        agent.write_text(f"#!/bin/sh\n{script}\n")
        agent.chmod(0o755)
        cluster.ok("fencing", "add", "node1" if name == "deaf" else "node2", f"fence_{name}")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert [" ".join(line.split()[:4]) for line in cluster.ok("fencing", "test", "node2").splitlines()] == [
        "level 1 fence_on on",
        "level 2 fence_off off",
    ]
    asked = cluster.run("fencing", "test", "node1", "--timeout", "0.3", "--json")
    assert asked.exit_code == 1
    assert '"state": "unknown"' in asked.stdout
    assert "fence_deaf status did not answer in time" in asked.stdout
