"""Clusters in the middle of an update: some daemons run the old tables, some the new ones, in whatever order.

The world of each version is made over the same fields, and the two are laid over each other. A step that is the same in
both stays as it is; any other may be taken only by who runs the version that it comes from: of an LRM's and a worker's
rows that is the node's version, of a master's, with the records that it decides, the version of that CRM.

A daemon has another version only after it has begun anew: whatever makes an LRM or a CRM begin anew (its restart with
services frozen, its death, its node's) may bring it back as the other version, so an update may also be taken back. A
worker that its LRM has left behind, being killed, may be of either version.

Both versions read and write the same documents, and a fact or an action means the same to both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from hacore.protocol.table import Table
from model_check.lang import Action, Context, Enum, Expr, Field, Model, Update, lift
from model_check.world import world
from model_check.world.fields import Dimensions
from model_check.world.slices import DEFAULT as ORDINARY
from model_check.world.slices import Slice

OLD, NEW = "old", "new"
VERSION = Enum("version", (OLD, NEW))
KEPT_BY = {"lrm": ("version", "n"), "worker": ("version", "n"), "crm": ("crm_version", "m")}
"""By table: the field that says which version its daemon runs, and the parameter by which the daemon is known."""


def mixed(slice_: Slice, old: Mapping[str, Table], new: Mapping[str, Table]) -> Model:
    """The world of one slice, in which every daemon begins as old. The versions of daemons that do the same in both are
    not kept."""
    dims = Dimensions.of(slice_)
    model, before = (world(slice_, tables, (new, old)) for tables in (new, old))
    for name, domain in (("version", dims.node), ("crm_version", dims.manager)):
        model.fields[name] = Field(name, VERSION, (domain,), OLD)
    ours, theirs = differing(model, before), differing(before, model)
    known = {action.identity for action in ours}
    model.actions = [
        *(action for action in model.actions if action.identity not in known),
        *(_only(model, action, NEW) for action in ours),
        *(_only(model, action, OLD) for action in theirs),
    ]
    kept = {KEPT_BY[_table(action)] for action in (*ours, *theirs)}
    for daemon in ("lrm", "crm"):
        if KEPT_BY[daemon] in kept:
            model.actions += [again for action in model.actions for again in _begins_as(model, action, daemon)]
    if KEPT_BY["lrm"] in kept:
        model.add("world.lrm_is_new", _is_new, {"n": dims.node})
    return model


def differing(one: Model, *others: Model) -> list[Action]:
    """The actions of one model that the others do not have."""
    known = {action.identity for other in others for action in other.actions}
    return [action for action in one.actions if action.identity not in known]


def _only(model: Model, action: Action, version: str) -> Action:
    """The action, taken by daemons of this version only."""
    c = model.state()
    field, by = KEPT_BY[_table(action)]
    runs = getattr(c, field)[_given(action, by)] == version
    if _table(action) == "worker":
        runs = runs | c.doomed[_given(action, by)]
    return replace(action, guards=(*action.guards, runs))


def _begins_as(model: Model, action: Action, daemon: str) -> Iterator[Action]:
    """If the world makes a daemon begin anew: the same once more for each version that it was not."""
    if action.row or all(update.field.name != daemon for update in action.updates):
        return
    field, by = KEPT_BY[daemon]
    which = _given(action, by)
    for version in (OLD, NEW):
        other = getattr(model.state(), field)[which] != version
        becomes = Update(model.fields[field], (which,), (), lift(version, VERSION))
        guards, updates = (*action.guards, other), (*action.updates, becomes)
        yield replace(action, name=f"{action.name} as {version}", guards=guards, updates=updates)


def _is_new(c: Context, n: Expr) -> None:
    """A node that has not taken part so far."""
    c.when(c.version[n] == OLD, c.lrm[n] == "wait_for_agent_lock", c.mode[n] == "none")
    c.when(c.lock[n] == "free", ~c.armed[n])
    c.version[n] = NEW


def _table(action: Action) -> str:
    return action.row.partition(".")[0]


def _given(action: Action, name: str) -> Expr:
    return next(param for param in action.params if param.args[0] == name)


def acting(action: Action, binding: Mapping[str, int], shown: Mapping[str, object]) -> str:
    """Which version takes this step in a state as people read it; "" if it is nobody's or versions are not kept."""
    field, by = KEPT_BY.get(_table(action), ("", ""))
    who = binding.get(by)
    version = str(shown.get(f"{field}[{who}]", ""))
    left_behind = _table(action) == "worker" and shown.get(f"doomed[{who}]") is True
    return "left behind" if version and left_behind else version


# ------------------------------------------------------------------------------------------------------------- slices


def _slice(name: str, sentence: str, happens: str, managers: int = 1) -> Slice:
    happenings = frozenset(happens.split()) | {"manager_dies"}
    return Slice(name, sentence, happenings, faulty=1, generations=1, managers=managers)


QUICK = (
    _slice(
        "update",
        "The LRM of one node is restarted, services frozen, and comes back as either version; so does the master, at "
        "any moment; the node is suspected. The other node is of either version. No time-outs, no crashes.",
        "suspect restart",
    ),
    _slice(
        "failover",
        "A node crashes, is cut off, or is only suspected, and comes back as either version; so does the master, at "
        "any moment. The other node is of either version.",
        "crash lapse suspect",
    ),
)
DEFAULT = (
    *QUICK,
    _slice(
        "disarm",
        "The cluster is disarmed and armed again while nodes and master are of either version. No time-outs, no "
        "crashes.",
        "suspect disarm",
    ),
    _slice(
        "masters",
        "Two CRMs of either version, each of which may take the manager lock at any moment, decide and write.",
        "suspect",
        managers=2,
    ),
)
LONG = (
    *DEFAULT,
    *(
        replace(
            slice_,
            name=f"mixed {slice_.name}",
            sentence=f"{slice_.sentence} Nodes and master are of either version.",
            happens=slice_.happens | {"manager_dies"},
        )
        for slice_ in ORDINARY
        if slice_.name in {"update", "updates", "moves", "maintenance", "emptied", "shutdown", "new"}
    ),
)
