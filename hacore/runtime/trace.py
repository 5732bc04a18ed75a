"""The trace of a daemon: one JSON line for each request with its answer, and for each row that fired.

Lines have ``t`` (CLOCK_BOOTTIME, seconds), ``node``, ``daemon``, and either ``row`` with ``from``, ``to`` and the
``facts`` that held, or ``say`` with what it is ``about``, or ``ask`` with the request's kind and fields, and its
``answer``. What a request does not show in its ``repr`` may be secret, and is left out. A line of a daemon that was
killed meanwhile may be cut off, so readers pass over what is no JSON.
"""

from __future__ import annotations

import logging
import os
from dataclasses import fields
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import msgspec

from hacore.devices.clock import now_s
from hacore.protocol.requests import Fired, Request, Say

MOST_BYTES = 16 * 1024 * 1024
"""A trace file's size; one older file of the same size is kept."""

_encode = msgspec.json.Encoder().encode


class Trace:
    """Appends to ``path``, line by line; what is written is there when the process is killed. Threads may share it."""

    def __init__(self, path: Path, node: str, daemon: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.about = {"node": node, "daemon": daemon}
        _end_last_line(path)
        self._file = RotatingFileHandler(path, maxBytes=MOST_BYTES, backupCount=1, encoding="utf-8")

    def note(self, request: Request[Any], answer: object) -> None:
        """Write one line."""
        line = {"t": round(now_s(), 6), **self.about, **_told(request, answer)}
        self.write(_encode(line).decode())

    def write(self, line: str) -> None:
        """Append it to the file; may have to wait for a disk."""
        self._file.handle(logging.LogRecord("trace", logging.INFO, "", 0, line, None, None))  # one thread at a time

    def close(self) -> None:
        self._file.close()


def _end_last_line(path: Path) -> None:
    """Whoever was killed in the midst of a line has left half of it. What comes next is not to be lost with it."""
    with path.open("ab+") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")


def _told(request: Request[Any], answer: object) -> dict[str, Any]:
    if isinstance(request, Fired):
        return {"row": request.row, "from": request.state, "to": request.target, "facts": request.facts}
    if isinstance(request, Say):
        return {"say": request.event, "about": request.fields}
    kind = type(answer).__name__
    secret = {each.name for each in fields(request) if not each.repr}  # type: ignore[arg-type] # all are dataclasses
    about = {name: value for name, value in msgspec.to_builtins(request).items() if name not in secret}
    told = {"ask": type(request).__name__, **about}
    return {**told, "answer": answer if kind in {"float", "bool", "NoneType", "tuple", "frozenset"} else {kind: answer}}
