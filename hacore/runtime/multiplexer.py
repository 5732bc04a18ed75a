"""The watchdog multiplexer's process on a real node.

While it does not feed, the machine is about to be reset. So its loop waits for nobody but its clients and the hardware:
not for a processor, not for memory (:mod:`hacore.runtime.hardening`), not for a disk that its trace is written to, nor
for whoever reads what it prints (:mod:`hacore.runtime.aside`). systemd's own watchdog is fed by the loop alone.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hacore.daemons.watchdog_mux import WatchdogMux
from hacore.devices.clock import now_s
from hacore.devices.watchdog import HardwareWatchdog
from hacore.devices.watchdog.server import ClientSocket
from hacore.protocol.requests import (
    Clock,
    CloseHardware,
    FeedHardware,
    Fired,
    OpenHardware,
    Receive,
    Reply,
    Request,
    Say,
)
from hacore.protocol.timing import Timing
from hacore.runtime.aside import Aside
from hacore.runtime.drive import Answers, drive
from hacore.runtime.hardening import harden
from hacore.runtime.sd_notify import Systemd
from hacore.runtime.trace import Trace
from hacore.trace.lines import is_dull

LAST_WORDS_S = 1.0
"""How long an orderly end waits for what is still to be written."""


class _SparingTrace(Trace):
    """Leaves out what is dull, and has the rest written aside."""

    def __init__(self, path: Path, node: str, daemon: str, aside: Aside) -> None:
        super().__init__(path, node, daemon)
        self._aside = aside

    def note(self, request: Request[Any], answer: object) -> None:
        if not is_dull(request, answer):
            super().note(request, answer)

    def write(self, line: str) -> None:
        self._aside.do(lambda: super(_SparingTrace, self).write(line))


class _Hardware:
    """The hardware watchdog, open or not. ``connect`` opens it; ``say`` tells the operator about it."""

    def __init__(self, connect: Callable[[], HardwareWatchdog], say: Callable[[str], None]) -> None:
        self._connect, self._say = connect, say
        self._said = ""
        self.device: HardwareWatchdog | None = None

    def open(self) -> bool:
        try:
            self.device = self._connect()
        except OSError as problem:
            self._tell(f"the watchdog cannot be opened: {problem.filename}: {problem.strerror}")
            return False
        self._tell(f"the watchdog is {self.device.about}")
        return True

    def feed(self) -> None:
        if self.device:
            with suppress(OSError):  # it then resets the node, as it must
                self.device.feed()

    def close(self) -> None:
        if self.device:
            self.device.close()
            self.device = None

    def _tell(self, what: str) -> None:
        """An LRM asks again every second: what is still the case is not said again."""
        if what != self._said:
            self._said = what
            self._say(what)


def run_multiplexer(home: Path, node: str, timing: Timing, connect: Callable[[], HardwareWatchdog]) -> None:
    """Be the node's multiplexer until SIGTERM, which ends it only while no client is admitted.

    ``connect`` opens the hardware watchdog with the timeout ``timing.hardware_s``, or raises OSError.
    """
    lacking = list(harden())
    aside, systemd = Aside(), Systemd()
    for each in lacking:
        aside.say(f"WARNING: the watchdog multiplexer runs {each}")
    hardware = _Hardware(connect, aside.say)
    clients = ClientSocket(home / "mux.sock")
    asked_to_end: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, lambda number, _: asked_to_end.append(number))
    mux = WatchdogMux(timing)
    trace = _SparingTrace(home / "trace" / "watchdog.jsonl", node, mux.name, aside)
    trace.begin(timing)
    answers: Answers = {
        Clock: lambda _: now_s(),
        Receive: lambda request: clients.receive(request.until_s),
        Reply: lambda request: clients.reply(request.client, request.answer),
        OpenHardware: lambda _: hardware.open(),
        FeedHardware: lambda _: hardware.feed(),
        CloseHardware: lambda _: hardware.close(),
        Fired: lambda _: None,
        Say: lambda request: systemd.say(STATUS=f"The watchdog is {request.fields['to']}."),
    }
    systemd.say(READY=1, STATUS="The watchdog is closed.")
    while not mux.finished and not (asked_to_end and mux.state == "closed"):
        drive(mux.round(), answers, trace)
        systemd.alive()
    while mux.finished:
        signal.pause()
    clients.close()
    aside.end(LAST_WORDS_S)
