"""A worker: meanings for the facts and actions of its table. It lives for one job."""

from __future__ import annotations

from collections.abc import Mapping

from hacore.daemons.base import Machine, does, sees
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
_ENDINGS = {"retry": "start_retried", "failed": "start_failed", "stuck": "stop_failed", "wrong_node": "wrong_node"}


class Worker(Machine):
    """Carries out one job on one node; ``work()`` is its life."""

    table = protocol.WORKER

    def __init__(self, node: str, job: Job, tables: Mapping[str, Table] | None = None) -> None:
        super().__init__(tables)
        self.node, self.job = node, job
        self.running = self.moved_away = False

    def work(self) -> Asking[Outcome]:
        """Do the job and say what became of it."""
        while not self.finished:
            yield from self.step()
        if self.state in _ENDINGS:
            yield from ask(Say(_ENDINGS[self.state], {"sid": self.job.sid}))
        return Outcome(self.job.uid, self.job.sid, self.state)

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
        yield from ask(Say("service_stopping", {"sid": self.job.sid}))
        yield from ask(Stop(self.job.sid, self.job.config, self.job.timeout_s))

    @does(protocol.MOVE_SERVICE)
    def _move(self) -> Asking[None]:
        yield from ask(Say("move_started", {"sid": self.job.sid, "target": self.job.target}))
        self.moved_away = yield from ask(Migrate(self.job.sid, self.job.config, self.job.target))
