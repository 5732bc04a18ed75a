"""Other meanings than the world gives to rows: for holes that no table has, because they lie in what its names mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from hacore.protocol import crm, lrm
from model_check.lang import Context, Duration, Expr, Field, Model, Timer, after, later, passed
from model_check.world.fields import Dimensions

PAUSE = Duration("pause_s", 2)
MANAGER_WATCHDOG = Duration("manager_watchdog_s", 2)
MANAGER_LOCK = Duration("manager_lock_ttl_s", 3)
DELAY = Duration("write_delay_s", 1)


def also(model: Model, rows: Mapping[str, Callable[..., None]]) -> None:
    """Where an action of these rows takes effect, it does what is said here too; what is written here, it writes in no
    other way."""
    for at, action in enumerate(model.actions):
        if action.row in rows and not action.name.endswith("(refused)"):
            context = model.state()
            rows[action.row](context, **{param.args[0]: param for param in action.params})
            guards, updates = context.__dict__["guards"], context.__dict__["updates"]
            fields = {update.field for update in updates}
            kept = (update for update in action.updates if update.field not in fields)
            model.actions[at] = replace(action, guards=(*action.guards, *guards), updates=(*kept, *updates))


def forget_guards(model: Model, rows: Mapping[str, object], field: str) -> None:
    """Where an action of these rows takes effect, it does not depend on the field."""
    for at, action in enumerate(model.actions):
        if action.row in rows and not action.name.endswith("(refused)"):
            model.actions[at] = replace(action, guards=tuple(it for it in action.guards if not mentions(it, field)))


def mentions(expr: Expr, field: str) -> bool:
    if expr.op == "get" and expr.args[0].name == field:
        return True
    return any(mentions(arg, field) for arg in expr.args if isinstance(arg, Expr))


def own_moment(model: Model, dims: Dimensions) -> None:
    """A watchdog's deadline counts from the moment in which the multiplexer is asked to move it."""

    def keep_alive(c: Context, n: Expr) -> None:
        c.dog[n] = later(after(dims.watchdog), dims.reset)

    rows = {row.id: keep_alive for row in lrm.LRM.rows if lrm.KEEP_ALIVE in row.do}
    forget_guards(model, rows, "sent")
    also(model, rows)


def short_pause(model: Model, dims: Dimensions) -> None:
    """No LRM is paused for longer than pause_s between its lock and its watchdog."""
    model.fields["patience"] = Field("patience", Timer(PAUSE.ticks), (dims.node,))

    def ask(c: Context, n: Expr) -> None:
        c.patience[n] = after(PAUSE)

    def arm(c: Context, n: Expr) -> None:
        c.when(~passed(c.patience[n]))

    also(model, {"lrm.wait.ask": ask, "lrm.wait.arm": arm})


def believed(model: Model, dims: Dimensions) -> None:
    """A master takes the word of whoever was to switch the node off for the fact that it is off."""
    model.actions = [action for action in model.actions if action.name != "world.node_is_verified_off"]

    def says_so(c: Context, m: Expr, n: Expr) -> None:
        c.when(c.power[m, n] == "asked")
        c.power[m, n] = "off"

    model.add("world.agent_says_done", says_so, {"m": dims.manager, "n": dims.node})


def unmarked(model: Model, _: Dimensions) -> None:
    """A master takes a node's lock without having marked the node."""
    forget_guards(model, {row.id: row for row in crm.CRM.rows if crm.CHOOSE_NODE in row.do}, "node_state")


def watched_master(model: Model, dims: Dimensions) -> None:
    """A master has a lock that expires, and a watchdog of its own, moved when it likes; its writes may be late."""
    model.fields["manager_lease"] = Field("manager_lease", Timer(MANAGER_LOCK.ticks))
    model.fields["manager_dog"] = Field("manager_dog", Timer(MANAGER_WATCHDOG.ticks), (dims.manager,))
    model.fields["reach"] = Field("reach", Timer(MANAGER_WATCHDOG.ticks + DELAY.ticks), (dims.manager,))

    def arm(c: Context, m: Expr, **_: Expr) -> None:
        c.manager_dog[m] = after(MANAGER_WATCHDOG)
        c.reach[m] = later(after(MANAGER_WATCHDOG), DELAY)

    def campaign(c: Context, **_: Expr) -> None:
        c.when(c.holder.is_none() | passed(c.manager_lease))
        c.manager_lease = after(MANAGER_LOCK)

    def renew(c: Context, **_: Expr) -> None:
        c.manager_lease = after(MANAGER_LOCK)

    def live(c: Context, m: Expr, **_: Expr) -> None:
        c.when(~passed(c.manager_dog[m]))

    def write(c: Context, m: Expr) -> None:
        c.when(~passed(c.reach[m]))

    also(
        model, {row.id: live for row in crm.CRM.rows if row.state.startswith("master") and row.id != "crm.master.write"}
    )
    also(model, {"crm.wait.elected": live, "crm.slave.elected": live})
    also(model, {"crm.wait.elected": arm, "crm.slave.elected": arm, "crm.master.confirmed": arm})
    also(model, {"crm.wait.fit": arm, "crm.slave.fit": arm, "crm.master.write": write})
    also(model, {"crm.wait.campaign": campaign, "crm.slave.campaign": campaign, "crm.master.renew": renew})
