"""The service table: what the master does with one service's record.

See :data:`THEORY`; PROTOCOL sections 2, 5, 8 and 9.
"""

from __future__ import annotations

from hacore.protocol.table import ALWAYS, Action, Checker, Fact, Guard, Row, Site, State, Table
from hacore.protocol.vocabulary import FENCED

THEORY = """
The master keeps one record per service; in each of its rounds every record takes steps through this table until none
changes its state. All of it happens on the documents as they were just read; what comes out is written in one
transaction by the row ``crm.master.write``.

1. The record is a request to the LRM of its node, and its ``uid`` is the request's name: each change makes a new uid,
   the LRM executes a uid once and answers under it, and an answer under any other uid is not an answer.
2. A change of state keeps only node, failed_nodes and maintenance_node; everything else is what the row itself sets. A
   command lives for one round: the row that takes it, or a refusal.
3. A service leaves a node in two ways only. Either its LRM says that it no longer runs there (request_stop, migrate,
   relocate), or the node was fenced (``fence``, then ``recovery``), and the evidence of that is the node's lock, held
   for fencing, which the store checks again in the transaction that writes ``recovery``. After a live move whose source
   was fenced the service can run nowhere but on its target, so it goes there.
4. ``stopped`` means: it does not run. It is reached only by an LRM's word or from ``recovery``; so what is in ``error``
   (it may run, nobody knows) leaves through ``request_stop``.
5. ``freeze`` means: it may run unguarded on its node, and nobody touches it. The freeze carries the generation of the
   LRM's request that it acknowledges; only an LRM that is locked and armed, in mode ``active``, ends it.
6. ``new`` means: nobody has guarded it so far, and it may run. So it is not touched, and not recovered, before the LRM
   of its node has answered its uid: an LRM answers only while it is locked and armed. (The LRM's mode would not do: it
   may be the word of a life before a crash.) Nor is it frozen: to be frozen is to be thawed one day, on that mode.
7. A frozen service whose node never comes back stays frozen: no lock and no watchdog can tell whether it runs.
8. What cannot be stopped though it is disabled is tried again only after another state was requested for a while: in
   ``error`` nothing goes on by itself.
"""

WANT_STARTED = Fact("WANT_STARTED", Checker.READ, "The requested state is started.")
WANT_DISABLED = Fact("WANT_DISABLED", Checker.READ, "The requested state is disabled.")
SUCCEEDED = Fact("SUCCEEDED", Checker.READ, "The LRM answered this uid with success.")
START_FAILED = Fact("START_FAILED", Checker.READ, "The LRM answered this uid: could not be started here, or not here.")
WRONG_NODE = Fact("WRONG_NODE", Checker.READ, "The LRM answered this uid: the service is not on this node.")
WENT_DOWN = Fact("WENT_DOWN", Checker.READ, "The LRM answered this uid: it ran, and was found down.")
ANSWERED = Fact("ANSWERED", Checker.READ, "The LRM has answered this uid, in whatever way.")
NOTED = Fact("NOTED", Checker.READ, "The record already says that the service runs, and no failure is remembered.")
NODE_ONLINE = Fact("NODE_ONLINE", Checker.READ, "The service's node is online.")
NODE_LOST = Fact(
    "NODE_LOST", Checker.READ, "The service's node was last seen online longer ago than the offline delay."
)
IN_MAINTENANCE = Fact("IN_MAINTENANCE", Checker.READ, "The service's node is in maintenance.")
LRM_RESTARTS = Fact(
    "LRM_RESTARTS", Checker.READ, "The LRM of the service's node asks for release: its mode is restart."
)
LRM_ACTIVE = Fact("LRM_ACTIVE", Checker.READ, "The LRM of the service's node is in mode active: locked and armed.")
LRM_ASKS_AGAIN = Fact(
    "LRM_ASKS_AGAIN",
    Checker.READ,
    "The LRM of the service's node asks for release (mode restart or disarm), with a generation other than the "
    "record's.",
)
DISARMING = Fact("DISARMING", Checker.READ, "A disarm request is being carried out.")
REBALANCE = Fact("REBALANCE", Checker.READ, "A service that starts is placed anew first.")
ELSEWHERE = Fact("ELSEWHERE", Checker.READ, "Placement, asked anew, names another node than the service's own.")
LIVE = Fact("LIVE", Checker.READ, "The service's type can move while it runs.")
EXHAUSTED = Fact("EXHAUSTED", Checker.READ, "This failure would be one more failed node than max_relocate allows.")
ASKED_STOP = Fact("ASKED_STOP", Checker.READ, "The pending command is stop.")
ASKED_MIGRATE = Fact(
    "ASKED_MIGRATE", Checker.READ, "The pending command is migrate, to an online node other than its own."
)
ASKED_RELOCATE = Fact(
    "ASKED_RELOCATE", Checker.READ, "The pending command is relocate, to an online node other than its own."
)
MOVED = Fact("MOVED", Checker.READ, "The resources document places the service on another node than the record does.")
MOVED_LIVE = Fact(
    "MOVED_LIVE", Checker.READ, "The record still names the target of a live move, so it may run there by now."
)
PLACE_FOUND = Fact("PLACE_FOUND", Checker.READ, "Placement finds a node for the service.")
BLOCKED_TOLD = Fact(
    "BLOCKED_TOLD", Checker.READ, "The record says that people know: no node was found for the service."
)
STOP_TRIED = Fact(
    "STOP_TRIED", Checker.READ, "The record says that the service, though disabled, could not be stopped."
)

SET_TARGET = Action("SET_TARGET", Site.LOCAL, "The record's target is the node that placement names.")
TAKE_COMMAND = Action(
    "TAKE_COMMAND", Site.LOCAL, "The target and the timeout are the pending command's; it is done with."
)
WANT_STOP = Action("WANT_STOP", Site.LOCAL, "The requested state becomes stopped.")
ARRIVE = Action(
    "ARRIVE", Site.LOCAL, "The service's node is the target now, in the record and in the resources document."
)
KEEP_TARGET = Action("KEEP_TARGET", Site.LOCAL, "The record keeps its target.")
STEAL = Action("STEAL", Site.LOCAL, "The service's node is the one found, in the record and in the resources document.")
FOLLOW = Action("FOLLOW", Site.LOCAL, "The record's node is the one that the resources document names.")
NOTE_RUNNING = Action("NOTE_RUNNING", Site.LOCAL, "The record says that the service runs; failures are forgotten.")
NOTE_FAILURE = Action("NOTE_FAILURE", Site.LOCAL, "The node is added to the record's failed nodes.")
FORGET_FAILURES = Action("FORGET_FAILURES", Site.LOCAL, "The record's failed nodes are forgotten.")
NEW_UID = Action("NEW_UID", Site.LOCAL, "The record has a new uid, and no longer says that the service runs.")
ACKNOWLEDGE = Action("ACKNOWLEDGE", Site.LOCAL, "The record carries the generation that its LRM published.")
TELL_BLOCKED = Action("TELL_BLOCKED", Site.LOCAL, "People are told that no node was found for the service.")
NOTE_BLOCKED = Action("NOTE_BLOCKED", Site.LOCAL, "The record says that people know it.")
NOTE_TRIED = Action(
    "NOTE_TRIED", Site.LOCAL, "The record says that the service, though disabled, could not be stopped."
)
FORGET_TRIED = Action("FORGET_TRIED", Site.LOCAL, "The record no longer says so: it may be tried again.")
NOTE_HOME = Action("NOTE_HOME", Site.LOCAL, "The record remembers the node in maintenance as the one to return to.")

GUARDED = LRM_ACTIVE & ~NODE_LOST
"""The LRM's word, and a sign of life from its node: else what it guards would be taken for lost at once."""

TAKEN_ON = SUCCEEDED & ~NODE_LOST
"""The LRM's answer to a record in ``new``: from now on it guards the service."""

STATES = (
    State("new", "Just configured: it may run unguarded, so the LRM of its node must guard it first."),
    State("request_start", "Does not run, and is to be started: where?"),
    State("request_start_balance", "To be started, on its way to a better node."),
    State("started", "Shall run on its node."),
    State("request_stop", "Shall be stopped on its node."),
    State("stopped", "Does not run."),
    State("migrate", "Moves to the target while it runs."),
    State("relocate", "Is stopped, and moves to the target."),
    State("freeze", "Nobody touches it: its LRM restarts, or the cluster is disarmed."),
    State("fence", "Its node is lost: waits until that node is fenced."),
    State("recovery", "Its node was fenced: waits for a new one."),
    State("error", "Nobody touches it until an operator disables it."),
)


def way(state: str, name: str, guard: Guard, *do: Action, why: str = "") -> tuple[Row, Row]:
    """Two rows: on to ``started`` if that is requested, else to ``request_stop``."""
    return (
        Row(f"service.{state}.{name}", state, guard & WANT_STARTED, "started", do=do, why=why),
        Row(f"service.{state}.{name}_stop", state, guard, "request_stop", do=do, why=why),
    )


def moving(state: str) -> tuple[Row, ...]:
    """A service on its way: the source's LRM says how it went."""
    return (
        *way(state, "done", SUCCEEDED, ARRIVE, why="the source says that it no longer runs there"),
        Row(f"service.{state}.wrong_node", state, WRONG_NODE, "error", why="where it runs is not known"),
        *way(state, "failed", ANSWERED, why="it stays where it is"),
        Row(f"service.{state}.lost", state, NODE_LOST, "fence", do=(KEEP_TARGET,) if state == "migrate" else ()),
        Row(f"service.{state}.wait", state, ALWAYS, state),
    )


def commanded(state: str) -> tuple[Row, ...]:
    """A pending command to move."""
    return (
        Row(f"service.{state}.migrate", state, ASKED_MIGRATE & LIVE, "migrate", do=(TAKE_COMMAND,)),
        Row(f"service.{state}.relocate", state, ASKED_MIGRATE | ASKED_RELOCATE, "relocate", do=(TAKE_COMMAND,)),
    )


START = (
    Row(
        "service.new.balance",
        "new",
        TAKEN_ON & WANT_STARTED & REBALANCE & ELSEWHERE,
        "request_start_balance",
        do=(SET_TARGET,),
        why="if it runs already, it stays",
    ),
    Row(
        "service.new.start",
        "new",
        TAKEN_ON & WANT_STARTED,
        "started",
        why="from here on it is guarded; request_start would say that it does not run",
    ),
    Row("service.new.stop", "new", TAKEN_ON, "request_stop"),
    Row("service.new.wait", "new", ALWAYS, "new", why="if its node is lost, nobody can tell whether it runs there"),
    Row("service.request_start.disarm", "request_start", DISARMING, "freeze", do=(ACKNOWLEDGE,)),
    Row(
        "service.request_start.balance",
        "request_start",
        REBALANCE & ELSEWHERE,
        "request_start_balance",
        do=(SET_TARGET,),
    ),
    Row("service.request_start.go", "request_start", ALWAYS, "started"),
    Row("service.request_start_balance.disarm", "request_start_balance", DISARMING, "freeze", do=(ACKNOWLEDGE,)),
    *moving("request_start_balance"),
)

STARTED = (
    Row("service.started.lost", "started", NODE_LOST, "fence"),
    Row("service.started.disarm", "started", DISARMING, "freeze", do=(ACKNOWLEDGE,)),
    Row("service.started.away", "started", ~NODE_ONLINE & ~IN_MAINTENANCE, "started", why="it may come back in time"),
    Row("service.started.stop", "started", ~WANT_STARTED, "request_stop"),
    *commanded("started"),
    Row("service.started.command_stop", "started", ASKED_STOP, "request_stop", do=(TAKE_COMMAND, WANT_STOP)),
    Row(
        "service.started.freeze",
        "started",
        LRM_RESTARTS,
        "freeze",
        do=(ACKNOWLEDGE,),
        why="the answer to the LRM's request for release",
    ),
    Row("service.started.give_up", "started", START_FAILED & EXHAUSTED, "error", do=(NOTE_FAILURE,)),
    Row(
        "service.started.flee",
        "started",
        START_FAILED & ELSEWHERE,
        "relocate",
        do=(NOTE_FAILURE, SET_TARGET),
        why="it does not run, so it cannot move live",
    ),
    Row("service.started.retry", "started", START_FAILED, "started", do=(NOTE_FAILURE, NEW_UID)),
    Row("service.started.down", "started", WENT_DOWN, "started", do=(NEW_UID,), why="the LRM starts it afresh"),
    Row("service.started.error", "started", ANSWERED & ~SUCCEEDED, "error"),
    Row("service.started.note", "started", SUCCEEDED & ~NOTED, "started", do=(NOTE_RUNNING,)),
    Row(
        "service.started.away_live",
        "started",
        ELSEWHERE & LIVE & IN_MAINTENANCE,
        "migrate",
        do=(NOTE_HOME, SET_TARGET),
    ),
    Row("service.started.away_down", "started", ELSEWHERE & IN_MAINTENANCE, "relocate", do=(NOTE_HOME, SET_TARGET)),
    Row("service.started.move_live", "started", ELSEWHERE & LIVE, "migrate", do=(SET_TARGET,)),
    Row("service.started.move", "started", ELSEWHERE, "relocate", do=(SET_TARGET,)),
    Row("service.started.stay", "started", ALWAYS, "started"),
)

STOP = (
    Row("service.request_stop.done", "request_stop", SUCCEEDED, "stopped", why="its LRM says that it does not run"),
    Row(
        "service.request_stop.stuck",
        "request_stop",
        ANSWERED & WANT_DISABLED,
        "error",
        do=(NOTE_TRIED,),
        why="else error and request_stop would follow each other without a pause",
    ),
    Row("service.request_stop.failed", "request_stop", ANSWERED, "error"),
    Row("service.request_stop.lost", "request_stop", NODE_LOST, "fence"),
    Row("service.request_stop.freeze", "request_stop", DISARMING | LRM_RESTARTS, "freeze", do=(ACKNOWLEDGE,)),
    Row("service.request_stop.wait", "request_stop", ALWAYS, "request_stop"),
    Row(
        "service.stopped.follow",
        "stopped",
        MOVED,
        "stopped",
        do=(FOLLOW, NEW_UID),
        why="it does not run: any node will do",
    ),
    Row("service.stopped.disarm", "stopped", DISARMING, "freeze", do=(ACKNOWLEDGE,)),
    *commanded("stopped"),
    Row("service.stopped.disabled", "stopped", WANT_DISABLED, "stopped"),
    Row("service.stopped.lost", "stopped", NODE_LOST & ~IN_MAINTENANCE, "fence"),
    Row("service.stopped.start", "stopped", WANT_STARTED, "request_start"),
    Row("service.stopped.freeze", "stopped", LRM_RESTARTS, "freeze", do=(ACKNOWLEDGE,)),
    Row("service.stopped.stay", "stopped", ALWAYS, "stopped"),
)

MOVE = (*moving("migrate"), *moving("relocate"))

FREEZE = (
    Row(
        "service.freeze.acknowledge",
        "freeze",
        LRM_ASKS_AGAIN,
        "freeze",
        do=(ACKNOWLEDGE, NEW_UID),
        why="each request for release is answered by its own generation",
    ),
    *way("freeze", "thaw", GUARDED & ~DISARMING, why="its LRM is locked and armed again"),
    Row("service.freeze.stay", "freeze", ALWAYS, "freeze"),
)

FENCE = (
    *way(
        "fence",
        "moved",
        FENCED & MOVED_LIVE,
        ARRIVE,
        why="its source runs it no more; if it runs at all, then on its target",
    ),
    Row("service.fence.fenced", "fence", FENCED, "recovery", why="whatever ran on that node runs no more"),
    Row("service.fence.wait", "fence", ALWAYS, "fence"),
    Row("service.recovery.start", "recovery", PLACE_FOUND & WANT_STARTED, "started", do=(STEAL,)),
    Row("service.recovery.stop", "recovery", PLACE_FOUND, "request_stop", do=(STEAL,)),
    Row("service.recovery.disabled", "recovery", WANT_DISABLED, "stopped"),
    Row("service.recovery.blocked", "recovery", ~BLOCKED_TOLD, "recovery", do=(TELL_BLOCKED, NOTE_BLOCKED)),
    Row("service.recovery.wait", "recovery", ALWAYS, "recovery", why="no node will have it now: look again next round"),
)

ERROR = (
    Row(
        "service.error.disabled",
        "error",
        WANT_DISABLED & ~STOP_TRIED,
        "request_stop",
        do=(FORGET_FAILURES,),
        why="it may run: its LRM must say that it does not",
    ),
    Row("service.error.changed", "error", STOP_TRIED & ~WANT_DISABLED, "error", do=(FORGET_TRIED,)),
    Row("service.error.stay", "error", ALWAYS, "error"),
)

SERVICE = Table(
    "service",
    THEORY,
    STATES,
    (*START, *STARTED, *STOP, *MOVE, *FREEZE, *FENCE, *ERROR),
    assuming=(
        ~(WANT_STARTED & WANT_DISABLED),
        ~(SUCCEEDED & (START_FAILED | WENT_DOWN)),
        ~(START_FAILED & WENT_DOWN),
        ~(WRONG_NODE & ~START_FAILED),
        ~((SUCCEEDED | START_FAILED | WENT_DOWN) & ~ANSWERED),
        ~(ASKED_STOP & (ASKED_MIGRATE | ASKED_RELOCATE)),
        ~(ASKED_MIGRATE & ASKED_RELOCATE),
        ~(NODE_LOST & NODE_ONLINE),
        ~(NODE_ONLINE & IN_MAINTENANCE),
        ~(LRM_ACTIVE & (LRM_RESTARTS | LRM_ASKS_AGAIN)),
    ),
)
