"""Killing a whole tree of processes, and nothing else.

A process may leave its parent, its session and its process group, but not its *subreaper* (man 2 prctl,
PR_SET_CHILD_SUBREAPER): an orphan falls to the nearest ancestor that is one. So all that descends from a subreaper is
found below it for as long as it lives. To kill the tree is therefore:

1. stop the root (SIGSTOP): from now on no orphan can get past it, and it reaps nothing;
2. stop all that is found below it, again and again until a pass finds nothing new: now nothing forks any more, and
   nothing in the tree sees its neighbours die;
3. kill all below the root; when nobody is left, kill the root.

Below a root that is no subreaper this holds as well, but for an orphan made while step 2 goes on.

A process is its pid and its start time. A signal goes through a pidfd that was opened before the start time was
compared, so it reaches that process or nobody, even if the pid has been given to another one meanwhile.

Needs the kernel's /proc/PID/task/TID/children (man 5 proc; CONFIG_PROC_CHILDREN, which distributions set).
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from hacore.devices.clock import now_s

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

STEP_S = 0.05
"""How long one step of a kill may go on looking for processes."""

PATIENT_STEPS = 20
"""After so many steps that still found new processes, what is stopped is killed although the rest is not."""

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def become_subreaper() -> None:
    """Let every orphan among this process's descendants become its child. Survives exec, is not inherited by fork.

    Whoever calls this must reap children that it never started (man 2 prctl, PR_SET_CHILD_SUBREAPER).
    """
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Be killed (SIGKILL) when the parent dies; at once if it has died already.

    ``parent`` is the pid that the parent read with getpid before it forked. It must have forked in its main thread: the
    kernel watches the thread. Survives exec, but not that of a set-user-id program (man 2 prctl, PR_SET_PDEATHSIG).
    """
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was told to watch
        os.kill(os.getpid(), signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """The pids of the living processes below ``pid``, which itself is not among them."""
    return sorted(process.pid for process in _below(pid) if _lives(process))


def kill_tree(pid: int, timeout_s: float = 5.0) -> None:
    """Kill ``pid`` and all its descendants; return when all are gone (not running: zombies count as gone).

    ``pid`` should be a child that the caller has not reaped: any other pid may be another process's by now.

    Raises TimeoutError if some live on, as those do that hang in the kernel or belong to another user.
    """
    _finish(Kill.tree(pid), timeout_s, f"processes of the tree below {pid}")


def kill_descendants(pid: int, timeout_s: float = 5.0) -> None:
    """Kill all below ``pid``, as :func:`kill_tree`, but not ``pid`` itself: it is to be a subreaper."""
    _finish(Kill.below(pid, ()), timeout_s, f"processes below {pid}")


def kill_marked(name: str, *values: str, timeout_s: float = 5.0) -> int:
    """Kill the processes that were started with one of ``NAME=VALUE`` in their environment, and their descendants.

    The caller and its ancestors are spared. Returns how many processes were found. A process that has written over its
    own environment, and whose marked ancestors are all dead, is not found. Raises TimeoutError as :func:`kill_tree`.
    """
    kill = Kill.marked(name, values)
    _finish(kill, timeout_s, f"processes marked with {name}")
    return sum(1 for process in kill.seen if process.start)


def _finish(kill: Kill, timeout_s: float, what: str) -> None:
    until_s = now_s() + timeout_s
    while not kill.step():
        if now_s() > until_s:
            raise TimeoutError(f"{what} cannot be killed: {', '.join(str(pid) for pid in kill.living())}")
        time.sleep(0.001)


class Process(NamedTuple):
    """A process, for all time: ``start`` is the time at which it was started, in clock ticks since boot."""

    pid: int
    start: int


class Kill:
    """A kill in short steps that do not wait, for loops that have other things to do.

    ``find`` gives what is to be killed, each time as it is now. ``root`` is stopped first and killed last.
    """

    def __init__(self, find: Callable[[], set[Process]], root: Process | None = None) -> None:
        self.seen: set[Process] = set()
        self._find = find
        self._root = root
        self._steps = 0

    @classmethod
    def tree(cls, pid: int) -> Kill:
        """Of ``pid`` and all below it."""
        stat = _stat(pid)
        return cls(lambda: _below(pid), Process(pid, stat.start)) if stat else cls(set)

    @classmethod
    def below(cls, pid: int, spare: Collection[int]) -> Kill:
        """Of all below ``pid``, without itself, without its descendants ``spare`` and what is below those."""
        return cls(lambda: _below(pid, spare))

    @classmethod
    def marked(cls, name: str, values: Collection[str]) -> Kill:
        """Of what :func:`kill_marked` kills."""
        marks = {f"{name}={value}".encode() for value in values}
        return cls(lambda: _marked(marks))

    def step(self) -> bool:
        """Do what can be done now. True: nobody is left. Takes at most little more than STEP_S."""
        self._steps += 1
        settled = self._stop_all()
        if not settled and self._steps < PATIENT_STEPS:
            return False
        living = self.living()
        for process in living:
            _send(process, signal.SIGKILL)
        if living or not settled:
            return False
        if self._root is None:
            return True
        _send(self._root, signal.SIGKILL)
        return not _lives(self._root)

    def living(self) -> list[Process]:
        """Those seen so far, besides the root, that are not dead yet."""
        return [process for process in sorted(self.seen) if _lives(process)]

    def _stop_all(self) -> bool:
        """Stop everybody. True: the last pass found nobody new."""
        until_s = now_s() + STEP_S
        if self._root is not None:
            _send(self._root, signal.SIGSTOP)
        while new := self._find() - self.seen:
            for process in new:
                _send(process, signal.SIGSTOP)
            self.seen |= new
            if now_s() > until_s:
                return False
        return True


# ------------------------------------------------------------------------------------------------- looking at /proc


class _Stat(NamedTuple):
    state: str
    parent: int
    threads: int
    start: int


def _read(path: Path) -> bytes:
    """What a file of /proc says; nothing if its process is gone, or not ours to look at."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def _stat(pid: int) -> _Stat | None:
    """Fields 3, 4, 20 and 22 of /proc/PID/stat (man 5 proc); None if there is no such process."""
    line = _read(Path("/proc", str(pid), "stat"))
    if not line:
        return None
    fields = line[line.rindex(b")") + 2 :].split()  # the name before it may hold anything
    return _Stat(fields[0].decode(), int(fields[1]), int(fields[17]), int(fields[19]))


def _lives(process: Process) -> bool:
    """Whether it can still do anything. A process whose first thread has ended shows as a zombie, but has others."""
    stat = _stat(process.pid)
    return stat is not None and stat.start == process.start and (stat.state not in "ZX" or stat.threads > 1)


def _send(process: Process, number: signal.Signals) -> None:
    """Send a signal to this very process, or to nobody."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        stat = _stat(process.pid)
        if stat is not None and stat.start == process.start:
            signal.pidfd_send_signal(pidfd, number)
    except (ProcessLookupError, PermissionError):
        pass  # dead meanwhile; or not ours to kill, and then it stays among the living
    finally:
        os.close(pidfd)


def _children(pid: int) -> Iterator[int]:
    """The children of all threads of a process."""
    try:
        tasks = list(Path("/proc", str(pid), "task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return
    for task in tasks:
        yield from (int(child) for child in _read(task / "children").split())


def _below(root: int, spare: Collection[int] = ()) -> set[Process]:
    """The descendants of ``root``, zombies too, without ``spare`` and what is below those.

    A child that vanished before it could be looked at is in the set with start time 0. It is nobody, but it shows that
    something moved: whoever looks until there is nothing new must look again.
    """
    found: dict[int, Process] = {}
    parents = [root]
    while parents:
        for pid in _children(parents.pop()):
            if pid in found or pid in spare:
                continue
            stat = _stat(pid)
            if stat is not None and (stat.parent == root or stat.parent in found):
                found[pid] = Process(pid, stat.start)
                parents.append(pid)
            else:
                found[pid] = Process(pid, 0)
    return set(found.values())


def _ancestors(pid: int) -> set[int]:
    """``pid`` and all above it."""
    found: set[int] = set()
    while pid and (stat := _stat(pid)):
        found.add(pid)
        pid = stat.parent
    return found


def _marked(marks: set[bytes]) -> set[Process]:
    """The processes that have one of ``marks`` in their environment, and what is below them."""
    spare = _ancestors(os.getpid())
    found: set[Process] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in spare:
            continue
        stat = _stat(int(entry.name))  # before the environment: if that pid is another one's by now, nobody is hit
        if stat and marks.intersection(_read(entry / "environ").split(b"\0")):
            found |= {Process(int(entry.name), stat.start)} | _below(int(entry.name), spare)
    return found
