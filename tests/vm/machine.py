"""A virtual machine in QEMU, without KVM: what it says, and when it was reset."""

from __future__ import annotations

import json
import queue
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

BOOT_S = 300.0
"""An emulated processor on a busy machine is slow."""


@dataclass(frozen=True)
class Moment:
    """Something that happened: a line of the guest (``@ WORD REST``) or an event of QEMU."""

    at_s: float
    word: str
    rest: str


class Machine:
    """A running machine, and what has happened to it so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.told: list[Moment] = []
        self._coming: queue.Queue[Moment] = queue.Queue()

    def listen(self, lines: IO[str]) -> None:
        """Take note of the guest's console, or of QEMU's events."""
        for line in lines:
            at_s = time.monotonic()
            if line.startswith("@ "):
                self._coming.put(Moment(at_s, *line[2:].strip().partition(" ")[::2]))
            elif line.startswith('{"timestamp"'):
                event = json.loads(line)
                self._coming.put(Moment(at_s, event["event"], json.dumps(event.get("data", {}))))
            else:
                self._coming.put(Moment(at_s, "console", line.strip()))

    def until(self, word: str, within_s: float) -> Moment:
        """Wait for a moment and return it; fail with all that was told if it does not come."""
        until_s = time.monotonic() + within_s
        while True:
            try:
                moment = self._coming.get(timeout=max(until_s - time.monotonic(), 0.001))
            except queue.Empty:
                raise AssertionError(f"no '{word}' within {within_s:g} s:\n{self.story()}") from None
            self.told.append(moment)
            if moment.word == word:
                return moment
            assert moment.word != "SHUTDOWN", f"it went down before '{word}':\n{self.story()}"

    def story(self) -> str:
        return "\n".join(f"{it.at_s:10.2f} {it.word} {it.rest}" for it in self.told)


@contextmanager
def machine(place: Path, kernel: Path, initramfs: Path, driver: str, scenario: str) -> Iterator[Machine]:
    """Boot it; a reset or a power-off ends it."""
    monitor = place / "qmp"
    command = ["nice", "-n", "15", "qemu-system-x86_64", "-accel", "tcg", "-cpu", "qemu64,+rdrand", "-m", "512"]
    command += [
        "-nodefaults",
        "-nographic",
        "-no-reboot",
        "-action",
        "watchdog=reset",
        "-serial",
        "stdio",
        "-kernel",
        str(kernel),
    ]
    command += ["-initrd", str(initramfs), "-qmp", f"unix:{monitor},server=on,wait=off"]
    command += ["-append", f"console=ttyS0 quiet panic=0 driver={driver} scenario={scenario}"]
    command += ["-device", "i6300esb"] if driver == "i6300esb" else []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout
        it = Machine(process)
        threading.Thread(target=it.listen, args=(process.stdout,), daemon=True).start()
        with _connected(monitor) as events:
            threading.Thread(target=it.listen, args=(events,), daemon=True).start()
            try:
                yield it
            finally:
                process.kill()  # first, for those who listen hold what they listen to
                process.wait()


@contextmanager
def _connected(monitor: Path) -> Iterator[IO[str]]:
    """QEMU's events, as lines (docs/interop/qmp-spec.txt in its source)."""
    with socket.socket(socket.AF_UNIX) as link:
        until_s = time.monotonic() + BOOT_S
        while True:
            try:
                link.connect(str(monitor))
                break
            except OSError:
                assert time.monotonic() < until_s, "QEMU does not come up"
                time.sleep(0.05)
        link.sendall(b'{"execute": "qmp_capabilities"}\n')
        with link.makefile("r", encoding="utf-8") as lines:
            yield lines
