"""Bugs that other high-availability stacks once had, each with its public report, and our protocol made as faulty.

Most are our own tables with rows exchanged; where the fault lies in what a name means, a daemon with that meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from hacore.daemons.crm import Crm
from hacore.daemons.lrm import Lrm
from hacore.manager.jobs import Duty
from hacore.protocol import crm, lrm, service
from hacore.protocol.locks import Lock, Watch
from hacore.protocol.reference.vocabulary import STOP_UNTRIED
from hacore.protocol.reference.weak import NO_TOKEN, Rows, without_given
from hacore.protocol.requests import Snapshot
from hacore.protocol.table import ALWAYS, Row, State, Table
from hacore.protocol.tables import TABLES
from hacore.protocol.vocabulary import GRANTED, RESTART_ASKED
from tests.daemons.variants import HeedlessLrm, OwnMomentLrm, UnarmedLrm, short_lock
from tests.past_bugs import stories

LRM, SERVICE = lrm.LRM, service.SERVICE
HA_MANAGER = "proxmox/pve-ha-manager, debian/changelog at commit 0179818f489209dac923ba043dde5cc055f54098"


@dataclass(frozen=True)
class PastBug:
    """One fault; ``breaks`` is the property that fails in the story when our protocol has it."""

    name: str
    whose: str
    reports: tuple[str, ...]
    """Public addresses; for a changelog: repository, file and commit, and the version."""
    sentence: str
    story: Callable[..., None]
    breaks: str
    tables: Mapping[str, Table] = field(default_factory=dict)
    kinds: Callable[[], dict[str, Any]] = dict

    def told(self) -> str:
        """The story in words."""
        story = self.story.func if isinstance(self.story, partial) else self.story
        return " ".join((story.__doc__ or "").split())

    def faulty(self) -> dict[str, Any]:
        """What the story is given to be carried out by the faulty protocol."""
        return {**({"tables": {**TABLES, **self.tables}} if self.tables else {}), **self.kinds()}


def of_lrm(rows: Rows, *states: State) -> dict[str, Table]:
    return {"lrm": LRM.substituted(rows, *states)}


CLOSES_WITHOUT_STOPPING = of_lrm(
    {
        "lrm.active.stop": LRM.changed("lrm.active.stop", guard=lrm.STOPPING & lrm.STOP_READY & STOP_UNTRIED),
        "lrm.active.leave_stopped": LRM.changed(
            "lrm.active.leave_stopped", guard=lrm.LEAVING_STOPPED & ~STOP_UNTRIED & ~lrm.WORKERS
        ),
    }
)
EXITS_ARMED = of_lrm(
    {
        "lrm.active.leave_frozen": LRM.changed(
            "lrm.active.leave_frozen", guard=RESTART_ASKED & ~lrm.WORKERS, target="exited", ends_round=True
        )
    }
)
LOOKS_ONCE = of_lrm(
    {
        "lrm.wait.needed": (
            Row("lrm.wait.needed", "wait_for_agent_lock", lrm.JOB_READY, "wait.arming", do=(lrm.CHOOSE_JOB,)),
            Row("lrm.wait.frozen", "wait_for_agent_lock", lrm.ACTIVE_SERVICES | lrm.FROZEN_SERVICES, "wait.resting"),
        ),
        "lrm.wait.ask": LRM.changed("lrm.wait.ask", given=()),
        "lrm.wait.granted": (
            Row("lrm.wait.granted", "wait.asked", GRANTED, "wait.fed", do=(lrm.KEEP_ALIVE,)),
            Row("lrm.wait.guarded", "wait.fed", lrm.ACCEPTED, "active.spawning"),
            Row("lrm.wait.too_late", "wait.fed", ALWAYS, "lost.resting"),
        ),
    },
    State("wait.fed", "The multiplexer has answered whether it took the new deadline.", "active"),
)
FORGETS_FAILURES = {
    "service": SERVICE.substituted(
        {
            row: SERVICE.changed(row, do=tuple(it for it in SERVICE.by_id[row].do if it != service.NOTE_FAILURE))
            for row in ("service.started.flee", "service.started.retry")
        }
    )
}


class ServicesOnly(Duty):
    """Takes the node for marked only as long as a service of it is."""

    def fence_requested(self) -> bool:
        return any(record.state == "fence" for _, record in self.here())


class ForgetfulLrm(Lrm):
    """Asks of services only whether the master counts on this node's end."""

    table = LRM

    def _duty(self, seen: Snapshot) -> Duty:
        it = super()._duty(seen)
        return ServicesOnly(it.node, it.status, it.resources, it.own, it.settings, it.guarded)


class WaitingLrm(Lrm):
    """A move waits until the target's LRM is active, and a target that is to be restarted waits for the move."""

    table = LRM

    def _duty(self, seen: Snapshot) -> Duty:
        it = super()._duty(seen)
        return replace(it, guarded=frozenset(node for node in it.guarded if seen_mode(seen, node) == "active"))


def seen_mode(seen: Snapshot, node: str) -> str:
    return str((seen[f"lrm/{node}"].value or {}).get("mode", ""))


class OwnLifetime(Watch):
    """Judges another's lock by its own lifetime, whatever is written in the lock."""

    def left_s(self, key: str, lock: Lock, lifetime_s: float, now_s: float) -> float:
        return super().left_s(key, replace(lock, lifetime_s=lifetime_s), lifetime_s, now_s)


class ImpatientCrm(stories.ReconfiguredCrm):
    table = Crm.table

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.watch = OwnLifetime()


BUGS = (
    PastBug(
        "closes with services running",
        "Patroni",
        ("https://github.com/patroni/patroni/issues/3639",),
        "When stopping takes longer than allowed, the watchdog is switched off although something still runs.",
        stories.shut_down_with_a_stuck_service,
        "Guarded",
        CLOSES_WITHOUT_STOPPING,
    ),
    PastBug(
        "reset by an update",
        "sbd",
        ("https://github.com/ClusterLabs/sbd/pull/72",),
        "The manager is stopped in good order, the watchdog is not told so, and resets the node.",
        stories.updated_while_there_is_no_master,
        "NoNeedlessReset",
        EXITS_ARMED,
    ),
    PastBug(
        "waits for each other",
        "Pacemaker",
        ("https://github.com/ClusterLabs/pacemaker/pull/1248",),
        "A daemon that is to stop waits for resources to be moved, and who should move them waits as well.",
        stories.updated_while_a_service_comes,
        "UpdateCompletes",
        kinds=lambda: {"lrm": WaitingLrm},
    ),
    PastBug(
        "counts from the keep-alive",
        "Patroni",
        ("https://github.com/patroni/patroni/pull/452",),
        "Between the renewal of the lock and the keep-alive the process may be paused; the deadline counts from the "
        "latter.",
        stories.paused_between_renewal_and_keep_alive,
        "FenceBeforeRecover",
        kinds=lambda: {"lrm": OwnMomentLrm},
    ),
    PastBug(
        "goes on without its lease",
        "Kubernetes",
        (
            "https://github.com/kubernetes/kubernetes/issues/23731",
            "https://github.com/kubernetes/kubernetes/issues/44887",
        ),
        "Renewals fail, and the leader goes on, or renews again, as if it still were one.",
        stories.cut_off_for_good,
        "FenceBeforeRecover",
        {"lrm": HeedlessLrm.table},
    ),
    PastBug(
        "writes after its lock has expired",
        "etcd",
        ("https://github.com/etcd-io/etcd/issues/11457", "https://github.com/etcd-io/etcd/issues/10811"),
        "Who holds a lock is paused or cut off, the lock goes to another, and the first one writes on.",
        stories.paused_before_it_writes,
        "OneMaster",
        {"crm": without_given(crm.CRM, NO_TOKEN)},
    ),
    PastBug(
        "granted too late",
        "etcd",
        ("https://github.com/etcd-io/etcd/issues/11456",),
        "A lock is granted without a look at whether what the request rests on still holds, and acted upon.",
        stories.paused_before_it_asks_for_its_lock,
        "SingleOwner",
        LOOKS_ONCE,
    ),
    PastBug(
        "judges by its own lifetime",
        "Kubernetes",
        (
            "https://github.com/kubernetes/kubernetes/issues/47671",
            "https://github.com/kubernetes/kubernetes/pull/114872",
        ),
        "Who is configured with a short lease takes the lock of one who still has a long one.",
        stories.reconfigured,
        "FenceBeforeRecover",
        kinds=lambda: {"crm": ImpatientCrm},
    ),
    PastBug(
        "watchdog outlasts the lock",
        "Patroni",
        ("https://github.com/patroni/patroni/issues/624",),
        "With a negative safety margin the watchdog resets the node only after the leader's key has expired.",
        stories.cut_off_for_good,
        "FenceBeforeRecover",
        kinds=lambda: {"timing": short_lock()},
    ),
    PastBug(
        "starts without a watchdog",
        "sbd",
        ("https://github.com/ClusterLabs/sbd/pull/39",),
        "The watchdog's daemon fails to start, and the manager comes up and runs resources all the same.",
        stories.booted_without_a_watchdog,
        "GuardedTouch",
        {"lrm": UnarmedLrm.table},
    ),
    PastBug(
        "works while it is to be fenced",
        "Proxmox VE",
        (f"{HA_MANAGER}, version 3.3-2",),
        "The services of a node that is to be fenced are deleted and added again; its LRM comes up, works, and the "
        "node stays marked.",
        stories.forgotten_while_fenced,
        "FailedIsRecovered",
        kinds=lambda: {"lrm": ForgetfulLrm},
    ),
    PastBug(
        "back and forth",
        "Proxmox VE",
        (f"{HA_MANAGER}, versions 1.0-23 and 1.0-33",),
        "A service goes round between started and a move without end, back to nodes on which it has failed.",
        stories.fails_everywhere,
        "MovesEnd",
        FORGETS_FAILURES,
    ),
)
