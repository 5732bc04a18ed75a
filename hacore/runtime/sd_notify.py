"""What systemd is told about this process (man 3 sd_notify), and its watchdog (man 3 sd_watchdog_enabled).

Where systemd did not start the process, nobody is told anything. Nothing here ever waits.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

from hacore.devices.clock import now_s


class Systemd:
    """The line to systemd. Its address is taken out of the environment: children do not speak for this process."""

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        patience_us, pid = os.environ.pop("WATCHDOG_USEC", "0"), os.environ.pop("WATCHDOG_PID", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._every_s = int(patience_us) / 4e6 if pid in {"", str(os.getpid())} else 0.0
        self._due_s = 0.0
        self._told: dict[str, object] = {}

    def say(self, **words: object) -> None:
        """Tell ``READY=1``, ``STATUS=...`` and the like, as far as it is news. What cannot be sent at once is lost."""
        news = {key: word for key, word in words.items() if self._told.get(key) != word}
        self._told.update(news)
        self._send(news)

    def alive(self) -> None:
        """Feed systemd's watchdog if that is due. Belongs into every turn of the process's loop, and nowhere else."""
        if self._every_s and now_s() >= self._due_s:
            self._due_s = now_s() + self._every_s
            self._send({"WATCHDOG": 1})

    def _send(self, words: Mapping[str, object]) -> None:
        if self._address and words:
            with suppress(OSError):
                self._socket.sendto("\n".join(f"{key}={word}" for key, word in words.items()).encode(), self._address)
