"""Processes as /proc shows them (man 5 proc), and signals that reach the one that is meant or nobody.

A process that ends while it is looked at counts as gone, and so does one that is not ours to see: /proc may be mounted
to hide those of other users (hidepid). Errors that are not about one process (no descriptors left, say) are raised as
OSError: they must not be taken for "no such process".
"""

# ruff: noqa: PTH123, PTH208 -- one look reads thousands of files, and most of the time would go into Path

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field

GONE = (FileNotFoundError, ProcessLookupError)

_PF_KTHREAD = 0x00200000  # include/linux/sched.h


@dataclass(frozen=True, slots=True, order=True)
class Process:
    """A process, and what one look has shown of it.

    ``pid`` and ``started`` (clock ticks since boot) name it for all time, for pids are used again; only they are
    compared.
    """

    pid: int
    started: int
    parent: int = field(default=0, compare=False)
    session: int = field(default=0, compare=False)
    lives: bool = field(default=False, compare=False)
    """Whether it can still do anything: a zombie cannot, unless only its first thread has ended."""
    headless: bool = field(default=False, compare=False)
    """Its first thread has ended; while others go on, the files of ``/proc/PID`` itself are empty."""
    kernel: bool = field(default=False, compare=False)
    """A thread of the kernel."""


def look(pid: int) -> Process | None:
    """The process with this pid, be it a zombie; None if there is none."""
    stat = read(f"/proc/{pid}/stat")
    if not stat:
        return None
    # The second field is the command's name in parentheses and may hold anything; the third one comes after the last ).
    state, parent, _, session, _, _, flags, *rest = stat[stat.rindex(b")") + 2 :].split(None, 20)
    return Process(
        pid,
        started=int(rest[12]),
        parent=int(parent),
        session=int(session),
        lives=state not in b"ZXx" or int(rest[10]) > 1,
        headless=state == b"Z",
        kernel=bool(int(flags) & _PF_KTHREAD),
    )


def alive(process: Process) -> bool:
    """Whether this very process lives now."""
    now = look(process.pid)
    return now is not None and now == process and now.lives


def send(process: Process, number: signal.Signals) -> None:
    """Signal this very process, if it is there and this user may; never another one that got its pid.

    The pidfd is opened before the start time is compared, so it is that process's or, if it has ended since, nobody's.
    """
    try:
        pidfd = os.pidfd_open(process.pid)
    except GONE:
        return
    try:
        if look(process.pid) == process:
            signal.pidfd_send_signal(pidfd, number)
    except (ProcessLookupError, PermissionError):
        pass  # whether it is gone is for the next look to say
    finally:
        os.close(pidfd)


def pids() -> list[int]:
    """Of all processes there are."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def threads(pid: int) -> list[str]:
    """The directories that show the threads of a process; none if it is gone."""
    try:
        return [f"/proc/{pid}/task/{thread}" for thread in os.listdir(f"/proc/{pid}/task")]
    except GONE:
        return []


def children(pid: int) -> Iterator[int]:
    """The children of all threads of a process (CONFIG_PROC_CHILDREN, which distributions set)."""
    for thread in threads(pid):
        yield from map(int, (read(f"{thread}/children") or b"").split())


def read(path: str) -> bytes | None:
    """What a file of /proc says; None if its process is gone, or not ours to look at."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except (*GONE, PermissionError):
        return None
