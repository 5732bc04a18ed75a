"""/dev/watchdogN, by the real ioctls on a file that FUSE serves: what is opened does what hacore relies on."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from hacore.devices.clock import now_s
from hacore.devices.watchdog import HardwareWatchdog
from hacore.devices.watchdog.linux import LinuxWatchdog
from hacore.devices.watchdog.sysfs import best, describe, devices, holders, modules
from tests.devices.watchdog_machine import ROOT, WatchdogMachine, eventually, needs_fuse, watchdog_machine


class Make(Protocol):
    def __call__(self, **settings: Any) -> WatchdogMachine: ...


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(watchdog_machine(tmp_path / "machine", **settings))


def refused(machine: WatchdogMachine, timeout_s: float = 5.0) -> str:
    """Why it cannot be opened; nothing is armed by that."""
    before = machine.state()
    with pytest.raises(OSError, match=r".") as caught:
        LinuxWatchdog.open(machine.device, timeout_s)
    assert machine.state() == before
    assert caught.value.filename == str(machine.device)
    return caught.value.strerror or ""


@needs_fuse
def test_opening_arms_feeding_restarts_and_closing_disarms(make: Make) -> None:
    machine = make(identity="iTCO_wdt", boot_status=0x20)
    assert machine.state() == "inactive"
    watchdog = LinuxWatchdog.open(machine.device, 3.0)
    hardware: HardwareWatchdog = watchdog
    assert (watchdog.identity, watchdog.timeout_s) == ("iTCO_wdt", 3)
    assert str(machine.device) in hardware.about
    assert watchdog.boot_status() == ["the watchdog reset the machine"]
    assert watchdog.pretimeout_s() is None, "it has none"
    assert machine.state() == "active"
    time.sleep(1.1)
    assert watchdog.time_left_s() == 1
    hardware.feed()
    assert watchdog.time_left_s() == 2
    hardware.close()
    hardware.close()
    assert machine.state() == "inactive"
    with pytest.raises(OSError, match="closed"):
        hardware.feed()
    LinuxWatchdog.open(machine.device, 4.0).close()
    assert machine.state() == "inactive"


@needs_fuse
def test_it_expires_if_it_is_not_fed_and_not_before(make: Make) -> None:
    machine = make()
    watchdog = LinuxWatchdog.open(machine.device, 1.0)
    for _ in range(4):
        time.sleep(0.4)
        watchdog.feed()
    fed_s = now_s()
    assert machine.expired_s() is None
    eventually(machine.expired_s)
    assert 0.9 < (machine.expired_s() or 0) - fed_s < 1.5
    os.close(watchdog._fd)


@needs_fuse
def test_a_second_opener_is_refused(make: Make) -> None:
    machine = make()
    first = LinuxWatchdog.open(machine.device, 5.0)
    assert holders(machine.device) == [os.getpid()]
    assert "another process of hacore" in refused(machine)
    first.close()
    assert holders(machine.device) == []
    foreign = os.open(machine.device, os.O_WRONLY)
    assert "armed" in refused(machine), "whoever it is, and by sysfs alone"
    os.write(foreign, b"V")
    os.close(foreign)
    LinuxWatchdog.open(machine.device, 5.0).close()


KILLED = (
    "import sys, time; from pathlib import Path\n"
    "from hacore.devices.watchdog.linux import LinuxWatchdog\n"
    "watchdog = LinuxWatchdog.open(Path(sys.argv[1]), 60.0); print(flush=True); time.sleep(600)"
)


@needs_fuse
@pytest.mark.parametrize("sysfs", [True, False])
def test_a_killed_opener_leaves_it_armed_and_nobody_may_open_it(make: Make, sysfs: bool) -> None:
    machine = make(sysfs=sysfs)
    command = [sys.executable, "-c", KILLED, str(machine.device)]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    with pytest.raises(OSError, match="an earlier process armed it") as caught:
        LinuxWatchdog.open(machine.device, 5.0)
    assert caught.value.errno == errno.EBUSY
    marker = machine.root / "run" / "hacore" / "watchdog0"
    marker.write_text("another boot's id")
    if sysfs:
        assert "an earlier process armed it" in refused(machine), "the kernel knows better"
    else:
        LinuxWatchdog.open(machine.device, 5.0).close()
        assert marker.read_text() == ""


@needs_fuse
def test_a_claim_of_one_who_died_before_it_opened_is_void(make: Make) -> None:
    machine = make()
    marker = machine.root / "run" / "hacore" / "watchdog0"
    marker.parent.mkdir(parents=True)
    marker.write_text(Path("/proc/sys/kernel/random/boot_id").read_text())
    LinuxWatchdog.open(machine.device, 5.0).close()


@needs_fuse
@pytest.mark.parametrize(
    ("settings", "refusals"),
    [
        (
            {"step_s": 4},
            {
                1.5: "whole seconds, not 1.5 s",
                -1.0: "takes from 1 to 600 s, not -1 s",
                601.0: "takes from 1 to 600 s, not 601 s",
                5.0: "makes 8 s of 5 s",
            },
        ),
        ({"least_s": 10, "sysfs": False}, {5.0: "does not take 5 s"}),
    ],
)
def test_a_timeout_other_than_assumed_is_refused(
    make: Make, settings: dict[str, Any], refusals: dict[float, str]
) -> None:
    machine = make(**settings)
    for timeout_s, says in refusals.items():
        with pytest.raises(OSError, match=says) as caught:
            LinuxWatchdog.open(machine.device, timeout_s)
        assert "hacore settings set timing.hardware_s=" in str(caught.value)
    assert machine.expired_s() is None
    LinuxWatchdog.open(machine.device, 12.0).close()  # so it was left disarmed


@needs_fuse
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"options": 0x8080}, "does not offer magic close"),
        ({"options": 0x0100}, "does not offer to set its timeout and to be fed"),
        ({"options": 0x8580}, "raises an alarm only"),
        ({"nowayout": True}, "load its module with nowayout=0"),
    ],
)
def test_one_that_cannot_be_relied_on_is_refused(make: Make, settings: dict[str, Any], says: str) -> None:
    assert says in refused(make(**settings))


@needs_fuse
def test_a_close_that_does_not_disarm_is_no_close(make: Make) -> None:
    machine = make()
    watchdog = LinuxWatchdog.open(machine.device, 5.0)
    (machine.root / "fuse/nowayout").write_text("1")
    with pytest.raises(OSError, match="closing did not disarm it"):
        watchdog.close()
    assert machine.state() == "active"


def test_what_is_no_watchdog_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    device = tmp_path / "dev" / "watchdog0"
    device.write_text("precious")
    with pytest.raises(OSError, match="it is no watchdog"):
        LinuxWatchdog.open(device, 5.0)
    assert device.read_text() == "precious"
    device.unlink()
    with pytest.raises(FileNotFoundError):
        LinuxWatchdog.open(device, 5.0)


# ------------------------------------------------------------------------------------------------------ what is there


def machine_with(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def sysfs(number: int, identity: str) -> dict[str, str]:
    about = f"sys__class__watchdog__watchdog{number}"
    return {f"dev__watchdog{number}": "", f"{about}__identity": f"{identity}\n", f"{about}__state": "inactive\n"}


def test_hardware_is_chosen_before_softdog(tmp_path: Path) -> None:
    both = machine_with(tmp_path, **sysfs(0, "Software Watchdog"), **sysfs(1, "iTCO_wdt"), **sysfs(10, "iTCO_wdt"))
    found = devices(both)
    assert [it.path.name for it in found] == ["watchdog0", "watchdog1", "watchdog10"]
    chosen = best(found)
    assert chosen
    assert (chosen.path.name, chosen.soft, chosen.active) == ("watchdog1", False, False)


def test_softdog_is_the_fallback_and_known_as_such(tmp_path: Path) -> None:
    chosen = best(devices(machine_with(tmp_path, **sysfs(0, "Software Watchdog"))))
    assert chosen
    assert (chosen.soft, chosen.driver) == (True, "softdog")
    assert best(devices(tmp_path / "none")) is None


def test_a_driver_without_sysfs_has_its_nowayout_in_its_module(tmp_path: Path) -> None:
    machine = machine_with(tmp_path, dev__watchdog="", sys__module__ipmi_watchdog__parameters__nowayout="Y\n")
    assert devices(machine) == [describe(machine / "dev" / "watchdog")]
    with pytest.raises(OSError, match="nowayout=0"):
        LinuxWatchdog.open(machine / "dev" / "watchdog", 5.0)


def test_which_module_would_drive_this_machine(tmp_path: Path) -> None:
    modules_of = f"lib__modules__{os.uname().release}"
    machine = machine_with(
        tmp_path,
        **{
            f"{modules_of}__modules.dep": "kernel/drivers/watchdog/i6300esb.ko: kernel/drivers/watchdog/watchdog.ko\n"
            "kernel/drivers/watchdog/iTCO_wdt.ko.xz:\nkernel/drivers/net/e1000.ko:\n",
            f"{modules_of}__modules.alias": "# Aliases\nalias pci:v00008086d000025ABsv*sd*bc*sc*i* i6300esb\n"
            "alias platform:iTCO_wdt iTCO_wdt\nalias pci:v00008086d0000100Esv*sd*bc*sc*i* e1000\n",
            "sys__bus__pci__devices__0__modalias": "pci:v00008086d000025ABsv00001AF4sd00001100bc08sc80i00\n",
            "sys__bus__pci__devices__1__modalias": "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00\n",
        },
    )
    assert modules(machine) == ["i6300esb", "softdog"]
    (machine / "sys" / "class" / "ipmi").mkdir(parents=True)
    assert modules(machine) == ["i6300esb", "ipmi_watchdog", "softdog"]
    assert modules(tmp_path / "bare") == ["softdog"]
