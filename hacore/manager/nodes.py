"""The meaning of the node table's facts and actions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from typing import NamedTuple

from hacore.manager.view import View
from hacore.protocol import node as table
from hacore.protocol.chooser import Chooser
from hacore.protocol.reference import vocabulary as reference
from hacore.protocol.table import Action, Fact, Table
from hacore.protocol.vocabulary import FENCED, MAINTENANCE_ASKED


class Case(NamedTuple):
    """One node in one round, and the nodes that services wait to see fenced."""

    view: View
    node: str
    waited_for: Collection[str]


FACTS: dict[Fact, Callable[[Case], bool]] = {
    table.ONLINE: lambda case: case.node in case.view.sight.online,
    table.MEMBER: lambda case: case.node in case.view.members,
    table.GONE_LONG: lambda case: case.node in case.view.sight.gone_long,
    table.LRM_MAINTENANCE: lambda case: case.view.lrm(case.node).mode == "maintenance",
    MAINTENANCE_ASKED: lambda case: case.node in case.view.status.maintenance,
    table.SERVICES_IN_FENCE: lambda case: case.node in case.waited_for,
    reference.AGAIN: lambda case: case.view.sight.again,
    FENCED: lambda case: case.node in case.view.fenced,
}

ACTIONS: dict[Action, Callable[[View, str], None]] = {
    table.FREE_LOCK: lambda view, node: view.freed.append(node),
}


def _waited_for(view: View) -> list[str]:
    """The nodes that services wait to see fenced, in the order of the services."""
    waiting = sorted((sid, it.node) for sid, it in view.status.services.items() if it.state == "fence")
    return list(dict.fromkeys(node for _, node in waiting))


def step_all(view: View) -> None:
    """Take one step with every node, first those that are online; those that are to be marked wait for :func:`mark`."""
    waited_for = _waited_for(view)
    for node in sorted(view.members | set(view.status.nodes), key=lambda it: (it not in view.sight.online, it)):
        if node not in waited_for or view.node_state(node) == "fence":
            _step(Case(view, node, waited_for))


def mark(view: View) -> bool:
    """Mark the nodes that services wait to see fenced, in the order of the services, up to one whose lock is to be had.

    True: there is one. What follows from its lock comes before all else.
    """
    waited_for = _waited_for(view)
    for node in waited_for:
        if _fence_due(view, waited_for):
            break
        if view.node_state(node) != "fence":
            _step(Case(view, node, waited_for))
    return _fence_due(view, waited_for) != ""


def fence_due(view: View) -> str:
    """A marked node whose lock may be taken, first one that a service waits for; "" if there is none."""
    return _fence_due(view, _waited_for(view))


def power_due(view: View) -> str:
    """A marked node that is to be powered off, first one that a service waits for; "" if there is none."""
    able = view.settings.fencing.keys() - view.sight.shot - view.sight.expired
    return next((node for node in _unfenced(view, _waited_for(view)) if node in able), "")


def _fence_due(view: View, waited_for: Iterable[str]) -> str:
    to_be_had = view.sight.expired | view.sight.off
    return next((node for node in _unfenced(view, waited_for) if node in to_be_had), "")


def _unfenced(view: View, waited_for: Iterable[str]) -> Iterator[str]:
    """The marked nodes for which no evidence is held, first those that services wait for."""
    for node in (*waited_for, *sorted(view.status.nodes)):
        if view.node_state(node) == "fence" and node not in view.fenced:
            yield node


@cache
def _chooser(table: Table) -> Chooser[Case]:
    return Chooser(table, FACTS)


def _step(case: Case) -> None:
    view, node, _ = case
    old = view.node_state(node)
    row = _chooser(view.tables["node"]).row(old, case)
    if row.target != old or row.do:
        view.note(row, node, lambda fact: FACTS[fact](case))
    for action in row.do:
        ACTIONS[action](view, node)
    if row.target != view.status.nodes.get(node):
        view.nodes_changed()
    view.status.nodes[node] = row.target
    if row.target != old:
        _tell(view, node, old, row.target)


def _tell(view: View, node: str, old: str, new: str) -> None:
    view.say("node_state", node=node, **{"from": old, "to": new})
    if new == "fence":
        view.say("fence_started", node=node)
    elif old == "fence":
        view.just_fenced.add(node)
        view.say("fence_done", node=node)
    elif new == "removed":
        del view.status.nodes[node]
        view.say("node_removed", node=node)
