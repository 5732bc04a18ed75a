"""Whoever gives a scenario's commands: operators, the power company, and the init system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hacore.manager import commands
from hacore.manager.documents import (
    COMMANDS,
    MEMBERS,
    RELEASE_MODES,
    RESOURCES,
    RULES,
    SETTINGS,
    STATUS,
    Commands,
    LrmStatus,
    Record,
    Resource,
    Settings,
    Status,
    dump,
    lrm_key,
    parse,
)
from hacore.manager.jobs import Duty
from hacore.manager.rules import listed

if TYPE_CHECKING:
    from hacore.sim.clockwork import Clockwork, Slot


class Operators:
    """Carries out the commands of one run."""

    def __init__(self, run: Clockwork) -> None:
        self.run = run
        scenario = run.scenario
        self._write(RESOURCES, {sid: dump(_resource(it)) for sid, it in scenario.services.items()})
        self._write(MEMBERS, run.nodes)
        self._write(SETTINGS, dump(_settings(scenario.settings)))
        self._write(RULES, dump(listed([*scenario.rules], RULES)))
        if scenario.manager_status:
            self._write(STATUS, dump(_status(scenario.manager_status)))

    def carry_out(self, command: str) -> int:
        """How many seconds the run goes on before the next commands are given."""
        verb, *rest = command.split()
        if verb == "delay":
            return int(rest[0])
        getattr(self, f"_{verb.replace('-', '_')}")(*rest)
        return 0

    # ---------------------------------------------------------------------------------------- nodes and daemons

    def _power(self, node: str, word: str) -> None:
        self.run.hardware.power(node, on=word == "on")

    def _network(self, node: str, word: str) -> None:
        self.run.hardware.machines[node].connected = word == "on"

    def _cfs(self, node: str, what: str, word: str) -> None:
        setattr(self.run.hardware.machines[node], {"rw": "readable", "update": "current"}[what], word == "work")

    def _skip_round(self, kind: str, rounds: str = "1") -> None:
        self.run.skipped[kind] = int(rounds)

    def _reboot(self, node: str) -> None:
        self._end(node, "reboot")

    def _shutdown(self, node: str) -> None:
        self._end(node, "shutdown")

    def _end(self, node: str, how: str) -> None:
        self.run.hardware.machines[node].ending = how
        self._ask(self.run.slots[node]["lrm"], how)

    def _restart_lrm(self, node: str) -> None:
        self._ask(self.run.slots[node]["lrm"], "restart")

    def _ask(self, lrm: Slot, word: str) -> None:
        """The LRM hears of it, and publishes its mode at once: the reference's does so on the signal itself."""
        if lrm.daemon is None or lrm.asked:
            return
        lrm.asked.add(word)
        if not self.run.hardware.reaches_documents(lrm.node):
            return
        settings = parse(self.run.hardware.store[SETTINGS], Settings, SETTINGS, Settings())
        own = parse(self.run.hardware.store[lrm_key(lrm.node)], LrmStatus, lrm_key(lrm.node), LrmStatus())
        duty = Duty(lrm.node, Status(), {}, own, settings)
        if own.mode == "maintenance" or (word != "restart" and settings.shutdown_policy == "migrate"):
            mode = "maintenance"
        else:
            mode = "restart" if word == "restart" or duty.policy_freezes({word}) else "shutdown"
        said = LrmStatus(mode, own.generation + (mode in RELEASE_MODES), own.results)
        self._write(lrm_key(lrm.node), dump(said))

    def _crm(self, node: str, verb: str, *rest: str) -> None:
        crm = self.run.slots[node]["crm"]
        if verb == "stop":
            crm.asked.add("shutdown")
        elif verb == "start":
            if crm.daemon is None:
                self.run.start(crm)
        elif verb in {"enable-node-maintenance", "disable-node-maintenance"}:
            self._queue(f"{verb} {node}")
        else:
            self._queue(" ".join((verb, *rest)))

    # -------------------------------------------------------------------------------------------------- services

    def _service(self, sid: str, verb: str, *rest: str) -> None:
        if verb in {"migrate", "relocate", "stop"}:
            self._queue(f"{verb} {sid} {rest[0]}")
        elif verb == "add":
            node, state, runs = (*rest, *("", "started", "0")[len(rest) :])
            self._configure(sid, Resource(node, state))
            if runs == "1":
                self.run.hardware.services.running[node].add(sid)
        elif verb == "delete":
            self._configure(sid, None)
        elif verb in {"set-static-stats", "set-dynamic-stats"}:
            self.run.hardware.stats.measure(sid, verb, dict(zip(rest[::2], rest[1::2], strict=True)))
        else:
            self._change(sid, verb, *rest)

    def _change(self, sid: str, verb: str, *rest: str) -> None:
        resource = self.run.hardware.configured().get(sid)
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
        self._configure(sid, resource)

    def _move_by_hand(self, sid: str, resource: Resource, node: str) -> None:
        """Whoever moves a service by hand has stopped it before."""
        self.run.hardware.services.running[resource.node].discard(sid)
        resource.node = node

    def _configure(self, sid: str, resource: Resource | None) -> None:
        known = {name: dump(it) for name, it in self.run.hardware.configured().items() if name != sid}
        self._write(RESOURCES, known if resource is None else {**known, sid: dump(resource)})

    def _queue(self, text: str) -> None:
        queue = parse(self.run.hardware.store[COMMANDS], Commands, COMMANDS, Commands())
        self._write(COMMANDS, dump(commands.append(queue, text)))

    def _write(self, key: str, value: Any) -> None:
        self.run.hardware.store.transact({}, {key: value})


def _resource(it: Any) -> Resource:
    return Resource(it.node, it.state, it.max_restart, it.max_relocate, bool(it.failback))


_NUMBERS = {
    "ha-auto-rebalance-threshold": ("rebalance_threshold", float),
    "ha-auto-rebalance-hold-duration": ("rebalance_hold_rounds", int),
    "ha-auto-rebalance-margin": ("rebalance_margin", float),
}


def _settings(given: Mapping[str, Mapping[str, Any]]) -> Settings:
    """Settings in the reference's form."""
    crs, ha = given.get("crs", {}), given.get("ha", {})
    numbers = {name: kind(crs[key]) for key, (name, kind) in _NUMBERS.items() if key in crs}
    return Settings(
        shutdown_policy=ha.get("shutdown_policy", "conditional"),
        scheduler=crs.get("ha", "basic"),
        rebalance_on_start=bool(int(crs.get("ha-rebalance-on-start", 0))),
        rebalance=bool(int(crs.get("ha-auto-rebalance", 0))),
        rebalance_method=crs.get("ha-auto-rebalance-method", "bruteforce"),
        **numbers,
    )


def _status(given: Mapping[str, Any]) -> Status:
    """A manager status in the reference's form."""
    records = {
        sid: Record(
            it["state"],
            it["node"],
            it["uid"],
            it.get("target", ""),
            running=bool(it.get("running", 0)),
            failed_nodes=list(it.get("failed_nodes", [])),
            maintenance_node=it.get("maintenance_node", ""),
        )
        for sid, it in given.get("service_status", {}).items()
    }
    return Status(master=given.get("master_node", ""), nodes=dict(given.get("node_status", {})), services=records)
