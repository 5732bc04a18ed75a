"""The state of the closed model: what is the case on each node, in the store, and in each daemon's memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hacore.protocol.table import Table
from model_check.expr import TRUE, Expr, Type, any_of
from model_check.lang import BOOL, Context, Count, Domain, Duration, Enum, Field, Ref, Timer, some
from model_check.world.slices import Slice

MODES = ("idle", "active", "restart", "shutdown", "maintenance", "disarm")
RELEASES = ("restart", "disarm")
"""Modes that ask for release: each time with a new generation."""
JOBS = ("start", "guard", "stop", "watch", "balance", "relocate", "migrate", "halt")
OUTCOMES = ("success", "failed", "wrong_node", "down", "stuck", "ignored")
PLANNED = ("service", "node", "disarm")
"""The tables whose rows a master plans and then writes."""


@dataclass(frozen=True)
class Dimensions:
    """The domains of a world, and its durations."""

    node: Domain
    service: Domain
    manager: Domain
    watchdog: Duration
    reset: Duration
    lock: Duration

    @classmethod
    def of(cls, slice_: Slice) -> Dimensions:
        return cls(
            Domain("Node", slice_.nodes),
            Domain("Service", slice_.services),
            Domain("Manager", slice_.managers),
            Duration("watchdog_s", slice_.watchdog),
            Duration("reset_s", slice_.reset),
            Duration("lock_ttl_s", slice_.lock),
        )


def faulty(dims: Dimensions, slice_: Slice, n: Expr) -> Expr:
    """Something may go wrong on this node."""
    if slice_.faulty >= dims.node.size:
        return TRUE
    return any_of(n == number for number in range(slice_.faulty))


def in_fence(c: Context, dims: Dimensions, n: Expr) -> Expr:
    """A service of this node is in state fence."""
    return some(dims.service, lambda s: (c.at[s] == n) & (c.state[s] == "fence"))


def fields(dims: Dimensions, slice_: Slice, *versions: Mapping[str, Table]) -> list[Field]:
    """Every field, with the states and plans of all the tables that the world knows, in whatever version."""

    def states(name: str, *others: str) -> Enum:
        known = dict.fromkeys(state for tables in versions for state in tables[name].by_state)
        return Enum(f"state of {name}", (*others, *known))

    plans = dict.fromkeys(row.id for tables in versions for name in PLANNED for row in tables[name].rows)
    return [
        *_node(dims, states("lrm"), states("worker", "none")),
        *_store(dims, slice_, states("service"), states("node"), states("disarm")),
        *_manager(dims, slice_, states("crm"), Enum("plan", ("none", *plans))),
    ]


def _node(dims: Dimensions, lrm: Type, worker: Type) -> list[Field]:
    node, both = (dims.node,), (dims.node, dims.service)
    far = Timer(dims.watchdog.ticks + dims.reset.ticks)
    return [
        Field("runs", BOOL, both, False, "The service runs on this node."),
        Field("armed", BOOL, node, False, "The multiplexer has a deadline of this node's LRM."),
        Field("doomed", BOOL, node, False, "The process that set that deadline is gone."),
        Field("dog", far, node, 0, "When everything on this node will have ended: the deadline, and reset_s."),
        Field("lrm", lrm, node, "wait_for_agent_lock", "The state of the LRM."),
        Field("call", Enum("call", ("none", "granted", "refused")), node, "none", "The store's last answer."),
        Field("accepted", BOOL, node, False, "The multiplexer's last answer."),
        Field("sent", Timer(dims.watchdog.ticks), node, 0, "watchdog_s after the last lock request was sent."),
        Field("mine", BOOL, node, False, "The lock is as this LRM last wrote it."),
        Field("say", Enum("say", ("same", *MODES)), node, "same", "The mode to publish."),
        Field("told", BOOL, node, False, "RELEASE_TOLD."),
        Field("want", Enum("want", ("run", "restart", "shutdown")), node, "run", "What the init system asked for."),
        Field("job", Ref(dims.service, none=True), node, None, "The service of the chosen job."),
        Field("job_kind", Enum("job", JOBS), node, "start", "The chosen job."),
        Field("job_current", BOOL, node, False, "The chosen job's uid is still the record's."),
        Field("worker", worker, both, "none", "The state of a worker."),
        Field("kind", Enum("job", JOBS), both, "start", "The worker's job."),
        Field("current", BOOL, both, False, "The worker's uid is still the record's."),
        Field("outcome", Enum("outcome", ("none", *OUTCOMES)), both, "none", "Of this uid, not yet published."),
        Field("halted", BOOL, both, False, "Stopped for the shutdown."),
        Field("late", Enum("late", ("none", "release", *MODES)), node, "none", "A request still on its way."),
        Field("late_valid", BOOL, node, False, "The document it writes is still as it was read."),
        Field("late_checked", BOOL, node, True, "The store will check that."),
    ]


def _store(dims: Dimensions, slice_: Slice, service: Type, node_state: Type, disarm: Type) -> list[Field]:
    node, one = (dims.node,), (dims.service,)
    generation = Count(slice_.generations)
    return [
        Field("lock", Enum("lock", ("free", "lrm", "fencing")), node, "free", "The owner of the node's lock."),
        Field("lease", Timer(dims.lock.ticks), node, 0, "When the lock may be taken if it stays unchanged."),
        Field("mode", Enum("mode", ("none", *MODES)), node, "none", "The LRM's published mode."),
        Field("gen", generation, node, 0, "The LRM's published generation."),
        Field("node_state", node_state, node, "online" if slice_.serving else "unknown", "What the master thinks."),
        Field("maintained", BOOL, node, False, "Maintenance is requested."),
        Field("disarm", disarm, (), "armed", "The state of the disarm request."),
        Field("state", service, one, "started" if slice_.serving else "new", "The record's state."),
        Field("at", Ref(dims.node), one, 0, "The record's node."),
        Field("target", Ref(dims.node, none=True), one, None, "The record's target."),
        Field("ack", generation, one, 0, "The generation that the record acknowledges."),
        Field("wanted", Enum("wanted", ("started", "stopped", "disabled")), one, "started", "The requested state."),
        Field(
            "answer", Enum("outcome", ("none", *OUTCOMES)), one, "none", "Published by the record's node, of this uid."
        ),
        Field("by_hand", BOOL, one, True, "The service may be started by hand, being just configured."),
        Field("holder", Ref(dims.manager, none=True), (), None, "The owner of the manager lock."),
    ]


def _manager(dims: Dimensions, slice_: Slice, crm: Type, plan: Type) -> list[Field]:
    one, both = (dims.manager,), (dims.manager, dims.node)
    return [
        Field("crm", crm, one, "wait_for_quorum", "The state of the CRM."),
        Field("granted", BOOL, one, False, "The store has granted what was last asked."),
        Field("token", BOOL, one, False, "The manager lock is as this CRM last read or wrote it."),
        Field("basis", BOOL, one, False, "The documents that the plan rests on are as they were read."),
        Field("lock_seen", BOOL, one, False, "The agent lock that the plan rests on is as it was read."),
        Field("power", Enum("power", ("none", "asked", "off")), both, "none", "The power-off that this CRM asked for."),
        Field("untouched", BOOL, both, False, "That node's lock is as it was before that."),
        Field("plan", plan, one, "none", "The row that is decided and not yet written."),
        Field("about", Ref(dims.node, none=True), one, None, "The node that it is about."),
        Field("about_service", Ref(dims.service, none=True), one, None, "The service that it is about."),
        Field("dest", Ref(dims.node, none=True), one, None, "The node that placement has found."),
        Field("read_gen", Count(slice_.generations), one, 0, "The generation that was read."),
        Field("stale_write", BOOL, (), False, "A write took effect of one who is not master any more."),
    ]
