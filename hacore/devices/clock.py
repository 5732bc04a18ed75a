"""The clock by which everything on this machine measures time."""

import time
from pathlib import Path


def now_s() -> float:
    """CLOCK_BOOTTIME in seconds (man 2 clock_gettime): goes on while the machine is suspended, cannot be set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """The name of this boot: times are on one clock if they have it in common."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
