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
        if self._held(sid):
            return ""
        where = self.operator.where(sid)
        told = f"shall be {resource.state}, is {record.state} on {record.node} and runs on {', '.join(where) or 'none'}"
        if record.state == "error":
            fine = digit(sid, 1) > 0 or digit(sid, 2) > 0
        elif record.state == "recovery":
            fine = choose("best", sid, record, view.places) == ""
        elif record.node not in online and record.state in NOBODY_KNOWS:
            fine = True
        elif resource.state != "started":
            fine = record.state == "stopped" and not where
        else:
            fine = record.state == "started" and where == [record.node]
            told = self._misplaced(view, sid, record) if fine else told
            fine = not told
        return "" if fine else told

    def _held(self, sid: str) -> bool:
        """Whether nothing can be done with it: an operator has locked it, or it cannot be stopped."""
        return self.world.services.locked(sid) or digit(sid, 3) > 0

    def _misplaced(self, view: View, sid: str, record: Record) -> str:
        failback = view.resources[sid].failback
        better = choose("stay", sid, record, view.places, failback=failback)
        if better not in {"", record.node}:
            return f"runs on {record.node}, but belongs on {better}"
        rule = view.places.rules.located.get(view.places.rules.group(sid))
        if rule is None or not rule.strict or record.node in rule.nodes:
            return ""
        there = [node for node in view.online() if node in rule.nodes and not view.places.blockers(sid, node)]
        return f"runs on {record.node}, where it must not, and {', '.join(there)} would have it" if there else ""
