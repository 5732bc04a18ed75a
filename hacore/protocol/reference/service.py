"""The services of the reference variant.

A new service is started at once, guarded or not. Whatever a step leads to, an LRM that restarts has it frozen. A node
in maintenance that is lost has its services moved, not fenced. A started service has a new uid after each answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from hacore.protocol import service
from hacore.protocol.reference.vocabulary import (
    COMMANDED,
    DEFERRED,
    DROP_COMMAND,
    DROP_HOME,
    FORGET_HOME,
    IGNORING,
    IS_HOME,
    JUST_FENCED,
    KEEP_COMMAND,
    QUIETLY,
    RENEW_UID,
    TELL_PLACE,
)
from hacore.protocol.table import ALWAYS, Action, Guard, Row, State

_ENTERED = ("started", "request_stop", "stopped")
_UNSETTLED = frozenset({"fence", "recovery", "migrate", "relocate"})
_FREEZABLE = frozenset({"started", "stopped", "request_stop", "request_start", "request_start_balance"})
_SERVICE_STATES = (
    State("new", "Just configured.", "request_start"),
    *(State(f"{state}.entered", "Is its LRM restarting?", state) for state in _ENTERED),
    State("started.onward", "Its node is online, or in maintenance.", "started"),
    State("fence.onward", "Its node was in maintenance, and is lost.", "fence"),
    State("stopped.onward", "It is where the resources document says.", "stopped"),
)


def _row(state: str, name: str, guard: Guard, target: str, *do: Action) -> Row:
    return Row(f"service.{state}.{name}", state, guard, target, do=do)


_GO = (service.SET_TARGET, DROP_HOME)


def _onward(state: str, stay: str) -> tuple[Row, ...]:
    """What a started service comes to, if nothing is asked and nothing has failed, on a node that will do for now."""
    return (
        _row(state, "move_live", service.ELSEWHERE & service.LIVE, "migrate", *_GO),
        _row(state, "move", service.ELSEWHERE, "relocate", *_GO),
        _row(state, "stay", ALWAYS, stay),
    )


def _started(state: str) -> tuple[Row, ...]:
    """What a started service comes to: as asked by operators, as its LRM has answered, as it is best placed."""
    succeeded, failed, elsewhere, live = service.SUCCEEDED, service.START_FAILED, service.ELSEWHERE, service.LIVE
    *moves, stay = _onward(state, "started")
    return (
        _row(state, "stop", ~service.WANT_STARTED, "request_stop"),
        _row(state, "migrate", service.ASKED_MIGRATE, "migrate", service.TAKE_COMMAND),
        _row(state, "relocate", service.ASKED_RELOCATE, "relocate", service.TAKE_COMMAND),
        _row(state, "command_stop", service.ASKED_STOP, "request_stop", service.TAKE_COMMAND, service.WANT_STOP),
        _row(state, "dropped", COMMANDED, "started", DROP_COMMAND),
        _row(state, "give_up", failed & service.EXHAUSTED, "error", service.NOTE_FAILURE),
        _row(state, "flee_live", failed & elsewhere & live, "migrate", service.NOTE_FAILURE, *_GO),
        _row(state, "flee", failed & elsewhere, "relocate", service.NOTE_FAILURE, *_GO),
        _row(state, "retry", failed, "started", service.NOTE_FAILURE, service.NEW_UID),
        _row(state, "error", service.ANSWERED & ~succeeded, "error"),
        _row(state, "moved_live", succeeded & elsewhere & live, "migrate", service.FORGET_FAILURES, *_GO),
        _row(state, "moved", succeeded & elsewhere, "relocate", service.FORGET_FAILURES, *_GO),
        *moves,
        _row(state, "renew", succeeded, "started", service.NOTE_RUNNING, RENEW_UID),
        stay,
    )


def _moving(state: str) -> tuple[Row, ...]:
    """hacore's rows, except that a lost source is fenced and nothing is known of a target."""
    answered = (row for row in service.moving(state) if row.id.rpartition(".")[2] not in {"lost", "wait"})
    return (*answered, _row(state, "lost", service.NODE_LOST, "fence"), _row(state, "wait", ALWAYS, state))


_SERVICE: Mapping[str, tuple[Row, ...]] = {
    "new": (
        _row("new", "start", service.WANT_STARTED, "request_start"),
        _row("new", "stop", ALWAYS, "request_stop", QUIETLY),
    ),
    "request_start": (
        _row(
            "request_start",
            "balance",
            service.REBALANCE & service.ELSEWHERE,
            "request_start_balance",
            service.SET_TARGET,
            TELL_PLACE,
        ),
        _row("request_start", "selected", service.REBALANCE, "started", TELL_PLACE),
        _row("request_start", "go", ALWAYS, "started"),
    ),
    "request_start_balance": _moving("request_start_balance"),
    "migrate": _moving("migrate"),
    "relocate": _moving("relocate"),
    "started": (
        _row(
            "started", "lost_maintained", service.NODE_LOST & service.IN_MAINTENANCE, "fence.onward", service.NOTE_HOME
        ),
        _row("started", "lost", service.NODE_LOST, "fence"),
        _row("started", "away", ~service.NODE_ONLINE & ~service.IN_MAINTENANCE, "started", KEEP_COMMAND),
        _row("started", "maintained", service.IN_MAINTENANCE, "started.onward", service.NOTE_HOME),
        _row("started", "home", IS_HOME, "started.onward", FORGET_HOME),
        _row("started", "online", ALWAYS, "started.onward"),
    ),
    "started.onward": _started("started.onward"),
    "fence.onward": (
        _row("fence.onward", "stop", ~service.WANT_STARTED, "request_stop"),
        *_onward("fence.onward", "fence"),
    ),
    "request_stop": (
        _row("request_stop", "done", service.SUCCEEDED, "stopped"),
        _row("request_stop", "failed", service.ANSWERED, "error"),
        _row("request_stop", "lost", service.NODE_LOST, "fence"),
        _row("request_stop", "wait", ALWAYS, "request_stop"),
    ),
    "stopped": (
        _row("stopped", "follow", service.MOVED, "stopped.onward", service.FOLLOW),
        _row("stopped", "there", ALWAYS, "stopped.onward"),
    ),
    "stopped.onward": (
        _row("stopped.onward", "migrate", service.ASKED_MIGRATE, "migrate", service.TAKE_COMMAND),
        _row("stopped.onward", "relocate", service.ASKED_RELOCATE, "relocate", service.TAKE_COMMAND),
        _row("stopped.onward", "disabled", service.WANT_DISABLED, "stopped"),
        _row("stopped.onward", "lost", service.NODE_LOST & ~service.IN_MAINTENANCE, "fence"),
        _row("stopped.onward", "start", service.WANT_STARTED, "request_start"),
        _row("stopped.onward", "stay", ALWAYS, "stopped"),
    ),
    "freeze": (
        *service.way("freeze", "thaw", service.LRM_ACTIVE),
        _row("freeze", "stay", ALWAYS, "freeze"),
    ),
    "fence": (
        _row("fence", "fenced", JUST_FENCED, "recovery"),
        _row("fence", "wait", ALWAYS, "fence"),
    ),
    "recovery": (
        *service.way("recovery", "found", service.PLACE_FOUND, service.STEAL),
        _row("recovery", "disabled", service.WANT_DISABLED, "stopped", service.TELL_BLOCKED, service.FORGET_FAILURES),
        _row("recovery", "blocked", ALWAYS, "recovery", service.TELL_BLOCKED),
    ),
    "error": (
        _row("error", "disabled", service.WANT_DISABLED, "stopped", service.FORGET_FAILURES),
        _row("error", "stay", ALWAYS, "error"),
    ),
}


def _disarmed(state: str) -> Iterator[Row]:
    """While a disarm is deferred only what is on its way goes on; then all is frozen, or left to the operators."""
    stays = (KEEP_COMMAND,) if state in {"started", "stopped"} else ()
    if state not in _UNSETTLED:
        yield _row(state, "deferred", DEFERRED, state, *stays)
    yield _row(state, "ignored", IGNORING, state)
    if state in _FREEZABLE:
        yield _row(state, "disarm", service.DISARMING, "freeze", QUIETLY)
    elif state not in _UNSETTLED:
        yield _row(state, "disarm", service.DISARMING, state)


def _service_rows() -> Iterator[Row]:
    for state, rows in _SERVICE.items():
        if "." not in state and state != "new":
            yield from _disarmed(state)
        for row in rows:
            yield replace(row, target=f"{row.target}.entered") if row.target in _ENTERED else row
    for state in _ENTERED:
        yield _row(f"{state}.entered", "freeze", service.LRM_RESTARTS, "freeze", service.ACKNOWLEDGE)
        yield _row(f"{state}.entered", "stay", ALWAYS, state)


SERVICE = replace(
    service.SERVICE,
    rows=tuple(_service_rows()),
    states=tuple({state.name: state for state in (*service.SERVICE.states, *_SERVICE_STATES)}.values()),
)
