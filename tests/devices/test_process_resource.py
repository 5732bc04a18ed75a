"""Services of type ``proc``, as real processes."""

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hacore.devices import proc
from hacore.devices.resources import ResourceError, find, process
from hacore.devices.resources.process import ProcessResource
from tests.devices.zombies import zombie

SID = "proc:web"


TOKEN = f"300.{os.getpid():09d}"  # seconds, for a sleep that can be told from others
CONFIG = {"command": ["sleep", TOKEN]}


@pytest.fixture
def resource(tmp_path: Path) -> Iterator[ProcessResource]:
    yield (made := ProcessResource(tmp_path / "node1", "node1"))
    made.stop(SID, {}, 0)


def eventually(holds: Callable[[], object], within_s: float = 5) -> None:
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s, "it did not come true in time"
        time.sleep(0.005)


def python(source: str) -> dict[str, Any]:
    """The configuration of a service in Python."""
    return {"command": [sys.executable, "-I", "-S", "-c", source]}


def found(part: str, where: str) -> set[int]:
    """The pids of the living processes with ``part`` in ``/proc/PID/where``: not by the code that is tested here."""
    pids = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and part.encode() in (entry / where).read_bytes():
                pids.add(int(entry.name))
        except OSError:
            continue
    return pids - {os.getpid()}


def marked(resource: ProcessResource) -> set[int]:
    return found(f"HACORE_SERVICE={resource.home}/{SID}\0", "environ")


def log(resource: ProcessResource) -> str:
    return (resource.home / "services" / "proc%3Aweb.log").read_text()


def in_child(do: Callable[[], object]) -> int:
    """A fork of this process, which does it and ends: another worker, as far as the kernel is concerned."""
    pid = os.fork()
    if pid == 0:
        try:
            do()
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# ------------------------------------------------------------------------------------------------- start, probe, stop


def test_start_probe_stop(resource: ProcessResource) -> None:
    config = {"command": "echo hello; echo trouble >&2; sleep 300"}
    assert not resource.probe(SID, config)
    resource.start(SID, config)
    assert resource.probe(SID, config)
    eventually(lambda: log(resource) == "hello\ntrouble\n")
    resource.stop(SID, config, 5)
    assert not marked(resource)
    assert not resource.probe(SID, config)


def test_what_runs_is_not_started_again(resource: ProcessResource) -> None:
    config = {"command": f"echo up; exec sleep {TOKEN}"}
    resource.start(SID, config)
    eventually(lambda: found(f"sleep\0{TOKEN}", "cmdline"))
    before = marked(resource)
    resource.start(SID, config)
    assert (marked(resource), log(resource)) == (before, "up\n")


def test_a_service_that_ends_is_not_running_and_leaves_no_zombie(resource: ProcessResource) -> None:
    resource.start(SID, {"command": ["true"]})
    eventually(lambda: not resource.probe(SID, {}))
    resource.probe(SID, {})
    assert not zombie()


def test_services_do_not_see_each_other(resource: ProcessResource) -> None:
    resource.start(SID, CONFIG)
    assert not resource.probe("proc:we", {}) | resource.probe("proc:web2", {})
    assert not ProcessResource(resource.home.with_name("node2"), "node2").probe(SID, {})


def test_what_there_is_not_is_stopped_and_never_moved(resource: ProcessResource) -> None:
    resource.stop(SID, {}, None)
    assert resource.migrate(SID, {}, "node2") is False


def test_the_log_is_capped(resource: ProcessResource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOG_CAP_BYTES", 3)
    for word in ("first", "second", "third"):
        resource.start(SID, {"command": ["echo", word]})
        eventually(lambda: not resource.probe(SID, {}))
    assert log(resource) == "third\n"
    assert (resource.home / "services" / "proc%3Aweb.log.1").read_text() == "second\n"


# ------------------------------------------------------------------------------------------------- what a service gets


def test_a_service_starts_from_a_clean_slate(resource: ProcessResource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this process blocks, ignores, holds open or was told by systemd."""
    monkeypatch.setenv("HACORE_NODE", "the-node's-marker")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    config = {"command": f"exec sleep {TOKEN}", "directory": "/usr", "environment": {"COLOUR": "green"}}
    leaked = os.dup(0)
    os.set_inheritable(leaked, True)
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        resource.start(SID, config)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGHUP, ignored)
        os.close(leaked)
    eventually(lambda: found(f"sleep\0{TOKEN}", "cmdline") & marked(resource))
    (pid,) = marked(resource)
    it = Path(f"/proc/{pid}")
    assert (it / "cwd").readlink() == Path("/usr")
    assert os.getsid(pid) == pid
    status = dict(line.split(":\t", 1) for line in (it / "status").read_text().splitlines())
    assert int(status["SigBlk"], 16) == 0
    assert int(status["SigIgn"], 16) & 0x7FFFFFFF == 0  # above are 32 and 33, which glibc's posix_spawn ignores
    descriptors = sorted(int(fd.name) for fd in (it / "fd").iterdir())
    assert descriptors[:3] == [0, 1, 2]
    assert [fd >= 240 for fd in descriptors[3:]] == [True]
    assert (it / "fd" / "0").readlink() == Path("/dev/null")
    environment = dict(item.split("=", 1) for item in (it / "environ").read_text().rstrip("\0").split("\0"))
    assert environment.items() >= {"COLOUR": "green", "HACORE_NODE": "the-node's-marker"}.items()
    assert environment.items() >= {"HACORE_SID": SID, "HACORE_NODE_NAME": "node1"}.items()
    assert "NOTIFY_SOCKET" not in environment


# ------------------------------------------------------------------------------------------------- unwilling services


STUBBORN = {"command": "trap '' TERM; echo ready; while :; do sleep 0.2; done"}

DAEMON = python(
    """
import os, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
print("ready", os.getpid(), flush=True)
time.sleep(300)
"""
)

CLOSES_ALL = python(  # only its environment tells
    """
import os, time
if os.fork(): os._exit(0)
os.setsid()
print("ready", flush=True)
os.closerange(0, 4096)
time.sleep(300)
"""
)

KEEPS_THE_LOCK = python(  # and nothing else tells
    f"""
import os
if os.fork(): os._exit(0)
os.setsid()
print("ready", flush=True)
os.execve("/bin/sleep", ["sleep", "{TOKEN}"], {{}})
"""
)

DROPS_EVERYTHING = python(
    f"""
import os
def sleep(): os.execve("/bin/sleep", ["sleep", "{TOKEN}"], {{}})
os.closerange(3, 4096)
if os.fork() == 0: # only its parent tells
    os.setsid()
    sleep()
if os.fork() == 0: # only its session tells
    if os.fork() == 0: sleep()
    os._exit(0)
print("ready", flush=True)
sleep()
"""
)

FIRST_THREAD_ENDS = python(
    """
import _thread, ctypes, os, time
if os.fork(): os._exit(0)
os.setsid()
def on():
    print("ready", flush=True)
    time.sleep(300)
_thread.start_new_thread(on, ())
ctypes.CDLL(None).pthread_exit(None)
"""
)

UNWILLING = [STUBBORN, DAEMON, CLOSES_ALL, KEEPS_THE_LOCK, DROPS_EVERYTHING, FIRST_THREAD_ENDS]


@pytest.mark.parametrize("config", UNWILLING)
def test_it_is_seen_and_stopped(resource: ProcessResource, config: dict[str, Any]) -> None:
    resource.start(SID, config)
    eventually(lambda: "ready" in log(resource))
    time.sleep(0.05)
    assert resource.probe(SID, config)
    resource.stop(SID, config, 0.2)
    assert not marked(resource) | found(TOKEN, "cmdline")
    assert not resource.probe(SID, config)


def test_force_comes_only_after_the_timeout(resource: ProcessResource) -> None:
    resource.start(SID, {"command": "trap 'sleep 0.3; echo bye; exit' TERM; echo ready; while :; do sleep 0.01; done"})
    eventually(lambda: log(resource))
    resource.stop(SID, {"stop_timeout_s": 5}, None)
    assert log(resource).endswith("bye\n")


def test_a_frozen_service_need_not_be_killed(resource: ProcessResource) -> None:
    resource.start(SID, python("import os, signal; print('ready', flush=True); os.kill(os.getpid(), signal.SIGSTOP)"))
    eventually(lambda: log(resource))
    time.sleep(0.05)
    before_s = time.monotonic()
    resource.stop(SID, {}, 30)
    assert time.monotonic() < before_s + 15


HOPS = python(
    """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True:
    time.sleep(0.05)
    if os.fork(): os._exit(0)
    os.setsid()
"""
)


def test_a_service_that_hops_from_pid_to_pid(resource: ProcessResource) -> None:
    resource.start(SID, HOPS)
    eventually(lambda: log(resource))
    resource.stop(SID, {}, 0)
    assert not resource.probe(SID, {})


# ------------------------------------------------------------------------------------------------- other starters


def test_it_outlives_its_starter_and_is_stopped_by_another(resource: ProcessResource) -> None:
    assert ended(in_child(lambda: resource.start(SID, DAEMON))) == 0
    eventually(lambda: "ready" in log(resource))
    (daemon,) = marked(resource)
    assert resource.probe(SID, {})
    assert ended(in_child(lambda: resource.stop(SID, {}, 5))) == 0
    assert find.look(daemon) is None
    assert not resource.probe(SID, {})


def test_of_many_starters_one_starts(resource: ProcessResource) -> None:
    config = {"command": "echo up; sleep 300"}
    starters = [in_child(lambda: resource.start(SID, config)) for _ in range(6)]
    assert [ended(starter) for starter in starters] == [0] * 6
    eventually(lambda: log(resource))
    time.sleep(0.1)
    assert log(resource) == "up\n"


def test_a_killed_starter_leaves_no_doubt(resource: ProcessResource) -> None:
    """Killed at a random moment: what is said not to run then does not run and does not come up either."""
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    print("seed", seed)

    def settled() -> bool:
        said = resource.probe(SID, CONFIG)
        there = found(TOKEN, "cmdline")  # the launcher has it among its arguments too
        assert said or not there, "said not to run, and then it did"
        return said == bool(there) and not there & found("launch.py", "cmdline")

    before_s = time.monotonic()
    assert ended(in_child(lambda: resource.start(SID, CONFIG))) == 0
    start_s = time.monotonic() - before_s
    for _ in range(20):
        resource.stop(SID, CONFIG, 1)
        assert not found(TOKEN, "cmdline")
        assert not resource.probe(SID, CONFIG)
        starter = in_child(lambda: resource.start(SID, CONFIG))
        time.sleep(moments.uniform(0, 1.2 * start_s))
        os.kill(starter, signal.SIGKILL)
        os.waitpid(starter, 0)
        eventually(settled)
        if not resource.probe(SID, CONFIG):
            time.sleep(0.04)
            assert not found(TOKEN, "cmdline")


def test_a_starter_killed_between_fork_and_exec(resource: ProcessResource, tmp_path: Path) -> None:
    """The child has neither marker nor name of its own yet, and hangs in opening what it takes for /dev/null."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "devnull", str(fifo))
        starter = in_child(lambda: resource.start(SID, CONFIG))
    eventually(lambda: Path(f"/proc/{starter}/task/{starter}/children").read_text())
    os.kill(starter, signal.SIGKILL)
    os.waitpid(starter, 0)
    said, there = resource.probe(SID, {}), marked(resource)
    stopper = in_child(lambda: resource.stop(SID, {}, 5))  # waits at the door, which the child has until its exec
    time.sleep(0.05)
    os.close(os.open(fifo, os.O_WRONLY))
    assert (said, there) == (True, set())
    assert ended(stopper) == 0
    assert not found(TOKEN, "cmdline")
    assert not resource.probe(SID, {})


def test_a_starter_frozen_before_the_spawn_counts_as_running(resource: ProcessResource) -> None:
    """It may go on any time. And it is not killed in place of the service."""

    def freeze(*_: object, **__: object) -> int:
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "posix_spawn", freeze)
        starter = in_child(lambda: resource.start(SID, CONFIG))
    os.waitpid(starter, os.WUNTRACED)
    assert resource.probe(SID, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "DOOR_WAIT_S", 0.1)
        patch.setattr(process, "KILL_WAIT_S", 0.0)
        with pytest.raises(ResourceError, match="another start or stop has not ended"):
            resource.stop(SID, {}, 0)
    assert find.look(starter)
    os.kill(starter, signal.SIGCONT)
    assert ended(starter) == 0
    assert not resource.probe(SID, {})


def test_a_service_with_a_hidden_holder_is_not_called_stopped(
    resource: ProcessResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if its processes were in a sleep that no signal ends, or of a kind that cannot be seen."""
    resource.start(SID, CONFIG)
    with monkeypatch.context() as patch:
        patch.setattr(process, "KILL_WAIT_S", 0.1)
        patch.setattr(proc, "send", lambda *_: None)
        with pytest.raises(ResourceError, match=r"processes outlive SIGKILL on node1: \d+"):
            resource.stop(SID, {}, 0)
        patch.setattr(find, "living", dict)
        with pytest.raises(ResourceError, match="cannot be seen"):
            resource.stop(SID, {}, 0)
    assert resource.probe(SID, {})


def test_what_cannot_be_looked_at_is_not_called_stopped(
    resource: ProcessResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(find, "living", full)
        with pytest.raises(ResourceError, match=r"^proc:web: .*Too many open files"):
            resource.probe(SID, {})
