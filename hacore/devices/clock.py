"""The clock by which everything on this machine measures time."""

import time


def now_s() -> float:
    """CLOCK_BOOTTIME in seconds (man 2 clock_gettime): goes on while the machine is suspended, cannot be set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
