"""Services of types ``vm`` and ``ct``, with stand-ins for Proxmox's programs that keep state and record their calls."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from hacore.devices.proc import Process
from hacore.devices.resources import ResourceError, find, proxmox, resource_for, run, validate
from hacore.devices.resources.base import Resource

TOOL = """#!/bin/sh
cd {place}
tool=${{0##*/}} verb=$1 id=$2
echo "$tool $*" >> calls
[ -e $verb.does ] && . ./$verb.does
case $tool in qm) place=qemu-server;; pct) place=lxc;; esac
conf=nodes/$(cat here)/$place/$id.conf
if ! [ -e pve/$conf ]; then echo "Configuration file '$conf' does not exist" >&2; exit 2; fi
state=state.$id
case $verb in
status) echo "status: $(cat $state)";;
config) cat pve/$conf;;
start) echo running > $state;;
shutdown | stop) echo stopped > $state;;
migrate) mv pve/$conf pve/nodes/$3/$place/;;
esac
"""
PVESH = """#!/bin/sh
cd {place}
echo "pvesh $*" >> calls
id=${{2%/status/current}}
printf '{{"status": "%s", "cpus": 2}}' "$(cat state.${{id##*/}})"
"""

both = pytest.mark.parametrize("sid", ["vm:100", "ct:101"])
TOOLS = {"vm:100": "qm", "ct:101": "pct"}


class Proxmox:
    """A cluster of three nodes, and the programs on the one on which we are."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.groups: set[str] = set()
        for node in ("pve1", "pve2", "pve3"):
            for place in ("qemu-server", "lxc"):
                (self.pve / "nodes" / node / place).mkdir(parents=True)
        (directory / "bin").mkdir()
        for name, script in (("qm", TOOL), ("pct", TOOL), ("pvesh", PVESH)):
            self.write(f"bin/{name}", script.format(place=directory)).chmod(0o755)
        self.move_to("pve1")
        self.cluster()
        for number, place in ((100, "qemu-server"), (101, "lxc")):
            self.write(f"pve/nodes/pve1/{place}/{number}.conf", "cores: 2\n")
            self.write(f"state.{number}", "stopped\n")

    @property
    def pve(self) -> Path:
        return self.directory / "pve"

    def write(self, name: str, content: str) -> Path:
        path = self.directory / name
        path.write_text(content)
        return path

    def move_to(self, node: str) -> None:
        self.here = node
        self.write("here", node)

    def cluster(self, *, quorate: int = 1, offline: str = "") -> None:
        nodes = {
            node: {"id": 1, "online": int(node != offline), "ip": "192.0.2.1"} for node in ("pve1", "pve2", "pve3")
        }
        content = {"nodename": self.here, "cluster": {"name": "c", "quorate": quorate}, "nodelist": nodes}
        self.write("pve/.members", json.dumps(content))

    def resource(self, sid: str) -> Resource:
        return resource_for(sid, self.directory, self.here)

    def state(self, sid: str) -> str:
        return (self.directory / f"state.{sid[3:]}").read_text().strip()

    def home(self, sid: str) -> list[str]:
        return [path.parts[-3] for path in self.pve.glob(f"nodes/*/*/{sid[3:]}.conf")]

    def calls(self, *verbs: str) -> list[str]:
        """The calls with these verbs, or all that change something."""
        asked = (self.directory / "calls").read_text().splitlines()
        verbs = verbs or ("start", "shutdown", "stop", "migrate")
        return [call for call in asked if call.split()[1] in verbs]


@pytest.fixture
def proxmox_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proxmox:
    made = Proxmox(tmp_path)
    monkeypatch.setattr(proxmox, "PVE", made.pve)
    monkeypatch.setattr(run, "GRACE_S", 0.1)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")

    def in_cgroup(_: Iterable[Process], path: str) -> set[int]:
        return {1} if path in made.groups else set()

    monkeypatch.setattr(find, "in_cgroup", in_cgroup)
    return made


# --------------------------------------------------------------------------------------------- start, probe and stop


@both
def test_start_probe_stop(proxmox_cluster: Proxmox, sid: str) -> None:
    resource = proxmox_cluster.resource(sid)
    validate(sid, {})
    assert not resource.probe(sid, {})
    resource.start(sid, {})
    resource.start(sid, {})
    assert resource.probe(sid, {})
    resource.stop(sid, {}, 30)
    resource.stop(sid, {}, 30)
    assert not resource.probe(sid, {})
    assert proxmox_cluster.calls() == [f"{TOOLS[sid]} start {sid[3:]}", f"{TOOLS[sid]} shutdown {sid[3:]} --timeout 30"]


@both
@pytest.mark.parametrize("state", ["running", "paused", "suspended", "prelaunch", "unknown", "whatever"])
def test_any_state_but_stopped_runs(proxmox_cluster: Proxmox, sid: str, state: str) -> None:
    proxmox_cluster.write(f"state.{sid[3:]}", state)
    assert proxmox_cluster.resource(sid).probe(sid, {})


@pytest.mark.parametrize(("sid", "group"), [("vm:100", "/qemu.slice/100.scope"), ("ct:101", "/lxc/101")])
@pytest.mark.parametrize("here", ["pve1", "pve2"])
def test_processes_run_whatever_status_says(proxmox_cluster: Proxmox, sid: str, group: str, here: str) -> None:
    """On pve1 they have outlived their guest; on pve2 they arrive by a live migration, before the configuration."""
    proxmox_cluster.move_to(here)
    resource = proxmox_cluster.resource(sid)
    assert not resource.probe(sid, {})
    proxmox_cluster.groups.add(group)
    assert resource.probe(sid, {})


@pytest.mark.parametrize(
    "words", [("perl", "/usr/sbin/qm", "start", "100"), ("task UPID:pve1:1:2:3:qmstart:100:root:",)]
)
def test_what_somebody_is_starting_runs(proxmox_cluster: Proxmox, words: tuple[str, ...]) -> None:
    waiting = proxmox_cluster.write("waiting", "sleep 1000; true")
    words = (words[0], "-c", f". {waiting}", *words[1:])
    with subprocess.Popen(words, executable="/bin/sh", start_new_session=True) as child:
        try:
            assert proxmox_cluster.resource("vm:100").probe("vm:100", {})
            assert not proxmox_cluster.resource("ct:101").probe("ct:101", {})
        finally:
            os.killpg(child.pid, signal.SIGKILL)


@both
def test_a_guest_that_does_not_shut_down_is_switched_off(proxmox_cluster: Proxmox, sid: str) -> None:
    resource = proxmox_cluster.resource(sid)
    resource.start(sid, {})
    proxmox_cluster.write("shutdown.does", "echo 'VM is locked (backup)' >&2; exit 255")
    resource.stop(sid, {"stop_timeout_s": 1}, None)
    assert not resource.probe(sid, {})
    assert proxmox_cluster.calls("stop") == [f"{TOOLS[sid]} stop {sid[3:]} --skiplock 1"]


def test_no_time_is_no_shutdown(proxmox_cluster: Proxmox) -> None:
    resource = proxmox_cluster.resource("vm:100")
    resource.start("vm:100", {})
    resource.stop("vm:100", {}, 0)
    assert proxmox_cluster.calls("shutdown", "stop") == ["qm stop 100 --skiplock 1"]


def test_what_outlives_its_stop_is_told(proxmox_cluster: Proxmox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxmox, "KILL_WAIT_S", 0.5)
    proxmox_cluster.groups.add("/qemu.slice/100.scope")
    with pytest.raises(ResourceError, match="qm says that it was stopped, but something of it runs"):
        proxmox_cluster.resource("vm:100").stop("vm:100", {}, 0)


@pytest.fixture
def impatient(proxmox_cluster: Proxmox, monkeypatch: pytest.MonkeyPatch) -> Proxmox:
    monkeypatch.setattr(proxmox, "CALL_S", 1.0)
    monkeypatch.setattr(proxmox, "KILL_WAIT_S", 1.0)
    return proxmox_cluster


@pytest.mark.parametrize("hangs", ["status", "config", "start"])
def test_a_start_that_hangs_is_bounded(impatient: Proxmox, hangs: str) -> None:
    impatient.write(f"{hangs}.does", "exec sleep 1000")
    began_s = time.monotonic()
    with pytest.raises(ResourceError, match=f"^vm:100: 'qm {hangs} 100' has not ended within 1 s$"):
        impatient.resource("vm:100").start("vm:100", {"start_timeout_s": 1})
    assert time.monotonic() - began_s < 10


def test_a_stop_that_hangs_is_bounded(impatient: Proxmox) -> None:
    resource = impatient.resource("vm:100")
    resource.start("vm:100", {})
    impatient.write("stop.does", "exec sleep 1000")
    with pytest.raises(ResourceError, match=r"^vm:100: 'qm stop 100 --skiplock 1' has not ended within 1 s$"):
        resource.stop("vm:100", {}, 0)


def test_a_shutdown_that_hangs_ends_by_force(impatient: Proxmox) -> None:
    resource = impatient.resource("vm:100")
    resource.start("vm:100", {})
    impatient.write("shutdown.does", "exec sleep 1000")
    resource.stop("vm:100", {}, 1)
    assert not resource.probe("vm:100", {})
    assert impatient.calls("stop") == ["qm stop 100 --skiplock 1"]


# ------------------------------------------------------------------------------------------------- what is unclear


def no_cluster_file_system(cluster: Proxmox) -> None:
    cluster.pve.rename(cluster.directory / "unmounted")
    cluster.pve.mkdir()


def two_configurations(cluster: Proxmox) -> None:
    cluster.write("pve/nodes/pve3/qemu-server/100.conf", "")


def says(script: str) -> Callable[[Proxmox], object]:
    return lambda cluster: cluster.write("status.does", f"{script}; exit")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (no_cluster_file_system, "find .*/pve/nodes: .*No such file"),
        (two_configurations, "its configuration is on several nodes: "),
        (says("true"), "qm status says ''"),
        (says("echo stopped"), "qm status says 'stopped'"),
        (says("echo status: not stopped"), "qm status says 'status: not stopped'"),
        (says("echo state: stopped"), "qm status says 'state: stopped'"),
        (says("echo status: stopped; echo no >&2; exit 1"), r"qm status: no \(exit code 1\)"),
        (says("echo status: stopped; kill -9 $$"), "qm status: "),
    ],
)
def test_what_is_unclear_is_no_answer(proxmox_cluster: Proxmox, spoil: Callable[[Proxmox], object], why: str) -> None:
    spoil(proxmox_cluster)
    resource = proxmox_cluster.resource("vm:100")
    for unclear in (
        lambda: resource.probe("vm:100", {}),
        lambda: resource.start("vm:100", {}),
        lambda: resource.stop("vm:100", {}, 0),
    ):
        with pytest.raises(ResourceError, match=f"^vm:100: {why}"):
            unclear()
    assert not (proxmox_cluster.directory / "calls").exists() or proxmox_cluster.calls() == []


# -------------------------------------------------------------------------------------------- from node to node


@both
def test_a_guest_of_a_lost_node_is_brought_here(proxmox_cluster: Proxmox, sid: str) -> None:
    proxmox_cluster.write(f"state.{sid[3:]}", "stopped\n")
    proxmox_cluster.move_to("pve2")
    proxmox_cluster.cluster(offline="pve1")
    resource = proxmox_cluster.resource(sid)
    assert not resource.probe(sid, {})
    resource.start(sid, {})
    assert proxmox_cluster.home(sid) == ["pve2"]
    assert resource.probe(sid, {})


@both
def test_a_guest_that_was_handed_over_is_brought_here(proxmox_cluster: Proxmox, sid: str) -> None:
    proxmox_cluster.move_to("pve2")
    proxmox_cluster.resource(sid).start(sid, {})
    assert proxmox_cluster.home(sid) == ["pve2"]
    kind = "qemu" if sid == "vm:100" else "lxc"
    assert proxmox_cluster.calls("get") == [
        f"pvesh get /nodes/pve1/{kind}/{sid[3:]}/status/current --output-format json"
    ]


@both
def test_a_guest_that_runs_elsewhere_is_left_there(proxmox_cluster: Proxmox, sid: str) -> None:
    proxmox_cluster.write(f"state.{sid[3:]}", "running\n")
    proxmox_cluster.move_to("pve2")
    resource = proxmox_cluster.resource(sid)
    assert not resource.probe(sid, {})
    with pytest.raises(ResourceError, match="it was moved to pve1 by somebody else: hacore relocate"):
        resource.start(sid, {})
    assert proxmox_cluster.home(sid) == ["pve1"]


def test_without_quorum_nothing_is_brought_here(proxmox_cluster: Proxmox) -> None:
    proxmox_cluster.move_to("pve2")
    proxmox_cluster.cluster(quorate=0, offline="pve1")
    with pytest.raises(ResourceError, match="has no quorum"):
        proxmox_cluster.resource("vm:100").start("vm:100", {})
    proxmox_cluster.write("pve/.members", "{")
    with pytest.raises(ResourceError, match="does not answer in JSON"):
        proxmox_cluster.resource("vm:100").start("vm:100", {})
    assert proxmox_cluster.home("vm:100") == ["pve1"]


def test_a_guest_that_does_not_exist(proxmox_cluster: Proxmox) -> None:
    resource = proxmox_cluster.resource("vm:999")
    assert not resource.probe("vm:999", {})
    with pytest.raises(ResourceError, match="there is no such guest on any node"):
        resource.start("vm:999", {})


def test_a_machine_moves_while_it_runs(proxmox_cluster: Proxmox) -> None:
    resource = proxmox_cluster.resource("vm:100")
    resource.start("vm:100", {})
    assert resource.migrate("vm:100", {}, "pve3")
    assert proxmox_cluster.calls("migrate", "stop", "shutdown") == ["qm migrate 100 pve3 --online 1"]
    assert not resource.probe("vm:100", {})


def test_a_container_is_stopped_to_be_moved(proxmox_cluster: Proxmox) -> None:
    resource = proxmox_cluster.resource("ct:101")
    resource.start("ct:101", {})
    assert resource.migrate("ct:101", {}, "pve3")
    assert proxmox_cluster.calls("migrate", "shutdown") == ["pct shutdown 101 --timeout 60", "pct migrate 101 pve3"]
    assert proxmox_cluster.state("ct:101") == "stopped"


@pytest.mark.parametrize(
    ("does", "outcome"),
    [
        ("exit 0", False),  # nothing has moved
        ("echo 'no shared storage' >&2; exit 255", r"qm migrate: no shared storage \(exit code 255\)"),
        ("exec sleep 1000", "has not ended within 0.5 s"),
    ],
)
def test_a_move_that_fails(proxmox_cluster: Proxmox, does: str, outcome: Any) -> None:
    resource = proxmox_cluster.resource("vm:100")
    resource.start("vm:100", {})
    proxmox_cluster.write("migrate.does", does)
    if outcome is False:
        assert resource.migrate("vm:100", {}, "pve3") is False
    else:
        with pytest.raises(ResourceError, match=f"^vm:100: .*{outcome}"):
            resource.migrate("vm:100", {"migrate_timeout_s": 0.5}, "pve3")
    assert resource.probe("vm:100", {})


def test_a_guest_that_stays_behind_has_not_moved(proxmox_cluster: Proxmox) -> None:
    resource = proxmox_cluster.resource("vm:100")
    resource.start("vm:100", {})
    proxmox_cluster.groups.add("/qemu.slice/100.scope")
    assert resource.migrate("vm:100", {}, "pve3") is False


# -------------------------------------------------------------------------------------------------- configuration


@both
def test_a_guest_that_proxmox_starts_by_itself_is_refused(proxmox_cluster: Proxmox, sid: str) -> None:
    (config,) = proxmox_cluster.pve.glob(f"nodes/pve1/*/{sid[3:]}.conf")
    config.write_text("cores: 2\nonboot: 1\n")
    resource = proxmox_cluster.resource(sid)
    with pytest.raises(
        ResourceError, match=f"Proxmox starts it when its node boots.* {TOOLS[sid]} set {sid[3:]} --onboot 0"
    ):
        resource.start(sid, {})
    assert not resource.probe(sid, {})


@pytest.mark.parametrize("sid", ["vm:web", "vm:99", "vm:0100", "ct:1e3", "ct:-1", "vm:٣٣٣"])
def test_a_guest_has_a_number(sid: str) -> None:
    with pytest.raises(ResourceError, match=r"such as vm:100|bad service id"):
        validate(sid, {})


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ResourceError, match=r"unknown key 'memory' \(known: start_timeout_s, stop_timeout_s, migrate"):
        validate("vm:100", {"memory": 1})
    with pytest.raises(ResourceError, match="'migrate_timeout_s' must be a number of seconds"):
        validate("vm:100", {"migrate_timeout_s": "long"})
