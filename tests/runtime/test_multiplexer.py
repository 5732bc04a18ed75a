"""The multiplexer's process on a Linux watchdog: what ends the machine, what does not, and what it never waits for."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from hacore.devices.clock import now_s
from hacore.devices.watchdog.client import WatchdogClient
from hacore.protocol.requests import Accepted, Refused
from hacore.runtime import aside
from hacore.runtime.aside import Aside
from hacore.runtime.cluster import create
from hacore.runtime.sd_notify import Systemd
from tests.devices.watchdog_machine import ROOT, WatchdogMachine, eventually, needs_fuse, watchdog_machine

HARDWARE_S = 2.0
LATE_S = 1.0
"""So late may a busy machine be."""


class Node:
    """A multiplexer on a machine's watchdog, and a client of it."""

    def __init__(self, directory: Path, machine: WatchdogMachine, hardware_s: float, **environment: str) -> None:
        create(directory, ["alpha"], {"hardware_s": hardware_s})
        (directory / "hacore.toml").write_text(f'[watchdog]\ndevice = "{machine.device}"\n')
        self.machine, self.home, self.said = machine, directory / "nodes" / "alpha", directory / "said"
        command = [sys.executable, "-m", "hacore", "-C", str(directory), "daemon", "watchdog", "alpha"]
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | environment, stderr=said, start_new_session=True
            )
        machine.kills(self.process.pid)
        self.client = WatchdogClient(self.home / "mux.sock", 5.0)
        eventually((self.home / "mux.sock").exists)

    def open(self, ahead_s: float = 100.0) -> float:
        """Become a client, and return the deadline."""
        deadline_s = now_s() + ahead_s
        answer = self.client.open(deadline_s)
        assert answer == Accepted(), f"{answer} {self.said.read_text()}"
        assert self.machine.state() == "active"
        return deadline_s

    def expired_after_s(self, since_s: float) -> float:
        """How long after this the watchdog expired, which kills the multiplexer if it lives yet."""
        eventually(self.machine.expired_s)
        assert self.process.wait(5) == -signal.SIGKILL
        return (self.machine.expired_s() or 0.0) - since_s

    def trace(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.home / "trace" / "watchdog.jsonl").read_text().splitlines()]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


Start = Callable[..., Node]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(hardware_s: float = HARDWARE_S, **environment: str) -> Node:
            machine = stack.enter_context(watchdog_machine(tmp_path / "machine"))
            node = Node(tmp_path / "cluster", machine, hardware_s, **environment)
            stack.callback(node.end)
            return node

        yield start


@needs_fuse
def test_a_killed_multiplexer_ends_the_machine(start: Start) -> None:
    node = start()
    node.open()
    time.sleep(HARDWARE_S + 0.5)
    assert node.machine.expired_s() is None, "it was fed"
    node.process.kill()
    after_s = node.expired_after_s(now_s())
    assert HARDWARE_S - HARDWARE_S / 4 - LATE_S < after_s < HARDWARE_S + LATE_S


@needs_fuse
def test_a_stopped_multiplexer_ends_the_machine(start: Start) -> None:
    node = start()
    node.open()
    node.process.send_signal(signal.SIGSTOP)
    after_s = node.expired_after_s(now_s())
    assert HARDWARE_S - HARDWARE_S / 4 - LATE_S < after_s < HARDWARE_S + LATE_S


@needs_fuse
def test_a_deadline_that_passes_ends_the_machine(start: Start) -> None:
    node = start()
    after_s = node.expired_after_s(node.open(1.5))
    assert HARDWARE_S - HARDWARE_S / 4 - LATE_S < after_s < 2 * HARDWARE_S + LATE_S
    assert node.trace()[-1]["about"] == {"from": "armed", "to": "expired"}


@needs_fuse
def test_an_orderly_end_does_not(start: Start) -> None:
    node = start()
    node.open()
    node.process.terminate()
    time.sleep(0.5)
    assert node.process.poll() is None, "not while it has a client"
    assert node.client.close() == Accepted()
    assert node.process.wait(5) == 0
    assert node.machine.state() == "inactive"
    time.sleep(HARDWARE_S + 0.5)
    assert node.machine.expired_s() is None
    assert f"the watchdog is {node.machine.device} (FUSE watchdog), timeout 2 s" in node.said.read_text()


@needs_fuse
def test_hardware_that_cannot_be_relied_on_admits_nobody(start: Start) -> None:
    node = start(hardware_s=2.5)
    for _ in range(3):
        assert isinstance(node.client.open(now_s() + 100), Refused)
    assert node.machine.state() == "inactive"
    assert node.said.read_text().count("whole seconds, not 2.5 s: set hardware_s") == 1, "said, and not again and again"


@needs_fuse
def test_a_watchdog_that_cannot_be_closed_is_not_taken_for_closed(start: Start) -> None:
    node = start()
    node.open()
    (node.machine.root / "fuse/nowayout").write_text("1")
    assert isinstance(node.client.close(), Refused)
    assert node.process.wait(5) == 1
    assert "closing did not disarm it (nowayout?)" in node.said.read_text()
    eventually(node.machine.expired_s)


# --------------------------------------------------------------------------------------------------- a hardened process


@needs_fuse
def test_it_runs_before_others_and_stays_in_memory_or_says_that_it_does_not(start: Start) -> None:
    node = start()
    node.open()
    said = node.said.read_text()
    threads = [int(path.name) for path in Path(f"/proc/{node.process.pid}/task").iterdir()]
    assert len(threads) == 2
    first = {os.sched_getscheduler(thread) == os.SCHED_RR for thread in threads}
    assert first == {"without real-time priority" not in said}
    status = dict(line.split(":", 1) for line in Path(f"/proc/{node.process.pid}/status").read_text().splitlines())
    assert (int(status["VmLck"].split()[0]) > 10_000) == ("without locked memory" not in said)
    spared = Path(f"/proc/{node.process.pid}/oom_score_adj").read_text() == "-1000\n"
    assert spared == ("without protection from the OOM killer" not in said)


UNPRIVILEGED = """
import os, resource
from hacore.runtime.hardening import harden
resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
resource.setrlimit(resource.RLIMIT_MEMLOCK, (2**20, 2**20))
os.setresuid(65534, 65534, 65534)
print("\\n".join(harden()))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become nobody")
def test_what_is_not_allowed_is_said() -> None:
    said = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.splitlines()
    assert [line.split(" (")[0] for line in said] == [
        "without real-time priority",
        "without locked memory",
        "without protection from the OOM killer",
    ]


HANGING = """
import os, signal, sys
import mfusepy

class Files(mfusepy.Operations):
    use_ns = True
    def getattr(self, path, fh=None):
        return {"st_mode": 0o40755 if path == "/" else 0o100600, "st_nlink": 1, "st_size": 0}
    def truncate(self, path, length, fh=None): pass
    def create(self, path, mode, fi=None): return 0
    def write(self, path, data, offset, fh):
        if b"keepalive" in data:
            open(sys.argv[2], "w").close()
            os.kill(os.getpid(), signal.SIGSTOP)
        return len(data)

mfusepy.FUSE(Files(), sys.argv[1], foreground=True, nothreads=True, direct_io=True)
"""


@needs_fuse
def test_a_hung_disk_is_not_waited_for(start: Start, tmp_path: Path) -> None:
    """The trace lies in a file system that stops working with the first keep-alive that is written to it."""
    disk, hung = tmp_path / "cluster/nodes/alpha/trace", tmp_path / "hung"
    disk.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", HANGING, str(disk), str(hung)], cwd=ROOT) as server:
        try:
            eventually(lambda: server.poll() is None and os.path.ismount(disk))
            node = start()
            node.open()
            assert node.client.keepalive(now_s() + 100) == Accepted()
            eventually(hung.exists)
            for _ in range(10):
                assert node.client.keepalive(now_s() + 100) == Accepted()
                time.sleep(HARDWARE_S / 5)
            assert node.client.close() == Accepted()
            assert node.machine.expired_s() is None
            node.process.terminate()
            eventually(lambda: not (node.home / "mux.sock").exists())
        finally:
            server.kill()
            subprocess.run(["umount", "--lazy", "--quiet", str(disk)], check=False)


def test_what_is_done_aside_is_done_in_order_and_bounded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(aside, "MOST", 10)
    it, go = Aside(), threading.Event()
    it.do(go.wait)
    for number in range(1000):
        it.say(str(number))
    go.set()
    it.do(lambda: int(Path("/no/such/file").read_text()))
    it.say("last")
    it.end(5.0)
    told = capsys.readouterr().err.split()
    assert told[:9] == [str(number) for number in range(9)]
    assert len(told) <= 12


# ------------------------------------------------------------------------------------------------------------- systemd


def heard(line: socket.socket, within_s: float) -> list[str]:
    """What is told within that time."""
    lines, until_s = [], time.monotonic() + within_s
    while (left_s := until_s - time.monotonic()) > 0:
        if select.select([line], [], [], left_s)[0]:
            lines += line.recv(4096).decode().split("\n")
    return lines


@needs_fuse
def test_systemd_hears_of_it_and_of_nothing_when_the_loop_stands_still(start: Start) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as line:
        line.bind(f"\0hacore-test-{os.getpid()}")
        node = start(NOTIFY_SOCKET=f"@hacore-test-{os.getpid()}", WATCHDOG_USEC="2000000")
        first = heard(line, 1.5)
        assert first[:2] == ["READY=1", "STATUS=The watchdog is closed."]
        assert 2 <= first.count("WATCHDOG=1") <= 4
        node.open()
        assert "STATUS=The watchdog is armed." in heard(line, 0.3)
        node.process.send_signal(signal.SIGSTOP)
        heard(line, 0.3)
        assert heard(line, 1.0) == []


def test_systemd_hears_news_only_and_nobody_else_speaks_for_us(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as line:
        line.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "1000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
        systemd = Systemd()
        assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys()
        systemd.say(READY=1, STATUS="a")
        systemd.say(READY=1, STATUS="b")
        systemd.say(READY=1, STATUS="b")
        systemd.alive()
        assert heard(line, 0.1) == ["READY=1", "STATUS=a", "STATUS=b"], "and the watchdog is another process's"
        for number in range(1000):
            systemd.say(STATUS=number)  # nobody reads, and nobody waits


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd = Systemd()
    systemd.say(READY=1)
    systemd.alive()
