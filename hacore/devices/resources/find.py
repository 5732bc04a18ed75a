"""Telling which processes of this machine belong to a service."""

# ruff: noqa: PTH116, PTH208 -- one look reads thousands of files, and most of the time would go into Path

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from hacore.devices import proc
from hacore.devices.proc import GONE, Process


def look(pid: int) -> Process | None:
    """The process with this pid, or None if there is none, or only a zombie, or a thread of the kernel."""
    found = proc.look(pid)
    return found if found and found.lives and not found.kernel else None


def newest_first() -> Iterator[Process]:
    """All processes but this one, each as it is when it is asked for; the highest pid, most often the newest, first."""
    return (found for pid in sorted(proc.pids(), reverse=True) if pid != os.getpid() and (found := look(pid)))


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


def words(process: Process) -> list[str]:
    """The process's command line; or one word, where it has replaced that by a title."""
    return os.fsdecode((proc.read(f"/proc/{process.pid}/cmdline") or b"").rstrip(b"\0")).split("\0")


def in_cgroup(processes: Iterable[Process], path: str) -> set[int]:
    """The pids of the processes in the control group ``path`` or below it, where systemd's own is ``/init.scope``."""
    tops = {group.removesuffix("/init.scope").rstrip("/") for group in _cgroups(1)}
    if not tops:
        raise PermissionError("the control groups of processes cannot be seen (/proc/1/cgroup)")
    places = {top + path for top in tops}
    return {
        process.pid
        for process in processes
        if any(group in places or group.startswith(tuple(f"{it}/" for it in places)) for group in _cgroups(process.pid))
    }


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


def _faces(process: Process) -> list[str]:
    """The directories below /proc which show the process: its own, or that of each thread once the first has ended."""
    return proc.threads(process.pid) if process.headless else [f"/proc/{process.pid}"]


def _environment(process: Process) -> bytes | None:
    """What the process was started with, as NAME=value with a zero byte after each; None if that cannot be seen."""
    seen = [text for face in _faces(process) if (text := proc.read(f"{face}/environ")) is not None]
    return b"".join(seen) if seen else None


def _cgroups(pid: int) -> set[str]:
    """The process's control groups, one a hierarchy (man 7 cgroups): ``0::/system.slice/ssh.service``."""
    return {line.split(":", 2)[2] for line in os.fsdecode(proc.read(f"/proc/{pid}/cgroup") or b"").splitlines()}


def _holds(face: str, file: os.stat_result, byte: int) -> bool:
    try:
        descriptors = os.listdir(f"{face}/fd")
    except (*GONE, PermissionError):
        return False
    for fd in descriptors:
        try:
            if not os.path.samestat(os.stat(f"{face}/fd/{fd}"), file):
                continue
        except (*GONE, PermissionError):
            continue
        lines = (proc.read(f"{face}/fdinfo/{fd}") or b"").splitlines()
        if any(b"OFDLCK" in line and line.split()[-2:] == [b"%d" % byte] * 2 for line in lines):
            return True
    return False
