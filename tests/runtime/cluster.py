"""A local cluster of real processes for tests: ``hacore up``, services that a witness watches, and ways to hurt it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hacore import witness
from hacore.cli.demo import TIMING
from hacore.cli.store import update
from hacore.devices.process_tree import descendants
from hacore.devices.store import Store
from hacore.devices.store.sqlite import SqliteStore
from hacore.manager.documents import RESOURCES, Resource, Status, lrm_of, resources_of, status_of
from hacore.protocol.locks import MANAGER_LOCK, Lock
from hacore.protocol.requests import Committed, Snapshot
from hacore.runtime.cluster import create, store_path
from hacore.runtime.demo import SERVICES, is_daemon
from hacore.runtime.machine import MARK
from hacore.runtime.site import SiteError, site_call
from hacore.runtime.timeline import Timeline

ROOT = Path(__file__).parents[2]
PATIENT_S = 90.0
"""Longer than anything takes that happens at all, also on a slow and busy machine."""
LAST_MOMENTS = 60
"""How much of its story a cluster tells when a wait was in vain."""

Event = dict[str, Any]


def hacore(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one of the operator's commands to its end."""
    return subprocess.run(
        command(directory, *words), capture_output=True, text=True, timeout=PATIENT_S, check=False, cwd=ROOT
    )


def command(directory: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "hacore", "-C", str(directory), *words]


def processes(directory: Path) -> list[int]:
    """The living processes of the cluster in a directory: by their mark, or because it is among their words."""
    place = os.fsencode(directory)
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            variables = (entry / "environ").read_bytes().split(b"\0")
            if place in words or any(each.startswith(b"%s=%s/" % (MARK.encode(), place)) for each in variables):
                found.append(int(entry.name))
    return found


def sweep(directory: Path) -> list[int]:
    """Kill all processes of the cluster in a directory; returns those that were there."""
    found = left = processes(directory)
    until_s = time.monotonic() + PATIENT_S
    while left:
        assert time.monotonic() < until_s, f"SIGKILL does not end {left}"
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
        left = processes(directory)
    return found


class LocalCluster:
    """A cluster in ``tmp_path/cluster``: three nodes and, once :meth:`up`, the four services of the demonstration."""

    def __init__(
        self, tmp_path: Path, *, boot_s: float = 1.0, timing: Mapping[str, Any] = TIMING, **limits: int
    ) -> None:
        self.directory = (tmp_path / "cluster").resolve()
        self.boot_s = boot_s
        self.nodes = ["node1", "node2", "node3"]
        self.witness = tmp_path / "witness"
        self.witness.mkdir()
        self.complaints = tmp_path / "complaints"
        self.sites: list[subprocess.Popen[bytes]] = []
        create(self.directory, self.nodes, timing)
        self.store: Store = SqliteStore(store_path(self.directory), 5.0)
        self.configure({sid: self.serving(sid, node, **limits) for sid, node in SERVICES.items()})

    # --------------------------------------------------------------------------------------------- its life

    def up(self) -> None:
        """Start the site, and wait until it answers."""
        with self.complaints.open("ab") as complaints:
            site = subprocess.Popen(
                command(self.directory, "up", "--boot", str(self.boot_s)),
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                cwd=ROOT,
            )
        self.sites.append(site)
        self.wait_for("the site to come up", self.is_up)

    def is_up(self) -> bool:
        try:
            return bool(site_call(self.directory, {"do": "status"}))
        except SiteError:
            return False

    def settle(self) -> None:
        """Bring it up if it is down, and wait until all is as it should be."""
        if not self.sites or self.sites[-1].poll() is not None:
            self.up()
        self.wait_for("everything to settle", self.settled)

    def stop(self) -> int:
        """SIGTERM to the site; returns its exit code."""
        self.sites[-1].terminate()
        return self.sites[-1].wait(PATIENT_S)

    def kill(self) -> None:
        """SIGKILL to the site, as if the machine room burnt down."""
        self.sites[-1].kill()
        self.sites[-1].wait(PATIENT_S)

    def close(self) -> None:
        """Kill everything, and insist that nothing is left."""
        for site in self.sites:
            site.kill()
            site.wait()
        sweep(self.directory)
        self.store.close()
        assert self.processes() == []

    # -------------------------------------------------------------------------------------------- operating it

    def hacore(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of the operator's commands to its end."""
        return hacore(self.directory, *words)

    def done(self, *words: str) -> None:
        """Run one of the operator's commands, which must succeed."""
        answer = self.hacore(*words)
        assert answer.returncode == 0, f"{' '.join(words)}: {answer.stdout}{answer.stderr}{self.story()}"

    def serving(self, sid: str, node: str, **limits: int) -> Resource:
        """A witness service, configured for ``node``."""
        serve = shlex.join([sys.executable, "-I", "-S", witness.__file__, "serve", str(self.witness)])
        return Resource(node, config={"command": f'exec {serve} {sid} "${{{MARK}##*/}}"'}, **limits)  # type: ignore[arg-type]

    def configure(self, services: Mapping[str, Resource]) -> None:
        """Put services under management, or change them."""
        update(self.store, RESOURCES, lambda seen: {**resources_of(seen), **services})

    # ----------------------------------------------------------------------------------------------- observing it

    def read(self) -> Snapshot:
        answer = self.store.read(("",))
        assert isinstance(answer, Snapshot), answer
        return answer

    def status(self) -> Status:
        return status_of(self.read())

    def master(self) -> Lock:
        """The manager lock, whose owner is the master."""
        return Lock.of(self.read()[MANAGER_LOCK])

    def running(self) -> dict[str, tuple[str, int]]:
        """Node and pid of each service that runs, as the kernel says."""
        return witness.running(self.witness)

    def seen(self, event: str) -> list[Event]:
        """What the witness has seen."""
        return [each for each in witness.read(self.witness) if each["event"] == event]

    def settled(self) -> bool:
        """Whether every node is up, and every service as requested: in its record, by its LRM's word, and in fact."""
        seen, running = self.read(), self.running()
        status, resources = status_of(seen), resources_of(seen)
        if set(status.services) != set(resources) or status.disarm or status.maintenance:
            return False
        for sid, record in status.services.items():
            lrm = lrm_of(seen, record.node)
            wanted = resources[sid].state
            if record.state != wanted or (wanted == "started" and lrm.results.get(record.uid) != "success"):
                return False
            if (wanted == "started") != (sid in running) or (sid in running and running[sid][0] != record.node):
                return False
        busy = {record.node for record in status.services.values() if record.state == "started"}
        return all(status.nodes.get(node) == "online" for node in self.nodes) and all(
            lrm_of(seen, node).mode == "active" for node in busy
        )

    def machines(self) -> dict[str, dict[str, Any]]:
        """The site's word on each node: power, pid, watchdog_s."""
        answer: dict[str, dict[str, Any]] = site_call(self.directory, {"do": "status"})["nodes"]
        return answer

    def daemons(self, node: str, kind: str = "") -> list[int]:
        """The pids of a node's daemons, or of one of them, looked up from outside."""
        init = self.machines()[node]["pid"]
        kinds = [kind] if kind else ["watchdog", "crm", "lrm"]
        return [pid for pid in descendants(init) if any(is_daemon(pid, each) for each in kinds)] if init else []

    def daemon(self, node: str, kind: str) -> int:
        (pid,) = self.daemons(node, kind)
        return pid

    def home(self, node: str) -> Path:
        return self.directory / "nodes" / node

    def trace(self, node: str, daemon: str) -> list[Event]:
        """The lines of a trace, but for those that are not whole: the last, and what killed writers have left."""
        text = (self.home(node) / "trace" / f"{daemon}.jsonl").read_text()
        lines = []
        for line in text.split("\n")[:-1]:
            with suppress(ValueError):
                lines.append(json.loads(line))
        return lines

    def events(self, name: str) -> list[Event]:
        """What the machine room has noted."""
        lines = (self.directory / "events.jsonl").read_text().split("\n")[:-1]
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def processes(self) -> list[int]:
        """The living processes of this cluster."""
        return processes(self.directory)

    def wait_for(self, what: str, holds: Callable[[], object], within_s: float = PATIENT_S) -> None:
        """Wait until it holds; fail with the cluster's story if it never does."""
        until_s = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < until_s, f"waited {within_s:g} s for {what}, in vain{self.story()}"
            time.sleep(0.1)

    def story(self) -> str:
        """What has happened of late, for people."""
        moments: list[Event] = []
        Timeline(self.directory, self.witness, moments.append).show()
        lines = [f"{it['t']:9.3f} {it['actor']} {it['event']} {it['about']}" for it in moments[-LAST_MOMENTS:]]
        said = self.complaints.read_text() if self.complaints.exists() else ""
        return "\n".join(["", *lines, str(self.status()), str(self.running()), said])

    # ------------------------------------------------------------------------------------------------ hurting it

    def power(self, node: str, to: str) -> None:
        site_call(self.directory, {"do": "power", "node": node, "to": to}, PATIENT_S)

    def pause(self, pid: int) -> None:
        """SIGSTOP, but not within a transaction: in SQLite that stops every other writer (see its module, rule 3)."""
        while True:
            os.kill(pid, signal.SIGSTOP)
            if isinstance(self.store.transact({}, {"tests/pause": pid}), Committed):
                return
            os.kill(pid, signal.SIGCONT)

    def resume(self, pid: int) -> None:
        os.kill(pid, signal.SIGCONT)
