"""Broken variants of the protocol, which the search must find out. Tables are data: most are substitutions of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from hacore.daemons.base import does
from hacore.daemons.crm import Crm
from hacore.daemons.lrm import Lrm
from hacore.daemons.watchdog_mux import WatchdogMux
from hacore.manager.documents import LrmStatus
from hacore.manager.jobs import Duty
from hacore.manager.view import Sight
from hacore.protocol import crm, lrm, service, watchdog
from hacore.protocol.requests import Accepted, Asking, Clock, KeepAlive, Snapshot, ask
from hacore.protocol.table import ALWAYS, Fact, Row, Table
from hacore.protocol.tables import TABLES
from hacore.protocol.timing import Timing
from hacore.protocol.vocabulary import RESTART_ASKED
from hacore.sim.faults import Seed
from hacore.sim.promises import Unsettled, Violation
from model_check.mutants.changes import own


def without_given(table: Table, row_id: str, *facts: Fact) -> Row:
    """A row whose effect the store no longer checks for these facts."""
    row = table.by_id[row_id]
    return replace(row, given=tuple(fact for fact in row.given if fact not in facts))


class OwnMomentLrm(Lrm):
    """The deadline counts from when the renewal was answered, not from when it was sent."""

    table = lrm.LRM

    @does(lrm.KEEP_ALIVE)
    def _keep_alive(self) -> Asking[None]:
        now_s = yield from ask(Clock())
        answer = yield from ask(KeepAlive(now_s + self.timing.watchdog_s))
        self.accepted = isinstance(answer, Accepted)


class UnarmedLrm(Lrm):
    """Takes the lock, but does not look whether the watchdog is armed."""

    table = lrm.LRM.substituted(
        {
            "lrm.wait.ask": replace(lrm.LRM.by_id["lrm.wait.ask"], guard=ALWAYS),
            "lrm.wait.unarmed": (),
            "lrm.active.guarded": replace(lrm.LRM.by_id["lrm.active.guarded"], guard=ALWAYS),
            "lrm.active.too_late": (),
        },
    )


class HastyLrm(Lrm):
    """Leaves for a restart without waiting for the freeze."""

    table = lrm.LRM.substituted(
        {
            "lrm.active.leave_frozen": replace(
                lrm.LRM.by_id["lrm.active.leave_frozen"], guard=RESTART_ASKED & ~lrm.WORKERS
            )
        },
    )


class BoastfulLrm(Lrm):
    """Says active before it has lock and watchdog, so the master thaws what nobody guards."""

    table = lrm.LRM.substituted(
        {
            "lrm.wait.needed": (
                Row(
                    "lrm.wait.boast",
                    "wait_for_agent_lock",
                    (lrm.ACTIVE_SERVICES | lrm.FROZEN_SERVICES) & ~lrm.MODE_ACTIVE,
                    "wait.telling",
                    do=(lrm.SAY_ACTIVE,),
                ),
                lrm.LRM.by_id["lrm.wait.needed"],
            )
        },
    )


class LingeringLrm(Lrm):
    """Closes the watchdog when the store does not confirm the renewal, and waits with its services running."""

    table = lrm.LRM.substituted(
        {
            "lrm.active.unconfirmed": replace(
                lrm.LRM.by_id["lrm.active.unconfirmed"], target="wait.resting", do=(lrm.CLOSE_WATCHDOG,)
            )
        },
    )


class TokenlessCrm(Crm):
    """Writes without looking whether it is still master."""

    table = crm.CRM.substituted(
        {"crm.master.write": without_given(crm.CRM, "crm.master.write", crm.TOKEN_CURRENT, crm.BASIS_CURRENT)},
    )


class BlindFencingCrm(Crm):
    """Takes a node's lock as evidence on what it once read: no look at mark, token or renewals."""

    table = crm.CRM.substituted({"crm.master.take": replace(crm.CRM.by_id["crm.master.take"], given=())})


class FeedingMux(WatchdogMux):
    """Feeds the hardware although a deadline has passed."""

    table = watchdog.WATCHDOG.substituted({"watchdog.armed.expire": ()})

    def _until_s(self) -> float:
        return self.feed_s if self.state == "armed" else super()._until_s()


class HeedlessLrm(Lrm):
    """Moves the deadline whether or not the renewal is confirmed."""

    table = lrm.LRM.substituted(
        {
            "lrm.active.unconfirmed": replace(
                lrm.LRM.by_id["lrm.active.unconfirmed"], target="active.fed", do=(lrm.KEEP_ALIVE,)
            )
        }
    )


class AmnesicLrm(Lrm):
    """Does not look at what it has answered: a uid is carried out again."""

    table = lrm.LRM

    def _duty(self, seen: Snapshot) -> Duty:
        duty = super()._duty(seen)
        return replace(duty, own=LrmStatus(duty.own.mode, duty.own.generation))


class StaleCrm(Crm):
    """Keeps what it once thought of a node: its lock had expired."""

    table = crm.CRM

    def _sight(self, seen: Snapshot, nodes: Iterable[str]) -> Sight:
        sight = super()._sight(seen, nodes)
        return replace(sight, expired=sight.expired | self.sight.expired)


RECOVER_WITHOUT_FENCE = service.SERVICE.substituted(
    {"service.fence.fenced": replace(service.SERVICE.by_id["service.fence.fenced"], guard=service.NODE_LOST)},
)
RETRY_BY_THE_SAME_UID = service.SERVICE.substituted(
    {
        row: service.SERVICE.changed(row, do=tuple(it for it in service.SERVICE.by_id[row].do if it != service.NEW_UID))
        for row in ("service.started.retry", "service.started.down")
    }
)


def short_lock() -> Timing:
    """A lock that outlives the watchdog, but not the hardware's time-out."""
    timing = Timing()
    object.__setattr__(timing, "lock_ttl_s", timing.watchdog_s * 0.9)
    return timing


@dataclass(frozen=True)
class Variant:
    """A broken protocol; ``names`` are the properties of which one must fail within ``seeds`` seeds."""

    name: str
    names: frozenset[str]
    """Unsettled: not everything comes right in the end."""
    seeds: int
    kinds: Callable[[], dict[str, Any]] = dict
    only: tuple[str, ...] = ()
    """The kinds of trouble that it takes; none named: any."""
    settle: bool = False
    """Whether it shows only in the quiet after all trouble."""
    service_table: Table = service.SERVICE

    def search(self) -> tuple[int, str]:
        """How many seeds it takes until something fails, and what; or all seeds, and nothing."""
        with self.installed() as kinds:
            for seed in range(self.seeds):
                try:
                    Seed(seed, only=self.only, **kinds).run(settle=self.settle)
                except Violation as problem:
                    return seed + 1, problem.name
                except Unsettled:
                    return seed + 1, "Unsettled"
        return self.seeds, ""

    @contextmanager
    def installed(self) -> Iterator[dict[str, Any]]:
        with patch.dict(TABLES, service=self.service_table):
            yield self.kinds()


UNSAFE = frozenset({"SingleOwner", "FenceBeforeRecover", "Guarded", "GuardedTouch"})
APART = ("cut", "pause_node")
VARIANTS = (
    Variant("lock shorter than the inequality", UNSAFE, 20, lambda: {"timing": short_lock()}, APART),
    Variant("start without a watchdog", UNSAFE, 20, lambda: {"lrm": UnarmedLrm}),
    Variant("leave without a freeze", UNSAFE, 20, lambda: {"lrm": HastyLrm}, ("update", "cut")),
    Variant("let go when unconfirmed", UNSAFE, 10, lambda: {"lrm": LingeringLrm}, APART),
    Variant("feed after the deadline", UNSAFE, 20, lambda: {"mux": FeedingMux}, APART),
    Variant("say active before it guards", UNSAFE, 20, lambda: {"lrm": BoastfulLrm}, ("update", "cut", "power")),
    Variant("recover without fence", UNSAFE, 20, only=APART, service_table=RECOVER_WITHOUT_FENCE),
    Variant("keep alive unconfirmed", UNSAFE, 20, lambda: {"lrm": HeedlessLrm}, ("cut",)),
    Variant("use a uid again", frozenset({"AckOnce"}), 20, lambda: {"lrm": AmnesicLrm}),
    Variant(
        "retry by the same uid",
        frozenset({"Unsettled"}),
        5,
        only=("crash",),
        settle=True,
        service_table=RETRY_BY_THE_SAME_UID,
    ),
    Variant("keep a stale state of a node", UNSAFE, 40, lambda: {"crm": StaleCrm}, ("power", "cut", "outage")),
    Variant(
        "write without token", frozenset({"OneMaster"}), 40, lambda: {"crm": TokenlessCrm}, ("pause_writer", "relocate")
    ),
)


def mutant(name: str, found: str, *only: str) -> Variant:
    """Our own tables with one thing changed, as `hacore mutants` does it, and the explorer catches it too."""
    changed = own()[name].table
    return Variant(
        f"mutant {name}", frozenset({found}), 20, lambda: {"tables": {**TABLES, changed.name: changed}}, only
    )


MUTANTS = (
    mutant("lrm.active.leave_frozen: without QUIET", "Guarded", "update"),
    mutant("lrm.active.disarm: without DISARM_ASKED", "Guarded", "disarm", "update"),
    mutant("lrm.maintenance.emptied: without QUIET", "Guarded", "maintenance", "stuck"),
    mutant("lrm.lost.blind: leads to lost.leaving", "Guarded", "cut"),
)
"""Some of the mutants that the check catches and that concern daemons."""
