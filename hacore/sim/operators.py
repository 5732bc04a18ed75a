"""Operators: whoever changes what is configured, gives commands, and looks at what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from hacore.manager import commands
from hacore.manager.documents import COMMANDS, RESOURCES, STATUS, Commands, Resource, dump, parse
from hacore.protocol.locks import MANAGER_LOCK
from hacore.protocol.requests import JSON
from hacore.sim.services import Services
from hacore.sim.stats import Stats
from hacore.sim.store import Store


class Site(Protocol):
    """A simulated cluster, seen by its operators, who always have a good connection."""

    store: Store
    services: Services
    stats: Stats

    def write(self, key: str, value: JSON) -> None:
        """Write a document."""

    def tell(self, actor: str, kind: str, fields: Mapping[str, Any]) -> None:
        """An event, for the log of the run."""


class Switches(Protocol):
    """The hardware and the init systems of a simulated cluster, by the words of a scenario's commands."""

    def power(self, node: str, *, on: bool) -> None: ...

    def network(self, node: str, *, on: bool) -> None: ...

    def file_system(self, node: str, what: str, *, works: bool) -> None:
        """``what``: ``rw`` (reading and writing) or ``update`` (what is read is current)."""

    def end(self, node: str, how: str) -> None:
        """``how``: ``reboot`` or ``shutdown``."""

    def restart_lrm(self, node: str) -> None: ...

    def stop_crm(self, node: str) -> None: ...

    def start_crm(self, node: str) -> None: ...

    def skip_rounds(self, kind: str, rounds: int) -> None:
        """All daemons of this kind do nothing for some rounds of the reference clock."""


class Operator:
    """Operates one site."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def carry_out(self, text: str, switches: Switches) -> int:
        """A scenario's command. Returns how many seconds the run goes on before the next commands are given."""
        self.site.tell("operator", "command", {"text": text})
        verb, *rest = text.split()
        match verb, *rest:
            case "delay", seconds:
                return int(seconds)
            case "skip-round", kind, *rounds:
                switches.skip_rounds(kind, int(rounds[0]) if rounds else 1)
            case "power", node, word:
                switches.power(node, on=word == "on")
            case "network", node, word:
                switches.network(node, on=word == "on")
            case "cfs", node, what, word:
                switches.file_system(node, what, works=word == "work")
            case (("reboot" | "shutdown"), node):
                switches.end(node, verb)
            case "restart-lrm", node:
                switches.restart_lrm(node)
            case "crm", node, "stop":
                switches.stop_crm(node)
            case "crm", node, "start":
                switches.start_crm(node)
            case "crm", node, ("enable-node-maintenance" | "disable-node-maintenance") as word:
                self.queue(f"{word} {node}")
            case "crm", _, *words:
                self.queue(" ".join(words))
            case "service", sid, word, *words:
                self._service(sid, word, *words)
        return 0

    def command(self, text: str) -> None:
        """A command to the cluster's master."""
        self.site.tell("operator", "command", {"text": text})
        self.queue(text)

    def queue(self, text: str) -> None:
        queue = parse(self.site.store[COMMANDS], Commands, COMMANDS, Commands())
        self.site.write(COMMANDS, dump(commands.append(queue, text)))

    # ---------------------------------------------------------------------------------------------- configuration

    @property
    def resources(self) -> dict[str, Resource]:
        return parse(self.site.store[RESOURCES], dict[str, Resource], RESOURCES, {})

    def configure(self, sid: str, resource: Resource | None) -> None:
        """The service is configured like this from now on; None: not at all."""
        known = {name: dump(it) for name, it in self.resources.items() if name != sid}
        self.site.write(RESOURCES, known if resource is None else {**known, sid: dump(resource)})

    def request(self, sid: str, state: str) -> None:
        """Request a state of a service, if it is configured."""
        resource = self.resources.get(sid)
        if resource:
            resource.state = state
            self.configure(sid, resource)

    def _service(self, sid: str, verb: str, *rest: str) -> None:
        if verb in {"migrate", "relocate", "stop"}:
            self.queue(f"{verb} {sid} {rest[0]}")
        elif verb == "add":
            node, state, runs = (*rest, *("", "started", "0")[len(rest) :])
            self.configure(sid, Resource(node, state))
            if runs == "1":
                self.site.services.running[node].add(sid)
        elif verb == "delete":
            self.configure(sid, None)
        elif verb in {"set-static-stats", "set-dynamic-stats"}:
            self.site.stats.measure(sid, verb, dict(zip(rest[::2], rest[1::2], strict=True)))
        else:
            self._change(sid, verb, *rest)

    def _change(self, sid: str, verb: str, *rest: str) -> None:
        resource = self.resources.get(sid)
        if resource is None:
            return
        if verb == "lock":
            resource.lock = rest[0] if rest else "backup"
        elif verb == "unlock":
            resource.lock = ""
        elif verb == "manual-migrate":
            self._move_by_hand(sid, resource, rest[0])
        else:
            resource.state = verb
        self.configure(sid, resource)

    def _move_by_hand(self, sid: str, resource: Resource, node: str) -> None:
        """Whoever moves a service by hand has stopped it before."""
        self.site.services.running[resource.node].discard(sid)
        resource.node = node

    # ---------------------------------------------------------------------------------------------------- looking

    @property
    def status(self) -> dict[str, Any]:
        value: dict[str, Any] = self.site.store[STATUS].value or {}
        return value

    def state(self, sid: str) -> str:
        record = self.status.get("services", {}).get(sid)
        return record["state"] if record else ""

    def where(self, sid: str) -> list[str]:
        return [node for node, running in self.site.services.running.items() if sid in running]

    def runs(self, *sids: str) -> bool:
        """Each is started, by its record, and runs on its record's node."""
        records = self.status.get("services", {})
        return all(
            sid in records and records[sid]["state"] == "started" and self.where(sid) == [records[sid]["node"]]
            for sid in sids
        )

    def master(self) -> str:
        lock = self.site.store[MANAGER_LOCK].value or {}
        owner: str = lock.get("owner", "")
        return owner
