"""The site and its nodes as real processes: what dies, what lives, what comes back."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hacore.runtime.site import NoSite, SiteError, site_call

ROOT = Path(__file__).parents[2]

SITE = """
import sys
from pathlib import Path
from hacore.runtime.site import Site, SiteError

directory, init, *nodes = sys.argv[1:]

def on_event(event):
    if event["event"] == "node_died" and Path(directory, "fragile").exists():
        raise RuntimeError("a bug")

try:
    Site(Path(directory), nodes, lambda node: [sys.executable, "-c", init], 0.2, on_event, grace_s=5.0).run()
except SiteError as problem:
    sys.exit(str(problem))
"""

INIT = """
import os, signal, subprocess, sys, time
from pathlib import Path
from hacore.devices.process_tree import kill_descendants
from hacore.devices.watchdog.emulated import EmulatedWatchdogClient

home = Path(os.environ["HACORE_NODE"])
stops = []
signal.signal(signal.SIGTERM, lambda *_: stops.append("stop"))
# Two services that are in no session, process group or parent's care of the init's.
beat = 'cut -d" " -f1 /proc/uptime >> $HACORE_NODE/beats; sleep 0.01'
subprocess.run(["sh", "-c", f"setsid sh -c 'echo $$ > $HACORE_NODE/service; while :; do {beat}; done' &"])
subprocess.run(["sh", "-c", "setsid sh -c 'setsid sleep 600 & wait' &"])
if not (home / "no_watchdog").exists():
    watchdog = EmulatedWatchdogClient.open(home / "watchdog.sock", 1.0)
while not (stops and not (home / "stubborn").exists()) and not (home / "halt").exists():
    if (home / "hang").exists():
        (home / "hang").unlink()
        os.kill(os.getpid(), signal.SIGSTOP)
    if (home / "close").exists():
        watchdog.close()
        (home / "close").unlink()
        time.sleep(600)
    if not (home / "no_watchdog").exists():
        watchdog.feed()
    (home / "up").write_text(str(os.getpid()))
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0: break
        except ChildProcessError:
            break
    time.sleep(0.02)
watchdog.close()
kill_descendants(os.getpid())
"""


class Cluster:
    """A site in a process of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.sites: list[subprocess.Popen[str]] = []

    def home(self, node: str) -> Path:
        return self.directory / "nodes" / node

    def up(self, *nodes: str, init: str = INIT) -> subprocess.Popen[str]:
        site = subprocess.Popen(
            [sys.executable, "-c", SITE, str(self.directory), init, *nodes],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.sites.append(site)
        return site

    def started(self, *nodes: str) -> None:
        """Start the site and wait until all nodes are up."""
        for node in nodes:
            with suppress(FileNotFoundError):
                (self.home(node) / "up").unlink()
        self.up(*nodes)
        for node in nodes:
            eventually((self.home(node) / "up").exists)
            eventually(lambda node=node: self.service(node) != 0)  # type: ignore[misc]

    def events(self, name: str, node: str | None = None) -> list[dict[str, Any]]:
        log = self.directory / "events.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        events = [json.loads(line) for line in lines]
        return [event for event in events if event["event"] == name and (node is None or event["node"] == node)]

    def init(self, node: str) -> int:
        return int(site_call(self.directory, {"do": "status"})["nodes"][node]["pid"] or 0)

    def service(self, node: str) -> int:
        try:
            return int((self.home(node) / "service").read_text() or 0)
        except FileNotFoundError:
            return 0

    def beats(self, node: str) -> list[float]:
        """When the node's service was alive, on CLOCK_BOOTTIME, to hundredths of a second."""
        return [float(line) for line in (self.home(node) / "beats").read_text().splitlines()]

    def processes(self, *nodes: str) -> list[int]:
        """The living processes of these nodes, by their mark."""
        marks = {f"HACORE_NODE={self.home(node).resolve()}".encode() for node in nodes}
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if marks.intersection((entry / "environ").read_bytes().split(b"\0")):
                    found.append(int(entry.name))
        return found

    def power(self, node: str, to: str) -> dict[str, Any]:
        return site_call(self.directory, {"do": "power", "node": node, "to": to})


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path / ("a directory with a name too long for sockets " * 3))
    yield cluster
    for site in cluster.sites:
        site.kill()
        site.wait()
        assert site.stderr is not None
        site.stderr.close()
    until = time.monotonic() + 5
    while left := cluster.processes("n1", "n2", "n3"):
        assert time.monotonic() < until
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def eventually(what: Callable[[], object], within_s: float = 15.0) -> None:
    until = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.01)


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}/environ").exists() and bool(Path(f"/proc/{pid}/cmdline").read_bytes())


def test_an_expired_watchdog_resets_its_node_and_no_other(cluster: Cluster) -> None:
    cluster.started("n1", "n2")
    eventually(lambda: len(cluster.processes("n1")) >= 4)
    before = {node: (cluster.init(node), cluster.service(node)) for node in ("n1", "n2")}
    (cluster.home("n1") / "hang").touch()
    eventually(lambda: cluster.events("watchdog_reset", "n1"))
    eventually(lambda: len(cluster.events("node_up", "n1")) == 2)
    assert not lives(before["n1"][0])
    assert not lives(before["n1"][1])
    assert (cluster.init("n2"), cluster.service("n2")) == before["n2"]
    assert lives(before["n2"][1])
    (reset,), (_, again) = cluster.events("watchdog_reset"), cluster.events("node_up", "n1")
    assert again["t"] >= reset["t"] + 0.1, "a machine takes time to boot"
    assert not [beat for beat in cluster.beats("n1") if reset["t"] + 0.01 < beat < again["t"] - 0.01]
    assert [beat for beat in cluster.beats("n2") if reset["t"] < beat < again["t"]]
    assert cluster.events("node_died") == []


def test_all_nodes_may_be_reset_at_once(cluster: Cluster) -> None:
    cluster.started("n1", "n2", "n3")
    for node in ("n1", "n2", "n3"):
        (cluster.home(node) / "hang").touch()
    for node in ("n1", "n2", "n3"):
        eventually(lambda node=node: len(cluster.events("node_up", node)) == 2)  # type: ignore[misc]
    assert len(cluster.events("watchdog_reset")) == 3
    assert cluster.events("node_died") == []


def test_a_watchdog_closed_by_magic_resets_nobody(cluster: Cluster) -> None:
    cluster.started("n1")
    assert site_call(cluster.directory, {"do": "status"})["nodes"]["n1"]["watchdog_s"] <= 1.0
    (cluster.home("n1") / "close").touch()
    eventually(lambda: site_call(cluster.directory, {"do": "status"})["nodes"]["n1"]["watchdog_s"] is None)
    time.sleep(1.2)
    assert cluster.events("watchdog_reset") == []
    assert lives(cluster.service("n1"))


def test_a_killed_init_takes_its_services_along(cluster: Cluster) -> None:
    cluster.started("n1", "n2")
    services = {node: cluster.service(node) for node in ("n1", "n2")}
    for _ in range(3):
        up = len(cluster.events("node_up", "n1"))
        os.kill(cluster.init("n1"), signal.SIGKILL)
        eventually(lambda up=up: len(cluster.events("node_up", "n1")) > up)  # type: ignore[misc]
        assert not lives(services["n1"])
        eventually(lambda: cluster.service("n1") not in (0, services["n1"]))
        services["n1"] = cluster.service("n1")
    assert {event["code"] for event in cluster.events("node_died", "n1")} == {-signal.SIGKILL}
    assert lives(services["n2"])
    assert len(cluster.events("node_up", "n2")) == 1


def test_an_init_that_cannot_be_started_is_tried_again(cluster: Cluster) -> None:
    cluster.up("n1", init="import sys; sys.exit(3)")
    eventually(lambda: len(cluster.events("node_died", "n1")) >= 2)
    assert cluster.events("node_died")[0]["code"] == 3


def test_a_clean_shutdown_lasts_until_it_is_powered_on(cluster: Cluster) -> None:
    cluster.started("n1", "n2")
    (cluster.home("n1") / "halt").touch()
    eventually(lambda: cluster.events("node_off", "n1"))
    eventually(lambda: cluster.processes("n1") == [])
    time.sleep(0.4)
    status = site_call(cluster.directory, {"do": "status"})["nodes"]
    assert status["n1"] == {"power": "off", "pid": None, "watchdog_s": None}
    assert status["n2"]["power"] == "on"
    with pytest.raises(SiteError, match="n1 is off"):
        cluster.power("n1", "reset")
    (cluster.home("n1") / "halt").unlink()
    assert cluster.power("n1", "on") == {"ok": True}
    eventually(lambda: len(cluster.events("node_up", "n1")) == 2)


def test_the_power_is_off_when_the_answer_comes(cluster: Cluster) -> None:
    cluster.started("n1", "n2")
    assert cluster.power("n1", "off") == {"ok": True}
    assert cluster.processes("n1") == []
    assert cluster.power("n1", "off") == {"ok": True}
    time.sleep(0.4)
    assert len(cluster.events("node_up", "n1")) == 1
    assert cluster.events("watchdog_reset") == cluster.events("node_died") == []
    cluster.power("n1", "on")
    eventually(lambda: len(cluster.events("node_up", "n1")) == 2)
    init = cluster.init("n1")
    assert cluster.power("n1", "on") == {"ok": True}
    assert cluster.init("n1") == init
    assert cluster.power("n1", "reset") == {"ok": True}
    assert not lives(init)
    eventually(lambda: len(cluster.events("node_up", "n1")) == 3)
    assert len(cluster.events("node_up", "n2")) == 1


def test_what_the_operator_must_not_ask(cluster: Cluster) -> None:
    with pytest.raises(NoSite, match="no site runs in"):
        cluster.power("n1", "off")
    cluster.started("n1")
    with pytest.raises(SiteError, match="no node n9 here, only n1"):
        cluster.power("n9", "off")
    with pytest.raises(SiteError, match="not understood"):
        cluster.power("n1", "sideways")


def test_two_sites_in_a_directory_are_refused(cluster: Cluster) -> None:
    cluster.started("n1")
    second = cluster.up("n1")
    assert second.wait(10) == 1
    assert second.stderr is not None
    complaint = second.stderr.read()
    assert f"a site already runs in {cluster.directory} (pid {cluster.sites[0].pid})" in complaint
    assert complaint.count("\n") == 1
    assert lives(cluster.service("n1"))


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_shutdown_leaves_nothing_behind(cluster: Cluster, stubborn: bool) -> None:
    cluster.started("n1", "n2")
    if stubborn:
        (cluster.home("n1") / "stubborn").touch()
    (site,) = cluster.sites
    site.terminate()
    eventually(lambda: cluster.events("node_off", "n2"))
    if stubborn:
        assert cluster.processes("n1") != []
        site.send_signal(signal.SIGINT)  # the second ends the patience
    assert site.wait(10) == 0
    assert cluster.processes("n1", "n2") == []
    assert len(cluster.events("node_off")) == (1 if stubborn else 2)
    assert len(cluster.events("site_down")) == 1
    assert not (cluster.directory / "site.sock").exists()
    assert not (cluster.home("n1") / "watchdog.sock").exists()


def test_a_node_without_a_watchdog_is_never_reset(cluster: Cluster) -> None:
    cluster.home("n1").mkdir(parents=True)
    (cluster.home("n1") / "no_watchdog").touch()
    cluster.started("n1")
    status = site_call(cluster.directory, {"do": "status"})["nodes"]["n1"]
    assert (status["power"], status["watchdog_s"]) == ("on", None)


def test_a_killed_sites_leftovers_die_when_the_next_starts(cluster: Cluster) -> None:
    cluster.started("n1", "n2")
    init, service, other = cluster.init("n1"), cluster.service("n1"), cluster.service("n2")
    cluster.sites[0].kill()
    cluster.sites[0].wait()
    eventually(lambda: not lives(init))
    assert lives(service), "nobody was there to kill it"
    cluster.started("n1")  # n2 is no more of this cluster, but its processes are
    assert not lives(service)
    assert not lives(other)
    (killed,) = cluster.events("leftovers_killed")
    assert killed["processes"] >= 2


def test_a_site_that_breaks_leaves_nothing_behind(cluster: Cluster) -> None:
    cluster.started("n1", "n2")
    (cluster.directory / "fragile").touch()
    os.kill(cluster.init("n1"), signal.SIGKILL)
    (site,) = cluster.sites
    assert site.wait(10) == 1
    assert cluster.processes("n1", "n2") == []
