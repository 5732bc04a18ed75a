"""Rules: on which nodes services may be, with whom they must be, and from whom they must be kept apart.

Operators write rules; :func:`compile_rules` makes of them what placement looks up (PROTOCOL section 6, "Rules"):

1. Disabled rules are left out.
2. Every check looks at all that remain, and names the rules that cannot be followed together. All these are dropped:
   a service is better placed by fewer rules than not placed at all.
3. Of the rest, connected positive rules become one *group*. What is said of one member of a group, that it is apart
   from others or belongs on certain nodes, holds for all its members. Between two groups it holds for the members that
   a rule names and all members of the other group; two members that are both not named are not kept apart.

A service that is in no positive rule is a group by itself, so that everything is said of groups.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgspec

from hacore.manager.documents import RULES, DocumentError, parse
from hacore.protocol.names import check_node, check_sid
from hacore.protocol.requests import JSON, Document, Snapshot


class NodeAffinity(
    msgspec.Struct, tag="node-affinity", tag_field="type", forbid_unknown_fields=True, omit_defaults=True
):
    """Services belong on the nodes of the highest priority that are online."""

    resources: list[str]
    nodes: dict[str, int]
    """Priority by node; the highest is preferred."""
    strict: bool = False
    """Whether no other node will do, even if none of these is online."""
    disable: bool = False
    comment: str = ""

    def __post_init__(self) -> None:
        _check_resources(self.resources)
        if not self.nodes:
            raise ValueError("a node-affinity rule needs nodes")
        for node, priority in self.nodes.items():
            check_node(node)
            if priority < 0:
                raise ValueError(f"the priority of {node} must be at least 0")


class ResourceAffinity(
    msgspec.Struct, tag="resource-affinity", tag_field="type", forbid_unknown_fields=True, omit_defaults=True
):
    """Services belong on one node (``positive``), or each on a node without the others (``negative``)."""

    resources: list[str]
    affinity: Literal["positive", "negative"]
    disable: bool = False
    comment: str = ""

    def __post_init__(self) -> None:
        _check_resources(self.resources)


Rule: TypeAlias = NodeAffinity | ResourceAffinity
Rules: TypeAlias = Mapping[str, Rule]
"""Rules by their ids."""


def rules_of(snapshot: Snapshot) -> dict[str, Rule]:
    """The rules that operators have written, by id. Raises DocumentError."""
    return parse(snapshot[RULES], dict[str, Rule], RULES, {})


def listed(items: JSON, name: str) -> dict[str, Rule]:
    """Rules written as a list, each with its ``id``, or by their ids; in a list, flags may be 0 and 1.

    Raises DocumentError about ``name``.
    """
    if isinstance(items, dict):
        return parse(Document(items, 1), dict[str, Rule], name, {})
    rules: dict[str, JSON] = {}
    for item in parse(Document(items, 1), list[dict[str, Any]], name, []):
        id_ = item.pop("id", None)
        if not isinstance(id_, str) or id_ in rules:
            raise DocumentError(f"document '{name}': each rule needs an id of its own, not {id_!r}")
        for flag in ("strict", "disable"):
            if item.get(flag) in (0, 1):
                item[flag] = bool(item[flag])
        rules[id_] = item
    return parse(Document(rules, 1), dict[str, Rule], name, {})


def _check_resources(sids: list[str]) -> None:
    if not sids:
        raise ValueError("a rule needs resources")
    for sid, times in Counter(sids).items():
        check_sid(sid)
        if times > 1:
            raise ValueError(f"{sid} is named twice")


@dataclass(frozen=True, slots=True)
class Compiled:
    """The rules that are in force, as placement looks them up."""

    leader: dict[str, str] = field(default_factory=dict)
    """The first member of a service's group. Whoever is not here is a group by itself: see :meth:`group`."""
    members: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """All members of a group, by its leader, if there is more than one."""
    apart: dict[str, frozenset[str]] = field(default_factory=dict)
    """The services from which a group is kept apart, by leader."""
    apart_from_groups: dict[str, frozenset[str]] = field(default_factory=dict)
    """The groups (by their leaders) from which a service is kept apart because a rule names it."""
    located: dict[str, NodeAffinity] = field(default_factory=dict)
    """The one rule that says on which nodes a group belongs, by leader."""
    named: frozenset[str] = frozenset()
    """The services about which any of these rules says something."""
    infeasible: dict[str, list[str]] = field(default_factory=dict)
    """Why a rule was dropped, by its id."""

    def group(self, sid: str) -> str:
        """The leader of the service's group."""
        return self.leader.get(sid, sid)

    def companions(self, sid: str) -> tuple[str, ...]:
        """The members of the service's group, itself included, in the order of their names."""
        return self.members.get(self.group(sid), (sid,))


NO_RULES = Compiled()


def compile_rules(rules: Rules, nodes: Iterable[str]) -> Compiled:
    """What the rules say together, in a cluster of these nodes. The time is linear in what the rules name."""
    enabled = _Enabled({id_: rules[id_] for id_ in sorted(rules) if not rules[id_].disable}, len(set(nodes)))
    infeasible: dict[str, list[str]] = defaultdict(list)
    for check in CHECKS:
        for id_, reason in check(enabled):
            if reason not in infeasible[id_]:
                infeasible[id_].append(reason)
    kept = _Enabled({id_: rule for id_, rule in enabled.rules.items() if id_ not in infeasible}, enabled.node_count)
    return Compiled(
        leader=kept.leader,
        members=kept.members,
        apart=_apart(kept),
        apart_from_groups=_apart_from_groups(kept),
        located=_located(kept),
        named=frozenset(sid for rule in kept.rules.values() for sid in rule.resources),
        infeasible=dict(infeasible),
    )


class _Enabled:
    """Rules, sorted by kind and indexed by what they name."""

    def __init__(self, rules: Rules, node_count: int) -> None:
        self.rules = rules
        self.node_count = node_count
        self.located: dict[str, NodeAffinity] = {}
        self.positive: dict[str, ResourceAffinity] = {}
        self.negative: dict[str, ResourceAffinity] = {}
        for id_, rule in rules.items():
            if isinstance(rule, NodeAffinity):
                self.located[id_] = rule
            else:
                (self.positive if rule.affinity == "positive" else self.negative)[id_] = rule
        self.located_by = _index(self.located)
        """Ids of the node-affinity rules that name a service."""
        self.leader, self.members = _groups([rule.resources for rule in self.positive.values()])
        self.positive_in: dict[str, list[str]] = defaultdict(list)
        """Ids of the positive rules of a group, by leader."""
        for id_, positive in self.positive.items():
            self.positive_in[self.group(positive.resources[0])].append(id_)

    def group(self, sid: str) -> str:
        return self.leader.get(sid, sid)


def _index(rules: Rules) -> dict[str, list[str]]:
    named: dict[str, list[str]] = defaultdict(list)
    for id_, rule in rules.items():
        for sid in rule.resources:
            named[sid].append(id_)
    return dict(named)


def _groups(sets: Iterable[Iterable[str]]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Sets that share a member, united: the leader by member, and the members by leader."""
    parent: dict[str, str] = {}

    def root(sid: str) -> str:
        while parent[sid] != sid:
            parent[sid] = sid = parent[parent[sid]]
        return sid

    for sids in sets:
        first, *rest = sids
        parent.setdefault(first, first)
        for sid in rest:
            parent[root(parent.setdefault(sid, sid))] = root(first)
    united: dict[str, list[str]] = defaultdict(list)
    for sid in sorted(parent):
        united[root(sid)].append(sid)
    members = {sids[0]: tuple(sids) for sids in united.values()}
    return {sid: leader for leader, sids in members.items() for sid in sids}, members


# --------------------------------------------------------------------------------------------------------- checks

Finding: TypeAlias = tuple[str, str]
"""The id of a rule that cannot be followed, and why."""


def _in_two_node_rules(rules: _Enabled) -> Iterator[Finding]:
    for sid, ids in rules.located_by.items():
        if len(ids) > 1:
            for id_ in ids:
                yield id_, f"{sid} is in more than one node-affinity rule: {', '.join(ids)}"


def _alone(rules: _Enabled) -> Iterator[Finding]:
    for id_, rule in (rules.positive | rules.negative).items():
        if len(rule.resources) == 1:
            yield id_, "it names one resource only"


def _more_than_nodes(rules: _Enabled) -> Iterator[Finding]:
    for id_, rule in rules.negative.items():
        if len(rule.resources) > rules.node_count:
            yield id_, f"it keeps {len(rule.resources)} resources apart, but there are {rules.node_count} nodes"


def _together_and_apart(rules: _Enabled) -> Iterator[Finding]:
    for id_, rule in rules.negative.items():
        shared: dict[str, list[str]] = defaultdict(list)
        for sid in rule.resources:
            if sid in rules.leader:
                shared[rules.leader[sid]].append(sid)
        for leader, sids in shared.items():
            if len(sids) > 1:
                both = [*rules.positive_in[leader], id_]
                for each in both:
                    yield each, f"{sids[0]} and {sids[1]} would be together and apart: {', '.join(both)}"


def _several_priorities(rules: _Enabled) -> Iterator[Finding]:
    for id_, rule in (rules.positive | rules.negative).items():
        for located in _ordered(each for sid in rule.resources for each in rules.located_by.get(sid, ())):
            if len(set(rules.located[located].nodes.values())) > 1:
                for each in (id_, located):
                    yield each, f"{located} has several priorities, and {id_} is about a resource of it"


def _in_several_places(rules: _Enabled) -> Iterator[Finding]:
    for leader, sids in rules.members.items():
        located = _ordered(each for sid in sids for each in rules.located_by.get(sid, ()))
        if len(located) > 1:
            together = rules.positive_in[leader]
            for id_ in (*together, *located):
                yield (
                    id_,
                    f"resources of {', '.join(together)} are in more than one node-affinity rule: {', '.join(located)}",
                )


def _too_few_places(rules: _Enabled) -> Iterator[Finding]:
    for id_, rule in rules.negative.items():
        sids = [sid for sid in rule.resources if sid in rules.located_by]
        located = _ordered(each for sid in sids for each in rules.located_by[sid])
        nodes = {node for each in located for node in rules.located[each].nodes}
        if len(sids) > len(nodes):
            for each in (id_, *located):
                yield (
                    each,
                    f"{id_} keeps {len(sids)} resources apart that {', '.join(located)} places on {len(nodes)} nodes",
                )


def _ordered(ids: Iterable[str]) -> list[str]:
    return sorted(set(ids))


CHECKS: tuple[Callable[[_Enabled], Iterator[Finding]], ...] = (
    _in_two_node_rules,
    _alone,
    _more_than_nodes,
    _together_and_apart,
    _several_priorities,
    _in_several_places,
    _too_few_places,
)


# ------------------------------------------------------------------------------------------------ transformations


def _apart(rules: _Enabled) -> dict[str, frozenset[str]]:
    apart: dict[str, set[str]] = defaultdict(set)
    for rule in rules.negative.values():
        for sid in rule.resources:
            apart[rules.group(sid)] |= set(rule.resources) - {sid}
    return {leader: frozenset(others) for leader, others in apart.items()}


def _apart_from_groups(rules: _Enabled) -> dict[str, frozenset[str]]:
    apart: dict[str, set[str]] = defaultdict(set)
    for rule in rules.negative.values():
        groups = {rules.leader[sid] for sid in rule.resources if sid in rules.leader}
        for sid in rule.resources:
            apart[sid] |= groups - {rules.group(sid)}
    return {sid: frozenset(groups) for sid, groups in apart.items() if groups}


def _located(rules: _Enabled) -> dict[str, NodeAffinity]:
    return {rules.group(sid): rule for rule in rules.located.values() for sid in rule.resources}
