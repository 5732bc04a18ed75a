"""Watchdogs: the hardware, and the multiplexer's socket through which a node's daemons share it.

A hardware watchdog resets the machine when nobody feeds it. It has one opener: the multiplexer, which feeds it while
no client's deadline has passed, and so turns one timeout for the machine into one deadline for each client.
"""

from typing import Protocol


class HardwareWatchdog(Protocol):
    """A hardware watchdog that has been opened, and thereby armed.

    It resets the machine once its timeout has passed since it was opened or last fed. Nothing but :meth:`close` ends
    that: a process that just dies leaves it running. The semantics are those of /dev/watchdog
    (Documentation/watchdog/watchdog-api.rst in the kernel's source), but for one thing: it cannot be opened if an
    earlier process of this boot left it armed. Whoever opened it then and closed it properly would disarm what that
    process's clients still rely on.
    """

    @property
    def about(self) -> str:
        """What it is, for people."""

    def feed(self) -> None:
        """Start the timeout anew, from the moment of this call. Never waits long.

        Raises OSError if the hardware cannot be reached; its timeout then goes on.
        """

    def close(self) -> None:
        """Disarm the watchdog (magic close) and give it back, so that another process may open it. May be repeated.

        Raises OSError if the hardware cannot be reached; it is then still armed.
        """
