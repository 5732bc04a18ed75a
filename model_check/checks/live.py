"""Liveness: what must come about does, under stated fairness; and does not where something that it needs is lacking."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from hacore.protocol.table import Table
from hacore.protocol.tables import TABLES
from model_check.checks.explored import constants, model_of, stories_of, told
from model_check.explore import explore
from model_check.explore.live import Lasso, leads_to
from model_check.ground import Ground
from model_check.holes import substituted
from model_check.lang import Expr, Model
from model_check.liveness import MASTER, RECOVERED, THAWED, UPDATED, Liveness
from model_check.outcome import Check, Story, Verdict
from model_check.properties import NO_NEEDLESS_RESET
from model_check.world import world
from model_check.world.fields import Dimensions
from model_check.world.slices import QUICK


def live(prop: Liveness, tables: Mapping[str, Table]) -> Check:
    """Every fair run keeps the promise; otherwise one that does not, as a way to a cycle."""
    begin = time.perf_counter()
    found = search(prop, tables)
    problem, verdict = "", Verdict.PASSED
    if not found.begun:
        problem, verdict = "what it begins with never happens", Verdict.BROKEN
    elif found.lasso:
        ends = "" if found.lasso.cycle else ": in the end nothing happens any more"
        problem, verdict = f"{prop.name} does not hold{ends}", Verdict.LIVENESS
    return Check(
        group="live",
        name=prop.name,
        sentence=rests_on(prop),
        verdict=verdict,
        seconds=time.perf_counter() - begin,
        figures={"distinct states": found.states, "fair groups": found.groups, **constants(prop.slice)},
        problem=problem,
        stories=(story_of(prop, found.ground, found.lasso),) if found.lasso else (),
    )


def rests_on(prop: Liveness) -> str:
    """What is promised, where, and who has to act for it."""
    return " ".join((prop.sentence, prop.slice.sentence, "Assumed:", *(it.sentence for it in prop.assuming)))


@dataclass(frozen=True)
class Found:
    """Of one search: a fair run that breaks the promise, if there is one, and whether there was anything to keep."""

    ground: Ground
    lasso: Lasso | None
    begun: bool
    states: int
    groups: int


def search(prop: Liveness, tables: Mapping[str, Table]) -> Found:
    model, dims = world(prop.slice, tables), Dimensions.of(prop.slice)
    ground = Ground(model)
    given, goal = (ground.expression(formula(model.state(), dims)) for formula in (prop.given, prop.goal))
    explored = explore(ground, invariants=(), sometimes={"begun": ground.expression(_begun(prop, model, dims))})
    fairness = [group for it in prop.assuming for group in it.groups(ground, tables)]
    lasso = leads_to(ground, given, goal, fairness, exploration=explored)
    return Found(ground, lasso, explored.seen["begun"], explored.distinct, len(fairness))


def _begun(prop: Liveness, model: Model, dims: Dimensions) -> Expr:
    c = model.state()
    return prop.given(c, dims) & ~prop.goal(c, dims)


def story_of(prop: Liveness, ground: Ground, lasso: Lasso) -> Story:
    return Story(prop.name, prop.sentence, told(ground, lasso.prefix), told(ground, lasso.cycle))


# -------------------------------------------------------------------------------------------------------- must fail


@dataclass(frozen=True)
class Lack:
    """A promise from which something that it needs is taken away: an assumption, or rows of a table."""

    name: str
    sentence: str
    prop: Liveness
    assumption: str = ""
    rows: tuple[str, ...] = ()

    def lacking(self) -> tuple[Liveness, Mapping[str, Table]]:
        """The property and the tables without it."""
        kept = tuple(it for it in self.prop.assuming if it.name != self.assumption)
        tables = dict(TABLES)
        for row in self.rows:
            name = row.partition(".")[0]
            tables |= substituted(tables[name], {row: ()})
        return replace(self.prop, assuming=kept), tables


LACKS = (
    Lack("no CRM decides", "The master never decides what it could: nothing is thawed.", THAWED, "decisions 0"),
    Lack(
        "no thaw",
        "Without its rows that thaw, the service table leaves frozen what was frozen.",
        THAWED,
        rows=("service.freeze.thaw", "service.freeze.thaw_stop"),
    ),
    Lack(
        "no freeze",
        "A master that does not answer keeps an LRM from its restart.",
        UPDATED,
        rows=("service.started.freeze",),
    ),
    Lack("one CRM is stuck", "One CRM holds the lock, and takes no steps: nobody is master.", MASTER, "CRM 0"),
    Lack("time is stuck", "A lock whose lifetime does not pass keeps services from recovery.", RECOVERED, "time"),
    Lack(
        "no fence",
        "A master that marks a node and does not take its lock recovers nothing.",
        RECOVERED,
        rows=("crm.master.fence",),
    ),
)
MORE_LACKS = (
    Lack(
        "no word",
        "An LRM that does not say that it is locked and armed again keeps its services frozen.",
        THAWED,
        rows=("lrm.active.say_active",),
    ),
    Lack("no init", "An LRM that ended is not started again: the update does not complete.", UPDATED, "init"),
    Lack("always late", "An LRM whose every round is late is never released.", UPDATED, "rounds 0"),
    Lack("no other LRM", "The other node's LRM stands still: what comes to it does not start.", RECOVERED, "LRM 1"),
)
"""These take longer, or show the same again."""


def must_stall(lack: Lack) -> Check:
    """What is taken away is needed: there is a fair run that breaks the promise."""
    begin = time.perf_counter()
    prop, tables = lack.lacking()
    found = search(prop, tables)
    steps = (len(found.lasso.prefix), len(found.lasso.cycle)) if found.lasso else (0, 0)
    return Check(
        group="must fail",
        name=lack.name,
        sentence=lack.sentence,
        verdict=Verdict.PASSED if found.lasso else Verdict.BROKEN,
        seconds=time.perf_counter() - begin,
        figures={"breaks": prop.name, "steps": steps[0], "then for ever": steps[1], "distinct states": found.states},
        problem="" if found.lasso else f"{prop.name} should be broken, and is not",
    )


def must_reset() -> Check:
    """A watchdog that is shorter than a round and its renewal resets nodes that are connected and prompt."""
    begin = time.perf_counter()
    steady = next(it for it in QUICK if it.name == "steady")
    ground = Ground(model_of(replace(steady, watchdog=2, lock=3), TABLES))
    found = explore(ground, invariants=[NO_NEEDLESS_RESET.name])
    steps = len(next(iter(stories_of(ground, found))).steps) if found.violated else 0
    return Check(
        group="must fail",
        name="short watchdog",
        sentence=must_reset.__doc__ or "",
        verdict=Verdict.PASSED if found.violated else Verdict.BROKEN,
        seconds=time.perf_counter() - begin,
        figures={"breaks": NO_NEEDLESS_RESET.name, "steps": steps, "distinct states": found.distinct},
        problem="" if found.violated else f"{NO_NEEDLESS_RESET.name} should be broken, and is not",
    )
