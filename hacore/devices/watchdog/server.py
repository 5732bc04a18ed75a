"""The multiplexer's socket: what its clients say, as messages; what it answers, sent back to them.

A client is a connection. It says JSON lines; ``n`` is its own count of them, and comes back with the answer:

    {"n": 1, "do": "open", "deadline_s": 61.0}        answered {"n": 1, "ok": true}
    {"n": 2, "do": "keepalive", "deadline_s": 71.0}       or   {"n": 2, "refused": "the deadline has passed"}
    {"n": 3, "do": "close"}

``deadline_s`` is absolute, on CLOCK_BOOTTIME. A client that hangs up, says anything else, or does not read its answers
is gone; the multiplexer hears that once, after all that the client said before.
"""

from __future__ import annotations

import selectors
from collections import deque
from pathlib import Path

from hacore.devices import unix_socket
from hacore.devices.clock import now_s
from hacore.devices.unix_socket import Connection, Server, number
from hacore.protocol.requests import Accepted, Message, Refused

MOST_UNANSWERED = 64
"""A client waits for each answer before it asks again, or at least gives up in between. More is a flood."""


class _Client:
    """A connection that has said something."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.unanswered: deque[int] = deque()


class ClientSocket:
    """Listens at ``path`` and talks with all clients. Nothing is read or sent but inside its methods.

    Raises OSError with EADDRINUSE if a live multiplexer listens at ``path``; a dead one's socket file is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._selector = selectors.DefaultSelector()
        self._received: deque[Message] = deque()
        self._clients: dict[int, _Client] = {}
        self._server = Server(path, self._selector, self._on_message, self._on_gone)

    def receive(self, until_s: float) -> Message | None:
        """The next message: ``open``, ``keepalive``, ``close`` or ``gone``; None if there is none by ``until_s``.

        ``until_s`` is on CLOCK_BOOTTIME. If it is past, what has come already is still received. A client that never
        said anything is never gone.
        """
        while not self._received:
            over = now_s() >= until_s
            unix_socket.serve(self._selector, until_s)
            if over:
                break
        return self._received.popleft() if self._received else None

    def reply(self, client: int, answer: Accepted | Refused) -> None:
        """Answer the earliest message of ``client`` that has no answer yet; nothing happens if the client is gone."""
        known = self._clients.get(client)
        if known is None:
            return
        n = known.unanswered.popleft()
        known.connection.send(
            {"n": n, "ok": True} if isinstance(answer, Accepted) else {"n": n, "refused": answer.reason}
        )

    def close(self) -> None:
        """Hang up on everybody and remove the socket file."""
        self._server.close()
        self._selector.close()

    def _on_message(self, connection: Connection, said: unix_socket.Message) -> None:
        verb, n = said.get("do"), said.get("n")
        if verb not in ("open", "keepalive", "close") or not isinstance(n, int):
            raise ValueError("the multiplexer does not understand this")
        message = Message(connection.number, verb, 0.0 if verb == "close" else number(said, "deadline_s"))
        client = self._clients.setdefault(connection.number, _Client(connection))
        if len(client.unanswered) >= MOST_UNANSWERED:
            raise ValueError("a flood")
        client.unanswered.append(n)
        self._received.append(message)

    def _on_gone(self, connection: Connection) -> None:
        if self._clients.pop(connection.number, None) is not None:
            self._received.append(Message(connection.number, "gone"))
