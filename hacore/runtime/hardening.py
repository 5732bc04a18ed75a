"""How a process makes sure to run in time: before others, always in memory, and killed last when that is short."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

MCL_CURRENT, MCL_FUTURE = 1, 2

_libc = ctypes.CDLL(None, use_errno=True)


def be_real_time(*, alone: bool = False) -> None:
    """Run before all ordinary processes (man 7 sched). ``alone``: children and new threads do not inherit it.

    Raises OSError if that is not allowed.
    """
    os.sched_setscheduler(0, os.SCHED_RR | (os.SCHED_RESET_ON_FORK if alone else 0), os.sched_param(1))


def stay_in_memory() -> None:
    """Never wait for a page from a disk (man 2 mlockall). Raises OSError if not allowed.

    Not allowed is also what has a limit: memory that may not be locked could then not be had at all.
    """
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY and not _may_lock():
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    if _libc.mlockall(MCL_CURRENT | MCL_FUTURE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _may_lock() -> bool:
    """Whether this process has CAP_IPC_LOCK, which knows no limit (man 7 capabilities)."""
    (capabilities,) = re.findall(r"^CapEff:\s*(\w+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return bool(int(capabilities, 16) >> 14 & 1)


def be_spared() -> None:
    """Be the last whom the kernel kills when memory is short (man 5 proc). Raises OSError if not allowed."""
    Path("/proc/self/oom_score_adj").write_text("-1000", encoding="ascii")


MEASURES: dict[str, Callable[[], None]] = {
    "real-time priority (CAP_SYS_NICE or LimitRTPRIO=1)": be_real_time,
    "locked memory (CAP_IPC_LOCK or LimitMEMLOCK=infinity)": stay_in_memory,
    "protection from the OOM killer (CAP_SYS_RESOURCE or OOMScoreAdjust=-1000)": be_spared,
}
"""What each gives, and what it takes."""


def harden() -> Iterator[str]:
    """Take all measures. Yields, for the operator, what was not allowed: the process is safe without, but may be late,
    and then its machine is reset needlessly."""
    for what, measure in MEASURES.items():
        try:
            measure()
        except OSError as problem:
            yield f"without {what}: {problem.strerror}"
