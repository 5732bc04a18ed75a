"""What may wait for a disk or the journal, done by a thread of its own, so that a loop that must not wait does not."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

MOST = 10_000
"""More is not kept: the disk hangs, and memory is needed for better things."""


class Aside:
    """Does one thing after the other. Make it once the process has its real-time priority, which the thread inherits:
    a thread of less priority could be kept from running while it holds the interpreter, which the loop then waits for.
    """

    def __init__(self) -> None:
        self._todo: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="aside", daemon=True)
        self._thread.start()

    def do(self, what: Callable[[], object]) -> None:
        """Do it when its turn comes, or never if the disk hangs. Never waits; an OSError is of no interest."""
        if self._todo.qsize() < MOST:
            self._todo.put(what)

    def say(self, what: str) -> None:
        """Print a line for the operator."""
        self.do(lambda: print(what, file=sys.stderr, flush=True))

    def end(self, within_s: float) -> None:
        """Let it finish, for so long at most."""
        self._todo.put(None)
        self._thread.join(within_s)

    def _run(self) -> None:
        while what := self._todo.get():
            with suppress(OSError):
                what()
