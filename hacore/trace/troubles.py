"""What did not go as it should on a node: the assumptions that a healthy node rests on, and when one of them failed.

A daemon takes a round at least every ``round_s``; the store and the multiplexer answer within ``call_timeout_s``;
processes end when they are asked to. What is late by more than a call may take is a pause: it shows as a gap between
two lines of one process. All of it is read from the lines alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from hacore.protocol.tables import TABLES
from hacore.trace.history import History
from hacore.trace.merging import Moment
from hacore.trace.reading import Line

SHOWN = {"lrm": "LRM", "crm": "CRM", "watchdog": "multiplexer"}
AT_ONCE_S = 1.5
"""Processes that fall silent within this time have one cause."""
SLOW = 0.5
"""From this part of its time-out on a call counts as slow."""


KINDS = {
    "store": "the store, or the way to it",
    "latency": "the store's latency",
    "pause": "a process that was paused",
    "killed": "a process that was killed or crashed",
    "silent": "a process that went no further",
    "multiplexer": "the watchdog multiplexer",
    "power": "the node's power",
}
"""What a healthy node rests on, and may fail."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One assumption that failed: which, when it began, in words, and the lines that show it."""

    kind: str
    """One of :data:`KINDS`."""
    at: float
    text: str
    lines: tuple[str, ...]


def troubles(history: History, node: str, begin: float, end: float) -> list[Trouble]:
    """All that went wrong on a node between two times, the first thing first."""
    found = [*_silences(history, node, begin, end), *_power(history, node, begin, end)]
    for daemon in ("lrm", "crm"):
        moments = [it for it in history.by_daemon.get((node, daemon), []) if it.line.worker is None]
        pairs = [(one, other) for one, other in pairwise(moments) if other.at > begin and one.at < end]
        found += _calls(history, node, daemon, pairs)
        found += _pauses(history, node, daemon, pairs)
    return sorted(found, key=lambda trouble: trouble.at)


# ------------------------------------------------------------------------------------------------ calls and pauses


def _calls(history: History, node: str, daemon: str, pairs: list[tuple[Moment, Moment]]) -> Iterator[Trouble]:
    """Calls that were not answered, or slowly. Of several in a row the first is told, with how many there are."""
    run: list[Trouble] = []
    for one, other in pairs:
        line, timing = other.line, history.lives[other.line.place].timing
        told = _call(node, daemon, one, other, timing.call_timeout_s if timing else 0.0)
        if told and (not run or run[0].kind == told.kind):
            run.append(told)
        elif told or (line.ask in {"Read", "Transact"} and line.answer("Unavailable") is None):
            yield from _together(run)
            run = [told] if told else []
    yield from _together(run)


def _call(node: str, daemon: str, one: Moment, other: Moment, timeout_s: float) -> Trouble | None:
    line, took_s, who = other.line, other.at - one.at, f"the {SHOWN[daemon]} of {node}"
    what = {"Read": "a read", "Transact": "a transaction"}.get(line.ask, "")
    if what and line.answer("Unavailable") is not None:
        text = f"the store did not answer {who}: {what} had no answer after {took_s:.2f} s"
        return Trouble("store", one.at, f"{text} ({line.answer('Unavailable')['reason']})", (line.place,))
    if what and SLOW * timeout_s < took_s <= 2 * timeout_s:
        text = f"the store answered {who} late: {what} took {took_s:.2f} s of {timeout_s:g} s"
        return Trouble("latency", one.at, text, (line.place,))
    if line.ask in {"OpenWatchdog", "KeepAlive"} and line.answer("Refused") is not None:
        text = f"the multiplexer refused {who} ({line.answer('Refused')['reason']})"
        return Trouble("multiplexer", one.at, text, (line.place,))
    return None


def _together(run: list[Trouble]) -> Iterator[Trouble]:
    if run:
        more = f", and {len(run) - 1} calls more" if len(run) > 1 else ""
        yield replace(
            run[0], text=run[0].text + more, lines=tuple(line for it in (run[0], run[-1]) for line in it.lines)
        )


def _pauses(history: History, node: str, daemon: str, pairs: list[tuple[Moment, Moment]]) -> Iterator[Trouble]:
    """Gaps between two lines of one process, beyond what it may sleep or wait."""
    for one, other in pairs:
        life = history.lives[other.line.place]
        if life.timing is None or life is not history.lives[one.line.place]:
            continue
        timing = life.timing
        may_s = timing.round_s if other.line.ask == "Inbox" else timing.call_timeout_s if other.line.ask else 0.0
        late_s = other.at - one.at - may_s
        if late_s > timing.call_timeout_s:
            text = f"the {SHOWN[daemon]} of {node} was paused: it did nothing for {other.at - one.at:.2f} s"
            yield Trouble("pause", one.at, text, (one.line.place, other.line.place))


# ---------------------------------------------------------------------------------------------------------- silence


def _silences(history: History, node: str, begin: float, end: float) -> Iterator[Trouble]:
    """Processes that ended without a word, or were never heard of again; together if it was at once."""
    silent = sorted(_silent(history, node, begin, end), key=lambda entry: entry[0].at)
    while silent:
        group = [entry for entry in silent if entry[0].at - silent[0][0].at < AT_ONCE_S]
        silent = silent[len(group) :]
        began = [next_ for _, next_ in group if next_ is not None and next_.at < end]
        lasts = [last for last, _ in group]
        places = tuple(moment.line.place for moment in (*lasts, *began))
        yield Trouble("killed" if began else "silent", lasts[0].at, _silence(node, lasts, began), places)


def _silence(node: str, lasts: list[Moment], began: list[Moment]) -> str:
    names = " and ".join(f"the {SHOWN[last.line.daemon]}" for last in lasts) + f" of {node}"
    if began:
        ones = "a new one" if len(began) == 1 else "new ones"
        return f"{names} ended without a word: killed, or crashed; {ones} began {began[0].at - lasts[0].at:.2f} s later"
    if len(lasts) == len(SHOWN):
        return f"all daemons of {node} fell silent at once: its machine stopped, or somebody stopped all of them"
    return f"{names} fell silent: stopped, or killed"


def _silent(history: History, node: str, begin: float, end: float) -> Iterator[tuple[Moment, Moment | None]]:
    """The last line of each process that went no further, without ending as it should, and where a new one began."""
    for daemon in ("lrm", "crm", "watchdog"):
        moments = history.by_daemon.get((node, daemon), [])
        for one, other in pairwise([*moments, None]):
            if one is not None and begin <= one.at < end and _is_last(history, one, other, end):
                yield one, other


def _is_last(history: History, one: Moment, other: Moment | None, end: float) -> bool:
    life = history.lives[one.line.place]
    if (other is not None and history.lives[other.line.place] is life) or _ended(history, one.line):
        return False
    if other is not None and other.at < end:
        return True
    if one.line.daemon == "watchdog":  # one that nobody talks to says nothing
        rest = [history.by_daemon.get((one.line.node, daemon), []) for daemon in ("lrm", "crm")]
        return all(not any(one.at + AT_ONCE_S < it.at < end for it in moments) for moments in rest)
    return life.timing is None or end - one.at > 2 * (life.timing.round_s + life.timing.call_timeout_s)


def _ended(history: History, line: Line) -> bool:
    """Whether the process ended as it should: in a final state, or a multiplexer that guards nobody."""
    lines = [it for it in history.lives[line.place].lines if it.row.startswith(f"{line.daemon}.")]
    if not lines:
        return line.daemon == "watchdog"
    state = TABLES[line.daemon].state_named.get(lines[-1].said["to"])
    return bool(state and (state.final or (line.daemon == "watchdog" and state.name == "closed")))


def _power(history: History, node: str, begin: float, end: float) -> Iterator[Trouble]:
    for moment in history.ends(node):
        event = moment.line.said["event"]
        if begin <= moment.at <= end and event != "watchdog_reset":
            words = {"node_died": "its init died", "node_off": "it went off"}
            text = f"{node} lost its power, or {words.get(event, 'somebody cut it')} ({event})"
            yield Trouble("power", moment.at, text, (moment.line.place,))
