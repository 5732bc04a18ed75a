"""What a run by the reference clock breaks of the promises: looked at after each step, told at the end.

The reference's faults are known (PROTOCOL section 11), so nothing is raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hacore.manager.documents import STATUS
from hacore.protocol.requests import Job
from hacore.sim.promises import UNTOUCHED

if TYPE_CHECKING:
    from hacore.sim.clockwork import Clockwork


class Notes:
    """The first case of each promise that is broken, by its name."""

    def __init__(self, run: Clockwork) -> None:
        self.run = run
        self.broken: dict[str, str] = {}

    def look(self) -> None:
        """A step has been taken."""
        everywhere = [sid for running in self.run.hardware.services.running.values() for sid in running]
        if len(set(everywhere)) < len(everywhere):
            sid = min(sid for sid in everywhere if everywhere.count(sid) > 1)
            self._note("SingleOwner", f"{sid} runs on {' and '.join(self._where(sid))}")

    def touched(self, job: Job, how: str) -> None:
        """A worker starts, stops or moves a service."""
        state = self._state(job.sid)
        if state in UNTOUCHED and not job.uid.startswith("shutdown "):
            self._note(UNTOUCHED[state], f"{job.sid}: {how}, while its state is {state}")

    def recovered(self, sid: str, node: str) -> None:
        """The master takes a service away from a node that counts as fenced."""
        if sid in self.run.hardware.services.running.get(node, ()):
            self._note("FenceBeforeRecover", f"{sid} is recovered, but runs on {node} still")

    def _state(self, sid: str) -> str:
        record = (self.run.hardware.store[STATUS].value or {}).get("services", {}).get(sid)
        return record["state"] if record else ""

    def _where(self, sid: str) -> list[str]:
        return [node for node, running in self.run.hardware.services.running.items() if sid in running]

    def _note(self, name: str, text: str) -> None:
        self.broken.setdefault(name, f"{text} (at {self.run.now_s} s)")
