"""A node's machine in the site's machine room: its power supply, its watchdog, and how its init is started."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from hacore.devices.process_tree import Kill, become_subreaper, die_with_parent
from hacore.devices.unix_socket import Connection
from hacore.devices.watchdog.emulated import EmulatedWatchdog

MARK = "HACORE_NODE"
"""In the environment of all processes of a node: the absolute path of the node's directory."""

SITE_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What the site handles, and an init must find as if nobody did."""


@dataclass(eq=False, slots=True)
class Machine:
    """A node's machine. It is off when ``pid`` is None, and being switched off while there is a ``kill``."""

    node: str
    path: Path
    watchdog: EmulatedWatchdog
    pid: int | None = None
    """The init, not yet reaped."""
    kill: Kill | None = None
    boot_at_s: float | None = None
    """When it boots, once it is off. None: it stays off."""
    waiting: list[Connection] = field(default_factory=list)
    """Operators who are told when it is off."""

    def is_off(self) -> bool:
        """Whether nothing runs below its init, nor the init itself."""
        return self.pid is None and self.kill is None

    def cut_power(self) -> None:
        """Stop all its processes now; they are dead when ``kill`` is done."""
        self.watchdog.power_cycle()
        if self.pid is not None and self.kill is None:
            self.kill = Kill.tree(self.pid)
            self.kill.step()

    def boot(self, command: list[str]) -> None:
        """Start the init. Raises OSError if there is no process to be had."""
        site = os.getpid()
        old = signal.pthread_sigmask(signal.SIG_BLOCK, SITE_SIGNALS)  # until the child has none of the site's handlers
        try:
            pid = os.fork()
            if pid == 0:
                _become_init(command, self.path, site)
            self.pid = pid
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)


def _become_init(command: list[str], path: Path, site: int) -> NoReturn:
    """In the child: a session of its own, the console, and exec. Exit status 127 if that fails."""
    try:
        os.setsid()
        die_with_parent(site)
        become_subreaper()
        console = os.open(path / "console.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(console, 1)
        os.dup2(console, 2)
        for number in (*SITE_SIGNALS, signal.SIGPIPE):  # Python ignores SIGPIPE, which exec would hand on
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a request, which must not kill an init that does not listen yet
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SITE_SIGNALS)
        os.execvpe(command[0], command, {**os.environ, MARK: str(path)})
    except BaseException as problem:
        os.write(2, f"{command}: {problem}\n".encode())
    finally:
        os._exit(127)
