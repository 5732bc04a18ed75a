"""The trace of a daemon: one JSON line for each request with its answer, and for each row that fired.

What a line says is described in :mod:`hacore.trace.lines`. A line of a daemon that was killed meanwhile may be cut off,
so readers pass over what is no JSON.
"""

from __future__ import annotations

import logging
import os
from copy import copy
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import msgspec

from hacore.devices.clock import boot_id, now_s
from hacore.protocol.requests import Job, Request
from hacore.protocol.timing import Timing
from hacore.trace.lines import begun, told

MOST_BYTES = 16 * 1024 * 1024
"""A trace file's size; one older file of the same size is kept."""

_encode = msgspec.json.Encoder().encode


class Trace:
    """Appends to ``path``, line by line; what is written is there when the process is killed. Threads may share it."""

    def __init__(self, path: Path, node: str, daemon: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.about = {"node": node, "daemon": daemon}
        _end_last_line(path)
        self._file = _File(path, maxBytes=MOST_BYTES, backupCount=1, encoding="utf-8")

    def begin(self, timing: Timing) -> None:
        """Say that a process begins; and say so again at the head of each file that is begun meanwhile."""
        line = {"t": round(now_s(), 6), **self.about, **begun(boot_id(), timing)}
        self._file.head = _encode({**line, "again": True}).decode() + "\n"
        self._tell(line)

    def of(self, job: Job) -> Trace:
        """The same trace, for a worker: its lines name its job."""
        mine = copy(self)
        mine.about = {**self.about, "worker": job.sid, "uid": job.uid}
        return mine

    def note(self, request: Request[Any], answer: object) -> None:
        """Write one line."""
        self._tell({"t": round(now_s(), 6), **self.about, **told(request, answer)})

    def _tell(self, line: dict[str, Any]) -> None:
        self.write(_encode(line).decode())

    def write(self, line: str) -> None:
        """Append it to the file; may have to wait for a disk."""
        self._file.handle(logging.LogRecord("trace", logging.INFO, "", 0, line, None, None))  # one thread at a time

    def close(self) -> None:
        self._file.close()


class _File(RotatingFileHandler):
    head = ""

    def doRollover(self) -> None:  # noqa: N802 - its family's name
        super().doRollover()
        if self.head and self.stream:
            self.stream.write(self.head)


def _end_last_line(path: Path) -> None:
    """Whoever was killed in the midst of a line has left half of it. What comes next is not to be lost with it."""
    with path.open("ab+") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
