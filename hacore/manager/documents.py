"""The documents of the cluster, as typed values; who writes each (PROTOCOL section 2).

resources       operators; the master when a service changes its node or is stopped by command
rules           operators
settings        operators
stats/static    operators, or whoever configures services and nodes: their sizes
stats/dynamic   whoever measures what they use
members         operators
commands        operators append, the master takes out
update          who updates a node, from the beginning of that to its end
manager/status  the master
lrm/<node>      that node's LRM
lock/*          see hacore.protocol.locks
heartbeat/*     each node's daemons, for their own node
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from hacore.protocol.requests import JSON, Document, Snapshot

RESOURCES, SETTINGS, MEMBERS, COMMANDS, STATUS = "resources", "settings", "members", "commands", "manager/status"
UPDATE = "update"
RULES, STATIC_STATS, DYNAMIC_STATS = "rules", "stats/static", "stats/dynamic"

REQUESTED_STATES = ("started", "stopped", "disabled", "ignored")
SHUTDOWN_POLICIES = ("conditional", "freeze", "failover", "migrate")
SCHEDULERS = ("basic", "static", "dynamic")
REBALANCE_METHODS = ("bruteforce", "topsis")
LIVE_TYPES = frozenset({"vm"})
"""Types of services that can move while they run."""
COLD_TYPES = frozenset({"ct"})
"""Types of services that are stopped to be moved, whatever was asked for."""
RELEASE_MODES = frozenset({"restart", "disarm"})
"""Modes by which an LRM asks to be released from guarding its services; each request has a generation of its own."""


class DocumentError(ValueError):
    """A document does not hold what it should; the message names document and field."""


class Resource(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What an operator has configured of one service."""

    node: str
    state: str = "started"
    max_restart: int = 1
    max_relocate: int = 1
    failback: bool = True
    comment: str = ""
    lock: str = ""
    """What holds the service at present, a backup say: a locked service can neither be started, stopped nor moved."""
    config: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if self.state not in REQUESTED_STATES:
            raise ValueError(f"state '{self.state}' is none of {', '.join(REQUESTED_STATES)}")
        if self.max_restart < 0 or self.max_relocate < 0:
            raise ValueError("max_restart and max_relocate must be at least 0")


class Record(msgspec.Struct, omit_defaults=True):
    """The master's request concerning one service: what its node's LRM shall do, under the name ``uid``."""

    state: str
    node: str
    uid: str
    target: str = ""
    timeout_s: float | None = None
    running: bool = False
    generation: int = 0
    """In freeze: the LRM's request for release that this freeze acknowledges."""
    failed_nodes: list[str] = []
    maintenance_node: str = ""
    blocked_told: bool = False
    """In recovery: people know that no node was found."""
    stop_tried: bool = False
    """In error: it was disabled, and could not be stopped."""
    command: str = ""
    """A command that waits in the record, where the tables say so."""


class Refusal(msgspec.Struct):
    """A command that the master could not carry out, and why."""

    id: int
    text: str
    reason: str


class Disarm(msgspec.Struct):
    """A disarm request: its mode (freeze or ignore) and its state in the disarm table."""

    mode: str
    state: str


class Status(msgspec.Struct, omit_defaults=True):
    """The manager status: all that a new master needs to go on."""

    master: str = ""
    nodes: dict[str, str] = {}
    services: dict[str, Record] = {}
    maintenance: list[str] = []
    """Nodes for which maintenance is requested."""
    disarm: Disarm | None = None
    last_uid: int = 0
    imbalanced_rounds: int = 0
    """For how many rounds on end the load has been unequal, and nothing was moved."""
    refusals: list[Refusal] = []
    """The last few commands that were refused."""


class LrmStatus(msgspec.Struct):
    """What an LRM says of itself."""

    mode: str = ""
    generation: int = 0
    """The number of its requests for release so far."""
    results: dict[str, str] = {}
    """Outcome by uid, for the uids that the manager status still names."""


class Secret(msgspec.Struct, forbid_unknown_fields=True):
    """A value that only nodes know: the content of a file on each of them."""

    file: str


class Device(msgspec.Struct, forbid_unknown_fields=True):
    """A device that can switch a node off: the fence agent that speaks with it, and what the agent needs to know."""

    agent: str
    """The name of a program of fence-agents, such as fence_ipmilan."""
    parameters: dict[str, str | Secret] = {}

    def __post_init__(self) -> None:
        if not _AGENT.match(self.agent):
            raise ValueError(f"agent '{self.agent}' is no fence agent: its name begins with fence_")
        for name, value in self.parameters.items():
            if not _PARAMETER.match(name) or name == "action":
                raise ValueError(f"a fence agent has no parameter '{name}' for hacore to set")
            if isinstance(value, str) and "\n" in value:
                raise ValueError(f"parameter {name} has more than one line")


_AGENT = re.compile(r"fence_[a-z0-9_]+\Z")
_PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")


class Settings(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What operators set for the whole cluster."""

    shutdown_policy: str = "conditional"
    scheduler: str = "basic"
    """By what the load of a node is judged: see :mod:`hacore.manager.load`."""
    rebalance_on_start: bool = False
    rebalance: bool = False
    """Whether services are moved while they run, where nodes are unequally loaded (not with ``basic``)."""
    rebalance_method: str = "bruteforce"
    rebalance_threshold: float = 0.3
    """The imbalance (standard deviation / mean of the nodes' loads) from which on something is done."""
    rebalance_hold_rounds: int = 3
    """For how many rounds on end it must have lasted."""
    rebalance_margin: float = 0.1
    """By which part of itself a move must lessen the imbalance."""
    timing: dict[str, Any] = {}
    fencing: dict[str, list[list[Device]]] = {}
    """By node, how it can be switched off: levels that are tried in order, each of devices that must all be off."""

    def __post_init__(self) -> None:
        if not all(devices for levels in self.fencing.values() for devices in (levels, *levels)):
            raise ValueError("a node's fencing has levels, and each level has devices")
        for name, words in _CHOICES.items():
            if getattr(self, name) not in words:
                raise ValueError(f"{name} '{getattr(self, name)}' is none of {', '.join(words)}")
        for name in ("rebalance_threshold", "rebalance_hold_rounds", "rebalance_margin"):
            if not 0 <= getattr(self, name) < inf:
                raise ValueError(f"{name} must be at least 0")


_CHOICES = {
    "shutdown_policy": SHUTDOWN_POLICIES,
    "scheduler": SCHEDULERS,
    "rebalance_method": REBALANCE_METHODS,
}


class Size(msgspec.Struct, forbid_unknown_fields=True):
    """How big a node is, or how big a service may become."""

    maxcpu: float = 0
    """Processors; of a service, 0 is as many as its node has."""
    maxmem: int = 0
    """Bytes."""

    def __post_init__(self) -> None:
        _insist_on_amounts(self.maxcpu, self.maxmem)


class Use(msgspec.Struct, forbid_unknown_fields=True):
    """What a node or a service was measured to use."""

    cpu: float = 0
    """Processors."""
    mem: int = 0
    """Bytes."""

    def __post_init__(self) -> None:
        _insist_on_amounts(self.cpu, self.mem)


def _insist_on_amounts(cpu: float, mem: int) -> None:
    if not 0 <= cpu < inf or mem < 0:
        raise ValueError("processors and memory must be numbers of at least 0")


class StaticStats(msgspec.Struct, forbid_unknown_fields=True):
    """Sizes by node and by service."""

    nodes: dict[str, Size] = {}
    services: dict[str, Size] = {}

    def __post_init__(self) -> None:
        for node, size in self.nodes.items():
            if not (size.maxcpu and size.maxmem):
                raise ValueError(f"node {node} must have processors and memory")


class DynamicStats(msgspec.Struct, forbid_unknown_fields=True):
    """Measured use by node and by service."""

    nodes: dict[str, Use] = {}
    services: dict[str, Use] = {}


class Command(msgspec.Struct):
    """One command of an operator, as text: ``migrate proc:web node2``."""

    id: int
    text: str

    @property
    def moves(self) -> bool:
        """Whether it moves a service."""
        return self.text.startswith(("migrate ", "relocate "))

    def to(self, sid: str) -> Command:
        """The same command to another service."""
        verb, _, *rest = self.text.split()
        return Command(self.id, " ".join((verb, sid, *rest)))


class Commands(msgspec.Struct):
    """The queue of commands."""

    last_id: int = 0
    queue: list[Command] = []


class Update(msgspec.Struct):
    """A node that is being updated. The document's revision tells this update from all others."""

    node: str = ""


class Outline(msgspec.Struct):
    """What of the manager status is read without reading every record."""

    nodes: dict[str, str] = {}
    services: dict[str, Any] = {}
    disarm: Any = None


T = TypeVar("T")


def parse(document: Document, kind: type[T], name: str, absent: T) -> T:
    """The document's value as ``kind``; ``absent`` if there is none. Raises DocumentError."""
    if document.value is None:
        return absent
    try:
        return msgspec.convert(document.value, kind)
    except msgspec.ValidationError as problem:
        raise DocumentError(f"document '{name}': {problem}") from None


class Reader:
    """Reads a document once for each of its revisions. What it returns must not be changed in place."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Any]] = {}
        self._entries: dict[str, tuple[Mapping[str, JSON], Mapping[str, Any]]] = {}

    def read(self, snapshot: Snapshot, key: str, read: Callable[[Snapshot], T]) -> T:
        """What ``read`` makes of the document. Raises DocumentError."""
        revision = snapshot[key].revision
        if key not in self._known or self._known[key][0] != revision:
            self._known[key] = revision, read(snapshot)
        value: T = self._known[key][1]
        return value

    def entries(self, key: str, raw: Mapping[str, JSON], kind: type[T]) -> dict[str, T]:
        """The entries of a document: those that say what they said when last read are the same objects again.

        Raises msgspec.ValidationError, or TypeError or AttributeError if these are no entries at all.
        """
        old_raw, old = self._entries.get(key, ({}, {}))
        new = {name: it for name, it in raw.items() if name not in old or it != old_raw[name]}
        values = {**old, **msgspec.convert(new, dict[str, kind])}  # type: ignore[valid-type]
        self._entries[key] = raw, {name: values[name] for name in raw}
        return dict(self._entries[key][1])


def working_copy(status: Status) -> Status:
    """The same status, to be changed. Records are not copied: they are replaced, never changed in place."""
    return replace(
        status,
        nodes=dict(status.nodes),
        services=dict(status.services),
        maintenance=list(status.maintenance),
        disarm=status.disarm and replace(status.disarm),
    )


def dump(value: object) -> JSON:
    """What is stored for a value."""
    return msgspec.to_builtins(value)


def lrm_key(node: str) -> str:
    """The key of a node's LRM status."""
    return f"lrm/{node}"


def status_of(snapshot: Snapshot) -> Status:
    return parse(snapshot[STATUS], Status, STATUS, Status())


def outline_of(snapshot: Snapshot) -> Outline:
    return parse(snapshot[STATUS], Outline, STATUS, Outline())


def resources_of(snapshot: Snapshot) -> dict[str, Resource]:
    return parse(snapshot[RESOURCES], dict[str, Resource], RESOURCES, {})


def settings_of(snapshot: Snapshot) -> Settings:
    return parse(snapshot[SETTINGS], Settings, SETTINGS, Settings())


def static_stats_of(snapshot: Snapshot) -> StaticStats:
    return parse(snapshot[STATIC_STATS], StaticStats, STATIC_STATS, StaticStats())


def dynamic_stats_of(snapshot: Snapshot) -> DynamicStats:
    return parse(snapshot[DYNAMIC_STATS], DynamicStats, DYNAMIC_STATS, DynamicStats())


def members_of(snapshot: Snapshot) -> list[str]:
    return parse(snapshot[MEMBERS], list[str], MEMBERS, [])


def commands_of(snapshot: Snapshot) -> Commands:
    return parse(snapshot[COMMANDS], Commands, COMMANDS, Commands())


def update_of(snapshot: Snapshot) -> Update:
    return parse(snapshot[UPDATE], Update, UPDATE, Update())


def lrm_of(snapshot: Snapshot, node: str) -> LrmStatus:
    return parse(snapshot[lrm_key(node)], LrmStatus, lrm_key(node), LrmStatus())
