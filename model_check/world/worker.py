"""What the names of the worker's table mean in the model: one worker a node and service."""

from __future__ import annotations

from hacore.protocol import worker as protocol
from model_check.lang import FALSE, TRUE, Context, Expr, ite
from model_check.world.fields import OUTCOMES, Dimensions
from model_check.world.rows import UNKNOWN, Outcome, Reader, possibly
from model_check.world.slices import Slice


def reader(dims: Dimensions, slice_: Slice) -> Reader:
    def kind(*kinds: str):  # type: ignore[no-untyped-def]
        return lambda c, n, s: c.kind[n, s].isin(*kinds)

    def start(c: Context, n: Expr, s: Expr) -> None:
        c.runs[n, s] = True

    def stop(c: Context, n: Expr, s: Expr) -> None:
        c.runs[n, s] = False

    def move(c: Context, n: Expr, s: Expr) -> None:
        c.when(~c.target[s].is_none())
        c.runs[:, s] = lambda m: ite(c.target[s] == m, True, c.runs[m, s] & ~(m == n))

    def nothing(c: Context, n: Expr, s: Expr) -> None:
        pass

    fails = {
        "start": [Outcome(" (fails)", nothing)] if slice_.has("start_fails") else [],
        "stop": [Outcome(" (fails)", nothing)] if slice_.has("stop_fails") else [],
    }
    return Reader(
        table="worker",
        pc="worker",
        over={"n": dims.node, "s": dims.service},
        facts={
            protocol.HERE: lambda c, n, s: TRUE,
            protocol.IN_ERROR: lambda c, n, s: FALSE,
            protocol.WANT_RUNNING: kind("start"),
            protocol.WANT_STOPPED: kind("stop", "halt"),
            protocol.WANT_MOVED: kind("migrate"),
            protocol.WANT_BALANCED: kind("balance"),
            protocol.WANT_WATCHED: kind("watch"),
            protocol.WANT_GUARDED: kind("guard"),
            protocol.AT_TARGET: lambda c, n, s: FALSE,
            protocol.MOVE_DONE: lambda c, n, s: ~c.runs[n, s],
            protocol.RETRIES_LEFT: lambda c, n, s: UNKNOWN if slice_.has("start_fails") else possibly(FALSE),
            protocol.RUNNING: lambda c, n, s: c.runs[n, s],
        },
        effects={
            protocol.START_SERVICE: [Outcome("", start), *fails["start"]],
            protocol.STOP_SERVICE: [Outcome("", stop), *fails["stop"]],
            protocol.MOVE_SERVICE: [Outcome("", move), *fails["stop"]],
        },
        settle=_settle,
    )


def _settle(c: Context, target: str, n: Expr, s: Expr) -> str:
    """A worker that has ended leaves its outcome, if anybody still asks for it."""
    if target not in (*OUTCOMES, "retry"):
        return target
    halt = c.kind[n, s] == "halt"
    watched = (c.kind[n, s] == "watch") if target == "success" else FALSE
    if target != "retry":
        told = c.current[n, s] & ~halt & ~watched
        c.outcome[n, s] = ite(told, target, c.outcome[n, s])
    if target == "success":
        c.halted[n, s] = c.halted[n, s] | halt
    c.kind[n, s] = "start"
    c.current[n, s] = False
    return "none"
