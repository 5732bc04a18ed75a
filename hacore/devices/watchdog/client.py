"""A daemon's end of the multiplexer's socket. :mod:`hacore.devices.watchdog.server` describes what is said there.

A connection is a client: it is opened for each ``open`` and lives until ``close``. If it ends otherwise, the
multiplexer takes the daemon for dead and lets its deadline pass. So a process that forks without exec must not keep
the connection in its children: it would outlive the daemon in them.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from hacore.devices.clock import now_s
from hacore.devices.unix_socket import Caller, Message
from hacore.protocol.requests import Accepted, Refused

NO_ANSWER = Refused("the multiplexer does not answer in time")


class WatchdogClient:
    """Asks the multiplexer at ``path``. Every method returns within ``timeout_s`` and raises nothing.

    A multiplexer that is dead, absent or slow is one that refuses.
    """

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._caller: Caller | None = None
        self._asked = 0

    def open(self, deadline_s: float) -> Accepted | Refused:
        """Become a client: the node is reset at ``deadline_s`` (CLOCK_BOOTTIME) unless a later one is told before.

        Refused means: this process is no client.
        """
        until_s = now_s() + self._timeout_s
        if self._caller is not None:
            if not self._caller.is_cut():
                return Refused("already open")
            self._drop()
        try:
            self._caller = Caller(self._path, self._timeout_s)
        except OSError as problem:
            return Refused(f"no multiplexer: {_reason(problem)}")
        answer = self._ask("open", deadline_s, until_s)
        if isinstance(answer, Refused):
            if answer == NO_ANSWER:
                self._withdraw()
            self._drop()
        return answer

    def keepalive(self, deadline_s: float) -> Accepted | Refused:
        """Move the deadline. Refused: it may have been moved nevertheless, if no answer came in time."""
        return self._ask("keepalive", deadline_s, now_s() + self._timeout_s)

    def close(self) -> Accepted | Refused:
        """Stop being a client. Refused: this process may still be one.

        If no answer comes in time the connection is given up all the same: the multiplexer hears the ``close`` before
        it hears that the connection has ended, and this process may open again.
        """
        answer = self._ask("close", None, now_s() + self._timeout_s)
        if isinstance(answer, Accepted) or answer == NO_ANSWER:
            self._drop()
        return answer

    def _ask(self, verb: str, deadline_s: float | None, until_s: float) -> Accepted | Refused:
        if self._caller is None:
            return Refused("not open")
        self._asked += 1
        question: Message = {"n": self._asked, "do": verb}
        if deadline_s is not None:
            question["deadline_s"] = deadline_s
        try:
            self._caller.send(question, until_s - now_s())
        except (OSError, ValueError) as problem:  # a line half sent, or never to be sent: nothing more can be said
            self._drop()
            return Refused(_reason(problem))
        return self._answer(self._caller, until_s)

    def _answer(self, caller: Caller, until_s: float) -> Accepted | Refused:
        """The answer to the question asked last. Those that came too late to earlier ones are passed over."""
        while True:
            try:
                answer = caller.receive(until_s)
            except TimeoutError:
                return NO_ANSWER
            except OSError as problem:
                self._drop()
                return Refused(f"the multiplexer died: {_reason(problem)}")
            if answer.get("n") == self._asked:
                return Accepted() if answer.get("ok") is True else Refused(str(answer.get("refused")))

    def _withdraw(self) -> None:
        """The multiplexer may take up the ``open`` yet. It is to know that its client went, and did not die."""
        if self._caller is not None:
            with suppress(OSError):
                self._caller.send({"n": self._asked + 1, "do": "close"}, 0.0)

    def _drop(self) -> None:
        if self._caller is not None:
            self._caller.close()
            self._caller = None


def _reason(problem: Exception) -> str:
    return getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
