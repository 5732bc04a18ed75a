"""A node: the process that a unit file starts. It starts the node's daemons and is the ancestor of its services.

It restarts a daemon that has ended, at once after an orderly end and after a second otherwise. It is a subreaper
(man 2 prctl), so services stay below it whatever becomes of the LRM that started them. SIGTERM shuts the node down: the
LRM first, which stops the services or has them moved, as the shutdown policy says; then the CRM, then the multiplexer.
SIGUSR1 does the same for a reboot. SIGHUP restarts the LRM as a package update would: services run on, frozen.

A daemon that has ended in an orderly way stays down as long as somebody holds the lock ``DAEMON.hold``, as an update
does with the LRM's. One that has crashed is not held: it may have been guarding services.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from hacore.devices.clock import now_s
from hacore.devices.process_tree import become_subreaper, reap
from hacore.runtime.config import state_path
from hacore.runtime.daemon import ask_daemon
from hacore.runtime.only_one import OnlyOne, holder
from hacore.runtime.sd_notify import Systemd

DAEMONS = ("watchdog", "crm", "lrm")
"""In the order in which they start; they end in the opposite order."""
AGAIN_S = 1.0
HELD_S = 0.2
"""How soon a hold is looked at again."""


class Node:
    """The daemons of one node."""

    def __init__(self, directory: Path, node: str) -> None:
        self.directory, self.node = directory, node
        self.home = state_path(directory, node)
        self.pids: dict[str, int] = {}
        self.start_s: dict[str, float] = dict.fromkeys(DAEMONS, 0.0)
        self.codes: dict[str, int] = {}
        """How each daemon that is down has ended, or the last life of one that runs."""
        self.ending = ""

    def run(self) -> None:
        """Until the node has been shut down. Raises AlreadyRuns."""
        self.home.mkdir(parents=True, exist_ok=True)
        with OnlyOne(self.home / "node.lock"):
            self._run()

    def _run(self) -> None:
        become_subreaper()
        signals = {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP, signal.SIGCHLD}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # what is ignored by default is not even waited for
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nor is what whoever started us ignores
        systemd = Systemd()  # before any daemon is started, who is not to speak for this process
        while not self.ending or self.pids:
            self._start_due()
            systemd.say(READY=1, STATUS=f"Runs {', '.join(self.pids)}.")
            systemd.alive()
            arrived = signal.sigtimedwait(signals, self._patience_s())
            self._reap()
            if arrived:
                self._hear(arrived.si_signo)
            self._end_next()

    def _start_due(self) -> None:
        for daemon in DAEMONS:
            if self.ending or daemon in self.pids or now_s() < self.start_s[daemon]:
                continue
            if self.codes.get(daemon) == 0 and holder(self.home / f"{daemon}.hold") is not None:
                self.start_s[daemon] = now_s() + HELD_S
            else:
                self.pids[daemon] = self._start(daemon)

    def _start(self, daemon: str) -> int:
        command = [sys.executable, "-m", "hacore", "-C", str(self.directory), "daemon", daemon, self.node]
        process = subprocess.Popen(
            [*command, "--init", str(os.getpid())],
            stdin=subprocess.DEVNULL,
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, set()),  # noqa: PLW1509 - one thread here
        )
        process.returncode = 0  # reaped below with all others, not by subprocess
        return process.pid

    def _patience_s(self) -> float:
        due = [self.start_s[daemon] for daemon in DAEMONS if daemon not in self.pids and not self.ending]
        return max(0.0, min([1.0, *(at_s - now_s() for at_s in due)]))

    def _reap(self) -> None:
        for pid, code in reap():
            for daemon in [name for name, known in self.pids.items() if known == pid]:
                del self.pids[daemon]
                self.codes[daemon] = code
                self.start_s[daemon] = now_s() + (0.0 if code == 0 else AGAIN_S)

    def _hear(self, number: int) -> None:
        if number == signal.SIGHUP and "lrm" in self.pids:
            self._ask("lrm", "restart")
        elif number in {signal.SIGTERM, signal.SIGINT}:
            self.ending = self.ending or "shutdown"  # systemd sends SIGTERM after the word that it is a reboot
        elif number == signal.SIGUSR1:
            self.ending = "reboot"

    def _end_next(self) -> None:
        """Ask the last daemon that is left to end; it is asked again each time, which does no harm."""
        if self.ending and self.pids:
            self._ask([daemon for daemon in DAEMONS if daemon in self.pids][-1], self.ending)

    def _ask(self, daemon: str, word: str) -> None:
        with suppress(ProcessLookupError):
            ask_daemon(self.pids[daemon], word)
