"""Whatever is killed, whenever: no service ever runs twice, and in the end each of them runs.

Each run prints its seed and what it did; HACORE_TEST_SEED repeats the choices of a run (not the machine's timing).
"""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hacore.devices.process_tree import descendants
from hacore.runtime.demo import SERVICES
from tests.runtime.cluster import LocalCluster

KINDS = ("init", "watchdog", "crm", "lrm", "service", "any")
MANY = 100
"""More than the failures that a service can meet here: what is killed while it starts must not end in error."""


class Chaos:
    """Chooses victims and moments from a seed."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.seed = int(os.environ.get("HACORE_TEST_SEED") or random.SystemRandom().randrange(10**9))
        self.random = random.Random(self.seed)
        self.paused: dict[int, float] = {}
        print(f"HACORE_TEST_SEED={self.seed}")

    def victims(self) -> list[tuple[str, int]]:
        """One to four processes of one to three nodes, with a word on each."""
        found = []
        machines = self.cluster.machines()
        services = self.cluster.running()
        for node in self.random.choices(self.cluster.nodes, k=self.random.choice((1, 1, 2, 4))):
            init, kind = machines[node]["pid"], self.random.choice(KINDS)
            below = descendants(init) if init else []
            pids = {
                "init": [init] if init else [],
                "service": [pid for where, pid in services.values() if where == node],
                "any": below,
            }.get(kind)
            pids = self.cluster.daemons(node, kind) if pids is None else pids
            if pids:
                found.append((f"{node}/{kind}", self.random.choice(sorted(pids))))
        return found

    def strike(self, number: signal.Signals) -> None:
        """All of them at once, or as good as that."""
        for what, pid in self.victims():
            with suppress(ProcessLookupError):
                os.kill(pid, number)
                if number == signal.SIGSTOP:
                    self.paused[pid] = time.monotonic() + self.random.uniform(0, 6)
                print(f"{time.clock_gettime(time.CLOCK_BOOTTIME):.3f} {number.name} {what} {pid}")

    def operate(self, *words: str) -> None:
        """A command, which may well be refused."""
        answer = self.cluster.hacore(*words)
        print(*words, answer.stdout, answer.stderr, sep="; ", end="")
        assert "Traceback" not in answer.stderr, answer.stderr

    def resume(self, now: float) -> None:
        """Let what was paused go on, if its time has come and it still lives."""
        for pid in [pid for pid, until in self.paused.items() if until <= now]:
            del self.paused[pid]
            if pid in self.cluster.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def reign(self, seconds: float, *, deeds: tuple[str, ...]) -> None:
        """Do what the seed says for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            match self.random.choice(deeds):
                case "kill":
                    self.strike(signal.SIGKILL)
                case "pause":
                    self.strike(signal.SIGSTOP)
                case "restart":
                    self.operate("restart-lrm", self.random.choice(self.cluster.nodes))
                case verb:
                    self.operate(verb, self.random.choice(sorted(SERVICES)), self.random.choice(self.cluster.nodes))
            time.sleep(self.random.uniform(0, 2.0))
            self.resume(time.monotonic())
            assert self.cluster.seen("overlap") == [], self.cluster.story()
        self.resume(float("inf"))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    cluster = LocalCluster(tmp_path, boot_s=0.5, max_restart=MANY, max_relocate=MANY)
    cluster.settle()
    yield cluster
    cluster.close()


def ends_well(cluster: LocalCluster) -> None:
    cluster.wait_for("every service to run again", cluster.settled)
    assert cluster.running().keys() == SERVICES.keys()
    assert cluster.seen("overlap") == []
    assert cluster.sites[-1].poll() is None
    assert cluster.complaints.read_text() == ""


def test_random_kills(cluster: LocalCluster) -> None:
    Chaos(cluster).reign(20.0, deeds=("kill",))
    ends_well(cluster)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "deeds",
    [("kill",), ("kill", "pause"), ("kill", "pause", "restart", "migrate")],
    ids="-".join,
)
def test_random_harm_for_long(cluster: LocalCluster, deeds: tuple[str, ...]) -> None:
    chaos = Chaos(cluster)
    for _ in range(4):
        chaos.reign(60.0, deeds=deeds)
        ends_well(cluster)
