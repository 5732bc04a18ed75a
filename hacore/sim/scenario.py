"""Scenarios: a cluster at the start, commands in the order in which they are given, and the events expected.

The format is JSON; :class:`Scenario` has its keys. Commands are checked when a scenario is read, so that a misspelt one
is told of before anything runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from hacore.protocol.names import check_node, check_sid
from hacore.sim.documents import documents_of

GIB = 1 << 30


class ScenarioError(ValueError):
    """A scenario that cannot be run; the message says what is wrong with it, and where."""


class NodeAtStart(msgspec.Struct, forbid_unknown_fields=True):
    """A node's power and network (``on`` or ``off``), its cpus, and its memory in bytes."""

    power: str = "off"
    network: str = "off"
    maxcpu: float = 24
    maxmem: float = 128 * GIB


class ServiceAtStart(msgspec.Struct, forbid_unknown_fields=True):
    node: str
    state: str = "disabled"
    max_restart: int = 1
    max_relocate: int = 1
    failback: int = 1


class Stats(msgspec.Struct, omit_defaults=True):
    """A service's load: ``maxcpu`` and ``maxmem`` are what it may use, ``cpu`` and ``mem`` what it does use."""

    maxcpu: float | None = None
    maxmem: float | None = None
    cpu: float | None = None
    mem: float | None = None


class Scenario(msgspec.Struct, forbid_unknown_fields=True):
    nodes: dict[str, NodeAtStart]
    commands: list[list[str]]
    name: str = ""
    purpose: str = ""
    """What the scenario shows, in a sentence."""
    services: dict[str, ServiceAtStart] = {}
    settings: dict[str, dict[str, Any]] = {}
    rules: list[dict[str, Any]] = []
    manager_status: dict[str, Any] = {}
    running: dict[str, dict[str, int]] = {}
    """Which services run at the start, by node."""
    static_stats: dict[str, Stats] | None = None
    dynamic_stats: dict[str, Stats] | None = None
    expect: list[dict[str, Any]] = []


def read_scenario(path: Path) -> Scenario:
    """Raises ScenarioError."""
    try:
        scenario = msgspec.convert(msgspec.json.decode(path.read_bytes()), Scenario, strict=False)
        _check_start(scenario)
        for number, commands in enumerate(scenario.commands, 1):
            for command in commands:
                _check(command.split(), scenario, number)
    except OSError as problem:
        raise ScenarioError(f"{path}: {problem.strerror}") from None
    except (msgspec.MsgspecError, ScenarioError) as problem:
        raise ScenarioError(f"{path}: {problem}") from None
    return scenario


def _check_start(scenario: Scenario) -> None:
    """Raises ScenarioError if there cannot be such a cluster."""
    try:
        for node in scenario.nodes:
            check_node(node)
        for sid in scenario.services:
            check_sid(sid)
        documents_of(scenario)
    except KeyError as problem:
        raise ScenarioError(f"manager_status: a service without {problem}") from None
    except (ValueError, TypeError) as problem:
        raise ScenarioError(str(problem)) from None
    for sid, service in scenario.services.items():
        if service.node not in scenario.nodes:
            raise ScenarioError(f"services: {sid}: there is no node {service.node}")


ON_A_NODE = ("power", "network", "reboot", "shutdown", "restart-lrm", "crm", "cfs")
CRM_VERBS = ("start", "stop", "enable-node-maintenance", "disable-node-maintenance", "disarm-ha", "arm-ha")
STATES = ("started", "stopped", "disabled", "ignored")
SERVICE_VERBS = {
    **dict.fromkeys((*STATES, "delete"), 0),
    **dict.fromkeys(("migrate", "relocate", "stop", "add", "manual-migrate"), 1),
    **dict.fromkeys(("lock", "unlock"), 0),
    **dict.fromkeys(("set-static-stats", "set-dynamic-stats"), 2),
}
"""What may be said of a service, and how many words must follow."""


def _check(words: Sequence[str], scenario: Scenario, number: int) -> None:
    """Raises ScenarioError if a command cannot be understood."""

    def refuse(why: str) -> None:
        raise ScenarioError(f"commands, list {number}: '{' '.join(words)}': {why}")

    verb, *rest = words or [""]
    if verb in ON_A_NODE and (not rest or rest[0] not in scenario.nodes):
        refuse(f"write: {verb} NODE ..., with one of {', '.join(scenario.nodes)}")
    match verb, *rest:
        case ("power" | "network", _, "on" | "off") | ("reboot" | "shutdown" | "restart-lrm", _):
            pass
        case ("crm", _, what, *_) if what in CRM_VERBS:
            pass
        case ("cfs", _, "rw" | "update", "work" | "fail"):
            pass
        case ("delay", seconds) if seconds.isdecimal():
            pass
        case ("skip-round", "crm" | "lrm", *rounds) if all(word.isdecimal() for word in rounds):
            pass
        case ("service", _, what, *more) if what in SERVICE_VERBS and len(more) >= SERVICE_VERBS[what]:
            pass
        case _:
            refuse("nothing that could be done")
