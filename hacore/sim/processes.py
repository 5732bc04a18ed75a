"""What the simulated world is made of: nodes, processes, connections, calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hacore.daemons.base import Machine
from hacore.daemons.machine import QuickStepper
from hacore.protocol.requests import Asking, Message, Outcome, PowerOutcome, Refused, Sleep, Unavailable

BOOT_S = 2.0
"""A node boots in this time."""
CUT = Unavailable("no answer in time")
NO_ANSWER = Refused("the multiplexer does not answer in time")
M = TypeVar("M", bound=Machine)


def quick(machine: M) -> M:
    """The machine, which has taken no step yet, takes its steps by the table alone."""
    machine.stepper = QuickStepper(machine.variant)
    return machine


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
    shot: list[PowerOutcome] = field(default_factory=list)
    """What has become of a CRM's power-offs, not yet reaped."""
    client: Client | None = None
    messages: deque[Message] = field(default_factory=deque)
    receiving: int = 0
    """A multiplexer that waits for a message: the number of this waiting, else 0."""

    @property
    def root(self) -> Process:
        return self.parent or self

    @property
    def actor(self) -> str:
        """Its name in events; what a worker does, its LRM does."""
        return f"{self.node.name}/{self.root.kind}"

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
    """From the network."""
    deaf: bool = False
    """What it sends to the store arrives, and the answers do not."""
    broken: bool = False
    """Its calls to the store fail, though the network is there."""
    held: set[str] = field(default_factory=set)
    """Kinds of daemons that an operator has stopped: init does not start them again in this boot."""
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
