"""The witness: two at a time are seen, one after the other is not."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from hacore import witness
from hacore.devices.proc import children

SID = "proc:demo"


class Nodes:
    """Starts demonstration services, and ends what is left of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.started: list[subprocess.Popen[bytes]] = []

    def serve(self, node: str, within: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """``within`` is put before the command."""
        command = [*within, sys.executable, "-I", "-S", witness.__file__, "serve", str(self.directory), SID, node]
        self.started.append(subprocess.Popen(command))
        return self.started[-1]

    def events(self) -> list[tuple[str, str]]:
        return [(event["event"], event["node"]) for event in witness.read(self.directory)]

    def until(self, *events: tuple[str, str]) -> None:
        eventually(lambda: self.events() == list(events))


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.wait()


def eventually(holds: Callable[[], object], within_s: float = 5) -> None:
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s, "it did not come true in time"
        time.sleep(0.005)


def end(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> int:
    process.send_signal(number)
    return process.wait(5)


def test_one_after_the_other_is_no_overlap(nodes: Nodes) -> None:
    before_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    first = nodes.serve("a")
    nodes.until(("up", "a"))
    assert witness.running(nodes.directory) == {SID: ("a", first.pid)}
    assert end(first) == 0
    assert witness.running(nodes.directory) == {}
    second = nodes.serve("b")
    nodes.until(("up", "a"), ("down", "a"), ("up", "b"))
    assert witness.running(nodes.directory) == {SID: ("b", second.pid)}
    events = witness.read(nodes.directory)
    assert witness.overlaps(events) == []
    assert [event["pid"] for event in events] == [first.pid, first.pid, second.pid]
    assert {event["sid"] for event in events} == {SID}
    times = [before_s, *(event["t"] for event in events), time.clock_gettime(time.CLOCK_BOOTTIME)]
    assert times == sorted(times)


@pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace wants root")
def test_who_calls_itself_otherwise_in_its_own_namespace_is_known(nodes: Nodes) -> None:
    outer = nodes.serve("a", within=["unshare", "--pid", "--fork", "--kill-child"])
    nodes.until(("up", "a"))
    (inner,) = children(outer.pid)
    assert witness.running(nodes.directory) == {SID: ("a", inner)}
    assert witness.read(nodes.directory)[0]["pid"] == 1
    nodes.serve("b")
    nodes.until(("up", "a"), ("overlap", "b"))


def test_two_at_a_time_are_an_overlap(nodes: Nodes) -> None:
    first = nodes.serve("a")
    nodes.until(("up", "a"))
    second = nodes.serve("b")
    nodes.until(("up", "a"), ("overlap", "b"))
    (overlap,) = witness.overlaps(witness.read(nodes.directory))
    assert overlap["holder"] == {"sid": SID, "node": "a", "pid": first.pid}
    assert overlap["pid"] == second.pid
    assert witness.running(nodes.directory) == {SID: ("a", first.pid)}
    end(first)
    nodes.until(("up", "a"), ("overlap", "b"), ("down", "a"), ("up", "b"))
    assert witness.running(nodes.directory) == {SID: ("b", second.pid)}


def test_one_that_waits_can_be_ended(nodes: Nodes) -> None:
    nodes.serve("a")
    nodes.until(("up", "a"))
    second = nodes.serve("b")
    nodes.until(("up", "a"), ("overlap", "b"))
    assert end(second) == 0
    assert nodes.events() == [("up", "a"), ("overlap", "b")]


def test_a_frozen_holder_still_runs(nodes: Nodes) -> None:
    first = nodes.serve("a")
    nodes.until(("up", "a"))
    first.send_signal(signal.SIGSTOP)
    nodes.serve("b")
    nodes.until(("up", "a"), ("overlap", "b"))
    assert witness.running(nodes.directory) == {SID: ("a", first.pid)}


def test_a_killed_holder_does_not(nodes: Nodes) -> None:
    first = nodes.serve("a")
    nodes.until(("up", "a"))
    assert end(first, signal.SIGKILL) == -signal.SIGKILL
    assert witness.running(nodes.directory) == {}
    nodes.serve("b")
    nodes.until(("up", "a"), ("up", "b"))


def test_looking_does_not_disturb(nodes: Nodes) -> None:
    for _ in range(5):
        process = nodes.serve("a")
        while process.pid not in [event["pid"] for event in witness.read(nodes.directory)]:
            witness.running(nodes.directory)
        end(process)
    assert witness.overlaps(witness.read(nodes.directory)) == []


def test_half_a_last_line_is_left_out(tmp_path: Path) -> None:
    assert witness.read(tmp_path) == []
    line = json.dumps({"t": 1.0, "event": "up", "sid": SID, "node": "a", "pid": 1})
    (tmp_path / witness.LOG).write_text(f"{line}\n{line[:20]}")
    assert [event["event"] for event in witness.read(tmp_path)] == ["up"]
    (tmp_path / witness.LOG).write_text(f"{line[:20]}\n{line}\n")
    with pytest.raises(ValueError, match="not an event"):
        witness.read(tmp_path)


def test_it_runs_as_a_module_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hacore.witness", "serve", str(tmp_path), "proc:ümlaut/x", "a"]
    environment = os.environ | {"PYTHONPATH": str(Path(witness.__file__).parents[1])}
    with subprocess.Popen(command, env=environment) as process:
        eventually(lambda: witness.read(tmp_path))
        assert witness.running(tmp_path) == {"proc:ümlaut/x": ("a", process.pid)}
        assert end(process) == 0


def test_it_says_how_to_be_used() -> None:
    asked = subprocess.run([sys.executable, witness.__file__], capture_output=True, text=True, check=False)
    assert asked.returncode == 1
    assert asked.stderr == "usage: witness.py serve DIRECTORY SID NODE\n"
