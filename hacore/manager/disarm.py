"""The meaning of the disarm table's facts and actions."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from msgspec.structs import replace

from hacore.manager.documents import Disarm
from hacore.manager.view import Event, View
from hacore.protocol import disarm as table
from hacore.protocol.chooser import Chooser
from hacore.protocol.locks import Lock, agent_lock
from hacore.protocol.reference import vocabulary as reference
from hacore.protocol.table import Action, Fact, Table

_UNSETTLED = frozenset({"fence", "recovery", "migrate", "relocate"})


def _word(view: View) -> str:
    return view.disarm_command.text.split()[0] if view.disarm_command else ""


def _released(view: View, node: str) -> bool:
    return view.lrm(node).mode == "disarm" and not Lock.of(view.snapshot[agent_lock(node)]).owner


FACTS: dict[Fact, Callable[[View], bool]] = {
    table.DISARM_COMMAND: lambda view: _word(view) == "disarm-ha",
    table.ARM_COMMAND: lambda view: _word(view) == "arm-ha",
    table.UNSETTLED: lambda view: any(record.state in _UNSETTLED for record in view.status.services.values()),
    table.ALL_RELEASED: lambda view: bool(view.sight.online) and all(_released(view, it) for it in view.sight.online),
    reference.ALL_SAY_DISARM: lambda view: all(view.lrm(node).mode == "disarm" for node in view.online()),
    reference.AGAIN: lambda view: view.sight.again,
    table.LOCATIONS_FREE: lambda view: view.status.disarm is not None and view.status.disarm.mode == "ignore",
}


def _set_request(view: View) -> None:
    if view.disarm_command:
        view.status.disarm = Disarm(view.disarm_command.text.split()[1], "armed")
    view.disarm_command = None


def _drop_request(view: View) -> None:
    was_disarmed = view.status.disarm is not None and view.status.disarm.state == "disarmed"
    view.status.disarm = view.disarm_command = None
    view.events.append(Event("rearmed" if was_disarmed else "disarm_withdrawn", {}, last=True))


def _read_locations(view: View) -> None:
    for sid, record in view.status.services.items():
        if sid in view.resources:
            view.put(sid, replace(record, node=view.resources[sid].node))


ACTIONS: dict[Action, Callable[[View], None]] = {
    table.SET_REQUEST: _set_request,
    table.DROP_REQUEST: _drop_request,
    table.READ_LOCATIONS: _read_locations,
}


@cache
def _chooser(table: Table) -> Chooser[View]:
    return Chooser(table, FACTS)


def step(view: View) -> None:
    """Take steps until nothing changes."""
    while True:
        old = view.status.disarm.state if view.status.disarm else "armed"
        row = _chooser(view.tables["disarm"]).row(old, view)
        if row.target != old:
            view.note(row, "", lambda fact: FACTS[fact](view))
        for action in row.do:
            ACTIONS[action](view)
        if view.status.disarm:
            view.status.disarm.state = row.target
        if row.target == old:
            return
        if row.target == "disarmed":
            view.say("disarmed")
