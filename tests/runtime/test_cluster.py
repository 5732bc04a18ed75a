"""A cluster of real processes through all that an operator, a failure or an update does to it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hacore.cli.demo import TIMING
from hacore.devices.clock import now_s
from hacore.devices.store.sqlite import SqliteStore
from hacore.manager.documents import lrm_of, resources_of
from hacore.runtime.cluster import create, read_members, read_settings, store_path
from hacore.runtime.demo import SERVICES
from tests.runtime.cluster import PATIENT_S, Event, LocalCluster, hacore

WEB = "proc:web"
DUMMY, AGENT = "ocf:dummy", Path("/usr/lib/ocf/resource.d/heartbeat/Dummy")


@pytest.fixture(scope="module")
def steady_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    cluster = LocalCluster(tmp_path_factory.mktemp("steady"))
    yield cluster
    cluster.close()


@pytest.fixture
def steady(steady_one: LocalCluster) -> Iterator[LocalCluster]:
    """All is well before the test, and no service has run twice after it. A node boots again soon."""
    steady_one.settle()
    yield steady_one
    assert steady_one.seen("overlap") == []


@pytest.fixture(scope="module")
def dwindling_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    cluster = LocalCluster(tmp_path_factory.mktemp("dwindling"), boot_s=600.0)
    cluster.settle()
    yield cluster
    cluster.close()


@pytest.fixture
def dwindling(dwindling_one: LocalCluster) -> Iterator[LocalCluster]:
    """A node that is reset does not come back: there are enough of them for two failures."""
    yield dwindling_one
    assert dwindling_one.seen("overlap") == []


# ------------------------------------------------------------------------------------------------------- failures


def run_outside(cluster: LocalCluster, node: str) -> bool:
    running = cluster.running()
    return running.keys() == SERVICES.keys() and node not in {where for where, _ in running.values()}


def test_services_run_elsewhere_after_every_daemon_was_killed(dwindling: LocalCluster) -> None:
    node = dwindling.master().owner
    before = dwindling.running()
    daemons = dwindling.daemons(node)
    assert len(daemons) == 3
    for pid in daemons:
        os.kill(pid, signal.SIGKILL)
    dwindling.wait_for(f"recovery from the loss of {node}", lambda: run_outside(dwindling, node))
    after = dwindling.running()
    assert {sid for sid in before if before[sid] != after[sid]} == {sid for sid in before if before[sid][0] == node}
    assert [event["node"] for event in dwindling.events("watchdog_reset")] == [node]
    assert dwindling.master().owner != node


def test_services_run_elsewhere_after_the_lrm_was_stopped(dwindling: LocalCluster) -> None:
    resets = len(dwindling.events("watchdog_reset"))
    node = next(where for where, _ in dwindling.running().values() if where != dwindling.master().owner)
    dwindling.pause(dwindling.daemon(node, "lrm"))
    dwindling.wait_for(f"recovery from the stop of {node}'s LRM", lambda: run_outside(dwindling, node))
    assert [event["node"] for event in dwindling.events("watchdog_reset")[resets:]] == [node]


def test_services_run_elsewhere_after_a_power_loss(steady: LocalCluster) -> None:
    node = steady.running()[WEB][0]
    steady.power(node, "off")
    steady.wait_for("recovery from a power loss", lambda: run_outside(steady, node))
    assert steady.status().nodes[node] == "unknown"
    assert steady.machines()[node]["power"] == "off"
    assert steady.master().owner != node
    steady.done("power", node, "on")
    steady.wait_for("the node to boot", lambda: steady.machines()[node]["pid"])
    os.kill(steady.machines()[node]["pid"], signal.SIGHUP)  # restart-lrm, before there is any LRM: does no harm
    steady.wait_for("the node to return", steady.settled)
    assert steady.events("node_died") == []


def test_a_killed_service_is_restarted_on_its_node(steady: LocalCluster) -> None:
    node, pid = steady.running()[WEB]
    others = {sid: where for sid, where in steady.running().items() if sid != WEB}
    os.kill(pid, signal.SIGKILL)
    steady.wait_for("the service to be restarted", lambda: steady.running().get(WEB, ("", pid))[1] != pid)
    steady.wait_for("that to be noted", steady.settled)
    assert steady.running()[WEB][0] == node
    assert {sid: where for sid, where in steady.running().items() if sid != WEB} == others


@pytest.mark.skipif(not AGENT.exists(), reason="needs Debian's resource-agents")
def test_what_an_agent_looks_after_is_restarted_when_it_is_gone(steady: LocalCluster, tmp_path: Path) -> None:
    state = tmp_path / "state"
    configured = ("agent=heartbeat:Dummy", f"parameters.state={state}")
    steady.done("add", DUMMY, "--node", "node2", *(word for each in configured for word in ("--set", each)))
    try:
        steady.wait_for("the agent's service to be started", state.exists)
        for _ in range(2):
            state.unlink()
            steady.wait_for("its loss to be noticed within seconds", state.exists, within_s=TIMING["monitor_s"] + 10)
    finally:
        steady.done("set", DUMMY, "--state", "disabled")
        steady.wait_for("the agent's service to be stopped", lambda: not state.exists())
        steady.done("remove", DUMMY)
    steady.wait_for("it all to be as before", steady.settled)


def test_a_paused_master_is_overtaken_and_changes_nothing(steady: LocalCluster) -> None:
    old = steady.master()
    running = steady.running()
    crm = steady.daemon(old.owner, "crm")
    traced = len(steady.trace(old.owner, "crm"))
    steady.pause(crm)
    steady.wait_for("another master", lambda: steady.master().owner != old.owner)
    new, taken_s = steady.master(), now_s()
    assert new.token == old.token + 1
    steady.wait_for("the new master to write", lambda: steady.status().master == new.owner)
    steady.resume(crm)

    def since() -> list[Event]:
        return steady.trace(old.owner, "crm")[traced:]

    steady.wait_for("the ex-master to notice", lambda: any(line.get("row") == "crm.lost.forget" for line in since()))
    lines = since()
    end = next(i for i, line in enumerate(lines) if line.get("row") == "crm.lost.forget")
    wrote = [line for line in lines[:end] if line.get("ask") == "Transact" and line["t"] > taken_s]
    assert wrote, "it has tried"
    assert [line["answer"] for line in wrote if "Conflict" not in line["answer"]] == []
    assert (steady.master().owner, steady.master().token) == (new.owner, new.token)
    assert steady.running() == running
    assert steady.daemon(old.owner, "crm") == crm
    steady.wait_for("it all to be as before", steady.settled)


# ------------------------------------------------------------------------------------------------------ operators


def test_all_services_start_where_they_are_configured(steady: LocalCluster) -> None:
    first = {event["sid"]: event["node"] for event in reversed(steady.seen("up"))}
    assert first == SERVICES
    assert steady.running().keys() == SERVICES.keys()


def test_an_lrm_is_restarted_and_its_services_run_on(steady: LocalCluster) -> None:
    node = steady.running()[WEB][0]
    before, lrm = steady.running(), steady.daemon(node, "lrm")
    generation = lrm_of(steady.read(), node).generation
    steady.done("restart-lrm", node)
    steady.wait_for("a restart of the LRM", lambda: lrm_of(steady.read(), node).generation > generation)
    steady.wait_for("its services to thaw", steady.settled)
    assert steady.running() == before
    assert lrm_of(steady.read(), node).generation == generation + 1
    assert steady.daemon(node, "lrm") != lrm


@pytest.mark.parametrize("verb", ["migrate", "relocate"])
def test_a_service_moves_by_command(steady: LocalCluster, verb: str) -> None:
    node, pid = steady.running()[WEB]
    target = next(other for other in steady.nodes if other != node)
    steady.done(verb, WEB, target, "--wait", str(PATIENT_S / 2))
    assert steady.running()[WEB][0] == target
    assert steady.running()[WEB][1] != pid
    assert resources_of(steady.read())[WEB].node == target


def test_a_service_stops_by_command_and_starts_by_its_state(steady: LocalCluster) -> None:
    steady.done("stop", WEB, "--wait", str(PATIENT_S / 2))
    assert WEB not in steady.running()
    assert resources_of(steady.read())[WEB].state == "stopped"
    steady.wait_for("that to be settled", steady.settled)
    steady.done("set", WEB, "--state", "started")
    steady.wait_for("it to run again", steady.settled)
    assert WEB in steady.running()


def test_a_service_that_cannot_start_ends_in_error_and_comes_out_disabled(steady: LocalCluster) -> None:
    sid = "proc:broken"
    steady.done("add", sid, "--node", "node2", "--command", "/does/not/exist", "--max-restart", "1")
    steady.wait_for("the service to be given up", lambda: record_state(steady, sid) == "error")
    tried = [
        node
        for node in steady.nodes
        for line in steady.trace(node, "lrm")
        if line.get("say") == "service_starting" and line["about"]["sid"] == sid
    ]
    assert len(tried) == 4, "two starts on each of two nodes: max_restart 1, max_relocate 1"
    assert sorted(set(tried)) == sorted(steady.status().services[sid].failed_nodes)
    assert tried.count("node2") == 2
    assert f"{sid} is in error" in steady.hacore("status").stdout
    steady.done("set", sid, "--state", "disabled")
    steady.wait_for("it to be stopped", lambda: record_state(steady, sid) == "stopped")
    assert steady.status().services[sid].failed_nodes == []
    mended = steady.serving(sid, steady.status().services[sid].node)
    steady.configure({sid: mended})
    steady.wait_for("it to run", steady.settled)
    steady.done("set", sid, "--state", "disabled")
    steady.wait_for("it to be stopped", lambda: record_state(steady, sid) == "stopped")
    steady.done("remove", sid)
    steady.wait_for("it to be forgotten", steady.settled)


def record_state(cluster: LocalCluster, sid: str) -> str:
    record = cluster.status().services.get(sid)
    return record.state if record else "none"


def test_maintenance_empties_a_node_and_gives_it_back(steady: LocalCluster) -> None:
    before = steady.running()
    node = before[WEB][0]
    there = {sid for sid in before if before[sid][0] == node}
    steady.done("node-maintenance", "enable", node, "--wait", str(PATIENT_S / 2))
    steady.wait_for("the services to run elsewhere", lambda: run_outside(steady, node))
    during = steady.running()
    assert {sid for sid in before if before[sid] != during[sid]} == there
    steady.wait_for("the node's watchdog to be closed", lambda: steady.machines()[node]["watchdog_s"] is None)
    assert lrm_of(steady.read(), node).mode == "maintenance"
    steady.done("node-maintenance", "disable", node, "--wait", str(PATIENT_S / 2))
    steady.wait_for("the services to come back", steady.settled)
    after = steady.running()
    assert {sid for sid in after if after[sid][0] == node} == there


def test_a_disarmed_cluster_has_no_watchdog_and_its_services_run_on(steady: LocalCluster) -> None:
    before = steady.running()
    busy = {node for node, _ in before.values()}
    assert all(steady.machines()[node]["watchdog_s"] for node in busy)
    steady.done("disarm", "--wait", str(PATIENT_S / 2))
    assert {machine["watchdog_s"] for machine in steady.machines().values()} == {None}
    assert {record.state for record in steady.status().services.values()} == {"freeze"}
    assert steady.running() == before
    steady.done("arm", "--wait", str(PATIENT_S / 2))
    steady.wait_for("the services to thaw", steady.settled)
    assert steady.running() == before
    assert all(steady.machines()[node]["watchdog_s"] for node in busy)


# ---------------------------------------------------------------------------------------------------- the site


def test_a_site_that_ends_leaves_nothing_and_a_new_one_goes_on(steady: LocalCluster) -> None:
    downs = len(steady.seen("down"))
    assert steady.stop() == 0
    assert steady.processes() == []
    assert steady.running() == {}
    assert len(steady.seen("down")) == downs + len(SERVICES), "they were stopped, not killed"
    assert len(steady.events("node_off")) == len(steady.nodes)
    steady.settle()
    assert steady.running().keys() == SERVICES.keys()


def test_a_killed_sites_leftovers_end_when_a_new_one_starts(steady: LocalCluster) -> None:
    before = steady.running()
    steady.kill()
    steady.settle()
    (event,) = steady.events("leftovers_killed")
    assert event["processes"] >= len(SERVICES)
    assert not {pid for _, pid in before.values()} & {pid for _, pid in steady.running().values()}


def test_two_sites_in_a_directory_are_refused(steady: LocalCluster) -> None:
    before = steady.running()
    second = steady.hacore("up")
    assert second.returncode == 1
    pid = steady.sites[-1].pid
    assert second.stderr == f"hacore: a site already runs in {steady.directory} (pid {pid})\n"
    assert second.stdout == ""
    assert steady.running() == before


# --------------------------------------------------------------------------------------------- what it refuses


def refuses(answer: subprocess.CompletedProcess[str], *words: str) -> None:
    """It has said in one line why it could not, with all of these words."""
    assert answer.returncode == 1, answer
    assert answer.stdout == ""
    assert answer.stderr.startswith("hacore: ")
    assert answer.stderr.count("\n") == 1
    assert [word for word in words if word not in answer.stderr] == []


def test_a_node_without_a_store_is_refused(tmp_path: Path) -> None:
    refuses(hacore(tmp_path / "none", "node", "node1"), "no store at", str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("words", [("up",), ("node", "node1")])
@pytest.mark.parametrize("content", [b"", b"not a database, though long enough to be taken for one" * 100])
def test_what_is_no_store_is_refused(tmp_path: Path, words: tuple[str, ...], content: bytes) -> None:
    store_path(tmp_path).write_bytes(content)
    refuses(hacore(tmp_path, *words), str(store_path(tmp_path)), "is not a store")
    assert store_path(tmp_path).read_bytes() == content
    assert not (tmp_path / "nodes").exists()


@pytest.mark.parametrize("words", [("up",), ("node", "node1")])
def test_a_damaged_store_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    path = store_path(tmp_path)
    SqliteStore.create(path)
    store = SqliteStore(path, 1.0)
    for number in range(300):
        store.transact({}, {f"key/{number}": "x" * 500})
    store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refuses(hacore(tmp_path, *words), str(path), "is damaged")


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refuses(hacore(tmp_path / "file", "up"), str(tmp_path / "file"))


def test_a_node_that_is_no_member_is_refused(steady: LocalCluster) -> None:
    refuses(steady.hacore("node", "node9"), "node9 is no node of this cluster: node1, node2, node3")


def test_a_cluster_that_was_half_made_is_made(tmp_path: Path) -> None:
    """Its maker was killed between the store and what belongs into it."""
    SqliteStore.create(store_path(tmp_path))
    create(tmp_path, ["node1", "node2"], TIMING)
    create(tmp_path, ["node3"], {})
    assert read_members(tmp_path) == ["node1", "node2"]
    assert read_settings(tmp_path).timing == TIMING


def test_unsafe_timing_makes_no_cluster(tmp_path: Path) -> None:
    refuses(hacore(tmp_path / "new", "up", "--set", "lock_ttl_s=1"), "unsafe", "lock_ttl_s")
    assert not (tmp_path / "new").exists()
