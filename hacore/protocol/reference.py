"""The reference variant: the published behaviour of the reference manager, as substitutions of rows (PROTOCOL).

It serves two ends only: scenarios recorded from the reference are followed event for event (``hacore sim run --profile
reference``), and where the reference is weaker than hacore's own protocol (PROTOCOL section 11), the difference stands
here as data. No daemon knows that there is such a variant; nothing here runs on a node.

The reference decides in two halves: first the state changes, then the work of the state that was reached. Where hacore
does both in one row, the variant has a phase between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from hacore.protocol import crm, disarm, lrm, node, service, worker
from hacore.protocol.table import ALWAYS, Action, Checker, Fact, Guard, Row, Site, State, Table
from hacore.protocol.tables import TABLES
from hacore.protocol.timing import Timing
from hacore.protocol.vocabulary import GRANTED, MAINTENANCE_ASKED, QUORATE, RESTART_ASKED, SHUTDOWN_ASKED

# ------------------------------------------------------------------------------------ what only the reference asks
BUSY = Fact(
    "BUSY",
    Checker.READ,
    "A record whose node or target is this node is in a state other than stopped, freeze, request_start and error.",
)
DISARM_WANTED = Fact("DISARM_WANTED", Checker.READ, "The manager status holds a disarm request, be it deferred.")
STOP_UNTRIED = Fact("STOP_UNTRIED", Checker.READ, "A service here was not yet asked to stop for the shutdown.")
ANY_JOB_READY = Fact(
    "ANY_JOB_READY", Checker.READ, "A record of this node asks for a worker, be it for a move to where nobody guards."
)
AGAIN = Fact("AGAIN", Checker.READ, "The nodes were looked at in this round already.")
JUST_FENCED = Fact("JUST_FENCED", Checker.READ, "The service's node was marked, and its lock is held for fencing.")
ALL_SAY_DISARM = Fact("ALL_SAY_DISARM", Checker.READ, "Every online node's LRM has published mode disarm.")
DEFERRED = Fact("DEFERRED", Checker.READ, "A disarm request waits until what is on its way is finished.")
IGNORING = Fact("IGNORING", Checker.READ, "The cluster is disarmed in mode ignore: services are the operators' affair.")
COMMANDED = Fact("COMMANDED", Checker.READ, "A command for this service is pending, whether or not it makes sense.")
IS_HOME = Fact("IS_HOME", Checker.READ, "The service is on the node to which it was to return after maintenance.")

CHOOSE_ANY_JOB = Action("CHOOSE_ANY_JOB", Site.LOCAL, "Note the job that has waited longest, whatever it is.")
KEEP_COMMAND = Action("KEEP_COMMAND", Site.LOCAL, "The pending command stays in the record for the next round.")
DROP_COMMAND = Action("DROP_COMMAND", Site.LOCAL, "The pending command is dropped.")
QUIETLY = Action("QUIETLY", Site.LOCAL, "People are not told of this change of state.")
RENEW_UID = Action("RENEW_UID", Site.LOCAL, "The record has a new uid, and is otherwise as it was.")
FORGET_HOME = Action("FORGET_HOME", Site.LOCAL, "The record no longer names a node to return to.")
DROP_HOME = Action(
    "DROP_HOME", Site.LOCAL, "Unless the service leaves that node just now, the record names no node to return to."
)
TELL_PLACE = Action("TELL_PLACE", Site.LOCAL, "People are told which node was selected for the start.")
TELL_BLOCKED = Action("TELL_BLOCKED", Site.LOCAL, "People are told that no node was found for the service.")
TELL = Action("TELL", Site.LOCAL, "People are told what was seen, if nothing was written in this round.")
FORGET_SIGHTINGS = Action("FORGET_SIGHTINGS", Site.LOCAL, "Who is not online is taken to have been seen just now.")

LEAVING = RESTART_ASKED | SHUTDOWN_ASKED
EMPTYING = lrm.LEAVING_EMPTY | (LEAVING & lrm.MODE_MAINTENANCE) | (~LEAVING & MAINTENANCE_ASKED)
DISARMING = ~LEAVING & ~MAINTENANCE_ASKED & DISARM_WANTED
UNASKED = ~LEAVING & ~MAINTENANCE_ASKED & ~DISARM_WANTED


def _moved(table: Table, row_id: str, **changes: object) -> Row:
    """A row of hacore's own table, changed."""
    return replace(table.by_id[row_id], **changes)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------- the CRM
# It hears a stop request only after it has tried for the lock, a lost lock ends the round, and a new master begins anew
# to count how long nodes have not been seen (PROTOCOL section 11 point 9).

CRM = crm.CRM.substituted(
    {
        "crm.wait.quit": (),
        "crm.slave.quit": (),
        "crm.wait.rest": (
            Row("crm.wait.quit", "wait.resting", LEAVING, "exited", ends_round=True),
            crm.CRM.by_id["crm.wait.rest"],
        ),
        "crm.slave.rest": (
            Row("crm.slave.quit", "slave.resting", LEAVING, "exited", ends_round=True),
            crm.CRM.by_id["crm.slave.rest"],
        ),
        "crm.wait.elected": _moved(crm.CRM, "crm.wait.elected", target="master.asked", do=(FORGET_SIGHTINGS,)),
        "crm.slave.elected": _moved(crm.CRM, "crm.slave.elected", target="master.asked", do=(FORGET_SIGHTINGS,)),
        "crm.master.quit": (),
        "crm.master.confirmed": (
            _moved(crm.CRM, "crm.master.quit", state="master.asked", guard=GRANTED & LEAVING),
            crm.CRM.by_id["crm.master.confirmed"],
        ),
        "crm.master.fence": _moved(crm.CRM, "crm.master.fence", do=(TELL, crm.CHOOSE_NODE)),
        "crm.master.done": _moved(crm.CRM, "crm.master.done", do=(TELL,)),
        "crm.lost.forget": _moved(crm.CRM, "crm.lost.forget", target="wait.resting"),
    }
)

# ---------------------------------------------------------------------------------------------------------- the LRM
# It publishes its mode before it holds lock and watchdog (11.4), knows no generations (11.5), does not guard what is in
# error, lets go for a disarm before anything is frozen, and leaves a shutdown with failed stops to the watchdog.

_LRM_STATES = (
    State("wait.told", "The store has answered, or not, whether the mode is published.", "wait_for_agent_lock"),
    State("wait.ending", "The state stays: is this the last round?", "wait_for_agent_lock"),
    State("active.checking", "Locked and armed: shall it stay active?", "active"),
    State("active.armed", "Just locked: the multiplexer has answered.", "active"),
    State("maintenance.checking", "Holds neither lock nor watchdog: is there anything to guard?", "maintenance"),
    State("maintenance.arming", "Needed: about to open the watchdog.", "maintenance"),
    State("maintenance.armed", "The multiplexer has answered.", "maintenance"),
    State("maintenance.taken", "The store has answered, or not, whether the lock is ours.", "maintenance"),
    State("maintenance.leaving", "Nothing is held: is this the last round?", "maintenance"),
    State("back.arming", "Maintenance is over: about to open the watchdog.", "maintenance"),
    State("back.armed", "The multiplexer has answered.", "maintenance"),
    State("back.taken", "The store has answered, or not, whether the lock is ours.", "maintenance"),
    State("lost.working", "Not locked: may it leave?", "lost_agent_lock"),
)


def _guarding(prefix: str, name: str, granted: str, refused: str) -> tuple[Row, ...]:
    """Take lock and watchdog from maintenance."""
    arming, armed, taken = (f"{prefix}.{phase}" for phase in ("arming", "armed", "taken"))
    return (
        Row(f"lrm.{name}.arm", arming, ALWAYS, armed, do=(lrm.OPEN_WATCHDOG,)),
        _moved(lrm.LRM, "lrm.wait.ask", id=f"lrm.{name}.ask", state=armed, target=taken),
        Row(f"lrm.{name}.unarmed", armed, ALWAYS, refused),
        Row(f"lrm.{name}.granted", taken, GRANTED, granted, do=(lrm.KEEP_ALIVE,)),
        Row(f"lrm.{name}.refused", taken, ALWAYS, refused, do=(lrm.CLOSE_WATCHDOG,)),
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
    return _moved(lrm.LRM, f"lrm.{of}.job", guard=guard & ANY_JOB_READY, do=(CHOOSE_ANY_JOB,))


LRM = lrm.LRM.substituted(
    {
        "lrm.wait.quit": (),
        "lrm.wait.blind": Row("lrm.wait.blind", "wait_for_agent_lock", ~QUORATE, "wait.ending"),
        "lrm.wait.say_disarm": _says("wait", "wait_for_agent_lock", "wait.telling"),
        "lrm.wait.left": (),
        "lrm.wait.disarmed": _moved(lrm.LRM, "lrm.wait.disarmed", guard=DISARMING, target="wait.ending"),
        "lrm.wait.fenced": _moved(lrm.LRM, "lrm.wait.fenced", target="wait.ending"),
        "lrm.wait.needed": _moved(lrm.LRM, "lrm.wait.needed", guard=BUSY),
        "lrm.wait.say_maintenance": (),
        "lrm.wait.maintenance": (),
        "lrm.wait.say_idle": (),
        "lrm.wait.idle": _moved(lrm.LRM, "lrm.wait.idle", target="wait.ending"),
        "lrm.wait.tell": (
            _moved(lrm.LRM, "lrm.wait.tell", target="wait.told"),
            Row("lrm.wait.told", "wait.told", GRANTED, "wait_for_agent_lock"),
            Row("lrm.wait.untold", "wait.told", ALWAYS, "wait.ending"),
        ),
        "lrm.wait.free": (),
        "lrm.wait.unarmed": _moved(lrm.LRM, "lrm.wait.unarmed", target="wait.ending"),
        "lrm.wait.granted": _moved(lrm.LRM, "lrm.wait.granted", target="active.armed"),
        "lrm.wait.refused": _moved(lrm.LRM, "lrm.wait.refused", target="wait.ending"),
        "lrm.wait.rest": (
            Row("lrm.wait.quit", "wait.ending", LEAVING, "exited", ends_round=True),
            Row("lrm.wait.stay", "wait.ending", ALWAYS, "wait.resting"),
            lrm.LRM.by_id["lrm.wait.rest"],
        ),
        "lrm.active.fenced": _moved(lrm.LRM, "lrm.active.fenced", target="lost.working"),
        "lrm.active.unconfirmed": _moved(lrm.LRM, "lrm.active.unconfirmed", target="lost.working"),
        "lrm.active.guarded": (
            _moved(lrm.LRM, "lrm.active.guarded", target="active.checking"),
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
            _moved(lrm.LRM, "lrm.active.stop", guard=lrm.STOPPING & STOP_UNTRIED),
        ),
        "lrm.active.job": _job("active", ~LEAVING),
        "lrm.maintenance.job": _job("maintenance", QUORATE),
        "lrm.active.leave_frozen": _moved(
            lrm.LRM, "lrm.active.leave_frozen", guard=lrm.LEAVING_FROZEN & ~BUSY & ~lrm.WORKERS
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
        "lrm.active.release": _moved(lrm.LRM, "lrm.active.release", target="wait_for_agent_lock"),
        "lrm.maintenance.renew": (
            Row("lrm.maintenance.disarm", "maintenance", DISARMING & ~BUSY & ~lrm.WORKERS, "active.closing"),
            lrm.LRM.by_id["lrm.maintenance.renew"],
        ),
        "lrm.maintenance.fenced": _moved(lrm.LRM, "lrm.maintenance.fenced", target="lost.working"),
        "lrm.maintenance.unconfirmed": _moved(lrm.LRM, "lrm.maintenance.unconfirmed", target="lost.working"),
        "lrm.maintenance.guarded": (
            lrm.LRM.by_id["lrm.maintenance.guarded"],
            *_says("maintenance", "maintenance.working", "maintenance.telling"),
        ),
        "lrm.maintenance.over": Row(
            "lrm.maintenance.over", "maintenance.working", ~EMPTYING & ~BUSY & ~lrm.WORKERS, "active.working"
        ),
        "lrm.maintenance.emptied": _moved(lrm.LRM, "lrm.maintenance.emptied", guard=~BUSY & ~lrm.WORKERS),
        "lrm.maintenance.release": _moved(lrm.LRM, "lrm.maintenance.release", target="maintenance.leaving"),
        "lrm.empty.quit": (
            Row("lrm.empty.quit", "maintenance.leaving", LEAVING, "exited", ends_round=True),
            Row("lrm.empty.wait", "maintenance.leaving", ALWAYS, "maintenance.waiting"),
        ),
        "lrm.empty.blind": _moved(lrm.LRM, "lrm.empty.blind", target="maintenance.leaving"),
        "lrm.empty.over": (
            *_says("empty", "maintenance.empty", "maintenance.reporting"),
            Row("lrm.empty.fenced", "maintenance.empty", lrm.FENCE_REQUESTED, "lost.working"),
            Row("lrm.empty.disarm", "maintenance.empty", DISARMING & ~BUSY, "wait_for_agent_lock"),
            Row("lrm.empty.needed", "maintenance.empty", BUSY, "maintenance.arming"),
            Row("lrm.empty.over", "maintenance.empty", ~EMPTYING, "back.arming"),
        ),
        "lrm.empty.stay": (
            Row("lrm.empty.stay", "maintenance.empty", ALWAYS, "maintenance.leaving"),
            _moved(
                lrm.LRM,
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
        "lrm.lost.blind": _moved(lrm.LRM, "lrm.lost.blind", target="lost.working"),
        "lrm.lost.fenced": _moved(lrm.LRM, "lrm.lost.fenced", target="lost.working"),
        "lrm.lost.quit": Row("lrm.lost.quit", "lost.working", LEAVING & ~BUSY, "lost.leaving"),
        "lrm.lost.regained": _moved(lrm.LRM, "lrm.lost.regained", target="active.armed"),
        "lrm.lost.refused": (
            _moved(lrm.LRM, "lrm.lost.refused", target="lost.working"),
            Row("lrm.lost.stay", "lost.working", ALWAYS, "lost.resting"),
        ),
    },
    *_LRM_STATES,
    State("maintenance.reporting", "About to publish a mode.", "maintenance"),
    State("maintenance.reported", "The store has answered, or not, whether it is published.", "maintenance"),
)

# ------------------------------------------------------------------------------------------------------ the services
# A new service is started at once, guarded or not. Whatever a step leads to, an LRM that restarts has it frozen. A node
# in maintenance that is lost has its services moved, not fenced. A started service has a new uid after each answer.

_ENTERED = ("started", "request_stop", "stopped")
_UNSETTLED = frozenset({"fence", "recovery", "migrate", "relocate"})
_FREEZABLE = frozenset({"started", "stopped", "request_stop", "request_start", "request_start_balance"})
_SERVICE_STATES = (
    State("new", "Just configured.", "request_start"),
    *(State(f"{state}.entered", "Is its LRM restarting?", state) for state in _ENTERED),
    State("started.onward", "Its node is online, or in maintenance.", "started"),
    State("fence.onward", "Its node was in maintenance, and is lost.", "fence"),
    State("stopped.onward", "It is where the resources document says.", "stopped"),
)


def _row(state: str, name: str, guard: Guard, target: str, *do: Action) -> Row:
    return Row(f"service.{state}.{name}", state, guard, target, do=do)


def _onward(state: str, stay: str) -> tuple[Row, ...]:
    """What a started service comes to on a node that will do for now."""
    live, succeeded, failed = service.LIVE, service.SUCCEEDED, service.START_FAILED
    elsewhere, go = service.ELSEWHERE, (service.SET_TARGET, DROP_HOME)
    return (
        _row(state, "stop", ~service.WANT_STARTED, "request_stop"),
        _row(state, "migrate", service.ASKED_MIGRATE, "migrate", service.TAKE_COMMAND),
        _row(state, "relocate", service.ASKED_RELOCATE, "relocate", service.TAKE_COMMAND),
        _row(state, "command_stop", service.ASKED_STOP, "request_stop", service.TAKE_COMMAND, service.WANT_STOP),
        _row(state, "dropped", COMMANDED, stay, DROP_COMMAND),
        _row(state, "give_up", failed & service.EXHAUSTED, "error", service.NOTE_FAILURE),
        _row(state, "flee_live", failed & elsewhere & live, "migrate", service.NOTE_FAILURE, *go),
        _row(state, "flee", failed & elsewhere, "relocate", service.NOTE_FAILURE, *go),
        _row(state, "retry", failed, stay, service.NOTE_FAILURE, service.NEW_UID),
        _row(state, "error", service.ANSWERED & ~succeeded, "error"),
        _row(state, "moved_live", succeeded & elsewhere & live, "migrate", service.FORGET_FAILURES, *go),
        _row(state, "moved", succeeded & elsewhere, "relocate", service.FORGET_FAILURES, *go),
        _row(state, "move_live", elsewhere & live, "migrate", *go),
        _row(state, "move", elsewhere, "relocate", *go),
        _row(state, "renew", succeeded, stay, service.NOTE_RUNNING, RENEW_UID),
        _row(state, "stay", ALWAYS, stay),
    )


def _moving(state: str) -> tuple[Row, ...]:
    """hacore's rows, except that a lost source is fenced and nothing is known of a target."""
    answered = (row for row in service.moving(state) if row.id.rpartition(".")[2] not in {"lost", "wait"})
    return (*answered, _row(state, "lost", service.NODE_LOST, "fence"), _row(state, "wait", ALWAYS, state))


_SERVICE: Mapping[str, tuple[Row, ...]] = {
    "new": (
        _row("new", "start", service.WANT_STARTED, "request_start"),
        _row("new", "stop", ALWAYS, "request_stop", QUIETLY),
    ),
    "request_start": (
        _row(
            "request_start",
            "balance",
            service.REBALANCE & service.ELSEWHERE,
            "request_start_balance",
            service.SET_TARGET,
            TELL_PLACE,
        ),
        _row("request_start", "selected", service.REBALANCE, "started", TELL_PLACE),
        _row("request_start", "go", ALWAYS, "started"),
    ),
    "request_start_balance": _moving("request_start_balance"),
    "migrate": _moving("migrate"),
    "relocate": _moving("relocate"),
    "started": (
        _row(
            "started", "lost_maintained", service.NODE_LOST & service.IN_MAINTENANCE, "fence.onward", service.NOTE_HOME
        ),
        _row("started", "lost", service.NODE_LOST, "fence"),
        _row("started", "away", ~service.NODE_ONLINE & ~service.IN_MAINTENANCE, "started", KEEP_COMMAND),
        _row("started", "maintained", service.IN_MAINTENANCE, "started.onward", service.NOTE_HOME),
        _row("started", "home", IS_HOME, "started.onward", FORGET_HOME),
        _row("started", "online", ALWAYS, "started.onward"),
    ),
    "started.onward": _onward("started.onward", "started"),
    "fence.onward": _onward("fence.onward", "fence"),
    "request_stop": (
        _row("request_stop", "done", service.SUCCEEDED, "stopped"),
        _row("request_stop", "failed", service.ANSWERED, "error"),
        _row("request_stop", "lost", service.NODE_LOST, "fence"),
        _row("request_stop", "wait", ALWAYS, "request_stop"),
    ),
    "stopped": (
        _row("stopped", "follow", service.MOVED, "stopped.onward", service.FOLLOW),
        _row("stopped", "there", ALWAYS, "stopped.onward"),
    ),
    "stopped.onward": (
        _row("stopped.onward", "migrate", service.ASKED_MIGRATE, "migrate", service.TAKE_COMMAND),
        _row("stopped.onward", "relocate", service.ASKED_RELOCATE, "relocate", service.TAKE_COMMAND),
        _row("stopped.onward", "disabled", service.WANT_DISABLED, "stopped"),
        _row("stopped.onward", "lost", service.NODE_LOST & ~service.IN_MAINTENANCE, "fence"),
        _row("stopped.onward", "start", service.WANT_STARTED, "request_start"),
        _row("stopped.onward", "stay", ALWAYS, "stopped"),
    ),
    "freeze": (
        *service.way("freeze", "thaw", service.LRM_ACTIVE),
        _row("freeze", "stay", ALWAYS, "freeze"),
    ),
    "fence": (
        _row("fence", "fenced", JUST_FENCED, "recovery"),
        _row("fence", "wait", ALWAYS, "fence"),
    ),
    "recovery": (
        *service.way("recovery", "found", service.PLACE_FOUND, service.STEAL),
        _row("recovery", "disabled", service.WANT_DISABLED, "stopped", TELL_BLOCKED, service.FORGET_FAILURES),
        _row("recovery", "blocked", ALWAYS, "recovery", TELL_BLOCKED),
    ),
    "error": (
        _row("error", "disabled", service.WANT_DISABLED, "stopped", service.FORGET_FAILURES),
        _row("error", "stay", ALWAYS, "error"),
    ),
}


def _disarmed(state: str) -> Iterator[Row]:
    """While a disarm is deferred only what is on its way goes on; then all is frozen, or left to the operators."""
    stays = (KEEP_COMMAND,) if state in {"started", "stopped"} else ()
    if state not in _UNSETTLED:
        yield _row(state, "deferred", DEFERRED, state, *stays)
    yield _row(state, "ignored", IGNORING, state)
    if state in _FREEZABLE:
        yield _row(state, "disarm", service.DISARMING, "freeze", QUIETLY)
    elif state not in _UNSETTLED:
        yield _row(state, "disarm", service.DISARMING, state)


def _service_rows() -> Iterator[Row]:
    for state, rows in _SERVICE.items():
        if "." not in state and state != "new":
            yield from _disarmed(state)
        for row in rows:
            yield replace(row, target=f"{row.target}.entered") if row.target in _ENTERED else row
    for state in _ENTERED:
        yield _row(f"{state}.entered", "freeze", service.LRM_RESTARTS, "freeze", service.ACKNOWLEDGE)
        yield _row(f"{state}.entered", "stay", ALWAYS, state)


SERVICE = replace(
    service.SERVICE,
    rows=tuple(_service_rows()),
    states=tuple({state.name: state for state in (*service.SERVICE.states, *_SERVICE_STATES)}.values()),
)

# ------------------------------------------------------------------------------------------- nodes, disarm, workers
# A lock taken for fencing is left to expire (so a node that was fenced is taken for fenced again while it stands); a
# cluster counts as disarmed when all LRMs say so; a move is one call, which stops the service itself if need be.

NODE = node.NODE.substituted(
    {
        **{
            f"node.{state}.fence": _moved(node.NODE, f"node.{state}.fence", guard=node.SERVICES_IN_FENCE)
            for state in ("unknown", "online", "maintenance", "gone")
        },
        **{
            f"node.{row}": _moved(node.NODE, f"node.{row}", guard=guard & ~AGAIN)
            for row, guard in (
                ("unknown.online", node.ONLINE),
                ("online.maintenance", node.ONLINE & node.LRM_MAINTENANCE),
                ("maintenance.back", node.ONLINE & ~node.LRM_MAINTENANCE),
            )
        },
        "node.fence.done": _moved(node.NODE, "node.fence.done", do=()),
    }
)
DISARM = disarm.DISARM.substituted(
    {
        "disarm.deferred.go": _moved(disarm.DISARM, "disarm.deferred.go", guard=~disarm.UNSETTLED & ~AGAIN),
        "disarm.disarming.done": _moved(disarm.DISARM, "disarm.disarming.done", guard=ALL_SAY_DISARM),
    }
)
WORKER = worker.WORKER.substituted(
    {
        "worker.begin.guard": (),
        "worker.begin.watch": _moved(worker.WORKER, "worker.begin.watch", target="success"),
        "worker.begin.arrived": (
            Row("worker.begin.stopped", "begin", worker.WANT_STOPPED, "success"),
            worker.WORKER.by_id["worker.begin.arrived"],
        ),
        "worker.begin.move": _moved(worker.WORKER, "worker.begin.move", guard=ALWAYS),
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
