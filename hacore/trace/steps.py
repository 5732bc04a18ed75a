"""A life, held against the tables: each step is a row, each effect is a row's, and nothing happens without a row.

For each line that says that a row fired: there is such a row, it leaves the state in which the machine is, it is the
first of that state whose guard holds given the facts that are recorded, and it leads where the line says. What was read
for it was read since the last step. Then its effect follows, and no other. What a master has decided is a chain of rows
from what it has read to what it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from hacore.protocol.locks import FENCING, MANAGER_LOCK, agent_lock, heartbeat
from hacore.protocol.table import Checker, Row, Table
from hacore.protocol.tables import TABLES
from hacore.trace.problem import Problem
from hacore.trace.reading import Life, Line

NAME = "Step"
STATUS = "manager/status"
MASTERS = frozenset({STATUS, "resources", "commands"})
"""The documents that a master writes, besides locks that it frees."""
Writes = Mapping[str, Any]


def _lock(key_of: Callable[[str], str], owner: str | None = None, **also: int) -> Callable[[str, Writes], bool]:
    """Whether a lock, and nothing else, is written for ``owner``; None is the node itself."""

    def holds(node: str, writes: Writes) -> bool:
        lock = {"owner": node if owner is None else owner, **also}.items()
        return writes.keys() == {key_of(node)} and lock <= writes[key_of(node)].items()

    return holds


def _manager_lock(_: str) -> str:
    return MANAGER_LOCK


def _fencing(_: str, writes: Writes) -> bool:
    agents = all(key.startswith(agent_lock("")) and it["owner"] == FENCING for key, it in writes.items())
    return len(writes) == 1 and agents


def _changes(_: str, writes: Writes) -> bool:
    freed = (it["owner"] == "" for key, it in writes.items() if key.startswith(agent_lock("")))
    return all(key in MASTERS or key.startswith(agent_lock("")) for key in writes) and all(freed)


TRANSACTIONS: dict[str, Callable[[str, Writes], bool]] = {
    "TAKE_LOCK": _lock(agent_lock, renewals=0),
    "RENEW_LOCK": _lock(agent_lock),
    "RELEASE_LOCK": _lock(agent_lock, ""),
    "TAKE_MANAGER_LOCK": _lock(_manager_lock, renewals=0),
    "RENEW_MANAGER_LOCK": _lock(_manager_lock),
    "RELEASE_MANAGER_LOCK": _lock(_manager_lock, ""),
    "TAKE_AGENT_LOCK": _fencing,
    "WRITE_CHANGES": _changes,
    "PUBLISH": lambda node, writes: writes.keys() == {f"lrm/{node}"},
    "HEARTBEAT": lambda node, writes: writes.keys() == {heartbeat(node)},
}
"""What each of these actions may write, on which node."""
REQUESTS = {
    "OPEN_WATCHDOG": "OpenWatchdog",
    "KEEP_ALIVE": "KeepAlive",
    "CLOSE_WATCHDOG": "CloseWatchdog",
    "SPAWN_WORKER": "Spawn",
    "START_SERVICE": "Start",
    "STOP_SERVICE": "Stop",
    "MOVE_SERVICE": "Migrate",
    "OPEN_HARDWARE": "OpenHardware",
    "CLOSE_HARDWARE": "CloseHardware",
    "ACCEPT": "Reply",
    "REFUSE": "Reply",
    **dict.fromkeys(TRANSACTIONS, "Transact"),
}
"""By which request each action takes effect. Feeding the hardware is not told: it says only that time passes."""
EFFECTS = frozenset(REQUESTS.values())
ANSWERS = {"ACCEPT": "Accepted", "REFUSE": "Refused"}
LOOKS = frozenset({"Read", "Probe", "Receive", "Inbox"})
"""Requests by which a machine looks; it has done by then what its last row says."""
UNASKED = frozenset({"TAKE_LOCK", "WRITE_CHANGES"})
"""Actions that are left out if the daemon knows already that what the store would check does not hold."""


class Steps:
    """One machine in the trace: a daemon, or one of its workers."""

    def __init__(self, table: Table, line: Line, known: bool) -> None:
        self.table = table
        self.state = table.initial if known else ""
        self.due: Row | None = None
        """The row whose effect is to follow."""
        self.fired: Line = line
        self.read = True
        """Whether anything was read since the last row."""

    def take(self, line: Line) -> Iterator[Problem]:
        """One more line of this machine."""
        if line.row:
            yield from self._row(line)
        elif line.ask in EFFECTS:
            yield from self._effect(line)
        elif line.ask in LOOKS:
            yield from self._missing(line)
            self.read = True

    def _row(self, line: Line) -> Iterator[Problem]:
        yield from self._missing(line)
        said, row = line.said, self.table.by_id.get(line.row)
        if row is None:
            yield Problem.at(NAME, f"there is no row {line.row} in the table {self.table.name}", line)
            return
        if self.state and row.state != self.state:
            yield Problem.at(NAME, f"{row.id} leaves {row.state}, but the machine is in {self.state}", line, self.fired)
        yield from self._holds(row, line)
        if said["from"] != row.state or said["to"] != row.target:
            yield Problem.at(
                NAME, f"{row.id} leads from {row.state} to {row.target}, not {said['from']} to {said['to']}", line
            )
        if not self.read and any(fact.checker is Checker.READ for fact in self.table.facts_of(row.state)):
            yield Problem.at(NAME, f"{row.id} rests on what was read, but nothing was read since", line, self.fired)
        shows = any(action.name in REQUESTS for action in row.do)
        self.state, self.due, self.fired, self.read = row.target, row if shows else None, line, False

    def _missing(self, line: Line) -> Iterator[Problem]:
        due, self.due = self.due, None
        if due and due.effect and due.effect.name not in UNASKED:
            yield Problem.at(NAME, f"{due.id} has no effect: {due.effect} should follow", line, self.fired)

    def _holds(self, row: Row, line: Line) -> Iterator[Problem]:
        facts = set(line.said["facts"])
        strange = facts - {fact.name for fact in self.table.facts_of(row.state)}
        if strange:
            yield Problem.at(NAME, f"nobody asks for {', '.join(sorted(strange))} in {row.state}", line)
        first = self.table.step(row.state, lambda fact: fact.name in facts)
        if first is not row:
            yield Problem.at(
                NAME, f"given {', '.join(sorted(facts)) or 'no fact'}, {first.id} fires, not {row.id}", line
            )

    def _effect(self, line: Line) -> Iterator[Problem]:
        due, self.due = self.due, None
        action = due.effect if due else None
        if action is None or REQUESTS.get(action.name) != line.ask:
            if line.ask == "FeedHardware":
                return
            yield Problem.at(NAME, f"{line.ask} without a row whose effect it is", line, self.fired)
        elif action.name in TRANSACTIONS:
            if not TRANSACTIONS[action.name](line.node, line.said["writes"]):
                yield Problem.at(
                    NAME,
                    f"{action} does not write {', '.join(line.said['writes']) or 'nothing'} like that",
                    line,
                    self.fired,
                )
        elif action.name in ANSWERS and ANSWERS[action.name] not in line.said["says"]:
            yield Problem.at(NAME, f"{action} does not answer {', '.join(line.said['says'])}", line, self.fired)


def steps(life: Life) -> Iterator[Problem]:
    """What of a life is no step of the tables."""
    daemon = Steps(TABLES[life.daemon], life.lines[0], life.whole)
    decided = Decisions()
    workers: dict[tuple[str, str], Steps] = {}
    for line in life.lines:
        if line.worker is None:
            yield from daemon.take(line)
            yield from decided.take(line)
            continue
        if line.worker not in workers:
            workers[line.worker] = Steps(TABLES["worker"], line, life.whole)
        worker = workers[line.worker]
        yield from worker.take(line)
        if worker.state and worker.table.state_named[worker.state].final and line.row:
            del workers[line.worker]


class Decisions:
    """What a master has decided: from what it has read, row by row, to what it writes."""

    def __init__(self) -> None:
        self.states: dict[tuple[str, str], str] = {}
        """By table and what it is about, in the order of what was read and decided."""
        self.read: Mapping[str, Any] = {}
        self.line: Line | None = None

    def take(self, line: Line) -> Iterator[Problem]:
        seen = line.answer("Snapshot") if line.ask == "Read" and line.daemon == "crm" else None
        if seen is not None:
            self.read = seen["documents"].get(STATUS, {}).get("value") or {}
        elif line.said.get("decided"):
            self.states, self.line = _states(self.read), line
            for decided in line.said["decided"]:
                yield from self._decided(decided, line)
        elif line.ask == "Transact" and STATUS in line.said["writes"] and self.line:
            yield from self._written(_states(line.said["writes"][STATUS]), line)
            self.line = None

    def _decided(self, decided: Mapping[str, Any], line: Line) -> Iterator[Problem]:
        name, of = str(decided["row"]).partition(".")[0], str(decided["of"])
        row = TABLES[name].by_id.get(decided["row"]) if name in {"service", "node", "disarm"} else None
        if row is None:
            yield Problem.at(NAME, f"there is no row {decided['row']} by which a master decides", line)
            return
        at = self.states.get((name, of), TABLES[name].initial)
        if row.state != at:
            yield Problem.at(NAME, f"{row.id} leaves {row.state}, but {of or name} is {at}", line)
        facts = set(decided["facts"])
        first = TABLES[name].step(row.state, lambda fact: fact.name in facts)
        if first is not row:
            yield Problem.at(
                NAME, f"{of}: given {', '.join(sorted(facts)) or 'no fact'}, {first.id} fires, not {row.id}", line
            )
        self.states[name, of] = row.target

    def _written(self, written: Mapping[tuple[str, str], str], line: Line) -> Iterator[Problem]:
        assert self.line is not None
        for (name, of), state in written.items():
            decided = self.states.get((name, of), TABLES[name].initial)
            if state != decided:
                text = f"{of or name} is written as {state}; what was read and decided makes it {decided}"
                yield Problem.at(NAME, text, line, self.line)


def _words(facts: Iterable[str]) -> str:
    return ", ".join(sorted(facts)) or "no fact"


def _states(status: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    states = {("service", sid): str(record["state"]) for sid, record in status.get("services", {}).items()}
    states |= {("node", node): str(state) for node, state in status.get("nodes", {}).items()}
    states["disarm", ""] = status["disarm"]["state"] if status.get("disarm") else "armed"
    return states
