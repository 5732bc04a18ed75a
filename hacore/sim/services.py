"""Simulated services: what a node runs, and services that fail on purpose.

A service of type ``fa`` fails by the digits of its id, the first of which means nothing: how many starts fail, how many
moves fail, whether it cannot be stopped, (whether it exists), and the number of the only node on which the first two
hold (0: all).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hacore.manager.documents import RESOURCES
from hacore.sim.store import Store


def digit(sid: str, place: int) -> int:
    """The digit of a failing service at this place; 0 for any other service."""
    kind, _, name = sid.partition(":")
    return int(name[place]) if kind == "fa" and place < len(name) and name[place].isdecimal() else 0


@dataclass
class Services:
    """Which services run where; and what starting, stopping and moving them comes to."""

    running: dict[str, set[str]]
    """By node."""
    store: Store
    """In which an operator may have locked a service: then nothing can be done with it."""
    failing: set[str] = field(default_factory=set)
    """Services whose start fails at present."""
    stuck: set[str] = field(default_factory=set)
    """Services that can neither be stopped nor moved at present."""
    hanging: set[str] = field(default_factory=set)
    """Services that take long to be started, stopped or moved at present."""
    tries: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often a failing service has been tried in vain: by sid and what was tried."""

    def runs(self, node: str, sid: str) -> bool:
        return sid in self.running[node]

    def start(self, node: str, sid: str) -> None:
        if sid not in self.failing and not self.locked(sid) and not self._fails(node, sid, "start", 1):
            self.running[node].add(sid)

    def stop(self, node: str, sid: str) -> None:
        if sid not in self.stuck and not self.locked(sid) and not digit(sid, 3):
            self.running[node].discard(sid)

    def move(self, node: str, sid: str) -> bool:
        """Whether it has left this node."""
        if sid in self.stuck or self.locked(sid) or self._fails(node, sid, "move", 2):
            return False
        self.running[node].discard(sid)
        return True

    def locked(self, sid: str) -> bool:
        return bool((self.store[RESOURCES].value or {}).get(sid, {}).get("lock"))

    def _fails(self, node: str, sid: str, what: str, place: int) -> bool:
        only = digit(sid, 5)
        self.tries[sid, what] += 1
        fails = self.tries[sid, what] <= digit(sid, place) and only in {0, _number(node)}
        if not fails:
            self.tries[sid, what] = 0
        return fails


def _number(node: str) -> int:
    """The number in a node's name; -1 if there is none."""
    digits = node.lstrip("abcdefghijklmnopqrstuvwxyz-")
    return int(digits) if digits.isdecimal() else -1
