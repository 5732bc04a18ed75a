"""An emulated hardware watchdog: the site keeps it, a node's multiplexer opens it through a unix socket.

It behaves as /dev/watchdog does (Documentation/watchdog/watchdog-api.rst in the kernel's source): one opener at a time,
armed by opening, fed by writing, disarmed only by closing after the magic letter. It is stricter in one thing: what an
opener left armed cannot be opened again before a power cycle, since to open and close it properly would disarm it.

A connection is an open file. Its messages are JSON lines; ``t`` is when the client called, on the CLOCK_BOOTTIME that
both ends share:

    {"do": "open", "timeout_s": 10.0, "t": 52.1}   answered {"ok": true}, {"error": "EBUSY"} or {"error": "EINVAL"}
    {"do": "feed", "t": 54.1}                      not answered; takes back a magic before it
    {"do": "magic"}                                not answered; if the connection ends now, the watchdog is disarmed

The timeout counts from ``t``: real hardware has no queue, so time spent in ours must not make the timeout longer.
"""

from __future__ import annotations

import errno
import os
import selectors
from pathlib import Path

from hacore.devices.clock import now_s
from hacore.devices.unix_socket import Caller, Connection, Message, Server, number

ANSWER_S = 1.0
"""How long a client waits for the hardware, which answers at once if it works at all."""


class EmulatedWatchdog:
    """The hardware's end, in the loop of its owner, who is to reset the machine at ``expires_s``.

    Raises OSError if ``path`` cannot be listened at.
    """

    def __init__(self, path: Path, selector: selectors.BaseSelector) -> None:
        self.expires_s: float | None = None
        """When the machine is to be reset, on CLOCK_BOOTTIME. None: disarmed."""
        self._timeout_s = 0.0
        self._opener: Connection | None = None
        self._magic = False
        self._server = Server(path, selector, self._on_message, self._on_gone)

    def expired(self, at_s: float) -> bool:
        """Whether the machine was to be reset at ``at_s`` or before."""
        return self.expires_s is not None and self.expires_s <= at_s

    def power_cycle(self) -> None:
        """What a reset does to it: disarmed, closed, and nothing that was sent before it counts."""
        self._server.drop_all()
        self.expires_s = None

    def close(self) -> None:
        """Remove the hardware."""
        self._server.close()

    def _on_message(self, client: Connection, message: Message) -> None:
        match message.get("do"):
            case "open":
                self._open(client, message)
            case "feed" if client is self._opener:
                self._magic = False
                self._restart(number(message, "t"))
            case "magic" if client is self._opener:
                self._magic = True
            case _:
                raise ValueError("a watchdog does not understand this")

    def _open(self, client: Connection, message: Message) -> None:
        timeout_s, t = number(message, "timeout_s"), number(message, "t")
        if self._opener is not None or self.expires_s is not None:
            client.send({"error": "EBUSY"})
        elif timeout_s <= 0:
            client.send({"error": "EINVAL"})
        else:
            self._opener, self._timeout_s, self._magic = client, timeout_s, False
            self._restart(t)
            client.send({"ok": True})

    def _restart(self, called_s: float) -> None:
        """Count the timeout from ``called_s``, unless it was over by then: nothing stops a reset that is due."""
        called_s = min(called_s, now_s())
        if not self.expired(called_s):
            self.expires_s = called_s + self._timeout_s

    def _on_gone(self, client: Connection) -> None:
        if client is self._opener:
            self._opener = None
            if self._magic and not self.expired(now_s()):
                self.expires_s = None


class EmulatedWatchdogClient:
    """The opener's end; a :class:`hacore.devices.watchdog.HardwareWatchdog`. Made by :meth:`open`."""

    def __init__(self, caller: Caller) -> None:
        self._caller: Caller | None = caller

    @classmethod
    def open(cls, path: Path, timeout_s: float) -> EmulatedWatchdogClient:
        """Open and arm the watchdog at ``path``: it resets the machine ``timeout_s`` after it was last fed.

        Raises OSError: EBUSY if it is open or was left armed, EINVAL if it cannot have this timeout, another if it does
        not answer, and then it may be armed nevertheless.
        """
        called_s = now_s()
        caller = Caller(path, ANSWER_S)
        try:
            caller.send({"do": "open", "timeout_s": timeout_s, "t": called_s}, ANSWER_S)
            answer = caller.receive(called_s + ANSWER_S)
            if error := answer.get("error"):
                code = {"EBUSY": errno.EBUSY, "EINVAL": errno.EINVAL}.get(error, errno.EPROTO)
                raise OSError(code, os.strerror(code), str(path))
        except BaseException:
            caller.close()
            raise
        return cls(caller)

    @property
    def about(self) -> str:
        """What it is, for people."""
        return "the emulated watchdog of a local cluster"

    def feed(self) -> None:
        """See :meth:`hacore.devices.watchdog.HardwareWatchdog.feed`."""
        if self._caller is None:
            raise OSError(errno.EBADF, "the watchdog is closed")
        self._caller.send({"do": "feed", "t": now_s()}, ANSWER_S)

    def close(self) -> None:
        """See :meth:`hacore.devices.watchdog.HardwareWatchdog.close`."""
        if self._caller is not None:
            caller, self._caller = self._caller, None
            try:
                caller.send({"do": "magic"}, ANSWER_S)
            finally:
                caller.close()
