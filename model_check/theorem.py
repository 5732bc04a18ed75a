"""What is proved of the protocol: the safety properties, and what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hacore.protocol.table import Table
from hacore.protocol.tables import TABLES
from model_check.invariants import CONJUNCTS
from model_check.lang import Action, Model
from model_check.properties import SAFETY
from model_check.prove import Prover
from model_check.world import world
from model_check.world.fields import Dimensions
from model_check.world.mixed import differing
from model_check.world.slices import HAPPENINGS, Slice

WORLD = Slice(
    "everything",
    "Everything that may happen, except that services move while they run.",
    frozenset(HAPPENINGS) - {"live"},
    generations=10**9,
)
"""Its sizes do not matter: a proof knows none."""
POLICIES = ("conditional", "freeze", "migrate")

ASSUMPTIONS = (
    "The durations are safe: lock_ttl_s >= watchdog_s + reset_s, as hacore timing shows, drift included.",
    "The watchdog works: everything on a node has ended reset_s after a deadline of its LRM has passed. That its own "
    "table keeps this is explored by itself.",
    "A fencing device that says off, when it is asked after it has switched off, speaks of its own node, and truly: at "
    "that moment everything on the node has ended.",
    "The store works: a transaction happens as a whole or not at all, one after the other, and what it is given is "
    "checked in it.",
    "Facts and actions mean what model_check/world says; which rows there are is read from the tables.",
    "Nobody else starts services: only one that is just configured may be running already, on its record's node.",
    "No service moves while it runs: no type of this version can.",
    "A CRM that quits does nothing but what one does that retires, or is killed: the rows crm.*.quit are left out.",
    "No LRM asks for release more than a billion times.",
    "What a master's transaction does at once is done in several here, one record and one step each, so that more may "
    "happen in between; but a chain of steps of one record rests on what was read before each of them.",
)
"""What the proof does not prove. All else may happen: any pause, any lost call, any crash, any number of each."""


def model(tables: Mapping[str, Table] = TABLES, versions: Sequence[Mapping[str, Table]] = ()) -> Model:
    """The closed model in which all that happens under any shutdown policy may happen, and the policy may change. For
    ``versions`` see :func:`world`."""
    whole, *others = (world(replace(WORLD, policy=policy), tables, versions) for policy in POLICIES)
    known = set(map(_step, whole.actions))
    for policy, other in zip(POLICIES[1:], others, strict=True):
        for action in other.actions:
            if _step(action) not in known:
                known.add(_step(action))
                whole.actions.append(replace(action, name=f"{action.name} (policy {policy})"))
    return whole


def _step(action: Action) -> tuple[object, ...]:
    return action.name, action.params, action.guards, action.updates


def prover(
    prefixes: Sequence[str] = (),
    timeout_s: float = 60,
    tables: Callable[[], Mapping[str, Table]] | None = None,
    old: Callable[[], Mapping[str, Table]] | None = None,
) -> Prover:
    """Of all actions, or of those whose name begins with one of the prefixes: that they keep every invariant.
    ``tables`` gives the tables, if they are not hacore's own. With ``old``, only of the steps that a cluster of both
    versions has and one of the other tables alone has not: a step that keeps an invariant does so in any company."""
    new, dims = tables() if tables else TABLES, Dimensions.of(WORLD)
    proved = model(new)
    if old:
        versions = (new, old())
        alone, ours, proved = proved, *(model(version, versions) for version in versions)
        proved.actions = [*differing(proved, alone), *differing(ours, proved, alone)]
    invariants = {it.name: it.formula(proved.state(), dims) for it in (*SAFETY, *CONJUNCTS)}
    if prefixes:
        proved.actions = [action for action in proved.actions if action.name.startswith(tuple(prefixes))]
    return Prover(proved, invariants, timeout_s)
