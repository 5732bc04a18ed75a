"""What no decision of the master may do, whatever the documents hold: each promise as a function that asserts it."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from hacore.manager import services
from hacore.manager.documents import COMMANDS, RESOURCES, STATUS, LrmStatus, Record, Status, resources_of, status_of
from hacore.manager.round import Decision, decide
from hacore.manager.view import View
from hacore.protocol.locks import FENCING, Lock, agent_lock
from hacore.protocol.requests import Document, Snapshot
from hacore.protocol.table import Row
from tests.manager.cluster import LAST_UID, OWN, Cluster, after, settle

MOVING = {"migrate", "relocate", "request_start_balance"}
UNSETTLED = {"fence", "recovery", "migrate", "relocate"}


@dataclass(frozen=True)
class Step:
    """One step of one record in a decision."""

    sid: str
    old: Record
    row: Row
    new: Record


@dataclass(frozen=True)
class Trial:
    """A decision, and how it came about."""

    cluster: Cluster
    before: Snapshot
    decision: Decision
    steps: tuple[Step, ...]
    status: Status
    """As the decision leaves it."""

    @classmethod
    def of(cls, cluster: Cluster) -> "Trial":
        taken: list[Step] = []
        step, before = services.step, cluster.snapshot()

        def recording(view: View, sid: str) -> Row:
            old = deepcopy(view.status.services[sid])
            row = step(view, sid)
            taken.append(Step(sid, old, row, deepcopy(view.status.services[sid])))
            return row

        with patch.object(services, "step", recording):
            decision = decide(OWN, before, cluster.sight)
        return cls(cluster, before, decision, tuple(taken), status_of(after(before, decision)))

    def lrm(self, node: str) -> LrmStatus:
        return self.cluster.lrms.get(node, LrmStatus())

    @property
    def fenced(self) -> set[str]:
        """The locks that are held for fencing."""
        return {agent_lock(node) for node, lock in self.cluster.locks.items() if lock.owner == FENCING}


def depends_on_nothing_else(trial: Trial) -> None:
    kept = deepcopy(trial.before)
    assert decide(OWN, trial.before, trial.cluster.sight) == trial.decision
    assert trial.before == kept == trial.cluster.snapshot()


def comes_to_rest(trial: Trial) -> None:
    settle(after(trial.before, trial.decision), trial.cluster.sight, most=4)


def writes_only_what_is_the_masters(trial: Trial) -> None:
    writes, basis = trial.decision.writes, trial.decision.basis
    assert set(writes) <= {STATUS, RESOURCES, COMMANDS} | trial.fenced
    for key in trial.fenced & set(writes):
        assert Lock.of(Document(writes[key], 1)) == Lock.of(trial.before[key]).released()
    assert set(writes) <= set(basis)
    assert STATUS in basis or not writes
    assert all(trial.before[key].revision == revision for key, revision in basis.items())
    assert not (trial.decision.fence_due and writes)


def writes_what_reads_back(trial: Trial) -> None:
    view = View.of(OWN, after(trial.before, trial.decision), trial.cluster.sight)
    assert set(view.resources) == set(trial.cluster.resources)
    assert view.status.master == OWN or not trial.decision.writes


def leaves_operators_what_is_theirs(trial: Trial) -> None:
    """Of a service's configuration the master changes its node, and its requested state when told to stop it."""
    resources = resources_of(after(trial.before, trial.decision))
    texts = [each.text.split() for each in trial.cluster.commands.queue]
    stopped = {words[1] for words in texts if words[:1] == ["stop"]}
    for sid, before in trial.cluster.resources.items():
        now = resources[sid]
        assert now.state == before.state or (now.state == "stopped" and sid in stopped)
        now.state, now.node = before.state, before.node
        assert now == before


def keeps_the_records_of_what_is_configured(trial: Trial) -> None:
    configured = {sid for sid, resource in trial.cluster.resources.items() if resource.state != "ignored"}
    kept, made = set(trial.cluster.status.services), set(trial.status.services)
    assert kept & configured <= made <= kept | configured


def gives_a_uid_once(trial: Trial) -> None:
    given = [step.new.uid for step in trial.steps if step.new.uid != step.old.uid]
    assert len(given) == len(set(given))
    assert all(int(uid) > LAST_UID for uid in given)
    assert max([LAST_UID, *map(int, given)]) <= trial.status.last_uid
    records = trial.status.services.values()
    assert len({record.uid for record in records}) == len(records)


def changes_state_under_a_new_uid_and_keeps_no_more_than_it_may(trial: Trial) -> None:
    for step in trial.steps:
        if step.row.target == step.row.state:
            continue
        new = step.new
        assert new.uid != step.old.uid
        assert new.running is False
        assert new.generation == 0 or new.state == "freeze"
        assert new.timeout_s is None or step.row.id.endswith("command_stop")
        assert new.target == "" or new.state in MOVING | {"fence"}


def touches_nothing_frozen(trial: Trial) -> None:
    """A frozen record is acknowledged, or thawed when its LRM is active and nothing is disarmed."""
    for step in trial.steps:
        old, new, said = step.old, step.new, trial.lrm(step.old.node)
        if old.state != "freeze":
            continue
        assert new.node == old.node
        if new.state == "freeze":
            assert new.generation in {old.generation, said.generation}
            assert _without_name(new) == _without_name(old)
        else:
            assert (new.state, said.mode) in {("started", "active"), ("request_stop", "active")}
            assert trial.status.disarm is None or trial.status.disarm.state == "deferred"


def _without_name(record: Record) -> Record:
    """The record but for what an acknowledgement changes."""
    copy = deepcopy(record)
    copy.uid, copy.generation = "", 0
    return copy


def leaves_fence_by_evidence_only(trial: Trial) -> None:
    for step in trial.steps:
        if step.old.state == "fence" != step.new.state:
            lock = agent_lock(step.old.node)
            assert step.new.state == "recovery" or step.new.node == step.old.target
            assert lock in trial.fenced
            assert trial.decision.basis[lock] == trial.before[lock].revision


def moves_nothing_that_may_run(trial: Trial) -> None:
    """A record changes its node when its LRM says that it no longer runs there, after fencing, or when stopped."""
    for step in trial.steps:
        if step.new.node != step.old.node:
            said = trial.lrm(step.old.node).results.get(step.old.uid)
            fenced = step.old.state == "recovery" or (step.old.state == "fence" and step.new.node == step.old.target)
            assert (step.old.state in MOVING and said == "success") or fenced or step.old.state == "stopped"


def leaves_error_alone(trial: Trial) -> None:
    for step in trial.steps:
        if step.old.state == "error" != step.new.state:
            assert step.new.state == "request_stop"
            assert trial.cluster.resources[step.sid].state == "disabled"


def marks_a_node_only_for_a_service_in_fence(trial: Trial) -> None:
    """And takes the mark off, or frees its lock, only when the lock is held for fencing."""
    told = [each.fields for each in trial.decision.events if each.kind == "node_state"]
    fencing = {step.new.node for step in trial.steps if step.new.state == "fence"}
    fencing |= {record.node for record in trial.cluster.status.services.values() if record.state == "fence"}
    assert {fields["node"] for fields in told if fields["to"] == "fence"} <= fencing
    assert {agent_lock(fields["node"]) for fields in told if fields["from"] == "fence"} <= trial.fenced
    freed = set(trial.decision.writes) & {agent_lock(node) for node in trial.cluster.locks}
    assert freed == {agent_lock(fields["node"]) for fields in told if fields["from"] == "fence"}


def powers_off_only_what_is_marked_and_waited_for(trial: Trial) -> None:
    """At once, or when all is written: the node has devices, and was not asked for; its lock is not to be had."""
    assert not (trial.decision.power_due and trial.decision.writes)
    sight = trial.cluster.sight
    settled = settle(after(trial.before, trial.decision), sight, most=4)
    if node := decide(OWN, settled, sight).power_due:
        assert status_of(settled).nodes[node] == "fence"
        assert agent_lock(node) not in trial.fenced
        assert node in trial.cluster.settings.fencing.keys() - sight.expired - sight.shot


PROMISES: tuple[Callable[[Trial], Any], ...] = (
    depends_on_nothing_else,
    comes_to_rest,
    writes_only_what_is_the_masters,
    writes_what_reads_back,
    leaves_operators_what_is_theirs,
    keeps_the_records_of_what_is_configured,
    gives_a_uid_once,
    changes_state_under_a_new_uid_and_keeps_no_more_than_it_may,
    touches_nothing_frozen,
    leaves_fence_by_evidence_only,
    moves_nothing_that_may_run,
    leaves_error_alone,
    marks_a_node_only_for_a_service_in_fence,
    powers_off_only_what_is_marked_and_waited_for,
)
