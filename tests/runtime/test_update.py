"""``hacore update`` on a cluster of real processes: what it touches, what it refuses, and what a killed one leaves."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hacore.cli.store import update
from hacore.manager.documents import UPDATE, Resource, Update, update_of
from hacore.runtime.only_one import holder
from hacore.trace.checking import check
from tests.runtime.cluster import PATIENT_S, ROOT, LocalCluster, command

REFUSED, DOUBT = 1, 3


@pytest.fixture(scope="module")
def steady_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    cluster = LocalCluster(tmp_path_factory.mktemp("updated"))
    try:
        yield cluster
        cluster.stop()
        checked = check([cluster.directory])
        assert checked.rows
        assert [str(problem) for problem in checked.problems] == []
    finally:
        cluster.close()


@pytest.fixture
def steady(steady_one: LocalCluster) -> Iterator[LocalCluster]:
    """All is well before the test, and in it nothing was reset, nor has run twice."""
    steady_one.settle()
    yield steady_one
    assert steady_one.seen("overlap") == []
    assert steady_one.events("watchdog_reset") == []


def begun(cluster: LocalCluster, node: str, *words: str) -> "subprocess.Popen[str]":
    """An update that is under way."""
    wanted = command(cluster.directory, "update", node, "--", *words)
    return subprocess.Popen(wanted, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def test_a_command_runs_while_the_lrm_is_down_and_no_service_is_touched(steady: LocalCluster, tmp_path: Path) -> None:
    node = steady.master().owner  # also if that is the master's
    running, daemons = steady.running(), steady.daemons(node)
    looked = tmp_path / "looked"
    look = f"sleep 1; for each in lrm crm; do flock -n {steady.home(node)}/$each.lock echo $each is down || true; done"
    answer = steady.hacore("update", node, "--", "sh", "-c", f"{{ {look}; }} > {looked}")
    assert answer.returncode == 0, answer.stderr + steady.story()
    assert looked.read_text() == "lrm is down\n"
    assert steady.running() == running
    assert steady.settled()
    assert not set(steady.daemons(node)) & set(daemons), "all three daemons are new"
    assert update_of(steady.read()).node == ""


@pytest.mark.slow
def test_all_nodes_one_after_the_other(steady: LocalCluster, tmp_path: Path) -> None:
    running = steady.running()
    listed = tmp_path / "listed"
    answer = steady.hacore("update", "--rolling", "--", "sh", "-c", f"echo x >> {listed}")
    assert (answer.returncode, answer.stdout) == (0, "updated: node1, node2, node3\n"), answer.stderr
    assert listed.read_text() == "x\n" * 3
    assert steady.running() == running


def test_a_rolling_update_stops_at_the_first_doubt(steady: LocalCluster, tmp_path: Path) -> None:
    there = f"sh -c 'echo {{node}} >> {tmp_path}/asked; test {{node}} != node2'"
    answer = steady.hacore("update", "--rolling", "--via", there, "--", "true")
    assert answer.returncode == DOUBT
    assert "stopped at node2" in answer.stderr
    assert (tmp_path / "asked").read_text() == "node1\nnode2\n"


@pytest.mark.slow
def test_a_failed_command_is_told_when_all_is_as_before(steady: LocalCluster) -> None:
    running = steady.running()
    answer = steady.hacore("update", "node2", "--", "sh", "-c", "exit 7")
    assert answer.returncode == DOUBT
    assert "all is as before, but the command ended with 7" in answer.stderr
    assert steady.running() == running


def test_a_killed_update_lets_the_lrm_come_back(steady: LocalCluster, tmp_path: Path) -> None:
    running, lrm = steady.running(), steady.daemon("node1", "lrm")
    here = tmp_path / "here"
    updating = begun(steady, "node1", "sh", "-c", f"touch {here}; exec sleep 300")
    try:
        steady.wait_for("the command to run", here.exists)
        steady.wait_for("the LRM to be gone", lambda: not steady.daemons("node1", "lrm"))
        time.sleep(1.0)  # long enough for the node to have started another
        assert steady.daemons("node1", "lrm") == []
        second = steady.hacore("update", "node2", "--", "true")
        assert second.returncode == REFUSED
        assert "node1 is being updated" in second.stderr
        (child,) = (int(it) for it in Path(f"/proc/{updating.pid}/task/{updating.pid}/children").read_text().split())
    finally:
        updating.kill()
        updating.wait(PATIENT_S)
    steady.wait_for("the LRM to come back", steady.settled)
    os.kill(child, signal.SIGKILL)  # it was there all the time
    assert steady.daemon("node1", "lrm") != lrm
    assert steady.running() == running
    again = steady.hacore("update", "node1", "--", "true")
    assert again.returncode == REFUSED
    assert "hacore update node1 --clear" in again.stderr
    steady.done("update", "node1", "--clear")
    assert steady.hacore("update", "node1", "--clear").returncode == REFUSED
    steady.done("update", "node1", "--", "true")


def refusal(cluster: LocalCluster, node: str) -> str:
    answer = cluster.hacore("update", node, "--", "false")
    assert answer.returncode == REFUSED, answer.stderr
    return answer.stderr


def state_of(cluster: LocalCluster, sid: str) -> str:
    services = cluster.status().services
    return services[sid].state if sid in services else ""


def test_it_is_refused_with_the_reason(steady: LocalCluster) -> None:
    before = {node: steady.daemons(node) for node in steady.nodes}
    assert "no `hacore node node9` runs on this machine" in refusal(steady, "node9")
    update(steady.store, UPDATE, lambda _: Update("node3"))
    assert "node3 is being updated" in refusal(steady, "node1")
    steady.done("update", "node3", "--clear")
    steady.configure({"proc:broken": Resource("node1", max_restart=0, max_relocate=0, config={"command": "exit 1"})})
    steady.wait_for("the error", lambda: state_of(steady, "proc:broken") == "error")
    assert "proc:broken is in error" in refusal(steady, "node1")
    steady.done("set", "proc:broken", "--state", "disabled")
    steady.wait_for("the error to be over", lambda: state_of(steady, "proc:broken") == "stopped")
    steady.done("remove", "proc:broken")
    steady.wait_for("it to be gone", lambda: state_of(steady, "proc:broken") == "")
    assert {node: steady.daemons(node) for node in steady.nodes} == before


def test_without_a_master_that_lives_it_is_refused(steady: LocalCluster) -> None:
    running = steady.running()
    crms = [steady.daemon(node, "crm") for node in steady.nodes]
    for pid in crms:
        steady.pause(pid)
    try:
        told = refusal(steady, "node1")
    finally:
        for pid in crms:
            steady.resume(pid)
    assert "has not renewed its lock for" in told
    assert steady.running() == running


def test_who_holds_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    assert holder(path) is None
    hold = "import sys,pathlib,time; from hacore.runtime.only_one import OnlyOne; l=OnlyOne(pathlib.Path(sys.argv[1]));"
    with subprocess.Popen(
        [sys.executable, "-c", f"{hold} print(flush=True); time.sleep(99)", str(path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        assert holder(path) == process.pid
        process.kill()
    assert holder(path) is None
