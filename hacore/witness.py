"""What shows an observer, without asking the cluster, whether a service ever ran twice.

The observer puts the demonstration service under the cluster's care on every node, over a directory all of them share:

    python -m hacore.witness serve DIRECTORY SID NODE

It takes DIRECTORY/SID.lock and tells DIRECTORY/witness.jsonl. The kernel gives the lock to one process at a time and
drops it when that one has died, so whoever finds it taken has seen the service run twice and says ``overlap``. A holder
that is stopped, or that its node has forgotten, still holds it. All processes must be on one machine.

No part of the cluster imports this, and it imports nothing of the cluster: ``python -I -S witness.py serve ...`` works
as well, and starts quickly.
"""

# ruff: noqa: PTH118, PTH123, PTH208 -- pathlib takes long to import

from __future__ import annotations

import fcntl
import json
import os
import signal
import struct
import sys
import time

TYPE_CHECKING = False  # typing takes longer to import than all the rest
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypeAlias

    Event: TypeAlias = dict[str, Any]
    """A line of witness.jsonl: t (CLOCK_BOOTTIME, s), event (up, down, overlap), sid, node, pid; overlap: holder."""

LOG = "witness.jsonl"

# struct flock (man 2 fcntl_locking): l_type, l_whence, l_start, l_len, l_pid, and padding to the alignment of off_t.
_FLOCK = "hhqqi0q"

_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"


# --------------------------------------------------------------------------------------------- the observer


def read(directory: str | os.PathLike[str]) -> list[Event]:
    """All events in the order in which they were written; none if there is no file yet.

    A last line that is only half there is left out. Raises ValueError for any other line that is no event: what an
    observer cannot read he must not take for good news.
    """
    try:
        with open(os.path.join(directory, LOG), encoding="utf-8") as file:
            lines = file.read().split("\n")
    except FileNotFoundError:
        return []
    whole = lines[:-1]  # what comes after the last newline is empty, or half a line
    try:
        return [json.loads(line) for line in whole]
    except ValueError as error:
        raise ValueError(f"{LOG}: not an event: {error}") from error


def overlaps(events: Iterable[Event]) -> list[Event]:
    """The events that say: this service was started while it ran elsewhere."""
    return [event for event in events if event["event"] == "overlap"]


def running(directory: str | os.PathLike[str]) -> dict[str, tuple[str, int]]:
    """Which services run now, with node and pid, by what the kernel says about the locks; none of them is touched."""
    found = {}
    for name in os.listdir(directory):
        if name.endswith(".lock"):
            holder = _holder(os.path.join(directory, name))
            if holder:
                found[_decoded(name.removesuffix(".lock"))] = holder
    return found


def _holder(path: str) -> tuple[str, int] | None:
    """Node and pid of the process that has the lock. The node is "?" if it has not come to saying so."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for _ in range(20):
            kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_GETLK, _flock()))
            if kind == fcntl.F_UNLCK:
                return None
            told = _told(fd)
            if told["pid"] in _names(pid):
                return told["node"], pid
            time.sleep(0.005)  # it has the lock, and writes who it is in a moment
        return "?", pid
    finally:
        os.close(fd)


def _names(pid: int) -> list[int]:
    """By which pids a process is known: in a PID namespace it calls itself otherwise (man 7 pid_namespaces)."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
            (names,) = [line.split()[1:] for line in status if line.startswith("NSpid:")]
    except (OSError, ValueError):  # it has just ended
        return [pid]
    return [int(name) for name in names]


# --------------------------------------------------------------------------------------------- the demonstration


def serve(directory: str, sid: str, node: str) -> None:
    """Run until SIGTERM or SIGINT; what becomes known meanwhile goes to DIRECTORY/witness.jsonl."""
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # they are waited for: nothing is ever half done
    lock = os.open(os.path.join(directory, _encoded(sid) + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    log = os.open(os.path.join(directory, LOG), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    me = {"sid": sid, "node": node, "pid": os.getpid()}
    if not _try_lock(lock):
        _append(log, {"event": "overlap", **me, "holder": _told(lock)})
        while not _try_lock(lock):
            if signal.sigtimedwait(ends, 0.01):
                return
    line = (json.dumps(me) + "\n").encode()
    os.pwrite(lock, line, 0)  # the first line counts, so a reader never finds it missing
    os.ftruncate(lock, len(line))
    _append(log, {"event": "up", **me})
    signal.sigwait(ends)
    _append(log, {"event": "down", **me})


def _append(log: int, event: Event) -> None:
    line = (json.dumps({"t": time.clock_gettime(time.CLOCK_BOOTTIME), **event}) + "\n").encode()
    if os.write(log, line) != len(line):  # one write, so that lines of several processes do not mix
        raise OSError("half a line was written: is the disk full?")


def _flock() -> bytes:
    return struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def _try_lock(fd: int) -> bool:
    # A lock of the process, not of the open file: no child inherits it, and the kernel tells who has it (F_GETLK).
    try:
        fcntl.fcntl(fd, fcntl.F_SETLK, _flock())
    except (BlockingIOError, PermissionError):
        return False
    return True


def _told(fd: int) -> Event:
    """What the process that wrote it last says about itself."""
    try:
        told: Event = json.loads(os.pread(fd, 4096, 0).split(b"\n")[0])
    except ValueError:  # nobody has written yet
        told = {"node": "?", "pid": 0}
    return told


def _encoded(sid: str) -> str:
    """A file name for any id: bytes that are not plain become %XX."""
    return "".join(chr(byte) if chr(byte) in _PLAIN else f"%{byte:02X}" for byte in sid.encode())


def _decoded(name: str) -> str:
    first, *rest = name.encode().split(b"%")
    return (first + b"".join(bytes([int(part[:2], 16)]) + part[2:] for part in rest)).decode()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", directory, sid, node]:
            serve(directory, sid, node)
        case _:
            sys.exit("usage: witness.py serve DIRECTORY SID NODE")
