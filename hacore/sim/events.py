"""What people would hear of a run: events in order, as JSON lines; and how two such lists are compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from hacore.protocol.locks import MANAGER_LOCK

Event: TypeAlias = dict[str, Any]

COMPARED = frozenset(
    """
    daemon_state lock_acquired lock_released daemon_killed daemon_exit node_state node_removed service_added
    service_removed service_state fence_started fence_done service_recovered recovery_blocked service_unlocked
    start_node_selected rebalance failback disarmed rearmed service_starting service_started start_failed start_retried
    start_given_up service_stopping service_stopped stop_failed move_started move_finished move_failed wrong_node
    watchdog_reset
    """.split()  # noqa: SIM905 - so many words are easier to read like this
)
"""The kinds of events that are compared; all others are for reading only."""


def lock_name(key: str) -> str:
    """A lock's name in events."""
    return "ha_manager_lock" if key == MANAGER_LOCK else f"ha_agent_{key.rpartition('/')[2]}_lock"


class Events:
    """The events of a run so far."""

    def __init__(self) -> None:
        self.list: list[Event] = []

    def add(self, t: float, actor: str, kind: str, fields: Mapping[str, Any]) -> None:
        said = {key: _number(value) for key, value in fields.items()}
        if "lock" in said and kind.startswith("lock_"):
            said["lock"] = lock_name(said["lock"])
        self.list.append({"t": _number(t), "actor": actor, "event": kind, **said})

    def write(self, path: Path) -> None:
        """As JSON lines."""
        path.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in self.list))


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def first_difference(expected: Iterable[Event], actual: Iterable[Event]) -> str:
    """Where two lists of events part, in words; "" if they do not. An actual event may say more than is expected."""
    want, got = ([event for event in events if event["event"] in COMPARED] for events in (expected, actual))
    for number, (one, other) in enumerate(zip(want, got, strict=False)):
        if any(key not in other or str(other[key]) != str(value) for key, value in one.items()):
            return f"event {number}:\n  expected {line(one)}\n  actual   {line(other)}"
    if len(want) == len(got):
        return ""
    number = min(len(want), len(got))
    rest, what = (want, "missing") if len(want) > len(got) else (got, "unexpected")
    return f"event {number}: {what} {line(rest[number])} ({len(want)} expected, {len(got)} actual)"


def line(event: Event) -> str:
    """An event for people to read."""
    rest = " ".join(f"{key}={value}" for key, value in event.items() if key not in {"t", "actor", "event"})
    return f"{event['t']:>8} {event['actor']:<12} {event['event']:<20} {rest}".rstrip()
