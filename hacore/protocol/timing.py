"""Every duration, derived from a few settings; the safety inequality; the timeline of a failover.

The inequality (PROTOCOL section 11 point 3). A node's services end at the latest

    watchdog_s + reset_s     after its last confirmed renewal was *sent*, on the node's clock,

because the deadline handed to the multiplexer is that moment plus ``watchdog_s``, and ``reset_s`` is the longest time
from a passed deadline to the reset: twice the hardware's timeout (the multiplexer may be paused between its look at the
clock and its last feeding, see hacore.protocol.watchdog) plus a margin. Another node takes the lock no sooner than
``lock_ttl_s`` after that moment, on its own clock. If each clock runs wrong by at most ``drift``, the order is kept if

    lock_ttl_s * (1 - drift)  >=  (watchdog_s + reset_s) * (1 + drift)

CLOCK_BOOTTIME is slewed by NTP by at most 500 ppm (man 2 adjtimex), which is the default drift.

The formulas stand at the top, each once. They hold of whatever has the names of :class:`Timing` and can be calculated
with: its numbers, exact fractions, or a solver's terms (``hacore timing --synthesise``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

CALLS_IN_ROUND = 6
"""Calls of an LRM from one renewal to the next, besides those within round_s: renew, read, publish, read, heartbeat,
read. Only within round_s does it begin anything more (the row lrm.active.late)."""
MOST = 1e6
"""No duration and no count is as long as this."""


# ------------------------------------------------------------------------------------------------------- formulas


def reset_s(it: Any) -> Any:
    """From a passed deadline to the end of everything on the node: the multiplexer may feed once more, while paused."""
    return 2 * it.hardware_s + it.margin_s


def guarded_round_s(it: Any) -> Any:
    """From one renewal's sending to the next's, at most."""
    return it.round_s + CALLS_IN_ROUND * it.call_timeout_s


def least_watchdog_s(it: Any) -> Any:
    """A round, once more for each that may be missed."""
    return (it.missed_rounds + 1) * guarded_round_s(it)


def least_offline_s(it: Any) -> Any:
    """So far apart may the heartbeats of a healthy node lie."""
    return it.round_s + it.call_timeout_s


REQUIREMENTS: dict[str, Callable[[Any], Any]] = {
    "lock_ttl_s * (1 - drift) >= (watchdog_s + reset_s) * (1 + drift)": lambda it: (
        it.lock_ttl_s * (1 - it.drift) >= (it.watchdog_s + it.reset_s) * (1 + it.drift)
    ),
    f"watchdog_s >= (missed_rounds + 1) * (round_s + {CALLS_IN_ROUND} * call_timeout_s)": lambda it: (
        it.watchdog_s >= least_watchdog_s(it)
    ),
    "offline_s >= round_s + call_timeout_s": lambda it: it.offline_s >= least_offline_s(it),
    "offline_delay_s >= offline_s": lambda it: it.offline_delay_s >= it.offline_s,
}
"""What any timing must fulfil, as people write it and as a formula: not to run services twice, and then not to take
healthy nodes for lost."""
SAFE, WATCHDOG_LASTS, HEARTBEATS_COUNT, DELAY_LASTS = REQUIREMENTS


def waits_s(it: Any) -> tuple[Any, Any]:
    """For what a failover waits, once every CRM has seen the last renewal: for the later of these."""
    return it.lock_ttl_s, it.offline_delay_s + it.round_s


def powered_wait_s(it: Any, power_s: Any) -> Any:
    """For what it waits if the node's devices verify within ``power_s`` that it is off. First the mark is written, with
    four calls: renew, read, write, read."""
    return it.offline_delay_s + it.round_s + 4 * it.call_timeout_s + power_s


def failover_s(it: Any, wait_s: Any) -> Any:
    """From a node's failure to the start of its services elsewhere, in the worst case, the master not being on it."""
    begin = it.round_s + it.call_timeout_s + wait_s
    return begin + it.round_s + 4 * it.call_timeout_s + it.round_s + 5 * it.call_timeout_s


def failover_with_master_s(it: Any, wait_s: Any) -> Any:
    """The same when the failed node's CRM was master: the others have watched both locks all along."""
    return failover_s(it, wait_s) + it.round_s + 4 * it.call_timeout_s


# ------------------------------------------------------------------------------------------------------- settings


class TimingError(ValueError):
    """A configuration that is not safe, or cannot work; the message has the numbers."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The settings, then what follows from them. All in seconds; raises :class:`TimingError` if they do not fit."""

    round_s: float = 1.0
    """A daemon looks at the cluster at least this often."""
    call_timeout_s: float = 0.3
    """The store answers within this time, or counts as unavailable."""
    hardware_s: float = 1.5
    """The hardware watchdog's timeout."""
    margin_s: float = 0.5
    """Added for the scheduling of the multiplexer and the hardware's own latency."""
    drift: float = 500e-6
    """How wrong a clock may run, as a fraction."""
    missed_rounds: int = 1
    """How many renewals in a row may fail before the watchdog resets the node."""
    monitor_s: float = 5.0
    """How often a running service is looked at."""
    idle_rounds: int = 60
    """After how many rounds with nothing to do an LRM lets go of lock and watchdog."""
    master_idle_rounds: int = 90
    """After how many rounds with nothing configured a master lets go of its lock."""
    watchdog_s: float = 0.0
    """How far ahead of a renewal the watchdog's deadline lies; 0: derived."""
    lock_ttl_s: float = 0.0
    """The lifetime of a lock; 0: derived, the least that is safe."""
    offline_s: float = 0.0
    """A node whose heartbeat has stood still for this long is not online; 0: derived."""
    offline_delay_s: float = 0.0
    """A service waits this long for its lost node before fencing begins; 0: derived."""

    reset_s: float = field(init=False)
    """From a passed deadline to the end of everything on the node, at most."""
    feed_s: float = field(init=False)
    """How often the multiplexer feeds the hardware."""

    def __post_init__(self) -> None:
        for setting in fields(self):
            if setting.init:
                self._check(setting.name, getattr(self, setting.name))
        put = object.__setattr__
        put(self, "reset_s", reset_s(self))
        put(self, "feed_s", self.hardware_s / 4)
        put(self, "watchdog_s", self.watchdog_s or least_watchdog_s(self))
        put(self, "lock_ttl_s", self.lock_ttl_s or self.least_lock_ttl_s())
        put(self, "offline_s", self.offline_s or 2 * self.round_s + self.call_timeout_s)
        put(self, "offline_delay_s", self.offline_delay_s or self.offline_s)
        self._refuse_unsafe()

    def _check(self, name: str, value: object) -> None:
        least = 0 if name in {"watchdog_s", "lock_ttl_s", "offline_s", "offline_delay_s", "margin_s", "drift"} else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not -MOST < value < MOST:
            raise TimingError(f"{name} is {value!r}, but must be a number, and less than {MOST:g}")
        if name in {"missed_rounds", "idle_rounds", "master_idle_rounds"} and (not isinstance(value, int) or value < 1):
            raise TimingError(f"{name} is {value!r}, but must be a whole number of at least 1")
        if value < 0 or (value == 0 and least is None):
            raise TimingError(f"{name} is {value:g}, but must be {'at least' if least == 0 else 'more than'} 0")
        if name == "drift" and value >= 0.1:  # noqa: PLR2004 - a clock that wrong is broken
            raise TimingError(f"drift is {value:g}: a clock that runs wrong by a tenth cannot be used")

    def _refuse_unsafe(self) -> None:
        if not self.is_safe():
            raise TimingError(
                f"unsafe: {SAFE} does not hold: "
                f"{self.lock_ttl_s:g} * {1 - self.drift:g} < "
                f"({self.watchdog_s:g} + {self.reset_s:g}) * {1 + self.drift:g}; a lock could be taken "
                f"while its owner's services still run. Set lock_ttl_s to at least {self.least_lock_ttl_s():g}"
            )
        if not REQUIREMENTS[WATCHDOG_LASTS](self):
            raise TimingError(
                f"watchdog_s is {self.watchdog_s:g}, but with {self.missed_rounds} missed round(s), rounds of "
                f"{self.round_s:g} s and calls of {self.call_timeout_s:g} s a renewal may take "
                f"{least_watchdog_s(self):g} s: healthy nodes would be reset"
            )
        if not REQUIREMENTS[HEARTBEATS_COUNT](self):
            raise TimingError(
                f"offline_s is {self.offline_s:g}, but a healthy node's heartbeats may lie "
                f"{least_offline_s(self):g} s apart (round_s + call_timeout_s)"
            )
        if not REQUIREMENTS[DELAY_LASTS](self):
            raise TimingError(f"offline_delay_s is {self.offline_delay_s:g}, less than offline_s ({self.offline_s:g})")

    def is_safe(self) -> bool:
        """The safety inequality."""
        return bool(REQUIREMENTS[SAFE](self))

    def least_lock_ttl_s(self) -> float:
        """A lifetime for which the safety inequality holds: the least, rounded up to a hundredth."""
        exact = (self.watchdog_s + self.reset_s) * (1 + self.drift) / (1 - self.drift)
        return (math.floor(exact * 100) + 1) / 100

    def timeline(self) -> list[tuple[float, str]]:
        """The worst case of a failover, moment by moment: (seconds since the node failed, what happens)."""
        seen = self.round_s + self.call_timeout_s
        expires = seen + self.lock_ttl_s
        decide = expires + self.round_s
        return sorted(
            [
                (0.0, "the node fails, just after its last renewal was sent"),
                (seen, "every CRM has seen that renewal, and begins to count"),
                (seen + self.offline_s, "the master no longer takes the node for online"),
                (self.watchdog_s, "the watchdog's deadline passes, if the node is alive but cut off or stuck"),
                (self.watchdog_s + self.reset_s, "everything on the node has ended"),
                (seen + self.offline_delay_s + self.round_s, "its services are marked: fence"),
                (expires, "the node's lock has stood still for its lifetime"),
                (decide, "the master looks at it, in its next round at the latest"),
                (decide + 4 * self.call_timeout_s, "lock taken, recovery decided and written: four calls at most"),
                (self.failover_s, "the new node's LRM reads it, is guarded, and starts the services"),
            ]
        )

    @property
    def failover_s(self) -> float:
        """The worst case from a node's failure to the start of its services elsewhere, the master not being on it."""
        return float(failover_s(self, max(waits_s(self))))

    def failover_powered_s(self, power_s: float) -> float:
        """The same with power fencing that takes ``power_s``; the lock is waited for no longer than without."""
        return float(failover_s(self, min(max(waits_s(self)), powered_wait_s(self, power_s))))

    @property
    def failover_with_master_s(self) -> float:
        """The same when the failed node's CRM was master: the others have watched both locks all along."""
        return float(failover_with_master_s(self, max(waits_s(self))))
