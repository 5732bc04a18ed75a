"""All tables of the reference variant: here the CRM, nodes, disarming and workers; and its durations."""

from __future__ import annotations

from hacore.protocol import crm, disarm, node, worker
from hacore.protocol.reference import weak
from hacore.protocol.reference.lrm import LRM
from hacore.protocol.reference.service import SERVICE
from hacore.protocol.reference.vocabulary import (
    AGAIN,
    ALL_SAY_DISARM,
    FORGET_SIGHTINGS,
    TELL,
)
from hacore.protocol.reference.weak import without_given
from hacore.protocol.table import ALWAYS, Row, Table
from hacore.protocol.tables import TABLES
from hacore.protocol.timing import Timing
from hacore.protocol.vocabulary import GRANTED, RESTART_ASKED, SHUTDOWN_ASKED

LEAVING = RESTART_ASKED | SHUTDOWN_ASKED

# ---------------------------------------------------------------------------------------------------------- the CRM
# It hears a stop request only after it has tried for the lock, a lost lock ends the round, and a new master begins anew
# to count how long nodes have not been seen (PROTOCOL section 11 point 9). There is no power fencing.

WEAK_CRM = without_given(crm.CRM, {row: (*weak.NO_TOKEN.get(row, ()), *weak.UNMARKED[row]) for row in weak.UNMARKED})
CRM = WEAK_CRM.substituted(
    {
        "crm.wait.quit": (),
        "crm.slave.quit": (),
        "crm.wait.rest": (
            Row("crm.wait.quit", "wait.resting", LEAVING, "exited", ends_round=True),
            WEAK_CRM.by_id["crm.wait.rest"],
        ),
        "crm.slave.rest": (
            Row("crm.slave.quit", "slave.resting", LEAVING, "exited", ends_round=True),
            WEAK_CRM.by_id["crm.slave.rest"],
        ),
        "crm.wait.elected": WEAK_CRM.changed("crm.wait.elected", target="master.asked", do=(FORGET_SIGHTINGS,)),
        "crm.slave.elected": WEAK_CRM.changed("crm.slave.elected", target="master.asked", do=(FORGET_SIGHTINGS,)),
        "crm.master.quit": (),
        "crm.master.confirmed": (
            WEAK_CRM.changed("crm.master.quit", state="master.asked", guard=GRANTED & LEAVING),
            WEAK_CRM.by_id["crm.master.confirmed"],
        ),
        "crm.master.fence": WEAK_CRM.changed("crm.master.fence", do=(TELL, crm.CHOOSE_NODE)),
        **dict.fromkeys(("crm.master.claim", "crm.master.shoot", "crm.master.power_off", "crm.master.take_off"), ()),
        "crm.master.done": WEAK_CRM.changed("crm.master.done", do=(TELL,)),
        "crm.lost.forget": WEAK_CRM.changed("crm.lost.forget", target="wait.resting"),
    }
)

# ------------------------------------------------------------------------------------------- nodes, disarm, workers
# A lock taken for fencing is left to expire (so a node that was fenced is taken for fenced again while it stands); a
# cluster counts as disarmed when all LRMs say so; a move is one call, which stops the service itself if need be.

NODE = node.NODE.substituted(
    {
        **{
            f"node.{state}.fence": node.NODE.changed(f"node.{state}.fence", guard=node.SERVICES_IN_FENCE)
            for state in ("unknown", "online", "maintenance", "gone")
        },
        **{
            f"node.{row}": node.NODE.changed(f"node.{row}", guard=guard & ~AGAIN)
            for row, guard in (
                ("unknown.online", node.ONLINE),
                ("unknown.gone", ~node.MEMBER),
                ("online.maintenance", node.ONLINE & node.LRM_MAINTENANCE),
                ("maintenance.back", node.ONLINE & ~node.LRM_MAINTENANCE),
            )
        },
        "node.fence.done": node.NODE.changed("node.fence.done", do=()),
    }
)
DISARM = disarm.DISARM.substituted(
    {
        "disarm.deferred.go": disarm.DISARM.changed("disarm.deferred.go", guard=~disarm.UNSETTLED & ~AGAIN),
        "disarm.disarming.done": disarm.DISARM.changed("disarm.disarming.done", guard=ALL_SAY_DISARM),
    }
)
WORKER = worker.WORKER.substituted(
    {
        "worker.begin.guard": (),
        "worker.begin.watch": worker.WORKER.changed("worker.begin.watch", target="success"),
        "worker.begin.arrived": (
            Row("worker.begin.stopped", "begin", worker.WANT_STOPPED, "success"),
            worker.WORKER.by_id["worker.begin.arrived"],
        ),
        "worker.begin.move": worker.WORKER.changed("worker.begin.move", guard=ALWAYS),
        "worker.begin.hand_over": (),
        "worker.begin.idle": (),
    }
)

REFERENCE: dict[str, Table] = {
    **TABLES,
    **{table.name: table for table in (CRM, LRM, SERVICE, NODE, DISARM, WORKER)},
}
"""All tables of the variant, by name."""


def timing(loop_s: float) -> Timing:
    """The reference's durations, for rounds of ``loop_s``. Its watchdog resets at once; its locks outlive 120 s."""
    return Timing(
        round_s=loop_s,
        call_timeout_s=0.01,
        hardware_s=0.01,
        margin_s=0.0,
        drift=0.0,
        monitor_s=1.0,
        watchdog_s=60.0,
        lock_ttl_s=121.0,
        offline_s=loop_s + 1,
        offline_delay_s=60.0,
    )
