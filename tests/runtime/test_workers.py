"""Workers on a real node: what they make of services that die, break, or cannot be looked at for a moment."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hacore.protocol.requests import Job, Outcome, Reap, Spawn
from hacore.runtime import workers
from hacore.runtime.trace import Trace
from hacore.runtime.workers import Workers

SID = "ocf:it"
CONFIG = {"agent": "test:it"}

AGENT = """#!/bin/sh
cd {place}
echo $1 >> asked
case $1 in
monitor) code=$(head -n 1 monitor); sed -i '1{{$!d}}' monitor; exit $code;;
start) echo 0 > monitor;;
stop) echo 7 > monitor;;
esac
"""
"""It monitors as the file says, line by line; the last line holds."""


class Node:
    """A node with one service, and an agent that knows of it what a test says."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.trace = place / "trace"
        self.wake = threading.Event()
        self.workers = Workers("node1", place, Trace(self.trace, "node1", "lrm"), self.wake)

    def work(self, state: str, *codes: int, **more: Any) -> str:
        """What becomes of a job, if the agent's ``monitor`` answers with these codes."""
        (self.place / "monitor").write_text("".join(f"{code}\n" for code in codes))
        (self.place / "asked").unlink(missing_ok=True)
        self.workers.spawn(Spawn(Job("uid", SID, state, CONFIG, **more)))
        assert self.wake.wait(60)
        self.wake.clear()
        (outcome,) = self.workers.reap(Reap())
        assert outcome == Outcome("uid", SID, outcome.code)
        return outcome.code

    def asked(self) -> list[str]:
        return (self.place / "asked").read_text().split()


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    agent = tmp_path / "ocf" / "resource.d" / "test" / "it"
    agent.parent.mkdir(parents=True)
    agent.write_text(AGENT.format(place=tmp_path))
    agent.chmod(0o755)
    monkeypatch.setenv("OCF_ROOT", str(tmp_path / "ocf"))
    monkeypatch.setattr(workers, "PROBE_AGAIN_S", 0.01)
    node = Node(tmp_path)
    yield node
    node.workers.trace.close()


@pytest.mark.parametrize(
    ("state", "codes", "outcome", "asked"),
    [
        ("watch", (0,), "success", "monitor"),
        ("watch", (7,), "down", "monitor"),
        ("watch", (5, 0), "success", "monitor monitor"),  # a moment's trouble
        ("watch", (5, 5, 7), "down", "monitor monitor monitor"),
        ("watch", (5, 5, 5), "stuck", "monitor monitor monitor"),  # nobody knows
        ("watch", (1,), "down", "monitor stop"),  # broken: stopped, to be started afresh
        ("started", (7,), "success", "monitor start monitor"),
        ("started", (1,), "success", "monitor stop start monitor"),
        ("started", (7, 7), "success", "monitor start monitor"),
        ("request_stop", (1,), "success", "monitor stop monitor"),
        ("request_stop", (7,), "success", "monitor"),
        ("error", (1,), "success", "monitor"),  # nobody touches it
        ("new", (1,), "success", "monitor"),
    ],
)
def test_what_becomes_of_a_job(node: Node, state: str, codes: tuple[int, ...], outcome: str, asked: str) -> None:
    assert node.work(state, *codes) == outcome
    assert node.asked() == asked.split()


def test_what_is_broken_elsewhere_is_not_touched(node: Node) -> None:
    assert node.work("started", 1, here=False) == "wrong_node"
    assert node.asked() == ["monitor"]


def test_what_is_broken_and_cannot_be_stopped_is_stuck(node: Node) -> None:
    agent = node.place / "ocf" / "resource.d" / "test" / "it"
    agent.write_text(agent.read_text().replace("stop) echo 7 > monitor;;", "stop) exit 1;;"))
    assert node.work("watch", 1) == "stuck"
    assert node.asked() == ["monitor", "stop"]


def test_trouble_is_noted(node: Node) -> None:
    node.work("watch", 5, 1, 0)
    troubles = [line for line in node.trace.read_text().splitlines() if "service_trouble" in line]
    assert len(troubles) == 2
    assert "what it needs is not installed here" in troubles[0]
    assert "it has failed" in troubles[1]
