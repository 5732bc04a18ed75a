"""What would happen if: the master's rounds on a copy of the documents, where every LRM does what it is asked to.

First the cluster is left to itself until nothing changes any more, then the change is made, and what follows from it is
the plan. Nothing is read or written but the copy. Automatic rebalancing is left out: it looks at loads that will have
changed by then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from msgspec.structs import replace as changed

from hacore.manager.documents import (
    SETTINGS,
    LrmStatus,
    Status,
    dump,
    lrm_key,
    lrm_of,
    members_of,
    settings_of,
    status_of,
)
from hacore.manager.memory import Memory
from hacore.manager.round import decide
from hacore.manager.rules import compile_rules, rules_of
from hacore.manager.view import Event, Sight
from hacore.protocol.locks import FENCING, Lock, agent_lock
from hacore.protocol.requests import JSON, Document, Snapshot

MOST_DECISIONS, MOST_ROUNDS = 200, 20
"""A master that decides more often in a round, or rounds that change more often, come to no end."""
_WORKED_ON = frozenset({"new", "started", "request_stop", "migrate", "relocate", "request_start_balance"})
"""States that an LRM answers."""


@dataclass(frozen=True)
class Plan:
    """What follows from a change."""

    events: tuple[Event, ...]
    """What the master would tell people, in order."""
    unplaced: Mapping[str, str]
    """The services that would wait for a node that may have them, and the node on which they were."""
    infeasible: Mapping[str, list[str]]
    """Why a rule would not be followed, by its id."""
    settled: bool
    """Whether it comes to an end."""

    @property
    def refused(self) -> list[Mapping[str, JSON]]:
        return [event.fields for event in self.events if event.kind == "command_refused"]


def with_documents(snapshot: Snapshot, values: Mapping[str, JSON]) -> Snapshot:
    """The same documents, but for these."""
    revision = snapshot.revision + 1
    return Snapshot({**snapshot.documents, **{key: Document(it, revision) for key, it in values.items()}}, revision)


def plan(snapshot: Snapshot, change: Callable[[Snapshot], Snapshot], down: Collection[str] = ()) -> Plan:
    """What follows if ``change`` is made to the documents, and the nodes ``down`` fail.

    Raises DocumentError if a document cannot be understood, and what ``change`` raises.
    """
    start = with_documents(snapshot, {SETTINGS: dump(changed(settings_of(snapshot), rebalance=False))})
    before, _, _ = _settle(start, frozenset())
    after, events, settled = _settle(change(before), frozenset(down))
    records = status_of(after).services
    return Plan(
        events,
        {sid: record.node for sid, record in sorted(records.items()) if record.state in {"recovery", "fence"}},
        compile_rules(rules_of(after), members_of(after)).infeasible,
        settled,
    )


def whole_round(
    own: str, snapshot: Snapshot, sight: Sight, memory: Memory | None = None
) -> tuple[Snapshot, tuple[Event, ...]]:
    """The documents once the master has nothing left to write in this round, and what it tells.

    It decides, writes, takes a lock for fencing, and decides again. Raises RuntimeError if there is no end to it.
    """
    told: list[Event] = []
    for _ in range(MOST_DECISIONS):
        decision = decide(own, snapshot, sight, memory=memory)
        writes = dict(decision.writes)
        if decision.fence_due:
            key = agent_lock(decision.fence_due)
            writes[key] = Lock.of(snapshot[key]).taken(FENCING, 0.0).document()
        if not writes:
            return snapshot, tuple(told)
        told += decision.events
        snapshot, sight = with_documents(snapshot, writes), replace(sight, again=True)
    raise RuntimeError(f"the master still writes after {MOST_DECISIONS} decisions")


def _settle(snapshot: Snapshot, down: frozenset[str]) -> tuple[Snapshot, tuple[Event, ...], bool]:
    """The documents once nothing changes any more, what is told until then, and whether it came to that."""
    told: list[Event] = []
    memory = Memory()
    for _ in range(MOST_ROUNDS):
        status = status_of(snapshot)
        sight = _sight(snapshot, status, down)
        if not sight.online:
            return snapshot, tuple(told), True  # nobody decides anything
        own = status.master if status.master in sight.online else min(sight.online)
        written, events = whole_round(own, snapshot, sight, memory)
        told += events
        answered = _answered(written, sight.online)
        if answered is snapshot:
            return snapshot, tuple(told), True
        snapshot = answered
    return snapshot, tuple(told), False


def _sight(snapshot: Snapshot, status: Status, down: frozenset[str]) -> Sight:
    """Who is online stays so, and so does who is not; a member of which nothing is known yet is taken for online."""
    members = set(members_of(snapshot))
    known = members | set(status.nodes)
    up = {node for node in known if status.nodes.get(node, "online") in {"online", "maintenance"}} & members
    online = frozenset(up - down)
    return Sight(online=online, lost=frozenset(known - online), expired=frozenset(known - online))


def _answered(snapshot: Snapshot, online: Collection[str]) -> Snapshot:
    """What the LRMs of these nodes come to publish: they follow maintenance, and succeed in all they are asked for."""
    status = status_of(snapshot)
    said: dict[str, JSON] = {}
    for node in online:
        old = lrm_of(snapshot, node)
        uids = {it.uid for it in status.services.values() if it.node == node and it.state in _WORKED_ON}
        mode = old.mode if status.disarm else "maintenance" if node in status.maintenance else "active"
        new = LrmStatus(mode, old.generation, {**dict.fromkeys(uids, "success"), **old.results})
        if new != old:
            said[lrm_key(node)] = dump(new)
    return with_documents(snapshot, said) if said else snapshot
