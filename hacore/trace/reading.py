"""Files of traces, read: lines with their places, and the lives that they tell of.

A life is one process: from the line that says so until the next. What was killed in the midst of a line has left half
of it; that is the last line of its life. Anything else that is no line of a trace is a problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from hacore.protocol.timing import Timing, TimingError
from hacore.trace.lines import timing_of

HARDWARE = "events.jsonl"
"""What the machine room has seen: watchdogs that reset nodes, power."""
ENDS = frozenset({"watchdog_reset", "node_died", "node_off", "power_off", "power_reset"})
"""Events of the machine room after which nothing runs on the node."""


class TraceError(ValueError):
    """There is no trace, or what is there cannot be read. The message says what, and where."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line, and where it stands."""

    path: Path
    number: int
    t: float
    node: str
    daemon: str
    said: Mapping[str, Any] = field(repr=False)
    boot: str = ""
    """Whose clock it is."""

    @property
    def place(self) -> str:
        return f"{self.path}:{self.number}"

    @property
    def ask(self) -> str:
        """The kind of request, if it is one."""
        kind: str = self.said.get("ask", "")
        return kind

    @property
    def row(self) -> str:
        row: str = self.said.get("row", "")
        return row

    @property
    def worker(self) -> tuple[str, str] | None:
        """A worker's service and uid, if it is a worker's line."""
        return (self.said["worker"], self.said["uid"]) if "worker" in self.said else None

    def answer(self, kind: str) -> Any:
        """What the answer of that kind holds; None if it is another."""
        answer = self.said.get("answer")
        return answer.get(kind) if isinstance(answer, dict) else None

    @property
    def committed(self) -> int:
        """The revision at which a transaction happened; 0 if it is none, or did not."""
        found = self.answer("Committed") if self.ask == "Transact" else None
        return int(found["revision"]) if found else 0

    @property
    def seen(self) -> int:
        """The revision that a read showed; -1 if it is none, or showed nothing."""
        found = self.answer("Snapshot") if self.ask == "Read" else None
        return int(found["revision"]) if found else -1


@dataclass(eq=False, slots=True)
class Life:
    """One process of a daemon, its workers included."""

    node: str
    daemon: str
    boot: str
    timing: Timing | None
    """None if its beginning is not there any more."""
    tables: str
    """The digest of its tables."""
    lines: list[Line] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether it is told from its beginning."""
        return "begin" in self.lines[0].said and not self.lines[0].said.get("again")


@dataclass(slots=True)
class Traces:
    """All that was read. A thread is what one daemon of one node has left, life after life."""

    threads: dict[tuple[str, str], list[Life]] = field(default_factory=dict)
    hardware: list[Line] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    """Where something is no line of a trace, and why."""

    @property
    def lives(self) -> Iterator[Life]:
        for lives in self.threads.values():
            yield from lives

    @property
    def nodes(self) -> list[str]:
        return sorted({node for node, _ in self.threads})

    def take(self, path: Path, number: int, said: dict[str, Any]) -> None:
        """One more line of a daemon, which may begin another life."""
        lives = self.threads.setdefault((said["node"], said["daemon"]), [])
        if "begin" in said and not (lives and said.get("again")):
            life, problem = _life(said)
            lives.append(life)
            self.broken += [(f"{path}:{number}", problem)] if problem else []
        elif not lives:
            lives.append(Life(said["node"], said["daemon"], "", None, ""))
        life = lives[-1]
        life.lines.append(Line(path, number, said["t"], life.node, life.daemon, said, life.boot))


def read(paths: Iterable[Path]) -> Traces:
    """Read files, and directories with all below them. Raises TraceError if there is nothing."""
    traces = Traces()
    files = [file for path in paths for file in _files(path)]
    if not files:
        raise TraceError("there is no trace: name files, or a directory with NODE/trace/DAEMON.jsonl below it")
    hardware = []
    for path in files:
        if path.name == HARDWARE:
            hardware += list(_events(path))
        else:
            _read_file(path, traces)
    if not traces.threads:
        raise TraceError(f"there is no line of a daemon in {', '.join(map(str, files[:3]))}")
    traces.hardware = [_clocked(traces, line) for line in hardware]
    return traces


def _files(path: Path) -> Sequence[Path]:
    """The older part of a file stands before the newer one."""
    if not path.is_dir():
        return [path]
    found = {*path.rglob("trace/*.jsonl"), *path.rglob("trace/*.jsonl.1"), *path.rglob(HARDWARE)}
    return sorted(found, key=lambda file: (str(file).removesuffix(".1"), file.suffix != ".1"))


def _texts(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    for number, text in enumerate(path.read_bytes().split(b"\n"), 1):
        if text:
            try:
                said = msgspec.json.decode(text)
            except msgspec.DecodeError:
                said = None
            yield number, said if isinstance(said, dict) else None


def _events(path: Path) -> Iterator[Line]:
    for number, said in _texts(path):
        if said and "event" in said and "node" in said:
            yield Line(path, number, said["t"], said["node"], "hardware", said, said.get("boot", ""))


def _clocked(traces: Traces, line: Line) -> Line:
    """The machine room of a local cluster has the clock of all its nodes."""
    boots = [life.boot for life in traces.lives if life.node == line.node and life.lines[0].t <= line.t]
    return line if line.boot or not boots else replace(line, boot=boots[-1])


def _read_file(path: Path, traces: Traces) -> None:
    torn = ""
    for number, said in _texts(path):
        place = f"{path}:{number}"
        if said is None:
            if torn:
                traces.broken.append((torn, "no line of a trace, though its process went on"))
            torn = place
            continue
        problem = _misses(said)
        if problem:
            traces.broken.append((place, problem))
            continue
        begins = "begin" in said
        if torn and not begins:
            traces.broken.append((torn, "no line of a trace, though its process went on"))
        torn = ""
        traces.take(path, number, said)


def _life(said: dict[str, Any]) -> tuple[Life, str]:
    """A life that begins, and what is wrong with how it does."""
    begin = said["begin"]
    try:
        return Life(said["node"], said["daemon"], begin["boot"], timing_of(begin), begin["tables"]), ""
    except (TimingError, TypeError, KeyError) as problem:
        return Life(said["node"], said["daemon"], begin.get("boot", ""), None, ""), f"no beginning: {problem}"


REQUIRED: dict[str, tuple[str, ...]] = {
    "row": ("from", "to", "facts"),
    "say": ("about",),
    "ask": ("answer",),
    "worker": ("uid",),
    "Transact": ("checks", "writes"),
    "Spawn": ("job",),
    "Reply": ("client", "says"),
    "OpenWatchdog": ("deadline_s",),
    "KeepAlive": ("deadline_s",),
}
"""What a line must have besides, given one of its names or the kind of its request."""
DAEMONS = frozenset({"crm", "lrm", "watchdog"})


def _misses(said: dict[str, Any]) -> str:
    """What a line lacks, in words; "" if nothing."""
    wanted = {"t": int | float, "node": str, "daemon": str}
    missing = [name for name, kind in wanted.items() if not isinstance(said.get(name), kind)]
    missing += [it for name in (*said, said.get("ask")) for it in REQUIRED.get(str(name), ()) if it not in said]
    if missing:
        return f"a line without {', '.join(missing)}"
    if said["daemon"] not in DAEMONS:
        return f"a line of {said['daemon']}, which is no daemon"
    kinds = said.keys() & {"begin", "row", "say", "ask"}
    return "" if len(kinds) == 1 else f"a line must have one of begin, row, say, ask; this one has {sorted(kinds)}"
