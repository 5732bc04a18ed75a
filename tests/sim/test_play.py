"""Scenarios by hacore's own protocol: what they come to, and that what is broken is caught."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hacore.manager import jobs
from hacore.protocol.table import Table
from hacore.protocol.tables import TABLES
from hacore.sim import play
from hacore.sim.play import Play
from hacore.sim.promises import Unsettled, Violation
from tests.daemons.variants import RECOVER_WITHOUT_FENCE
from tests.sim.small import small


def without(table: str, *rows: str) -> Mapping[str, Table]:
    """hacore's tables, some rows taken out of one."""
    return {**TABLES, table: TABLES[table].substituted(dict.fromkeys(rows, ()))}


def played(directory: Path, *commands: tuple[str, ...], seed: int = 0, **more: Any) -> Play:
    run = Play(small(directory, *commands, **more), seed)
    run.run()
    return run


def events(run: Play, kind: str) -> list[dict[str, Any]]:
    return [event for event in run.world.events.list if event["event"] == kind]


# ----------------------------------------------------------------------------------------------- what it comes to


def test_power_lost_and_found(tmp_path: Path) -> None:
    run = played(tmp_path, ("power node1 off",), ("power node1 on",))
    (recovered,) = events(run, "service_recovered")
    assert recovered["sid"] == "vm:1"
    assert run.world.timing.offline_s < recovered["t"] - 120 < run.world.timing.failover_with_master_s
    assert run.operator.runs("vm:1", "ct:2")


@pytest.mark.slow
def test_commands_come_when_the_reference_clock_gives_them(tmp_path: Path) -> None:
    run = played(tmp_path, ("delay 130", "service vm:1 stopped"), ("service vm:1 started",))
    assert [event["t"] for event in events(run, "command")] == [20, 20, 20, 120, 120, 330]


def test_a_seed_is_one_run_and_another_is_another(tmp_path: Path) -> None:
    one, again, other = (played(tmp_path, seed=seed).world.events.list for seed in (1, 1, 2))
    assert one == again != other


def test_a_node_without_network_is_reset_and_boots_without_it(tmp_path: Path) -> None:
    run = played(tmp_path, ("network node2 off",))
    assert [event["node"] for event in events(run, "watchdog_reset")] == ["node2"]
    assert run.world.nodes["node2"].powered
    assert run.operator.where("ct:2") != ["node2"]


def test_without_a_majority_nothing_runs_and_nothing_is_asked_for(tmp_path: Path) -> None:
    run = played(tmp_path, ("network node2 off", "network node3 off"))
    assert run.operator.where("vm:1") == run.operator.where("ct:2") == []
    assert len(events(run, "watchdog_reset")) == 2


def test_a_store_that_fails_for_one_node_only(tmp_path: Path) -> None:
    run = played(tmp_path, ("cfs node1 rw fail",), ("cfs node1 rw work",))
    assert [event["node"] for event in events(run, "watchdog_reset")] == ["node1"]
    assert run.operator.runs("vm:1", "ct:2")


def test_skipped_rounds_of_lrms_are_pauses_that_reset(tmp_path: Path) -> None:
    run = played(tmp_path, ("skip-round lrm 1",))
    assert {event["node"] for event in events(run, "watchdog_reset")} == {"node1", "node2"}
    assert run.operator.runs("vm:1", "ct:2")


@pytest.mark.slow
def test_a_crm_that_was_stopped_stays_so_until_it_is_started(tmp_path: Path) -> None:
    stops = tuple(f"crm node{i} stop" for i in (1, 2, 3))
    run = played(tmp_path, stops, ("service vm:1 stopped",), ("crm node2 start",))
    exits = [event["t"] for event in events(run, "daemon_exit") if event["actor"].endswith("crm")]
    assert len(exits) == 3
    stopping = [event for event in events(run, "service_stopping") if event["sid"] == "vm:1"]
    assert 320 < stopping[0]["t"] < 340


@pytest.mark.slow
def test_shutdown_reboot_and_update(tmp_path: Path) -> None:
    run = played(tmp_path, ("shutdown node1",), ("reboot node2",), ("restart-lrm node3",))
    assert [run.world.nodes[f"node{i}"].boot for i in (1, 2, 3)] == [1, 2, 1]
    assert not run.world.nodes["node1"].powered
    assert events(run, "watchdog_reset") == []


def test_services_that_are_locked_or_fail_on_purpose(tmp_path: Path) -> None:
    services = {sid: {"node": "node1", "state": "started"} for sid in ("vm:1", "fa:1901", "fa:101")}
    run = played(tmp_path, ("service vm:1 lock", "service vm:1 stopped"), services=services)
    assert run.operator.state("fa:1901") == "error"
    assert run.operator.runs("fa:101")
    assert run.operator.where("vm:1") == ["node1"]


@pytest.mark.slow
def test_services_come_and_go(tmp_path: Path) -> None:
    run = played(tmp_path, ("service vm:7 add node3 started 1",), ("service ct:2 delete",))
    assert run.operator.runs("vm:7")
    assert events(run, "service_removed")[0]["sid"] == "ct:2"


def test_measured_loads_rebalance(tmp_path: Path) -> None:
    services = {f"vm:{i}": {"node": "node1", "state": "started"} for i in range(1, 5)}
    settings = {"crs": {"ha": "dynamic", "ha-auto-rebalance": 1}}
    run = played(tmp_path, ("service vm:1 set-dynamic-stats cpu 9 mem 9000",), services=services, settings=settings)
    assert {run.operator.where(sid)[0] for sid in services} != {"node1"}


def test_what_nobody_can_tell_may_last(tmp_path: Path) -> None:
    """A service is new, and its node never comes."""
    run = Play(small(tmp_path, commands=[["power node2 on", "power node3 on"]]))
    run.run()
    assert run.operator.state("vm:1") == "new"


# ------------------------------------------------------------------------------------------------ what is broken


@pytest.mark.parametrize("seed", range(2))
def test_recovery_without_a_fence_is_caught(tmp_path: Path, seed: int) -> None:
    scenario = small(tmp_path, ("network node2 off",))
    with pytest.raises(Violation) as caught:
        Play(scenario, seed, {**TABLES, "service": RECOVER_WITHOUT_FENCE}).run()
    assert caught.value.name in {"SingleOwner", "FenceBeforeRecover", "Guarded"}
    assert "STARTS ct:2" in "".join(caught.value.__notes__)


@pytest.mark.parametrize(
    ("rows", "command", "told"),
    [
        (("service.recovery.start", "service.recovery.stop"), "power node1 off", "vm:1 shall be started, is recovery"),
        (("service.started.stop",), "service ct:2 disabled", "ct:2 shall be disabled, is started"),
        (("service.freeze.thaw", "service.freeze.thaw_stop"), "restart-lrm node1", "vm:1 shall be started, is freeze"),
    ],
)
def test_what_gets_stuck_is_caught(
    tmp_path: Path, rows: tuple[str, ...], command: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(play, "QUIET_S", 10.0)
    with pytest.raises(Unsettled, match=told):
        Play(small(tmp_path, (command,)), tables=without("service", *rows)).run()


@pytest.mark.parametrize("broken", ["freeze", "error"])
def test_whoever_touches_what_is_frozen_or_in_error_is_caught(
    tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = jobs.Duty.job

    def job(duty: jobs.Duty, sid: str, record: Any, **more: Any) -> Any:
        if record.state == broken:
            record.state = "started"
        return real(duty, sid, record, **more)

    monkeypatch.setattr(jobs.Duty, "job", job)
    services = {sid: {"node": "node1", "state": "started"} for sid in ("vm:1", "fa:1901")}
    with pytest.raises(Violation, match="FrozenUntouched" if broken == "freeze" else "ErrorUntouched"):
        Play(small(tmp_path, ("restart-lrm node1",), services=services)).run()


def test_a_service_in_the_wrong_place_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play, "QUIET_S", 10.0)
    rule = {"type": "node-affinity", "id": "near", "resources": ["vm:1"], "nodes": {"node3": 0}, "strict": 1}
    assert played(tmp_path, rules=[rule]).operator.where("vm:1") == ["node3"]
    stay = ("service.started.move_live", "service.started.move")
    with pytest.raises(Unsettled, match="belongs on node3"):
        Play(small(tmp_path, rules=[rule]), tables=without("service", *stay)).run()
