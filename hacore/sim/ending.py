"""How a run of hacore's own protocol must end: what should run runs, where it may, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator

from hacore.manager.documents import Record, Resource
from hacore.manager.placement import choose
from hacore.manager.view import Sight, View
from hacore.protocol.requests import Snapshot
from hacore.sim.operators import Operator
from hacore.sim.processes import Node
from hacore.sim.services import digit
from hacore.sim.world import World

NOBODY_KNOWS = frozenset({"new", "freeze"})
"""States that last while the service's node is away: whether it runs there cannot be told."""


class Ending:
    """Looks at a world in which nothing has been done for a while."""

    def __init__(self, world: World) -> None:
        self.world, self.operator = world, Operator(world)

    def problems(self) -> list[str]:
        """What is not as it should be, in words. Without quorum, CRM or anything to manage, nothing is asked for."""
        online = {name for name, node in self.world.nodes.items() if self._works(node)}
        view = View.of("", Snapshot(self.world.store.documents, self.world.store.revision), Sight())
        if not view.resources or not any("crm" in self.world.nodes[name].daemons for name in online):
            return []
        waiting = any(record.state in {"recovery", "fence"} for record in view.status.services.values())
        if view.status.disarm:
            settled = waiting or view.status.disarm.state == "disarmed"
            return [] if settled else [f"the cluster is still {view.status.disarm.state}"]
        return [*self._nodes(view, online), *self._services(view, online)]

    def _works(self, node: Node) -> bool:
        return node.powered and "lrm" in node.daemons and self.world.reaches(node) and not node.ending

    def _nodes(self, view: View, online: set[str]) -> Iterator[str]:
        for name in sorted(online):
            wanted = "maintenance" if name in view.status.maintenance else "online"
            if view.node_state(name) != wanted:
                yield f"{name} works, but counts as {view.node_state(name)}"

    def _services(self, view: View, online: set[str]) -> Iterator[str]:
        for sid, resource in view.resources.items():
            record = view.status.services.get(sid)
            if resource.state == "ignored":
                told = "is managed, though ignored" if record else ""
            elif record is None:
                told = "is not managed"
            else:
                told = self._service(view, online, sid, resource, record)
            if told:
                yield f"{sid} {told}"

    def _service(self, view: View, online: set[str], sid: str, resource: Resource, record: Record) -> str:
        where = self.operator.where(sid)
        told = f"shall be {resource.state}, is {record.state} on {record.node} and runs on {', '.join(where) or 'none'}"
        if record.state == "error":
            return "" if self._fails(sid) else told
        if record.node not in online and record.state in NOBODY_KNOWS:
            return ""
        if record.state == "recovery":
            return told if choose("best", sid, record, view.places) else ""
        if resource.state != "started":
            return "" if record.state == "stopped" and not where else told
        if record.state != "started" or where != [record.node]:
            return told
        better = choose("stay", sid, record, view.places, failback=resource.failback)
        return (
            f"{told}, but belongs on {better}"
            if better not in {"", record.node}
            else self._misplaced(view, sid, record)
        )

    def _fails(self, sid: str) -> bool:
        """Whether it fails on purpose, or an operator holds it."""
        return self.world.services.locked(sid) or any(digit(sid, place) for place in (1, 2, 3))

    def _misplaced(self, view: View, sid: str, record: Record) -> str:
        rule = view.places.rules.located.get(view.places.rules.group(sid))
        if rule is None or not rule.strict or record.node in rule.nodes:
            return ""
        there = [node for node in view.online() if node in rule.nodes and not view.places.blockers(sid, node)]
        return f"runs on {record.node}, where it must not, and {', '.join(there)} would have it" if there else ""
