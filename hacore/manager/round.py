"""The master's round: from documents as they were read to the documents as they shall be (PROTOCOL section 5).

Pure: the same snapshot and sight give the same decision. What is decided is written in one transaction, on condition
that every document to be written is still as it was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from hacore.manager import commands, disarm, nodes, services
from hacore.manager.documents import COMMANDS, RESOURCES, STATUS, Command, dump, outline_of
from hacore.manager.memory import Memory
from hacore.manager.rebalance import rebalance
from hacore.manager.view import Event, Sight, View
from hacore.protocol.locks import Lock, agent_lock
from hacore.protocol.requests import JSON, Decided, Snapshot
from hacore.protocol.table import Table
from hacore.protocol.tables import TABLES


@dataclass(frozen=True, slots=True)
class Decision:
    """What a round decided: documents to write, the revisions they rest on, and what people want to know of it."""

    writes: Mapping[str, JSON]
    basis: Mapping[str, int]
    events: tuple[Event, ...]
    fence_due: str
    """A marked node whose lock may be taken now, "" if there is none. Taken only when there is nothing to write."""
    power_due: str
    """A marked node to be powered off now, "" if there is none. Only when there is nothing to write."""
    decided: tuple[Decided, ...] = ()
    """The rows by which records, nodes and the disarm request come to be as they are written."""


NOTHING = Decision({}, {}, (), "", "")
"""What a master decides that does not see its own node: nothing at all."""


def fit(own: str, snapshot: Snapshot, sight: Sight, memory: Memory | None = None) -> bool:
    """Whether this node should have a CRM that can be master: there is work, and it is not about to be fenced."""
    view = View.of(own, snapshot, sight, memory=memory)
    status = view.status
    if any(record.state == "fence" and record.node == own for record in status.services.values()):
        return False
    return has_work(view)


def has_work(view: View) -> bool:
    """Whether there is anything to manage: PROTOCOL section 3, "can become active"."""
    status = view.status
    if view.resources:
        return True
    if status.master not in {"", view.own} and view.node_state(status.master) == "online":
        return False  # what is left to do is that master's
    stale_maintenance = any(
        state == "maintenance" and node not in status.maintenance for node, state in status.nodes.items()
    )
    return bool(status.services or view.commands.queue or status.disarm or stale_maintenance)


def busy(snapshot: Snapshot) -> bool:
    """Whether a master has more to do than to carry out commands now and then."""
    outline = outline_of(snapshot)
    return bool(snapshot[RESOURCES].value or outline.services or outline.disarm)


def decide(
    own: str,
    snapshot: Snapshot,
    sight: Sight,
    tables: Mapping[str, Table] = TABLES,
    memory: Memory | None = None,
) -> Decision:
    """One round of the master on node ``own``. Raises DocumentError if a document cannot be understood.

    With a ``memory`` that is kept from round to round it is quicker; what is decided is the same.
    """
    view = View.of(own, snapshot, sight, tables, memory)
    view.status.master = own
    nodes.step_all(view)
    if view.node_state(own) not in {"online", "maintenance"}:
        return NOTHING
    _update_records(view)
    commands.drain(view)
    disarm.step(view)
    if view.status.disarm is None and not sight.again:
        _rebalance(view)
    _step_services(view)
    commands.refuse_rest(view)
    return _decision(view)


def _update_records(view: View) -> None:
    """New services get a record, records of services that are configured no more are dropped. Not while disarmed."""
    if view.disarming():
        return
    records, table = view.status.services, view.tables["service"]
    managed = {sid for sid, resource in view.resources.items() if resource.state != "ignored"}
    for sid in sorted(managed - records.keys()):
        records[sid] = view.new_record(sid, table.initial, view.resources[sid].node)
        if table.state_named[table.initial].within:  # a phase, in which no record stays
            services.step(view, sid)
    for sid in sorted(records.keys() - managed):
        del records[sid]
        view.say("service_removed", sid=sid, reason="ignored" if sid in view.resources else "unconfigured")


def _rebalance(view: View) -> None:
    """Once a round: command the move that evens out the load, if it has been unequal for long enough."""
    if not view.settings.rebalance:
        return
    status = view.status
    held, found = rebalance(
        view.settings,
        status.services,
        view.places,
        status.imbalanced_rounds,
        queued=any(command.moves for command in view.pending.values()),
    )
    status.imbalanced_rounds = held
    if found:
        before, after = f"{found.before:.2f}", f"{found.after:.2f}"
        view.say("rebalance", how=found.how, sid=found.sid, target=found.target, before=before, after=after)
        command = Command(0, f"{found.how} {found.sid} {found.target}")
        commands.move(view, found.sid, command, found.target)


def _step_services(view: View) -> None:
    """Every service in the order of its sid, again and again until none changes its state; then nodes are marked.

    What follows from a fence goes first: if a node was fenced in this round, what waited for that; and if another node
    can be fenced at once, the others wait until it is.
    """
    view.begin_steps()
    if view.sight.again:
        for sid in sorted(sid for sid, record in view.status.services.items() if record.state == "fence"):
            _step_service(view, sid)
        if nodes.mark(view):
            return
    sids = sorted(view.status.services)
    while True:
        changed = [sid for sid in sids if _step_service(view, sid)]
        if nodes.mark(view) or not changed:
            return


def _step_service(view: View, sid: str) -> bool:
    """Whether its state has changed."""
    if sid not in view.resources or view.rests(sid):
        return False
    before = view.status.services[sid].state
    services.step(view, sid)
    return view.status.services[sid].state != before


def _status(view: View) -> JSON:
    raw = view.snapshot[STATUS].value or {}
    services = _dumped(view.status.services, view.read[0], raw.get("services", {}))
    return {**dump(replace(view.status, services={})), **({"services": services} if services else {})}


def _resources(view: View) -> JSON:
    return _dumped(view.resources, view.read[1], view.snapshot[RESOURCES].value or {})


def _dumped(values: Mapping[str, object], read: Mapping[str, object], raw: Mapping[str, JSON]) -> JSON:
    """What is to be stored for the values; for those that are still as they were read, what they were read from."""
    return {key: raw[key] if value is read.get(key) else dump(value) for key, value in values.items()}


def _decision(view: View) -> Decision:
    written = {STATUS: _status(view), RESOURCES: _resources(view), COMMANDS: dump(view.commands)}
    writes = {
        key: value
        for key, value in written.items()
        if value != view.snapshot[key].value and not (view.snapshot[key].revision == 0 and key != STATUS)
    }
    for node in view.freed:
        writes[agent_lock(node)] = Lock.of(view.snapshot[agent_lock(node)]).released().document()
    basis = {key: view.snapshot[key].revision for key in (*writes, STATUS, *map(agent_lock, sorted(view.fenced)))}
    events = (*sorted(view.events, key=lambda event: event.last),)
    fence, power = ("", "") if writes else (nodes.fence_due(view), nodes.power_due(view))
    return Decision(writes, basis, events, fence, power, tuple(view.decided))
