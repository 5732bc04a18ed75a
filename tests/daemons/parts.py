"""What the simulated world is made of: the store, nodes, processes, connections."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hacore.protocol.requests import (
    ABSENT,
    JSON,
    Asking,
    Committed,
    Conflict,
    Document,
    Message,
    Outcome,
    Refused,
    Sleep,
    Snapshot,
    Unavailable,
)

BOOT_S = 2.0
"""A node boots in this time."""
CUT = Unavailable("no answer in time")
NO_ANSWER = Refused("the multiplexer does not answer in time")


class Violation(AssertionError):  # noqa: N818 - it says what is the case
    """A property does not hold; ``name`` is the property's."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


class Store:
    """Linearizable documents with revisions, and a compare-and-set transaction over several of them."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.revision = 0

    def __getitem__(self, key: str) -> Document:
        return self.documents.get(key, ABSENT)

    def read(self, prefixes: tuple[str, ...]) -> Snapshot:
        return Snapshot({k: d for k, d in self.documents.items() if k.startswith(prefixes)}, self.revision)

    def transact(self, checks: Mapping[str, int], writes: Mapping[str, JSON]) -> Committed | Conflict:
        for key, revision in checks.items():
            if self[key].revision != revision:
                return Conflict(key)
        self.revision += 1
        self.documents.update({key: Document(value, self.revision) for key, value in writes.items()})
        return Committed(self.revision)


@dataclass(eq=False)
class Process:
    """A daemon or a worker. Workers are threads of their LRM: paused and killed with it."""

    number: int
    kind: str
    node: Node
    machine: Any
    parent: Process | None = None
    generator: Asking[Any] | None = None
    alive: bool = True
    paused: bool = False
    stash: Callable[[], None] | None = None
    """What comes next, once it is not paused any more."""
    asleep: Sleep | None = None
    asked: set[str] = field(default_factory=set)
    ended: list[Outcome] = field(default_factory=list)
    """An LRM's workers that have ended, not yet reaped."""
    client: Client | None = None
    messages: deque[Message] = field(default_factory=deque)
    receiving: int = 0
    """A multiplexer that waits for a message: the number of this waiting, else 0."""

    @property
    def root(self) -> Process:
        return self.parent or self

    def __str__(self) -> str:
        return f"{self.node.name}/{self.kind}#{self.number}"


@dataclass(eq=False)
class Client:
    """A connection to a multiplexer, seen from the LRM: as hacore.devices.watchdog.client does it."""

    number: int
    mux: Process
    owner: Process
    unanswered: deque[tuple[Call, str]] = field(default_factory=deque)
    """What was asked and has no answer yet, with its verb."""


@dataclass(eq=False)
class Call:
    """Something asked of the store or the multiplexer; ``answer`` is what counts if nothing better comes in time."""

    process: Process
    answer: Any
    on_timeout: Callable[[], None] = lambda: None
    arrived: bool = False
    over: bool = False


@dataclass(eq=False)
class Node:
    name: str
    powered: bool = False
    cut: bool = False
    boot: int = 0
    rate: float = 1.0
    offset_s: float = 0.0
    armed: bool = False
    """The hardware watchdog runs."""
    opened_by: Process | None = None
    fed_s: float = 0.0
    """When (real time) the hardware was last fed."""
    running: set[str] = field(default_factory=set)
    daemons: dict[str, Process] = field(default_factory=dict)
    workers: list[Process] = field(default_factory=list)
    ending: str = ""
    disturbed_s: float = 0.0
    """Until when (real time) it was last paused, cut, killed, or anything else that excuses a reset."""
