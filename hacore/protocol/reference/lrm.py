"""The LRM of the reference variant.

Besides what :mod:`hacore.protocol.reference.weak` says of it, it does not guard what is in error, lets go for a disarm
before anything is frozen, and leaves a shutdown with failed stops to the watchdog.
"""

from __future__ import annotations

from hacore.protocol import lrm
from hacore.protocol.reference import weak
from hacore.protocol.reference.vocabulary import (
    ANY_JOB_READY,
    BUSY,
    CHOOSE_ANY_JOB,
    DISARM_WANTED,
    STOP_UNTRIED,
)
from hacore.protocol.reference.weak import without_given
from hacore.protocol.table import ALWAYS, Guard, Row, State
from hacore.protocol.vocabulary import GRANTED, MAINTENANCE_ASKED, QUORATE, RESTART_ASKED, SHUTDOWN_ASKED

LEAVING = RESTART_ASKED | SHUTDOWN_ASKED
EMPTYING = lrm.LEAVING_EMPTY | (LEAVING & lrm.MODE_MAINTENANCE) | (~LEAVING & MAINTENANCE_ASKED)
DISARMING = ~LEAVING & ~MAINTENANCE_ASKED & DISARM_WANTED
UNASKED = ~LEAVING & ~MAINTENANCE_ASKED & ~DISARM_WANTED

WEAK = without_given(lrm.LRM.substituted({**weak.LOCK_FIRST, **weak.ANY_FREEZE}), weak.BLIND_RELEASE)
"""hacore's table with the weak points; that it says active too soon (weak.BOAST) is in :func:`_says`."""

_LRM_STATES = (
    State("wait.told", "The store has answered, or not, whether the mode is published.", "wait_for_agent_lock"),
    State("wait.ending", "The state stays: is this the last round?", "wait_for_agent_lock"),
    State("active.checking", "Locked and armed: shall it stay active?", "active"),
    State("active.armed", "Just locked: the multiplexer has answered.", "active"),
    State("maintenance.checking", "Holds neither lock nor watchdog: is there anything to guard?", "maintenance"),
    State("maintenance.disarming", "All is to be disarmed: about to close the watchdog.", "maintenance"),
    State("maintenance.disarmed", "The watchdog is closed: about to free the lock and wait.", "maintenance"),
    State("maintenance.asking", "Needed: about to ask for the lock.", "maintenance"),
    State("maintenance.asked_anew", "The store has answered, or not, whether the lock is ours.", "maintenance"),
    State("maintenance.leaving", "Nothing is held: is this the last round?", "maintenance"),
    State("back.asking", "Maintenance is over: about to ask for the lock.", "maintenance"),
    State("back.asked_anew", "The store has answered, or not, whether the lock is ours.", "maintenance"),
    State("lost.working", "Not locked: may it leave?", "lost_agent_lock"),
)


def _guarding(prefix: str, name: str, granted: str, refused: str) -> tuple[Row, ...]:
    """Take lock and watchdog from maintenance."""
    asking, asked = f"{prefix}.asking", f"{prefix}.asked_anew"
    return (
        WEAK.changed("lrm.wait.ask", id=f"lrm.{name}.ask", state=asking, target=asked),
        Row(f"lrm.{name}.arm", asked, GRANTED, granted, do=(lrm.OPEN_WATCHDOG,)),
        Row(f"lrm.{name}.refused", asked, ALWAYS, refused),
    )


def _says(prefix: str, state: str, target: str) -> tuple[Row, ...]:
    """Outside a shutdown the mode follows the manager status."""
    return (
        Row(
            f"lrm.{prefix}.say_maintenance",
            state,
            ~LEAVING & MAINTENANCE_ASKED & ~lrm.MODE_MAINTENANCE,
            target,
            do=(lrm.SAY_MAINTENANCE,),
        ),
        Row(f"lrm.{prefix}.say_disarm", state, DISARMING & ~lrm.MODE_DISARM, target, do=(lrm.SAY_DISARM,)),
        Row(f"lrm.{prefix}.say_active", state, UNASKED & ~lrm.MODE_ACTIVE, target, do=(lrm.SAY_ACTIVE,)),
    )


def _job(of: str, guard: Guard) -> Row:
    return WEAK.changed(f"lrm.{of}.job", guard=guard & ANY_JOB_READY, do=(CHOOSE_ANY_JOB,))


LRM = WEAK.substituted(
    {
        "lrm.wait.quit": (),
        "lrm.wait.blind": Row("lrm.wait.blind", "wait_for_agent_lock", ~QUORATE, "wait.ending"),
        "lrm.wait.say_disarm": _says("wait", "wait_for_agent_lock", "wait.telling"),
        "lrm.wait.left": (),
        "lrm.wait.disarmed": WEAK.changed("lrm.wait.disarmed", guard=DISARMING, target="wait.ending"),
        "lrm.wait.fenced": WEAK.changed("lrm.wait.fenced", target="wait.ending"),
        "lrm.wait.needed": WEAK.changed("lrm.wait.needed", guard=BUSY),
        "lrm.wait.say_maintenance": (),
        "lrm.wait.maintenance": (),
        "lrm.wait.say_idle": (),
        "lrm.wait.idle": WEAK.changed("lrm.wait.idle", target="wait.ending"),
        "lrm.wait.tell": (
            WEAK.changed("lrm.wait.tell", target="wait.told"),
            Row("lrm.wait.told", "wait.told", GRANTED, "wait_for_agent_lock"),
            Row("lrm.wait.untold", "wait.told", ALWAYS, "wait.ending"),
        ),
        "lrm.wait.free": (),
        "lrm.wait.unarmed": WEAK.changed("lrm.wait.unarmed", target="wait.ending"),
        "lrm.wait.refused": WEAK.changed("lrm.wait.refused", target="wait.ending"),
        "lrm.wait.rest": (
            Row("lrm.wait.quit", "wait.ending", LEAVING, "exited", ends_round=True),
            Row("lrm.wait.stay", "wait.ending", ALWAYS, "wait.resting"),
            WEAK.by_id["lrm.wait.rest"],
        ),
        "lrm.active.fenced": WEAK.changed("lrm.active.fenced", target="lost.working"),
        "lrm.active.unconfirmed": WEAK.changed("lrm.active.unconfirmed", target="lost.working"),
        "lrm.active.guarded": (
            WEAK.changed("lrm.active.guarded", target="active.checking"),
            Row("lrm.armed.guarded", "active.armed", lrm.ACCEPTED, "active.working"),
            Row("lrm.armed.too_late", "active.armed", ALWAYS, "lost.resting"),
            Row("lrm.active.unseen", "active.checking", ~QUORATE, "active.working"),
            Row("lrm.active.maintain", "active.checking", EMPTYING, "maintenance.working"),
            Row(
                "lrm.active.say_disarm",
                "active.working",
                DISARMING & ~lrm.MODE_DISARM,
                "active.telling",
                do=(lrm.SAY_DISARM,),
            ),
            Row("lrm.active.disarm", "active.checking", DISARMING & ~lrm.WORKERS, "active.closing"),
            Row("lrm.active.idle", "active.checking", lrm.IDLE_LONG, "active.closing"),
            Row("lrm.active.checked", "active.checking", ALWAYS, "active.working"),
        ),
        "lrm.active.say_maintenance": _says("active", "active.working", "active.telling")[0],
        "lrm.active.say_disarm": (),
        "lrm.active.say_idle": (),
        "lrm.active.idle": (),
        "lrm.active.say_active": _says("active", "active.working", "active.telling")[2],
        "lrm.active.maintain": (),
        "lrm.active.stop": (
            Row("lrm.active.hold", "active.working", lrm.LEAVING_FROZEN & BUSY, "active.resting"),
            WEAK.changed("lrm.active.stop", guard=lrm.STOPPING & STOP_UNTRIED),
        ),
        "lrm.active.job": _job("active", ~LEAVING),
        "lrm.maintenance.job": _job("maintenance", QUORATE),
        "lrm.active.leave_frozen": WEAK.changed(
            "lrm.active.leave_frozen", guard=lrm.LEAVING_FROZEN & ~BUSY & ~lrm.WORKERS
        ),
        "lrm.active.leave_both": Row(
            "lrm.active.leave_stuck",
            "active.working",
            lrm.LEAVING_STOPPED & ~lrm.WORKERS,
            "exited",
            ends_round=True,
            why="a stop has failed: the watchdog decides",
        ),
        "lrm.active.disarm": (),
        "lrm.active.release": WEAK.changed("lrm.active.release", target="wait_for_agent_lock"),
        "lrm.maintenance.renew": (
            Row("lrm.maintenance.disarm", "maintenance", DISARMING & ~BUSY & ~lrm.WORKERS, "maintenance.disarming"),
            WEAK.changed(
                "lrm.maintenance.close",
                id="lrm.maintenance.disarm_close",
                state="maintenance.disarming",
                target="maintenance.disarmed",
            ),
            WEAK.changed(
                "lrm.maintenance.release",
                id="lrm.maintenance.disarm_release",
                state="maintenance.disarmed",
                target="wait_for_agent_lock",
            ),
            WEAK.by_id["lrm.maintenance.renew"],
        ),
        "lrm.maintenance.fenced": WEAK.changed("lrm.maintenance.fenced", target="lost.working"),
        "lrm.maintenance.unconfirmed": WEAK.changed("lrm.maintenance.unconfirmed", target="lost.working"),
        "lrm.maintenance.guarded": (
            WEAK.by_id["lrm.maintenance.guarded"],
            *_says("maintenance", "maintenance.working", "maintenance.telling"),
        ),
        "lrm.maintenance.over": Row(
            "lrm.maintenance.over", "maintenance.working", ~EMPTYING & ~BUSY & ~lrm.WORKERS, "active.working"
        ),
        "lrm.maintenance.emptied": WEAK.changed("lrm.maintenance.emptied", guard=~BUSY & ~lrm.WORKERS),
        "lrm.maintenance.release": WEAK.changed("lrm.maintenance.release", target="maintenance.leaving"),
        "lrm.empty.quit": (
            Row("lrm.empty.quit", "maintenance.leaving", LEAVING, "exited", ends_round=True),
            Row("lrm.empty.wait", "maintenance.leaving", ALWAYS, "maintenance.waiting"),
        ),
        "lrm.empty.blind": WEAK.changed("lrm.empty.blind", target="maintenance.leaving"),
        "lrm.empty.over": (
            *_says("empty", "maintenance.empty", "maintenance.reporting"),
            Row("lrm.empty.fenced", "maintenance.empty", lrm.FENCE_REQUESTED, "lost.working"),
            Row("lrm.empty.disarm", "maintenance.empty", DISARMING & ~BUSY, "wait_for_agent_lock"),
            Row("lrm.empty.needed", "maintenance.empty", BUSY, "maintenance.asking"),
            Row("lrm.empty.over", "maintenance.empty", ~EMPTYING, "back.asking"),
        ),
        "lrm.empty.stay": (
            Row("lrm.empty.stay", "maintenance.empty", ALWAYS, "maintenance.leaving"),
            WEAK.changed(
                "lrm.wait.tell",
                id="lrm.empty.tell",
                state="maintenance.reporting",
                target="maintenance.reported",
            ),
            Row("lrm.empty.told", "maintenance.reported", GRANTED, "maintenance.empty"),
            Row("lrm.empty.untold", "maintenance.reported", ALWAYS, "maintenance.leaving"),
            *_guarding("maintenance", "needed", "maintenance.fed", "lost.working"),
            *_guarding("back", "back", "active.armed", "lost.working"),
        ),
        "lrm.lost.blind": WEAK.changed("lrm.lost.blind", target="lost.working"),
        "lrm.lost.fenced": WEAK.changed("lrm.lost.fenced", target="lost.working"),
        "lrm.lost.quit": Row("lrm.lost.quit", "lost.working", LEAVING & ~BUSY, "lost.leaving"),
        "lrm.lost.regained": WEAK.changed("lrm.lost.regained", target="active.armed"),
        "lrm.lost.refused": (
            WEAK.changed("lrm.lost.refused", target="lost.working"),
            Row("lrm.lost.stay", "lost.working", ALWAYS, "lost.resting"),
        ),
    },
    *_LRM_STATES,
    State("maintenance.reporting", "About to publish a mode.", "maintenance"),
    State("maintenance.reported", "The store has answered, or not, whether it is published.", "maintenance"),
)
