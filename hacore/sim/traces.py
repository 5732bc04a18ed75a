"""Traces of simulated daemons: the same files, with the same lines, as real ones leave.

Each boot of a simulated node has a clock of its own, so it has a boot of its own in its traces, too.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from hacore.protocol.requests import Job, Request
from hacore.sim.processes import Node
from hacore.sim.world import World
from hacore.trace.lines import begun, is_dull, told
from hacore.trace.reading import HARDWARE

NAMES = {"mux": "watchdog"}
"""The daemons that are called otherwise in a trace."""


@contextmanager
def traced(world: World, directory: Path | None) -> Iterator[None]:
    """Write what the world's daemons do meanwhile to files below ``directory``; nothing if it is None."""
    with ExitStack() as stack:
        files: dict[Path, IO[bytes]] = {}

        def write(path: Path, line: dict[str, Any]) -> None:
            if path not in files:
                path.parent.mkdir(parents=True, exist_ok=True)
                files[path] = stack.enter_context(path.open("wb"))
            files[path].write(msgspec.json.encode(line) + b"\n")

        if directory:
            Tracer(world, directory, write)
        yield


class Tracer:
    """Hands over what the daemons of a world do from now on, line by line, with the path of its file."""

    def __init__(self, world: World, directory: Path, write: Callable[[Path, dict[str, Any]], None]) -> None:
        self.world, self.directory, self._append = world, directory, write
        for kind, make in list(world.kinds.items()):
            world.kinds[kind] = self._daemons(kind, make)
        worker = world.worker
        world.worker = lambda node, job: self._worker(worker(node, job), node, job)
        world.ended = self._ended

    def _daemons(self, kind: str, make: Callable[[str], Any]) -> Callable[[str], Any]:
        name = NAMES.get(kind, kind)

        def made(node: str) -> Any:
            at = self.world.nodes[node]
            self._write(at, name, begun(_boot(at), self.world.timing))
            return _Told(make(node), lambda request, answer: self._note(at, name, {}, request, answer))

        return made

    def _worker(self, worker: Any, node: str, job: Job) -> Any:
        at, whose = self.world.nodes[node], {"worker": job.sid, "uid": job.uid}
        return _Told(worker, lambda request, answer: self._note(at, "lrm", whose, request, answer))

    def _note(self, node: Node, daemon: str, whose: dict[str, str], request: Request[Any], answer: Any) -> None:
        if daemon != "watchdog" or not is_dull(request, answer):
            self._write(node, daemon, {**whose, **told(request, answer)})

    def _write(self, node: Node, daemon: str, line: dict[str, Any]) -> None:
        path = self.directory / "nodes" / node.name / "trace" / f"{daemon}.jsonl"
        self._append(path, {"t": round(self.world.clock(node), 6), "node": node.name, "daemon": daemon, **line})

    def _ended(self, node: Node, why: str) -> None:
        event, t = "watchdog_reset" if why == "watchdog" else "node_off", round(self.world.clock(node), 6)
        self._append(self.directory / HARDWARE, {"t": t, "event": event, "node": node.name, "boot": _boot(node)})


def _boot(node: Node) -> str:
    return f"{node.name}/{node.boot}"


class _Told:
    """A machine whose requests and answers are told. In all else it is that machine."""

    def __init__(self, machine: Any, tell: Callable[[Request[Any], Any], None]) -> None:
        vars(self).update(_machine=machine, _tell=tell)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._machine, name, value)

    def round(self) -> Generator[Any, Any, Any]:
        return self._told(self._machine.round())

    def work(self) -> Generator[Any, Any, Any]:
        return self._told(self._machine.work())

    def _told(self, asking: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        answer: Any = None
        while True:
            try:
                request = asking.send(answer)
            except StopIteration as end:
                return end.value
            answer = yield request
            self._tell(request, answer)
