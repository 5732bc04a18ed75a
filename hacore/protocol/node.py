"""The node table: what the master thinks of one node.

See :data:`THEORY`; PROTOCOL section 5 points 1 and 5.
"""

from __future__ import annotations

from hacore.protocol.table import ALWAYS, Action, Checker, Fact, Row, Site, State, Table
from hacore.protocol.vocabulary import FENCED, MAINTENANCE_ASKED

THEORY = """
The master keeps one state per node. A node is *online* while its heartbeat document changes, as the master itself sees
it on its own clock. Losing a node is no reason to act: only when a service of it has waited longer than the offline
delay does the service table ask for a fence, and then the node is marked.

A mark is taken off in one way only: the node's lock is held for fencing. Then the node is ``unknown`` until it is seen
online again, and its lock is freed in the same transaction, so that its LRM may take it when it returns.
"""

ONLINE = Fact("ONLINE", Checker.READ, "The node's heartbeat has changed lately, on the master's clock.")
MEMBER = Fact("MEMBER", Checker.READ, "The node belongs to the cluster.")
GONE_LONG = Fact("GONE_LONG", Checker.READ, "The node's heartbeat has stood still for an hour, on the master's clock.")
LRM_MAINTENANCE = Fact("LRM_MAINTENANCE", Checker.READ, "The node's LRM has published mode maintenance.")
SERVICES_IN_FENCE = Fact("SERVICES_IN_FENCE", Checker.READ, "A service of the node is in state fence.")

FREE_LOCK = Action("FREE_LOCK", Site.LOCAL, "The node's lock becomes free, its token kept.")

NODE = Table(
    "node",
    THEORY,
    (
        State("unknown", "Not seen online."),
        State("online", "Seen online: services may be placed on it."),
        State("maintenance", "Its services move away, and come back afterwards."),
        State("fence", "Marked: its LRM must not renew, its lock is waited for."),
        State("gone", "No member of the cluster any more."),
        State("removed", "Forgotten.", final=True),
    ),
    (
        Row(
            "node.unknown.fence", "unknown", SERVICES_IN_FENCE & ~FENCED, "fence", why="the mark comes before the lock"
        ),
        Row("node.unknown.online", "unknown", ONLINE, "online"),
        Row("node.unknown.gone", "unknown", ~MEMBER, "gone"),
        Row("node.unknown.wait", "unknown", ALWAYS, "unknown"),
        Row("node.online.fence", "online", SERVICES_IN_FENCE & ~FENCED, "fence"),
        Row("node.online.maintenance", "online", ONLINE & LRM_MAINTENANCE, "maintenance"),
        Row("node.online.lost", "online", ~ONLINE, "unknown"),
        Row("node.online.stay", "online", ALWAYS, "online"),
        Row("node.maintenance.fence", "maintenance", SERVICES_IN_FENCE & ~FENCED, "fence"),
        Row("node.maintenance.back", "maintenance", ONLINE & ~LRM_MAINTENANCE & ~MAINTENANCE_ASKED, "online"),
        Row("node.maintenance.lost", "maintenance", ~ONLINE & ~LRM_MAINTENANCE, "unknown"),
        Row("node.maintenance.stay", "maintenance", ALWAYS, "maintenance"),
        Row("node.fence.done", "fence", FENCED, "unknown", do=(FREE_LOCK,), why="the evidence is used once"),
        Row("node.fence.wait", "fence", ALWAYS, "fence"),
        Row("node.gone.fence", "gone", SERVICES_IN_FENCE & ~FENCED, "fence"),
        Row("node.gone.online", "gone", ONLINE & MEMBER, "online"),
        Row("node.gone.forget", "gone", GONE_LONG & ~MEMBER, "removed"),
        Row("node.gone.stay", "gone", ALWAYS, "gone"),
    ),
)
