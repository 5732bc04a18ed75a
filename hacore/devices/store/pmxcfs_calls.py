"""Calls to pmxcfs from a process that must not hang: another one makes them, and is killed if it does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hacore.devices.clock import now_s
from hacore.devices.store import StoreError, pmxcfs_files

AGAIN_S = 5.0
"""A watching process that has ended is replaced no sooner than this after its start."""

_ending: list[subprocess.Popen[bytes]] = []
"""Killed processes: one that waits for pmxcfs ends when that answers, and is not waited for."""


class NoAnswerError(Exception):
    """In time, or because of something that may pass."""


def _spawn(what: str, path: Path, stdin: int, stdout: int) -> subprocess.Popen[bytes]:
    _ending[:] = [process for process in _ending if process.poll() is None]
    words = [sys.executable, "-I", "-S", pmxcfs_files.__file__, what, str(path)]
    return subprocess.Popen(words, stdin=stdin, stdout=stdout, start_new_session=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    _ending.append(process)


class Calls:
    """Requests of :mod:`hacore.devices.store.pmxcfs_files`, one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    def ask(self, request: Mapping[str, Any], until_s: float) -> dict[str, Any]:
        """The answer. Raises NoAnswerError if there is none by ``until_s``, StoreError if somebody must mend that."""
        try:
            answer = self._exchange(json.dumps(request).encode() + b"\n", until_s)
        except OSError as problem:
            self.close()
            raise NoAnswerError(f"{self._path}: no answer from pmxcfs ({problem})") from None
        except BaseException:  # an answer may follow that nobody has asked for
            self.close()
            raise
        if "done" in answer or "head" in answer:
            return answer
        self.close()
        if "mend" in answer:
            raise StoreError(answer["mend"])
        raise NoAnswerError(answer["trouble"])

    def close(self) -> None:
        """Whatever is asked now is asked of a new process."""
        if self._process:
            _end(self._process)
        if self._line:
            self._line.close()
        self._process = self._line = None

    def _exchange(self, request: bytes, until_s: float) -> dict[str, Any]:
        if self._line is None:
            self._line, theirs = socket.socketpair()
            with theirs:
                self._process = _spawn("answer", self._path, theirs.fileno(), theirs.fileno())
        self._line.settimeout(_left_s(until_s))
        self._line.sendall(request)
        said = bytearray()
        while not said.endswith(b"\n"):
            self._line.settimeout(_left_s(until_s))
            if not (more := self._line.recv(1 << 20)):
                raise ConnectionResetError("it has ended")
            said += more
        answer: dict[str, Any] = json.loads(said)
        return answer


def _left_s(until_s: float) -> float:
    left_s = until_s - now_s()
    if left_s <= 0:
        raise TimeoutError("timed out")
    return left_s


class Watch:
    """What another process has seen of the documents' revisions. Asking never waits: what hangs is that process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._told, self._begun_s = -1, 0.0
        self._rest = b""
        self._revisions: dict[str, int] = {}
        self._forgotten = 0

    def changed(self, since: int, prefixes: tuple[str, ...]) -> bool:
        """See :meth:`hacore.devices.store.Store.changed`."""
        with self._lock:
            self._hear()
            found = any(at > since and key.startswith(prefixes) for key, at in self._revisions.items())
            return found or since < self._forgotten

    def _hear(self) -> None:
        if self._process is None or (self._process.poll() is not None and now_s() > self._begun_s + AGAIN_S):
            self._end()
            self._told, tell = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self._told, False)
            self._process, self._begun_s, self._rest = _spawn("watch", self._path, subprocess.PIPE, tell), now_s(), b""
            os.close(tell)
        with suppress(BlockingIOError):
            while more := os.read(self._told, 1 << 20):
                self._rest += more
        *lines, self._rest = self._rest.split(b"\n")
        if lines:
            said = json.loads(lines[-1])
            self._revisions, self._forgotten = said["revisions"], said["forgotten"]

    def close(self) -> None:
        """See no more."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._process:
            assert self._process.stdin
            self._process.stdin.close()
            _end(self._process)
            os.close(self._told)
            self._process = None
