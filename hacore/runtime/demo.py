"""The demonstration: a local cluster, faults made on purpose, and what a witness outside the cluster saw."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hacore import witness
from hacore.devices.clock import now_s
from hacore.devices.process_tree import descendants
from hacore.devices.store.sqlite import SqliteStore
from hacore.manager.documents import RESOURCES, Resource, dump, lrm_of, status_of
from hacore.protocol.locks import MANAGER_LOCK, Lock
from hacore.protocol.requests import Snapshot, Unavailable
from hacore.runtime.cluster import create, read_settings, store_path, timing_of
from hacore.runtime.site import SiteError, site_call
from hacore.runtime.timeline import Timeline
from hacore.trace.checking import check

NODES = ("node1", "node2", "node3")
SERVICES = {"proc:web": "node1", "proc:db": "node1", "proc:mail": "node2", "proc:cache": "node3"}
BOOT_S = 30.0
"""Long enough for a failover to be done before the node is back, when it need not be."""
PATIENCE_S = 60.0


class DemoError(RuntimeError):
    """The demonstration could not be made; the message says what did not happen."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What became of one fault: the promise, whether it was kept, and how long it took."""

    name: str
    promise: str
    ok: bool
    seconds: float


class Demo:
    """One demonstration in ``directory``; ``tell`` is given each moment of the timeline."""

    def __init__(self, directory: Path, timing: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
        self.directory, self.settings, self.tell = directory, timing, tell
        self.witness = directory / "witness"
        self.timeline = Timeline(directory, self.witness, tell)

    def run(self) -> dict[str, Any]:
        """Make the faults, one after the other; returns the verdict. Raises DemoError, TimingError, StoreError."""
        create(self.directory, NODES, self.settings)
        self.witness.mkdir()
        timing = timing_of(read_settings(self.directory))
        self.store = SqliteStore(store_path(self.directory), 2.0)
        self._add_services()
        with self._site():
            self._title(f"Three nodes come up, {len(SERVICES)} services start")
            self._wait("all services to start", lambda: set(witness.running(self.witness)) == set(SERVICES))
            self._wait("all services to be noted as running", self._settled)
            faults = [self._kill(), self._freeze(), self._update()]
        overlaps = witness.overlaps(witness.read(self.witness))
        traced = check([self.directory])
        return {
            "ok": not overlaps and not traced.problems and all(fault.ok for fault in faults),
            "faults": [dump(fault) for fault in faults],
            "overlaps": overlaps,
            "trace": {"lines": traced.lines, "rows": traced.rows, "problems": [str(it) for it in traced.problems]},
            "bound_s": timing.failover_s,
            "bound_with_master_s": timing.failover_with_master_s,
        }

    # ---------------------------------------------------------------------------------------------------- faults

    def _kill(self) -> Fault:
        """The master's node, so that a new master has to be found as well."""
        node = Lock.of(self._read()[MANAGER_LOCK]).owner
        self._title(f"1. kill: SIGKILL to every daemon of {node}, the master's node")

        def kill() -> None:
            for pid in self._daemons(node):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

        return self._failover("kill", node, kill)

    def _freeze(self) -> Fault:
        node = self._node_with_services()
        self._title(f"2. freeze: SIGSTOP to the LRM of {node}")
        return self._failover("freeze", node, lambda: self._stop_outside_transactions(self._daemons(node, "lrm")[0]))

    def _stop_outside_transactions(self, pid: int) -> None:
        """Stopped inside one, a process stops every writer of an SQLite store: that would be another fault."""
        store = SqliteStore(store_path(self.directory), 0.3)
        os.kill(pid, signal.SIGSTOP)
        while isinstance(store.transact({}, {"demo": now_s()}), Unavailable):
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.1)
            os.kill(pid, signal.SIGSTOP)
        store.close()

    def _failover(self, name: str, node: str, fail: Callable[[], None]) -> Fault:
        before = witness.running(self.witness)
        others = {sid: at for sid, at in before.items() if at[0] != node}
        began_s = now_s()
        fail()
        ok = self._wait_for(lambda: self._run_outside(node) and self._settled())
        ups = [event["t"] for event in witness.read(self.witness) if event["event"] == "up" and event["t"] > began_s]
        untouched = others.items() <= witness.running(self.witness).items()
        promise = f"{len(before) - len(others)} service(s) of {node} run elsewhere, {len(others)} other(s) untouched"
        return Fault(name, promise, ok and untouched, max(ups, default=now_s()) - began_s)

    def _update(self) -> Fault:
        self._wait("a node that is back", lambda: len(self._guarded()) > 0)
        node = self._node_with_services()
        self._title(f"3. update: restart the LRM of {node}, services untouched")
        before = witness.running(self.witness)
        generation = lrm_of(self._read(), node).generation
        began_s = now_s()
        os.kill(site_call(self.directory, {"do": "status"})["nodes"][node]["pid"], signal.SIGHUP)
        done = self._wait_for(lambda: self._is_back(node, generation) and self._settled())
        untouched = witness.running(self.witness) == before
        return Fault("update", f"the services of {node} ran on", done and untouched, now_s() - began_s)

    # ------------------------------------------------------------------------------------------------- observing

    def _read(self) -> Snapshot:
        answer = self.store.read(("",))
        return Snapshot({}, 0) if isinstance(answer, Unavailable) else answer

    def _run_outside(self, node: str) -> bool:
        running = witness.running(self.witness)
        return set(running) == set(SERVICES) and all(where != node for where, _ in running.values())

    def _settled(self) -> bool:
        """Whether every service is started, and its LRM has said that it runs."""
        seen = self._read()
        records = status_of(seen).services
        return set(records) == set(SERVICES) and all(
            record.state == "started" and lrm_of(seen, record.node).results.get(record.uid) == "success"
            for record in records.values()
        )

    def _guarded(self) -> list[str]:
        seen = self._read()
        return [
            node for node in NODES if lrm_of(seen, node).mode == "active" and status_of(seen).nodes[node] == "online"
        ]

    def _is_back(self, node: str, generation: int) -> bool:
        """Whether the node's LRM has asked for release once more, and guards its services again."""
        lrm = lrm_of(self._read(), node)
        return lrm.generation > generation and lrm.mode == "active"

    def _node_with_services(self) -> str:
        """A node that is up and has services."""
        running = witness.running(self.witness)
        return sorted({where for where, _ in running.values()} & set(self._guarded()))[-1]

    def _daemons(self, node: str, kind: str = "") -> list[int]:
        """The pids of a node's daemons, looked up from outside."""
        init = site_call(self.directory, {"do": "status"})["nodes"][node]["pid"]
        kinds = [kind] if kind else ["watchdog", "crm", "lrm"]
        return [pid for pid in descendants(init) if any(is_daemon(pid, each) for each in kinds)]

    def _wait_for(self, holds: Callable[[], bool]) -> bool:
        until_s = now_s() + PATIENCE_S
        while not (held := holds()) and now_s() < until_s:
            self.timeline.show()
            time.sleep(0.05)
        self.timeline.show()
        return held

    def _wait(self, what: str, holds: Callable[[], bool]) -> None:
        if not self._wait_for(holds):
            raise DemoError(f"waited {PATIENCE_S:g} s for {what}, in vain")

    def _title(self, title: str) -> None:
        self.timeline.show()
        self.tell({"title": title})

    # ---------------------------------------------------------------------------------------------------- set-up

    def _add_services(self) -> None:
        serve = shlex.join([sys.executable, "-I", "-S", witness.__file__, "serve", str(self.witness)])
        resources = {
            sid: Resource(node, config={"command": f'exec {serve} {sid} "$HACORE_NODE_NAME"'})
            for sid, node in SERVICES.items()
        }
        self.store.transact({}, {RESOURCES: dump(resources)})

    @contextmanager
    def _site(self) -> Iterator[None]:
        command = [sys.executable, "-m", "hacore", "-C", str(self.directory), "up", "--boot", str(BOOT_S), "--json"]
        with _ending_in_order():
            site = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            try:
                self._wait("the site to come up", self._is_up)
                yield
                self.timeline.show()
            finally:  # whatever has happened, and be it that nobody listens to us any more
                site.terminate()
                site.wait()

    def _is_up(self) -> bool:
        try:
            return bool(site_call(self.directory, {"do": "status"}))
        except SiteError:
            return False


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """SIGTERM and SIGHUP end this process as Ctrl-C does: what it has started is ended first."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_daemon(pid: int, kind: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"daemon" in words and kind.encode() in words
