"""Workers on a real node: each carries out one job in a thread of its own, while the LRM's rounds go on."""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

from hacore.daemons.worker import Worker
from hacore.devices.resources import ResourceError, ServiceBrokenError, resource_for
from hacore.protocol.requests import Fired, Job, Migrate, Outcome, Probe, Reap, Request, Say, Spawn, Start, Stop
from hacore.runtime.drive import Answers, drive
from hacore.runtime.trace import Trace

PROBE_TRIES = 3
PROBE_AGAIN_S = 1.0


class Workers:
    """Starts workers and collects their outcomes. ``wake`` is called when one has ended."""

    def __init__(self, node: str, home: Path, trace: Trace, wake: threading.Event) -> None:
        self.node, self.home, self.trace, self.wake = node, home, trace, wake
        self._ended: deque[Outcome] = deque()

    def spawn(self, request: Spawn) -> None:
        threading.Thread(target=self._work, args=(request.job,), name=request.job.sid, daemon=True).start()

    def reap(self, _: Reap) -> tuple[Outcome, ...]:
        outcomes = []
        while self._ended:
            outcomes.append(self._ended.popleft())
        return tuple(outcomes)

    def _work(self, job: Job) -> None:
        try:
            outcome = drive(Worker(self.node, job).work(), self._answers(job), self.trace.of(job))
        except Exception as problem:  # it cannot even be told whether the service runs: nobody may assume anything
            self._note(job.sid, problem)
            outcome = Outcome(job.uid, job.sid, "stuck")
        self._ended.append(outcome)
        self.wake.set()

    def _answers(self, job: Job) -> Answers:
        probe = partial(self._probe, job)
        return {Probe: probe, Start: self._start, Stop: self._stop, Migrate: self._migrate, Fired: _no, Say: _no}

    def _probe(self, job: Job, request: Probe) -> bool:
        """What cannot be told at once is asked again: a moment's trouble must not put a service into state error.

        What is broken may run. Where it shall run, it is stopped, and then it does not.
        """
        resource = resource_for(request.sid, self.home, self.node)
        for _ in range(PROBE_TRIES - 1):
            try:
                return resource.probe(request.sid, request.config)
            except ServiceBrokenError as problem:
                self._note(request.sid, problem)
                if not job.here or job.state not in {"started", "watch"}:
                    return True
                resource.stop(request.sid, request.config, None)
                return False
            except ResourceError as problem:
                self._note(request.sid, problem)
                time.sleep(PROBE_AGAIN_S)
        return resource.probe(request.sid, request.config)

    def _start(self, request: Start) -> None:
        self._try(request.sid, lambda it: it.start(request.sid, request.config))

    def _stop(self, request: Stop) -> None:
        self._try(request.sid, lambda it: it.stop(request.sid, request.config, request.timeout_s))

    def _migrate(self, request: Migrate) -> bool:
        return resource_for(request.sid, self.home, self.node).migrate(request.sid, request.config, request.target)

    def _try(self, sid: str, do: Any) -> None:
        """What fails is said; whether the service runs is for the next probe to see."""
        try:
            do(resource_for(sid, self.home, self.node))
        except ResourceError as problem:
            self._note(sid, problem)

    def _note(self, sid: str, problem: Exception) -> None:
        what = str(problem) if isinstance(problem, ResourceError) else repr(problem)
        self.trace.note(Say("service_trouble", {"sid": sid, "problem": what}), None)


def _no(_: Request[Any]) -> None:
    """What is told needs no answer."""
