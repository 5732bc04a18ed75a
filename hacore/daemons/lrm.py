"""The LRM: meanings for the facts and actions of its table."""

from __future__ import annotations

from collections.abc import Mapping

from hacore.daemons.base import Daemon, checks, does, sees
from hacore.daemons.workload import Workload
from hacore.manager.documents import (
    RELEASE_MODES,
    RESOURCES,
    SETTINGS,
    STATUS,
    DocumentError,
    LrmStatus,
    Reader,
    dump,
    lrm_key,
    lrm_of,
    resources_of,
    settings_of,
    status_of,
)
from hacore.manager.jobs import Duty
from hacore.protocol import lrm as protocol
from hacore.protocol.locks import Lock, agent_lock
from hacore.protocol.reference import vocabulary as reference
from hacore.protocol.requests import (
    Accepted,
    Asking,
    Clock,
    CloseWatchdog,
    Committed,
    Document,
    KeepAlive,
    OpenWatchdog,
    Read,
    Reap,
    Refused,
    Say,
    Snapshot,
    Spawn,
    Unavailable,
    ask,
)
from hacore.protocol.table import Action, Checker, Fact, Table
from hacore.protocol.timing import Timing
from hacore.protocol.vocabulary import MAINTENANCE_ASKED, QUORATE

_MODES = {
    protocol.SAY_ACTIVE: "active",
    protocol.SAY_IDLE: "idle",
    protocol.SAY_RESTART: "restart",
    protocol.SAY_SHUTDOWN: "shutdown",
    protocol.SAY_MAINTENANCE: "maintenance",
    protocol.SAY_DISARM: "disarm",
}
_MODE_FACTS = {
    protocol.MODE_ACTIVE: "active",
    protocol.MODE_IDLE: "idle",
    protocol.MODE_RESTART: "restart",
    protocol.MODE_SHUTDOWN: "shutdown",
    protocol.MODE_MAINTENANCE: "maintenance",
    protocol.MODE_DISARM: "disarm",
}


class Lrm(Daemon):
    """One LRM. ``round()`` is one round."""

    table = protocol.LRM
    name = "lrm"
    wake_on = ("manager/", "settings")

    def __init__(self, node: str, timing: Timing, tables: Mapping[str, Table] | None = None) -> None:
        super().__init__(node, timing, tables)
        self.quorate = False
        self.now_s = 0.0
        self.seen = Snapshot({}, 0)
        self.reader = Reader()
        self.duty = self._duty(self.seen)
        self.own = self.duty.own
        """What to publish: as last read, with the mode that a row chose."""
        self.lock = Document(None, 0)
        """This node's lock as this LRM last read or wrote it."""
        self.sent_s = 0.0
        """The clock before the last lock request was sent."""
        self.accepted = self.release_told = False
        self.work = Workload(timing.monitor_s)
        self.busy_s = 0.0
        """When there was last anything to do here."""

    # ------------------------------------------------------------------------------------------------ looking

    def look(self, facts: tuple[Fact, ...]) -> Asking[None]:
        if not any(fact.checker is Checker.READ for fact in facts):
            return
        outcomes = yield from ask(Reap())
        keys = (STATUS, RESOURCES, SETTINGS, lrm_key(""), agent_lock(""))
        answer = yield from ask(Read(keys))
        self.now_s = yield from ask(Clock())
        self.quorate = not isinstance(answer, Unavailable)
        if isinstance(answer, Unavailable):
            self.work.ended(outcomes, self.duty)
            return
        try:
            self.duty = self._duty(answer)
        except DocumentError as problem:
            self.quorate = False
            yield from ask(Say("document_error", {"problem": str(problem)}))
        else:
            self.seen, self.revision, self.own = answer, answer.revision, self.duty.own
            self.lock = answer[agent_lock(self.node)] if not self._holds_lock() else self.lock
        self.work.ended(outcomes, self.duty)
        self.work.look(self.duty, self.now_s, self.began_s)
        if self.work.running or any(True for _ in self.duty.records()):
            self.busy_s = self.now_s

    def _duty(self, seen: Snapshot) -> Duty:
        status = self.reader.read(seen, STATUS, status_of)
        resources = self.reader.read(seen, RESOURCES, resources_of)
        targets = {record.target for record in status.services.values() if record.state == "migrate"}
        guarded = frozenset(node for node in targets if _guards(seen, node))
        return Duty(self.node, status, resources, lrm_of(seen, self.node), settings_of(seen), guarded)

    def _holds_lock(self) -> bool:
        """Whether the lock in memory is what this LRM itself wrote; else it is what was read."""
        return self.shown in {"active", "maintenance"} and self.state not in {
            "maintenance.empty",
            "maintenance.waiting",
        }

    @sees(QUORATE)
    def _quorate(self) -> bool:
        return self.quorate

    @sees(protocol.FENCE_REQUESTED)
    def _fence_requested(self) -> bool:
        return self.duty.fence_requested()

    @sees(protocol.ACTIVE_SERVICES)
    def _active_services(self) -> bool:
        return self.duty.active_services()

    @sees(protocol.FROZEN_SERVICES)
    def _frozen_services(self) -> bool:
        return self.duty.frozen_services()

    @sees(protocol.SETTLED)
    def _settled(self) -> bool:
        return self.duty.settled()

    @sees(protocol.LOCK_LEFT)
    def _lock_left(self) -> bool:
        return Lock.of(self.seen[agent_lock(self.node)]).owner == self.node

    @sees(protocol.RELEASE_TOLD)
    def _release_told(self) -> bool:
        return self.release_told

    @sees(protocol.ROUND_LATE)
    def _round_late(self) -> bool:
        return self.now_s - self.began_s > self.timing.round_s

    @sees(protocol.QUIET)
    def _quiet(self) -> bool:
        return self.duty.quiet()

    @sees(protocol.NOTHING_GUARDED)
    def _nothing_guarded(self) -> bool:
        return self.duty.nothing_guarded() and not self._workers() and not self._results_new()

    @sees(MAINTENANCE_ASKED)
    def _maintenance_asked(self) -> bool:
        return self.node in self.duty.status.maintenance

    @sees(protocol.DISARM_ASKED)
    def _disarm_asked(self) -> bool:
        disarm = self.duty.status.disarm
        return disarm is not None and disarm.state in {"disarming", "disarmed"}

    @sees(protocol.POLICY_FREEZE)
    def _policy_freeze(self) -> bool:
        return self.duty.policy_freezes(self.asked)

    @sees(protocol.POLICY_MIGRATE)
    def _policy_migrate(self) -> bool:
        return self.duty.settings.shutdown_policy == "migrate"

    @sees(*_MODE_FACTS)
    def _mode(self, fact: Fact) -> bool:
        return self.duty.own.mode == _MODE_FACTS[fact]

    @sees(protocol.JOB_READY)
    def _job_ready(self) -> bool:
        return self.work.ready is not None

    @sees(reference.ANY_JOB_READY)
    def _any_job_ready(self) -> bool:
        return self.work.any_ready is not None

    @sees(protocol.STOP_READY)
    def _stop_ready(self) -> bool:
        return self.work.stop_ready is not None

    @sees(reference.STOP_UNTRIED)
    def _stop_untried(self) -> bool:
        return self.work.stop_untried

    @sees(reference.BUSY)
    def _busy(self) -> bool:
        return self.duty.busy()

    @sees(reference.DISARM_WANTED)
    def _disarm_wanted(self) -> bool:
        return self.duty.status.disarm is not None

    @sees(protocol.ALL_STOPPED)
    def _all_stopped(self) -> bool:
        return self.work.all_stopped(self.duty)

    @sees(protocol.WORKERS)
    def _workers(self) -> bool:
        return bool(self.work.running)

    @sees(protocol.RESULTS_NEW)
    def _results_new(self) -> bool:
        return bool(self.work.unpublished)

    @sees(protocol.IDLE_LONG)
    def _idle_long(self) -> bool:
        return self.now_s - self.busy_s > self.timing.idle_rounds * self.timing.round_s

    @sees(protocol.ACCEPTED)
    def _accepted(self) -> bool:
        return self.accepted

    # ----------------------------------------------------------------------------------- what the store checks

    @checks(protocol.LOCK_AVAILABLE)
    def _lock_available(self) -> dict[str, int] | None:
        seen = self.seen[agent_lock(self.node)]
        return {agent_lock(self.node): seen.revision} if Lock.of(seen).owner in {"", self.node} else None

    @checks(protocol.LOCK_MINE)
    def _lock_mine(self) -> dict[str, int]:
        return {agent_lock(self.node): self.lock.revision}

    @checks(protocol.NO_FENCE_MARK)
    def _no_fence_mark(self) -> dict[str, int] | None:
        return None if self.duty.fence_requested() else {STATUS: self.seen[STATUS].revision}

    @checks(protocol.STATUS_MINE)
    def _status_mine(self) -> dict[str, int]:
        return {lrm_key(self.node): self.seen[lrm_key(self.node)].revision}

    # -------------------------------------------------------------------------------------------- the watchdog

    @does(protocol.OPEN_WATCHDOG)
    def _open_watchdog(self) -> Asking[None]:
        now_s = yield from ask(Clock())
        self._note_answer((yield from ask(OpenWatchdog(now_s + self.timing.watchdog_s))))

    @does(protocol.KEEP_ALIVE)
    def _keep_alive(self) -> Asking[None]:
        self._note_answer((yield from ask(KeepAlive(self.sent_s + self.timing.watchdog_s))))

    @does(protocol.CLOSE_WATCHDOG)
    def _close_watchdog(self) -> Asking[None]:
        self._note_answer((yield from ask(CloseWatchdog())))

    def _note_answer(self, answer: Accepted | Refused) -> None:
        self.accepted = isinstance(answer, Accepted)

    # ------------------------------------------------------------------------------------------------ the lock

    @does(protocol.TAKE_LOCK)
    def _take_lock(self) -> Asking[None]:
        before = Lock.of(self.seen[agent_lock(self.node)])
        yield from self._write_lock(before.taken(self.node, self.timing.lock_ttl_s))
        if self.granted:
            yield from ask(Say(before.taking(self.node), {"lock": agent_lock(self.node)}))

    @does(protocol.RENEW_LOCK)
    def _renew_lock(self) -> Asking[None]:
        yield from self._write_lock(Lock.of(self.lock).renewed())

    @does(protocol.RELEASE_LOCK)
    def _release_lock(self) -> Asking[None]:
        yield from self._write_lock(Lock.of(self.lock).released())

    def _write_lock(self, lock: Lock) -> Asking[None]:
        self.sent_s = yield from ask(Clock())
        answer = yield from self.transact({agent_lock(self.node): lock.document()})
        if isinstance(answer, Committed):
            self.lock = Document(lock.document(), answer.revision)

    # ------------------------------------------------------------------------------- what it says, what it does

    @does(*_MODES)
    def _say(self, action: Action) -> None:
        own = self.duty.own
        mode = _MODES[action]
        self.own = LrmStatus(mode, own.generation + (mode in RELEASE_MODES), own.results)

    @does(protocol.PUBLISH)
    def _publish(self) -> Asking[None]:
        results = self.work.results(self.duty)
        self.release_told = False
        said = LrmStatus(self.own.mode, self.own.generation, results)
        yield from self.transact({lrm_key(self.node): dump(said)})
        if self.granted:
            self.release_told = self.own.mode in RELEASE_MODES
            self.work.published()

    @does(protocol.CHOOSE_JOB)
    def _choose_job(self) -> None:
        self.work.chosen = self.work.ready

    @does(reference.CHOOSE_ANY_JOB)
    def _choose_any_job(self) -> None:
        self.work.chosen = self.work.any_ready

    @does(protocol.CHOOSE_STOP)
    def _choose_stop(self) -> None:
        self.work.chosen = self.work.stop_ready

    @does(protocol.SPAWN_WORKER)
    def _spawn_worker(self) -> Asking[None]:
        job = self.work.start(self.now_s)
        yield from ask(Spawn(job))


def _guards(seen: Snapshot, node: str) -> bool:
    """Whether the node's LRM owns its lock, and is in a mode in which it lets go of nothing that is coming."""
    modes = {"active", "maintenance", "restart", "disarm"}
    return Lock.of(seen[agent_lock(node)]).owner == node and lrm_of(seen, node).mode in modes
