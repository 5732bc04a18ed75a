"""Every row of the worker table fires, and a worker reports what it has seen, not what it has asked for."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacore.daemons.worker import Worker
from hacore.protocol.requests import Fired, Job, Migrate, Outcome, Probe, Request, Say, Start, Stop
from hacore.protocol.worker import WORKER
from tests.daemons.driving import drive, rows

CONFIG = {"command": ["sleep", "9"]}


@dataclass
class Service:
    """A service on a node, which does as told or does not."""

    runs: bool = False
    starts: bool = True
    stops: bool = True
    moves: bool = True
    """Whether a move succeeds; the device says so, and the service is gone from here."""
    lies: bool = False
    """The device says that the move succeeded, and the service runs here still."""

    def answer(self, request: Request[Any]) -> Any:
        match request:
            case Probe():
                return self.runs
            case Start():
                self.runs = self.starts
            case Stop():
                self.runs = self.runs and not self.stops
            case Migrate():
                self.runs = self.runs and not self.moves
                return self.moves or self.lies
        return None


@dataclass(frozen=True)
class Case:
    """A job for a service in some condition, the row on the way, and what the worker reports."""

    row: str
    state: str
    code: str
    service: dict[str, bool] = field(default_factory=dict)
    job: dict[str, Any] = field(default_factory=dict)
    does: tuple[type[Request[Any]], ...] = ()
    says: tuple[str, ...] = ()


RUNS = {"runs": True}
STARTED, STOPPED = ("service_starting", "service_started"), ("service_stopping", "service_stopped")
MOVED = ("move_started", "move_finished")
CASES = [
    Case("worker.begin.error", "error", "success", RUNS, {"here": False}),
    Case("worker.begin.wrong_node", "started", "wrong_node", job={"here": False}, says=("wrong_node",)),
    Case("worker.begin.wrong_node", "watch", "wrong_node", RUNS, {"here": False}, says=("wrong_node",)),
    Case("worker.begin.guard", "new", "success", RUNS),
    Case("worker.begin.guard", "new", "success"),
    Case("worker.begin.watch", "watch", "down"),
    Case("worker.begin.runs", "watch", "success", RUNS),
    Case("worker.begin.runs", "started", "success", RUNS),
    Case("worker.begin.start", "started", "success", does=(Start,), says=STARTED),
    Case("worker.begin.stop", "request_stop", "success", RUNS, does=(Stop,), says=STOPPED),
    Case("worker.begin.stop", "stopped", "success", RUNS, does=(Stop,), says=STOPPED),
    Case("worker.begin.arrived", "migrate", "success", RUNS, {"target": "n1"}),
    Case("worker.begin.arrived", "relocate", "success", RUNS, {"target": "n1"}),
    Case("worker.begin.ignore", "request_start_balance", "ignored", RUNS, {"target": "n2"}),
    Case("worker.begin.move", "migrate", "success", RUNS, {"target": "n2"}, (Migrate,), MOVED),
    Case("worker.begin.hand_over", "relocate", "success", RUNS, {"target": "n2"}, (Stop,), STOPPED),
    Case("worker.begin.idle", "request_stop", "success"),
    Case("worker.begin.idle", "stopped", "success"),
    Case("worker.begin.idle", "migrate", "success", job={"target": "n2"}),
    Case("worker.begin.idle", "relocate", "success", job={"target": "n2"}),
    Case("worker.begin.idle", "request_start_balance", "success", job={"target": "n2"}),
    Case("worker.starting.up", "started", "success", does=(Start,), says=STARTED),
    Case("worker.starting.retry", "started", "retry", {"starts": False}, {"retries_left": 1}, (Start,),
         ("service_starting", "start_failed", "start_retried")),
    Case("worker.starting.failed", "started", "failed", {"starts": False}, {"retries_left": 0}, (Start,),
         ("service_starting", "start_failed", "start_given_up")),
    Case("worker.stopping.stuck", "request_stop", "stuck", {"runs": True, "stops": False}, {}, (Stop,),
         ("service_stopping", "stop_failed")),
    Case("worker.stopping.stuck", "relocate", "stuck", {"runs": True, "stops": False}, {"target": "n2"}, (Stop,),
         ("service_stopping", "stop_failed")),
    Case("worker.stopping.done", "request_stop", "success", RUNS, does=(Stop,), says=STOPPED),
    Case("worker.moving.done", "migrate", "success", RUNS, {"target": "n2"}, (Migrate,), MOVED),
    Case("worker.moving.stuck", "migrate", "stuck", {"runs": True, "moves": False}, {"target": "n2"}, (Migrate,),
         ("move_started", "move_failed")),
    Case("worker.moving.stuck", "migrate", "stuck", {"runs": True, "moves": False, "lies": True},
         {"target": "n2"}, (Migrate,), ("move_started", "move_failed")),
]  # fmt: skip


def work(state: str, service: Service, **job: Any) -> tuple[Outcome, list[Request[Any]]]:
    worker = Worker("n1", Job("7", "proc:web", state, CONFIG, **job))
    return drive(worker.work(), service.answer)


@pytest.mark.parametrize("case", CASES, ids=[case.row for case in CASES])
def test_a_row_fires_and_does_what_it_should(case: Case) -> None:
    outcome, asked = work(case.state, Service(**case.service), **case.job)
    assert case.row in rows(asked)
    assert outcome == Outcome("7", "proc:web", case.code)
    assert tuple(type(each) for each in asked if not isinstance(each, Fired | Say | Probe)) == case.does
    assert tuple(each.event for each in asked if isinstance(each, Say)) == case.says


def test_every_row_of_the_worker_table_has_a_case() -> None:
    assert sorted(set(WORKER.by_id) - {case.row for case in CASES}) == []


def test_the_service_is_handled_by_its_configuration() -> None:
    _, asked = work("request_stop", Service(runs=True), timeout_s=3.0)
    assert Stop("proc:web", CONFIG, 3.0) in asked
    _, asked = work("started", Service())
    assert Start("proc:web", CONFIG) in asked
    _, asked = work("migrate", Service(runs=True), target="n2")
    assert Migrate("proc:web", CONFIG, "n2") in asked


@given(
    st.sampled_from(
        ["new", "error", "started", "request_stop", "stopped", "migrate", "relocate", "request_start_balance", "watch"]
    ),
    st.builds(Service, *[st.booleans()] * 5),
    st.booleans(),
    st.sampled_from(["", "n1", "n2"]),
    st.integers(-1, 2),
)
def test_a_worker_reports_what_it_has_seen(
    state: str, service: Service, here: bool, target: str, retries_left: int
) -> None:
    outcome, asked = work(state, service, here=here, target=target, retries_left=retries_left)
    effects = [each for each in asked if isinstance(each, Start | Stop | Migrate)]
    assert len(effects) <= 1
    assert here or not effects
    assert state not in {"error", "new"} or not effects
    assert not effects or isinstance(next(each for each in asked if not isinstance(each, Fired)), Probe)
    if outcome.code == "success" and state in {"started", "watch"}:
        assert service.runs
    if outcome.code == "success" and state in {"request_stop", "stopped"}:
        assert not service.runs
    if outcome.code == "success" and state in {"migrate", "relocate", "request_start_balance"} and target != "n1":
        assert not service.runs
    assert not any(isinstance(each, Start) for each in effects) or state == "started"
