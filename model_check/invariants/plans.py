"""The argument about masters: what they have decided stays true until it is written, or is not written."""

from __future__ import annotations

from itertools import chain

from hacore.protocol.service import MOVED_LIVE
from hacore.protocol.tables import TABLES
from model_check.invariants.words import (
    HOLDING,
    acknowledged,
    decided,
    ended,
    firm,
    late_release,
    newly_here,
    per_manager_node,
    per_node,
    per_plan,
    starts,
)
from model_check.lang import Context, Expr, all_of, every, implies, passed
from model_check.properties import Property
from model_check.world.fields import Dimensions
from model_check.world.records import placed

THAWS = ("service.freeze.thaw", "service.freeze.thaw_stop")
TAKEN_ON = ("service.new.balance", "service.new.start", "service.new.stop")
PLACED_ROWS = tuple(row.id for row in TABLES["service"].rows if placed(row))
LIVE_ROWS = tuple(
    row.id for row in TABLES["service"].rows if "migrate" in (row.state, row.target) or MOVED_LIVE in row.guard.facts()
)
ARRIVALS = tuple(
    f"service.{state}.{way}" for state in ("request_start_balance", "relocate") for way in ("done", "done_stop")
)


def plan_matches(c: Context, dims: Dimensions) -> Expr:
    """For each row that may be planned: the record is in the state that the row leaves."""

    by_state = rows_by_state("service")

    def begins(m: Expr, state: str) -> Expr:
        valid = c.token[m] & c.basis[m] & c.plan[m].isin(*by_state[state])
        return every(dims.service, lambda s: implies(valid & (c.about_service[m] == s), c.state[s] == state))

    def fits_plan(m: Expr) -> Expr:
        about = implies(c.plan[m].isin(*chain(*by_state.values())), ~c.about_service[m].is_none())
        return all_of(begins(m, state) for state in by_state) & about

    return every(dims.manager, fits_plan)


def rows_by_state(table: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in TABLES[table].rows:
        found.setdefault(row.state, []).append(row.id)
    return found


IN_PLANS = (
    Property(
        "OneToken",
        "At most one CRM holds the current token.",
        lambda c, d: every(d.manager, lambda m: every(d.manager, lambda k: (m == k) | ~c.token[m] | ~c.token[k])),
    ),
    Property("NoStaleWrite", "Nobody without the token has written.", lambda c, d: ~c.stale_write),
    Property(
        "PlanHeld",
        "A plan, and what it rests on, is held only by a master about to write it.",
        lambda c, d: every(
            d.manager,
            lambda m: (
                implies(c.plan[m] != "none", c.crm[m] == "master.writing")
                & implies(c.lock_seen[m], c.crm[m].isin("master.writing", "master.fencing"))
                & implies(c.basis[m], c.crm[m].isin("master.writing", "master.fencing", "master.claiming"))
                & implies(c.crm[m].isin("master.fencing", "master.claiming"), c.plan[m] == "none")
                & implies(c.plan[m] == "none", c.read_gen[m] == 0)
                & implies(c.plan[m].isin(*PLACED_ROWS), ~c.dest[m].is_none())
            ),
        ),
    ),
    Property("PlanMatches", "A plan that would take effect begins in the state that its record has.", plan_matches),
    Property(
        "PlanThaw",
        "What a master is about to thaw is shielded if it runs, and not released.",
        per_plan(
            lambda c, d, m, n, s: implies(
                decided(c, m, s, *THAWS) & (c.at[s] == n),
                ~acknowledged(c, n, s) & (firm(c, n) | ~(c.runs[n, s] | starts(c, n, s))),
            )
        ),
    ),
    Property(
        "PlanAcknowledge",
        "Who is about to acknowledge anew is not about to take an acknowledgement back.",
        per_plan(
            lambda c, d, m, n, s: implies(
                decided(c, m, s, "service.freeze.acknowledge") & (c.at[s] == n), c.ack[s] < c.gen[n]
            )
        ),
    ),
    Property(
        "PlanTakenOn",
        "What a master is about to take on is shielded if it runs.",
        per_plan(
            lambda c, d, m, n, s: implies(
                decided(c, m, s, *TAKEN_ON) & (c.at[s] == n),
                (firm(c, n) | ~c.runs[n, s]) & ~c.by_hand[s] & (c.answer[s] != "none"),
            )
        ),
    ),
    Property(
        "PlanEnded",
        "What a master is about to call stopped, or to place elsewhere, has ended.",
        per_plan(
            lambda c, d, m, n, s: implies(decided(c, m, s, "service.request_stop.done", *ARRIVALS), ended(c, d, s))
        ),
    ),
    Property(
        "PlanFenced",
        "Who is about to write recovery holds the evidence.",
        per_plan(
            lambda c, d, m, n, s: implies(
                decided(c, m, s, "service.fence.fenced") & (c.at[s] == n),
                (c.lock[n] == "fencing") & (c.about[m] == n),
            )
        ),
    ),
    Property(
        "PlanFree",
        "Who is about to free a node's lock holds it.",
        per_manager_node(
            lambda c, d, m, n: implies(
                c.token[m] & c.basis[m] & c.lock_seen[m] & (c.plan[m] == "node.fence.done") & (c.about[m] == n),
                c.lock[n] == "fencing",
            )
        ),
    ),
    Property(
        "FencingLook",
        "Who is about to take a node's lock for fencing has seen it free, or unchanged for its lifetime.",
        per_manager_node(
            lambda c, d, m, n: implies(
                c.token[m] & c.basis[m] & c.lock_seen[m] & (c.crm[m] == "master.fencing") & (c.about[m] == n),
                (c.lock[n] == "free") | passed(c.lease[n]),
            )
        ),
    ),
    Property(
        "Untouched",
        "Whose lock nobody has written since the power-off was asked for, that node's LRM owned it then.",
        per_manager_node(lambda c, d, m, n: implies(c.untouched[m, n], c.lock[n] == "lrm")),
    ),
    Property(
        "PoweredOff",
        "Where a node was verified to be off, and nobody has written its lock since before that was asked for, no LRM "
        "holds it, and at most what is new runs there.",
        per_plan(
            lambda c, d, m, n, s: implies(
                (c.power[m, n] == "off") & c.untouched[m, n],
                ~c.lrm[n].isin(*HOLDING)
                & ~((c.lrm[n] == "wait.asked") & (c.call[n] == "granted"))
                & (c.worker[n, s] == "none")
                & ~starts(c, n, s)
                & (~c.runs[n, s] | newly_here(c, n, s)),
            )
        ),
    ),
    Property(
        "ClaimingLook",
        "Who is about to take the lock of a node that is off has had it verified.",
        per_manager_node(
            lambda c, d, m, n: implies((c.crm[m] == "master.claiming") & (c.about[m] == n), c.power[m, n] == "off")
        ),
    ),
    Property(
        "LateRelease",
        "While a release is on its way, its LRM does not count on the lock.",
        per_node(
            lambda c, d, n: implies(
                late_release(c, n),
                ~c.lrm[n].isin(*HOLDING) & ~((c.lrm[n] == "wait.asked") & (c.call[n] == "granted")),
            )
        ),
    ),
    Property(
        "NothingMovesLive",
        "No service moves while it runs: no type of this version can.",
        lambda c, d: (
            every(
                d.service,
                lambda s: (
                    ~(c.state[s] == "migrate")
                    & implies(c.state[s] == "fence", c.target[s].is_none())
                    & every(d.node, lambda n: ~(c.kind[n, s] == "migrate") & ~(c.job_kind[n] == "migrate"))
                ),
            )
            & every(d.manager, lambda m: ~c.plan[m].isin(*LIVE_ROWS))
        ),
    ),
)
