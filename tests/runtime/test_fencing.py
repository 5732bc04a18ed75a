"""Power fencing in a cluster of real processes: a real fence agent, real IPMI, nodes that lose their power by it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hacore.cli.demo import TIMING
from hacore.devices.clock import now_s
from hacore.manager.documents import settings_of
from hacore.protocol.timing import Timing
from tests.bmc import MISSING, PASSWORD, Switch, controllers
from tests.runtime.cluster import LocalCluster

LONG: dict[str, Any] = {**TIMING, "watchdog_s": 30.0}
"""With so patient a watchdog it is plain who was first. Agents have that long, however busy this machine is."""


@contextmanager
def cluster_in(path: Path, timing: dict[str, Any]) -> Iterator[LocalCluster]:
    cluster = LocalCluster(path, boot_s=600.0, timing=timing)
    try:
        cluster.settle()
        yield cluster
        assert cluster.seen("overlap") == []
    finally:
        cluster.close()


def lose(cluster: LocalCluster) -> str:
    """The LRM and the CRM of a node stand still; its services run on, its multiplexer waits for the deadline."""
    node = next(where for where, _ in cluster.running().values() if where != cluster.master().owner)
    for daemon in ("lrm", "crm"):
        cluster.pause(cluster.daemon(node, daemon))
    return node


def run_elsewhere(cluster: LocalCluster, node: str, services: int) -> bool:
    running = cluster.running()
    return len(running) == services and node not in {where for where, _ in running.values()}


def masters_rows(cluster: LocalCluster) -> list[str]:
    return [line["row"] for line in cluster.trace(cluster.master().owner, "crm") if "row" in line]


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_a_node_is_switched_off_by_ipmi_and_its_services_need_not_wait(tmp_path: Path) -> None:
    secret = tmp_path / "ipmi-password"
    secret.write_text(f"{PASSWORD}\n")
    with cluster_in(tmp_path, LONG) as cluster:
        switches = {
            node: Switch(
                lambda node=node: cluster.power(node, "off"),  # type: ignore[misc]
                lambda node=node: cluster.machines()[node]["power"] == "on",  # type: ignore[misc]
            )
            for node in cluster.nodes
        }
        with controllers(*switches.values()):
            for node, switch in switches.items():
                plain = [f"--set={name}={value}" for name, value in switch.parameters.items() if name != "password"]
                cluster.done("fencing", "add", node, "fence_ipmilan", *plain, f"--secret=password={secret}")
            assert cluster.hacore("fencing", "test", "node1").stdout.split()[:4] == [
                "level",
                "1",
                "fence_ipmilan",
                "on",
            ]
            services = len(cluster.running())
            node, begin_s = lose(cluster), now_s()
            cluster.wait_for("recovery from a power-off", lambda: run_elsewhere(cluster, node, services))
            took_s = now_s() - begin_s
        print(f"recovered after {took_s:.1f} s; a lock lives {Timing(**LONG).lock_ttl_s:.1f} s")
        assert "crm.master.take_off" in masters_rows(cluster)
        assert cluster.events("watchdog_reset") == []
        assert {name: it.told for name, it in switches.items() if it.told} == {node: ["off"]}
        assert cluster.machines()[node]["power"] == "off"
        traces = b"".join(path.read_bytes() for path in cluster.directory.glob("nodes/*/trace/crm.jsonl"))
        assert b'"PowerOff"' in traces
        assert PASSWORD.encode() not in traces


def test_an_agent_that_hangs_leaves_the_node_to_its_watchdog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = tmp_path / "fence_hangs"
    agent.write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/asked\nexec sleep 1000\n")
    agent.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with cluster_in(tmp_path, TIMING) as cluster:
        for node in cluster.nodes:
            cluster.done("fencing", "add", node, "fence_hangs")
        assert set(settings_of(cluster.read()).fencing) == set(cluster.nodes)
        services = len(cluster.running())
        node = lose(cluster)
        cluster.wait_for("recovery from a reset", lambda: run_elsewhere(cluster, node, services))
        assert [event["node"] for event in cluster.events("watchdog_reset")] == [node]
        rows = masters_rows(cluster)
        assert "crm.master.power_off" in rows
        assert "crm.master.take" in rows
        assert "crm.master.take_off" not in rows
        assert not any(Path(f"/proc/{pid}").exists() for pid in (tmp_path / "asked").read_text().split())
