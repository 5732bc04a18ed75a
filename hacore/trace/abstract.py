"""What a trace tells of one service, as steps of the specification that people wrote (spec/HACluster.tla).

The specification leaves much out, so a trace is told until something happens that it leaves out. It knows one service
and its nodes at a time here: of fencing, only what concerns the service is told.

A decision is placed where its daemon read what it rests on; all else stands where it happened. An LRM that is killed
leaves a node that will be reset: what the next LRM of that boot tries in vain is no step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hacore.protocol.locks import FENCING, MANAGER_LOCK, agent_lock
from hacore.protocol.tables import TABLES
from hacore.trace.history import STATUS
from hacore.trace.merging import Merged
from hacore.trace.reading import ENDS, Line, Traces

TOLD = {"new", "started", "request_stop", "stopped", "freeze", "fence", "recovery"}
"""The states of a record that the specification knows; request_start counts as stopped."""
ROWS = {
    "lrm.active.guarded": "feed",
    "lrm.active.too_late": "late",
    "lrm.wait.refused": "refused",
    "lrm.active.unconfirmed": "refused",
    "lrm.lost.refused": "refused",
    "lrm.active.fenced": "mark",
    "lrm.active.marked": "mark",
    "lrm.active.leave_frozen": "leave",
    "lrm.active.leave": "close",
    "lrm.active.exit": "exit",
    "lrm.wait.quit": "quit",
    "lrm.lost.quit": "leave_lost",
    "lrm.lost.exit": "exit_lost",
}
"""The rows that are a step each."""
ASKING = {"lrm.wait.ask", "lrm.active.ask", "lrm.lost.ask"}
LEFT_OUT = (
    *("lrm.maintenance.", "lrm.empty.", "lrm.active.maintain", "lrm.active.stop", "lrm.active.idle"),
    *("lrm.active.leave_stopped", "lrm.active.leave_both", "lrm.active.disarm", "lrm.active.say_idle"),
    *("lrm.active.say_shutdown", "lrm.active.say_maintenance", "lrm.active.say_disarm", "lrm.wait.say_disarm"),
    *("lrm.wait.say_maintenance", "lrm.wait.left"),
)
"""The beginnings of rows that the specification leaves out."""


@dataclass(frozen=True, slots=True)
class Event:
    """One step: what it is, where, and what it says besides."""

    do: str
    node: str
    line: Line
    state: str = ""
    home: str = ""
    yes: bool = False

    def fields(self) -> dict[str, str | bool]:
        """What TLC is told of it."""
        return {"do": self.do, "node": self.node, "state": self.state, "home": self.home, "yes": self.yes}


class LeftOut(Exception):  # noqa: N818 - it says what is the case
    """Something that the specification does not tell of."""


@dataclass(slots=True)
class Abstract:
    """The steps, and why there are no more of them."""

    sid: str
    nodes: list[str]
    home: str
    events: list[Event] = field(default_factory=list)
    end: str = "the end of the trace"


def services(merged: Merged) -> list[str]:
    """The services of which a master has written a record."""
    found: dict[str, None] = {}
    for moment in merged.moments:
        if moment.line.committed and STATUS in moment.line.said["writes"]:
            found |= dict.fromkeys(moment.line.said["writes"][STATUS].get("services", {}))
    return sorted(found)


def abstract(traces: Traces, merged: Merged, sid: str) -> Abstract:
    """The steps that concern a service."""
    told = _Teller(traces, merged, sid)
    answer = Abstract(sid, traces.nodes, told.first_home)
    try:
        for event in told.events():
            answer.events.append(event)
    except LeftOut as end:
        answer.end = str(end)
    return answer


class _Teller:
    def __init__(self, traces: Traces, merged: Merged, sid: str) -> None:
        self.lines = [moment.line for moment in merged.moments]
        self.sid = sid
        self.watched = {line.node for line in traces.hardware}
        self.record: dict[str, Any] = {}
        self.modes: dict[str, str] = dict.fromkeys(traces.nodes, "idle")
        self.phase: dict[str, str] = {}
        """By node: the state of its LRM; "off" if the node is; "doomed" if its LRM was killed and it will be reset."""
        self.asked: dict[str, bool] = {}
        """Whether a lock request was sent since the row that asks for it."""
        self.master = ""
        self.restarts: dict[str, int] = {}
        self.decided: dict[str, list[dict[str, Any]]] = {}
        """By node: what its master decided last."""
        self.first_home = next((it["node"] for line in self.lines if (it := self._written(line))), "")
        self.spawns = self._placed()

    def _written(self, line: Line) -> dict[str, Any]:
        """The service's record in a manager status that is written."""
        status = line.said["writes"].get(STATUS, {}) if line.committed else {}
        record: dict[str, Any] = status.get("services", {}).get(self.sid, {})
        return record

    def _placed(self) -> dict[str, Line]:
        """By the place of a read: the start of a worker that rests on it, and that goes on to do something."""
        reads, spawned, placed = dict[str, Line](), dict[tuple[str, str], str](), dict[str, Line]()
        for line in self.lines:
            if line.daemon != "lrm":
                continue
            if line.ask == "Read":
                reads[line.node] = line
            elif line.ask == "Spawn" and line.said["job"]["sid"] == self.sid and line.node in reads:
                spawned[line.node, line.said["job"]["uid"]] = reads[line.node].place
            elif line.row in {"worker.begin.start", "worker.begin.stop"} and line.worker and line.worker[0] == self.sid:
                place = spawned.get((line.node, line.worker[1]))
                if place:
                    placed[place] = line
        return placed

    def events(self) -> Iterator[Event]:
        """Raises LeftOut at the first thing that the specification does not tell of."""
        for line in self.lines:
            if line.daemon == "hardware":
                yield from self._hardware(line)
            elif line.daemon == "lrm" and line.worker:
                yield from self._worker(line)
            elif line.daemon == "lrm":
                yield from self._lrm(line)
            elif line.daemon == "crm":
                yield from self._crm(line)

    # ------------------------------------------------------------------------------------------------- hardware

    def _hardware(self, line: Line) -> Iterator[Event]:
        if line.said.get("event") in ENDS:
            yield from self._crash(line.node, line)

    def _crash(self, node: str, line: Line) -> Iterator[Event]:
        if self.phase.get(node) != "off":
            self.phase[node] = "off"
            yield Event("crash", node, line)

    # ------------------------------------------------------------------------------------------------------ LRMs

    def _lrm(self, line: Line) -> Iterator[Event]:
        node = line.node
        if "begin" in line.said:
            yield from self._begin(node, line)
            return
        if self.phase[node] in {"doomed", "off"}:
            return
        if line.row.startswith(LEFT_OUT) or (line.ask == "Inbox" and set(line.said["answer"]) - {"restart"}):
            raise LeftOut(f"{line.row or 'a shutdown'} ({line.place})")
        if line.place in self.spawns:
            yield Event("spawn", node, line)
        if line.row:
            yield from self._lrm_row(line)
        elif line.ask == "OpenWatchdog" and line.answer("Accepted") is not None:
            yield Event("arm", node, line)
        elif line.ask == "Transact":
            yield from self._lrm_writes(line)

    def _begin(self, node: str, line: Line) -> Iterator[Event]:
        before = self.phase.get(node, "wait_for_agent_lock")
        if before == "off":
            yield Event("on", node, line)
        elif before == "exited":
            yield Event("return", node, line)
        resting = before in {"off", "exited"} or _shown(before) == "wait_for_agent_lock"
        held = before in {"wait.armed", "wait.asked"} or not resting
        self.phase[node] = "doomed" if held else "wait_for_agent_lock"

    def _lrm_row(self, line: Line) -> Iterator[Event]:
        node, row = line.node, line.row
        if ROWS.get(row) == "refused" and not self.asked.get(node):
            yield Event("take", node, line)  # it knew already that it would not be granted
        if row in ROWS:
            yield Event(ROWS[row], node, line)
        if row in ASKING:
            self.asked[node] = False
        self.phase[node] = line.said["to"]

    def _lrm_writes(self, line: Line) -> Iterator[Event]:
        node, writes = line.node, line.said["writes"]
        if agent_lock(node) in writes:
            if writes[agent_lock(node)]["owner"]:
                self.asked[node] = True
                yield Event("take", node, line, yes=line.committed > 0)
            elif line.committed and self.phase[node] == "exited":
                yield Event("released", node, line)
        elif line.committed and f"lrm/{node}" in writes:
            said = writes[f"lrm/{node}"]
            yield from self._reports(node, said["results"], line)
            if said["mode"] == "restart" and said["generation"] != self.restarts.get(node):
                self.restarts[node] = said["generation"]
                yield Event("restart", node, line)
            elif said["mode"] != self.modes[node]:
                yield Event(said["mode"], node, line)
            self.modes[node] = said["mode"]

    def _reports(self, node: str, results: dict[str, str], line: Line) -> Iterator[Event]:
        code = results.get(self.record.get("uid", ""))
        if self.record.get("node") != node or code is None or self.record.get("told"):
            return
        if code != "success":
            raise LeftOut(f"an answer other than success ({line.place})")
        self.record["told"] = True
        if self.record["state"] in {"new", "request_stop"}:
            yield Event("report", node, line)

    def _worker(self, line: Line) -> Iterator[Event]:
        assert line.worker is not None
        if line.worker[0] != self.sid or self.phase.get(line.node) == "off":
            return
        if line.ask in {"Start", "Stop"}:
            yield Event("work", line.node, line)
        elif line.row in {"worker.begin.move", "worker.starting.retry", "worker.starting.failed", "worker.begin.watch"}:
            raise LeftOut(f"{line.row} ({line.place})")

    # ----------------------------------------------------------------------------------------------------- masters

    def _crm(self, line: Line) -> Iterator[Event]:
        if "decided" in line.said:
            self.decided[line.node] = line.said["decided"]
        if not line.committed:
            return
        writes = line.said["writes"]
        if MANAGER_LOCK in writes and writes[MANAGER_LOCK]["owner"] not in {"", self.master}:
            self.master = line.node
            yield Event("master", line.node, line)
        for key, lock in writes.items():
            if key.startswith(agent_lock("")) and lock["owner"] == FENCING:
                node = key.removeprefix(agent_lock(""))
                if node not in self.watched:
                    yield from self._crash(node, line)
                if (self.record.get("state"), self.record.get("node")) == ("fence", node):
                    yield Event("fence", line.node, line, home=node)
        if STATUS in writes:
            yield from self._writes(line, self._written(line))

    def _writes(self, line: Line, record: dict[str, Any]) -> Iterator[Event]:
        """The steps from the record as it was to the one that is written, row by row."""
        before, self.record = self.record, dict(record)
        if not before:
            if record and record["state"] not in {"new"}:
                raise LeftOut(f"a record that was there before the trace began ({line.place})")
            return
        if not record:
            raise LeftOut(f"{self.sid} is managed no more ({line.place})")
        if record["uid"] == before["uid"]:
            self.record["told"] = before.get("told", False)
        state, home = _spec(before["state"], line), before["node"]
        for target in self._way(line):
            after = _spec(target, line)
            to = record["node"] if target == record["state"] or state == "recovery" else home
            if (after, to) != (state, home) or (after == "freeze" and record["uid"] != before["uid"]):
                yield Event("write", line.node, line, after, to)
            state, home = after, to

    def _way(self, line: Line) -> list[str]:
        """The states by which the master took it there."""
        rows = [it for it in self.decided.get(line.node, ()) if it["of"] == self.sid]
        for it in rows:
            if {"DISARMING", "START_FAILED", "WENT_DOWN"} & set(it["facts"]):
                raise LeftOut(f"{it['row']} ({line.place})")
        return [TABLES["service"].by_id[it["row"]].target for it in rows]


def _shown(state: str) -> str:
    return TABLES["lrm"].state_named[state].shown if state in TABLES["lrm"].by_state else state


def _spec(state: str, line: Line) -> str:
    named = "stopped" if state == "request_start" else state
    if named not in TOLD:
        raise LeftOut(f"a record in {named} ({line.place})")
    return named
