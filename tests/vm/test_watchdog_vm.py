"""On a real kernel, with a real driver: what resets the machine, and what does not. ``make test-vm``.

Times are the machine's own (see tests/vm/machine.py), told by it every 0.2 s.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hacore.protocol.timing import Timing, guarded_round_s
from tests.vm.guest import MODULES, TIMING
from tests.vm.image import initramfs, kernel
from tests.vm.machine import Machine, machine, new_disk

NEEDED = ("qemu-system-x86_64", "dpkg", "apt-get", "depmod", "strip", "qemu-img")
T = Timing(**TIMING)
SLACK_S = 1.0

pytestmark = [
    pytest.mark.vm,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason=f"needs {', '.join(NEEDED)}"),
]


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("vm") / "initramfs"
    initramfs(place)
    return place


class Saved:
    """Machines that have been brought to where their service runs, and their watchdog has been fed for a while."""

    def __init__(self, image: Path, place: Path) -> None:
        self._image, self._place = image, place
        self.told: dict[str, Machine] = {}

    def up(self, driver: str) -> Machine:
        """What was told on the way there."""
        if driver not in self.told:
            disk = self._place / driver
            new_disk(disk)
            with machine(kernel()[0], self._image, disk, driver) as it:
                print(f"\n{driver}: booted after {it.until('booted').at_s} s")
                assert it.until("ready").rest == "active", it.story()
                it.save()
            self.told[driver] = it
        return self.told[driver]

    @contextmanager
    def told_to(self, driver: str, deed: str) -> Iterator[Machine]:
        """The machine goes on from there, and does the deed."""
        self.up(driver)
        with machine(kernel()[0], self._image, self._place / driver, driver, saved=True) as it:
            it.type(deed)
            yield it


@pytest.fixture(scope="session")
def machines(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    return Saved(image, tmp_path_factory.mktemp("machines"))


def reset_after_s(it: Machine, word: str) -> float:
    """How long after the deed the machine was reset."""
    deed, end = it.until(word), it.until("SHUTDOWN")
    assert json.loads(end.rest)["reason"] == "guest-reset", it.story()
    print(f"{word}: reset after {end.at_s - deed.at_s:.1f} s")
    return end.at_s - deed.at_s


@pytest.mark.parametrize("driver", MODULES)
@pytest.mark.parametrize(("deed", "word"), [("kill-multiplexer", "killed"), ("stop-multiplexer", "stopped")])
def test_a_multiplexer_that_does_not_feed(machines: Saved, driver: str, deed: str, word: str) -> None:
    with machines.told_to(driver, deed) as it:
        after_s = reset_after_s(it, word)
        assert T.hardware_s - T.feed_s - SLACK_S < after_s < T.hardware_s + SLACK_S
        assert it.seen("WATCHDOG") == (driver == "i6300esb")


@pytest.mark.parametrize("driver", MODULES)
def test_a_deadline_that_passes(machines: Saved, driver: str) -> None:
    with machines.told_to(driver, "stop-lrm") as it:
        after_s = reset_after_s(it, "stopped")
        least_s = T.watchdog_s - guarded_round_s(T) + T.hardware_s - T.feed_s
        assert least_s - SLACK_S < after_s < T.watchdog_s + T.reset_s + SLACK_S


@pytest.mark.parametrize("driver", MODULES)
def test_an_end_in_order_resets_nothing(machines: Saved, driver: str) -> None:
    with machines.told_to(driver, "end-in-order") as it:
        assert it.until("ended").rest == "0"
        assert it.until("after").rest == "inactive"
        tried = json.loads(it.until("test").rest.replace(" | ", ""))
        print(tried)
        assert (tried["timeout_s"], tried["disarmed"]) == (T.hardware_s, True)
        assert json.loads(it.until("survived").rest) == {"state": "inactive"}
        assert json.loads(it.until("SHUTDOWN").rest)["reason"] == "guest-shutdown"


@pytest.mark.parametrize("driver", MODULES)
def test_what_is_said_of_the_watchdog(machines: Saved, driver: str) -> None:
    story = {moment.word: moment.rest for moment in machines.up(driver).told}
    assert "modprobe i6300esb or softdog" in story["bare"]
    assert "hacore uses /dev/watchdog0" in story["status"]
    assert ("WARNING: softdog" in story["status"]) == (driver == "softdog")


def test_hardware_ends_a_kernel_that_panics(machines: Saved) -> None:
    with machines.told_to("i6300esb", "panic") as it:
        it.until("panicking")
        assert json.loads(it.until("SHUTDOWN").rest)["reason"] == "guest-reset"
        assert it.seen("WATCHDOG")


def test_softdog_does_not(machines: Saved) -> None:
    """What ends the machine is a second watchdog, which has twice as long."""
    with machines.told_to("softdog", "panic") as it:
        it.until("panicking")
        it.until("SHUTDOWN")
        assert it.seen("WATCHDOG"), it.story()
