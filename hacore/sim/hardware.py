"""The hardware of a run by the reference clock: power, network, the cluster file system, watchdogs; and what answers.

The cluster file system is a store whose locks end by themselves, :data:`LOCK_TTL_S` after they were last written, and
whose membership shows at once: the heartbeat of a node that is not online is absent, any other has just changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from hacore.daemons.worker import Worker
from hacore.manager.documents import DYNAMIC_STATS, RESOURCES, STATIC_STATS, dump
from hacore.protocol.locks import heartbeat
from hacore.protocol.requests import (
    JSON,
    Accepted,
    Asking,
    Clock,
    CloseWatchdog,
    Committed,
    Conflict,
    Document,
    Fired,
    Inbox,
    Job,
    KeepAlive,
    Migrate,
    OpenWatchdog,
    Outcome,
    Probe,
    Read,
    Reap,
    Refused,
    Request,
    Say,
    Snapshot,
    Spawn,
    Start,
    Stop,
    Transact,
    Unavailable,
)
from hacore.sim.documents import documents_of
from hacore.sim.processes import quick
from hacore.sim.services import Services
from hacore.sim.stats import Stats
from hacore.sim.store import Store

if TYPE_CHECKING:
    from hacore.sim.clockwork import Clockwork, Slot

LOCK_TTL_S = 120
A = TypeVar("A")
NO_ANSWER = Unavailable("not to be reached")


@dataclass
class Machine:
    """One node's hardware, and its mount of the cluster file system."""

    powered: bool
    connected: bool
    readable: bool = True
    current: bool = True
    ending: str = ""
    """``reboot`` or ``shutdown``, once asked for."""
    deadline_s: float | None = None
    """When the watchdog resets the node; None while no client is open."""
    outcomes: list[Outcome] = field(default_factory=list)
    """Of workers, not yet reaped."""


class Hardware:
    """Answers requests, at once."""

    def __init__(self, run: Clockwork) -> None:
        self.run = run
        self.store = Store()
        self.store.documents = {key: Document(value, 1) for key, value in documents_of(run.scenario).items()}
        self.store.revision = 1
        self.written_s: dict[str, int] = {}
        """When each lock was last written."""
        nodes = run.scenario.nodes
        self.machines = {name: Machine(it.power == "on", it.network == "on") for name, it in nodes.items()}
        self.services = Services({name: set(run.scenario.running.get(name, {})) for name in nodes}, self.store)
        self.stats = Stats.of(run.scenario)
        self._begun: Say | None = None
        self._job: Job | None = None
        """What the worker does that runs at present."""
        self._beats = 0
        self._answers: dict[type[Request[Any]], Callable[[Slot, Any], Any]] = {
            Fired: lambda _, request: self.run.fired.update((request.row,)),
            Say: self._say,
            Clock: lambda slot, _: float(slot.clock_s),
            Inbox: lambda slot, _: frozenset(slot.asked),
            Read: self._read,
            Transact: self._transact,
            OpenWatchdog: self._set_deadline,
            KeepAlive: self._set_deadline,
            CloseWatchdog: self._close_watchdog,
            Spawn: self._spawn,
            Reap: self._reap,
            Probe: lambda slot, request: self.services.runs(slot.node, request.sid),
            Start: self._start,
            Stop: self._stop,
            Migrate: self._migrate,
        }

    def carry_out(self, slot: Slot, asking: Asking[A]) -> A:
        """Answer requests to the end, and return what is returned there."""
        answer: Any = None
        while True:
            try:
                request = asking.send(answer)
            except StopIteration as end:
                value: A = end.value
                return value
            answer = self._answers[type(request)](slot, request)

    # -------------------------------------------------------------------------------------------------- power

    def online(self) -> set[str]:
        """The nodes with power, network and quorum."""
        up = {name for name, machine in self.machines.items() if machine.powered and machine.connected}
        return up if 2 * len(up) > len(self.machines) else set()

    def power(self, node: str, *, on: bool) -> None:
        """Power brings the network with it, and a new life begins without what was asked before."""
        machine = self.machines[node]
        changed = machine.powered != on
        self.machines[node] = Machine(on, on, deadline_s=machine.deadline_s if on else None)
        if changed and on:
            for slot in self.run.slots[node].values():
                self.run.start(slot)
        elif changed:
            self.run.kill(node)
            self.services.running[node].clear()

    def ended(self, slot: Slot) -> None:
        """A daemon has exited: its init goes on with what was asked."""
        machine = self.machines[slot.node]
        if slot.kind == "lrm" and "restart" in slot.asked and not machine.ending:
            self.run.start(slot)
        elif slot.kind == "lrm":
            self.run.slots[slot.node]["crm"].asked.add("shutdown")
        elif machine.ending:
            ending = machine.ending
            self.power(slot.node, on=False)
            if ending == "reboot":
                self.power(slot.node, on=True)

    def watchdog_fires(self, node: str) -> bool:
        deadline_s = self.machines[node].deadline_s
        return deadline_s is not None and self.run.now_s > deadline_s

    # -------------------------------------------------------------------------------------------------- store

    def reaches_documents(self, node: str) -> bool:
        machine = self.machines[node]
        return node in self.online() and machine.readable and machine.current

    def write(self, key: str, value: JSON) -> None:
        """A document as an operator writes it."""
        self.store.transact({}, {key: value})

    def tell(self, actor: str, kind: str, fields: Mapping[str, Any]) -> None:
        """An event that is not a daemon's."""
        self.run.events.add(self.run.now_s, actor, kind, fields)

    def _read(self, slot: Slot, request: Read) -> Snapshot | Unavailable:
        if not self.reaches_documents(slot.node):
            return NO_ANSWER
        self._beats += 1
        seen = dict(self.store.read(request.prefixes).documents)
        for key, written_s in self.written_s.items():
            if key in seen and self.run.now_s - written_s > LOCK_TTL_S:
                seen[key] = Document({**seen[key].value, "owner": ""}, seen[key].revision)
        if heartbeat("").startswith(request.prefixes):
            seen.update({heartbeat(node): Document({}, self._beats) for node in self.online()})
            sids = self.store[RESOURCES].value or ()
            seen[STATIC_STATS] = Document(dump(self.stats.static(sids)), self._beats)
            seen[DYNAMIC_STATS] = Document(dump(self.stats.dynamic(sids, self.services.running)), self._beats)
        return Snapshot(seen, self.store.revision)

    def _transact(self, slot: Slot, request: Transact) -> Committed | Conflict | Unavailable:
        locks = [key for key in request.writes if key.startswith("lock/")]
        if slot.node not in self.online() or (not locks and not self.reaches_documents(slot.node)):
            return NO_ANSWER
        self.written_s.update(dict.fromkeys(locks, slot.clock_s))
        writes = {key: value for key, value in request.writes.items() if key != heartbeat(slot.node)}
        return self.store.transact(request.checks, writes)

    # ------------------------------------------------------------------------------------- watchdog and workers

    def _set_deadline(self, slot: Slot, request: OpenWatchdog | KeepAlive) -> Accepted | Refused:
        self.machines[slot.node].deadline_s = request.deadline_s
        return Accepted()

    def _close_watchdog(self, slot: Slot, _: CloseWatchdog) -> Accepted:
        self.machines[slot.node].deadline_s = None
        return Accepted()

    def _spawn(self, slot: Slot, request: Spawn) -> None:
        """A worker does all its work at once."""
        self._job = request.job
        outcome = self.carry_out(slot, quick(Worker(slot.node, request.job, self.run.tables)).work())
        self.machines[slot.node].outcomes.append(outcome)

    def _reap(self, slot: Slot, _: Reap) -> tuple[Outcome, ...]:
        machine = self.machines[slot.node]
        ended, machine.outcomes = tuple(machine.outcomes), []
        return ended

    def _say(self, slot: Slot, request: Say) -> None:
        if request.event == "service_recovered":
            self.run.notes.recovered(request.fields["sid"], request.fields["node"])
        if request.event == "move_started":
            self._begun = request
        else:
            self.run.say(slot, request.event, request.fields)

    def _start(self, slot: Slot, request: Start) -> None:
        self._touch("started")
        self.services.start(slot.node, request.sid)

    def _stop(self, slot: Slot, request: Stop) -> None:
        self._touch("stopped")
        self.services.stop(slot.node, request.sid)

    def _touch(self, how: str) -> None:
        if self._job:
            self.run.notes.touched(self._job, how)

    def _migrate(self, slot: Slot, request: Migrate) -> bool:
        """The reference tells of the begin of a move only where it does begin; and stops what cannot move live."""
        self._touch("moved")
        stops = self.services.runs(slot.node, request.sid) and not request.live
        moved = self.services.move(slot.node, request.sid)
        if self._begun and (moved or self.services.locked(request.sid)):
            self.run.say(slot, self._begun.event, self._begun.fields)
        if moved and stops:
            self.run.say(slot, "service_stopping", {"sid": request.sid})
            self.run.say(slot, "service_stopped", {"sid": request.sid})
        return moved
