"""The LRM's table: who may run services on this node, and when.

See :data:`THEORY`; PROTOCOL sections 4, 8, 9 and 11.
"""

from __future__ import annotations

from hacore.protocol.table import ALWAYS, Action, Checker, Fact, Guard, Row, Site, State, Table
from hacore.protocol.vocabulary import GRANTED, HEARTBEAT, MAINTENANCE_ASKED, QUORATE, RESTART_ASKED, SHUTDOWN_ASKED

THEORY = """
One local resource manager (LRM) runs on each node. It starts, stops and moves services, but only while it is
*guarded*: it owns the node's lock, and the watchdog will reset the node before that lock can expire.

1. Guarding comes in a fixed order: open the watchdog, take the lock, hand the watchdog the deadline that follows from
   that request, **read the status again**, and only then act on it. A pause of any length between two of these steps
   does no harm: either the watchdog has fired, or the lock is still ours, or nothing was started.
2. The deadline is absolute: the clock *before* the renewal was sent, plus the watchdog time. A renewal that was on its
   way for long buys correspondingly less.
3. Each round renews, moves the deadline, reads, works. When the store does not confirm the renewal, the LRM stops
   moving the deadline. It may try to get the lock back; if it does not in time, the watchdog resets the node.
4. When the master has marked this node (or a service on it) for fencing, the LRM renews no more. It must die now,
   because the master counts on it.
5. To be released from guarding while services run (package update, disarm), the LRM publishes a request with a new
   *generation* and waits until each of its services is frozen **with that generation**. An older freeze answers an
   older request and counts for nothing. It must have published that request itself, confirmed, since it last tried to
   publish anything else: a late ``active`` of its own must not land after it has let go.
6. Whoever comes back takes the lock for frozen services too, and publishes mode ``active`` only from a state in which
   it is locked and armed. The master thaws on ``active`` only. So no service is ever both thawed and unguarded.
7. ``wait_for_agent_lock`` holds nothing and runs nothing that is not frozen; leaving from there is always safe.
8. A decision that rests on a document read, and the effect that follows from it, are two rows: between them the
   document may change, and the tables say so.
"""

# ---------------------------------------------------------------------------------------------- what the LRM sees
FENCE_REQUESTED = Fact(
    "FENCE_REQUESTED", Checker.READ, "A service of this node is in state fence, or the master has marked this node."
)
ACTIVE_SERVICES = Fact(
    "ACTIVE_SERVICES",
    Checker.READ,
    "A record whose node or target is this node is in a state other than stopped, freeze and request_start (what is in "
    "error may still run, so it is guarded too).",
)
FROZEN_SERVICES = Fact("FROZEN_SERVICES", Checker.READ, "A record of this node is in state freeze.")
QUIET = Fact(
    "QUIET",
    Checker.READ,
    "Every record whose node or target is this node is stopped, waits in request_start, or is frozen with the "
    "generation that this LRM has published.",
)
NOTHING_GUARDED = Fact(
    "NOTHING_GUARDED", Checker.READ, "No worker, all told, and every record here as for QUIET, or new and unanswered."
)
DISARM_ASKED = Fact("DISARM_ASKED", Checker.READ, "The manager status holds a disarm request.")
POLICY_FREEZE = Fact("POLICY_FREEZE", Checker.READ, "The shutdown policy freezes services for the shutdown asked for.")
POLICY_MIGRATE = Fact("POLICY_MIGRATE", Checker.READ, "The shutdown policy moves services away before a shutdown.")
MODE_ACTIVE = Fact("MODE_ACTIVE", Checker.READ, "This LRM's published mode is active.")
MODE_IDLE = Fact("MODE_IDLE", Checker.READ, "This LRM's published mode is idle.")
MODE_RESTART = Fact("MODE_RESTART", Checker.READ, "This LRM's published mode is restart.")
MODE_SHUTDOWN = Fact("MODE_SHUTDOWN", Checker.READ, "This LRM's published mode is shutdown.")
MODE_MAINTENANCE = Fact("MODE_MAINTENANCE", Checker.READ, "This LRM's published mode is maintenance.")
MODE_DISARM = Fact("MODE_DISARM", Checker.READ, "This LRM's published mode is disarm.")
SETTLED = Fact(
    "SETTLED",
    Checker.READ,
    "Every record of this node is quiet, in error, or on its way elsewhere: the master will freeze nothing more.",
)
LOCK_LEFT = Fact("LOCK_LEFT", Checker.READ, "The node's lock is still this node's own.")
JOB_READY = Fact("JOB_READY", Checker.READ, "A record of this node asks for a worker, and a worker may be started.")
STOP_READY = Fact(
    "STOP_READY", Checker.READ, "A service here is not yet stopped for the shutdown, and a worker may be started."
)
IDLE_LONG = Fact("IDLE_LONG", Checker.READ, "No record of this node and no worker for more rounds than the limit.")

ACCEPTED = Fact("ACCEPTED", Checker.LOCAL, "The multiplexer has accepted what was last asked of it.")
WORKERS = Fact("WORKERS", Checker.LOCAL, "A worker is running.")
RELEASE_TOLD = Fact(
    "RELEASE_TOLD",
    Checker.LOCAL,
    "This LRM has published a request for release, confirmed, and has not tried to publish another mode since.",
)
ROUND_LATE = Fact("ROUND_LATE", Checker.LOCAL, "The round has lasted longer than round_s: the lock wants its renewal.")
RESULTS_NEW = Fact("RESULTS_NEW", Checker.LOCAL, "Workers have ended whose outcome is not yet published.")
ALL_STOPPED = Fact("ALL_STOPPED", Checker.LOCAL, "Every service of this node has been stopped for the shutdown.")

LOCK_AVAILABLE = Fact("LOCK_AVAILABLE", Checker.STORE, "The node's lock is as it was read: free, or this node's own.")
LOCK_MINE = Fact("LOCK_MINE", Checker.STORE, "The node's lock is as this LRM last wrote it: same owner and token.")
NO_FENCE_MARK = Fact(
    "NO_FENCE_MARK", Checker.STORE, "The manager status is as it was read: without a mark on this node."
)
STATUS_MINE = Fact("STATUS_MINE", Checker.STORE, "This LRM's status document is as it was read.")

# ----------------------------------------------------------------------------------------------- what the LRM does
OPEN_WATCHDOG = Action("OPEN_WATCHDOG", Site.DEVICE, "Become a client of the multiplexer, deadline: now + watchdog_s.")
KEEP_ALIVE = Action("KEEP_ALIVE", Site.DEVICE, "Move the deadline to watchdog_s after the last lock request was sent.")
CLOSE_WATCHDOG = Action("CLOSE_WATCHDOG", Site.DEVICE, "Stop being a client of the multiplexer.")
TAKE_LOCK = Action("TAKE_LOCK", Site.STORE, "Take the node's lock with a new token; note the clock before sending.")
RENEW_LOCK = Action("RENEW_LOCK", Site.STORE, "Renew the node's lock; note the clock before sending.")
RELEASE_LOCK = Action("RELEASE_LOCK", Site.STORE, "Free the node's lock, its token kept.")
PUBLISH = Action("PUBLISH", Site.STORE, "Write this LRM's status: state, mode, generation, outcomes by uid.")
SPAWN_WORKER = Action("SPAWN_WORKER", Site.SERVICE, "Start a worker for the chosen job.")

SAY_ACTIVE = Action("SAY_ACTIVE", Site.LOCAL, "The mode to publish is active.")
SAY_IDLE = Action("SAY_IDLE", Site.LOCAL, "The mode to publish is idle.")
SAY_RESTART = Action("SAY_RESTART", Site.LOCAL, "The mode to publish is restart, with a new generation.")
SAY_SHUTDOWN = Action("SAY_SHUTDOWN", Site.LOCAL, "The mode to publish is shutdown.")
SAY_MAINTENANCE = Action("SAY_MAINTENANCE", Site.LOCAL, "The mode to publish is maintenance.")
SAY_DISARM = Action("SAY_DISARM", Site.LOCAL, "The mode to publish is disarm, with a new generation.")
CHOOSE_JOB = Action("CHOOSE_JOB", Site.LOCAL, "Note the job that has waited longest.")
CHOOSE_STOP = Action("CHOOSE_STOP", Site.LOCAL, "Note a service to be stopped for the shutdown.")

# -------------------------------------------------------------------------------------------- guards with a name
LEAVING = RESTART_ASKED | SHUTDOWN_ASKED
STOPPING = ~RESTART_ASKED & SHUTDOWN_ASKED & ~POLICY_MIGRATE
LEAVING_FROZEN = RESTART_ASKED | (SHUTDOWN_ASKED & POLICY_FREEZE)
LEAVING_STOPPED = STOPPING & ~POLICY_FREEZE
LEAVING_EMPTY = ~RESTART_ASKED & SHUTDOWN_ASKED & POLICY_MIGRATE
EMPTYING = LEAVING_EMPTY | (~LEAVING & MAINTENANCE_ASKED)
MAINTAINING = EMPTYING & ~FROZEN_SERVICES
DISARMING = DISARM_ASKED & ((~LEAVING & ~MAINTENANCE_ASKED) | (EMPTYING & FROZEN_SERVICES))
UNASKED = ~LEAVING & ~MAINTENANCE_ASKED & ~DISARM_ASKED
SERVING = UNASKED | (~DISARM_ASKED & EMPTYING & FROZEN_SERVICES)

STATES = (
    State("wait_for_agent_lock", "Holds neither lock nor watchdog; runs nothing that is not frozen."),
    State("wait.telling", "About to publish a mode.", "wait_for_agent_lock"),
    State("wait.freeing", "About to free a lock that was left behind.", "wait_for_agent_lock"),
    State("wait.arming", "Needed: about to open the watchdog.", "wait_for_agent_lock"),
    State("wait.armed", "The multiplexer has answered.", "wait_for_agent_lock"),
    State("wait.asked", "The store has answered, or not, whether the lock is ours.", "wait_for_agent_lock"),
    State("wait.resting", "The round is done.", "wait_for_agent_lock"),
    State("active", "Owns the lock, the watchdog is armed: a round begins."),
    State("active.renewing", "About to renew the lock.", "active"),
    State("active.asked", "The store has answered, or not, whether the lock is still ours.", "active"),
    State("active.fed", "The multiplexer has answered whether it took the new deadline.", "active"),
    State("active.working", "Guarded: does the manager's work.", "active"),
    State("active.spawning", "About to start a worker.", "active"),
    State("active.telling", "About to publish mode and outcomes.", "active"),
    State("active.told", "The store has answered, or not, whether they are published.", "active"),
    State("active.closing", "Released: about to close the watchdog and wait.", "active"),
    State("active.releasing", "The watchdog is closed: about to free the lock and wait.", "active"),
    State("active.leaving", "Released: about to close the watchdog and exit.", "active"),
    State("active.left", "The watchdog is closed: about to free the lock and exit.", "active"),
    State("active.resting", "The round is done.", "active"),
    State("maintenance", "Guarded as in active, while services move away: a round begins."),
    State("maintenance.renewing", "About to renew the lock.", "maintenance"),
    State("maintenance.asked", "The store has answered, or not, whether the lock is still ours.", "maintenance"),
    State("maintenance.fed", "The multiplexer has answered whether it took the new deadline.", "maintenance"),
    State("maintenance.working", "Guarded: does the manager's work.", "maintenance"),
    State("maintenance.spawning", "About to start a worker.", "maintenance"),
    State("maintenance.telling", "About to publish outcomes.", "maintenance"),
    State("maintenance.told", "The store has answered, or not, whether they are published.", "maintenance"),
    State("maintenance.closing", "Nothing is left: about to close the watchdog.", "maintenance"),
    State("maintenance.releasing", "The watchdog is closed: about to free the lock.", "maintenance"),
    State("maintenance.resting", "The round is done.", "maintenance"),
    State("maintenance.empty", "Holds nothing and runs nothing until maintenance is over.", "maintenance"),
    State("maintenance.waiting", "The round is done.", "maintenance"),
    State("lost_agent_lock", "The lock is not confirmed: the watchdog's deadline comes nearer."),
    State("lost.asking", "About to ask for the lock again.", "lost_agent_lock"),
    State("lost.asked", "The store has answered, or not, whether the lock is ours.", "lost_agent_lock"),
    State("lost.leaving", "Nothing runs here: about to close the watchdog and exit.", "lost_agent_lock"),
    State("lost.resting", "The round is done.", "lost_agent_lock"),
    State("exited", "The process has ended of its own will.", final=True),
)


def renewal(of: str) -> tuple[Row, ...]:
    """Begin a guarded round: look for a mark, renew the lock, move the watchdog's deadline."""
    renewing, asked, fed, working = (f"{of}.{phase}" for phase in ("renewing", "asked", "fed", "working"))
    return (
        Row(f"lrm.{of}.fenced", of, FENCE_REQUESTED, "lost.resting", why="the master counts on our end"),
        Row(f"lrm.{of}.renew", of, ALWAYS, renewing),
        Row(f"lrm.{of}.ask", renewing, ALWAYS, asked, do=(RENEW_LOCK,), given=(LOCK_MINE,)),
        Row(f"lrm.{of}.confirmed", asked, GRANTED, fed, do=(KEEP_ALIVE,)),
        Row(f"lrm.{of}.unconfirmed", asked, ALWAYS, "lost.resting", why="no answer counts as no"),
        Row(f"lrm.{of}.guarded", fed, ACCEPTED, working),
        Row(f"lrm.{of}.too_late", fed, ALWAYS, "lost.resting", why="the old deadline has passed: the node will reset"),
    )


def work(of: str, job: Guard) -> tuple[Row, ...]:
    """Publish outcomes and start workers, one at a time, reading the status again before each."""
    working, spawning, telling, told, resting = (
        f"{of}.{phase}" for phase in ("working", "spawning", "telling", "told", "resting")
    )
    return (
        Row(f"lrm.{of}.report", working, RESULTS_NEW, telling),
        Row(f"lrm.{of}.job", working, job, spawning, do=(CHOOSE_JOB,)),
        Row(f"lrm.{of}.spawn", spawning, ALWAYS, working, do=(SPAWN_WORKER,)),
        Row(f"lrm.{of}.tell", telling, ALWAYS, told, do=(PUBLISH,), given=(STATUS_MINE,)),
        Row(f"lrm.{of}.told", told, GRANTED, working),
        Row(f"lrm.{of}.untold", told, ALWAYS, resting, why="ask again next round, on what is read then"),
        Row(f"lrm.{of}.rest", resting, ALWAYS, of, do=(HEARTBEAT,), ends_round=True),
    )


WAIT = (
    Row("lrm.wait.quit", "wait_for_agent_lock", LEAVING, "exited", ends_round=True, why="nothing is held"),
    Row("lrm.wait.blind", "wait_for_agent_lock", ~QUORATE, "wait.resting"),
    Row(
        "lrm.wait.say_disarm",
        "wait_for_agent_lock",
        DISARM_ASKED & ~(MODE_DISARM & RELEASE_TOLD),
        "wait.telling",
        do=(SAY_DISARM,),
        why="a late word of an earlier life may still land; after this one it cannot",
    ),
    Row(
        "lrm.wait.left",
        "wait_for_agent_lock",
        DISARM_ASKED & NOTHING_GUARDED & LOCK_LEFT,
        "wait.freeing",
        why="its release went astray, or it was reset; what runs here is frozen or untouched, so nothing follows",
    ),
    Row("lrm.wait.disarmed", "wait_for_agent_lock", DISARM_ASKED, "wait.resting"),
    Row("lrm.wait.fenced", "wait_for_agent_lock", FENCE_REQUESTED, "wait.resting", why="not before the fence is done"),
    Row("lrm.wait.needed", "wait_for_agent_lock", ACTIVE_SERVICES | FROZEN_SERVICES, "wait.arming"),
    Row(
        "lrm.wait.say_maintenance",
        "wait_for_agent_lock",
        MAINTENANCE_ASKED & ~MODE_MAINTENANCE,
        "wait.telling",
        do=(SAY_MAINTENANCE,),
    ),
    Row("lrm.wait.maintenance", "wait_for_agent_lock", MAINTENANCE_ASKED, "maintenance.empty"),
    Row(
        "lrm.wait.say_idle",
        "wait_for_agent_lock",
        ~MODE_IDLE,
        "wait.telling",
        do=(SAY_IDLE,),
        why="nothing here is frozen, so no thaw can follow from it",
    ),
    Row("lrm.wait.idle", "wait_for_agent_lock", ALWAYS, "wait.resting"),
    Row("lrm.wait.tell", "wait.telling", ALWAYS, "wait.resting", do=(PUBLISH,), given=(STATUS_MINE,)),
    Row("lrm.wait.free", "wait.freeing", ALWAYS, "wait.resting", do=(RELEASE_LOCK,), given=(LOCK_MINE,)),
    Row("lrm.wait.arm", "wait.arming", ALWAYS, "wait.armed", do=(OPEN_WATCHDOG,), why="arm first, then lock"),
    Row("lrm.wait.ask", "wait.armed", ACCEPTED, "wait.asked", do=(TAKE_LOCK,), given=(LOCK_AVAILABLE, NO_FENCE_MARK)),
    Row("lrm.wait.unarmed", "wait.armed", ALWAYS, "wait.resting", why="without a watchdog nothing starts"),
    Row("lrm.wait.granted", "wait.asked", GRANTED, "active.fed", do=(KEEP_ALIVE,)),
    Row("lrm.wait.refused", "wait.asked", ALWAYS, "wait.resting", do=(CLOSE_WATCHDOG,), why="nothing was started"),
    Row("lrm.wait.rest", "wait.resting", ALWAYS, "wait_for_agent_lock", do=(HEARTBEAT,), ends_round=True),
)

ACTIVE = (
    *renewal("active"),
    Row("lrm.active.blind", "active.working", ~QUORATE, "active.resting", why="act on nothing that was not read"),
    Row("lrm.active.marked", "active.working", FENCE_REQUESTED, "lost.resting"),
    Row("lrm.active.late", "active.working", ROUND_LATE, "active.resting", why="however slow the store, renew first"),
    Row(
        "lrm.active.say_restart",
        "active.working",
        LEAVING_FROZEN & ~(MODE_RESTART & RELEASE_TOLD),
        "active.telling",
        do=(SAY_RESTART,),
        why="the request that the master answers by freezing",
    ),
    Row(
        "lrm.active.say_shutdown",
        "active.working",
        LEAVING_STOPPED & ~MODE_SHUTDOWN,
        "active.telling",
        do=(SAY_SHUTDOWN,),
    ),
    Row(
        "lrm.active.say_maintenance",
        "active.working",
        MAINTAINING & ~MODE_MAINTENANCE,
        "active.telling",
        do=(SAY_MAINTENANCE,),
    ),
    Row(
        "lrm.active.say_disarm",
        "active.working",
        DISARMING & ~(MODE_DISARM & RELEASE_TOLD),
        "active.telling",
        do=(SAY_DISARM,),
    ),
    Row(
        "lrm.active.say_idle",
        "active.working",
        UNASKED & IDLE_LONG & ~MODE_IDLE,
        "active.telling",
        do=(SAY_IDLE,),
        why="before it lets go: what is configured now is not touched until an LRM guards it",
    ),
    Row("lrm.active.idle", "active.working", UNASKED & IDLE_LONG, "active.closing"),
    Row(
        "lrm.active.say_active",
        "active.working",
        SERVING & ~MODE_ACTIVE,
        "active.telling",
        do=(SAY_ACTIVE,),
        why="locked and armed: now the master may thaw",
    ),
    Row("lrm.active.maintain", "active.working", MAINTAINING, "maintenance.working"),
    Row("lrm.active.stop", "active.working", STOPPING & STOP_READY, "active.spawning", do=(CHOOSE_STOP,)),
    *work("active", ~STOPPING & JOB_READY),
    Row(
        "lrm.active.leave_frozen",
        "active.working",
        RESTART_ASKED & QUIET & ~WORKERS,
        "active.leaving",
        why="the freeze is acknowledged: services run on, nobody touches them",
    ),
    Row(
        "lrm.active.leave_stopped",
        "active.working",
        LEAVING_STOPPED & ALL_STOPPED & ~WORKERS,
        "active.leaving",
        why="nothing runs here: the lock is free at once and services come up elsewhere",
    ),
    Row(
        "lrm.active.leave_both",
        "active.working",
        STOPPING & POLICY_FREEZE & SETTLED & ALL_STOPPED & ~WORKERS,
        "active.leaving",
        why="a reboot: stopped here, and frozen until this node is back",
    ),
    Row("lrm.active.disarm", "active.working", DISARMING & QUIET & ~WORKERS, "active.closing"),
    Row("lrm.active.done", "active.working", ALWAYS, "active.resting"),
    Row("lrm.active.close", "active.closing", ALWAYS, "active.releasing", do=(CLOSE_WATCHDOG,)),
    Row("lrm.active.release", "active.releasing", ALWAYS, "wait.resting", do=(RELEASE_LOCK,), given=(LOCK_MINE,)),
    Row("lrm.active.leave", "active.leaving", ALWAYS, "active.left", do=(CLOSE_WATCHDOG,)),
    Row("lrm.active.exit", "active.left", ALWAYS, "exited", do=(RELEASE_LOCK,), given=(LOCK_MINE,), ends_round=True),
)

MAINTENANCE = (
    *renewal("maintenance"),
    Row("lrm.maintenance.blind", "maintenance.working", ~QUORATE, "maintenance.resting"),
    Row("lrm.maintenance.marked", "maintenance.working", FENCE_REQUESTED, "lost.resting"),
    Row("lrm.maintenance.late", "maintenance.working", ROUND_LATE, "maintenance.resting"),
    Row("lrm.maintenance.over", "maintenance.working", ~MAINTAINING, "active.working"),
    *work("maintenance", JOB_READY),
    Row(
        "lrm.maintenance.emptied",
        "maintenance.working",
        QUIET & ~WORKERS,
        "maintenance.closing",
        why="nothing runs here",
    ),
    Row("lrm.maintenance.done", "maintenance.working", ALWAYS, "maintenance.resting"),
    Row("lrm.maintenance.close", "maintenance.closing", ALWAYS, "maintenance.releasing", do=(CLOSE_WATCHDOG,)),
    Row(
        "lrm.maintenance.release",
        "maintenance.releasing",
        ALWAYS,
        "maintenance.waiting",
        do=(RELEASE_LOCK,),
        given=(LOCK_MINE,),
    ),
    Row("lrm.empty.quit", "maintenance.empty", LEAVING, "exited", ends_round=True, why="nothing is held"),
    Row("lrm.empty.blind", "maintenance.empty", ~QUORATE, "maintenance.waiting"),
    Row(
        "lrm.empty.over",
        "maintenance.empty",
        ~MAINTENANCE_ASKED | DISARM_ASKED | ACTIVE_SERVICES | FROZEN_SERVICES,
        "wait_for_agent_lock",
        why="what is next is decided where nothing is held",
    ),
    Row("lrm.empty.stay", "maintenance.empty", ALWAYS, "maintenance.waiting"),
    Row("lrm.empty.rest", "maintenance.waiting", ALWAYS, "maintenance.empty", do=(HEARTBEAT,), ends_round=True),
)

LOST = (
    Row("lrm.lost.blind", "lost_agent_lock", ~QUORATE, "lost.resting"),
    Row("lrm.lost.fenced", "lost_agent_lock", FENCE_REQUESTED, "lost.resting", why="the watchdog decides"),
    Row(
        "lrm.lost.quit",
        "lost_agent_lock",
        LEAVING & QUIET & ~WORKERS & (~FROZEN_SERVICES | RELEASE_TOLD),
        "lost.leaving",
        why="with services here that may run, or that the master may thaw, it stays, and the watchdog decides",
    ),
    Row("lrm.lost.retry", "lost_agent_lock", ALWAYS, "lost.asking"),
    Row("lrm.lost.ask", "lost.asking", ALWAYS, "lost.asked", do=(TAKE_LOCK,), given=(LOCK_AVAILABLE, NO_FENCE_MARK)),
    Row("lrm.lost.regained", "lost.asked", GRANTED, "active.fed", do=(KEEP_ALIVE,)),
    Row("lrm.lost.refused", "lost.asked", ALWAYS, "lost.resting"),
    Row("lrm.lost.exit", "lost.leaving", ALWAYS, "exited", do=(CLOSE_WATCHDOG,), ends_round=True),
    Row("lrm.lost.rest", "lost.resting", ALWAYS, "lost_agent_lock", do=(HEARTBEAT,), ends_round=True),
)

MODES = (MODE_ACTIVE, MODE_IDLE, MODE_RESTART, MODE_SHUTDOWN, MODE_MAINTENANCE, MODE_DISARM)

LRM = Table(
    "lrm",
    THEORY,
    STATES,
    (*WAIT, *ACTIVE, *MAINTENANCE, *LOST),
    assuming=(
        *(~(one & other) for i, one in enumerate(MODES) for other in MODES[i + 1 :]),
        ~(POLICY_FREEZE & POLICY_MIGRATE),
        ~(QUIET & ACTIVE_SERVICES),
        ~(QUIET & ~SETTLED),
        ~(QUORATE & RELEASE_TOLD & MODE_ACTIVE),
        ~(IDLE_LONG & (WORKERS | FROZEN_SERVICES)),
    ),
)
