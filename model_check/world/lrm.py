"""What the names of the LRM's table mean in the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from hacore.protocol import lrm as protocol
from hacore.protocol.table import Action, Fact
from hacore.protocol.vocabulary import GRANTED, MAINTENANCE_ASKED, RESTART_ASKED, SHUTDOWN_ASKED
from model_check.lang import FALSE, OFF, TRUE, Context, Domain, Expr, after, ahead, any_of, every, ite, later, some
from model_check.world.fields import RELEASES, Dimensions
from model_check.world.rows import UNKNOWN, Choice, Effect, Outcome, Reader, Truth, Way, possibly
from model_check.world.slices import Slice
from model_check.world.spells import Spells

RESTING = ("stopped", "freeze", "request_start")
LEAVING = ("error", "migrate", "relocate", "request_start_balance", "fence", "recovery")
KIND_OF = {
    "new": "guard",
    "started": "start",
    "request_stop": "stop",
    "stopped": "stop",
    "request_start_balance": "balance",
    "relocate": "relocate",
    "migrate": "migrate",
}
SAYS = {
    protocol.SAY_ACTIVE: "active",
    protocol.SAY_IDLE: "idle",
    protocol.SAY_RESTART: "restart",
    protocol.SAY_SHUTDOWN: "shutdown",
    protocol.SAY_MAINTENANCE: "maintenance",
    protocol.SAY_DISARM: "disarm",
}
MODES_SEEN = {
    protocol.MODE_ACTIVE: "active",
    protocol.MODE_IDLE: "idle",
    protocol.MODE_RESTART: "restart",
    protocol.MODE_SHUTDOWN: "shutdown",
    protocol.MODE_MAINTENANCE: "maintenance",
    protocol.MODE_DISARM: "disarm",
}


def concerned(c: Context, n: Expr, s: Expr) -> Expr:
    """The record's node or target is this one."""
    return (c.at[s] == n) | (c.target[s] == n)


def rests(c: Context, n: Expr, s: Expr) -> Expr:
    """Nothing of it has to be guarded; a freeze counts if it answers this LRM's last request."""
    return c.state[s].isin("stopped", "request_start") | ((c.state[s] == "freeze") & (c.ack[s] == c.gen[n]))


def unguarded(c: Context, n: Expr, s: Expr) -> Expr:
    """Nothing of it has to be guarded here, now or later: so it is too if it is new, and no LRM has answered for it."""
    untouched = (c.state[s] == "new") & (c.answer[s] == "none")
    done = (c.worker[n, s] == "none") & (c.outcome[n, s] == "none")
    return done & (~concerned(c, n, s) | rests(c, n, s) | untouched)


class LrmReader:
    """Builds the :class:`Reader` of one world's LRMs."""

    def __init__(self, dims: Dimensions, slice_: Slice, spells: Spells) -> None:
        self.dims, self.slice, self.spells = dims, slice_, spells

    def reader(self) -> Reader:
        return Reader(
            table="lrm",
            pc="lrm",
            over={"n": self.dims.node},
            facts=self.facts(),
            local={**{action: self._saying(mode) for action, mode in SAYS.items()}, **self._choices()},
            effects=self.effects(),
            store={
                protocol.LOCK_AVAILABLE: lambda c, n: c.lock[n].isin("free", "lrm"),
                protocol.LOCK_MINE: lambda c, n: c.mine[n] | ((c.lrm[n] == "wait.freeing") & (c.lock[n] == "lrm")),
                protocol.NO_FENCE_MARK: lambda c, n: ~self.marked(c, n),
                protocol.STATUS_MINE: lambda c, n: TRUE,
            },
            blind=lambda c, n: (self.spells.answered(c, n), self.spells.troubled(c, n)),
            round_over=self.spells.round_over,
            forget={GRANTED: _forget_call, protocol.ACCEPTED: _forget_acceptance},
        )

    def marked(self, c: Context, n: Expr) -> Expr:
        """The master has marked the node, or a service of it."""
        fenced = some(self.dims.service, lambda s: (c.at[s] == n) & (c.state[s] == "fence"))
        return (c.node_state[n] == "fence") | fenced

    # ------------------------------------------------------------------------------------------------------ facts

    def facts(self) -> dict[Fact, Callable[..., Truth]]:
        service = self.dims.service
        policy = self.slice.policy
        known: dict[Fact, Callable[..., Truth]] = {
            protocol.FENCE_REQUESTED: self.marked,
            protocol.ACTIVE_SERVICES: lambda c, n: some(
                service, lambda s: concerned(c, n, s) & ~c.state[s].isin(*RESTING)
            ),
            protocol.FROZEN_SERVICES: lambda c, n: some(
                service, lambda s: concerned(c, n, s) & (c.state[s] == "freeze")
            ),
            protocol.QUIET: lambda c, n: every(service, lambda s: ~concerned(c, n, s) | rests(c, n, s)),
            protocol.NOTHING_GUARDED: lambda c, n: every(service, lambda s: unguarded(c, n, s)),
            protocol.SETTLED: lambda c, n: every(
                service, lambda s: ~(c.at[s] == n) | rests(c, n, s) | c.state[s].isin(*LEAVING)
            ),
            protocol.DISARM_ASKED: lambda c, n: c.disarm.isin("disarming", "disarmed"),
            protocol.POLICY_FREEZE: lambda c, n: TRUE if policy == "freeze" else FALSE,
            protocol.POLICY_MIGRATE: lambda c, n: TRUE if policy == "migrate" else FALSE,
            protocol.LOCK_LEFT: lambda c, n: c.lock[n] == "lrm",
            protocol.JOB_READY: lambda c, n: possibly(some(service, lambda s: self.job_ready(c, n, s))),
            protocol.STOP_READY: lambda c, n: possibly(some(service, lambda s: self.stop_ready(c, n, s))),
            protocol.IDLE_LONG: lambda c, n: possibly(self._idle(c, n)),
            protocol.ACCEPTED: lambda c, n: c.accepted[n],
            protocol.WORKERS: lambda c, n: some(service, lambda s: c.worker[n, s] != "none"),
            protocol.RELEASE_TOLD: lambda c, n: c.told[n],
            protocol.ROUND_LATE: lambda c, n: UNKNOWN,
            protocol.RESULTS_NEW: lambda c, n: some(service, lambda s: c.outcome[n, s] != "none"),
            protocol.ALL_STOPPED: lambda c, n: every(service, lambda s: ~(c.at[s] == n) | c.halted[n, s]),
            GRANTED: lambda c, n: c.call[n] == "granted",
            MAINTENANCE_ASKED: lambda c, n: c.maintained[n],
            RESTART_ASKED: lambda c, n: c.want[n] == "restart",
            SHUTDOWN_ASKED: lambda c, n: c.want[n] == "shutdown",
        }
        for fact, mode in MODES_SEEN.items():
            known[fact] = lambda c, n, mode=mode: c.mode[n] == mode
        return known

    def _idle(self, c: Context, n: Expr) -> Expr:
        if not self.slice.has("idle"):
            return FALSE
        return every(self.dims.service, lambda s: ~concerned(c, n, s) & (c.worker[n, s] == "none"))

    # ------------------------------------------------------------------------------------------------------- jobs

    def job_ready(self, c: Context, n: Expr, s: Expr) -> Expr:
        """A record of this node asks for a worker."""
        return any_of(self._asks(c, n, s, kind) for kind in (*dict.fromkeys(KIND_OF.values()), "watch"))

    def _asks(self, c: Context, n: Expr, s: Expr, kind: str) -> Expr:
        here = (c.at[s] == n) & (c.worker[n, s] == "none") & (c.outcome[n, s] == "none")
        if kind == "watch" and not self.slice.has("dies"):
            return FALSE
        if kind == "watch":
            return here & (c.state[s] == "started") & (c.answer[s] == "success")
        states = [state for state, its in KIND_OF.items() if its == kind]
        guarded = TRUE
        if kind == "migrate":
            guarded = some(self.dims.node, lambda m: (c.target[s] == m) & self.guards(c, m))
        return here & c.state[s].isin(*states) & guarded & ((c.answer[s] == "none") | (c.state[s] == "stopped"))

    @staticmethod
    def guards(c: Context, m: Expr) -> Expr:
        """As others see it: the node's LRM owns its lock, and is in a mode in which it guards what comes to it."""
        return (c.lock[m] == "lrm") & c.mode[m].isin("active", "maintenance", "restart", "disarm")

    def stop_ready(self, c: Context, n: Expr, s: Expr) -> Expr:
        return (c.at[s] == n) & ~c.halted[n, s] & (c.worker[n, s] == "none")

    def _choices(self) -> dict[Action, Choice]:
        def jobs(_: Context) -> Iterator[tuple[str, Mapping[str, Domain], Effect]]:
            for kind in (*dict.fromkeys(KIND_OF.values()), "watch"):

                def choose(c: Context, n: Expr, s: Expr, kind: str = kind) -> None:
                    c.when(self._asks(c, n, s, kind))
                    self._note(c, n, s, kind)

                yield kind, {"s": self.dims.service}, choose

        def halts(_: Context) -> Iterator[tuple[str, Mapping[str, Domain], Effect]]:
            def choose(c: Context, n: Expr, s: Expr) -> None:
                c.when(self.stop_ready(c, n, s))
                self._note(c, n, s, "halt")

            yield "", {"s": self.dims.service}, choose

        return {protocol.CHOOSE_JOB: Choice(jobs), protocol.CHOOSE_STOP: Choice(halts)}

    @staticmethod
    def _note(c: Context, n: Expr, s: Expr, kind: str) -> None:
        c.job[n] = s
        c.job_kind[n] = kind
        c.job_current[n] = kind != "halt"  # which has a uid of its own

    def _saying(self, mode: str) -> Effect:
        def say(c: Context, n: Expr) -> None:
            c.say[n] = mode

        return say

    # ---------------------------------------------------------------------------------------------------- effects

    def effects(self) -> Mapping[Action, Sequence[Outcome]]:
        asked = [*self._asked(), Outcome(" (refused)", _refuse, Way.REFUSED)]
        return {
            protocol.OPEN_WATCHDOG: [Outcome("", self._open), Outcome(" (refused)", self._open_refused)],
            protocol.KEEP_ALIVE: [Outcome("", self._keep), Outcome(" (refused)", self._keep_refused)],
            protocol.CLOSE_WATCHDOG: [Outcome("", self._close), Outcome(" (too late)", self._close_late)],
            protocol.TAKE_LOCK: asked,
            protocol.RENEW_LOCK: asked,
            protocol.RELEASE_LOCK: [
                Outcome("", self.release),
                Outcome(" (lost)", lambda c, n: None, Way.REFUSED),
                *([Outcome(" (late)", self._release_late, Way.LATE)] if self.slice.has("late") else []),
            ],
            protocol.PUBLISH: [
                *self._published(),
                Outcome(" (refused)", self._publish_refused, Way.REFUSED),
                *([Outcome(" (late)", self._publish_late, Way.LATE)] if self.slice.has("late") else []),
            ],
            protocol.SPAWN_WORKER: [Outcome("", self._spawn)],
        }

    def _open(self, c: Context, n: Expr) -> None:
        c.when(~c.armed[n])
        c.armed[n] = True
        c.dog[n] = later(after(self.dims.watchdog), self.dims.reset)
        c.accepted[n] = True

    def _open_refused(self, c: Context, n: Expr) -> None:
        c.when(c.armed[n] if not self.slice.has("refuse") else TRUE)
        c.accepted[n] = False

    def _movable(self, c: Context, n: Expr) -> Expr:
        """The multiplexer still takes word from this client: its deadline lies ahead."""
        return c.armed[n] & ~c.doomed[n] & ahead(c.dog[n], self.dims.reset)

    def _keep(self, c: Context, n: Expr) -> None:
        c.when(self._movable(c, n), ahead(c.sent[n]))
        c.dog[n] = later(c.sent[n], self.dims.reset)
        c.accepted[n] = True
        c.sent[n] = OFF
        self.spells.deadline_moved(c, n)

    def _keep_refused(self, c: Context, n: Expr) -> None:
        c.when(~(self._movable(c, n) & ahead(c.sent[n])) if not self.slice.has("refuse") else TRUE)
        c.accepted[n] = False
        c.sent[n] = OFF

    def _close(self, c: Context, n: Expr) -> None:
        c.when(self._movable(c, n) | ~c.armed[n])
        c.armed[n] = False
        c.dog[n] = OFF

    def _close_late(self, c: Context, n: Expr) -> None:
        c.when(c.armed[n] & ~self._movable(c, n))

    def _take(self, c: Context, n: Expr) -> None:
        c.lock[n] = "lrm"
        c.lease[n] = after(self.dims.lock)
        self._lock_written(c, n)

    def _take_granted(self, c: Context, n: Expr) -> None:
        self._take(c, n)
        _grant(c, n)
        c.mine[n] = True
        c.sent[n] = after(self.dims.watchdog)
        self.spells.renewal_granted(c, n)

    def _asked(self) -> Iterator[Outcome]:
        def unanswered(c: Context, n: Expr) -> None:
            self._take(c, n)
            _refuse(c, n)
            c.mine[n] = False

        yield Outcome("", self._take_granted)
        if self.slice.has("unanswered"):
            yield Outcome(" (unanswered)", unanswered, Way.UNANSWERED)

    def release(self, c: Context, n: Expr) -> None:
        c.lock[n] = "free"
        c.lease[n] = OFF
        c.mine[n] = False
        self._lock_written(c, n)

    def _release_late(self, c: Context, n: Expr, checked: bool) -> None:
        c.late[n] = "release"
        c.late_valid[n] = True
        c.late_checked[n] = checked

    def _lock_written(self, c: Context, n: Expr) -> None:
        """Whoever relied on the lock as it was relies on it no more."""
        c.lock_seen[:] = lambda m: c.lock_seen[m] & ~relied_upon(c, m, n)
        c.untouched[:, n] = False
        c.late_valid[n] = c.late_valid[n] & (c.late[n] != "release")

    def _published(self) -> Iterator[Outcome]:
        def answered(c: Context, n: Expr) -> None:
            self._publish(c, n)
            c.outcome[n, :] = "none"
            c.told[n] = c.say[n].isin(*RELEASES) | ((c.say[n] == "same") & c.mode[n].isin(*RELEASES))
            _grant(c, n)

        def unanswered(c: Context, n: Expr) -> None:
            self._publish(c, n)
            c.told[n] = False
            _refuse(c, n)

        yield Outcome("", answered)
        if self.slice.has("unanswered"):
            yield Outcome(" (unanswered)", unanswered, Way.UNANSWERED)

    def _publish(self, c: Context, n: Expr) -> None:
        asks = c.say[n].isin(*RELEASES)
        c.when(~asks | (c.gen[n] < self.slice.generations))
        c.mode[n] = spoken(c, n)
        c.gen[n] = ite(asks, c.gen[n].next(), c.gen[n])
        c.answer[:] = lambda s: ite((c.at[s] == n) & (c.outcome[n, s] != "none"), c.outcome[n, s], c.answer[s])
        c.say[n] = "same"
        c.late_valid[n] = c.late_valid[n] & (c.late[n] == "release")

    def _publish_refused(self, c: Context, n: Expr) -> None:
        c.say[n] = "same"
        c.told[n] = False
        _refuse(c, n)

    def _publish_late(self, c: Context, n: Expr, checked: bool) -> None:
        c.when(c.say[n] != "same")
        c.late[n] = all_modes(c, n)
        c.late_valid[n] = True
        c.late_checked[n] = checked
        self._publish_refused(c, n)

    def _spawn(self, c: Context, n: Expr) -> None:
        for_it = self.dims.service

        def is_job(s: Expr) -> Expr:
            return c.job[n] == s

        c.when(some(for_it, is_job))
        c.worker[n, :] = lambda s: ite(is_job(s), "begin", c.worker[n, s])
        c.kind[n, :] = lambda s: ite(is_job(s), c.job_kind[n], c.kind[n, s])
        c.current[n, :] = lambda s: ite(is_job(s), c.job_current[n], c.current[n, s])
        c.halted[n, :] = lambda s: c.halted[n, s] & ~is_job(s)
        c.by_hand[:] = lambda s: c.by_hand[s] & ~is_job(s)
        c.job[n] = None
        c.job_kind[n] = "start"
        c.job_current[n] = False


def relied_upon(c: Context, m: Expr, n: Expr) -> Expr:
    """A master rests on a node's lock as it was read: it is about to take it, or holds it for fencing."""
    return (c.about[m] == n) & ((c.crm[m] == "master.fencing") | (c.lock[n] == "fencing"))


def spoken(c: Context, n: Expr) -> Expr:
    """The mode that a publication writes."""
    mode: Expr = c.mode[n]
    for value in SAYS.values():
        mode = ite(c.say[n] == value, value, mode)
    return mode


def all_modes(c: Context, n: Expr) -> Expr:
    """What is to be said, as a request on its way."""
    late: Expr = c.late[n]
    for value in SAYS.values():
        late = ite(c.say[n] == value, value, late)
    return late


def _grant(c: Context, n: Expr) -> None:
    c.call[n] = "granted"


def _refuse(c: Context, n: Expr) -> None:
    c.call[n] = "refused"


def _forget_call(c: Context, n: Expr) -> None:
    c.call[n] = "none"


def _forget_acceptance(c: Context, n: Expr) -> None:
    c.accepted[n] = False
