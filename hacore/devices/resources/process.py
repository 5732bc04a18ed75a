"""Services of type ``proc``: one command, run on this node without any service manager.

Theory of operation. Whether a service runs is not written down anywhere, because whoever writes may be killed between
the deed and the note. Two things say it, and both are given to the service by the kernel in the fork itself:

- The *life* lock, on byte 0 of ``home/services/SID.lock``. The starter takes it, and then spawns; the service inherits
  the open file description. If the starter is killed before the spawn, the kernel drops the lock; if after it, the
  service holds it. It is held exactly as long as a process of the service lives that has not closed the descriptor.
- ``HACORE_SERVICE=home/SID`` in the environment, for programs that close all descriptors.

The *door* lock, on byte 1, lets in one starter or stopper at a time. It is closed on exec, so no service has it. So
whoever has the door and sees the life lock taken knows that a service has it, not somebody about to start one.

For programs that drop both, the main process (its pid and start time are in the lock file), its session and its
descendants count as well. What gets away from all of these is a process without marker, descriptor and living parent,
in a session of its own: a service that does that on purpose belongs under systemd, which has cgroups.

Services are not to be stopped with the daemon that started them: under systemd that daemon needs KillMode=process.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from hacore.devices import proc
from hacore.devices.proc import Process
from hacore.devices.resources import find, launch, ofd
from hacore.devices.resources.base import Config, ResourceError, told
from hacore.devices.resources.run import environment
from hacore.devices.resources.settings import Settings, seconds

LIFE, DOOR = 0, 1
"""The locked bytes of a service's lock file."""

DOOR_WAIT_S = 5.0
"""How long to wait for another start or stop of the same service to end, beyond what that stop may take."""
EXEC_WAIT_S = 10.0
"""How long a start waits for the command to be executed: it may be on a disk that hangs."""
KILL_WAIT_S = 10.0
"""How long processes may live on after SIGKILL: they may be in an uninterruptible sleep."""
SETTLE_S = 0.3
"""What ends sooner than this after its start has failed to start."""
LOG_CAP_BYTES = 10 * 1024 * 1024
"""At a start, a longer log becomes ``SID.log.1`` in place of the one before."""

# Where the service inherits its lock: above what shell scripts number by hand, below what shells take for themselves.
_HIGH_FD = 240

# Children of this process that may have to be reaped. Of the module: resources come and go with each request.
_children: set[int] = set()


class ProcessResource:
    """The ``proc`` services of one node. ``home`` is the node's directory; ``services`` below it holds locks and logs.

    A service finds its id in the environment as HACORE_SID and the node as HACORE_NODE_NAME.
    """

    stop_timeout_s: ClassVar[float] = 10.0

    def __init__(self, home: Path, node: str) -> None:
        self.home = home.resolve()
        self.node = node

    @staticmethod
    def validate(sid: str, config: Config) -> None:
        """Raise :class:`ResourceError` if no service could be started from this configuration."""
        Settings.of(sid, config)

    def probe(self, sid: str, config: Config) -> bool:
        """True too while somebody is about to start the service: it may be running before the answer is read."""
        _reap()
        with told(sid):
            if ofd.locked(self._file(sid, ".lock"), LIFE):
                return True
            return bool(self._members(sid, holders=False))

    def start(self, sid: str, config: Config) -> None:
        """Start the service; returns once it has run for SETTLE_S, or has ended. Nothing happens if it runs already."""
        settings = Settings.of(sid, config)
        with told(sid), self._door(sid, DOOR_WAIT_S):
            if self.probe(sid, config):
                return
            self._look_up(sid, settings)
            with _opened(self._file(sid, ".lock"), os.O_RDWR) as life:
                if ofd.try_lock(life, LIFE):
                    self._launch(sid, settings, life)
        settled_s = _now() + SETTLE_S
        while _now() < settled_s and self.probe(sid, config):
            time.sleep(SETTLE_S / 10)

    def stop(self, sid: str, config: Config, timeout_s: float | None) -> None:
        """SIGTERM to all processes of the service, and after the timeout SIGKILL; returns when all are gone."""
        timeout_s = seconds(config, "stop_timeout_s", self.stop_timeout_s) if timeout_s is None else timeout_s
        with told(sid), self._door(sid, timeout_s + KILL_WAIT_S + DOOR_WAIT_S):
            self._terminate(sid, timeout_s)
            self._kill(sid)
        _reap()

    def migrate(self, sid: str, config: Config, target: str) -> bool:
        """A plain process cannot move."""
        return False

    # ------------------------------------------------------------------------------------------------- names and locks

    def _file(self, sid: str, suffix: str) -> Path:
        return self.home / "services" / (quote(sid, safe="") + suffix)

    def _marker(self, sid: str) -> tuple[str, str]:
        return "HACORE_SERVICE", f"{self.home}/{sid}"

    @contextmanager
    def _door(self, sid: str, wait_s: float) -> Iterator[None]:
        """Keep out all other starters and stoppers of this service, in this process or another."""
        path = self._file(sid, ".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        give_up_s = _now() + wait_s
        with _opened(path, os.O_RDWR | os.O_CREAT) as door:
            while not ofd.try_lock(door, DOOR):
                if _now() >= give_up_s:
                    raise ResourceError(f"{sid}: another start or stop has not ended within {wait_s:g} s")
                time.sleep(0.01)
            try:
                yield
            finally:
                # Not just closed: another thread's child may have a copy until it has executed its program.
                ofd.unlock(door, DOOR)

    # ------------------------------------------------------------------------------------------------- start

    def _variables(self, sid: str, settings: Settings) -> dict[str, str]:
        return {**environment(), **settings.environment, "HACORE_SID": sid, "HACORE_NODE_NAME": self.node}

    def _look_up(self, sid: str, settings: Settings) -> None:
        """A shell would be started all right and then fail to find its command: ask one whether it knows the word."""
        if not settings.shell_word or not Path(settings.directory).is_dir():
            return  # a missing directory is reported by the launch
        try:
            asked = subprocess.run(
                ["/bin/sh", "-c", 'command -v "$1"', "sh", settings.shell_word],
                cwd=settings.directory,
                env=self._variables(sid, settings),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=EXEC_WAIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ResourceError(f"{sid}: looking for its command takes more than {EXEC_WAIT_S:g} s") from error
        if asked.returncode != 0:
            raise ResourceError(f"{sid}: cannot run {settings.shell_word!r}: command not found")

    def _launch(self, sid: str, settings: Settings, life: int) -> None:
        log = self._file(sid, ".log")
        with suppress(FileNotFoundError):
            if log.stat().st_size > LOG_CAP_BYTES:
                log.replace(log.with_name(log.name + ".1"))
        heard, report = os.pipe2(os.O_CLOEXEC)
        try:
            with _high(report) as told, _opened(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as output:
                pid = self._spawn(sid, settings, life, output, told)
                _children.add(pid)
            said = _hear(sid, heard)
        finally:
            os.close(heard)
        if said == b".":
            return
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)  # it has closed the pipe by ending, or is about to end
        _children.discard(pid)
        # Nobody but forks of other threads on their way to exec can have the lock now: do not wait for those.
        ofd.unlock(life, LIFE)
        raise ResourceError(f"{sid}: {_why(settings, said)}; see {log}")

    def _spawn(self, sid: str, settings: Settings, life: int, output: int, report: int) -> int:
        """From here on a service may run, whatever happens to this process. The pid returned leads a new session."""
        environment = self._variables(sid, settings) | dict([self._marker(sid)])
        words = [sys.executable, "-I", "-S", launch.__file__, str(life), str(report), settings.directory]
        # A signal that is ignored or blocked stays so over exec: the service must not depend on what this daemon does.
        defaults = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
        return os.posix_spawn(
            sys.executable,
            [*words, *settings.command],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
                (os.POSIX_SPAWN_DUP2, life, life),  # onto itself: no longer closed by exec
                (os.POSIX_SPAWN_DUP2, report, report),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=defaults,
        )

    # ----------------------------------------------------------------------------------------- processes and their end

    def _at_sight(self, sid: str, processes: Collection[Process], *, holders: bool = True) -> set[int]:
        found = find.carrying(processes, os.fsencode("=".join(self._marker(sid))))
        return found | (find.holding(processes, self._file(sid, ".lock"), LIFE) if holders else set())

    def _members(self, sid: str, *, holders: bool) -> list[Process]:
        """All processes of the service; with ``holders``, also by who has the life lock.

        That is only for who has the door: without it, a starter may be among them, and it is not to be killed.
        """
        table = find.living()
        found = self._at_sight(sid, table.values(), holders=holders)
        pid, started = _main_process(self._file(sid, ".lock"))
        if pid in table and table[pid].started == started:
            found.add(pid)
        # The number of a session is not used again while anybody is in it. So if one process that is surely the
        # service's is in the session of the main process, all of that session is the service's.
        if any(table[member].session == pid for member in found):
            found |= {process.pid for process in table.values() if process.session == pid}
        return find.with_descendants(table, found)

    def _remains(self, sid: str) -> list[Process] | None:
        """The members, or None if nothing is left of the service, not even a lock held by who cannot be seen."""
        for _ in range(2):  # a process may have forked and ended while /proc was read
            if members := self._members(sid, holders=True):
                return members
            if ofd.locked(self._file(sid, ".lock"), LIFE):
                return []
        return None

    def _terminate(self, sid: str, timeout_s: float) -> None:
        deadline_s = _now() + timeout_s
        asked = self._remains(sid)
        for process in asked or ():
            proc.send(process, signal.SIGTERM)
            proc.send(process, signal.SIGCONT)
        left = asked
        while left is not None and _now() < deadline_s:
            _wait(left, deadline_s)
            left = self._remains(sid)

    def _kill(self, sid: str) -> None:
        give_up_s = _now() + KILL_WAIT_S
        while (left := self._remains(sid)) is not None:
            if _now() >= give_up_s:
                who = ", ".join(str(process.pid) for process in left) or "unknown: they cannot be seen from here"
                raise ResourceError(f"{sid}: processes outlive SIGKILL on {self.node}: {who}")
            frozen = self._freeze(sid, left)
            for process in frozen:
                proc.send(process, signal.SIGKILL)
            _wait(frozen, min(give_up_s, _now() + 0.5))

    def _freeze(self, sid: str, members: list[Process]) -> list[Process]:
        """Stop the members in their tracks, until there are no newcomers: one might fork between two looks."""
        for process in find.newest_first():
            # And one that hops from pid to pid is gone when all the others have been looked at: stop it on sight.
            if self._at_sight(sid, [process]):
                proc.send(process, signal.SIGSTOP)
        frozen: set[Process] = set()
        for _ in range(20):
            fresh = set(members) - frozen
            if not fresh:
                break
            for process in fresh:
                proc.send(process, signal.SIGSTOP)
            frozen |= fresh
            members = self._members(sid, holders=True)
        return list(frozen)


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@contextmanager
def _high(fd: int) -> Iterator[int]:
    """Take over ``fd`` under a number that no service uses, closed on exec."""
    try:
        moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH_FD)
    finally:
        os.close(fd)
    try:
        yield moved
    finally:
        os.close(moved)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    with _high(os.open(path, flags | os.O_CLOEXEC, 0o600)) as fd:
        yield fd


def _hear(sid: str, pipe: int) -> bytes:
    """All that the launcher says, up to the end of the pipe: the service's exec, or the launcher's death."""
    said, deadline_s = b"", _now() + EXEC_WAIT_S
    ready = select.poll()
    ready.register(pipe, select.POLLIN)
    while ready.poll(max(0.0, deadline_s - _now()) * 1000):
        if not (more := os.read(pipe, 4096)):
            return said
        said += more
    raise ResourceError(f"{sid}: its command has not been executed within {EXEC_WAIT_S:g} s; it may come up yet")


def _why(settings: Settings, said: bytes) -> str:
    step, _, number = said.lstrip(b".").decode().partition(" ")
    if not number:
        return "the launcher died"
    what = {"directory": f"enter {settings.directory}", "command": f"run {settings.command[0]!r}"}
    return f"cannot {what.get(step, step)}: {os.strerror(int(number))}"


def _main_process(path: Path) -> tuple[int, int]:
    """Pid and start time of the main process started last since the machine booted, or -1. See launch.record."""
    with suppress(FileNotFoundError, ValueError):
        pid, started, boot = path.read_text().split()
        if boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip():
            return int(pid), int(started)
    return -1, -1


def _wait(processes: list[Process], until_s: float) -> None:
    """Until all of the processes have ended (a moment, if there are none), or ``until_s``."""
    pause_s = 0.002 if processes else 0.05
    while True:
        time.sleep(min(pause_s, max(0.0, until_s - _now())))
        _reap()
        if _now() >= until_s or not any(proc.alive(process) for process in processes):
            return
        pause_s = min(pause_s * 2, 0.05)


def _reap() -> None:
    """Take leave of the services that this process has started and that have ended."""
    for pid in list(_children):
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # somebody else has reaped it
            ended = pid
        if ended:
            _children.discard(pid)
