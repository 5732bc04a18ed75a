"""Services of type ``unit``, with a real systemd, and with a systemctl that answers as it should not."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hacore.devices import proc
from hacore.devices.proc import read
from hacore.devices.resources import ResourceError, resource_for, run, systemd
from tests.devices.systemd_machine import UNITS, SystemdMachine, why_not

real = pytest.mark.skipif(why_not() != "", reason=f"a machine with systemd {why_not()}")

LEAVE_BEHIND = "Type=forking\nKillMode=process\nExecStart=/bin/sh -c 'sleep 1000 & sleep 1000 &'"


@pytest.fixture(scope="module")
def machine_one() -> Iterator[SystemdMachine]:
    machine = SystemdMachine()
    try:
        machine.wait()
        yield machine
    finally:
        machine.close()


@pytest.fixture
def machine(machine_one: SystemdMachine) -> Iterator[SystemdMachine]:
    """Whatever a test starts is called ``unit:it``, and is down before the next."""
    yield machine_one
    machine_one.do("stop", "unit:it", {}, 0)
    machine_one.run(
        "sh",
        "-c",
        f"rm -rf {UNITS}/it* {UNITS}/multi-user.target.wants; systemctl daemon-reload; systemctl reset-failed",
    )


def runs(machine: SystemdMachine, sid: str = "unit:it") -> bool:
    answer = machine.do("probe", sid, {})
    assert isinstance(answer, bool)
    return answer


# ------------------------------------------------------------------------------------------------ with a real systemd


@real
def test_start_probe_stop(machine: SystemdMachine) -> None:
    machine.unit("it.service", "ExecStart=/bin/sleep 1000")
    assert not runs(machine)
    machine.do("start", "unit:it", {})
    assert runs(machine)
    machine.do("start", "unit:it", {})
    machine.do("stop", "unit:it", {}, None)
    assert not runs(machine)
    machine.do("stop", "unit:it", {}, None)


@real
def test_a_unit_may_be_named_and_an_instance_or_an_alias(machine: SystemdMachine) -> None:
    machine.unit("it@.service", LEAVE_BEHIND)
    machine.run("ln", "-s", f"{UNITS}/it@.service", f"{UNITS}/it-alias@.service")
    for sid, config in (("unit:it@1", {}), ("unit:any", {"unit": "it@2.service"}), ("unit:it-alias@3.service", {})):
        machine.do("start", sid, config)
        machine.run("systemctl", "stop", str(config.get("unit", sid[5:])))
        assert machine.do("probe", sid, config), "what is left behind is found, in the slice of instances"
        machine.do("stop", sid, config, 5)
        assert not machine.do("probe", sid, config)


@real
def test_what_dies_is_seen_and_why_a_start_fails_is_said(machine: SystemdMachine) -> None:
    machine.unit("it.service", "ExecStart=/bin/sleep 1000")
    machine.do("start", "unit:it", {})
    machine.run("systemctl", "kill", "--signal", "KILL", "it.service")
    while runs(machine):  # a kill takes a moment; the test's timeout is the bound
        time.sleep(0.02)
    machine.unit("it.service", "ExecStart=/bin/false")
    for _ in range(6):  # systemd's own limit is five starts in ten seconds
        with pytest.raises(ResourceError, match=r"^unit:it: it.service does not stay up \(exit-code\): see journalctl"):
            machine.do("start", "unit:it", {})
        assert not runs(machine)


@real
@pytest.mark.parametrize(
    ("service", "begin"),
    [
        ("Type=oneshot\nExecStart=/bin/sleep 1000", "start"),  # activating
        ("ExecStart=/bin/false\nRestart=always\nRestartSec=1000", "start"),  # activating, while nothing runs
        ("ExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 1000", "start stop"),  # deactivating
    ],
)
def test_what_comes_up_or_goes_down_runs(machine: SystemdMachine, service: str, begin: str) -> None:
    machine.unit("it.service", service)
    for verb in begin.split():
        machine.run("systemctl", verb, "--no-block", "it.service")
        time.sleep(0.1)
    assert runs(machine)
    machine.do("stop", "unit:it", {}, 0.2)
    assert not runs(machine)


@real
def test_what_waits_for_its_start_runs(machine: SystemdMachine) -> None:
    machine.unit("it.service", "ExecStart=/bin/sleep 1000", "[Unit]\nWants=it-before.service\nAfter=it-before.service")
    machine.unit("it-before.service", "Type=oneshot\nExecStart=/bin/sleep 1000")
    machine.run("systemctl", "start", "--no-block", "it.service")
    shown = machine.run("systemctl", "show", "--property", "ActiveState", "it.service").stdout
    assert shown == "ActiveState=inactive\n", "the point of this test"
    assert runs(machine)
    machine.do("stop", "unit:it", {}, 0)
    assert not runs(machine)
    machine.do("stop", "unit:it-before", {}, 0)


@real
@pytest.mark.parametrize("name", ["it.service", "memory.service"])
@pytest.mark.parametrize("within", ["", "Slice=it-deep-er.slice\n", "Slice=-.slice\n"])
def test_what_systemd_leaves_behind_runs_and_is_killed(machine: SystemdMachine, name: str, within: str) -> None:
    sid = f"unit:{name.removesuffix('.service')}"
    machine.unit(name, within + LEAVE_BEHIND)
    machine.do("start", sid, {})
    machine.run("systemctl", "stop", name)
    shown = machine.run("systemctl", "show", "--property", "ActiveState,ControlGroup", name).stdout.split()
    assert "ActiveState=inactive" in shown
    assert runs(machine, sid)
    machine.do("stop", sid, {}, 1000)
    assert not runs(machine, sid)
    assert machine.run("pgrep", "-x", "sleep", check=False).stdout == ""


@real
@pytest.mark.parametrize(
    "service",
    [
        "ExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'",
        "ExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 1000",
        "ExecStart=/bin/sleep 1000\nExecStopPost=/bin/sleep 1000",
        "ExecStart=/bin/sleep 1000\nRestart=always\nKillSignal=SIGCONT",
    ],
)
def test_a_unit_that_does_not_stop_is_killed(machine: SystemdMachine, service: str) -> None:
    machine.unit("it.service", service)
    machine.do("start", "unit:it", {})
    began_s = time.monotonic()
    machine.do("stop", "unit:it", {"stop_timeout_s": 0.5}, None)
    assert 0.5 <= time.monotonic() - began_s < systemd.KILL_WAIT_S
    assert not runs(machine)


@real
def test_a_unit_that_systemd_starts_by_itself_is_refused(machine: SystemdMachine) -> None:
    def refusal(sid: str = "unit:it") -> str:
        with pytest.raises(ResourceError) as told:
            machine.do("start", sid, {})
        assert not runs(machine, sid)
        return str(told.value)

    assert "it.service cannot be started: it is not-found" in refusal()
    machine.unit("it.service", "ExecStart=/bin/sleep 1000")
    machine.run("mkdir", f"{UNITS}/multi-user.target.wants")
    machine.run("ln", "-s", "../it.service", f"{UNITS}/multi-user.target.wants/")
    machine.run("systemctl", "daemon-reload")
    assert "is not hacore's alone: systemd starts it by itself, with" in refusal()
    machine.run("rm", f"{UNITS}/multi-user.target.wants/it.service")
    machine.file(f"{UNITS}/it.timer", "[Timer]\nOnActiveSec=1000\n")
    machine.run("systemctl", "start", "it.timer")
    assert "systemd starts it by itself, with it.timer; end that with systemctl disable or mask" in refusal()
    machine.run("systemctl", "stop", "it.timer")
    machine.run("sh", "-c", f"rm {UNITS}/it.*; ln -s /dev/null {UNITS}/it.service; systemctl daemon-reload")
    assert "it.service cannot be started: it is masked" in refusal()


@real
def test_a_unit_whose_file_is_gone_still_runs(machine: SystemdMachine) -> None:
    machine.unit("it.service", "ExecStart=/bin/sleep 1000")
    machine.do("start", "unit:it", {})
    machine.run("sh", "-c", f"rm {UNITS}/it.service; systemctl daemon-reload")
    assert runs(machine)
    machine.do("stop", "unit:it", {}, 5)
    assert not runs(machine)


# --------------------------------------------------------------------------------- with a systemctl that is none


DOWN = "Id=it.service\\nActiveState=inactive\\nJob=\\nSlice=system.slice\\n"


def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("exit 0", "systemctl does not say whether it.service is active"),
        ("echo Id=it.service", "systemctl does not say whether it.service is active"),
        (f"printf '{DOWN}'; echo sorry >&2; exit 1", r"systemctl show: sorry \(exit code 1\)"),
        (f"printf '{DOWN}'; kill -9 $$", "systemctl show: Id=it.service|exit code -9"),
        (f"printf '{DOWN}'; exec sleep 1000", "has not ended within 0.5 s"),
        (f"printf '{DOWN}'; sleep 1000 & trap '' TERM; wait; sleep 1000", "has not ended within 0.5 s"),
        ("exec 2>&-; exec >&-; exec sleep 1000", "has not ended within 0.5 s"),
    ],
)
def test_what_is_unclear_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, says: str) -> None:
    systemctl(tmp_path, monkeypatch, script)
    monkeypatch.setattr(systemd, "CALL_S", 0.5)
    monkeypatch.setattr(run, "GRACE_S", 0.1)
    resource = resource_for("unit:it", tmp_path, "node1")
    for unclear in (
        lambda: resource.probe("unit:it", {}),
        lambda: resource.start("unit:it", {}),
        lambda: resource.stop("unit:it", {}, 0),
    ):
        with pytest.raises(ResourceError, match=f"^unit:it: .*({says})"):
            unclear()


@pytest.mark.parametrize("state", ["refreshing", "maintenance", "somewhat-active"])
def test_a_state_that_nobody_knows_yet_is_not_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    systemctl(tmp_path, monkeypatch, f"printf '{DOWN.replace('inactive', state)}'")
    assert resource_for("unit:it", tmp_path, "node1").probe("unit:it", {})


def test_if_control_groups_cannot_be_seen_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where /proc is mounted to hide the processes of others."""
    systemctl(tmp_path, monkeypatch, f"printf '{DOWN}'")
    resource = resource_for("unit:it", tmp_path, "node1")
    assert not resource.probe("unit:it", {})
    monkeypatch.setattr(proc, "read", lambda path: None if path == "/proc/1/cgroup" else read(path))
    with pytest.raises(ResourceError, match=r"^unit:it: the control groups of processes cannot be seen"):
        resource.probe("unit:it", {})


def test_without_systemctl_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ResourceError, match=r"^unit:it: cannot run systemctl: No such file"):
        resource_for("unit:it", tmp_path, "node1").probe("unit:it", {})
