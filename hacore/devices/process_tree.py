"""Killing a whole tree of processes, and nothing else.

A process may leave its parent, its session and its process group, but not its *subreaper* (man 2 prctl,
PR_SET_CHILD_SUBREAPER): an orphan falls to the nearest ancestor that is one. So all that descends from a subreaper is
found below it for as long as it lives. To kill the tree is therefore:

1. stop the root (SIGSTOP): from now on no orphan can get past it, and it reaps nothing;
2. stop all that is found below it, again and again until a pass finds nothing new: now nothing forks any more, and
   nothing in the tree sees its neighbours die;
3. kill all below the root; when nobody is left, kill the root.

Below a root that is no subreaper this holds as well, but for an orphan made while step 2 goes on.

A signal reaches the process that was found or nobody, even if its pid has been given to another one meanwhile.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator

from hacore.devices.clock import now_s
from hacore.devices.proc import Process, alive, children, look, pids, read, send

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


def reap() -> Iterator[tuple[int, int]]:
    """Reap all children that have ended, those too that were never started here: their pids and exit codes."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, os.waitstatus_to_exitcode(status)


def descendants(pid: int) -> list[int]:
    """The pids of the living processes below ``pid``, which itself is not among them."""
    return sorted(process.pid for process in _below(pid) if alive(process))


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
    return sum(1 for process in kill.seen if process.started)


def _finish(kill: Kill, timeout_s: float, what: str) -> None:
    until_s = now_s() + timeout_s
    while not kill.step():
        if now_s() > until_s:
            raise TimeoutError(f"{what} cannot be killed: {', '.join(str(pid) for pid in kill.living())}")
        time.sleep(0.001)


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
        root = look(pid)
        return cls(lambda: _below(pid), root) if root else cls(set)

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
            send(process, signal.SIGKILL)
        if living or not settled:
            return False
        if self._root is None:
            return True
        send(self._root, signal.SIGKILL)
        return not alive(self._root)

    def living(self) -> list[Process]:
        """Those seen so far, besides the root, that are not dead yet."""
        return [process for process in sorted(self.seen) if alive(process)]

    def _stop_all(self) -> bool:
        """Stop everybody. True: the last pass found nobody new."""
        until_s = now_s() + STEP_S
        if self._root is not None:
            send(self._root, signal.SIGSTOP)
        while new := self._find() - self.seen:
            for process in new:
                send(process, signal.SIGSTOP)
            self.seen |= new
            if now_s() > until_s:
                return False
        return True


def _below(root: int, spare: Collection[int] = ()) -> set[Process]:
    """The descendants of ``root``, zombies too, without ``spare`` and what is below those.

    A child that vanished before it could be looked at is in the set with start time 0. It is nobody, but it shows that
    something moved: whoever looks until there is nothing new must look again.
    """
    found: dict[int, Process] = {}
    parents = [root]
    while parents:
        for pid in children(parents.pop()):
            if pid in found or pid in spare:
                continue
            process = look(pid)
            if process is not None and (process.parent == root or process.parent in found):
                found[pid] = process
                parents.append(pid)
            else:
                found[pid] = Process(pid, 0)
    return set(found.values())


def _ancestors(pid: int) -> set[int]:
    """``pid`` and all above it."""
    found: set[int] = set()
    while pid and (process := look(pid)):
        found.add(pid)
        pid = process.parent
    return found


def _marked(marks: set[bytes]) -> set[Process]:
    """The processes that have one of ``marks`` in their environment, and what is below them."""
    spare = _ancestors(os.getpid())
    found: set[Process] = set()
    for pid in pids():
        if pid in spare:
            continue
        process = look(pid)  # before the environment: if that pid is another one's by now, nobody is hit
        if process and marks.intersection((read(f"/proc/{pid}/environ") or b"").split(b"\0")):
            found |= {process} | _below(pid, spare)
    return found
