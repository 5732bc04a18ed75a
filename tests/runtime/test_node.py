"""What the node's process makes of signals, and of a hold on a daemon that is down."""

import os
import signal
from pathlib import Path

import pytest

from hacore.runtime.node import DAEMONS, HELD_S, Node
from hacore.runtime.only_one import AlreadyRuns, OnlyOne


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """A node whose daemons are not really started."""
    node = Node(tmp_path, "node1")
    node.home.mkdir(parents=True)
    monkeypatch.setattr(node, "_start", lambda daemon: 1000 + DAEMONS.index(daemon))
    return node


def ended(node: Node, daemon: str, code: int, patch: pytest.MonkeyPatch) -> None:
    """The daemon has ended, and would be due again."""
    patch.setattr("hacore.runtime.node.reap", lambda: [(node.pids[daemon], code)])
    node._reap()
    node.start_s[daemon] = 0.0


@pytest.mark.parametrize(("code", "stays_down"), [(0, True), (1, False), (-9, False)])
def test_a_hold_keeps_down_only_what_has_ended_in_order(
    node: Node, monkeypatch: pytest.MonkeyPatch, code: int, stays_down: bool
) -> None:
    with OnlyOne(node.home / "lrm.hold"):
        node._start_due()
        assert set(node.pids) == set(DAEMONS), "it is of no account for a first start"
        ended(node, "lrm", code, monkeypatch)
        node._start_due()
        assert ("lrm" not in node.pids) == stays_down
        assert not stays_down or 0 < node._patience_s() <= HELD_S
    node.start_s["lrm"] = 0.0
    node._start_due()
    assert set(node.pids) == set(DAEMONS)


def test_a_reboot_stays_one_when_systemd_asks_for_the_end_too(node: Node) -> None:
    node._hear(signal.SIGUSR1)
    node._hear(signal.SIGTERM)
    assert node.ending == "reboot"


def test_the_end_may_still_become_a_reboot(node: Node) -> None:
    node._hear(signal.SIGTERM)
    assert node.ending == "shutdown"
    node._hear(signal.SIGUSR1)
    assert node.ending == "reboot"


def test_there_is_one_process_for_a_node(node: Node) -> None:
    with OnlyOne(node.home / "node.lock"), pytest.raises(AlreadyRuns, match=r"node\.lock"):
        node.run()
    assert (node.home / "node.lock").read_text() == f"{os.getpid()}\n"
