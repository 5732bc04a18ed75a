"""Open file description locks on single bytes of a file (man 2 fcntl_locking, F_OFD_*).

Such a lock belongs to the open file description: every process that inherited the descriptor holds it, and the kernel
drops it when the last of them has closed it or has died. Unlike with flock(2), anybody can ask whether a byte is locked
without locking it for even a moment, so looking never gets in the way of taking.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

# struct flock on 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid, and padding to the alignment of off_t.
_FLOCK = "hhqqi0q"


def _flock(kind: int, byte: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, byte, 1, 0)


def try_lock(fd: int, byte: int) -> bool:
    """Lock ``byte`` for the description of ``fd``, open for writing. False: another description has it locked."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock(fcntl.F_WRLCK, byte))
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, man 2 fcntl_locking
        return False
    return True


def unlock(fd: int, byte: int) -> None:
    """Unlock ``byte`` now, even if copies of ``fd`` are still open in this or another process."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock(fcntl.F_UNLCK, byte))


def locked(path: Path, byte: int) -> bool:
    """Whether anybody has locked ``byte`` of the file. A file that does not exist is not locked."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _flock(fcntl.F_WRLCK, byte))
    finally:
        os.close(fd)
    return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)
