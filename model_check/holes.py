"""Weaker protocols, each with a hole: what would follow if one thing were done as others do it.

A hole is our own tables with some rows exchanged, and a script: a run of them that ends in a broken promise. The rows
are the reference's where it has the hole (:mod:`hacore.protocol.reference.weak`).
:mod:`model_check.why` says for which durations there is such a run, and the explorer finds one by itself. What is
exchanged is the least that makes the hole: where hacore closes it more than once, all of that is taken out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from hacore.protocol import crm, lrm, service
from hacore.protocol.reference import weak
from hacore.protocol.reference.weak import Rows, without_given
from hacore.protocol.table import ALWAYS, Row, State, Table
from hacore.protocol.tables import TABLES
from hacore.protocol.vocabulary import FENCED
from model_check.lang import Model
from model_check.meanings import believed, own_moment, short_pause, unmarked, watched_master
from model_check.properties import add_safety
from model_check.script import Script
from model_check.world import world
from model_check.world.fields import Dimensions
from model_check.world.slices import Slice


@dataclass(frozen=True)
class Hole:
    """A weaker protocol, or our own where durations alone make the hole."""

    name: str
    sentence: str
    """What is weaker, and what follows."""
    ours: str
    """What hacore does instead."""
    script: Script
    possible: str
    """For which durations the script is a run."""
    slice: Slice
    """In which the explorer finds a run, its durations being such that there is one."""
    tables: Mapping[str, Table] = field(default_factory=dict)
    """Those that are changed."""
    change: Callable[[Model, Dimensions], None] | None = None
    """What no table says: other meanings."""
    breaks: str = "SingleOwner"
    """The property that fails soonest; in the end the service runs on two nodes."""
    begin: int = 0
    """After so many steps of the script the explorer may begin, and find the rest soon."""

    def model(self) -> Model:
        """The closed model of the weaker protocol, with the safety properties."""
        model, dims = world(self.slice, {**TABLES, **self.tables}), Dimensions.of(self.slice)
        if self.change:
            self.change(model, dims)
        add_safety(model, dims)
        return model

    def timed(self) -> Hole:
        """The same, where time passes."""
        return replace(self, slice=replace(self.slice, happens=self.slice.happens | {"lapse"}))


# ------------------------------------------------------------------------------------------------------ substitutions

LRM, CRM, SERVICE = lrm.LRM, crm.CRM, service.SERVICE


def substituted(table: Table, rows: Rows, *states: State) -> dict[str, Table]:
    """The table with some rows replaced by others, or left out: (), and perhaps more states. By its name."""
    return {table.name: table.substituted(rows, *states)}


LOCK_FIRST = substituted(LRM, weak.LOCK_FIRST)
NO_SECOND_LOOK = substituted(
    LRM,
    {
        "lrm.wait.needed": replace(LRM.by_id["lrm.wait.needed"], do=(lrm.CHOOSE_JOB,)),
        "lrm.wait.granted": (
            replace(LRM.by_id["lrm.wait.granted"], target="wait.fed"),
            Row("lrm.wait.guarded", "wait.fed", lrm.ACCEPTED, "active.spawning"),
            Row("lrm.wait.too_late", "wait.fed", ALWAYS, "lost.resting"),
        ),
    },
    State("wait.fed", "The multiplexer has answered whether it took the new deadline.", "active"),
)
BOAST = substituted(LRM, weak.BOAST)
ANY_FREEZE = substituted(LRM, weak.ANY_FREEZE)
MARK_IN_MEMORY = {
    **substituted(
        SERVICE,
        {"service.started.lost": Row("service.started.lost", "started", service.NODE_LOST & FENCED, "recovery")},
    ),
    "lrm": without_given(LRM, {"lrm.wait.ask": (lrm.LOCK_AVAILABLE,), "lrm.lost.ask": (lrm.LOCK_AVAILABLE,)}),
    "crm": without_given(CRM, weak.UNMARKED),
}
BLIND_RELEASE = {"lrm": without_given(LRM, weak.BLIND_RELEASE)}
ANY_POWER_OFF = {"crm": without_given(CRM, {"crm.master.take_off": (crm.LOCK_UNTOUCHED,)})}
NO_TOKEN = {"crm": without_given(CRM, weak.NO_TOKEN)}

# ------------------------------------------------------------------------------------------------------------ scripts


def lrm_does(n: int, part: str, *phases: str) -> Script:
    return tuple(f"lrm.{part}.{phase} n={n}" for phase in phases)


def guarded(n: int) -> Script:
    """Watchdog, lock, deadline, a second look, and the word that all this is done."""
    asks = lrm_does(n, "wait", "needed", "arm", "ask", "granted")
    return (*asks, *lrm_does(n, "active", "guarded", "say_active", "tell", "told"))


def lock_first(n: int) -> Script:
    asks = lrm_does(n, "wait", "needed", "ask", "arm", "armed")
    return (*asks, *lrm_does(n, "active", "say_active", "tell", "told"))


def chosen(n: int) -> Script:
    return (f"lrm.active.job start n={n} s=0",)


def begun(n: int) -> Script:
    return (f"lrm.active.spawn n={n}", f"worker.begin.start n={n} s=0")


def started(n: int) -> Script:
    return (*guarded(n), *chosen(n), *begun(n))


def elected(m: int) -> Script:
    return tuple(f"crm.wait.{phase} m={m}" for phase in ("fit", "campaign", "elected"))


def decided(row: str, about: str = "s=0", m: int = 0) -> Script:
    """A master has one thing to write, and has not written it yet."""
    return (f"crm.master.change {row} m={m} {about}",)


def written(row: str, about: str = "s=0", m: int = 0) -> Script:
    return (*decided(row, about, m), *landed(row, m))


def landed(row: str, m: int = 0) -> Script:
    return (f"crm.master.write {row} m={m}", f"crm.master.written m={m}")


MARKED: Script = (*written("service.started.lost"), *written("node.online.fence", "n=0"))
TAKEN: Script = ("crm.master.fence m=0 n=0", "crm.master.take m=0", "crm.master.taken m=0")
FENCED_0: Script = (*MARKED, *TAKEN, *written("service.fence.fenced"))
MOVED: Script = (*FENCED_0, *written("service.recovery.start", "s=0 d=1"))
"""Node 0 is taken for lost and fenced, and the service is placed on node 1."""
FREED: Script = (*written("node.fence.done", "n=0"), *written("node.unknown.online", "n=0"))
SHOT: Script = ("crm.master.shoot m=0 n=0", "crm.master.power_off m=0")
ASKED_OFF: Script = (*started(0), *elected(0), *MARKED, *SHOT)
CLAIMED: Script = ("crm.master.claim m=0 n=0", "crm.master.take_off m=0", "crm.master.taken m=0")
GIVEN_AWAY: Script = (*written("service.fence.fenced"), *written("service.recovery.start", "s=0 d=1"))
ASKS_RELEASE: Script = ("world.restart_asked n=0", *lrm_does(0, "active", "say_restart", "tell", "told"))
LEAVES: Script = lrm_does(0, "active", "leave_frozen", "leave")
UPDATED: Script = (
    *(*started(0), "worker.starting.up n=0 s=0", *ASKS_RELEASE),
    *(*elected(0), *written("service.started.freeze"), *LEAVES),
)
"""The LRM of node 0 is restarted while the service runs, is told that it is frozen, and has closed the watchdog."""
BACK: Script = ("lrm.active.exit n=0", "world.lrm_starts n=0")
STALE: Script = (*elected(0), *FENCED_0, *FREED, *decided("service.recovery.start", "s=0 d=0"))
TWO_MASTERS: Script = (
    *(*STALE, *elected(1), *written("service.recovery.start", "s=0 d=1", m=1), *started(1)),
    *(landed("service.recovery.start")[0], *started(0)),
)
"""A master is paused over what it has decided; the next one decides otherwise; then the first one's write lands."""

# -------------------------------------------------------------------------------------------------------------- holes

PAUSED = Slice("paused", "A node may be paused or cut off.", frozenset({"lapse", "suspect"}), serving=True)
SUSPECTED = replace(PAUSED, name="suspected", sentence="A node is taken for lost.", happens=frozenset({"suspect"}))
UPDATED_LRM = replace(
    SUSPECTED,
    name="updated",
    sentence="An LRM is restarted, and its node is taken for lost.",
    happens=frozenset({"suspect", "restart"}),
    generations=1,
)
SHOOTING = replace(
    SUSPECTED,
    name="powered off",
    sentence="A node is taken for lost, and its devices are to switch it off.",
    happens=frozenset({"suspect", "power"}),
)
TWO = replace(SUSPECTED, name="two masters", sentence="Two CRMs, and a node is taken for lost.", managers=2)

HOLES: tuple[Hole, ...] = (
    Hole(
        "a.order",
        "An LRM takes its lock, opens the watchdog, starts. If it is paused after the lock, the watchdog outlasts it.",
        "arms first; and the deadline counts from the request for the lock, so a pause costs nothing but time",
        (*lock_first(0), *chosen(0), *begun(0), *elected(0), *MOVED, *lock_first(1), *chosen(1), *begun(1)),
        "always",
        PAUSED,
        LOCK_FIRST,
    ),
    Hole(
        "a.pause",
        "The same, if nobody is ever paused for longer than pause_s between lock and watchdog.",
        "needs no bound on pauses",
        (*lock_first(0), *chosen(0), *begun(0), *elected(0), *MOVED, *lock_first(1), *chosen(1), *begun(1)),
        "lock_ttl_s < watchdog_s + reset_s + pause_s",
        PAUSED,
        LOCK_FIRST,
        short_pause,
    ),
    Hole(
        "a.look",
        "An LRM chooses what to start before it asks for its lock, and does not read the status again.",
        "reads the status again once it is guarded; and the store grants the lock only if the status is as it was read",
        (
            *("lrm.wait.needed start n=0 s=0", *elected(0), *MOVED, *FREED),
            *("lrm.wait.needed start n=1 s=0", *lrm_does(1, "wait", "arm", "ask", "granted", "guarded"), *begun(1)),
            *(*lrm_does(0, "wait", "arm", "ask", "granted", "guarded"), *begun(0)),
        ),
        "always",
        SUSPECTED,
        NO_SECOND_LOOK,
    ),
    Hole(
        "b",
        "An LRM says active when it comes back, before it is guarded: the master thaws what nobody guards.",
        "says active only when it is locked and armed, and takes its lock for frozen services too",
        (
            *(*UPDATED, *BACK, *lrm_does(0, "wait", "say_active", "tell"), *written("service.freeze.thaw")),
            *(*MOVED, *started(1)),
        ),
        "always",
        UPDATED_LRM,
        BOAST,
    ),
    Hole(
        "c",
        "An LRM takes any freeze for an answer: a thaw decided before its second restart lands after it has let go.",
        "numbers its requests, and only a freeze with the last number lets it go",
        (
            *(*UPDATED, *BACK, *guarded(0), *decided("service.freeze.thaw"), *ASKS_RELEASE, *LEAVES),
            *(*landed("service.freeze.thaw"), BACK[0], *MOVED, *started(1)),
        ),
        "always",
        replace(UPDATED_LRM, generations=2),
        ANY_FREEZE,
        begin=len(UPDATED),
    ),
    Hole(
        "d",
        "A master keeps the mark in memory: it takes a node's lock like any other, and recovers on what it knew.",
        "writes the mark first, which bars the LRM; never gives away a lock held for fencing but by its own write; and "
        "the store looks at that lock when recovery is written. Each of the three would do",
        (
            *(*lrm_does(0, "wait", "needed", "arm"), *elected(0), *TAKEN, *decided("service.started.lost")),
            *(*lrm_does(0, "wait", "ask", "granted"), *lrm_does(0, "active", "guarded", "say_active", "tell", "told")),
            *(*chosen(0), *begun(0), *landed("service.started.lost")),
            *(*written("service.recovery.start", "s=0 d=1"), *started(1)),
        ),
        "always",
        SUSPECTED,
        MARK_IN_MEMORY,
        unmarked,
    ),
    Hole(
        "e",
        "The store frees a lock for whoever asks: a release that was long on its way frees the lock of the next life.",
        "checks owner and token in the transaction that frees the lock",
        (
            *(*UPDATED, "lrm.active.exit (late) n=0", BACK[1], *guarded(0), *written("service.freeze.thaw")),
            *("world.late_release_arrives n=0", *MOVED, *started(1)),
        ),
        "always",
        replace(UPDATED_LRM, name="late", happens=UPDATED_LRM.happens | {"late"}),
        BLIND_RELEASE,
        begin=len(UPDATED) + 1,
    ),
    Hole(
        "f",
        "The store takes what anybody writes who once was master: two masters place one service on two nodes.",
        "checks the token of the manager lock in every write of a master",
        TWO_MASTERS,
        "always",
        TWO,
        NO_TOKEN,
        begin=len(STALE),
    ),
    Hole(
        "f.watchdog",
        "Instead of a token, a master has a watchdog; its writes may be up to write_delay_s on their way.",
        "needs no timing here: see f",
        TWO_MASTERS,
        "manager_lock_ttl_s < 2 * manager_watchdog_s + write_delay_s",
        replace(TWO, happens=frozenset({"suspect", "lapse"})),
        NO_TOKEN,
        watched_master,
        breaks="OneMaster",
    ),
    Hole(
        "power.word",
        "A master believes that a node is off because its fencing agent has come back without an error.",
        "asks the devices again, once they have switched it off; only what they say then counts",
        (*ASKED_OFF, "world.agent_says_done m=0 n=0", *CLAIMED, *GIVEN_AWAY, *started(1)),
        "always",
        SHOOTING,
        change=believed,
    ),
    Hole(
        "power.stale",
        "A node was off, and a master knows it. It does not look whether that was before the node was fenced otherwise "
        "and came back.",
        "takes the lock only if nobody has written it since before the power-off was asked for",
        (
            *(*ASKED_OFF, "world.watchdog_resets n=0", *TAKEN, "world.node_is_verified_off m=0 n=0"),
            *(*written("service.fence.fenced"), *FREED, *written("service.recovery.start", "s=0 d=0")),
            *(*lrm_does(0, "wait", "needed", "arm", "ask", "granted"), *lrm_does(0, "active", "guarded")),
            *(*chosen(0), *begun(0), *MARKED, *CLAIMED, *GIVEN_AWAY, *started(1)),
        ),
        "always",
        replace(SHOOTING, happens=SHOOTING.happens | {"lapse"}),
        ANY_POWER_OFF,
        begin=len(ASKED_OFF),
    ),
    Hole(
        "moment",
        "The watchdog's deadline counts from the keep-alive, as is usual, and not from the renewal before it.",
        "hands over the deadline that follows from when the renewal was sent",
        (*started(0), *elected(0), *MOVED, *started(1)),
        "lock_ttl_s < 2 * watchdog_s + reset_s",
        replace(PAUSED, watchdog=2, lock=3),
        change=own_moment,
    ),
    Hole(
        "short",
        "The tables are our own, and the lock lives shorter than watchdog_s + reset_s.",
        "refuses such durations (hacore timing); with longer ones there is no bad run at all (hacore prove)",
        (*started(0), *elected(0), *MOVED, *started(1)),
        "lock_ttl_s < watchdog_s + reset_s",
        replace(PAUSED, lock=1),
    ),
)
"""In the order of the argument. Each fails in its slice."""

CLOSED: tuple[Hole, ...] = (
    replace(
        next(hole for hole in HOLES if hole.name == "f"),
        name="token",
        sentence="The run of f on our own tables: a master has a token, and no timing is needed.",
        possible="impossible",
        tables={},
    ),
)
"""Runs of holes that our own tables do not allow."""
