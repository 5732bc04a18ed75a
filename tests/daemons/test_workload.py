"""Which job is next: once for each uid, the longest waiting first, few at a time, and no outcome is lost."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacore.daemons.workload import Workload
from hacore.manager.documents import LrmStatus, Record, Resource, Settings, Status
from hacore.manager.jobs import AT_ONCE, Duty
from hacore.protocol.requests import Outcome

MONITOR_S = 5.0


class Node:
    """An LRM's memory of its workers, and the documents that it reads."""

    def __init__(self, **records: Record) -> None:
        self.work = Workload(MONITOR_S)
        self.records = {f"proc:{name}": record for name, record in records.items()}
        self.published: dict[str, str] = {}
        self.max_restart = 1
        self.now_s = 100.0

    @property
    def duty(self) -> Duty:
        resources = {sid: Resource(record.node, max_restart=self.max_restart) for sid, record in self.records.items()}
        status = Status(services=self.records)
        return Duty("n1", status, resources, LrmStatus("active", 0, self.published), Settings())

    def look(self) -> str:
        """The service whose job is next, "" if there is none."""
        self.work.look(self.duty, self.now_s, self.now_s)
        return self.work.ready.sid if self.work.ready else ""

    def spawn(self, *, stop: bool = False) -> str:
        """Start the next worker, if there is one; returns its uid."""
        self.look()
        self.work.chosen = self.work.stop_ready if stop else self.work.ready
        return self.work.start(self.now_s).uid if self.work.chosen else ""

    def end(self, sid: str, code: str) -> None:
        job = self.work.running[sid]
        self.work.ended((Outcome(job.uid, sid, code),), self.duty)

    def publish(self) -> dict[str, str]:
        results = self.work.results(self.duty)
        self.work.published()
        self.published = results
        return results

    def run(self, sid: str, code: str) -> None:
        """The service's job is done with this outcome, and that is published."""
        assert self.look() == sid
        self.spawn()
        self.end(sid, code)
        self.publish()


def at(node: str, state: str, uid: str = "7", **more: Any) -> Record:
    return Record(state, node, uid, **more)


# ---------------------------------------------------------------------------------------------------- what is next


def test_nothing_is_next_where_nothing_is_asked() -> None:
    assert Node(a=at("n2", "started"), b=at("n2", "migrate", target="n1"), c=at("n1", "freeze")).look() == ""


def test_a_uid_is_executed_once() -> None:
    node = Node(a=at("n1", "request_stop"))
    node.run("proc:a", "success")
    node.now_s += 1000.0
    assert node.look() == ""
    node.records["proc:a"] = at("n1", "request_stop", "8")
    assert node.look() == "proc:a"


def test_a_uid_whose_outcome_is_not_published_yet_is_not_executed_again() -> None:
    node = Node(a=at("n1", "request_stop"))
    node.spawn()
    node.end("proc:a", "success")
    assert node.look() == ""


def test_a_uid_that_an_earlier_lrm_has_executed_is_not_executed_again() -> None:
    node = Node(a=at("n1", "migrate", target="n2"))
    node.published = {"7": "success"}
    assert node.look() == ""


def test_a_service_has_one_worker_at_a_time() -> None:
    node = Node(a=at("n1", "started"))
    node.spawn()
    node.records["proc:a"] = at("n1", "request_stop", "8")
    assert node.look() == ""
    node.end("proc:a", "success")
    assert node.look() == "proc:a"


def test_few_workers_run_at_once() -> None:
    node = Node(**{f"s{number}": at("n1", "started", str(number)) for number in range(AT_ONCE + 2)})
    assert [node.spawn() for _ in range(AT_ONCE + 1)] == [*map(str, range(AT_ONCE)), ""]
    assert node.work.stop_ready is None
    node.end("proc:s2", "success")
    assert node.look() == f"proc:s{AT_ONCE}"


def test_the_longest_waiting_is_first() -> None:
    node = Node(b=at("n1", "started", "1"))
    node.look()
    node.now_s += 1.0
    node.records["proc:a"] = at("n1", "started", "2")
    assert node.look() == "proc:b"
    node.records["proc:b"] = at("n1", "started", "3")
    node.now_s += 1.0
    assert node.look() == "proc:a"


def test_of_those_that_wait_equally_long_the_first_by_name_is_first() -> None:
    assert Node(b=at("n1", "started", "1"), a=at("n1", "started", "2")).look() == "proc:a"


@pytest.mark.parametrize(("state", "job"), [("started", "watch"), ("stopped", "stopped")])
def test_what_was_done_is_looked_at_from_time_to_time(state: str, job: str) -> None:
    node = Node(a=at("n1", state))
    node.run("proc:a", "success")
    node.now_s += MONITOR_S - 0.1
    assert node.look() == ""
    node.now_s += 0.1
    assert node.look() == "proc:a"
    assert node.work.ready is not None
    assert node.work.ready.state == job


def test_a_service_found_well_is_no_news_and_one_found_down_is() -> None:
    node = Node(a=at("n1", "started"))
    node.run("proc:a", "success")
    node.now_s += MONITOR_S
    node.spawn()
    node.end("proc:a", "success")
    assert node.work.unpublished == {}
    node.now_s += MONITOR_S
    node.spawn()
    node.end("proc:a", "down")
    assert node.publish() == {"7": "down"}
    node.now_s += MONITOR_S
    assert node.look() == ""


def test_a_failed_start_is_tried_again_before_the_master_hears_of_it() -> None:
    node = Node(a=at("n1", "started"))
    node.max_restart = 2
    left = []
    for _ in range(2):
        node.spawn()
        left.append(node.work.running["proc:a"].retries_left)
        node.end("proc:a", "retry")
        assert node.work.unpublished == {}
        assert node.spawn() == "", "not in the round in which it has failed"
        node.now_s += 1.0
    node.spawn()
    left.append(node.work.running["proc:a"].retries_left)
    node.end("proc:a", "failed")
    assert left == [2, 1, 0]
    assert node.publish() == {"7": "failed"}
    node.records["proc:a"] = at("n1", "started", "8")
    node.spawn()
    assert node.work.running["proc:a"].retries_left == 2


def test_no_job_can_be_started_that_was_not_chosen() -> None:
    with pytest.raises(RuntimeError):
        Workload(MONITOR_S).start(0.0)


def test_failed_starts_of_an_old_request_do_not_count_for_a_new_one() -> None:
    node = Node(a=at("n1", "started"))
    node.spawn()
    node.end("proc:a", "retry")
    node.records["proc:a"] = at("n1", "started", "8")
    node.spawn()
    assert node.work.running["proc:a"].retries_left == 1


# ------------------------------------------------------------------------------------------------------- outcomes


def test_only_outcomes_that_the_status_still_names_are_published() -> None:
    node = Node(a=at("n1", "started", "7"), b=at("n2", "started", "3"))
    node.published = {"3": "success", "2": "failed"}
    node.spawn()
    node.end("proc:a", "failed")
    assert node.publish() == {"3": "success", "7": "failed"}


def test_an_outcome_is_kept_until_it_is_published() -> None:
    node = Node(a=at("n1", "started"))
    node.spawn()
    node.end("proc:a", "failed")
    assert node.work.results(node.duty) == node.work.results(node.duty) == {"7": "failed"}


def test_a_later_outcome_of_a_uid_takes_the_place_of_the_earlier() -> None:
    node = Node(a=at("n1", "started"))
    node.published = {"7": "success"}
    node.spawn()
    node.end("proc:a", "down")
    assert node.publish() == {"7": "down"}


# ---------------------------------------------------------------------------------------------- before a shutdown


def test_everything_here_is_stopped_once_before_a_shutdown() -> None:
    node = Node(a=at("n1", "started", "1"), b=at("n1", "freeze", "2"), c=at("n2", "started", "3"))
    assert not node.work.all_stopped(node.duty)
    assert [node.spawn(stop=True), node.spawn(stop=True), node.spawn(stop=True)] == [
        "shutdown proc:a",
        "shutdown proc:b",
        "",
    ]
    node.end("proc:a", "success")
    assert not node.work.all_stopped(node.duty)
    node.end("proc:b", "success")
    assert node.work.all_stopped(node.duty)
    assert node.work.unpublished == {}
    assert node.spawn(stop=True) == ""


def test_what_could_not_be_stopped_is_tried_again() -> None:
    node = Node(a=at("n1", "started"))
    node.spawn(stop=True)
    node.end("proc:a", "stuck")
    assert not node.work.all_stopped(node.duty)
    assert node.spawn(stop=True) == "shutdown proc:a"


def test_a_service_that_is_started_again_is_to_be_stopped_again() -> None:
    node = Node(a=at("n1", "started"))
    node.spawn(stop=True)
    node.end("proc:a", "success")
    node.spawn()
    node.end("proc:a", "success")
    assert not node.work.all_stopped(node.duty)


def test_a_node_without_services_is_stopped() -> None:
    node = Node(c=at("n2", "started"))
    assert node.work.all_stopped(node.duty)


# --------------------------------------------------------------------------------------------- whatever comes about

changes = st.tuples(
    st.sampled_from(["spawn", "spawn", "stop", "end", "end", "publish", "ask", "later"]),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["success", "failed", "retry", "stuck", "down", "wrong_node"]),
    st.sampled_from(["started", "request_stop", "stopped", "migrate", "freeze", "error"]),
)


@given(st.lists(changes, max_size=40))
def test_a_request_is_executed_until_it_has_an_outcome_and_then_no_more(steps: list[tuple[str, str, str, str]]) -> None:
    node = Node(a=at("n1", "started", "1"), b=at("n1", "request_stop", "2"))
    uid, done = 2, dict[str, str]()
    for what, name, code, state in steps:
        sid = f"proc:{name}"
        if what in {"spawn", "stop"}:
            before = {*node.work.running}
            spawned = node.spawn(stop=what == "stop")
            new = {*node.work.running} - before
            assert len(new) == bool(spawned)
            for job in (node.work.running[each] for each in new):
                assert job.uid not in done or job.state == "stopped" or done[job.uid] == "success"
                assert (job.state == "watch") == (job.uid in done and job.state not in {"stopped", "started"})
                assert job.state != "freeze"
        elif what == "end" and sid in node.work.running:
            job = node.work.running[sid]
            node.end(sid, code)
            if not job.uid.startswith("shutdown ") and code != "retry":
                done[job.uid] = code
        elif what == "publish":
            published = node.publish()
            assert {each: done[each] for each in published} == published
        elif what == "ask":
            uid += 1
            node.records[sid] = at("n1", state, str(uid))
        else:
            node.now_s += MONITOR_S
        assert len(node.work.running) <= AT_ONCE
    named = {record.uid for record in node.records.values()}
    running = {job.uid for job in node.work.running.values()}
    assert {each for each in done if each in named - running} <= {*node.work.results(node.duty)}
