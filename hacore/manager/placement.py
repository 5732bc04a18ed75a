"""Choosing a node for a service (PROTOCOL section 6).

Candidates are the online nodes. In this order they are looked at:

1. rules: of the nodes that a rule allows, only those of the highest priority are preferred;
2. a service that is to stay and must not fail back stays where it is, if that is allowed;
3. of the preferred nodes those drop out on which it has failed (``next``), and those of services it is kept apart from;
4. if companions are on some that are left, the one with most of them remains (of equals the first by name);
5. a node in maintenance from which the service came is chosen as soon as it is left;
6. with ``stay``, the node on which the service is, if it is left;
7. else the first by (score, name); with ``next`` the one that follows the current node in this order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Literal, TypeAlias

from hacore.manager.documents import Record
from hacore.manager.load import Load
from hacore.manager.rules import Compiled, NodeAffinity

Way: TypeAlias = Literal["stay", "next", "best"]

_COUNTED = frozenset({"started", "request_stop", "fence", "freeze", "error", "recovery", "migrate", "relocate"})
_COUNTED_AT_TARGET = frozenset({"migrate", "relocate", "request_start_balance"})
_NOWHERE: tuple[tuple[str, ...], bool] = ((), False)


class Places:
    """Where all services count, as a working copy: :meth:`count` follows every change of a record."""

    def __init__(self, rules: Compiled, load: Load, records: Mapping[str, Record], *, version: int = 0) -> None:
        self.rules = rules
        self.load = load
        self.version = self._first_version = version
        """Another one whenever a service counts elsewhere than before."""
        self._moved: Counter[str] = Counter()
        """How often a service, or one of a leader's group, came to count elsewhere."""
        self._records: dict[str, Record] = {}
        self.online = frozenset(load.nodes)
        self._counted: dict[str, tuple[tuple[str, ...], bool]] = {}
        """Where a service counts, and whether it runs there already."""
        self._used: dict[str, Counter[str]] = {leader: Counter() for leader in rules.members}
        """By group: how many members use or move to a node."""
        self._settled: dict[str, Counter[str]] = {leader: Counter() for leader in rules.members}
        """By group: how many members are on a node, or will be once they have moved."""
        self._located: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        self.follow(records)

    def follow(self, records: Mapping[str, Record]) -> None:
        """From now on these records say where services count. They are not changed in place."""
        for sid in self._records.keys() - records.keys():
            self.count(sid, None)
        for sid, record in records.items():
            if self._records.get(sid) is not record:
                self.count(sid, record)

    def count(self, sid: str, record: Record | None) -> None:
        """From now on the service counts as its record says, or not at all."""
        counted = self._where(record) if record else None
        if record:
            self._records[sid] = record
        else:
            self._records.pop(sid, None)
        if counted == self._counted.get(sid):
            return
        self.version += 1
        if sid in self._counted:
            self._apply(sid, -1)
            del self._counted[sid]
        if counted:
            self._counted[sid] = counted
            self._apply(sid, 1)

    def _where(self, record: Record) -> tuple[tuple[str, ...], bool] | None:
        on = record.node if record.state in _COUNTED and record.node in self.online else ""
        to = record.target if record.state in _COUNTED_AT_TARGET and record.target in self.online else ""
        if not (on or to):
            return None
        running = record.running if record.state == "started" else on != ""
        return (on, to) if on and to else (on or to,), running

    def _apply(self, sid: str, times: int) -> None:
        nodes, running = self._counted[sid]
        for node in nodes:
            self.load.add(sid, node, running=running, times=times)
        if sid in self.rules.named:
            self._moved[sid] += 1
        if sid in self.rules.leader:
            group = self.rules.leader[sid]
            self._moved[group] += 1
            self._settled[group][nodes[-1]] += times
            for node in nodes:
                self._used[group][node] += times

    def version_everywhere(self, sid: str) -> tuple[int, ...]:
        """Another one whenever any service counts elsewhere than before."""
        return (self.version,)

    def version_near(self, sid: str) -> tuple[int, ...]:
        """Another one whenever one counts elsewhere with which this service must be, or must not be."""
        group = self.rules.group(sid)
        near = (sid, group, *self.rules.apart.get(group, ()), *self.rules.apart_from_groups.get(sid, ()))
        return self._first_version, sum(self._moved[each] for each in near)

    def uses(self, sid: str) -> tuple[str, ...]:
        """The online nodes on which the service counts: where it is, then where it moves to."""
        return self._counted.get(sid, _NOWHERE)[0]

    def located(self, sid: str) -> tuple[frozenset[str], frozenset[str]]:
        """The nodes that rules allow to the service, and those of them that they prefer."""
        group = self.rules.group(sid)
        rule = self.rules.located.get(group)
        if rule is None:
            return self.online, self.online
        if group not in self._located:
            self._located[group] = _allowed_and_preferred(rule, self.online)
        return self._located[group]

    def separated(self, sid: str) -> set[str]:
        """The nodes that services use, or move to, from which this one is kept apart."""
        services = self.rules.apart.get(self.rules.group(sid), ())
        groups = self.rules.apart_from_groups.get(sid, ())
        nodes = {node for other in services for node in self.uses(other)}
        return nodes.union(node for group in groups for node, used in self._used[group].items() if used)

    def blockers(self, sid: str, node: str) -> list[str]:
        """The services that use this node, or move to it, from which this one is kept apart: it may not go there."""
        others = set(self.rules.apart.get(self.rules.group(sid), ()))
        others.update(*(self.rules.members[group] for group in self.rules.apart_from_groups.get(sid, ())))
        return sorted(other for other in others if node in self.uses(other))

    def companions(self, sid: str) -> dict[str, int]:
        """How many companions of the service are on a node, or move to it."""
        if sid not in self.rules.leader:
            return {}
        there = Counter(self._settled[self.rules.leader[sid]])
        there.subtract(self.uses(sid)[-1:])
        return {node: count for node, count in there.items() if count}

    def ordered(self, sid: str, nodes: Collection[str]) -> list[str]:
        """The nodes, the best first."""
        if len(nodes) <= 1:
            return list(nodes)
        score = self.load.scores(sid)
        return sorted(nodes, key=lambda node: (score[node], node))


def _allowed_and_preferred(rule: NodeAffinity, online: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    priority = {node: rule.nodes.get(node, -1) for node in online if node in rule.nodes or not rule.strict}
    highest = max(priority.values(), default=0)
    return frozenset(priority), frozenset(node for node, each in priority.items() if each == highest)


def choose(way: Way, sid: str, record: Record, places: Places, *, failback: bool = True) -> str:
    """The node for a service, "" if there is none.

    With ``next`` the record's ``failed_nodes`` include the node where it has just failed.
    """
    here = record.node
    allowed, preferred = places.located(sid)
    separated, companions = places.separated(sid), places.companions(sid)
    if way == "stay" and not failback and here in allowed and (here in companions or here not in separated):
        return here
    left = preferred - separated
    if way == "next":
        left = left.difference(record.failed_nodes)
    left = _with_most(companions, left)
    if record.maintenance_node in left:
        return record.maintenance_node
    if way == "stay" and here in left:
        return here
    ordered = places.ordered(sid, left)
    if way == "next" and here in ordered[:-1]:
        return ordered[ordered.index(here) + 1]
    return ordered[0] if ordered else ""


def _with_most(companions: Mapping[str, int], nodes: frozenset[str]) -> frozenset[str]:
    """Of the nodes the one with most companions, or all if there are none on them."""
    there = {node: count for node, count in companions.items() if node in nodes}
    return frozenset({min(there, key=lambda node: (-there[node], node))}) if there else nodes
