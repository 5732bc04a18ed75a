"""A worker: meanings for the facts and actions of its table. It lives for one job."""

from __future__ import annotations

from collections.abc import Mapping

from hacore.daemons.base import Machine, does, sees
from hacore.manager.documents import COLD_TYPES
from hacore.protocol import worker as protocol
from hacore.protocol.requests import Asking, Job, Migrate, Outcome, Probe, Say, Start, Stop, ask
from hacore.protocol.table import Fact, Table

_WANTS = {
    protocol.IN_ERROR: {"error"},
    protocol.WANT_RUNNING: {"started"},
    protocol.WANT_STOPPED: {"request_stop", "stopped"},
    protocol.WANT_MOVED: {"migrate"},
    protocol.WANT_BALANCED: {"request_start_balance"},
    protocol.WANT_WATCHED: {"watch"},
    protocol.WANT_GUARDED: {"new"},
}
_ENDINGS = {
    ("starting", "success"): "service_started",
    ("stopping", "success"): "service_stopped",
    ("stopping", "stuck"): "stop_failed",
    ("moving", "success"): "move_finished",
    ("moving", "stuck"): "move_failed",
    ("begin", "wrong_node"): "wrong_node",
}
"""What people are told of how a worker ends: by the last state and the outcome."""


class Worker(Machine):
    """Carries out one job on one node; ``work()`` is its life."""

    table = protocol.WORKER

    def __init__(self, node: str, job: Job, tables: Mapping[str, Table] | None = None) -> None:
        super().__init__(tables)
        self.node, self.job = node, job
        self.running = self.was_running = self.moved_away = False

    def work(self) -> Asking[Outcome]:
        """Do the job and say what became of it."""
        last = self.state
        while not self.finished:
            last = self.state
            yield from self.step()
        yield from self._tell_end(last)
        return Outcome(self.job.uid, self.job.sid, self.state)

    def _tell_end(self, last: str) -> Asking[None]:
        sid, tries = self.job.sid, self.job.tries
        if self.state in {"retry", "failed"}:
            yield from ask(Say("start_failed", {"sid": sid}))
            retried = self.state == "retry"
            kind = "start_retried" if retried else "start_given_up"
            yield from ask(Say(kind, {"sid": sid, "tries": tries + retried}))
        elif (last, self.state) in _ENDINGS:
            how = {"how": self._how, "target": self.job.target} if last == "moving" else {}
            yield from ask(Say(_ENDINGS[last, self.state], {"sid": sid, **how}))

    @property
    def _how(self) -> str:
        cold = self.job.sid.partition(":")[0] in COLD_TYPES and self.was_running
        return "migrate" if self.job.state == "migrate" and not cold else "relocate"

    def look(self, facts: tuple[Fact, ...]) -> Asking[None]:
        if protocol.RUNNING in facts:
            self.running = yield from ask(Probe(self.job.sid, self.job.config))

    @sees(*_WANTS)
    def _wants(self, fact: Fact) -> bool:
        return self.job.state in _WANTS[fact]

    @sees(protocol.HERE)
    def _here(self) -> bool:
        return self.job.here

    @sees(protocol.AT_TARGET)
    def _at_target(self) -> bool:
        return self.job.target == self.node

    @sees(protocol.RETRIES_LEFT)
    def _retries_left(self) -> bool:
        return self.job.retries_left > 0

    @sees(protocol.RUNNING)
    def _running(self) -> bool:
        return self.running

    @sees(protocol.MOVE_DONE)
    def _move_done(self) -> bool:
        return self.moved_away

    @does(protocol.START_SERVICE)
    def _start(self) -> Asking[None]:
        yield from ask(Say("service_starting", {"sid": self.job.sid}))
        yield from ask(Start(self.job.sid, self.job.config))

    @does(protocol.STOP_SERVICE)
    def _stop(self) -> Asking[None]:
        timeout = {} if self.job.timeout_s is None else {"timeout": self.job.timeout_s}
        yield from ask(Say("service_stopping", {"sid": self.job.sid, **timeout}))
        yield from ask(Stop(self.job.sid, self.job.config, self.job.timeout_s))

    @does(protocol.MOVE_SERVICE)
    def _move(self) -> Asking[None]:
        sid, target, self.was_running = self.job.sid, self.job.target, self.running
        yield from ask(Say("move_started", {"sid": sid, "how": self._how, "target": target}))
        self.moved_away = yield from ask(Migrate(sid, self.job.config, target, live=self._how == "migrate"))
