"""hacore watchdog."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hacore.devices.clock import now_s
from hacore.devices.watchdog import sysfs
from tests.cli.clusters import Cluster
from tests.devices.watchdog_machine import ROOT, WatchdogMachine, eventually, needs_fuse, watchdog_machine


@pytest.fixture
def bare(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a machine without a watchdog; there, the cluster's nodes use what there is."""
    root = cluster.directory / "machine"
    root.mkdir()
    monkeypatch.setattr(sysfs, "MACHINE", root)
    configure(cluster, "auto")
    return root


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def configure(cluster: Cluster, device: str) -> None:
    (cluster.directory / "hacore.toml").write_text(f'[watchdog]\ndevice = "{device}"\n')
    cluster.put("settings", {"timing": {"hardware_s": 4}})


def attach(stack: ExitStack, root: Path, **settings: Any) -> WatchdogMachine:
    return stack.enter_context(watchdog_machine(root, **settings))


def trouble(cluster: Cluster) -> str:
    """What is wrong, which is said in text as in JSON, and in the exit code."""
    result = cluster.run("watchdog", "status", "--json")
    assert result.exit_code == 1
    told: str = json.loads(result.stdout)["trouble"]
    assert result.stderr == f"hacore: {told}\n"
    return told


def test_without_a_watchdog_the_module_is_named(cluster: Cluster, bare: Path) -> None:
    (bare / "sys/class/ipmi").mkdir(parents=True)
    assert trouble(cluster) == "there is no watchdog: modprobe ipmi_watchdog or softdog"
    configure(cluster, f"{bare}/dev/watchdog0")
    assert "there is no such device: modprobe ipmi_watchdog or softdog" in trouble(cluster)
    assert "No such file" in cluster.refused("watchdog", "test")


@pytest.mark.usefixtures("bare")
def test_a_local_cluster_has_emulated_ones(cluster: Cluster) -> None:
    (cluster.directory / "hacore.toml").unlink()
    assert "emulated" in cluster.ok("watchdog", "status")
    assert "name a device" in cluster.refused("watchdog", "test")


@needs_fuse
def test_hardware_is_used_before_softdog(cluster: Cluster, bare: Path, stack: ExitStack) -> None:
    attach(stack, bare, identity="iTCO_wdt", least_s=2)
    text = cluster.ok("watchdog", "status")
    assert f"hacore uses {bare}/dev/watchdog0: the first that is not softdog" in text
    assert "iTCO_wdt" in text
    assert "2 s to 600 s" in text
    assert "WARNING" not in text
    told = cluster.json("watchdog", "status")
    assert (told["uses"], told["trouble"], told["warning"]) == (f"{bare}/dev/watchdog0", "", None)


@needs_fuse
def test_softdog_is_the_fallback_and_that_is_said_loudly(cluster: Cluster, bare: Path, stack: ExitStack) -> None:
    attach(stack, bare, identity="Software Watchdog")
    text = cluster.ok("watchdog", "status")
    assert "softdog, because there is no other" in text
    assert "WARNING: softdog is a timer of the kernel, and resets nothing if the kernel itself panics or hangs" in text


@needs_fuse
def test_what_cannot_be_used_is_said(cluster: Cluster, bare: Path, stack: ExitStack) -> None:
    machine = attach(stack, bare, least_s=3)
    cluster.put("settings", {"timing": {"hardware_s": 2}})
    assert "takes from 3 to 600 s, not 2 s: set hardware_s" in trouble(cluster)
    cluster.put("settings", {"timing": {"hardware_s": 4}})
    holder = os.open(machine.device, os.O_WRONLY)
    assert f"process {os.getpid()} (" in trouble(cluster)
    assert f"{os.getpid()} (" in cluster.run("watchdog", "status").stdout
    os.close(holder)
    assert "whoever armed it has died" in trouble(cluster)
    os.write(holder := os.open(machine.device, os.O_WRONLY), b"V")
    os.close(holder)
    cluster.ok("watchdog", "status")
    (bare / "fuse/nowayout").write_text("1")
    assert "nowayout=0" in trouble(cluster)


@needs_fuse
def test_a_test_feeds_and_closes(cluster: Cluster, bare: Path, stack: ExitStack) -> None:
    machine = attach(stack, bare, identity="iTCO_wdt", boot_status=0x20)
    seen = cluster.json("watchdog", "test")
    assert (seen["identity"], seen["asked_s"], seen["timeout_s"], seen["disarmed"]) == ("iTCO_wdt", 4, 4, True)
    assert seen["left_s"] == [[2, 3]] * 3
    assert seen["last_boot"] == ["the watchdog reset the machine"]
    assert machine.expired_s() is None
    assert "takes from 1 to 600 s, not 601 s" in cluster.refused("watchdog", "test", "--timeout", "601")


@needs_fuse
def test_a_reset_is_asked_for_and_can_be_called_off(cluster: Cluster, bare: Path, stack: ExitStack) -> None:
    machine = attach(stack, bare)
    assert cluster.run("watchdog", "test", "--reset").exit_code == 1, "nobody said yes"
    assert machine.state() == "inactive"
    command = [sys.executable, "-m", "hacore", "watchdog", "test", str(machine.device), "--reset", "--yes"]

    def start(timeout_s: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*command, "--timeout", str(timeout_s)], cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL
        )
        machine.kills(process.pid)
        eventually(lambda: machine.state() == "active")
        return process

    process = start(60)
    process.terminate()
    assert process.wait(5) == 1
    assert machine.state() == "inactive"
    process, armed_s = start(1), now_s()
    assert process.wait(10) == -signal.SIGKILL
    assert 0.5 < (machine.expired_s() or 0) - armed_s < 3
