"""Locks of processes: who holds one says its pid in it, and the kernel frees it when that process ends, however."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType


class AlreadyRuns(RuntimeError):  # noqa: N818 - it says what is the case
    """Another process holds the lock."""


class OnlyOne:
    """The lock in the file ``path``, held until :meth:`release`, or until this process ends. Raises AlreadyRuns."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.release()
            raise AlreadyRuns(f"another process holds {path}: it runs already") from None
        os.truncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        os.close(self._file)

    def __enter__(self) -> OnlyOne:
        return self

    def __exit__(self, kind: type[BaseException] | None, it: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def holder(path: Path) -> int | None:
    """The pid of who holds the lock, None if nobody does. Raises OSError if the file cannot be looked at.

    To look is to hold it for a moment: a process that wants it in that moment is refused, so it should try again.
    """
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        return int(os.read(file, 32) or b"0")  # 0: it has just taken it, and not yet said who it is
    finally:
        os.close(file)
