"""Notifications: each event as a line of JSON, and no daemon that waits for whoever reads it."""

import json
import time
from pathlib import Path

import pytest

from hacore.protocol.requests import Say
from hacore.runtime import notify
from hacore.runtime.config import FILE
from hacore.runtime.notify import Notifier
from tests.runtime.cluster import PATIENT_S, LocalCluster


def wait_for_lines(path: Path, count: int) -> list[str]:
    until_s = time.monotonic() + PATIENT_S
    while not path.exists() or len(path.read_text().splitlines()) < count:
        assert time.monotonic() < until_s
        time.sleep(0.02)
    return path.read_text().splitlines()


def test_every_event_is_a_line_in_order(tmp_path: Path) -> None:
    notifier = Notifier(f"cat >> {tmp_path}/told", "node1", "crm")
    for number in range(3):
        notifier.tell(Say("service_state", {"sid": "proc:web", "to": number}))
    told = [json.loads(line) for line in wait_for_lines(tmp_path / "told", 3)]
    notifier.end()
    assert [it["about"]["to"] for it in told] == [0, 1, 2]
    assert (told[0]["node"], told[0]["daemon"], told[0]["event"]) == ("node1", "crm", "service_state")


def test_a_command_that_hangs_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "LIMIT_S", 0.5)
    notifier = Notifier(
        f"read line; echo x >> {tmp_path}/told; sleep 99; echo never >> {tmp_path}/told", "node1", "crm"
    )
    began_s = time.monotonic()
    for _ in range(2):
        notifier.tell(Say("daemon_state", {}))
    assert time.monotonic() - began_s < 0.4
    assert wait_for_lines(tmp_path / "told", 2) == ["x", "x"], "the first was killed, the second had its turn"
    notifier.end()


def test_a_command_that_is_not_there_or_reads_nothing_does_no_harm(tmp_path: Path) -> None:
    for command in ("/nonexistent/notify", "exit 1", f"echo x >> {tmp_path}/told"):
        notifier = Notifier(command, "node1", "crm")
        for _ in range(2):
            notifier.tell(Say("daemon_state", {"why": "x" * 100_000}))
        notifier.end()
    assert wait_for_lines(tmp_path / "told", 2)


def test_a_cluster_tells_what_becomes_of_its_services(tmp_path: Path) -> None:
    cluster = LocalCluster(tmp_path)
    try:
        (cluster.directory / FILE).write_text(f'notify = "cat >> {tmp_path}/told"\n')
        cluster.settle()
        told = [json.loads(line) for line in wait_for_lines(tmp_path / "told", 8)]
        assert ("crm", "service_state") in {(it["daemon"], it["event"]) for it in told}
    finally:
        cluster.close()
