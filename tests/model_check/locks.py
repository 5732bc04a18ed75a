"""A small protocol of locks, watchdogs and a master, for tests: no service ever runs on two nodes.

Each node has a lock with a lifetime, and a watchdog that resets the node unless it is kept alive. The master takes the
lock of a node that lets it lapse, and gives the services to others; what a master writes counts only while no other has
begun to lead. A node may restart without its services being moved: they are frozen meanwhile.

Every step has one effect outside its process, and nothing but the watchdog bounds the time between two steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from model_check.lang import (
    BOOL,
    OFF,
    Context,
    Count,
    Domain,
    Duration,
    Enum,
    Expr,
    Field,
    Model,
    Premise,
    Ref,
    Timer,
    after,
    all_of,
    any_of,
    every,
    implies,
    later,
    no_later,
    outlasts,
    passed,
)
from model_check.prove import Prover

NODE, SERVICE, CRM = Domain("Node", 2), Domain("Service", 1), Domain("Crm", 2)
PHASE = Enum("Phase", ("down", "off", "idle", "armed", "renewed", "active", "lost", "releasing"))
HOLDER = Enum("Holder", ("free", "lrm", "crm"))
STATE = Enum("State", ("started", "stopping", "stopped", "freeze", "fence", "recovery"))
MODE = Enum("Mode", ("active", "restart"))
WRITES = {
    "mark": "fence",
    "fenced": "recovery",
    "recover": "started",
    "freeze": "freeze",
    "unfreeze": "started",
    "stop": "stopping",
    "stopped": "stopped",
    "move": "started",
}
"""What a master may plan, and the state that it then writes."""
LIFETIME, WATCHDOG, MASTER = Duration("LIFETIME", 4), Duration("WATCHDOG", 2), Duration("MASTER", 2)
MOVABLE = ("started", "stopping", "stopped")

FIELDS = (
    Field("phase", PHASE, (NODE,), "down"),
    Field("armed", BOOL, (NODE,)),
    Field("dog", Timer(2), (NODE,)),
    Field("runs", BOOL, (NODE, SERVICE)),
    Field("worker", BOOL, (NODE, SERVICE)),
    # the store
    Field("holder", HOLDER, (NODE,), "free"),
    Field("until", Timer(4), (NODE,)),
    Field("at", Ref(NODE), (SERVICE,)),
    Field("state", STATE, (SERVICE,), "stopped"),
    Field("number", Count(3), (SERVICE,), 1),
    Field("frozen_by", Count(3), (SERVICE,)),
    Field("done", Count(3), (SERVICE,)),
    Field("mode", MODE, (NODE,), "active"),
    Field("restarts", Count(3), (NODE,)),
    Field("epoch", Count(3), (), 1),
    Field("led", BOOL),
    Field("lease", Timer(2)),
    # what a node remembers of it
    Field("viewed", BOOL, (NODE,)),
    Field("mine", BOOL, (NODE, SERVICE)),
    Field("seen", STATE, (NODE, SERVICE), "stopped"),
    Field("seen_number", Count(3), (NODE, SERVICE)),
    Field("seen_by", Count(3), (NODE, SERVICE)),
    Field("halted", BOOL, (NODE, SERVICE)),
    # and a master
    Field("mandate", Count(3), (CRM,)),
    Field("plan", Enum("Plan", ("none", *WRITES)), (CRM,), "none"),
    Field("about", Ref(SERVICE), (CRM,)),
    Field("goal", Ref(NODE, none=True), (CRM,), None),
    Field("frozen", Count(3), (CRM,)),
    Field("evidence", BOOL, (CRM, SERVICE)),
)


def model(*, premise: bool = True, early: bool = False) -> Model:
    """``premise``: a lock outlives two watchdogs. ``early``: a node says that it is back before it has its lock."""
    made = Model("locks", FIELDS)
    if premise:
        made.premises.append(Premise((LIFETIME,), (WATCHDOG, WATCHDOG)))
    nodes(made, early)
    masters(made)
    world(made)
    made.invariants.update(invariants(made.state()))
    return made


def prover() -> Prover:
    return Prover(model())


# -------------------------------------------------------------------------------------------------------------- words


def most(one: Expr, other: Expr) -> Expr:
    return ~(other < one)


def shielded(c: Context, n: Expr) -> Expr:
    return any_of(c.phase[n] == phase for phase in ("renewed", "active", "lost"))


def movable(c: Context, s: Expr) -> Expr:
    return any_of(c.state[s] == state for state in MOVABLE)


def told(c: Context, n: Expr, s: Expr) -> Expr:
    return all_of((c.mine[n, s], c.seen[n, s] == "started"))


def busy(c: Context, n: Expr, s: Expr) -> Expr:
    return any_of((c.runs[n, s], c.worker[n, s], told(c, n, s)))


def may_stay(c: Context, n: Expr, s: Expr) -> Expr:
    """The node may leave the service running without a watchdog: its current wish to restart is acknowledged."""
    acknowledged = c.frozen_by[s] == c.restarts[n]
    return all_of((c.state[s] == "freeze", acknowledged, c.mode[n] == "restart", c.at[s] == n))


def asked(c: Context, number: Expr, n: Expr) -> Expr:
    """The node has asked for this restart, and if it is the last one, asks for it still."""
    return most(number, c.restarts[n]) & implies(number == c.restarts[n], c.mode[n] == "restart")


def leads(c: Context, m: Expr) -> Expr:
    """What this master writes counts."""
    return all_of([c.mandate[m] == c.epoch])


def arm(c: Context, n: Expr) -> None:
    c.armed[n] = True
    c.dog[n] = after(WATCHDOG)


def disarm(c: Context, n: Expr) -> None:
    c.armed[n] = False
    c.dog[n] = OFF


def hold(c: Context, n: Expr, who: str) -> None:
    c.holder[n] = who
    c.until[n] = after(LIFETIME)


def forget(c: Context, n: Expr) -> None:
    c.viewed[n] = False
    c.mine[n, :] = False
    c.halted[n, :] = False


# -------------------------------------------------------------------------------------------------------------- nodes

Step: TypeAlias = Callable[..., None]


def nothing(c: Context, n: Expr) -> None:
    pass


def take(c: Context, n: Expr) -> None:
    c.when(c.holder[n].isin("free", "lrm") | passed(c.until[n]))
    hold(c, n, "lrm")
    forget(c, n)


def renew(c: Context, n: Expr) -> None:
    c.when(c.holder[n] == "lrm")
    hold(c, n, "lrm")


def view(c: Context, n: Expr) -> None:
    c.viewed[n] = True
    c.mine[n, :] = lambda s: c.at[s] == n
    c.seen[n, :] = lambda s: c.state[s]
    c.seen_number[n, :] = lambda s: c.number[s]
    c.seen_by[n, :] = lambda s: c.frozen_by[s]
    c.halted[n, :] = False


def fork_start(c: Context, n: Expr, s: Expr) -> None:
    c.when(told(c, n, s), ~c.worker[n, s])
    c.worker[n, s] = True


def stop(c: Context, n: Expr, s: Expr) -> None:
    c.when(c.mine[n, s], c.seen[n, s] == "stopping", ~c.worker[n, s])
    c.runs[n, s] = False
    c.halted[n, s] = True


def report(c: Context, n: Expr, s: Expr) -> None:
    c.when(c.halted[n, s])
    c.done[s] = c.seen_number[n, s]
    c.halted[n, s] = False


def ask_restart(c: Context, n: Expr) -> None:
    c.when(c.mode[n] == "active")
    c.mode[n] = "restart"


def come_back(c: Context, n: Expr) -> None:
    c.when(c.mode[n] == "restart")
    c.mode[n] = "active"
    c.restarts[n] = c.restarts[n].next()


def close(c: Context, n: Expr) -> None:
    def quiet(s: Expr) -> Expr:
        frozen = (c.seen[n, s] == "freeze") & (c.seen_by[n, s] == c.restarts[n])
        return all_of((~c.mine[n, s] | (c.seen[n, s] == "stopped") | frozen, ~c.worker[n, s]))

    c.when(c.viewed[n], every(SERVICE, quiet))
    disarm(c, n)
    forget(c, n)


def release(c: Context, n: Expr) -> None:
    c.when(c.holder[n] == "lrm")
    c.holder[n] = "free"
    c.until[n] = OFF


def nodes(made: Model, early: bool) -> None:
    def row(name: str, phases: str, target: str, body: Step, *more: Domain) -> None:
        def step(c: Context, n: Expr, **others: Expr) -> None:
            c.when(any_of(c.phase[n] == phase for phase in phases.split()))
            body(c, n, **others)
            if target:
                c.phase[n] = target

        made.add(name, step, {"n": NODE} | {domain.name[0].lower(): domain for domain in more}, row=f"lrm.{name}")

    row("boot", "off", "idle", nothing)
    row("arm", "idle", "armed", arm)
    row("take", "armed", "renewed", take)
    row("disarm", "armed", "idle", disarm)
    row("keepalive", "renewed", "active", arm)
    row("renew", "active lost", "renewed", renew)
    row("lose", "active", "lost", nothing)
    row("view", "active", "", view)
    row("fork_start", "active", "", fork_start, SERVICE)
    row("stop", "active", "", stop, SERVICE)
    row("report", "active", "", report, SERVICE)
    row("ask_restart", "active", "", ask_restart)
    row("come_back", "idle active" if early else "active", "", come_back)
    row("close", "active", "releasing", close)
    row("release", "releasing", "off", release)
    row("exit", "releasing", "off", nothing)


# ------------------------------------------------------------------------------------------------ masters, the world


def masters(made: Model) -> None:
    @made.action(m=CRM)
    def lead(c: Context, m: Expr) -> None:
        c.when(~c.led | passed(c.lease))
        c.led = True
        c.lease = after(MASTER)
        c.mandate[m] = c.epoch.next()
        c.epoch = c.epoch.next()
        c.plan[m] = "none"
        c.evidence[m, :] = False

    @made.action(m=CRM)
    def lead_on(c: Context, m: Expr) -> None:
        c.when(leads(c, m))
        c.lease = after(MASTER)

    @made.action(m=CRM, n=NODE)
    def fence(c: Context, m: Expr, n: Expr) -> None:
        c.when(c.plan[m] == "none", (c.holder[n] == "free") | passed(c.until[n]))
        hold(c, n, "crm")
        c.evidence[m, :] = lambda s: c.evidence[m, s] | ((c.at[s] == n) & (c.state[s] == "fence"))

    for name in WRITES:
        _plan_and_write(made, name)


def _plan_and_write(made: Model, name: str) -> None:
    def plan(c: Context, m: Expr, s: Expr, n: Expr) -> None:
        c.when(c.plan[m] == "none", _may_plan(c, m, s)[name])
        c.plan[m] = name
        c.about[m] = s
        if name in ("recover", "move"):
            c.goal[m] = n
        if name == "freeze":
            c.frozen[m] = c.restarts[c.at[s]]

    def write(c: Context, m: Expr) -> None:
        s = c.about[m]
        c.when(c.plan[m] == name, leads(c, m))
        c.plan[m] = "none"
        c.state[s] = WRITES[name]
        c.number[s] = c.number[s].next()
        if name in ("recover", "move"):
            c.at[s] = c.goal[m]
        if name == "fenced":
            c.evidence[m, s] = False
        if name == "freeze":
            c.frozen_by[s] = c.frozen[m]

    made.add(f"plan_{name}", plan, {"m": CRM, "s": SERVICE, "n": NODE}, row=f"crm.plan.{name}")
    made.add(f"write_{name}", write, {"m": CRM}, row=f"crm.write.{name}")


def _may_plan(c: Context, m: Expr, s: Expr) -> dict[str, Expr]:
    at = c.at[s]
    return {
        "mark": movable(c, s),
        "fenced": c.evidence[m, s],
        "recover": c.state[s] == "recovery",
        "freeze": movable(c, s) & (c.mode[at] == "restart"),
        "unfreeze": all_of((c.state[s] == "freeze", c.mode[at] == "active", c.frozen_by[s] < c.restarts[at])),
        "stop": c.state[s] == "started",
        "stopped": (c.state[s] == "stopping") & (c.done[s] == c.number[s]),
        "move": c.state[s] == "stopped",
    }


def world(made: Model) -> None:
    @made.action(n=NODE)
    def crash(c: Context, n: Expr) -> None:
        c.phase[n] = "down"
        disarm(c, n)
        forget(c, n)
        c.runs[n, :] = False
        c.worker[n, :] = False

    @made.action(n=NODE)
    def power_on(c: Context, n: Expr) -> None:
        c.when(c.phase[n] == "down")
        c.phase[n] = "off"

    @made.action(n=NODE, s=SERVICE)
    def worker_done(c: Context, n: Expr, s: Expr) -> None:
        c.when(c.worker[n, s])
        c.worker[n, s] = False
        c.runs[n, s] = True

    def tick(c: Context) -> None:
        c.when(every(NODE, lambda n: implies(c.armed[n], outlasts(c.dog[n]))))

    made.add("tick", tick, {}, ticks=True)


# --------------------------------------------------------------------------------------------------------- invariants


def invariants(c: Context) -> dict[str, Expr]:
    """What is to be shown, ``sole_runner``, and what makes it inductive."""
    found = {name: every(NODE, holds) for name, holds in _of_nodes(c).items()}
    for name, of in _of_services_on_nodes(c).items():
        found[name] = every(NODE, lambda n, of=of: every(SERVICE, lambda s: of(n, s)))  # type: ignore[misc]
    found["frozen_by"] = every(SERVICE, lambda s: implies(c.state[s] == "freeze", asked(c, c.frozen_by[s], c.at[s])))
    found["mandates"] = every(CRM, lambda m: most(c.mandate[m], c.epoch))
    found["one_leads"] = every(CRM, lambda m: every(CRM, lambda k: implies(leads(c, m) & leads(c, k), m == k)))
    found["evidence"] = every(
        CRM,
        lambda m: every(
            NODE,
            lambda n: every(
                SERVICE,
                lambda s: implies(leads(c, m) & c.evidence[m, s], (c.state[s] == "fence") & ~busy(c, n, s)),
            ),
        ),
    )
    for name, holds in _from_plan_to_write(c).items():
        planned = _planned(c, name)
        found[f"plan_{name}"] = every(CRM, lambda m, holds=holds, planned=planned: implies(planned(m), holds(m)))  # type: ignore[misc]
    return found


def _of_nodes(c: Context) -> dict[str, Callable[[Expr], Expr]]:
    return {
        "armed_phases": lambda n: implies(shielded(c, n) | (c.phase[n] == "armed"), c.armed[n]),
        "dog_soon": lambda n: implies(c.armed[n], ~passed(c.dog[n]) & no_later(c.dog[n], after(WATCHDOG))),
        "shield": lambda n: implies(shielded(c, n), (c.holder[n] == "lrm") & no_later(c.dog[n], c.until[n])),
        "renewed": lambda n: implies(c.phase[n] == "renewed", no_later(later(c.dog[n], WATCHDOG), c.until[n])),
    }


def _of_services_on_nodes(c: Context) -> dict[str, Callable[[Expr, Expr], Expr]]:
    return {
        "sole_runner": lambda n, s: every(NODE, lambda k: implies(c.runs[n, s] & c.runs[k, s], n == k)),
        "run_assigned": lambda n, s: implies(c.runs[n, s], c.at[s] == n),
        "worker_assigned": lambda n, s: implies(c.worker[n, s], (c.at[s] == n) & shielded(c, n)),
        "told_assigned": lambda n, s: implies(told(c, n, s), c.at[s] == n),
        "view_shielded": lambda n, s: implies(c.mine[n, s], shielded(c, n) & c.viewed[n]),
        "run_protected": lambda n, s: implies(c.runs[n, s], shielded(c, n) | may_stay(c, n, s)),
        "idle_states": lambda n, s: implies(c.state[s].isin("stopped", "recovery"), ~busy(c, n, s)),
        "stop_done": lambda n, s: implies((c.state[s] == "stopping") & (c.done[s] == c.number[s]), ~busy(c, n, s)),
        "halted_idle": lambda n, s: implies(
            c.halted[n, s], c.mine[n, s] & (c.seen[n, s] == "stopping") & ~c.runs[n, s] & ~c.worker[n, s]
        ),
        "numbers": lambda n, s: (
            most(c.done[s], c.number[s]) & implies(c.mine[n, s], most(c.seen_number[n, s], c.number[s]))
        ),
        "view_current": lambda n, s: implies(
            c.mine[n, s] & (c.seen_number[n, s] == c.number[s]), (c.seen[n, s] == c.state[s]) & (c.at[s] == n)
        ),
        "view_covers": lambda n, s: implies(c.viewed[n] & (c.runs[n, s] | c.worker[n, s]), c.mine[n, s]),
        "seen_stopped": lambda n, s: implies(
            c.mine[n, s] & (c.seen[n, s] == "stopped"), ~c.runs[n, s] & ~c.worker[n, s]
        ),
        "seen_frozen": lambda n, s: implies(
            c.mine[n, s] & (c.seen[n, s] == "freeze"),
            most(c.seen_by[n, s], c.restarts[n]) & implies(c.seen_by[n, s] == c.restarts[n], may_stay(c, n, s)),
        ),
    }


def _planned(c: Context, name: str) -> Callable[[Expr], Expr]:
    return lambda m: leads(c, m) & (c.plan[m] == name)


def _from_plan_to_write(c: Context) -> dict[str, Callable[[Expr], Expr]]:
    """What stays true from a decision to its writing."""

    return {
        "mark": lambda m: movable(c, c.about[m]),
        "fenced": lambda m: c.evidence[m, c.about[m]] & (c.state[c.about[m]] == "fence"),
        "recover": lambda m: (c.state[c.about[m]] == "recovery") & (c.goal[m] != None),  # noqa: E711 - symbolic
        "freeze": lambda m: movable(c, c.about[m]) & asked(c, c.frozen[m], c.at[c.about[m]]),
        "unfreeze": lambda m: (
            (c.state[c.about[m]] == "freeze") & (c.frozen_by[c.about[m]] < c.restarts[c.at[c.about[m]]])
        ),
        "stop": lambda m: c.state[c.about[m]] == "started",
        "stopped": lambda m: (c.state[c.about[m]] == "stopping") & every(NODE, lambda n: ~busy(c, n, c.about[m])),
        "move": lambda m: (c.state[c.about[m]] == "stopped") & (c.goal[m] != None),  # noqa: E711 - symbolic
    }
