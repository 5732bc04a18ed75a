"""What must always hold (PROTOCOL section 10), along a merged trace, as far as a trace shows it.

Store               the store gave what it promises: transactions on conditions that held, reads that are not stale
OneMaster           the manager status is written only by the owner of the manager lock, with its present token; a token
                    belongs to one process; the same of each node's lock
FenceBeforeRecover  a node's lock is taken for fencing only when the node is marked; a record goes into recovery only
                    while that lock is held, and when nothing of it runs there any more
SingleOwner         no service is started on a node while it runs on another
FrozenUntouched     an LRM begins nothing with what is frozen (but to stop it, as the node goes down)
ErrorUntouched      the same of what is in error
SafeDisarm          an LRM closes its watchdog only without a worker, and if what runs there is frozen or new
Guarded             an LRM starts workers, and publishes mode active, only while its watchdog is armed
AckOnce             a uid to which there is an outcome is not executed again (retries, looking again at what runs, and
                    the protection of what is stopped excepted)
NoNeedlessReset     (in hacore.trace.why) a watchdog resets only a node on which something had failed
WatchdogFires       when a deadline has passed for longer than the watchdog may take, nothing of the node goes on

Whether a service runs on a node is what its workers have found or done. It ends there with the node: the machine room's
log tells when that was. Where there is none, a node counts as ended once its lock is held for fencing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hacore.protocol.locks import FENCING, MANAGER_LOCK, agent_lock
from hacore.trace.merging import Merged, Moment
from hacore.trace.problem import Problem
from hacore.trace.reading import ENDS, Life, Line, Traces

STATUS = "manager/status"
UNTOUCHED = {"freeze": "FrozenUntouched", "error": "ErrorUntouched"}
UNGUARDED = frozenset({"freeze", "new"})
"""States in which a service may run without a watchdog."""


@dataclass(slots=True)
class _Process:
    """What is known of one process."""

    life: Life
    status: Mapping[str, Any] = field(default_factory=dict)
    """The manager status as it last read it."""
    working: dict[tuple[str, str], Line] = field(default_factory=dict)
    """Its workers, and where they were started."""
    outcomes: dict[str, str] = field(default_factory=dict)
    results: Mapping[str, str] = field(default_factory=dict)
    """Its node's outcomes as it last read them."""
    deadline: tuple[float, Line] | None = None


class Promises:
    """Looks at each moment in turn."""

    def __init__(self, traces: Traces, merged: Merged) -> None:
        self.merged = merged
        self.known: dict[str, tuple[int, Any, Line]] = {}
        """Each document as it was last seen or written: its revision, its value, and where that stands."""
        self.tokens: dict[tuple[str, int], _Process] = {}
        self.runs: dict[str, dict[str, Moment]] = {}
        """By service: where it runs, and since when that is known."""
        self.watched = {line.node for line in traces.hardware}
        """Nodes whose end the machine room tells."""
        self.ends = [moment for moment in merged.moments if moment.line.said.get("event") in ENDS]
        self.processes = {line.place: _Process(life) for life in traces.lives for line in life.lines[:1]}
        self.now: dict[tuple[str, str], _Process] = {}

    def broken(self) -> Iterator[Problem]:
        for moment in self.merged.moments:
            line = moment.line
            if line.daemon == "hardware":
                self._ended(line)
                continue
            if line.place in self.processes:
                self.now[line.node, line.daemon] = self.processes[line.place]
                if line.daemon == "watchdog" and line.node not in self.watched:
                    self._gone(line.node)
            process = self.now[line.node, line.daemon]
            yield from self._watchdog_fires(process, line)
            if line.worker is not None:
                yield from self._worker(moment, line.worker[0])
            elif line.ask in _LOOKS:
                yield from _LOOKS[line.ask](self, process, line)

    # ------------------------------------------------------------------------------------------------- the store

    def _read(self, process: _Process, line: Line) -> Iterator[Problem]:
        seen = line.answer("Snapshot")
        if seen is None:
            return
        documents = seen["documents"]
        process.status = documents.get(STATUS, {}).get("value") or {}
        process.results = (documents.get(f"lrm/{line.node}", {}).get("value") or {}).get("results", {})
        for key, document in documents.items():
            revision, value = document["revision"], document["value"]
            before = self.known.get(key, (0, None, line))
            if revision > before[0]:
                self.known[key] = revision, value, line
            elif revision < before[0] <= seen["revision"]:
                text = f"'{key}' is shown as of revision {revision}, though {before[0]} had been written"
                yield Problem.at("Store", text, line, before[2])
            elif revision == before[0] and value != before[1]:
                yield Problem.at("Store", f"'{key}' is shown in two ways at revision {revision}", line, before[2])

    def _transact(self, process: _Process, line: Line) -> Iterator[Problem]:
        if not line.committed:
            return
        writes, checks = line.said["writes"], line.said["checks"]
        for key, revision in checks.items():
            known = self.known.get(key)
            if known and known[0] > revision:
                text = f"committed on condition that '{key}' is of revision {revision}, but it was of {known[0]}"
                yield Problem.at("Store", text, line, known[2])
        if MANAGER_LOCK in writes:
            yield from self._token(process, MANAGER_LOCK, line)
        said = writes.get(f"lrm/{line.node}", {})
        if said.get("mode") == "active" and process.deadline is None and process.life.whole:
            yield Problem.at("Guarded", "mode active is published, and no watchdog is armed", line)
        own = agent_lock(line.node)
        if line.daemon == "lrm" and own in writes:
            yield from self._token(process, own, line)
        if line.daemon == "crm":
            yield from self._fences(line)
        if STATUS in writes:
            yield from self._masters(process, line)
            yield from self._recovers(line)
        for key, value in writes.items():
            self.known[key] = line.committed, value, line

    def _token(self, process: _Process, key: str, line: Line) -> Iterator[Problem]:
        """A lock that is taken has a token that it never had; one that is renewed or released keeps it."""
        lock = line.said["writes"][key]
        before = (self.known.get(key) or (0, None, line))[1] or {"owner": "", "token": 0, "renewals": 0}
        owner = self.tokens.setdefault((key, lock["token"]), process)
        if owner is not process and (lock["owner"] or before["token"] != lock["token"]):
            text = f"the token {lock['token']} of '{key}' belongs to another process"
            yield Problem.at("OneMaster", text, line, owner.life.lines[0])
        if lock["token"] < before["token"]:
            yield Problem.at("OneMaster", f"the token of '{key}' goes back from {before['token']}", line)
        elif lock["token"] == before["token"] and before["owner"] not in {lock["owner"], line.node}:
            yield Problem.at("OneMaster", f"'{key}' is written with the token of {before['owner'] or 'nobody'}", line)

    def _masters(self, process: _Process, line: Line) -> Iterator[Problem]:
        revision, lock, shown = self.known.get(MANAGER_LOCK) or (0, None, line)
        lock = lock or {"owner": "", "token": 0}
        if line.daemon != "crm" or MANAGER_LOCK not in line.said["checks"]:
            yield Problem.at("OneMaster", "the manager status is written without the manager lock", line)
        elif lock["owner"] != line.node or self.tokens.get((MANAGER_LOCK, lock["token"])) is not process:
            text = f"{line.node} writes as master, but the lock is {lock['owner'] or 'nobody'}'s (revision {revision})"
            yield Problem.at("OneMaster", text, line, shown)

    # ------------------------------------------------------------------------------------------- fencing, recovery

    def _status(self) -> Mapping[str, Any]:
        known = self.known.get(STATUS)
        status: Mapping[str, Any] = (known[1] if known else None) or {}
        return status

    def _fences(self, line: Line) -> Iterator[Problem]:
        for key, lock in line.said["writes"].items():
            if key.startswith(agent_lock("")) and lock["owner"] == FENCING:
                node = key.removeprefix(agent_lock(""))
                if self._status().get("nodes", {}).get(node) != "fence" or STATUS not in line.said["checks"]:
                    text = f"the lock of {node} is taken for fencing, but {node} is not marked"
                    yield Problem.at("FenceBeforeRecover", text, line)
                if node not in self.watched:
                    self._gone(node)

    def _recovers(self, line: Line) -> Iterator[Problem]:
        before = self._status().get("services", {})
        for sid, record in line.said["writes"][STATUS].get("services", {}).items():
            was = before.get(sid)
            if record["state"] != "recovery" or not was or was["state"] == "recovery":
                continue
            key = agent_lock(was["node"])
            lock = (self.known.get(key) or (0, None, line))[1] or {"owner": ""}
            if lock["owner"] != FENCING or key not in line.said["checks"]:
                yield Problem.at(
                    "FenceBeforeRecover", f"{sid} is recovered from {was['node']}, which is not fenced", line
                )
            still = self.runs.get(sid, {}).get(was["node"])
            if still and not self._over(still, line):
                text = f"{sid} is recovered from {was['node']}, but runs there still"
                yield Problem.at("FenceBeforeRecover", text, line, still.line)

    # --------------------------------------------------------------------------------------------------- services

    def _ended(self, line: Line) -> None:
        if line.said["event"] in ENDS:
            self._gone(line.node)

    def _gone(self, node: str) -> None:
        """Nothing runs on the node any more."""
        for nodes in self.runs.values():
            nodes.pop(node, None)

    def _over(self, moment: Moment, line: Line) -> bool:
        """Whether what was seen at a moment may have ended with its node by now, given how clocks are known."""
        unsure = self.merged.unsure(moment.line.boot, line.boot)
        now = next((it.at for it in self.merged.moments if it.line is line), moment.at) if unsure else moment.at
        return unsure > 0 and any(
            end.line.node == moment.line.node and moment.at <= end.at <= now + unsure for end in self.ends
        )

    def _worker(self, moment: Moment, sid: str) -> Iterator[Problem]:
        line, nodes = moment.line, self.runs.setdefault(sid, {})
        if line.row == "worker.begin.move":
            nodes.pop(line.node, None)  # from here on it may run there or on the target, until somebody looks
        elif line.ask == "Start" or line.row == "worker.begin.start" or (line.ask == "Probe" and line.said["answer"]):
            for node, since in nodes.items():
                if node != line.node and not self._over(since, line):
                    text = f"{sid} runs on {line.node} and on {node}"
                    yield Problem.at("SingleOwner", text, line, since.line)
            nodes[line.node] = moment
        elif line.ask == "Probe" or (line.ask == "Migrate" and line.said["answer"]):
            nodes.pop(line.node, None)

    def _spawn(self, process: _Process, line: Line) -> Iterator[Problem]:
        job = line.said["job"]
        record, stopping = process.status.get("services", {}).get(job["sid"], {}), job["uid"].startswith("shutdown ")
        name = UNTOUCHED.get(record.get("state", ""))
        if name and not stopping and job["state"] != "error":
            yield Problem.at(name, f"{job['state']} is begun with {job['sid']}, which is in {record['state']}", line)
        if process.deadline is None and process.life.whole:
            yield Problem.at("Guarded", f"a worker is started for {job['sid']}, and no watchdog is armed", line)
        outcome = process.outcomes.get(job["uid"]) or process.results.get(job["uid"], "retry")
        if outcome != "retry" and not stopping and job["state"] not in {"watch", "stopped"}:
            text = f"uid {job['uid']} of {job['sid']} is executed again, though its outcome was {outcome}"
            yield Problem.at("AckOnce", text, line)
        process.working[job["sid"], job["uid"]] = line

    def _reap(self, process: _Process, line: Line) -> Iterator[Problem]:
        for outcome in line.said["answer"]:
            process.working.pop((outcome["sid"], outcome["uid"]), None)
            process.outcomes[outcome["uid"]] = outcome["code"]
        yield from ()

    # ------------------------------------------------------------------------------------------------ the watchdog

    def _kept(self, process: _Process, line: Line) -> Iterator[Problem]:
        if line.answer("Accepted") is not None:
            process.deadline = line.said["deadline_s"], line
        yield from ()

    def _closed(self, process: _Process, line: Line) -> Iterator[Problem]:
        if line.answer("Accepted") is not None:
            process.deadline = None
        for (sid, _), since in process.working.items():
            yield Problem.at("SafeDisarm", f"the watchdog is closed, while a worker is busy with {sid}", line, since)
        records = process.status.get("services", {})
        for sid, nodes in self.runs.items():
            state = records.get(sid, {"state": "new"})["state"]
            if line.node in nodes and state not in UNGUARDED:
                text = f"the watchdog is closed, while {sid} runs, which is in {state}"
                yield Problem.at("SafeDisarm", text, line, nodes[line.node].line)

    def _watchdog_fires(self, process: _Process, line: Line) -> Iterator[Problem]:
        if process.deadline is None or process.life.timing is None:
            return
        deadline, kept = process.deadline
        if line.t > deadline + process.life.timing.reset_s:
            process.deadline = None
            text = f"goes on {line.t - deadline:.2f} s after its watchdog's deadline"
            yield Problem.at("WatchdogFires", text, line, kept)


_LOOKS = {
    "Read": Promises._read,
    "Transact": Promises._transact,
    "Spawn": Promises._spawn,
    "Reap": Promises._reap,
    "OpenWatchdog": Promises._kept,
    "KeepAlive": Promises._kept,
    "CloseWatchdog": Promises._closed,
}
