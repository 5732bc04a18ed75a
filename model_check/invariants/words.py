"""Words of the argument: shielded, frozen here, released, decided."""

from __future__ import annotations

from collections.abc import Callable

from hacore.protocol.lrm import LRM
from model_check.lang import Context, Expr, any_of, every, no_later
from model_check.properties import Formula
from model_check.world.fields import RELEASES, Dimensions
from model_check.world.lrm import KIND_OF

HOLDING = tuple(
    state.name
    for state in LRM.states
    if state.shown in {"active", "maintenance", "lost_agent_lock"}
    and state.name
    not in {
        "active.releasing",
        "active.left",
        "maintenance.releasing",
        "maintenance.empty",
        "maintenance.waiting",
    }
)
"""States in which an LRM owns its lock, as far as it knows, and has a watchdog."""
ASKED = ("wait.asked", "active.asked", "maintenance.asked", "lost.asked")
LETTING_GO = (
    *("active.closing", "active.leaving", "maintenance.closing", "lost.leaving"),
    *("active.releasing", "active.left", "maintenance.releasing"),
)
"""About to close the watchdog, or to free the lock after it."""
STARTERS = ("start", "migrate")
"""Jobs after which a service may run where it did not."""
ENDING = ("request_stop", "relocate", "request_start_balance")
"""States in which the LRM's success says that the service does not run there any more."""


# ------------------------------------------------------------------------------------------------------- small words


def shield(c: Context, n: Expr) -> Expr:
    """The watchdog ends everything here before the lock can be taken."""
    return c.armed[n] & (c.lock[n] == "lrm") & no_later(c.dog[n], c.lease[n])


def firm(c: Context, n: Expr) -> Expr:
    """Shielded, and neither by an LRM that may yet close its watchdog, having started nothing, nor until a release that
    is on its way arrives."""
    may_close = (c.lrm[n] == "wait.asked") | ((c.lrm[n] == "wait.armed") & c.accepted[n])
    return shield(c, n) & ~may_close & ~late_release(c, n)


def late_release(c: Context, n: Expr) -> Expr:
    """A release of this node's lock may still arrive."""
    return (c.late[n] == "release") & (c.late_valid[n] | ~c.late_checked[n])


def late_active(c: Context, n: Expr) -> Expr:
    """A word ``active`` of this LRM may still arrive."""
    return (c.late[n] == "active") & (c.late_valid[n] | ~c.late_checked[n])


def starts(c: Context, n: Expr, s: Expr) -> Expr:
    """Somebody on this node is about to start it."""
    worker = (c.worker[n, s] != "none") & c.kind[n, s].isin(*STARTERS)
    return worker | ((c.job[n] == s) & c.job_kind[n].isin(*STARTERS))


def ended(c: Context, dims: Dimensions, s: Expr) -> Expr:
    """It runs nowhere, and nobody is about to start it."""
    return every(dims.node, lambda n: ~c.runs[n, s] & ~starts(c, n, s))


def frozen_here(c: Context, n: Expr, s: Expr) -> Expr:
    """Frozen, and nobody can take it for guarded."""
    return (c.at[s] == n) & (c.state[s] == "freeze") & ~(c.mode[n] == "active") & ~late_active(c, n)


def newly_here(c: Context, n: Expr, s: Expr) -> Expr:
    """Just configured, and no LRM has answered for it."""
    return (c.at[s] == n) & (c.state[s] == "new") & (c.answer[s] == "none") & (c.outcome[n, s] == "none")


def acknowledged(c: Context, n: Expr, s: Expr) -> Expr:
    """Frozen in answer to this LRM's last request for release."""
    frozen = (c.at[s] == n) & (c.state[s] == "freeze")
    return frozen & c.mode[n].isin(*RELEASES) & (c.ack[s] == c.gen[n])


def released(c: Context, n: Expr, s: Expr) -> Expr:
    """The same, and no older word can arrive."""
    return acknowledged(c, n, s) & ~late_active(c, n)


def decided(c: Context, m: Expr, s: Expr, *rows: str) -> Expr:
    """A master has one of these rows in hand for the service, and its write would take effect."""
    return c.token[m] & c.basis[m] & c.lock_seen[m] & (c.about_service[m] == s) & c.plan[m].isin(*rows)


def fits(kind: Expr, state: Expr) -> Expr:
    """A job of this kind is what the state asks for."""
    asks = (KIND_OF[name] for name in KIND_OF)
    return any_of(
        (kind == job) & state.isin(*(name for name, its in KIND_OF.items() if its == job))
        for job in dict.fromkeys(asks)
    ) | ((kind == "watch") & (state == "started"))


# --------------------------------------------------------------------------------------------------- for all of them


def per_node(body: Callable[..., Expr]) -> Formula:
    return lambda c, dims: every(dims.node, lambda n: body(c, dims, n))


def per_service(body: Callable[..., Expr]) -> Formula:
    return lambda c, dims: every(dims.service, lambda s: body(c, dims, s))


def per_both(body: Callable[..., Expr]) -> Formula:
    return lambda c, dims: every(dims.node, lambda n: every(dims.service, lambda s: body(c, dims, n, s)))


def per_plan(body: Callable[..., Expr]) -> Formula:
    return lambda c, dims: every(
        dims.manager,
        lambda m: every(dims.node, lambda n: every(dims.service, lambda s: body(c, dims, m, n, s))),
    )


def per_manager_node(body: Callable[..., Expr]) -> Formula:
    return lambda c, dims: every(dims.manager, lambda m: every(dims.node, lambda n: body(c, dims, m, n)))
