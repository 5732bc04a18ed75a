"""What must come about (PROTOCOL section 10), and who has to act for it.

Each property is of the form: whenever ``given`` holds, then ``goal`` does, then or later. The goal includes that what
the promise depends on ends (the failed node returns, a connected one is lost): so ``while`` needs no state of its own.

Nothing in the model ever has to happen. What a property relies on is listed with it, each in a sentence and as groups
of steps that are taken fairly (:class:`Fairness`); the pace of connected nodes is part of the world
(:mod:`model_check.world.spells`). Trouble, resets and whatever operators ask for are never relied on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from hacore.protocol import crm, disarm, lrm, service
from hacore.protocol.table import ALWAYS, Fact, Row, Table
from model_check.coding import Instance
from model_check.explore.live import Fairness
from model_check.ground import Ground
from model_check.lang import TRUE, Context, Expr, every, some
from model_check.properties import Formula
from model_check.world.fields import RELEASES, Dimensions
from model_check.world.slices import Slice

WHIMS = frozenset[Fact](
    {
        service.ASKED_STOP,
        service.ASKED_MIGRATE,
        service.ASKED_RELOCATE,
        service.REBALANCE,
        service.ELSEWHERE,
        service.MOVED,
        disarm.DISARM_COMMAND,
        disarm.ARM_COMMAND,
    }
)
"""What operators ask for, or placement finds better: a row that looks at it need never fire."""
GUESSED = frozenset[Fact]({crm.FIT, crm.CHANGES, crm.FENCE_DUE})
"""Of these facts the model does not say when they hold: a row that needs one fires fairly, in the strong sense."""

Groups = Callable[[Ground, Mapping[str, Table]], Iterator[Fairness]]


@dataclass(frozen=True)
class Assumption:
    """Somebody acts, again and again."""

    name: str
    sentence: str
    groups: Groups


@dataclass(frozen=True)
class Liveness:
    """Whenever ``given`` holds, ``goal`` will, if the assumptions hold."""

    name: str
    sentence: str
    slice: Slice
    given: Formula
    goal: Formula
    assuming: tuple[Assumption, ...]


# ------------------------------------------------------------------------------------------------------- assumptions


def of_world(instance: Instance, name: str, n: int | None = None) -> bool:
    return instance.action.name == name and (n is None or ("n", n) in instance.binding)


def of_daemon(instance: Instance, table: str, key: str, number: int) -> bool:
    return instance.action.row.startswith(f"{table}.") and (key, number) in instance.binding


def of_row(instance: Instance, name: str, key: str, number: int) -> bool:
    return name in (instance.action.name, instance.action.row) and (key, number) in instance.binding


def _time(*_: object) -> Iterator[Fairness]:
    yield Fairness("time", partial(of_world, name="world.time_passes"))


def _each_node(event: str, ground: Ground, _: object) -> Iterator[Fairness]:
    for n in _numbers(ground, "Node"):
        yield Fairness(f"{event} {n}", partial(of_world, name=event, n=n))


def _steps(table: str, key: str, number: int, *_: object) -> Iterator[Fairness]:
    yield Fairness(f"{table} {number}", partial(of_daemon, table=table, key=key, number=number))


def _rounds(n: int, _: object, tables: Mapping[str, Table]) -> Iterator[Fairness]:
    for rows in tables["lrm"].by_state.values():
        late = next((at for at, row in enumerate(rows) if lrm.ROUND_LATE in row.guard.facts()), len(rows))
        for row in rows[late + 1 :]:
            if row.guard is not ALWAYS:
                yield Fairness(f"{row.id} {n}", partial(of_row, name=row.id, key="n", number=n), strong=True)


def _decides(m: int, ground: Ground, tables: Mapping[str, Table]) -> Iterator[Fairness]:
    rows = {row.id: row for table in tables.values() for row in table.rows}

    def owed(name: str) -> bool:
        row, *planned = (rows[word] for word in name.split() if word in rows)
        return _looks_at(row, GUESSED) and not any(_looks_at(it, WHIMS) for it in planned)

    names = (it.action.name for it in ground.instances if of_daemon(it, "crm", "m", m))
    for name in dict.fromkeys(filter(owed, names)):
        yield Fairness(f"{name} {m}", partial(of_row, name=name, key="m", number=m), strong=True)


def _looks_at(row: Row, facts: frozenset[Fact]) -> bool:
    return not facts.isdisjoint(row.guard.facts())


def _numbers(ground: Ground, domain: str) -> range:
    return range(next(it.size for it in ground.model.domains if it.name == domain))


TIME = Assumption("time", "Time passes, unless the LRM of a connected node is owed a step.", _time)
WATCHDOG = Assumption(
    "watchdog",
    "A watchdog that may reset its node does so at last.",
    partial(_each_node, "world.watchdog_resets"),
)
INIT = Assumption("init", "An LRM that has ended is started again.", partial(_each_node, "world.lrm_starts"))


def steps_of_lrm(n: int) -> tuple[Assumption, ...]:
    """The LRM of node ``n`` lives."""
    return (
        Assumption(f"LRM {n}", f"The LRM of node {n} takes its steps.", partial(_steps, "lrm", "n", n)),
        Assumption(f"workers {n}", f"The workers of node {n} take theirs.", partial(_steps, "worker", "n", n)),
        Assumption(
            f"rounds {n}",
            f"Not every round of node {n}'s LRM is late: what it could do again and again in a round, it does at last "
            "(strong, row by row).",
            partial(_rounds, n),
        ),
    )


def steps_of_crm(m: int) -> tuple[Assumption, ...]:
    """CRM ``m`` lives."""
    return (
        Assumption(f"CRM {m}", f"CRM {m} takes its steps.", partial(_steps, "crm", "m", m)),
        Assumption(
            f"decisions {m}",
            f"What CRM {m} could decide again and again, it decides at last, operators' commands and better placement "
            "aside (strong, row by row).",
            partial(_decides, m),
        ),
    )


# -------------------------------------------------------------------------------------------------------- properties


def troubled(c: Context, dims: Dimensions) -> Expr:
    return some(dims.node, lambda n: c.trouble[n] != "none")


def too_often(c: Context, slice_: Slice) -> Expr:
    """The LRM of node 0 is about to ask for release more often than the slice allows for: there the model ends."""
    telling = c.lrm[0].isin("active.telling", "wait.telling") & c.say[0].isin(*RELEASES)
    ends: Expr = telling & (c.gen[0] == slice_.generations)
    return ends


def over(given: Formula, slice_: Slice) -> Formula:
    """It is so no longer, or a node is in trouble, or the model ends."""
    return lambda c, dims: ~given(c, dims) | troubled(c, dims) | too_often(c, slice_)


def updating(c: Context, dims: Dimensions) -> Expr:
    return some(dims.node, lambda n: c.want[n] == "restart")


def disarming(c: Context, _: Dimensions) -> Expr:
    wanted: Expr = c.disarm.isin("deferred", "disarming")
    return wanted


def has_master(c: Context, dims: Dimensions) -> Expr:
    return troubled(c, dims) | some(dims.manager, lambda m: c.token[m] & (c.crm[m] == "master.deciding"))


def frozen(c: Context, dims: Dimensions) -> Expr:
    asked: Expr = (c.want[0] != "run") | (c.disarm != "armed")
    return ~asked & some(dims.service, lambda s: c.state[s] == "freeze")


def failed(c: Context, dims: Dimensions) -> Expr:
    """Node 0 is missed, and a service of it was guarded."""

    def due(s: Expr) -> Expr:
        guarded = c.state[s].isin("started", "request_stop", "fence", "recovery")
        found: Expr = guarded & (c.at[s] == 0) & (c.trouble[0] == "missed")
        return found

    return some(dims.service, due)


def recovered(c: Context, dims: Dimensions) -> Expr:
    """Each service runs on another node, or nobody knows any more whether it may; or node 0 is back."""

    def settled(s: Expr) -> Expr:
        given_up: Expr = (c.trouble[0] != "missed") | c.state[s].isin("new", "freeze", "error")
        return given_up | some(dims.node, lambda n: (n != 0) & c.runs[n, s])

    return every(dims.service, settled)


def _slice(name: str, sentence: str, happens: str, nodes: int = 1, managers: int = 1) -> Slice:
    return Slice(
        name,
        sentence,
        frozenset(happens.split()),
        nodes=nodes,
        managers=managers,
        faulty=1,
        generations=1,
        watchdog=3,
        lock=4,
        spells=True,
    )


UPDATE = _slice(
    "update",
    "One node, whose LRM is restarted, in spells of trouble. Of other nodes it knows nothing; nothing crashes; the LRM "
    "asks for release once.",
    "lapse suspect restart",
)
DISARM = _slice("disarm", "One node; the cluster is disarmed and armed again, in spells of trouble.", "lapse disarm")
MASTERS = _slice(
    "masters", "One node, two CRMs that are killed. Time does not pass.", "suspect manager_dies", managers=2
)
FAILOVER = _slice(
    "failover", "Two nodes; the first has spells of trouble, and crashes in them.", "lapse suspect crash", nodes=2
)

ALL = (TIME, WATCHDOG, *steps_of_lrm(0), *steps_of_crm(0))
MASTER = Liveness(
    "MasterEmerges",
    "While no node is in trouble, some CRM is master, and decides, at last and again and again.",
    MASTERS,
    lambda *_: TRUE,
    has_master,
    (*steps_of_crm(0), *steps_of_crm(1)),
)
THAWED = Liveness(
    "FrozenIsThawed",
    "A frozen service of a connected node is thawed at last, if neither restart nor disarm is asked for.",
    UPDATE,
    frozen,
    over(frozen, UPDATE),
    (*ALL, INIT),
)
UPDATED = Liveness(
    "UpdateCompletes",
    "An LRM that is to be restarted is released and started again at last, while its node is connected.",
    UPDATE,
    updating,
    over(updating, UPDATE),
    (*ALL, INIT),
)
RECOVERED = Liveness(
    "FailedIsRecovered",
    "While a node is cut off and missed, what was guarded there runs on another node at last.",
    FAILOVER,
    failed,
    recovered,
    (TIME, WATCHDOG, *steps_of_lrm(1), *steps_of_crm(0)),
)
DISARMED = Liveness(
    "DisarmCompletes",
    "A disarm is complete or withdrawn at last, while all nodes are connected.",
    DISARM,
    disarming,
    over(disarming, DISARM),
    ALL,
)
ARMED = Liveness(
    "ArmedIsThawed",
    "After a disarm is withdrawn the services of connected nodes are thawed at last.",
    DISARM,
    frozen,
    over(frozen, DISARM),
    ALL,
)
QUICK = (THAWED,)
DEFAULT = (*QUICK, MASTER, UPDATED, RECOVERED, DISARMED, ARMED)
