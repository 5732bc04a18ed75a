"""Power-offs on a real node: each is carried out in a thread of its own, while the CRM's rounds go on."""

from __future__ import annotations

import threading
from collections import deque

from hacore.devices.power import PowerError, power_off
from hacore.protocol.requests import PowerOff, PowerOutcome, ReapPower


class Fencing:
    """Begins power-offs and collects their outcomes. ``wake`` is set when one has ended."""

    def __init__(self, wake: threading.Event) -> None:
        self.wake = wake
        self._ended: deque[PowerOutcome] = deque()

    def power_off(self, request: PowerOff) -> None:
        threading.Thread(target=self._work, args=(request,), name=f"fence {request.target}", daemon=True).start()

    def reap(self, _: ReapPower) -> tuple[PowerOutcome, ...]:
        outcomes = []
        while self._ended:
            outcomes.append(self._ended.popleft())
        return tuple(outcomes)

    def _work(self, request: PowerOff) -> None:
        reason = ""
        try:
            power_off(request.levels, request.until_s)
        except Exception as problem:  # whatever it is, it is no evidence
            reason = str(problem) if isinstance(problem, PowerError) else repr(problem)
        self._ended.append(PowerOutcome(request.target, request.revision, not reason, reason))
        self.wake.set()
