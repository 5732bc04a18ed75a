"""The meaning of the node table's facts and actions."""

from __future__ import annotations

from collections.abc import Callable

from hacore.manager.view import View
from hacore.protocol import node as table
from hacore.protocol.reference import vocabulary as reference
from hacore.protocol.table import Action, Fact
from hacore.protocol.vocabulary import FENCED, MAINTENANCE_ASKED

FACTS: dict[Fact, Callable[[View, str], bool]] = {
    table.ONLINE: lambda view, node: node in view.sight.online,
    table.MEMBER: lambda view, node: node in view.members,
    table.GONE_LONG: lambda view, node: node in view.sight.gone_long,
    table.LRM_MAINTENANCE: lambda view, node: view.lrm(node).mode == "maintenance",
    MAINTENANCE_ASKED: lambda view, node: node in view.status.maintenance,
    table.SERVICES_IN_FENCE: lambda view, node: any(
        record.state == "fence" and record.node == node for record in view.status.services.values()
    ),
    reference.AGAIN: lambda view, _: view.sight.again,
    FENCED: lambda view, node: node in view.fenced,
}

ACTIONS: dict[Action, Callable[[View, str], None]] = {
    table.FREE_LOCK: lambda view, node: view.freed.append(node),
}


def step_all(view: View) -> None:
    """Take one step with every node, in the order of their names; those that are to be marked wait for :func:`mark`."""
    waited_for = {it.node for it in view.status.services.values() if it.state == "fence"}
    for node in sorted(view.members | set(view.status.nodes)):
        if node not in waited_for or view.node_state(node) == "fence":
            step(view, node)


def mark(view: View) -> bool:
    """Mark the nodes that services wait to see fenced, in the order of the services, up to one whose lock is to be had.

    True: there is one. What follows from its lock comes before all else.
    """
    waited_for = dict.fromkeys(it.node for _, it in sorted(view.status.services.items()) if it.state == "fence")
    for node in waited_for:
        if fence_due(view):
            break
        if view.node_state(node) != "fence":
            step(view, node)
    return fence_due(view) != ""


def fence_due(view: View) -> str:
    """A marked node whose lock may be taken, first one that a service waits for; "" if there is none."""
    waited_for = [it.node for _, it in sorted(view.status.services.items()) if it.state == "fence"]
    marked = (node for node in (*waited_for, *sorted(view.status.nodes)) if view.node_state(node) == "fence")
    return next((node for node in marked if node in view.sight.expired and node not in view.fenced), "")


def step(view: View, node: str) -> None:
    old = view.node_state(node)
    row = view.tables["node"].step(old, lambda fact: FACTS[fact](view, node))
    for action in row.do:
        ACTIONS[action](view, node)
    view.status.nodes[node] = row.target
    if row.target != old:
        view.forget_places()
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
