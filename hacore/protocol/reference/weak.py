"""Where the reference is weaker than hacore (PROTOCOL section 11): each point as rows to exchange in our tables.

All tables of the variant are built upon these. And each by itself is a configuration of the model checker that must
fail, with a run that ends in a broken promise (:mod:`model_check.holes`). Point 3, the moment from which a deadline
counts, is no row: the variant's durations are such that it does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from hacore.protocol import crm, lrm
from hacore.protocol.table import ALWAYS, Fact, Row, Table
from hacore.protocol.vocabulary import GRANTED, RESTART_ASKED

LRM, CRM = lrm.LRM, crm.CRM
Rows: TypeAlias = Mapping[str, Row | tuple[Row, ...]]
"""Rows by id, and what stands in their place."""
Unchecked: TypeAlias = Mapping[str, tuple[Fact, ...]]
"""Rows by id, and what the store no longer checks when they take effect."""


def without_given(table: Table, unchecked: Unchecked) -> Table:
    """The table with rows whose effects the store no longer checks for these facts."""
    return table.substituted(
        {
            row: table.changed(row, given=tuple(it for it in table.by_id[row].given if it not in facts))
            for row, facts in unchecked.items()
        }
    )


# Point 1. The store takes what anybody writes who once was master, and frees a lock for whoever asks.
NO_TOKEN: Unchecked = {"crm.master.write": (crm.TOKEN_CURRENT, crm.BASIS_CURRENT)}
BLIND_RELEASE: Unchecked = {"lrm.active.exit": (lrm.LOCK_MINE,)}

# Point 2. An LRM takes its lock, opens the watchdog, works.
LOCK_FIRST: Rows = {
    "lrm.wait.arm": LRM.changed("lrm.wait.ask", state="wait.arming", guard=ALWAYS),
    "lrm.wait.ask": (),
    "lrm.wait.granted": Row("lrm.wait.arm", "wait.asked", GRANTED, "wait.armed", do=(lrm.OPEN_WATCHDOG,)),
    "lrm.wait.refused": LRM.changed("lrm.wait.refused", do=()),
    "lrm.wait.unarmed": (
        Row("lrm.wait.armed", "wait.armed", lrm.ACCEPTED, "active.working"),
        LRM.by_id["lrm.wait.unarmed"],
    ),
}

# Point 4. An LRM says active when it comes back, before it is guarded: the master thaws what nobody guards.
BOAST: Rows = {
    "lrm.wait.needed": (
        Row(
            "lrm.wait.say_active",
            "wait_for_agent_lock",
            lrm.FROZEN_SERVICES & ~lrm.MODE_ACTIVE,
            "wait.telling",
            do=(lrm.SAY_ACTIVE,),
        ),
        LRM.by_id["lrm.wait.needed"],
    )
}

# Point 5. An LRM takes any freeze for an answer to its last request.
ANY_FREEZE: Rows = {
    "lrm.active.leave_frozen": LRM.changed(
        "lrm.active.leave_frozen", guard=RESTART_ASKED & ~lrm.ACTIVE_SERVICES & ~lrm.WORKERS
    )
}

# Point 6. A master writes no mark before it takes a node's lock for fencing, and recovers on what it keeps in memory.
UNMARKED: Unchecked = {"crm.master.write": (crm.BASIS_CURRENT,), "crm.master.take": (crm.MARK_WRITTEN,)}
