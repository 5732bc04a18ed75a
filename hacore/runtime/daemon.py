"""One daemon's process on a real node: its devices, its signals, its trace, its loop.

Signals: SIGHUP asks for a restart that leaves services alone (package update), SIGTERM for a shutdown, SIGUSR1 for a
shutdown that will be followed by a start (reboot).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hacore.daemons.base import Daemon
from hacore.daemons.crm import Crm
from hacore.daemons.lrm import Lrm
from hacore.devices.clock import now_s
from hacore.devices.process_tree import die_with_parent
from hacore.devices.store import Store, StoreError
from hacore.devices.watchdog.client import WatchdogClient
from hacore.protocol.requests import (
    Clock,
    CloseWatchdog,
    Committed,
    Conflict,
    Fired,
    Inbox,
    KeepAlive,
    OpenWatchdog,
    PowerOff,
    Read,
    Reap,
    ReapPower,
    Request,
    Say,
    Sleep,
    Snapshot,
    Spawn,
    Transact,
    Unavailable,
)
from hacore.runtime.cluster import read_settings, timing_of
from hacore.runtime.config import load, open_store, state_path
from hacore.runtime.drive import Answers, drive
from hacore.runtime.fencing import Fencing
from hacore.runtime.multiplexer import run_multiplexer
from hacore.runtime.notify import Notifier
from hacore.runtime.only_one import OnlyOne
from hacore.runtime.sd_notify import Systemd
from hacore.runtime.trace import Trace
from hacore.runtime.workers import Workers

SIGNALS = {signal.SIGHUP: "restart", signal.SIGTERM: "shutdown", signal.SIGUSR1: "reboot"}
POLL_S = 0.05
"""How often the store is asked whether anything has changed, while a daemon sleeps."""


def run(kind: str, directory: Path, node: str, init_pid: int) -> None:
    """Be a node's daemon (``crm``, ``lrm`` or ``watchdog``) until it ends. Ends with its parent, if that is given."""
    if init_pid:
        die_with_parent(init_pid)
    home = state_path(directory, node)
    home.mkdir(parents=True, exist_ok=True)
    timing = timing_of(read_settings(directory))
    with OnlyOne(home / f"{kind}.lock"):
        if kind == "watchdog":
            watchdog = load(directory).watchdog
            run_multiplexer(home, node, timing, lambda: watchdog.open(home, timing.hardware_s))
            return
        daemon: Daemon = Crm(node, timing) if kind == "crm" else Lrm(node, timing)
        notifier = Notifier(load(directory).notify, node, kind)
        _Host(daemon, open_store(directory, timing.call_timeout_s), home, notifier).live()


class _Host:
    """Answers a daemon's requests from real devices, and lets it live."""

    def __init__(self, daemon: Daemon, store: Store, home: Path, notifier: Notifier) -> None:
        self.daemon, self.store, self.notifier = daemon, store, notifier
        self.trace = Trace(home / "trace" / f"{daemon.name}.jsonl", daemon.node, daemon.name)
        self.trace.begin(daemon.timing)
        self.wake = threading.Event()
        self.asked: set[str] = set()
        self.watchdog = WatchdogClient(home / "mux.sock", daemon.timing.call_timeout_s)
        self.fencing = Fencing(self.wake)
        self.workers = Workers(daemon.node, home, self.trace, self.wake)
        for number, word in SIGNALS.items():
            signal.signal(number, self._hearing(word))

    def _hearing(self, word: str) -> Callable[[int, object], None]:
        def hear(_: int, __: object) -> None:
            self.asked.add(word)
            self.wake.set()

        return hear

    def live(self) -> None:
        """Round after round, until the daemon ends."""
        answers = self._answers()
        systemd = Systemd()
        systemd.say(READY=1)
        while sleep := drive(self.daemon.round(), answers, self.trace):
            systemd.alive()
            systemd.say(STATUS=f"{self.daemon.shown}.")
            self._sleep(sleep)
        self.trace.close()
        self.store.close()
        self.notifier.end()

    def _sleep(self, sleep: Sleep) -> None:
        while not self.wake.is_set():
            left_s = sleep.until_s - now_s()
            if left_s <= 0 or self.store.changed(sleep.since, sleep.wake_on):
                break
            self.wake.wait(min(POLL_S, left_s))
        self.wake.clear()

    def _answers(self) -> Answers:
        return {
            Clock: lambda _: now_s(),
            Inbox: lambda _: frozenset(self.asked),
            Read: self._read,
            Transact: self._transact,
            OpenWatchdog: lambda request: self.watchdog.open(request.deadline_s),
            KeepAlive: lambda request: self.watchdog.keepalive(request.deadline_s),
            CloseWatchdog: lambda _: self.watchdog.close(),
            Spawn: self.workers.spawn,
            Reap: self.workers.reap,
            PowerOff: self.fencing.power_off,
            ReapPower: self.fencing.reap,
            Fired: _told,
            Say: self.notifier.tell,
        }

    def _read(self, request: Read) -> Snapshot | Unavailable:
        try:
            return self.store.read(request.prefixes)
        except StoreError as problem:
            return Unavailable(str(problem))

    def _transact(self, request: Transact) -> Committed | Conflict | Unavailable:
        try:
            return self.store.transact(request.checks, request.writes)
        except StoreError as problem:
            return Unavailable(str(problem))


def _told(_: Request[Any]) -> None:
    """What is told needs no answer: the trace has it."""


def ask_daemon(pid: int, word: str) -> None:
    """Ask a running daemon for ``restart``, ``shutdown`` or ``reboot``."""
    os.kill(pid, next(number for number, meaning in SIGNALS.items() if meaning == word))
