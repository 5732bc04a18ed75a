"""What the names of the CRM's table mean in the model.

No timing is asked of the manager lock: any CRM may take it at any moment, because the fencing token alone keeps a stale
master from doing harm. What a master has decided and not yet written is its plan (:mod:`model_check.world.records`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hacore.protocol import crm as protocol
from hacore.protocol.vocabulary import GRANTED, RESTART_ASKED, SHUTDOWN_ASKED
from model_check.lang import FALSE, OFF, TRUE, Context, Domain, Expr, passed, some
from model_check.world.fields import Dimensions
from model_check.world.records import Records
from model_check.world.rows import UNKNOWN, Choice, Effect, Outcome, Reader, Way
from model_check.world.slices import Slice
from model_check.world.spells import Spells


class CrmReader:
    """Builds the :class:`Reader` of one world's CRMs."""

    def __init__(self, dims: Dimensions, slice_: Slice, spells: Spells, records: Records) -> None:
        self.dims, self.slice, self.spells, self.records = dims, slice_, spells, records

    def reader(self) -> Reader:
        refused = Outcome(" (refused)", _refuse, Way.REFUSED)
        return Reader(
            table="crm",
            pc="crm",
            over={"m": self.dims.manager},
            facts={
                protocol.FIT: lambda c, m: UNKNOWN,
                protocol.RETIRE_DUE: lambda c, m: UNKNOWN if self.slice.has("retire") else FALSE,
                protocol.CHANGES: lambda c, m: UNKNOWN,
                protocol.FENCE_DUE: lambda c, m: UNKNOWN,
                protocol.POWERED_OFF: lambda c, m: UNKNOWN if self.slice.has("power") else FALSE,
                protocol.POWER_DUE: lambda c, m: UNKNOWN if self.slice.has("power") else FALSE,
                protocol.LOCK_EXPIRED: self.spells.lock_expired,
                GRANTED: lambda c, m: c.granted[m],
                RESTART_ASKED: lambda c, m: FALSE,
                SHUTDOWN_ASKED: lambda c, m: FALSE,
            },
            local={
                protocol.CHOOSE_CHANGES: Choice(self.records.plans),
                protocol.CHOOSE_NODE: Choice(self._nodes_to_fence),
                protocol.CHOOSE_POWERED_OFF: Choice(self._nodes_powered_off),
                protocol.CHOOSE_TO_POWER_OFF: Choice(self._nodes_to_power_off),
                protocol.FORGET: _forget_plan,
            },
            effects={
                protocol.TAKE_MANAGER_LOCK: [Outcome("", self._take), refused],
                protocol.RENEW_MANAGER_LOCK: [Outcome("", _grant), refused],
                protocol.RELEASE_MANAGER_LOCK: [Outcome("", self._release), refused],
                protocol.WRITE_CHANGES: [*self._writings(), Outcome(" (refused)", _unwritten, Way.REFUSED)],
                protocol.POWER_OFF: [Outcome("", _power_off)],
                protocol.TAKE_AGENT_LOCK: [*self._takings(), Outcome(" (refused)", _untaken, Way.REFUSED)],
            },
            store={
                protocol.MANAGER_LOCK_SEEN: lambda c, m: TRUE,
                protocol.TOKEN_CURRENT: lambda c, m: c.token[m],
                protocol.BASIS_CURRENT: lambda c, m: c.basis[m] & c.lock_seen[m],
                protocol.MARK_WRITTEN: lambda c, m: c.basis[m],
                protocol.AGENT_LOCK_SEEN: lambda c, m: c.lock_seen[m],
                protocol.LOCK_UNTOUCHED: lambda c, m: some(
                    self.dims.node, lambda n: (c.about[m] == n) & c.untouched[m, n]
                ),
            },
            blind=self.spells.masters,
            forget={GRANTED: _forget_grant},
        )

    def _nodes_to_fence(self, _: Context) -> Iterator[tuple[str, Mapping[str, Domain], Effect]]:
        def choose(c: Context, m: Expr, n: Expr) -> None:
            c.when(c.node_state[n] == "fence", ~(c.lock[n] == "fencing"))
            c.when((c.lock[n] == "free") | passed(c.lease[n]))
            c.about[m] = n
            c.basis[m] = True
            c.lock_seen[m] = True

        yield "", {"n": self.dims.node}, choose

    def _nodes_powered_off(self, _: Context) -> Iterator[tuple[str, Mapping[str, Domain], Effect]]:
        def choose(c: Context, m: Expr, n: Expr) -> None:
            c.when(c.node_state[n] == "fence", ~(c.lock[n] == "fencing"), c.power[m, n] == "off")
            c.about[m] = n
            c.basis[m] = True

        yield "", {"n": self.dims.node}, choose

    def _nodes_to_power_off(self, _: Context) -> Iterator[tuple[str, Mapping[str, Domain], Effect]]:
        def choose(c: Context, m: Expr, n: Expr) -> None:
            c.when(c.node_state[n] == "fence", c.lock[n] == "lrm")
            c.when((c.power[m, n] == "none") | ~c.untouched[m, n])
            c.about[m] = n
            c.power[m, n] = "none"
            c.untouched[m, n] = True

        yield "", {"n": self.dims.node}, choose

    def _take(self, c: Context, m: Expr) -> None:
        c.token[:] = lambda k: k == m
        c.holder = m
        _grant(c, m)

    def _release(self, c: Context, m: Expr) -> None:
        c.token[:] = lambda k: FALSE
        c.holder = None
        _end_plan(c, m)

    def _writings(self) -> Iterator[Outcome]:
        for name, write in self.records.writes():

            def answered(c: Context, m: Expr, write: Effect = write) -> None:
                write(c, m=m)
                self._status_written(c, m)
                _grant(c, m)

            def unanswered(c: Context, m: Expr, write: Effect = write) -> None:
                write(c, m=m)
                self._status_written(c, m)
                _refuse(c, m)

            yield Outcome(f" {name}", answered)
            if self.slice.has("unanswered"):
                yield Outcome(f" {name} (unanswered)", unanswered, Way.UNANSWERED)

    def _status_written(self, c: Context, m: Expr) -> None:
        """Whoever has read the manager status before has read it in vain."""
        c.basis[:] = lambda k: FALSE
        c.stale_write = c.stale_write | ~c.token[m]
        _end_plan(c, m, basis=False)

    def _takings(self) -> Iterator[Outcome]:
        def taken(c: Context, m: Expr) -> None:
            n = c.about[m]
            c.lock[n] = "fencing"
            c.lease[n] = OFF
            c.mine[n] = False
            c.late_valid[n] = c.late_valid[n] & ~(c.late[n] == "release")
            c.lock_seen[:] = lambda k: c.lock_seen[k] & ~(c.about[k] == n) & ~(k == m)
            c.untouched[:, n] = False
            c.stale_write = c.stale_write | ~c.token[m]
            c.basis[m] = False
            c.about[m] = None

        def answered(c: Context, m: Expr) -> None:
            taken(c, m)
            _grant(c, m)

        yield Outcome("", answered)
        if self.slice.has("unanswered"):
            yield Outcome(" (unanswered)", taken, Way.UNANSWERED)


def _grant(c: Context, m: Expr) -> None:
    c.granted[m] = True


def _refuse(c: Context, m: Expr) -> None:
    c.granted[m] = False


def _forget_grant(c: Context, m: Expr) -> None:
    c.granted[m] = False


def _power_off(c: Context, m: Expr) -> None:
    c.power[m, c.about[m]] = "asked"
    c.about[m] = None


def _forget_plan(c: Context, m: Expr) -> None:
    _end_plan(c, m)
    c.token[m] = False


def _unwritten(c: Context, m: Expr) -> None:
    _end_plan(c, m)
    _refuse(c, m)


def _untaken(c: Context, m: Expr) -> None:
    c.basis[m] = False
    c.lock_seen[m] = False
    c.about[m] = None
    _refuse(c, m)


def _end_plan(c: Context, m: Expr, basis: bool = True) -> None:
    c.plan[m] = "none"
    c.about[m] = None
    c.about_service[m] = None
    c.dest[m] = None
    c.read_gen[m] = 0
    c.lock_seen[m] = False
    if basis:
        c.basis[m] = False
