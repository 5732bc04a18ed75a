"""The reference clock: what it breaks of the promises is noted, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hacore.manager import jobs
from hacore.protocol.reference.tables import REFERENCE, timing
from hacore.protocol.requests import Job
from hacore.protocol.table import Table
from hacore.sim import clockwork as module
from hacore.sim.clockwork import Clockwork, loop_of
from hacore.sim.scenario import ScenarioError
from tests.sim.small import small


def clockwork(directory: Path, *commands: tuple[str, ...], **more: Any) -> Clockwork:
    scenario = small(directory, *commands, **more)
    tables: dict[str, Table] = {**REFERENCE}
    return Clockwork(scenario, tables, timing(loop_of(scenario)), loop_of(scenario))


def noted(directory: Path, *commands: tuple[str, ...], **more: Any) -> dict[str, str]:
    run = clockwork(directory, *commands, **more)
    run.run()
    return run.notes.broken


def test_nothing_is_noted_where_nothing_is_broken(tmp_path: Path) -> None:
    assert noted(tmp_path, ("power node1 off",), ("restart-lrm node2",), ("service ct:2 disabled",)) == {}


def test_a_service_on_two_nodes_is_noted(tmp_path: Path) -> None:
    """An operator forgets that the service runs, and configures it anew on another node."""
    broken = noted(tmp_path, ("service ct:2 delete",), ("service ct:2 add node3 started",))
    assert broken["SingleOwner"].startswith("ct:2 runs on node2 and node3")


def test_recovery_of_what_runs_still_is_noted(tmp_path: Path) -> None:
    run = clockwork(tmp_path, ("network node2 off",), ())
    run.hardware.watchdog_fires = lambda node: node == ""  # type: ignore[method-assign]
    run.run()
    assert "ct:2 is recovered, but runs on node2 still" in run.notes.broken["FenceBeforeRecover"]


def test_who_touches_what_is_in_error_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = jobs.Duty.job

    def job(duty: jobs.Duty, sid: str, record: Any, **more: Any) -> Any:
        if record.state == "error":
            record.state = "request_stop"
        return real(duty, sid, record, **more)

    monkeypatch.setattr(jobs.Duty, "job", job)
    services = {"fa:1001": {"node": "node1", "state": "started"}}
    assert "ErrorUntouched" in noted(tmp_path, ("service fa:1001 stopped",), services=services)


def test_who_touches_what_is_frozen_is_noted(tmp_path: Path) -> None:
    run = clockwork(tmp_path, ("crm node1 disarm-ha freeze",))
    run.run()
    run.notes.touched(Job("shutdown vm:1", "vm:1", "request_stop", {}), "stopped")
    assert run.notes.broken == {}
    run.notes.touched(Job("9", "vm:1", "started", {}), "started")
    assert "vm:1: started, while its state is freeze" in run.notes.broken["FrozenUntouched"]


def test_a_run_without_an_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_S", 300)
    with pytest.raises(ScenarioError, match="not over after 300 s"):
        clockwork(tmp_path, ("delay 90",), ("delay 90",), ("delay 90",)).run()
