"""On a real kernel, with a real driver: what resets the machine, and what does not. ``make test-vm``.

Times are the host's, where an emulated machine has a processor to itself only now and then: windows, not exact times.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hacore.protocol.timing import Timing, guarded_round_s
from tests.vm.guest import MODULES, TIMING
from tests.vm.image import initramfs, kernel
from tests.vm.machine import BOOT_S, Machine, machine

NEEDED = ("qemu-system-x86_64", "dpkg", "apt-get", "depmod", "strip")
T = Timing(**TIMING)
SLACK_S = 6.0

pytestmark = [
    pytest.mark.vm,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason=f"needs {', '.join(NEEDED)}"),
]

Boot = Callable[[str, str], Machine]


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("vm") / "initramfs"
    initramfs(place)
    return place


@pytest.fixture
def boot(image: Path, tmp_path: Path) -> Iterator[Boot]:
    """Boot a machine up to where its service runs and its watchdog has been fed for longer than its timeout."""
    with ExitStack() as stack:

        def boot(driver: str, scenario: str) -> Machine:
            it = stack.enter_context(machine(tmp_path, kernel()[0], image, driver, scenario))
            booted = it.until("booted", BOOT_S)
            print(f"{driver} {scenario}: up after {booted.rest} s of its own")
            return it

        yield boot


def reset_after_s(it: Machine, word: str, within_s: float) -> float:
    """How long after the deed the machine was reset."""
    deed = it.until(word, BOOT_S)
    end = it.until("SHUTDOWN", within_s)
    assert json.loads(end.rest)["reason"] == "guest-reset", it.story()
    print(f"{word}: reset after {end.at_s - deed.at_s:.1f} s")
    return end.at_s - deed.at_s


@pytest.mark.parametrize("driver", MODULES)
@pytest.mark.parametrize(("scenario", "word"), [("kill-multiplexer", "killed"), ("stop-multiplexer", "stopped")])
def test_a_multiplexer_that_does_not_feed(boot: Boot, driver: str, scenario: str, word: str) -> None:
    after_s = reset_after_s(boot(driver, scenario), word, T.hardware_s + SLACK_S)
    assert T.hardware_s - T.feed_s - 1 < after_s


@pytest.mark.parametrize("driver", MODULES)
def test_a_deadline_that_passes(boot: Boot, driver: str) -> None:
    after_s = reset_after_s(boot(driver, "stop-lrm"), "stopped", T.watchdog_s + T.reset_s + SLACK_S)
    assert T.watchdog_s - guarded_round_s(T) + T.hardware_s - T.feed_s - 1 < after_s


@pytest.mark.parametrize("driver", MODULES)
def test_an_end_in_order_resets_nothing(boot: Boot, driver: str) -> None:
    it = boot(driver, "end-in-order")
    bare, status = it.until("bare", BOOT_S).rest, it.until("status", BOOT_S).rest
    assert f"modprobe {'i6300esb or softdog' if driver == 'i6300esb' else 'softdog'}" in bare, it.story()
    assert "hacore uses /dev/watchdog0" in status, it.story()
    assert ("WARNING: softdog" in status) == (driver == "softdog")
    assert it.until("serving", BOOT_S).rest == "active"
    assert it.until("ended", BOOT_S).rest == "0"
    assert it.until("after", BOOT_S).rest == "inactive"
    tried = json.loads(it.until("test", BOOT_S).rest.replace(" | ", ""))
    assert (tried["timeout_s"], tried["disarmed"]) == (T.hardware_s, True)
    print(tried)
    assert json.loads(it.until("survived", BOOT_S).rest) == {"state": "inactive"}
    assert json.loads(it.until("SHUTDOWN", BOOT_S).rest)["reason"] == "guest-shutdown"


def test_hardware_survives_a_panic_of_the_kernel(boot: Boot) -> None:
    reset_after_s(boot("i6300esb", "panic"), "panicking", T.hardware_s + SLACK_S)


def test_softdog_does_not(boot: Boot) -> None:
    it = boot("softdog", "panic")
    it.until("panicking", BOOT_S)
    with pytest.raises(AssertionError, match="no 'SHUTDOWN'"):
        it.until("SHUTDOWN", T.hardware_s + 2 * SLACK_S)
