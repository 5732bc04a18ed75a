"""The meaning of the service table's facts and actions, and one record's step through it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from msgspec.structs import replace

from hacore.manager.documents import (
    LIVE_TYPES,
    RELEASE_MODES,
    Record,
    Resource,
)
from hacore.manager.memory import Look
from hacore.manager.placement import Places, Way, choose
from hacore.manager.view import View
from hacore.protocol import service as table
from hacore.protocol.chooser import Chooser
from hacore.protocol.reference import vocabulary as reference
from hacore.protocol.table import Action, Fact, Row, Table
from hacore.protocol.vocabulary import FENCED

_NO_COMMAND = [""]
_WAYS: dict[str, Way] = {"new": "best", "request_start": "best", "recovery": "best"}


class Case:
    """One service in one round, before a step; ``new`` is its record as the step leaves it."""

    __slots__ = ("answer", "at", "command", "looked", "new", "old", "quietly", "resource", "sid", "verb", "view")

    def __init__(self, view: View, sid: str) -> None:
        self.view, self.sid = view, sid
        self.old = self.new = view.status.services[sid]
        self.resource: Resource = view.resources[sid]
        self.at = view.standing(self.old.node)
        self.answer = self.at.lrm.results.get(self.old.uid, "")
        self.command = view.pending[sid].text.split() if sid in view.pending else _NO_COMMAND
        self.verb = self.command[0]
        self.looked: Look | None = None
        """How far what it comes to depends on where the others are."""
        self.quietly = False
        """Nobody is told of the change of state."""

    def commanded_to(self, verb: str) -> bool:
        """Whether the pending command is ``verb``, to an online node other than the service's own."""
        return self.verb == verb and self.command[2] != self.old.node and self.view.standing(self.command[2]).online

    def placed(self) -> str:
        """The node that placement names, given what the service is about to do; "" if there is none."""
        way, record = _WAYS.get(self.old.state, "stay"), self.old
        if self.answer in {"failed", "wrong_node"}:
            way, record = "next", replace(record, failed_nodes=[*record.failed_nodes, record.node])
        if way == "stay" and self.view.free_to_stay(self.sid, record):
            return record.node  # for most services in most rounds
        node = choose(way, self.sid, record, self.view.places, failback=self.resource.failback)
        stays = way == "stay" and node == record.node
        self.looked = Places.version_near if stays else Places.version_everywhere
        return node

    def elsewhere(self) -> bool:
        return self.placed() not in {"", self.old.node}


FACTS: dict[Fact, Callable[[Case], bool]] = {
    table.WANT_STARTED: lambda case: case.resource.state == "started",
    table.WANT_DISABLED: lambda case: case.resource.state == "disabled",
    table.SUCCEEDED: lambda case: case.answer == "success",
    table.START_FAILED: lambda case: case.answer in {"failed", "wrong_node"},
    table.WRONG_NODE: lambda case: case.answer == "wrong_node",
    table.WENT_DOWN: lambda case: case.answer == "down",
    table.ANSWERED: lambda case: case.answer != "",
    table.NOTED: lambda case: case.old.running and not case.old.failed_nodes,
    table.NODE_ONLINE: lambda case: case.at.online,
    table.NODE_LOST: lambda case: case.at.lost,
    table.IN_MAINTENANCE: lambda case: case.at.maintained,
    table.LRM_RESTARTS: lambda case: case.at.mode == "restart",
    table.LRM_ACTIVE: lambda case: case.at.mode == "active",
    table.LRM_ASKS_AGAIN: lambda case: case.at.mode in RELEASE_MODES and case.at.lrm.generation != case.old.generation,
    table.DISARMING: lambda case: case.view.disarming(),
    table.REBALANCE: lambda case: case.view.settings.rebalance_on_start,
    table.ELSEWHERE: Case.elsewhere,
    table.LIVE: lambda case: case.sid.partition(":")[0] in LIVE_TYPES,
    table.EXHAUSTED: lambda case: len(case.old.failed_nodes) + 1 > case.resource.max_relocate,
    table.ASKED_STOP: lambda case: case.verb == "stop",
    table.ASKED_MIGRATE: lambda case: case.commanded_to("migrate"),
    table.ASKED_RELOCATE: lambda case: case.commanded_to("relocate"),
    table.MOVED: lambda case: case.resource.node != case.old.node,
    FENCED: lambda case: case.at.fenced,
    table.MOVED_LIVE: lambda case: case.old.target != "",
    table.PLACE_FOUND: lambda case: case.placed() != "",
    table.BLOCKED_TOLD: lambda case: case.old.blocked_told,
    table.STOP_TRIED: lambda case: case.old.stop_tried,
    reference.JUST_FENCED: lambda case: case.at.just_fenced,
    reference.DEFERRED: lambda case: case.view.status.disarm is not None and not case.view.disarming(),
    reference.IGNORING: lambda case: case.view.disarming("ignore"),
    reference.COMMANDED: lambda case: case.verb != "",
    reference.IS_HOME: lambda case: case.old.node == case.old.maintenance_node,
}

LOCKS_OF_THE_PAST = frozenset(
    {"backup", "mounted", "migrate", "clone", "rollback", "snapshot", "snapshot-delete", "suspending", "suspended"}
)
"""Locks whose holder ended with the node on which the service was."""


def _take_command(case: Case) -> None:
    verb, _, argument = case.command
    if verb == "stop":
        case.new.timeout_s = float(argument)
    else:
        case.new.target = argument
    del case.view.pending[case.sid]


def _move_to(case: Case, node: str) -> None:
    case.new.node = node
    case.view.configure(case.sid, node=node)
    if node == case.new.maintenance_node:
        case.new.maintenance_node = ""


def _ask_anew(case: Case) -> None:
    case.new.uid = case.view.new_uid()
    case.new.running = False


def _note_running(case: Case) -> None:
    case.new.running = True
    case.new.failed_nodes.clear()


def _set_target(case: Case) -> None:
    case.new.target = case.placed()
    if case.new.target == case.new.maintenance_node:
        case.view.say("failback", sid=case.sid, node=case.new.target)


def _drop_home(case: Case) -> None:
    if case.new.maintenance_node != case.old.node:
        case.new.maintenance_node = ""


def _steal(case: Case) -> None:
    node, lock = case.placed(), case.resource.lock
    case.view.say("service_recovered", sid=case.sid, node=case.old.node, target=node)
    _move_to(case, node)
    if lock in LOCKS_OF_THE_PAST:
        case.view.say("service_unlocked", sid=case.sid, lock=lock)
        case.view.configure(case.sid, lock="")


def _drop_command(case: Case) -> None:
    refused = case.view.pending.pop(case.sid)
    case.view.refuse(refused, f"{case.sid} cannot do that now")


def _tell_place(case: Case) -> None:
    node = case.placed()
    which = "current" if node in {"", case.old.node} else "new"
    case.view.say("start_node_selected", sid=case.sid, which=which, node=node or case.old.node)


ACTIONS: dict[Action, Callable[[Case], None]] = {
    table.SET_TARGET: _set_target,
    table.TAKE_COMMAND: _take_command,
    table.WANT_STOP: lambda case: case.view.configure(case.sid, state="stopped"),
    table.ARRIVE: lambda case: _move_to(case, case.old.target),
    table.KEEP_TARGET: lambda case: setattr(case.new, "target", case.old.target),
    table.STEAL: _steal,
    table.FOLLOW: lambda case: setattr(case.new, "node", case.resource.node),
    table.NOTE_RUNNING: _note_running,
    table.NOTE_FAILURE: lambda case: case.new.failed_nodes.append(case.old.node),
    table.FORGET_FAILURES: lambda case: case.new.failed_nodes.clear(),
    table.NEW_UID: _ask_anew,
    table.ACKNOWLEDGE: lambda case: setattr(case.new, "generation", case.at.lrm.generation),
    table.TELL_BLOCKED: lambda case: case.view.say("recovery_blocked", sid=case.sid, node=case.old.node),
    table.NOTE_BLOCKED: lambda case: setattr(case.new, "blocked_told", True),
    table.NOTE_TRIED: lambda case: setattr(case.new, "stop_tried", True),
    table.FORGET_TRIED: lambda case: setattr(case.new, "stop_tried", False),
    table.NOTE_HOME: lambda case: setattr(case.new, "maintenance_node", case.old.node),
    reference.KEEP_COMMAND: lambda case: setattr(case.new, "command", case.view.keep(case.sid)),
    reference.DROP_COMMAND: _drop_command,
    reference.QUIETLY: lambda case: setattr(case, "quietly", True),
    reference.RENEW_UID: lambda case: setattr(case.new, "uid", case.view.new_uid()),
    reference.DROP_HOME: _drop_home,
    reference.FORGET_HOME: lambda case: setattr(case.new, "maintenance_node", ""),
    reference.TELL_PLACE: _tell_place,
}


@cache
def _chooser(table: Table) -> Chooser[Case]:
    return Chooser(table, FACTS)


def step(view: View, sid: str) -> Row:
    """Take one step with one record, and on through phases, where no record stays; returns the last row that fired."""
    table = view.tables["service"]
    while True:
        row = _fire(view, table, sid)
        if not table.state_named[row.target].within:
            return row


def _fire(view: View, table: Table, sid: str) -> Row:
    case = Case(view, sid)
    old = case.old
    row = _chooser(table).row(old.state, case)
    if row.target == old.state and not row.do and not old.command:
        if not case.verb:
            view.rest(sid, case.looked)
        return row
    view.note(row, sid, lambda fact: FACTS[fact](case))
    before, after = (table.state_named[state].shown for state in (row.state, row.target))
    case.new = _successor(view, old, row, changed=before != after)
    for action in row.do:
        ACTIONS[action](case)
    view.put(sid, case.new)
    if before != after and not case.quietly:
        timeout = {} if case.new.timeout_s is None else {"timeout": case.new.timeout_s}
        target = {"target": case.new.target} if case.new.target else {}
        view.say("service_state", sid=sid, node=case.new.node, **{"from": before, "to": after}, **target, **timeout)
    return row


def _successor(view: View, old: Record, row: Row, *, changed: bool) -> Record:
    """The record before the row's actions: what a change of state keeps, or all of it where the state stays."""
    failed = list(old.failed_nodes)
    if changed:
        return Record(row.target, old.node, view.new_uid(), failed_nodes=failed, maintenance_node=old.maintenance_node)
    return Record(
        row.target,
        old.node,
        old.uid,
        old.target,
        old.timeout_s,
        old.running,
        old.generation,
        failed,
        old.maintenance_node,
        old.blocked_told,
        old.stop_tried,
    )
