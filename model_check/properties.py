"""What must always hold, what must be possible, and what must come about (PROTOCOL section 10).

Invariants and possibilities are formulas over the world; the same formulas are explored, proved and printed for TLC.
What must come about is in :mod:`model_check.liveness`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from model_check.lang import TRUE, Context, Expr, Model, ahead, every, implies, no_later, some
from model_check.world.fields import Dimensions

Formula = Callable[[Context, Dimensions], Expr]


@dataclass(frozen=True)
class Property:
    """A named truth, in one sentence and as a formula."""

    name: str
    sentence: str
    formula: Formula


def single_owner(c: Context, dims: Dimensions) -> Expr:
    node = dims.node
    return every(
        dims.service,
        lambda s: every(node, lambda n: every(node, lambda k: (n == k) | ~c.runs[n, s] | ~c.runs[k, s])),
    )


def fence_before_recover(c: Context, dims: Dimensions) -> Expr:
    def runs_nowhere(s: Expr) -> Expr:
        def starting(n: Expr) -> Expr:
            return (c.worker[n, s] != "none") & c.kind[n, s].isin("start", "migrate")

        return every(dims.node, lambda n: ~c.runs[n, s] & ~starting(n))

    return every(dims.service, lambda s: implies(c.state[s] == "recovery", runs_nowhere(s)))


def one_master(c: Context, dims: Dimensions) -> Expr:
    def valid(m: Expr) -> Expr:
        return c.token[m]

    alone = every(dims.manager, lambda m: every(dims.manager, lambda k: (m == k) | ~valid(m) | ~valid(k)))
    return alone & ~c.stale_write


def frozen_untouched(c: Context, dims: Dimensions) -> Expr:
    def touched(n: Expr, s: Expr) -> Expr:
        asked = (c.worker[n, s] != "none") & c.current[n, s]
        about = (c.job[n] == s) & c.job_current[n]
        return asked | about

    return every(
        dims.service,
        lambda s: implies(
            c.state[s] == "freeze",
            every(dims.node, lambda n: ~touched(n, s)) & (c.target[s].is_none()),
        ),
    )


def safe_disarm(c: Context, dims: Dimensions) -> Expr:
    def let_go(n: Expr, s: Expr) -> Expr:
        resting = (c.at[s] == n) & c.state[s].isin("freeze", "new")
        return (c.worker[n, s] == "none") & (~c.runs[n, s] | resting)

    return every(dims.node, lambda n: c.armed[n] | every(dims.service, lambda s: let_go(n, s)))


def ack_once(c: Context, dims: Dimensions) -> Expr:
    def once(n: Expr, s: Expr) -> Expr:
        busy = (c.worker[n, s] != "none") & c.current[n, s] & ~(c.kind[n, s] == "watch") & ~(c.state[s] == "stopped")
        return ~busy | ((c.outcome[n, s] == "none") & (c.answer[s] == "none"))

    return every(dims.node, lambda n: every(dims.service, lambda s: once(n, s)))


def error_untouched(c: Context, dims: Dimensions) -> Expr:
    def touched(n: Expr, s: Expr) -> Expr:
        return (c.worker[n, s] != "none") & c.current[n, s]

    return every(dims.service, lambda s: implies(c.state[s] == "error", every(dims.node, lambda n: ~touched(n, s))))


def one_place(c: Context, dims: Dimensions) -> Expr:
    def known(n: Expr, s: Expr) -> Expr:
        return (c.at[s] == n) | (c.target[s] == n)

    return every(dims.service, lambda s: every(dims.node, lambda n: ~c.runs[n, s] | known(n, s)))


def shield(c: Context, dims: Dimensions) -> Expr:
    def guarded(n: Expr) -> Expr:
        return (c.lock[n] == "lrm") & no_later(c.dog[n], c.lease[n])

    working = every(dims.node, lambda n: every(dims.service, lambda s: implies(c.worker[n, s] != "none", guarded(n))))
    return working if working is not TRUE else TRUE


SAFETY = (
    Property("SingleOwner", "No service runs on two nodes.", single_owner),
    Property(
        "FenceBeforeRecover",
        "A service is in recovery only when everything of it on every node has ended.",
        fence_before_recover,
    ),
    Property("OneMaster", "At most one CRM's writes take effect.", one_master),
    Property("FrozenUntouched", "No start, stop, move or relocation of a frozen service.", frozen_untouched),
    Property(
        "SafeDisarm",
        "Without a watchdog a node has no worker, and runs nothing but what is frozen or new there.",
        safe_disarm,
    ),
    Property("AckOnce", "A uid that has an answer is not executed again.", ack_once),
    Property("ErrorUntouched", "What is in error is not touched.", error_untouched),
    Property("OnePlace", "A service runs only where its record places it or moves it.", one_place),
)


def no_needless_reset(c: Context, dims: Dimensions) -> Expr:
    return every(dims.node, lambda n: (c.excuse[n] != "none") | ~c.armed[n] | ahead(c.dog[n], dims.reset))


NO_NEEDLESS_RESET = Property(
    "NoNeedlessReset",
    "No deadline of a node passes that was connected ever since it sent the renewal that the deadline rests on, and "
    "that no master had given up by then, as lost.",
    no_needless_reset,
)
"""Only a world with spells knows whether a node is connected: :mod:`model_check.world.spells`."""


def add_safety(model: Model, dims: Dimensions) -> None:
    """The safety properties as invariants of a model."""
    for prop in (*SAFETY, NO_NEEDLESS_RESET) if "excuse" in model.fields else SAFETY:
        model.invariants[prop.name] = prop.formula(model.state(), dims)


# ------------------------------------------------------------------------------------------------- what is possible


def is_elsewhere(c: Context, dims: Dimensions) -> Expr:
    def up(n: Expr, s: Expr) -> Expr:
        return (n != 0) & (c.at[s] == n) & (c.state[s] == "started") & c.runs[n, s]

    return some(dims.service, lambda s: some(dims.node, lambda n: up(n, s)))


def is_back(c: Context, dims: Dimensions) -> Expr:
    """Its LRM has asked for release; it guards again, and no service is frozen."""

    def guards(n: Expr) -> Expr:
        asked: Expr = ~(c.gen[n] == 0) & (c.mode[n] == "active") & (c.want[n] == "run")
        thawed = every(dims.service, lambda s: c.runs[n, s] & (c.state[s] == "started"))
        return asked & thawed & (c.lrm[n] == "active.working")

    return some(dims.node, guards) & (c.disarm == "armed")


def has_ended(c: Context, dims: Dimensions) -> Expr:
    def runs_on(n: Expr) -> Expr:
        return some(dims.service, lambda s: (c.state[s] == "freeze") & c.runs[n, s])

    return some(dims.node, lambda n: (c.lrm[n] == "exited") & ~c.armed[n] & runs_on(n))


def has_let_go(c: Context, dims: Dimensions) -> Expr:
    frozen = some(dims.service, lambda s: (c.state[s] == "freeze") & some(dims.node, lambda n: c.runs[n, s]))
    return frozen & (c.disarm == "disarmed")


def is_emptied(c: Context, dims: Dimensions) -> Expr:
    return is_elsewhere(c, dims) & some(dims.node, lambda n: c.lrm[n] == "maintenance.empty")


def is_overtaken(c: Context, dims: Dimensions) -> Expr:
    def writes(m: Expr) -> Expr:
        return c.token[m] & c.granted[m] & (c.crm[m] == "master.written")

    def believes(k: Expr) -> Expr:
        return ~c.token[k] & (c.crm[k] == "master.writing")

    return some(dims.manager, writes) & some(dims.manager, believes)


SOMETIMES = {
    prop.name: prop
    for prop in (
        Property("recovery", "A failed node's service runs on another node, guarded.", is_elsewhere),
        Property("update", "An LRM has ended, its watchdog closed, and its frozen service runs on.", has_ended),
        Property("disarm", "The cluster is disarmed, and a frozen service runs on.", has_let_go),
        Property("thaw", "An LRM that had asked for release guards again, and its services are thawed.", is_back),
        Property("move", "A service has moved to another node, and runs there, guarded.", is_elsewhere),
        Property("maintenance", "A node is empty, and its service runs elsewhere.", is_emptied),
        Property("new master", "A master has written while another still believed to be master.", is_overtaken),
    )
}
"""What must be possible, in the slices that promise it (:attr:`model_check.world.slices.Slice.shows`)."""


__all__ = ["SAFETY", "SOMETIMES", "Property", "add_safety", "some"]
