"""What /proc says about the processes of this machine (man 5 proc), for telling which of them belong to a service.

Processes that end while they are being looked at count as gone. Errors that are not about one process (no descriptors
left, say) are raised as OSError: they must not be taken for "no such process".
"""

# ruff: noqa: PTH116, PTH123, PTH208 -- one look reads thousands of files, and most of the time would go into Path

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_PF_KTHREAD = 0x00200000  # include/linux/sched.h
_GONE = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True, slots=True)
class Process:
    """A living process. ``pid`` and ``started`` (clock ticks since boot) together name it: pids are used again."""

    pid: int
    started: int
    parent: int
    session: int
    headless: bool = False
    """Its first thread has ended while others go on; the files of ``/proc/PID`` itself are then empty."""


def look(pid: int) -> Process | None:
    """The process with this pid, or None if there is none, or only a zombie, or a thread of the kernel."""
    try:
        stat = _read(f"/proc/{pid}/stat")
    except (*_GONE, PermissionError):  # /proc may be mounted to hide other users' processes (hidepid)
        return None
    # The second field is the command's name in parentheses and may hold anything; the third one comes after the last ).
    state, parent, _, session, _, _, flags, *rest = stat[stat.rindex(b")") + 2 :].split()
    headless = state == b"Z"
    if state in b"Xx" or int(flags) & _PF_KTHREAD or (headless and int(rest[10]) <= 1):
        return None
    return Process(pid, int(rest[12]), int(parent), int(session), headless)


def newest_first() -> Iterator[Process]:
    """All processes but this one, each as it is when it is asked for; the highest pid, most often the newest, first."""
    pids = sorted((int(name) for name in os.listdir("/proc") if name.isdecimal()), reverse=True)
    return (found for pid in pids if pid != os.getpid() and (found := look(pid)))


def living() -> dict[int, Process]:
    """All processes by pid, but for this one itself."""
    return {process.pid: process for process in newest_first()}


def carrying(processes: Iterable[Process], variable: bytes) -> set[int]:
    """The pids of the processes that were started with ``NAME=value`` in their environment, or forked from such.

    Processes whose environment this user may not read are left out.
    """
    found: set[int] = set()
    unclear = list(processes)
    # In the middle of an exec a process shows no environment, for microseconds: look again at those that show none.
    for pause_s in (0, 0.001, 0.002):
        time.sleep(pause_s if unclear else 0)
        environments = [(process, _environment(process)) for process in unclear]
        found |= {process.pid for process, text in environments if b"\0" + variable + b"\0" in b"\0" + (text or b"")}
        unclear = [process for process, text in environments if text == b""]
    return found


def holding(processes: Iterable[Process], path: Path, byte: int) -> set[int]:
    """The pids of the processes that hold the lock of :mod:`ofd` on ``byte`` of the file, as far as one may see.

    A descriptor's locks are in its fdinfo: ``lock: 1: OFDLCK ADVISORY WRITE -1 fe:00:2215253 0 0``; at the end, the
    first and the last byte.
    """
    try:
        file = os.stat(path)
    except FileNotFoundError:
        return set()
    return {process.pid for process in processes if any(_holds(face, file, byte) for face in _faces(process))}


def with_descendants(processes: Mapping[int, Process], pids: Iterable[int]) -> list[Process]:
    """The processes with these pids, their children, the children of those, and so on."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: dict[int, Process] = {}
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found[pid] = processes[pid]
            waiting += children.get(pid, [])
    return list(found.values())


def send(process: Process, number: signal.Signals) -> None:
    """Signal exactly this process, if it still lives and this user may; never another one that got its pid."""
    try:
        fd = os.pidfd_open(process.pid)
    except _GONE:
        return
    try:
        if alive(process):
            signal.pidfd_send_signal(fd, number)
    except (ProcessLookupError, PermissionError):
        pass  # whether the process is gone is for the next look to say
    finally:
        os.close(fd)


def alive(process: Process) -> bool:
    """Whether the process still lives; a zombie does not."""
    now = look(process.pid)
    return now is not None and now.started == process.started


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def _faces(process: Process) -> Iterator[str]:
    """The directories below /proc which show the process: its own, or that of each thread once the first has ended."""
    if not process.headless:
        yield f"/proc/{process.pid}"
        return
    try:
        threads = os.listdir(f"/proc/{process.pid}/task")
    except _GONE:
        return
    yield from (f"/proc/{process.pid}/task/{thread}" for thread in threads)


def _environment(process: Process) -> bytes | None:
    """What the process was started with, as NAME=value with a zero byte after each; None if that cannot be seen."""
    seen = None
    for face in _faces(process):
        try:
            seen = (seen or b"") + _read(f"{face}/environ")
        except (*_GONE, PermissionError):
            continue
    return seen


def _holds(face: str, file: os.stat_result, byte: int) -> bool:
    try:
        descriptors = os.listdir(f"{face}/fd")
    except (*_GONE, PermissionError):
        return False
    for fd in descriptors:
        try:
            if not os.path.samestat(os.stat(f"{face}/fd/{fd}"), file):
                continue
            lines = _read(f"{face}/fdinfo/{fd}").splitlines()
        except (*_GONE, PermissionError):
            continue
        if any(b"OFDLCK" in line and line.split()[-2:] == [b"%d" % byte] * 2 for line in lines):
            return True
    return False
