"""The meaning of the node table's facts and actions."""

from __future__ import annotations

from collections.abc import Callable

from hacore.manager.view import View
from hacore.protocol import node as table
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
    FENCED: lambda view, node: node in view.fenced,
}

ACTIONS: dict[Action, Callable[[View, str], None]] = {
    table.FREE_LOCK: lambda view, node: view.freed.append(node),
}


def step_all(view: View) -> None:
    """Take one step with every node, in the order of their names."""
    waited_for = {record.node for record in view.status.services.values() if record.state == "fence"}
    for node in sorted(view.members | set(view.status.nodes) | waited_for):
        old = view.node_state(node)
        row = view.tables["node"].step(old, lambda fact, node=node: FACTS[fact](view, node))  # type: ignore[misc]
        for action in row.do:
            ACTIONS[action](view, node)
        view.status.nodes[node] = row.target
        if row.target != old:
            _tell(view, node, old, row.target)


def _tell(view: View, node: str, old: str, new: str) -> None:
    view.say("node_state", node=node, **{"from": old, "to": new})
    if new == "fence":
        view.say("fence_started", node=node)
    elif old == "fence":
        view.say("fence_done", node=node)
    elif new == "removed":
        del view.status.nodes[node]
        view.say("node_removed", node=node)
