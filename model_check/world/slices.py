"""Slices: how much of the world a configuration has in it, so that all its states can be visited.

A slice names what may happen (:data:`HAPPENINGS`); what is not named does not, and the fields that only it would change
become constants. What a slice leaves out is thus what it does not name, and its sentence says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

HAPPENINGS = {
    "crash": "a node loses power at any moment, and boots again",
    "lapse": "time passes, so locks and deadlines run out",
    "unanswered": "the store carries out what an LRM asked for, and the answer is lost",
    "late": "what an LRM published or released arrives after it has given up waiting",
    "lrm_dies": "an LRM's process is killed while it guards, and started again",
    "manager_dies": "a CRM's process is killed and started again",
    "refuse": "the multiplexer refuses for reasons of its own",
    "suspect": "a master takes any node for lost, rightly or not",
    "unguarded": "a service just configured is already running",
    "dies": "a service ends by itself",
    "start_fails": "a start does not succeed",
    "stop_fails": "a stop does not succeed",
    "restart": "the init system restarts an LRM: a package update",
    "shutdown": "a node is shut down",
    "maintenance": "an operator asks for maintenance, and ends it",
    "disarm": "an operator disarms the cluster, and arms it again",
    "stop": "an operator asks for services to be stopped, started or disabled",
    "move": "an operator or placement moves services, stopping them first",
    "live": "services move while they run",
    "idle": "an LRM with nothing to do lets go",
    "retire": "a master with nothing to do lets go",
    "power": "a master has a marked node powered off, and hears that it is off",
}
"""What may happen, besides daemons taking their steps, or pausing between any two of them for as long as they like."""


@dataclass(frozen=True)
class Slice:
    """A configuration. The durations are ticks; ``generations`` bounds how often an LRM may ask for release."""

    name: str
    sentence: str
    happens: frozenset[str]
    nodes: int = 2
    faulty: int = 9
    """On how many nodes anything goes wrong or is asked for: crashes, unanswered calls, suspicion, restarts. The others
    are only slow."""
    services: int = 1
    managers: int = 1
    generations: int = 2
    watchdog: int = 1
    reset: int = 1
    lock: int = 2
    policy: str = "conditional"
    spells: bool = False
    """What goes wrong on a node does so while it is cut off: see :mod:`model_check.world.spells`."""
    shows: tuple[str, ...] = ()
    """What comes about in it, by name: :data:`model_check.properties.SOMETIMES`."""
    adds: tuple[str, ...] = ()
    """Rows that fire in it, and in no slice of a quicker level."""
    serving: bool = False
    """Begins with every service started and running on node 0, guarded, instead of just configured."""

    def __post_init__(self) -> None:
        unknown = self.happens - set(HAPPENINGS)
        if unknown:
            raise ValueError(f"slice {self.name}: nothing is called {', '.join(sorted(unknown))}")

    def has(self, happening: str) -> bool:
        return happening in self.happens


def _slice(name: str, sentence: str, happens: str, **more: Any) -> Slice:
    return Slice(name, sentence, frozenset(happens.split()), **more)


QUICK = (
    _slice(
        "failover",
        "A node crashes, is cut off, or is only suspected; its service comes up on the other. One master; nothing is "
        "asked by operators; every other call is answered.",
        "crash lapse suspect",
        faulty=1,
        shows=("recovery",),
    ),
    _slice(
        "power fencing",
        "A node is suspected, and the master has it powered off; it boots again at any moment. No time-outs.",
        "suspect power",
        faulty=1,
        shows=("recovery",),
    ),
    _slice(
        "update",
        "The LRM of one node is restarted, as for a package update, while the node may be cut off. One generation, one "
        "master; the node does not lose power.",
        "lapse suspect restart",
        faulty=1,
        generations=1,
        shows=("update", "thaw"),
    ),
    _slice(
        "disarm",
        "The cluster is disarmed and armed again while a node is suspected. No time-outs, no crashes, one generation.",
        "suspect disarm",
        faulty=1,
        generations=1,
        shows=("disarm", "thaw"),
    ),
    _slice(
        "move",
        "A service is moved, stopped, started; starts and stops fail, and it dies. Nodes and master do not fail.",
        "move stop stop_fails start_fails dies",
        faulty=0,
        shows=("move",),
    ),
    _slice(
        "maintenance",
        "One node is emptied and comes back. Nodes do not fail.",
        "maintenance move",
        faulty=1,
        shows=("maintenance",),
    ),
    _slice(
        "masters",
        "Two CRMs, each of which may take the manager lock at any moment, decide and write. No time-outs, no crashes.",
        "suspect",
        faulty=1,
        managers=2,
        shows=("new master",),
    ),
    _slice(
        "new",
        "A service is configured while it already runs; an LRM with nothing to do lets go. One node fails.",
        "idle suspect lapse crash unguarded",
        faulty=1,
    ),
    _slice(
        "steady",
        "One node, connected but for spells of trouble: NoNeedlessReset. Its LRM is restarted once.",
        "lapse suspect restart",
        nodes=1,
        faulty=1,
        generations=1,
        watchdog=3,
        lock=4,
        spells=True,
        shows=("update", "thaw"),
    ),
)
DEFAULT = (
    *QUICK,
    _slice(
        "power fencing late",
        "One node that may fail, and be powered off, verified long after it has been fenced otherwise.",
        "lapse suspect power crash unanswered",
        nodes=1,
        faulty=1,
    ),
    _slice("unanswered", "As failover; answers of the store are lost.", "crash lapse suspect unanswered", faulty=1),
    _slice(
        "updates",
        "As update, with two generations: a second restart may be asked for before the first is over.",
        "lapse suspect restart",
        faulty=1,
        generations=2,
    ),
    _slice(
        "moves",
        "As move, without failing services, while the node fails.",
        "move crash suspect lapse",
        faulty=1,
        shows=("move",),
        adds=("service.relocate.lost", "service.request_start_balance.lost"),
    ),
    _slice(
        "emptied",
        "As maintenance, with suspicion and time-outs.",
        "maintenance suspect lapse",
        faulty=1,
        shows=("maintenance",),
        adds=(
            "lrm.maintenance.marked",
            "lrm.maintenance.too_late",
            "node.maintenance.fence",
            "node.maintenance.lost",
        ),
    ),
    _slice(
        "shutdown",
        "A node is shut down, or fails.",
        "shutdown crash suspect lapse",
        faulty=1,
        shows=("recovery",),
        adds=("lrm.active.leave_stopped", "lrm.active.say_shutdown", "lrm.active.stop"),
    ),
    _slice(
        "reboot",
        "One node is shut down, and its services are frozen until it is back. Nothing fails.",
        "shutdown",
        nodes=1,
        policy="freeze",
        adds=("lrm.active.leave_both",),
    ),
    _slice(
        "stops",
        "One node, lost and back, while its service is stopped, started, disabled.",
        "stop suspect lapse crash",
        nodes=1,
        adds=(
            "service.recovery.disabled",
            "service.recovery.stop",
            "service.request_stop.lost",
            "service.stopped.lost",
        ),
    ),
    _slice(
        "stops frozen",
        "One node; the cluster is disarmed while its service is stopped, started, disabled. Nothing fails.",
        "stop disarm",
        nodes=1,
        generations=1,
        shows=("disarm", "thaw"),
        adds=(
            "service.freeze.thaw_stop",
            "service.request_start.disarm",
            "service.request_stop.freeze",
            "service.stopped.disarm",
        ),
    ),
    _slice(
        "stops emptied",
        "One node in maintenance, its LRM restarted, while its service is stopped, started, disabled.",
        "stop restart maintenance",
        nodes=1,
        generations=1,
        adds=("lrm.empty.quit", "service.stopped.freeze"),
    ),
    _slice(
        "idle",
        "One node whose LRM and master have nothing to do, and let go. Nothing fails.",
        "idle retire",
        nodes=1,
        adds=("crm.master.idle", "crm.master.retire"),
    ),
    _slice(
        "balanced",
        "A service is placed anew before its start, may run already, is stopped. Nothing fails.",
        "move unguarded stop",
        faulty=0,
        shows=("move",),
        adds=(
            "service.request_start_balance.failed",
            "service.request_start_balance.failed_stop",
            "worker.begin.ignore",
        ),
    ),
    _slice(
        "live",
        "A service moves while it runs, or cannot be moved or stopped. Nodes do not fail.",
        "move live stop stop_fails",
        faulty=0,
        shows=("move",),
        adds=(
            "service.migrate.done",
            "service.migrate.done_stop",
            "service.migrate.failed",
            "service.migrate.failed_stop",
            "service.started.migrate",
            "service.started.move_live",
            "service.stopped.migrate",
            "worker.begin.move",
            "worker.moving.done",
            "worker.moving.stuck",
        ),
    ),
    _slice(
        "steadier",
        "As steady; the node crashes, its LRM is killed or has nothing to do, answers are lost.",
        "lapse suspect restart crash lrm_dies unanswered idle",
        nodes=1,
        faulty=1,
        generations=1,
        watchdog=3,
        lock=4,
        spells=True,
    ),
)
LONG = (
    *DEFAULT,
    _slice(
        "troubles",
        "As unanswered; services die, starts and stops fail, operators stop and start services.",
        "crash lapse suspect unanswered dies start_fails stop_fails stop",
        faulty=1,
    ),
    _slice(
        "everywhere",
        "As failover, and both nodes fail.",
        "crash lapse suspect",
    ),
    _slice(
        "disarmed early",
        "The cluster is disarmed while a service is placed. Nothing fails.",
        "move disarm",
        faulty=0,
        generations=1,
        adds=("service.request_start_balance.disarm",),
    ),
    _slice(
        "steady beside",
        "As steady, beside a node that is always connected.",
        "lapse suspect restart",
        faulty=1,
        generations=1,
        watchdog=3,
        lock=4,
        spells=True,
    ),
)
SMALL = (
    _slice("failover", "No suspicion: the service starts on its node.", "crash lapse", faulty=1),
    _slice("update", "A restart, no time-outs.", "restart", faulty=1, generations=1, nodes=1),
    _slice("disarm", "One node.", "disarm", nodes=1, generations=1),
    _slice("move", "A service moves; nothing fails.", "move", faulty=0),
    _slice("masters", "One node, two CRMs.", "manager_dies", nodes=1, managers=2),
    _slice("power fencing", "One node, which is powered off.", "suspect power", nodes=1),
    _slice("new", "One node fails.", "idle crash unguarded", nodes=1),
)
"""Small enough for TLC to enumerate in seconds: both engines must count the same states."""
MILLION = next(slice_ for slice_ in QUICK if slice_.name == "masters")
"""For comparing the explorer with TLC, in what they find and in how long they take: more than a million states."""
REFINED = (
    _slice("failover", "One node, which crashes, is cut off or suspected, and fenced.", "crash lapse suspect", nodes=1),
    _slice("update", "One node, whose LRM is restarted.", "restart", nodes=1, generations=1),
)
"""Of each, TLC holds every step against the specification for people."""
REFINED_LONG = (
    *REFINED,
    _slice("recovery", "A node crashes; its service comes up on the other. No time-outs.", "crash suspect", faulty=1),
    _slice("updated", "As update, and the node may be fenced.", "suspect restart", nodes=1, generations=1),
)
