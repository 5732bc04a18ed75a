"""What a merged trace tells of nodes and services over time: the ground on which questions are answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hacore.protocol.locks import FENCING, agent_lock
from hacore.protocol.table import Row
from hacore.protocol.tables import TABLES
from hacore.trace.merging import Merged, Moment
from hacore.trace.reading import ENDS, Life, Line, Traces

STATUS, RESOURCES = "manager/status", "resources"


@dataclass(frozen=True, slots=True)
class Step:
    """A master has written that something is otherwise now, by rows that fired in order."""

    moment: Moment
    """When it was committed."""
    of: str
    """The service or the node."""
    rows: tuple[tuple[Row, frozenset[str]], ...]
    """With the facts that held, of those that were asked for."""
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    """A service's record, or {"state": ...} of a node."""
    decided: Line
    """Where the rows stand."""


@dataclass(slots=True)
class History:
    """The moments, sorted by whom they are of."""

    traces: Traces
    moments: tuple[Moment, ...]
    steps: list[Step] = field(default_factory=list)
    documents: dict[str, tuple[Any, Moment]] = field(default_factory=dict)
    """Each document as it was known last."""
    by_daemon: dict[tuple[str, str], list[Moment]] = field(default_factory=dict)
    """By node and daemon; the machine room's events under "hardware"."""
    lives: dict[str, Life] = field(default_factory=dict)
    """By the place of each line."""

    @classmethod
    def of(cls, traces: Traces, merged: Merged) -> History:
        history = cls(traces, merged.moments)
        history.lives = {line.place: life for life in traces.lives for line in life.lines}
        chosen: dict[str, Line] = {}
        for moment in merged.moments:
            line = moment.line
            history.by_daemon.setdefault((line.node, line.daemon), []).append(moment)
            if line.said.get("decided"):
                chosen[line.node] = line
            if line.seen >= 0:
                for key, document in line.answer("Snapshot")["documents"].items():
                    history.documents[key] = document["value"], moment
            elif line.committed:
                if STATUS in line.said["writes"] and line.node in chosen:
                    history.steps += history._steps(moment, chosen[line.node])
                for key, value in line.said["writes"].items():
                    history.documents[key] = value, moment
        return history

    @property
    def end(self) -> float:
        """When the last line was written."""
        return max(moment.at for moment in self.moments)

    @property
    def nodes(self) -> list[str]:
        return self.traces.nodes

    def document(self, key: str) -> Any:
        """A document as it was known last; {} if there is none."""
        return self.documents[key][0] or {} if key in self.documents else {}

    def _steps(self, moment: Moment, decided: Line) -> Iterator[Step]:
        before, after = self.document(STATUS), moment.line.said["writes"][STATUS]
        rows: dict[tuple[str, str], list[tuple[Row, frozenset[str]]]] = {}
        for it in decided.said["decided"]:
            name = it["row"].partition(".")[0]
            if it["row"] in TABLES[name].by_id:
                found = TABLES[name].by_id[it["row"]], frozenset(it["facts"])
                rows.setdefault((name, it["of"]), []).append(found)
        for (name, of), fired in rows.items():
            old, new = (_part(status, name, of) for status in (before, after))
            yield Step(moment, of, tuple(fired), old, new, decided)

    # ------------------------------------------------------------------------------------------------- questions

    def of_node(self, node: str) -> list[Step]:
        """What masters have made of the node."""
        return [step for step in self.steps if step.rows[0][0].id.startswith("node.") and step.of == node]

    def of_service(self, sid: str) -> list[Step]:
        return [step for step in self.steps if step.rows[0][0].id.startswith("service.") and step.of == sid]

    def ends(self, node: str) -> list[Moment]:
        """When everything on the node ended, as the machine room tells."""
        return [it for it in self.by_daemon.get((node, "hardware"), []) if it.line.said["event"] in ENDS]

    def commits(self, key: str, node: str = "") -> list[Moment]:
        """Transactions that wrote the document; of one node's daemons, if it is named."""
        return [
            moment
            for (who, _), moments in self.by_daemon.items()
            if node in {"", who}
            for moment in moments
            if moment.line.committed and key in moment.line.said["writes"]
        ]

    def fenced(self, node: str) -> list[Moment]:
        """When a master took the node's lock for fencing."""
        key = agent_lock(node)
        taken = self.commits(key)
        return sorted(
            (it for it in taken if it.line.said["writes"][key]["owner"] == FENCING), key=lambda moment: moment.at
        )

    def last(self, moments: Iterable[Moment], before: float) -> Moment | None:
        """The last of some moments, not later than a time."""
        return max((it for it in moments if it.at <= before), key=lambda moment: moment.at, default=None)


def _part(status: Mapping[str, Any], name: str, of: str) -> Mapping[str, Any]:
    if name == "service":
        record: Mapping[str, Any] = (status or {}).get("services", {}).get(of, {})
        return record
    if name == "node":
        return {"state": (status or {}).get("nodes", {}).get(of, "unknown")}
    return (status or {}).get("disarm") or {"state": "armed"}
