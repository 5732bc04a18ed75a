"""Whole nodes for tests: each has a network and a PID namespace, an etcd member, the daemons, a watchdog, a service.

A node's watchdog and power supply are those of a local cluster's site, which runs outside all of them: when a watchdog
expires, every process of its node is killed, etcd included, and nothing else; then the node boots anew.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hacore.devices.clock import now_s
from hacore.devices.process_tree import descendants
from hacore.devices.store.etcd import EtcdStore
from hacore.protocol.timing import Timing
from hacore.runtime.cluster import create, read_settings, timing_of
from hacore.runtime.config import FILE
from tests.etcd.net import Net
from tests.etcd.three import ask
from tests.runtime.cluster import ROOT, LocalCluster, hacore

PEER, CLIENT = 2380, 2379


class NodeCluster(LocalCluster):
    """Three nodes in ``path``, each with a service. Their timing is what is default on etcd, but for ``timing``."""

    def __init__(self, path: Path, timing: Mapping[str, Any] | None = None, *, boot_s: float = 1.0) -> None:
        self.directory, self.boot_s = (path / "cluster").resolve(), boot_s
        self.nodes = ["node1", "node2", "node3"]
        self.services = {f"proc:service{number}": node for number, node in enumerate(self.nodes, 1)}
        self.witness, self.complaints = path / "witness", path / "complaints"
        self.witness.mkdir()
        self.sites = []
        self.net = Net(len(self.nodes))
        self.urls = tuple(f"http://{self.net.address(number)}:{CLIENT}" for number in range(len(self.nodes)))
        self.store = EtcdStore(self.urls, 5.0)  # type: ignore[assignment]
        for node in self.nodes:
            self._configure(node)
        self.up()
        self.wait_for("etcd to answer", lambda: self._created(timing or {}))
        self.configure({sid: self.serving(sid, node) for sid, node in self.services.items()})
        self.settle()

    # --------------------------------------------------------------------------------------------- its life

    def close(self) -> None:
        super().close()
        self.net.close()

    def up(self) -> None:
        plan = self.directory / "room.json"
        commands = {node: self._machine(number, node) for number, node in enumerate(self.nodes)}
        plan.write_text(json.dumps({"directory": str(self.directory), "boot_s": self.boot_s, "commands": commands}))
        with self.complaints.open("ab") as complaints:
            room = [sys.executable, "-m", "tests.cluster.room", str(plan)]
            self.sites.append(subprocess.Popen(room, stdout=subprocess.DEVNULL, stderr=complaints, cwd=ROOT))
        self.wait_for("the machine room to come up", self.is_up)

    def _machine(self, number: int, node: str) -> list[str]:
        """The command that is the node's machine: namespaces, and in them what boots."""
        space = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
        daemons = shlex.join([sys.executable, "-m", "hacore", "-C", str(self.place(node)), "node", node])
        etcd = shlex.join(self._etcd(number, node))
        boot = f"cd {shlex.quote(str(ROOT))}; while :; do {etcd}; sleep 1; done & until {daemons}; do sleep 1; done"
        return [*self.net.within(number), *space, "sh", "-c", boot]

    def _etcd(self, number: int, node: str) -> list[str]:
        address = self.net.address(number)
        peers = [f"{name}=http://{self.net.address(other)}:{PEER}" for other, name in enumerate(self.nodes)]
        return [
            *("etcd", "--name", node, "--data-dir", str(self.place(node) / "etcd"), "--pre-vote=true"),
            *("--listen-client-urls", f"http://{address}:{CLIENT}", "--advertise-client-urls", self.urls[number]),
            *("--listen-peer-urls", f"http://{address}:{PEER}"),
            *("--initial-advertise-peer-urls", f"http://{address}:{PEER}", "--initial-cluster", ",".join(peers)),
            *("--logger", "zap", "--log-outputs", str(self.place(node) / "etcd.log")),
        ]

    def _configure(self, node: str) -> None:
        """A node asks its own member first."""
        own = self.urls[self.nodes.index(node)]
        endpoints = json.dumps([own, *(url for url in self.urls if url != own)])
        self.place(node).mkdir(parents=True)
        (self.place(node) / FILE).write_text(
            f'node = "{node}"\nstate = "{self.home(node)}"\n[store]\nengine = "etcd"\nendpoints = {endpoints}\n'
        )

    def _created(self, timing: Mapping[str, Any]) -> bool:
        with suppress(Exception):
            create(self.place("node1"), self.nodes, timing)
            return True
        return False

    # -------------------------------------------------------------------------------------------- operating it

    def place(self, node: str) -> Path:
        """What ``hacore -C`` is given on a node."""
        return self.directory / "etc" / node

    def hacore(self, *words: str) -> subprocess.CompletedProcess[str]:
        return hacore(self.place("node1"), *words)

    def timing(self) -> Timing:
        return timing_of(read_settings(self.place("node1")))

    # ------------------------------------------------------------------------------------------------ hurting it

    def cut(self, node: str) -> None:
        """Pull the node's network cable, until :meth:`heal`."""
        self.net.unplug(self.nodes.index(node))

    def heal(self) -> None:
        self.net.heal()

    def freeze(self, node: str) -> None:
        """Stop every process of the node, its watchdog left running."""
        for pid in self._processes_of(node):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def pull_the_plug(self, node: str) -> None:
        """It stays off until it is powered on."""
        self.power(node, "off")

    def kill_daemons(self, node: str) -> None:
        """SIGKILL to every daemon of the node; its service runs on, unguarded, until the watchdog resets it."""
        for pid in self.daemons(node):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def fail_over(self, node: str, fault: Callable[[str], None]) -> float:
        """Hurt the node, and wait until all services run elsewhere; returns after how many seconds the last came up."""
        before, began_s = self.running(), now_s()
        fault(node)
        self.wait_for(f"the services of {node} to run elsewhere", lambda: self._run_without(node))
        ups: list[float] = [event["t"] for event in self.seen("up") if event["t"] > began_s]
        others = {sid: at for sid, at in before.items() if at[0] != node}
        assert others.items() <= self.running().items(), f"services of other nodes were touched{self.story()}"
        return max(ups) - began_s

    def send_home(self) -> None:
        """Heal the network, and have each service run on its own node."""
        self.heal()
        self.settle()
        for sid, node in self.services.items():
            if self.running()[sid][0] != node:
                self.done("relocate", sid, node, "--wait", "30")
        self.settle()

    def _run_without(self, node: str) -> bool:
        running = self.running()
        return running.keys() == self.services.keys() and node not in {where for where, _ in running.values()}

    def etcd_leader(self) -> tuple[str, int]:
        """The node whose etcd member leads, all of them being well, and the pid of that member."""
        for node, url in zip(self.nodes, self.urls, strict=True):
            told = ask(url, "maintenance/status", {})
            if told["leader"] == told["header"]["member_id"]:
                return node, self._etcd_of(node)
        raise AssertionError("etcd has no leader")

    def _etcd_of(self, node: str) -> int:
        for pid in self._processes_of(node):
            with suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text() == "etcd\n":
                    return pid
        raise AssertionError(f"{node} has no etcd")

    def _processes_of(self, node: str) -> list[int]:
        init = self.machines()[node]["pid"]
        return descendants(init) if init else []
