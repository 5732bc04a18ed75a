"""Running a helper program to its end, and no longer than it may take: systemctl, resource agents, qm.

It runs in a session of its own. At the deadline its process group is told to end, and killed GRACE_S later. A helper
may leave a daemon behind that inherited its output: so what counts is the end of the helper, not that of its pipes.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hacore.devices.clock import now_s
from hacore.devices.resources.base import ResourceError

GRACE_S = 2.0
"""From SIGTERM to SIGKILL: a helper may have something to put in order."""
KILL_WAIT_S = 1.0
"""How long a helper may live on after SIGKILL: it may be in an uninterruptible sleep."""
OUTPUT_CAP_BYTES = 1024 * 1024
"""Of longer output the end is kept."""
OOM_SCORE = Path("/proc/self/oom_score_adj")

_WRAP = ["choom", "-n", "0", "--"]

# What systemd tells this daemon about itself is not meant for others (systemd.exec(5), sd_notify(3)).
_OURS = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "MAINPID"}
_OURS |= {"INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "CREDENTIALS_DIRECTORY", "RUNTIME_DIRECTORY"}


@dataclass(frozen=True, slots=True)
class Answer:
    """How a helper ended: its exit code (or minus the signal that ended it), and what it said."""

    code: int
    output: str
    errors: str

    @property
    def why(self) -> str:
        """The last that it said, in one line, and its exit code."""
        lines = (self.errors.strip() or self.output.strip()).splitlines()
        return f"{lines[-1].strip()} (exit code {self.code})" if lines else f"exit code {self.code}"


def run(sid: str, words: Sequence[str], timeout_s: float, variables: Mapping[str, str] | None = None) -> Answer:
    """Run a helper to its end, with ``variables`` added to the environment.

    Raises :class:`ResourceError`, about ``sid``, if it cannot be run or has not ended within ``timeout_s``. What it was
    to do may have been done all the same; nothing of it goes on, unless the kernel cannot kill it.
    """
    try:
        child = subprocess.Popen(
            [*_ordinary(), *words],
            env=environment() | dict(variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise ResourceError(f"{sid}: cannot run {words[0]}: {error.strerror}") from error
    assert child.stdout
    assert child.stderr
    said = {child.stdout: b"", child.stderr: b""}
    ended = os.pidfd_open(child.pid)
    try:
        if not _listen(ended, said, timeout_s):
            _end(child.pid, ended, said)
            raise ResourceError(f"{sid}: '{' '.join(words)}' has not ended within {timeout_s:g} s")
        child.wait()
    finally:
        child.poll()
        for file in said:
            file.close()
        os.close(ended)
    output, errors = (text.decode(errors="replace") for text in said.values())
    return Answer(child.returncode, output, errors)


def environment() -> dict[str, str]:
    """This daemon's environment, without what is meant for it alone."""
    return {name: value for name, value in os.environ.items() if name not in _OURS}


def _ordinary() -> list[str]:
    """The words before a command by which it is not exempt from the OOM killer, as this daemon may be."""
    return _WRAP if int(OOM_SCORE.read_text()) < 0 else []


def _listen(ended: int, said: dict[IO[bytes], bytes], within_s: float) -> bool:
    """Take in what the helper says until it has ended; False if it has not, ``within_s`` from now."""
    until_s = now_s() + within_s
    with selectors.DefaultSelector() as events:
        events.register(ended, selectors.EVENT_READ)
        for file in said:
            os.set_blocking(file.fileno(), False)
            events.register(file, selectors.EVENT_READ)
        while ready := events.select(max(0.0, until_s - now_s())):
            # The end is looked at first: all that was said before it is in the pipes by now.
            over = any(key.fileobj == ended for key, _ in ready)
            for file in said:
                if not _take(file, said) and file in events.get_map():
                    events.unregister(file)
            if over:
                return True
            if now_s() >= until_s:
                break
    return False


def _take(file: IO[bytes], said: dict[IO[bytes], bytes]) -> bool:
    """Take what is in the pipe, a capful at most; False at its end."""
    with suppress(BlockingIOError):
        more = os.read(file.fileno(), OUTPUT_CAP_BYTES)
        said[file] = (said[file] + more)[-OUTPUT_CAP_BYTES:]
        return more != b""
    return True


def _end(group: int, ended: int, said: dict[IO[bytes], bytes]) -> None:
    """The helper is not waited for before the last signal, so its process group is still its own."""
    for number, wait_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, KILL_WAIT_S)):
        with suppress(ProcessLookupError):
            os.killpg(group, number)
        _listen(ended, said, wait_s)
