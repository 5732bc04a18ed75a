"""Fence agents: what counts as evidence that a node is off, and that nothing else does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hacore.devices.clock import now_s
from hacore.devices.power import PowerError, power_off, status
from hacore.devices.proc import alive, look
from hacore.devices.process_tree import descendants
from tests.bmc import MISSING, PASSWORD, Switch, controllers

AGENT = """#!/bin/sh
# A fence agent whose parameters say what it does: $off and $status are commands.
while IFS= read -r line; do eval "${line%%=*}=\\${line#*=}"; done
echo "$action $name" >> "$log"
case $action in off) eval "$off" ;; status) eval "$status" ;; *) exit 1 ;; esac
"""
OFF, ON = "echo Status: OFF; exit 2", "echo Status: ON; exit 0"
HANGS = 'sleep 1000 & echo $! > "$log.child"; wait'
PATIENT_S = 30.0
"""Longer than any agent takes that answers at all, also on a busy machine."""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the agent fence_test writes what it was asked for."""
    agent = tmp_path / "fence_test"
    agent.write_text(AGENT)
    agent.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path / "log"


def device(log: Path, off: str = "exit 0", status: str = OFF, name: str = "a") -> dict[str, Any]:
    return {"agent": "fence_test", "parameters": {"off": off, "status": status, "log": str(log), "name": name}}


def asked(log: Path) -> list[str]:
    return log.read_text().split("\n")[:-1]


def lives(pid: int) -> bool:
    process = look(pid)
    return process is not None and alive(process)


def wait_for(what: str, holds: Callable[[], object]) -> None:
    until_s = now_s() + PATIENT_S
    while not holds():
        assert now_s() < until_s, f"waited for {what}, in vain"
        time.sleep(0.01)


def refused(levels: list[list[dict[str, Any]]], within_s: float = PATIENT_S) -> str:
    with pytest.raises(PowerError) as problem:
        power_off(levels, now_s() + within_s)
    return str(problem.value)


def test_off_and_then_asked_again_is_evidence(log: Path) -> None:
    power_off([[device(log)]], now_s() + PATIENT_S)
    assert asked(log) == ["off a", "status a"]


@pytest.mark.parametrize(
    ("off", "status", "because"),
    [
        ("echo no such plug; exit 1", OFF, "fence_test off ended with 1: no such plug"),
        ("exit 0", ON, "switched off, but the status is on"),
        ("exit 0", "exit 1", "fence_test status ended with 1"),
        ("exit 0", "echo Status: OFF", "fence_test status ended with 0: Status: OFF"),
        ("exit 0", "exit 2", "fence_test status ended with 2"),
        ("exit 0", "echo usage: fence_test >&2; exit 2", "fence_test status ended with 2: usage: fence_test"),
        ("exit 0", "echo Status: OFFLINE; exit 2", "fence_test status ended with 2: Status: OFFLINE"),
    ],
)
def test_nothing_else_is_evidence(log: Path, off: str, status: str, because: str) -> None:
    assert refused([[device(log, off, status)]]) == f"level 1: {because}"
    assert asked(log)[0] == "off a"


def test_an_agent_that_hangs_is_killed_with_all_that_it_started(log: Path) -> None:
    begin_s = now_s()
    assert refused([[device(log, HANGS)]], 1.0) == "level 1: fence_test off did not answer in time"
    assert now_s() - begin_s < PATIENT_S / 2
    child = int((log.parent / "log.child").read_text())
    wait_for("its child to end", lambda: not lives(child))


def test_an_agent_ends_in_time_even_if_whoever_started_it_is_killed(log: Path) -> None:
    levels, child = [[device(log, HANGS)]], log.parent / "log.child"
    script = f"from hacore.devices import power, clock; power.power_off({levels!r}, clock.now_s() + 2)"
    with subprocess.Popen([sys.executable, "-c", script]) as starter:
        wait_for("the agent to hang", lambda: child.exists() and child.read_text().endswith("\n"))
        starter.kill()
    wait_for("it to end", lambda: not lives(int(child.read_text())))


def test_nothing_is_begun_when_time_is_up(log: Path) -> None:
    assert refused([[device(log)]], 0.0) == "level 1: no time is left for fence_test off"
    assert not log.exists()


def test_levels_are_tried_in_order_until_one_works(log: Path) -> None:
    first, second = device(log, "exit 1"), device(log, name="b")
    power_off([[first], [second], [device(log, name="c")]], now_s() + PATIENT_S)
    assert asked(log) == ["off a", "off b", "status b"]


def test_a_level_that_hangs_leaves_the_next_one_its_share_of_the_time(log: Path) -> None:
    power_off([[device(log, HANGS)], [device(log, name="b")]], now_s() + 4.0)
    assert asked(log) == ["off a", "off b", "status b"]


def test_devices_of_a_level_are_all_off_before_any_is_asked(log: Path) -> None:
    slow = device(log, 'sleep 0.5; echo "slow done" >> "$log"', name="slow")
    power_off([[slow, device(log)]], now_s() + PATIENT_S)
    told = asked(log)
    assert sorted(told[:2]) == ["off a", "off slow"]
    assert told[2] == "slow done"
    assert sorted(told[3:]) == ["status a", "status slow"]


@pytest.mark.parametrize("first", [True, False])
def test_one_device_of_a_level_that_is_on_is_enough_to_know_nothing(log: Path, first: bool) -> None:
    both = [device(log, status=ON), device(log, name="b")]
    assert "the status is" in refused([both if first else both[::-1]])


def test_a_secret_is_read_from_its_file(log: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    it = device(log, status=f'test "$password" = s3cret && {OFF}')
    it["parameters"]["password"] = {"file": str(secret)}
    power_off([[it]], now_s() + PATIENT_S)
    secret.write_text("two\nlines\n")
    assert refused([[it]]) == f"level 1: {secret}: more than one line"
    secret.unlink()
    assert refused([[it]]) == f"level 1: {secret}: No such file or directory"


def test_an_agent_that_is_not_installed() -> None:
    assert refused([[{"agent": "fence_nothing"}]]) == "level 1: fence_nothing is not installed"


# --------------------------------------------------------------------------------------------------- real agents


@pytest.mark.skipif(shutil.which("fence_dummy", path="/usr/sbin") is None, reason="fence_dummy is not installed")
def test_fence_dummy(tmp_path: Path) -> None:
    plug = tmp_path / "plug"
    dummy = {"agent": "fence_dummy", "parameters": {"status_file": str(plug)}}
    plug.write_text("on")
    assert status(dummy, now_s() + PATIENT_S) == "on"
    power_off([[dummy]], now_s() + PATIENT_S)
    assert plug.read_text() == "off"
    assert status(dummy, now_s() + PATIENT_S) == "off"
    plug.write_text("half on")
    assert refused([[dummy]]).startswith("level 1: fence_dummy off ended with 1: ")


@pytest.fixture
def node() -> Iterator[subprocess.Popen[bytes]]:
    """A node: a PID namespace with processes in it, which ends with its first process."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with subprocess.Popen([*unshare, "sh", "-c", "sleep 1000 & setsid sleep 1000 & wait"]) as process:
        yield process
        process.kill()


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a PID namespace")
def test_fence_ipmilan_switches_a_node_off(node: subprocess.Popen[bytes]) -> None:
    wait_for("the node to boot", lambda: len(descendants(node.pid)) == 3)
    inside = descendants(node.pid)
    switch = Switch(node.kill, lambda: node.poll() is None)
    with controllers(switch):
        ipmi = {"agent": "fence_ipmilan", "parameters": switch.parameters}
        wrong = {**ipmi, "parameters": {**switch.parameters, "password": f"not {PASSWORD}"}}
        assert status(ipmi, now_s() + PATIENT_S) == "on"
        assert "fence_ipmilan off ended with 1" in refused([[wrong]])
        assert node.poll() is None
        power_off([[wrong], [ipmi]], now_s() + PATIENT_S)
        assert [pid for pid in inside if lives(pid)] == []
        assert switch.told == ["off"]
        assert status(ipmi, now_s() + PATIENT_S) == "off"
    assert "fence_ipmilan off" in refused([[{**ipmi, "parameters": {**switch.parameters, "login_timeout": "1"}}]], 4.0)
