"""The package update of one node: what must hold before it, in its midst, and after it (PROTOCOL section 9).

Pure functions over the documents as read. :mod:`hacore.runtime.update` does what they allow.
"""

from __future__ import annotations

from collections.abc import Iterator

from hacore.manager.documents import lrm_of, members_of, resources_of, status_of, update_of
from hacore.protocol.locks import MANAGER_LOCK, Lock, agent_lock
from hacore.protocol.requests import Snapshot

SETTLED_STATES = frozenset({"started", "stopped"})
"""States in which a service stays, if nobody does anything."""
WELL = frozenset({"online", "maintenance"})
"""States of a node in which the master hears of it."""


def refused(seen: Snapshot, node: str) -> str:
    """Why ``node`` cannot be updated now, and what to do about it; nothing if it can."""
    return next(_against(seen, node), "")


def _against(seen: Snapshot, node: str) -> Iterator[str]:
    status, members = status_of(seen), members_of(seen)
    if node not in members:
        yield f"{node} is no node of this cluster: {', '.join(members)}"
    if other := update_of(seen).node:
        yield (
            f"{other} is being updated, and only one node may be at a time; "
            f"if that update is no more, see to {other}, then: hacore update {other} --clear"
        )
    if status.disarm is not None:
        yield f"the cluster is {status.disarm.state}: hacore arm"
    if not Lock.of(seen[MANAGER_LOCK]).owner and (status.services or resources_of(seen)):
        yield "there is no master, who would have to acknowledge that services are frozen: see hacore status"
    if (state := status.nodes.get(node, "unknown")) not in WELL and status.services:
        yield f"{node} is not well, its state is {state}: see hacore status"
    for sid, record in sorted(status.services.items()):
        if node in {record.node, record.target}:
            if record.state == "error":
                yield f"{sid} is in error: find out why, then hacore set {sid} --state disabled"
            if record.state not in SETTLED_STATES:
                yield f"{sid} is in state {record.state}: wait until that is over"


def released(seen: Snapshot, node: str) -> bool:
    """Whether an LRM that has ended had let go: it frees the lock last, once its watchdog is closed."""
    return Lock.of(seen[agent_lock(node)]).owner != node


def unlike(before: Snapshot, seen: Snapshot, node: str) -> str:
    """What is not as it was before the update; nothing if all is."""
    return next(_differences(before, seen, node), "")


def _differences(before: Snapshot, seen: Snapshot, node: str) -> Iterator[str]:
    old, new = status_of(before).services, status_of(seen).services
    for sid, was in sorted(old.items()):
        if was.node != node:
            continue
        if sid not in new:
            yield f"{sid} is managed no more"
        elif new[sid].node != node:
            yield f"{sid} is on {new[sid].node}"
        elif new[sid].state != was.state:
            yield f"{sid} is in state {new[sid].state}, and was {was.state}"
        elif new[sid].running != was.running:
            yield f"{sid} is {'' if new[sid].running else 'not '}running"
    if (mode := lrm_of(seen, node).mode) == "restart":
        yield "its LRM has not said yet that it is back"
    serves = any(record.node == node and record.state == "started" for record in new.values())
    if serves and (mode != "active" or released(seen, node)):
        yield f"its LRM does not guard its services: its mode is {mode}"
    if new and (state := status_of(seen).nodes.get(node, "unknown")) not in WELL:
        yield f"its state is {state}"
