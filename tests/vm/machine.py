"""A virtual machine in QEMU, without KVM: what it says, and when it was reset.

Its time is its own: so many instructions are a second (-icount), and while it has nothing to do, time jumps to when it
has. So a busy host makes it slower, but never late, and waiting costs nothing.
"""

from __future__ import annotations

import json
import queue
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PATIENT_S = 900.0
"""Longer than anything takes on a busy host. A machine by itself boots in seconds of its own time."""

SAVED = "up"
TOLD = re.compile(r"@ (\d+\.\d+) ([\w-]+) ?(.*)$")
"""A line of the guest: its time, a word, the rest. Firmware may have left something before it."""


@dataclass(frozen=True)
class Moment:
    """Something that happened: a line of the guest, an event of QEMU, or what else was on the console."""

    at_s: float
    """The machine's own time, as it was told last."""
    word: str
    rest: str


class Machine:
    """A running machine, and what has happened to it so far."""

    def __init__(self, console: IO[str], monitor: IO[str]) -> None:
        self.told: list[Moment] = []
        self._console, self._monitor = console, monitor
        self._coming: queue.Queue[str] = queue.Queue()
        self._now_s = 0.0

    def type(self, line: str) -> None:
        """Say a line to the guest."""
        self._console.write(f"{line}\n")
        self._console.flush()

    def save(self) -> None:
        """Keep the machine as it is now, for whoever boots from the same disk with ``saved``."""
        self.ask("human-monitor-command", {"command-line": f"savevm {SAVED}"})

    def ask(self, what: str, arguments: dict[str, str] | None = None) -> None:
        """Ask QEMU, who must be content."""
        self._monitor.write(json.dumps({"execute": what, "arguments": arguments or {}}) + "\n")
        self._monitor.flush()
        answer = self.until("return").rest
        assert answer in {"{}", '""'}, answer

    def listen(self, lines: IO[str]) -> None:
        """Take note of the guest's console, or of QEMU's events."""
        with suppress(ConnectionResetError):  # it was killed
            for line in lines:
                self._coming.put(line)
        if lines is self._monitor:
            self._coming.put('{"timestamp": {}, "event": "GONE"}')

    def until(self, word: str) -> Moment:
        """Wait for a moment and return it; fail with all that was told if the machine goes down before."""
        while True:
            try:
                line = self._coming.get(timeout=PATIENT_S)
            except queue.Empty:
                raise AssertionError(f"nothing happens any more, no '{word}':\n{self.story()}") from None
            moment = self._moment(line.strip())
            self.told.append(moment)
            if moment.word == word:
                return moment
            assert moment.word not in {"SHUTDOWN", "GONE"}, f"it went down before '{word}':\n{self.story()}"

    def _moment(self, line: str) -> Moment:
        if told := TOLD.search(line):
            self._now_s = float(told[1])
            return Moment(self._now_s, told[2], told[3])
        if line.startswith('{"timestamp"'):
            event = json.loads(line)
            return Moment(self._now_s, event["event"], json.dumps(event.get("data", {})))
        if line.startswith('{"return"'):
            return Moment(self._now_s, "return", json.dumps(json.loads(line)["return"]))
        return Moment(self._now_s, "console", line)

    def seen(self, word: str) -> bool:
        return any(it.word == word for it in self.told)

    def story(self) -> str:
        return "\n".join(f"{it.at_s:10.2f} {it.word} {it.rest}" for it in self.told)


def new_disk(path: Path) -> None:
    """A disk that holds nothing but what :meth:`Machine.save` puts there."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "1M"], check=True)


@contextmanager
def machine(kernel: Path, initramfs: Path, disk: Path, driver: str, *, saved: bool = False) -> Iterator[Machine]:
    """Boot it, or let it go on from where it was saved; a reset or a power-off ends it."""
    monitor = disk.with_suffix(".qmp")
    command = ["qemu-system-x86_64", "-accel", "tcg", "-m", "384", "-cpu", "qemu64,+rdrand"]
    command += ["-icount", "shift=2,sleep=off", "-nodefaults", "-nographic", "-device", "i6300esb", "-no-reboot"]
    command += ["-action", "watchdog=reset", "-serial", "stdio", "-qmp", f"unix:{monitor},server=on,wait=off"]
    command += ["-kernel", str(kernel), "-initrd", str(initramfs)]
    command += ["-append", f"console=ttyS0 quiet panic=0 driver={driver}"]
    command += ["-drive", f"file={disk},format=qcow2,if=none", *(["-loadvm", SAVED] if saved else [])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdin
        assert process.stdout
        with _connected(monitor) as events:
            it = Machine(process.stdin, events)
            for lines in (process.stdout, events):
                threading.Thread(target=it.listen, args=(lines,), daemon=True).start()
            try:
                it.ask("qmp_capabilities")  # from now on there are events
                yield it
            finally:
                process.kill()  # first, for those who listen hold what they listen to
                process.wait()


@contextmanager
def _connected(monitor: Path) -> Iterator[IO[str]]:
    """The line to QEMU (docs/interop/qmp-spec.txt in its source)."""
    with socket.socket(socket.AF_UNIX) as link:
        until_s = time.monotonic() + PATIENT_S
        while True:
            try:
                link.connect(str(monitor))
                break
            except OSError:
                assert time.monotonic() < until_s, "QEMU does not come up"
                time.sleep(0.05)
        with link.makefile("rw", encoding="utf-8") as lines:
            yield lines
