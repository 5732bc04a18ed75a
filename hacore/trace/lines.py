"""What a line of a trace says. Real and simulated daemons write the same lines.

Every line has ``t`` (CLOCK_BOOTTIME, seconds, when the answer was there), ``node`` and ``daemon``; a worker's lines
also have ``worker`` (the service) and ``uid``. Besides, a line has one of

``begin``   a process begins: its ``boot`` (times are on one clock if they have that in common), its ``version``, the
            digest of its ``tables``, and its ``timing``
``row``     a row fired, from where to where, and the ``facts`` that held. A row that chooses changes of the documents
            also says what is ``decided``: the rows that make them up
``say``     an event for people, and what it is ``about``
``ask``     the kind of a request, its fields, and its ``answer``; what a request does not show in its ``repr`` may be
            secret, and is left out
"""

from __future__ import annotations

from dataclasses import asdict, fields
from functools import cache
from typing import Any

import msgspec

from hacore import __version__
from hacore.protocol.export import digest
from hacore.protocol.requests import (
    Accepted,
    CloseHardware,
    Committed,
    Conflict,
    Fired,
    Message,
    OpenHardware,
    Outcome,
    PowerOutcome,
    Refused,
    Reply,
    Request,
    Say,
    Snapshot,
    Unavailable,
)
from hacore.protocol.tables import TABLES
from hacore.protocol.timing import Timing

NAMED = {kind.__name__: kind for kind in (Accepted, Committed, Conflict, Message, Refused, Snapshot, Unavailable)}
"""Kinds of answers that are written with their name."""
PLAIN = frozenset({"float", "bool", "NoneType", "tuple", "frozenset"})


@cache
def own_tables() -> str:
    """The digest of the tables that this program runs."""
    return digest(TABLES.values())


def begun(boot: str, timing: Timing) -> dict[str, Any]:
    """A process begins."""
    lengths = {name: value for name, value in asdict(timing).items() if name in _GIVEN}
    return {"begin": {"boot": boot, "version": __version__, "tables": own_tables(), "timing": lengths}}


_GIVEN = frozenset(name for name, field in Timing.__dataclass_fields__.items() if field.init)


def timing_of(begin: dict[str, Any]) -> Timing:
    """What :func:`begun` has written down."""
    return Timing(**begin["timing"])


def told(request: Request[Any], answer: object) -> dict[str, Any]:
    """A request with its answer, or what is no question."""
    asked = asking(request)
    if "ask" not in asked:
        return asked
    kind = type(answer).__name__
    return {**asked, "answer": answer if kind in PLAIN else {kind: answer}}


def is_dull(request: Request[Any], answer: object) -> bool:
    """Whether a multiplexer leaves it out, as it says only that time passes: it must not wait for a disk that often."""
    if isinstance(request, Fired):
        return request.row in {"watchdog.armed.feed", "watchdog.armed.wait", "watchdog.closed.wait"}
    return not isinstance(request, Say | Reply | OpenHardware | CloseHardware) and not isinstance(answer, Message)


def asking(request: Request[Any]) -> dict[str, Any]:
    """The same without the answer."""
    if isinstance(request, Fired):
        row = {"row": request.row, "from": request.state, "to": request.target, "facts": request.facts}
        return {**row, "decided": msgspec.to_builtins(request.decided)} if request.decided else row
    if isinstance(request, Say):
        return {"say": request.event, "about": request.fields}
    if isinstance(request, Reply):
        return {"ask": "Reply", "client": request.client, "says": {type(request.answer).__name__: request.answer}}
    secret = {each.name for each in fields(request) if not each.repr}  # type: ignore[arg-type] # all are dataclasses
    about = {name: value for name, value in msgspec.to_builtins(request).items() if name not in secret}
    return {"ask": type(request).__name__, **about}


def answered(kind: str, raw: Any) -> Any:
    """The answer that a line holds to a request of that kind. Raises ValidationError."""
    if kind == "Reap":
        return tuple(msgspec.convert(raw, list[Outcome]))
    if kind == "ReapPower":
        return tuple(msgspec.convert(raw, list[PowerOutcome]))
    if kind == "Inbox":
        return frozenset(raw)
    if isinstance(raw, dict) and len(raw) == 1:
        ((name, value),) = raw.items()
        if name in NAMED:
            return msgspec.convert(value, NAMED[name])
    return raw
