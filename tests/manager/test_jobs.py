"""What an LRM makes of the manager's records."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacore.manager.documents import LrmStatus, Record, Resource, Settings, Status
from hacore.manager.jobs import RESTING_STATES, Duty, watched_again
from hacore.protocol.requests import Job
from hacore.protocol.service import SERVICE

STATES = [state.name for state in SERVICE.states]
NO_JOB = {"recovery", "fence", "freeze", "request_start"}


def duty(
    *records: Record, own: LrmStatus | None = None, node_state: str = "online", policy: str = "conditional"
) -> Duty:
    """What n1 has to do with these services, proc:0, proc:1 and so on."""
    services = {f"proc:{number}": record for number, record in enumerate(records)}
    resources = {sid: Resource(record.node, max_restart=2, config={"sid": sid}) for sid, record in services.items()}
    status = Status(nodes={"n1": node_state}, services=services)
    return Duty("n1", status, resources, own or LrmStatus("active"), Settings(policy), frozenset({"n2"}))


def at(node: str, state: str, **more: Any) -> Record:
    return Record(state, node, "7", **more)


# ------------------------------------------------------------------------------------ what it says about all of them


@pytest.mark.parametrize("state", STATES)
def test_what_may_run_here_is_guarded(state: str) -> None:
    active = state not in {"stopped", "freeze", "request_start"}
    assert duty(at("n1", state)).active_services() is active
    assert duty(at("n2", state, target="n1")).active_services() is active
    assert duty(at("n2", state, target="n3")).active_services() is False


@pytest.mark.parametrize("state", STATES)
def test_all_is_quiet_when_nothing_here_needs_guarding(state: str) -> None:
    own = LrmStatus("restart", 4)
    assert duty(at("n1", state, generation=4), own=own).quiet() is (state in RESTING_STATES)
    assert duty(at("n2", state, generation=4), own=own).quiet() is True


@pytest.mark.parametrize(("generation", "is_quiet"), [(4, True), (3, False), (5, False), (0, False)])
def test_only_a_freeze_of_the_same_generation_counts(generation: int, is_quiet: bool) -> None:
    records = at("n1", "stopped"), at("n1", "freeze", generation=generation)
    assert duty(*records, own=LrmStatus("restart", 4)).quiet() is is_quiet


@pytest.mark.parametrize("state", STATES)
def test_nothing_is_guarded_where_all_is_quiet_or_new_and_unanswered(state: str) -> None:
    own = LrmStatus("disarm", 4)
    record = at("n1", state, generation=4)
    assert duty(record, own=own).nothing_guarded() is (state in RESTING_STATES or state == "new")
    answered = LrmStatus("disarm", 4, results={record.uid: "success"})
    assert duty(record, own=answered).nothing_guarded() is (state in RESTING_STATES)
    assert duty(at("n2", state), own=own).nothing_guarded() is True


@given(st.lists(st.tuples(st.sampled_from(["n1", "n2"]), st.sampled_from(STATES), st.integers(0, 2)), max_size=4))
def test_quiet_and_active_services_exclude_each_other(records: list[tuple[str, str, int]]) -> None:
    """The LRM's table assumes it."""
    it = duty(*(at(node, state, generation=number) for node, state, number in records), own=LrmStatus("disarm", 1))
    assert not (it.quiet() and it.active_services())
    assert it.frozen_services() == any((node, state) == ("n1", "freeze") for node, state, _ in records)


@pytest.mark.parametrize("state", STATES)
def test_a_service_in_fence_or_a_marked_node_asks_for_its_end(state: str) -> None:
    assert duty(at("n1", state)).fence_requested() is (state == "fence")
    assert duty(at("n2", state, target="n1")).fence_requested() is False
    assert duty(at("n1", state), node_state="fence").fence_requested() is True


@pytest.mark.parametrize(
    ("policy", "asked", "freezes"),
    [
        ("conditional", "reboot", True),
        ("conditional", "shutdown", False),
        ("freeze", "reboot", True),
        ("freeze", "shutdown", True),
        ("failover", "reboot", False),
        ("failover", "shutdown", False),
        ("migrate", "reboot", False),
        ("migrate", "shutdown", False),
    ],
)
def test_the_shutdown_policy_says_whether_to_freeze(policy: str, asked: str, freezes: bool) -> None:
    assert duty(policy=policy).policy_freezes({asked}) is freezes


# ---------------------------------------------------------------------------------------------------- its work


def test_here_are_the_services_of_this_node_in_order() -> None:
    it = duty(at("n1", "started"), at("n2", "started", target="n1"), at("n1", "error"))
    assert [sid for sid, _ in it.here()] == ["proc:0", "proc:2"]
    assert {sid for sid, _ in it.records()} == {"proc:0", "proc:1", "proc:2"}


@pytest.mark.parametrize("state", STATES)
def test_a_record_asks_for_its_job(state: str) -> None:
    record = at("n1", state, target="n2", timeout_s=5.0)
    job = duty(record).job("proc:0", record, again=False, tries=0)
    config = {"sid": "proc:0"}
    expected = Job("7", "proc:0", state, config, target="n2", timeout_s=5.0, here=True, retries_left=2)
    assert job == (None if state in NO_JOB else expected)


def test_a_live_move_waits_until_the_target_guards_what_arrives() -> None:
    for state, target, early in (("migrate", "n3", True), ("relocate", "n3", False), ("migrate", "n2", False)):
        record = at("n1", state, target=target)
        assert duty(record).comes_too_early(record) is early


def test_the_job_says_what_is_known_of_place_and_failures() -> None:
    it = duty(at("n1", "started"))
    it = Duty(it.node, it.status, {"proc:0": Resource("n2", max_restart=2)}, it.own, it.settings)
    job = it.job("proc:0", at("n1", "started"), again=False, tries=3)
    assert job is not None
    assert (job.here, job.retries_left) == (False, -1)


@pytest.mark.parametrize("state", sorted(set(STATES) - NO_JOB))
def test_what_was_executed_is_watched_or_executed_again(state: str) -> None:
    record = at("n1", state, target="n2")
    job = duty(record).job("proc:0", record, again=True, tries=0)
    assert job is not None
    assert job.state == ("watch" if state == "started" else state)


def test_what_is_configured_no_more_is_left_alone() -> None:
    assert duty().job("proc:9", at("n1", "started"), again=False, tries=0) is None
    it = duty(at("n1", "started"))
    assert [*Duty("n1", it.status, {}, it.own, it.settings).shutdown_jobs()] == []


@pytest.mark.parametrize(
    ("state", "outcome", "again"),
    [
        ("started", "success", True),
        ("started", "failed", False),
        ("started", "down", False),
        ("stopped", "success", True),
        ("stopped", "stuck", True),
        ("request_stop", "success", False),
        ("migrate", "success", False),
        ("error", "success", False),
    ],
)
def test_what_is_looked_at_again(state: str, outcome: str, again: bool) -> None:
    assert watched_again(state, outcome) is again


def test_everything_here_is_stopped_for_a_shutdown() -> None:
    it = duty(at("n1", "started"), at("n2", "started"), at("n1", "freeze"))
    assert [(job.uid, job.sid, job.state) for job in it.shutdown_jobs()] == [
        ("shutdown proc:0", "proc:0", "request_stop"),
        ("shutdown proc:2", "proc:2", "request_stop"),
    ]
