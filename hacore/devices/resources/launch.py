"""The first moments of a service: what runs between the starter's spawn and the service's own program.

Run as a plain file by :mod:`hacore.devices.resources.process`, so it imports the standard library only:

    python -I -S launch.py LOCK REPORT DIRECTORY COMMAND [ARGUMENT ...]

LOCK is the descriptor whose lock stands for the life of the service, and which the service is to inherit. REPORT is a
pipe for the starter. A dot and then the end of the pipe: COMMAND runs. ``STEP ERRNO`` before the end: it does not, and
why. Nothing at all: this program did not get that far.
"""

# ruff: noqa: PTH123 -- every start waits for this program, and pathlib would double its time

from __future__ import annotations

import os
import signal
import sys
from itertools import pairwise


def record(lock: int) -> None:
    """Write into the lock file which process is the service's main one: pid, start in clock ticks, boot."""
    with open("/proc/self/stat", "rb") as file:
        started = file.read().rpartition(b")")[2].split()[19]
    with open("/proc/sys/kernel/random/boot_id", "rb") as file:
        boot = file.read().strip()
    line = b"%d %s %s\n" % (os.getpid(), started, boot)
    os.pwrite(lock, line, 0)
    os.ftruncate(lock, len(line))


def forget_privileges() -> None:
    """A daemon that guards services may be real-time and exempt from the OOM killer; the services must not be."""
    if os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK in (os.SCHED_FIFO, os.SCHED_RR):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.umask(0o022)
    with open("/proc/self/oom_score_adj", "r+") as file:
        if int(file.read()) < 0:
            file.seek(0)
            file.write("0")


def main(lock: int, report: int, directory: str, command: list[str]) -> int:
    """Become the service. Returns only if that fails, after the report."""
    step = "prepare"
    try:
        kept = sorted((2, lock, report, os.sysconf("SC_OPEN_MAX")))
        for below, above in pairwise(kept):
            os.closerange(below + 1, above)
        os.set_inheritable(report, False)
        forget_privileges()
        record(lock)
        # From /proc, not from os.environ: Python adds LC_CTYPE to its own environment in the C locale (PEP 538).
        with open("/proc/self/environ", "rb") as file:
            environment = dict(item.split(b"=", 1) for item in file.read().split(b"\0") if b"=" in item)
        step = "directory"
        os.chdir(directory)
        step = "command"
        os.write(report, b".")
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and exec would keep it so
            signal.signal(number, signal.SIG_DFL)
        os.execvpe(command[0], command, environment)
    except BrokenPipeError:
        pass  # the starter is dead; whoever comes after it sees that nothing runs, and starts again
    except OSError as error:
        os.write(report, f"{step} {error.errno}".encode())
    return 127


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]))
