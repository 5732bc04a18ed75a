"""The argument on a node: what runs there is shielded, or frozen, and nobody lets go of anything else."""

from __future__ import annotations

from model_check.invariants.words import (
    ASKED,
    HOLDING,
    LETTING_GO,
    ended,
    firm,
    fits,
    frozen_here,
    late_active,
    newly_here,
    per_both,
    per_node,
    per_service,
    released,
    shield,
    starts,
)
from model_check.lang import after, implies, later, no_later, passed
from model_check.properties import Property
from model_check.world.fields import RELEASES

ON_NODES = (
    # ---------------------------------------------------------------------------------------- watchdog and lock
    Property(
        "AliveInTime",
        "Whoever has a deadline lives no longer than reset_s after it.",
        per_node(lambda c, d, n: implies(c.armed[n], ~passed(c.dog[n]))),
    ),
    Property("Doomed", "Only a deadline dooms.", per_node(lambda c, d, n: implies(c.doomed[n], c.armed[n]))),
    Property(
        "Armed",
        "An LRM in a holding state has a watchdog of its own.",
        per_node(
            lambda c, d, n: implies(
                c.lrm[n].isin(*HOLDING, "wait.asked") | ((c.lrm[n] == "wait.armed") & c.accepted[n]),
                c.armed[n] & ~c.doomed[n],
            )
        ),
    ),
    Property(
        "Shield",
        "An LRM in a holding state is shielded: it ends before its lock can be taken.",
        per_node(
            lambda c, d, n: implies(
                c.lrm[n].isin(*HOLDING) | ((c.lrm[n] == "wait.asked") & (c.call[n] == "granted")), shield(c, n)
            )
        ),
    ),
    Property(
        "DeadlineNear",
        "No deadline is further ahead than watchdog_s from now.",
        per_node(
            lambda c, d, n: (
                implies(c.armed[n], no_later(c.dog[n], later(after(d.watchdog), d.reset)))
                & implies(c.lrm[n].isin(*ASKED) & (c.call[n] == "granted"), no_later(c.sent[n], after(d.watchdog)))
            )
        ),
    ),
    Property(
        "Renewed",
        "A deadline counted from a granted request would come before the lock can be taken.",
        per_node(
            lambda c, d, n: implies(
                c.lrm[n].isin(*ASKED) & (c.call[n] == "granted"), no_later(later(c.sent[n], d.reset), c.lease[n])
            )
        ),
    ),
    # ------------------------------------------------------------------------------------------- what runs where
    Property(
        "RunsAtItsNode",
        "A service runs, or is about to be started, only where its record places it.",
        per_both(lambda c, d, n, s: implies(c.runs[n, s] | starts(c, n, s), c.at[s] == n)),
    ),
    Property(
        "CurrentHere",
        "Whoever handles a record's uid is on the record's node.",
        per_both(
            lambda c, d, n, s: implies(
                (c.outcome[n, s] != "none")
                | ((c.worker[n, s] != "none") & c.current[n, s])
                | ((c.job[n] == s) & c.job_current[n]),
                c.at[s] == n,
            )
        ),
    ),
    Property(
        "KindFits",
        "Whoever handles a record's uid does what its state asks for.",
        per_both(
            lambda c, d, n, s: (
                implies((c.worker[n, s] != "none") & c.current[n, s], fits(c.kind[n, s], c.state[s]))
                & implies((c.job[n] == s) & c.job_current[n], fits(c.job_kind[n], c.state[s]))
                & implies(c.worker[n, s] == "starting", c.kind[n, s] == "start")
            )
        ),
    ),
    Property(
        "WorkersGuarded",
        "Workers have a watchdog; those whose outcome is waited for have an LRM that holds its lock.",
        per_both(
            lambda c, d, n, s: implies(
                c.worker[n, s] != "none", c.armed[n] & implies(c.current[n, s], c.lrm[n].isin(*HOLDING))
            )
        ),
    ),
    Property(
        "Jobs",
        "A job is held only by an LRM about to start its worker, and then nobody else handles the service here.",
        per_both(
            lambda c, d, n, s: (
                implies(
                    c.job[n] == s,
                    c.lrm[n].isin("active.spawning", "maintenance.spawning") & (c.worker[n, s] == "none"),
                )
                & implies(
                    (c.job[n] == s) & c.job_current[n] & ~(c.job_kind[n] == "watch") & ~(c.state[s] == "stopped"),
                    (c.outcome[n, s] == "none") & (c.answer[s] == "none"),
                )
            )
        ),
    ),
    Property(
        "RunsProtected",
        "What runs without a shield is frozen here or new here, and nobody can take it for guarded.",
        per_both(
            lambda c, d, n, s: implies(
                c.runs[n, s] | starts(c, n, s),
                firm(c, n) | frozen_here(c, n, s) | (newly_here(c, n, s) & ~starts(c, n, s)),
            )
        ),
    ),
    Property(
        "Ended",
        "What is stopped, to be started or in recovery has ended everywhere.",
        per_service(lambda c, d, s: implies(c.state[s].isin("stopped", "request_start", "recovery"), ended(c, d, s))),
    ),
    # ------------------------------------------------------------------------------------------------- letting go
    Property(
        "LettingGo",
        "An LRM about to close its watchdog has no worker, and runs only what is frozen for it.",
        per_both(
            lambda c, d, n, s: implies(
                c.lrm[n].isin(*LETTING_GO),
                (c.worker[n, s] == "none") & (~c.runs[n, s] | (released(c, n, s) & c.told[n]) | newly_here(c, n, s)),
            )
        ),
    ),
    Property(
        "NotYetHolding",
        "An LRM that has a watchdog and not yet the lock has started nothing.",
        per_both(
            lambda c, d, n, s: implies(
                (c.lrm[n] == "wait.asked") | ((c.lrm[n] == "wait.armed") & c.accepted[n]),
                (c.worker[n, s] == "none") & (~c.runs[n, s] | frozen_here(c, n, s) | newly_here(c, n, s)),
            )
        ),
    ),
    Property(
        "Freeing",
        "An LRM about to free a lock that was left behind has nothing here that is not frozen for it.",
        per_both(
            lambda c, d, n, s: implies(
                (c.lrm[n] == "wait.freeing") & (c.runs[n, s] | starts(c, n, s)),
                (released(c, n, s) & c.told[n]) | (newly_here(c, n, s) & ~starts(c, n, s)),
            )
        ),
    ),
    Property(
        "Told",
        "Who was told of a release has published it, and nothing older can arrive.",
        per_node(
            lambda c, d, n: implies(
                c.told[n], c.mode[n].isin(*RELEASES) & (c.late[n].isin("none", "release") | ~c.late_valid[n])
            )
        ),
    ),
    Property(
        "SaysActive",
        "Only a shielded LRM is about to say active.",
        per_node(lambda c, d, n: implies(c.say[n] == "active", c.lrm[n] == "active.telling")),
    ),
    Property("LateChecked", "The store checks what arrives late.", per_node(lambda c, d, n: c.late_checked[n])),
    Property(
        "Halted",
        "What was stopped for the shutdown runs no more.",
        per_both(
            lambda c, d, n, s: implies(
                c.halted[n, s], ~c.runs[n, s] & (c.worker[n, s] == "none") & implies(c.at[s] == n, ~c.by_hand[s])
            )
        ),
    ),
    Property(
        "ActiveIsGuarded",
        "Where the mode says active, or may yet, all that runs is shielded or new.",
        per_both(
            lambda c, d, n, s: implies(
                (c.runs[n, s] | starts(c, n, s)) & ((c.mode[n] == "active") | late_active(c, n)),
                firm(c, n) | newly_here(c, n, s),
            )
        ),
    ),
)
