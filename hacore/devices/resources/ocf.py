"""Services of type ``ocf``: any resource agent of the Open Cluster Framework (Debian: resource-agents).

    {"agent": "heartbeat:IPaddr2", "parameters": {"ip": "192.0.2.7", "cidr_netmask": 24},
     "start_timeout_s": 60, "stop_timeout_s": 60, "monitor_timeout_s": 20}

All but the agent may be left out, unless the agent insists on a parameter.

An agent is a program that is called with one word, its settings in the environment, and answers by its exit code
(github.com/ClusterLabs/OCF-spec). Of ``monitor`` this module believes four codes: 0 and 8 (promoted), and the same two
degraded, 190 and 191, are *it runs*, 7 is *it does not*. With 1 and 9 the service is broken: some of it may run, until
it is stopped. With any other the agent does not know. Agents say "not running" more lightly when they are
told that it is a mere probe (interval 0); they are therefore told that this is a regular monitor.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

from hacore.devices.resources import find
from hacore.devices.resources.base import Config, ResourceError, ServiceBrokenError, told
from hacore.devices.resources.run import Answer, run
from hacore.devices.resources.settings import insist_on_keys, insist_on_seconds, seconds

ROOT = "/usr/lib/ocf"
"""Where the agents are, unless OCF_ROOT in the environment says otherwise."""
MONITOR_TIMEOUT_S, START_TIMEOUT_S = 20.0, 60.0
STOP_LEAST_S = 20.0
"""So long an agent may take to stop a service in any case: if it is killed in the midst of it, nobody uses force."""
META_DATA_TIMEOUT_S = 5.0

SUCCESS, NOT_RUNNING, PROMOTED = 0, 7, 8
RUNNING = {SUCCESS, PROMOTED, 190, 191}
BROKEN = {1, 9}
CODES = {
    2: "bad parameters",
    3: "not implemented",
    4: "not permitted",
    5: "what it needs is not installed here",
    6: "bad configuration",
}
"""What exit codes mean that are no answer to whether it runs."""

_AGENT = re.compile(r"(?:ocf:)?(\w[\w.-]*):(\w[\w.-]*)\Z")
_PARAMETER = re.compile(r"\w[\w-]*\Z")


class OcfResource:
    """The ``ocf`` services of one node. An agent knows its service by the name, without ``ocf:``, and by parameters."""

    stop_timeout_s: ClassVar[float] = 60.0

    def __init__(self, home: Path, node: str) -> None:
        self.node = node

    @staticmethod
    def validate(sid: str, config: Config) -> None:
        """Raise :class:`ResourceError` for what is malformed; if the agent is here, for what that does not know."""
        timeouts = ("start_timeout_s", "stop_timeout_s", "monitor_timeout_s")
        insist_on_keys(sid, config, "agent", "parameters", *timeouts)
        insist_on_seconds(sid, config, *timeouts)
        given = _parameters(sid, config)
        if _agent(sid, config).exists():
            _insist_on_parameters(sid, config, given)

    def probe(self, sid: str, config: Config) -> bool:
        """By the agent's action ``monitor``. True too while somebody starts the service, be it a process before us."""
        if self._is_being_started(sid, config):
            return True
        answer = self._ask(sid, config, "monitor", seconds(config, "monitor_timeout_s", MONITOR_TIMEOUT_S))
        if answer.code in RUNNING:
            return True
        if answer.code in BROKEN:
            raise ServiceBrokenError(f"{sid}: it has failed: {answer.why}")
        if answer.code != NOT_RUNNING:
            raise ResourceError(f"{sid}: {_what(config)} cannot tell whether it runs: {_why(answer)}")
        return False

    def start(self, sid: str, config: Config) -> None:
        """By the agent's action ``start``, which returns when the service is up, and at once if it is already."""
        if not self._is_being_started(sid, config):
            self._do(sid, config, "start", seconds(config, "start_timeout_s", START_TIMEOUT_S))

    def stop(self, sid: str, config: Config, timeout_s: float | None) -> None:
        """By the agent's action ``stop``, which uses force itself. Without the agent nobody can stop anything."""
        stop_s = seconds(config, "stop_timeout_s", self.stop_timeout_s)
        self._do(sid, config, "stop", stop_s if timeout_s is None else max(timeout_s, STOP_LEAST_S))

    def migrate(self, sid: str, config: Config, target: str) -> bool:
        """Agents that can move a service are not used for that."""
        return False

    def _is_being_started(self, sid: str, config: Config) -> bool:
        with told(sid):
            asked = [str(_agent(sid, config)), "start"]
            starters = [process for process in find.living().values() if find.words(process)[-2:] == asked]
            return bool(find.carrying(starters, f"OCF_RESOURCE_INSTANCE={_instance(sid)}".encode()))

    def _do(self, sid: str, config: Config, action: str, timeout_s: float) -> None:
        answer = self._ask(sid, config, action, timeout_s)
        if answer.code != SUCCESS:
            raise ResourceError(f"{sid}: {_what(config)} cannot {action} it: {_why(answer)}")

    def _ask(self, sid: str, config: Config, action: str, timeout_s: float) -> Answer:
        agent = _agent(sid, config)
        variables = _variables(sid, agent, _parameters(sid, config), self.node)
        variables["OCF_RESKEY_CRM_meta_timeout"] = f"{timeout_s * 1000:.0f}"
        if action == "monitor":
            variables["OCF_RESKEY_CRM_meta_interval"] = "10000"
        return run(sid, (str(agent), action), timeout_s, variables)


def _root() -> str:
    return os.environ.get("OCF_ROOT", ROOT)


def _instance(sid: str) -> str:
    """How agents know the service: they take what follows a colon for the number of a clone."""
    return sid.partition(":")[2]


def _what(config: Config) -> str:
    return str(config.get("agent"))


def _why(answer: Answer) -> str:
    return f"{CODES[answer.code]}: {answer.why}" if answer.code in CODES else answer.why


def _agent(sid: str, config: Config) -> Path:
    """The agent's program, be it there or not."""
    agent = config.get("agent")
    found = _AGENT.match(agent) if isinstance(agent, str) else None
    if not found:
        raise ResourceError(f"{sid}: 'agent' must be PROVIDER:AGENT, such as heartbeat:IPaddr2")
    return Path(_root(), "resource.d", *found.groups())


def _parameters(sid: str, config: Config) -> dict[str, str]:
    given = config.get("parameters", {})
    if not isinstance(given, Mapping):
        raise ResourceError(f"{sid}: 'parameters' must map names to values")
    for name, value in given.items():
        if not isinstance(name, str) or not _PARAMETER.match(name):
            raise ResourceError(f"{sid}: 'parameters': bad name {name!r}")
        if not isinstance(value, (str, int, float)) or "\0" in str(value):
            raise ResourceError(f"{sid}: 'parameters': {name} must be a word or a number")
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()}


def _variables(sid: str, agent: Path, parameters: Mapping[str, str], node: str) -> dict[str, str]:
    """What the standard has an agent find in its environment."""
    return {
        "OCF_ROOT": _root(),
        "OCF_RA_VERSION_MAJOR": "1",
        "OCF_RA_VERSION_MINOR": "1",
        "OCF_RESOURCE_INSTANCE": _instance(sid),
        "OCF_RESOURCE_TYPE": agent.name,
        "OCF_RESOURCE_PROVIDER": agent.parent.name,
        "OCF_RESKEY_CRM_meta_on_node": node,
        "LC_ALL": "C.UTF-8",
        **{f"OCF_RESKEY_{name}": value for name, value in parameters.items()},
    }


def _insist_on_parameters(sid: str, config: Config, given: Mapping[str, str]) -> None:
    """Raise :class:`ResourceError` unless these are parameters that the agent knows, and all on which it insists."""
    agent = _agent(sid, config)
    answer = run(sid, (str(agent), "meta-data"), META_DATA_TIMEOUT_S, _variables(sid, agent, {}, ""))
    try:
        told = list(ElementTree.fromstring(answer.output).iterfind("parameters/parameter"))
    except ElementTree.ParseError as error:
        raise ResourceError(f"{sid}: the meta-data of {_what(config)} cannot be read: {error}") from error
    known = {parameter.get("name", ""): parameter.get("required") == "1" for parameter in told}
    for name in given:
        if name not in known:
            raise ResourceError(f"{sid}: {_what(config)} has no parameter {name!r} (known: {', '.join(sorted(known))})")
    missing = [name for name, required in known.items() if required and name not in given]
    if missing:
        raise ResourceError(f"{sid}: {_what(config)} needs the parameter {missing[0]!r}")
