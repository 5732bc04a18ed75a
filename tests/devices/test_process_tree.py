"""Real process trees, as nasty as services may be, die whole; who stands beside them does not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hacore.devices import process_tree
from hacore.devices.proc import Process, look
from hacore.devices.process_tree import Kill, descendants, kill_descendants, kill_marked, kill_tree

ROOT = Path(__file__).parents[2]
MARK = "HACORE_TEST_TREE"

SUBREAPER = "from hacore.devices.process_tree import become_subreaper; become_subreaper()\n"

DOUBLE_FORK = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
        time.sleep(600)
    os._exit(0)
time.sleep(600)
"""

BOMB = """
import os, sys, time
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        os.setsid()
        for _ in range(100):
            if os.fork() == 0:
                time.sleep(600)
            time.sleep(0.001)
        time.sleep(600)
while True:
    os.waitpid(-1, 0)
"""

JUMPERS = """
import os, signal, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # leaves no zombies behind
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        while os.fork() == 0:
            os.setsid()
        os._exit(0)
time.sleep(600)
"""

LEADERLESS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[__import__("os").uname().machine], 0)  # exit, this thread only
"""

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a Python program, marked as one of this test's; whatever it leaves is killed in the end."""
    started = []

    def start(program: str, *arguments: object, marked: bool = True) -> subprocess.Popen[bytes]:
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | ({MARK: str(tmp_path)} if marked else {})
        command = [sys.executable, "-c", program, *map(str, arguments)]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
    for pid in marked(tmp_path):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def marked(value: Path) -> list[int]:
    """The living processes that were started by the test with this directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{MARK}={value}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def eventually(what: Callable[[], bool], within_s: float = 10.0) -> None:
    until = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.005)


def test_daemonised_grandchildren_die_and_a_bystander_lives(start: Start, tmp_path: Path) -> None:
    bystander = start("import time; time.sleep(600)", marked=False)
    root = start(SUBREAPER + DOUBLE_FORK)
    eventually(lambda: len(marked(tmp_path)) == 3)
    eventually(lambda: len(descendants(root.pid)) == 2)
    kill_tree(root.pid)
    assert marked(tmp_path) == []
    assert root.wait(1) == -signal.SIGKILL
    assert bystander.poll() is None


def test_descendants_of_a_leaf() -> None:
    assert descendants(2**22) == []


@pytest.mark.parametrize("breadth", [1, 6])
@pytest.mark.parametrize("program", [BOMB, JUMPERS])
def test_what_forks_while_it_is_killed_dies(start: Start, tmp_path: Path, program: str, breadth: int) -> None:
    bystander = start("import time; time.sleep(600)", marked=False)
    root = start(SUBREAPER + program, breadth)
    eventually(lambda: len(descendants(root.pid)) >= breadth)
    time.sleep(0.03)
    kill_tree(root.pid)
    assert marked(tmp_path) == []
    assert bystander.poll() is None


def test_below_a_root_that_is_no_subreaper(start: Start, tmp_path: Path) -> None:
    root = start(BOMB, 3)
    eventually(lambda: len(descendants(root.pid)) >= 20)
    kill_tree(root.pid)
    assert marked(tmp_path) == []


def test_only_what_is_below_dies(start: Start, tmp_path: Path) -> None:
    root = start(SUBREAPER + DOUBLE_FORK)
    eventually(lambda: len(marked(tmp_path)) == 3)
    kill_descendants(root.pid)
    assert marked(tmp_path) == [root.pid]


def test_a_process_without_its_first_thread_dies(start: Start) -> None:
    root = start(LEADERLESS)
    eventually(lambda: Path(f"/proc/{root.pid}/stat").read_text().split()[2] == "Z")
    parent = descendants(os.getpid())
    assert root.pid in parent, "it looks like a zombie, but lives"
    kill_tree(root.pid)
    assert root.wait(1) == -signal.SIGKILL


def test_a_stopped_tree_and_a_dead_one(start: Start, tmp_path: Path) -> None:
    root = start(SUBREAPER + DOUBLE_FORK)
    eventually(lambda: len(marked(tmp_path)) == 3)
    for pid in marked(tmp_path):
        os.kill(pid, signal.SIGSTOP)
    kill_tree(root.pid)
    assert marked(tmp_path) == []
    kill_tree(root.pid)  # a zombie
    root.wait()
    kill_tree(root.pid)  # nobody at all


def test_all_are_stopped_before_the_first_is_killed(start: Start, tmp_path: Path) -> None:
    """A parent that sees its child die would note it down: nobody may be left to see anything."""
    root = start(
        "import os, sys, time\n"
        "for _ in range(20):\n"
        "    if os.fork() == 0: time.sleep(600)\n"
        "os.wait()\n"
        "open(sys.argv[1], 'w')",
        tmp_path / "seen",
    )
    eventually(lambda: len(descendants(root.pid)) == 20)
    kill_tree(root.pid)
    assert not (tmp_path / "seen").exists()


def test_a_pid_that_another_process_has_now_is_left_alone(start: Start) -> None:
    bystander = start("import time; time.sleep(600)")
    stat = look(bystander.pid)
    assert stat is not None
    earlier = Process(bystander.pid, stat.started - 1)
    kill = Kill(lambda: {earlier}, earlier)
    assert kill.step()
    assert look(bystander.pid) is not None
    assert bystander.poll() is None


def test_what_cannot_be_killed_is_reported(start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = start(SUBREAPER + DOUBLE_FORK)
    eventually(lambda: len(descendants(root.pid)) == 2)
    monkeypatch.setattr(process_tree, "send", lambda *_: None)
    with pytest.raises(TimeoutError, match="cannot be killed"):
        kill_tree(root.pid, timeout_s=0.05)
    assert len(marked(tmp_path)) == 3


def test_marked_orphans_die_with_what_forgot_its_mark(start: Start, tmp_path: Path) -> None:
    bystander = start("import time; time.sleep(600)", marked=False)
    sleeper = [sys.executable, "-c", "import os, sys, time; os.setsid(); open(sys.argv[1], 'w'); time.sleep(600)"]
    root = start(
        "import os, subprocess, sys, time\n"
        "if os.fork() == 0:\n"
        "    subprocess.Popen(eval(sys.argv[1]), env={}); time.sleep(600)",
        [*sleeper, str(tmp_path / "up")],
    )
    root.wait()  # its child is nobody's descendant here any more
    eventually((tmp_path / "up").exists)
    (orphan,) = marked(tmp_path)
    (forgetful,) = descendants(orphan)
    assert kill_marked(MARK, "elsewhere", str(tmp_path)) == 2
    assert marked(tmp_path) == []
    assert not Path(f"/proc/{forgetful}/cmdline").exists() or not Path(f"/proc/{forgetful}/cmdline").read_bytes()
    assert bystander.poll() is None
    assert kill_marked(MARK, str(tmp_path)) == 0


def test_the_caller_is_spared_though_it_is_marked(start: Start) -> None:
    caller = start(
        "import os, sys; from hacore.devices.process_tree import kill_marked\n"
        f"sys.exit(10 + kill_marked({MARK!r}, os.environ[{MARK!r}]))"
    )
    assert caller.wait(10) == 10


def test_a_child_dies_with_its_parent(start: Start, tmp_path: Path) -> None:
    parent = start(
        "import os, sys, time; from hacore.devices.process_tree import die_with_parent\n"
        "parent = os.getpid()\n"
        "if os.fork() == 0: die_with_parent(parent); open(sys.argv[1], 'w')\n"
        "time.sleep(600)",
        tmp_path / "up",
    )
    eventually((tmp_path / "up").exists)
    os.kill(parent.pid, signal.SIGKILL)
    eventually(lambda: marked(tmp_path) == [])


def test_a_child_whose_parent_has_died_already_dies(start: Start) -> None:
    late = start("from hacore.devices.process_tree import die_with_parent; die_with_parent(2**22)")
    assert late.wait(10) == -signal.SIGKILL
