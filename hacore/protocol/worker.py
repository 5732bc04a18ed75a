"""The worker's table: how one request of the manager is carried out on a node.

See :data:`THEORY`; PROTOCOL section 4, "A worker".
"""

from __future__ import annotations

from hacore.protocol.table import ALWAYS, Action, Checker, Fact, Row, Site, State, Table

THEORY = """
The LRM gives each request (a record's uid) to a worker. The worker looks at the service first and last: what it reports
is what it has seen, not what it has asked for. It never starts what the resources document places elsewhere. Its end
state is the outcome that the LRM publishes under the uid.
"""

HERE = Fact("HERE", Checker.LOCAL, "The resources document places the service on this node.")
IN_ERROR = Fact("IN_ERROR", Checker.LOCAL, "The record's state is error.")
WANT_RUNNING = Fact("WANT_RUNNING", Checker.LOCAL, "The record's state is started.")
WANT_STOPPED = Fact("WANT_STOPPED", Checker.LOCAL, "The record's state is request_stop or stopped.")
WANT_MOVED = Fact("WANT_MOVED", Checker.LOCAL, "The record's state is migrate: move it while it runs.")
WANT_BALANCED = Fact("WANT_BALANCED", Checker.LOCAL, "The record's state is request_start_balance.")
WANT_WATCHED = Fact("WANT_WATCHED", Checker.LOCAL, "The uid was executed before; look whether the service still runs.")
WANT_GUARDED = Fact("WANT_GUARDED", Checker.LOCAL, "The record's state is new: say that this LRM guards it now.")
AT_TARGET = Fact("AT_TARGET", Checker.LOCAL, "The target is this node.")
MOVE_DONE = Fact("MOVE_DONE", Checker.LOCAL, "The device says that the service runs on the target and not here.")
RETRIES_LEFT = Fact("RETRIES_LEFT", Checker.LOCAL, "Fewer starts have failed here than max_restart allows.")
RUNNING = Fact("RUNNING", Checker.DEVICE, "Something of the service runs on this node.")

START_SERVICE = Action("START_SERVICE", Site.SERVICE, "Start the service here.")
STOP_SERVICE = Action("STOP_SERVICE", Site.SERVICE, "Stop the service here, by force after its timeout.")
MOVE_SERVICE = Action("MOVE_SERVICE", Site.SERVICE, "Move the running service to the target.")

WORKER = Table(
    "worker",
    THEORY,
    (
        State("begin", "Has looked whether the service runs."),
        State("starting", "The start has been asked for."),
        State("stopping", "The stop has been asked for."),
        State("moving", "The move has been asked for."),
        State("success", "It is as requested.", final=True),
        State("retry", "The start failed; it is tried again here before the master hears of it.", final=True),
        State("failed", "The start failed, and no retry is left.", final=True),
        State("stuck", "It could not be stopped or moved.", final=True),
        State("down", "It ran before, and runs no more.", final=True),
        State("wrong_node", "It does not belong here.", final=True),
        State("ignored", "It runs here already, so it is not moved before its start.", final=True),
    ),
    (
        Row("worker.begin.error", "begin", IN_ERROR, "success", why="an operator's matter"),
        Row("worker.begin.wrong_node", "begin", ~HERE, "wrong_node"),
        Row("worker.begin.guard", "begin", WANT_GUARDED, "success", why="the LRM works only while it is guarded"),
        Row("worker.begin.watch", "begin", WANT_WATCHED & ~RUNNING, "down"),
        Row("worker.begin.runs", "begin", (WANT_RUNNING | WANT_WATCHED) & RUNNING, "success"),
        Row("worker.begin.start", "begin", WANT_RUNNING, "starting", do=(START_SERVICE,)),
        Row("worker.begin.stop", "begin", WANT_STOPPED & RUNNING, "stopping", do=(STOP_SERVICE,)),
        Row("worker.begin.arrived", "begin", AT_TARGET, "success"),
        Row("worker.begin.ignore", "begin", WANT_BALANCED & RUNNING, "ignored"),
        Row("worker.begin.move", "begin", WANT_MOVED & RUNNING, "moving", do=(MOVE_SERVICE,)),
        Row(
            "worker.begin.hand_over", "begin", RUNNING, "stopping", do=(STOP_SERVICE,), why="relocate: stop, hand over"
        ),
        Row("worker.begin.idle", "begin", ALWAYS, "success", why="it does not run here: as requested"),
        Row("worker.starting.up", "starting", RUNNING, "success"),
        Row("worker.starting.retry", "starting", RETRIES_LEFT, "retry"),
        Row("worker.starting.failed", "starting", ALWAYS, "failed"),
        Row("worker.stopping.stuck", "stopping", RUNNING, "stuck"),
        Row("worker.stopping.done", "stopping", ALWAYS, "success"),
        Row("worker.moving.done", "moving", MOVE_DONE & ~RUNNING, "success"),
        Row("worker.moving.stuck", "moving", ALWAYS, "stuck"),
    ),
)
