"""Choosing a node for a service (PROTOCOL section 6, without rules, scoring ``basic``).

Candidates are the online nodes. A node in maintenance that the service came from is chosen as soon as it is back; with
``stay`` the current node, if it is a candidate. Otherwise the first node by (number of services, name) is taken;
``next`` leaves out the nodes on which the service has failed, its own included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from hacore.manager.documents import Record

_COUNTED = frozenset({"started", "request_stop", "fence", "freeze", "error", "recovery", "migrate", "relocate"})
_COUNTED_AT_TARGET = frozenset({"migrate", "relocate", "request_start_balance"})


def usage(records: Iterable[Record]) -> Counter[str]:
    """How many services count on each node."""
    counted: Counter[str] = Counter()
    for record in records:
        if record.state in _COUNTED:
            counted[record.node] += 1
        if record.state in _COUNTED_AT_TARGET and record.target:
            counted[record.target] += 1
    return counted


def choose(way: str, record: Record, online: Iterable[str], used: Mapping[str, int], *, failback: bool = True) -> str:
    """The node for a service, "" if there is none. ``way`` is ``stay``, ``next`` or ``best``."""
    failed = set(record.failed_nodes) | {record.node} if way == "next" else set()
    candidates = set(online)
    if way == "stay" and not failback and record.node in candidates:
        return record.node
    candidates -= failed
    if record.maintenance_node in candidates:
        return record.maintenance_node
    if way == "stay" and record.node in candidates:
        return record.node
    ordered = sorted(candidates, key=lambda node: (used.get(node, 0), node))
    return ordered[0] if ordered else ""
