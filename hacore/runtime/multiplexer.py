"""The watchdog multiplexer's process on a real node."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from hacore.daemons.watchdog_mux import WatchdogMux
from hacore.devices.clock import now_s
from hacore.devices.watchdog import HardwareWatchdog
from hacore.devices.watchdog.emulated import EmulatedWatchdogClient
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
from hacore.runtime.drive import Answers, drive
from hacore.runtime.trace import Trace
from hacore.trace.lines import is_dull


class _SparingTrace(Trace):
    """Leaves out what is dull."""

    def note(self, request: Request[Any], answer: object) -> None:
        if not is_dull(request, answer):
            super().note(request, answer)


class _Hardware:
    """The hardware watchdog, open or not."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self.path, self.timeout_s = path, timeout_s
        self.device: HardwareWatchdog | None = None

    def open(self) -> bool:
        try:
            self.device = EmulatedWatchdogClient.open(self.path, self.timeout_s)
        except OSError as problem:
            print(f"the hardware watchdog cannot be opened: {problem}", file=sys.stderr, flush=True)
            return False
        return True

    def feed(self) -> None:
        if self.device:
            with suppress(OSError):  # it then resets the node, as it must
                self.device.feed()

    def close(self) -> None:
        if self.device:
            self.device.close()
            self.device = None


def run_multiplexer(home: Path, node: str, timing: Timing) -> None:
    """Be the node's multiplexer until SIGTERM, which ends it only while no client is admitted."""
    hardware = _Hardware(home / "watchdog.sock", timing.hardware_s)
    clients = ClientSocket(home / "mux.sock")
    asked_to_end: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, lambda number, _: asked_to_end.append(number))
    mux = WatchdogMux(timing)
    trace = _SparingTrace(home / "trace" / "watchdog.jsonl", node, mux.name)
    trace.begin(timing)
    answers: Answers = {
        Clock: lambda _: now_s(),
        Receive: lambda request: clients.receive(request.until_s),
        Reply: lambda request: clients.reply(request.client, request.answer),
        OpenHardware: lambda _: hardware.open(),
        FeedHardware: lambda _: hardware.feed(),
        CloseHardware: lambda _: hardware.close(),
        Fired: lambda _: None,
        Say: lambda _: None,
    }
    while not mux.finished and not (asked_to_end and mux.state == "closed"):
        drive(mux.round(), answers, trace)
    while mux.finished:
        signal.pause()
    clients.close()
