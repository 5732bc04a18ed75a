"""The emulated hardware watchdog does what /dev/watchdog does."""

import errno
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hacore.devices.clock import now_s
from hacore.devices.unix_socket import Caller, connect, serve
from hacore.devices.watchdog import HardwareWatchdog
from hacore.devices.watchdog.emulated import EmulatedWatchdog, EmulatedWatchdogClient

ROOT = Path(__file__).parents[2]


class Room:
    """A watchdog in a loop of its own, as in the site; the loop runs in a thread, for the tests are the clients."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._selector = selectors.DefaultSelector()
        self.watchdog = EmulatedWatchdog(path, self._selector)
        self._over = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over:
            serve(self._selector, now_s() + 0.005)

    def stop(self) -> None:
        self._over = True
        self._thread.join()
        self.watchdog.close()
        self._selector.close()

    def expires_s(self) -> float | None:
        return self.watchdog.expires_s

    def armed_until_s(self) -> float:
        expires_s = self.watchdog.expires_s
        assert expires_s is not None
        return expires_s

    def becomes(self, what: Callable[[EmulatedWatchdog], bool]) -> None:
        until_s = now_s() + 5
        while not what(self.watchdog):
            assert now_s() < until_s, "it never came true"

    def settle(self) -> None:
        """Let the loop take up all that was sent before: it hangs up on nonsense."""
        caller = Caller(self.path, 5)
        caller.send({}, 5)
        with pytest.raises(ConnectionError):
            caller.receive(now_s() + 5)
        caller.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path / "watchdog.sock")
    yield room
    room.stop()


def test_opening_arms_and_feeding_restarts(room: Room) -> None:
    assert room.expires_s() is None
    assert not room.watchdog.expired(float("inf"))
    before = now_s()
    client: HardwareWatchdog = EmulatedWatchdogClient.open(room.path, 60.0)
    opened = room.armed_until_s()
    assert before + 60 <= opened <= now_s() + 60
    client.feed()
    room.becomes(lambda watchdog: watchdog.expires_s is not None and watchdog.expires_s > opened)
    assert room.armed_until_s() <= now_s() + 60, "it counts from the call"
    assert room.watchdog.expired(room.armed_until_s())
    assert not room.watchdog.expired(now_s())


def test_magic_close_disarms(room: Room) -> None:
    client = EmulatedWatchdogClient.open(room.path, 60.0)
    client.close()
    room.becomes(lambda watchdog: watchdog.expires_s is None)
    client.close()
    with pytest.raises(OSError, match="closed"):
        client.feed()
    assert room.expires_s() is None


def test_a_second_opener_is_refused_and_harmless(room: Room) -> None:
    first = EmulatedWatchdogClient.open(room.path, 60.0)
    with pytest.raises(OSError, match=os.strerror(errno.EBUSY)):
        EmulatedWatchdogClient.open(room.path, 90.0)
    assert room.armed_until_s() < now_s() + 61
    first.close()
    room.becomes(lambda watchdog: watchdog.expires_s is None)
    EmulatedWatchdogClient.open(room.path, 90.0).close()


@pytest.mark.parametrize("timeout_s", [0.0, -1.0])
def test_a_timeout_that_is_none(room: Room, timeout_s: float) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        EmulatedWatchdogClient.open(room.path, timeout_s)
    assert room.expires_s() is None


def test_a_killed_client_leaves_it_running_and_nobody_may_open_it(room: Room) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from hacore.devices.watchdog.emulated import EmulatedWatchdogClient\n"
        "client = EmulatedWatchdogClient.open(Path(sys.argv[1]), 60.0); print(flush=True); time.sleep(600)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, str(room.path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    room.settle()
    armed = room.armed_until_s()
    with pytest.raises(OSError, match=os.strerror(errno.EBUSY)):
        EmulatedWatchdogClient.open(room.path, 60.0)
    assert room.armed_until_s() == armed


def raw(room: Room, *messages: dict[str, object]) -> Caller:
    caller = Caller(room.path, 5)
    for message in messages:
        caller.send(message, 5)
    return caller


def test_magic_that_is_followed_by_a_feed_is_none(room: Room) -> None:
    t = now_s()
    caller = raw(room, {"do": "open", "timeout_s": 60, "t": t}, {"do": "magic"}, {"do": "feed", "t": t})
    caller.receive(now_s() + 5)
    caller.close()
    room.settle()
    assert room.armed_until_s() == t + 60


def test_what_was_sent_before_the_expiry_counts_and_after_it_does_not(room: Room) -> None:
    t = now_s()
    caller = raw(room, {"do": "open", "timeout_s": 20, "t": t - 30}, {"do": "feed", "t": t - 11})
    caller.receive(now_s() + 5)
    room.becomes(lambda watchdog: watchdog.expires_s == t + 9)
    caller.send({"do": "feed", "t": t - 25}, 5)
    room.becomes(lambda watchdog: watchdog.expires_s == t - 5)
    caller.send({"do": "feed", "t": now_s()}, 5)
    caller.send({"do": "magic"}, 5)
    caller.close()
    room.settle()
    assert room.armed_until_s() == t - 5, "a reset that is due is due"


def test_a_client_cannot_feed_the_future(room: Room) -> None:
    raw(room, {"do": "open", "timeout_s": 20, "t": now_s() + 1000}).receive(now_s() + 5)
    assert room.armed_until_s() <= now_s() + 20


def test_only_the_opener_feeds(room: Room) -> None:
    EmulatedWatchdogClient.open(room.path, 60.0)
    before = room.armed_until_s()
    with pytest.raises(ConnectionError):
        raw(room, {"do": "feed", "t": now_s()}).receive(now_s() + 5)
    assert room.armed_until_s() == before


def test_garbage_from_the_opener_leaves_it_running(room: Room) -> None:
    with connect(room.path, 5) as link:
        link.sendall(b'{"do": "open", "timeout_s": 60, "t": 0.5}\n')
        link.recv(100)
        link.sendall(b"V\n")
        assert link.recv(100) == b""
    assert room.armed_until_s() == 60.5


def test_a_power_cycle_disarms_and_hangs_up(tmp_path: Path) -> None:
    selector = selectors.DefaultSelector()
    watchdog = EmulatedWatchdog(tmp_path / "watchdog.sock", selector)
    caller = Caller(tmp_path / "watchdog.sock", 5)
    caller.send({"do": "open", "timeout_s": 60, "t": now_s()}, 5)
    while watchdog.expires_s is None:
        serve(selector, now_s() + 1)
    caller.receive(now_s() + 5)
    watchdog.power_cycle()
    assert not watchdog.expired(float("inf"))
    assert caller.is_cut()
    with suppress(OSError):
        caller.send({"do": "feed", "t": now_s()}, 5)
    serve(selector, now_s())
    assert not watchdog.expired(float("inf"))
    watchdog.close()
    assert not (tmp_path / "watchdog.sock").exists()


def test_no_hardware(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        EmulatedWatchdogClient.open(tmp_path / "watchdog.sock", 60.0)


def test_hardware_that_is_gone_cannot_be_fed(tmp_path: Path) -> None:
    room = Room(tmp_path / "watchdog.sock")
    client = EmulatedWatchdogClient.open(room.path, 60.0)
    room.stop()
    with pytest.raises(OSError, match="pipe"):
        client.feed()
    with pytest.raises(OSError, match="pipe"):
        client.close()
