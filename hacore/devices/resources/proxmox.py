"""Services of types ``vm`` and ``ct``: virtual machines and containers of Proxmox VE, by ``qm`` and ``pct``.

    {"start_timeout_s": 120, "stop_timeout_s": 180, "migrate_timeout_s": 3600}

All may be left out: ``vm:100`` is the guest 100. hacore's nodes are called as Proxmox calls them.

Theory of operation. The guest's configuration is a file below the directory of one node, /etc/pve/nodes/NODE, and only
there can Proxmox start it. So when hacore starts a guest on another node, after that node was fenced or has handed the
guest over, the file is moved; unless its node is online, and does not say that the guest is stopped there: then
somebody has moved it behind hacore's back. Its disks must be on storage that both nodes share.

A guest is down when ``status`` says stopped, nobody is about to start it, and its control group is empty; on a node
that does not have the file there is no status, and the other two must do. What cannot be understood is an error.
"""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from hacore.devices.clock import now_s
from hacore.devices.resources import find
from hacore.devices.resources.base import Config, ResourceError, told
from hacore.devices.resources.run import Answer, run
from hacore.devices.resources.settings import insist_on_keys, insist_on_seconds, seconds

PVE = Path("/etc/pve")
"""The cluster file system. It is read by helpers with a deadline: it hangs when its daemon does."""
CALL_S = 15.0
"""How long a question may take. Proxmox's tools wait up to 10 s for a lock."""
START_TIMEOUT_S, MIGRATE_TIMEOUT_S = 120.0, 3600.0
KILL_WAIT_S = 30.0
"""How long a stop by force may take."""
LOOK_EVERY_S = 0.5
LEAST_ID = 100


class _Guest:
    """What virtual machines and containers have in common."""

    stop_timeout_s: ClassVar[float]
    tool: ClassVar[str]
    place: ClassVar[str]
    """Where the configurations are, below a node's directory."""
    kind: ClassVar[str]
    """What Proxmox's API calls it."""
    task: ClassVar[str]
    """What Proxmox calls the task of starting one."""
    group: ClassVar[str]
    """The control group of what runs."""

    def __init__(self, home: Path, node: str) -> None:
        self.node = node

    @staticmethod
    def validate(sid: str, config: Config) -> None:
        """Raise :class:`ResourceError` if no guest can be called so, or something else is configured."""
        timeouts = ("start_timeout_s", "stop_timeout_s", "migrate_timeout_s")
        insist_on_keys(sid, config, *timeouts)
        insist_on_seconds(sid, config, *timeouts)
        _number(sid)

    def probe(self, sid: str, config: Config) -> bool:
        """True too in any state other than ``stopped``, and while it is being started or arrives from elsewhere."""
        number = _number(sid)
        with told(sid):
            processes = find.living().values()
            if any(self._starts(number, find.words(process)) for process in processes):
                return True
            if find.in_cgroup(processes, self.group.format(number)):
                return True
        return self._home_of(sid) == self.node and self._status(sid) != "stopped"

    def start(self, sid: str, config: Config) -> None:
        """Start the guest, after bringing its configuration here if that is elsewhere."""
        if self.probe(sid, config):
            return
        self._bring_here(sid)
        self.insist_on_us_alone(sid, config)
        self._do(sid, seconds(config, "start_timeout_s", START_TIMEOUT_S), "start")

    def insist_on_us_alone(self, sid: str, config: Config) -> None:
        """Raise :class:`ResourceError`, with what to do about it, if Proxmox starts the guest by itself."""
        if any(line.split() == ["onboot:", "1"] for line in self._do(sid, CALL_S, "config").output.splitlines()):
            raise ResourceError(
                f"{sid}: it is not hacore's alone: Proxmox starts it when its node boots; end that with "
                f"{self.tool} set {_number(sid)} --onboot 0"
            )

    def stop(self, sid: str, config: Config, timeout_s: float | None) -> None:
        """Shut the guest down, and switch it off after the timeout, whoever has locked it."""
        if timeout_s is None:
            timeout_s = seconds(config, "stop_timeout_s", self.stop_timeout_s)
        if not self.probe(sid, config):
            return
        if timeout_s > 0:
            with suppress(ResourceError):  # whatever prevents it, there is still force
                run(sid, self._words(sid, "shutdown", "--timeout", f"{math.ceil(timeout_s)}"), timeout_s + CALL_S)
        if self.probe(sid, config):
            self._do(sid, KILL_WAIT_S, "stop", "--skiplock", "1")
        give_up_s = now_s() + KILL_WAIT_S
        while self.probe(sid, config):
            if now_s() >= give_up_s:
                raise ResourceError(f"{sid}: {self.tool} says that it was stopped, but something of it runs")
            time.sleep(LOOK_EVERY_S)

    def migrate(self, sid: str, config: Config, target: str) -> bool:
        """Move the guest with ``migrate``; True if its configuration is there and nothing of it here."""
        self._do(sid, seconds(config, "migrate_timeout_s", MIGRATE_TIMEOUT_S), "migrate", target, *self._live())
        return self._home_of(sid) == target and not self.probe(sid, config)

    def _live(self) -> tuple[str, ...]:
        return ()

    def _starts(self, number: str, words: list[str]) -> bool:
        """Whether a process with this command line is the tool, starting the guest, or the task that does it."""
        asked = words[-2:] == ["start", number] and Path(words[-3:][0]).name == self.tool
        return asked or f":{self.task}:{number}:" in words[0]

    # ----------------------------------------------------------------------------------------------- asking Proxmox

    def _words(self, sid: str, verb: str, *more: str) -> tuple[str, ...]:
        return self.tool, verb, _number(sid), *more

    def _do(self, sid: str, timeout_s: float, verb: str, *more: str) -> Answer:
        return _done(sid, timeout_s, *self._words(sid, verb, *more))

    def _status(self, sid: str) -> str:
        said = self._do(sid, CALL_S, "status").output.split()
        if len(said) != 2 or said[0] != "status:":  # noqa: PLR2004 - a name and a value
            raise ResourceError(f"{sid}: {self.tool} status says {' '.join(said)!r}")
        return said[1]

    def _home_of(self, sid: str) -> str:
        """The node that has the guest's configuration; "" if none has."""
        name = f"{_number(sid)}.conf"
        nodes = str(PVE / "nodes")
        words = ("find", nodes, "-mindepth", "3", "-maxdepth", "3", "-path", f"*/{self.place}/{name}")
        found = [Path(line).parts[-3] for line in _done(sid, CALL_S, *words).output.splitlines()]
        if len(found) > 1:
            raise ResourceError(f"{sid}: its configuration is on several nodes: {', '.join(found)}")
        return found[0] if found else ""

    def _bring_here(self, sid: str) -> None:
        """Move the configuration to this node, unless the guest may run on its own."""
        home = self._home_of(sid)
        if home == self.node:
            return
        if not home:
            raise ResourceError(f"{sid}: there is no such guest on any node")
        if _online(sid, home) and self._status_on(sid, home) != "stopped":
            raise ResourceError(f"{sid}: it was moved to {home} by somebody else: hacore relocate {sid} {home}")
        source, target = (PVE / "nodes" / node / self.place / f"{_number(sid)}.conf" for node in (home, self.node))
        _done(sid, CALL_S, "mv", "--no-clobber", "--no-target-directory", str(source), str(target))
        if self._home_of(sid) != self.node:
            raise ResourceError(f"{sid}: its configuration could not be moved from {home}")

    def _status_on(self, sid: str, node: str) -> str:
        place = f"/nodes/{node}/{self.kind}/{_number(sid)}/status/current"
        return str(_decoded(sid, "pvesh", "get", place, "--output-format", "json").get("status"))


class MachineResource(_Guest):
    """The ``vm`` services of one node."""

    stop_timeout_s = 180.0
    tool, place, kind, task, group = "qm", "qemu-server", "qemu", "qmstart", "/qemu.slice/{}.scope"

    def _live(self) -> tuple[str, ...]:
        return ("--online", "1")


class ContainerResource(_Guest):
    """The ``ct`` services of one node."""

    stop_timeout_s = 60.0
    tool, place, kind, task, group = "pct", "lxc", "lxc", "vzstart", "/lxc/{}"

    def migrate(self, sid: str, config: Config, target: str) -> bool:
        """A container is stopped to be moved; that it is started there is for the target's LRM."""
        self.stop(sid, config, None)
        return super().migrate(sid, config, target)


def _number(sid: str) -> str:
    number = sid.partition(":")[2]
    if not number.isdecimal() or str(int(number)) != number or int(number) < LEAST_ID:
        raise ResourceError(f"{sid}: a guest of Proxmox has a number of at least {LEAST_ID}, such as vm:100")
    return number


def _done(sid: str, timeout_s: float, *words: str) -> Answer:
    answer = run(sid, words, timeout_s, {"LC_ALL": "C.UTF-8"})
    if answer.code != 0:
        raise ResourceError(f"{sid}: {' '.join(words[:2])}: {answer.why}")
    return answer


def _decoded(sid: str, *words: str) -> dict[str, object]:
    """The JSON object that a helper says."""
    try:
        said = json.loads(_done(sid, CALL_S, *words).output)
    except json.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise ResourceError(f"{sid}: {' '.join(words)} does not answer in JSON")
    return said


def _online(sid: str, node: str) -> bool:
    """Whether the node belongs to the part of the cluster that has the quorum. Raises without quorum."""
    seen = _decoded(sid, "cat", os.fspath(PVE / ".members"))
    cluster, nodes = seen.get("cluster"), seen.get("nodelist")
    if not isinstance(cluster, dict) or cluster.get("quorate") != 1 or not isinstance(nodes, dict):
        raise ResourceError(f"{sid}: this node of Proxmox's cluster has no quorum")
    return node in nodes and nodes[node].get("online") == 1
