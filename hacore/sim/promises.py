"""What must hold in the simulated world, looked at whenever something happens that could break it.

SingleOwner          no service runs on two nodes
Guarded              what runs on a node whose hardware watchdog is not armed is frozen there, is new, or is not managed
GuardedTouch         a service is started or stopped only on a node whose hardware watchdog is armed
FenceBeforeRecover   when a node's lock is taken as evidence, nothing runs there but what is frozen, new or not managed
OneMaster            a write of the manager status takes effect only for the owner of the manager lock with its present
                     token, and one token belongs to one process
AckOnce              an LRM never spawns a uid again to which it had an outcome (retries, looking again at what runs,
                     and the protection of what is stopped excepted)
FrozenUntouched      no LRM that knows it begins anything with a frozen service (but to stop it, as the node goes down)
ErrorUntouched       the same of a service in error
NoNeedlessReset      a watchdog resets only a node that was paused, cut, killed or without an answer in the last time
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hacore.manager.documents import STATUS
from hacore.protocol.locks import FENCING, MANAGER_LOCK, Lock
from hacore.protocol.requests import JSON, Job, Outcome
from hacore.sim.processes import Node, Process

if TYPE_CHECKING:
    from hacore.sim.world import World

EXCUSED_S = 30.0
"""For so long after a disturbance a reset may follow from it."""


UNTOUCHED = {"freeze": "FrozenUntouched", "error": "ErrorUntouched"}
"""States in which nobody starts, stops or moves a service, and the promise."""


class Violation(AssertionError):  # noqa: N818 - it says what is the case
    """A promise is not kept; ``name`` is the promise's."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


class Unsettled(AssertionError):  # noqa: N818 - it says what is the case
    """In the quiet after all trouble, not everything comes right."""


class Promises:
    """Is told what happens, and raises :class:`Violation`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.off: frozenset[str] = frozenset()
        """Properties that are not looked at."""
        self._masters: dict[int, int] = {}
        self._outcomes: dict[tuple[int, str], str] = {}

    def fail(self, name: str, text: str) -> None:
        if name not in self.off:
            self.world.note("", f"VIOLATION {name}: {text}")
            raise Violation(name, f"{text} (at {self.world.now:.3f} s, seed {self.world.seed})")

    def records(self) -> Mapping[str, Any]:
        status = self.world.store[STATUS].value or {}
        services: Mapping[str, Any] = status.get("services", {})
        return services

    def _excused(self, node: Node, sid: str) -> bool:
        record = self.records().get(sid)
        return record is None or (record["state"] in {"new", "freeze"} and record["node"] == node.name)

    def runs(self, node: Node, sid: str) -> None:
        others = [other.name for other in self.world.nodes.values() if other is not node and sid in other.running]
        if others:
            self.fail("SingleOwner", f"{sid} runs on {node.name} and on {', '.join(others)}")
        self.guarded()

    def touched(self, node: Node, sid: str, how: str) -> None:
        if not node.armed:
            self.fail("GuardedTouch", f"{sid}: {how} on {node.name}, which is not guarded")

    def guarded(self) -> None:
        for node in self.world.nodes.values():
            if node.running and not node.armed:
                for sid in sorted(node.running):
                    if not self._excused(node, sid):
                        state = self.records()[sid]["state"]
                        self.fail("Guarded", f"{sid} ({state}) runs on {node.name}, which is not guarded")

    def committed(self, process: Process | None, writes: Mapping[str, JSON], lock: JSON, token: Lock | None) -> None:
        for key, value in writes.items():
            if key.startswith("lock/agent/") and value["owner"] == FENCING:
                node = self.world.nodes[key.removeprefix("lock/agent/")]
                left = [sid for sid in sorted(node.running) if not self._excused(node, sid)]
                if left:
                    self.fail("FenceBeforeRecover", f"{node.name} counts as fenced, but {', '.join(left)} run there")
        if STATUS in writes:
            if process is not None and token is not None:
                self._one_master(process, lock or {}, token)
            self.guarded()
        if process is not None and process.kind == "crm" and MANAGER_LOCK in writes:
            written = writes[MANAGER_LOCK]
            if self._masters.setdefault(written["token"], process.number) != process.number and written["owner"]:
                self.fail("OneMaster", f"token {written['token']} is taken by two processes")

    def _one_master(self, process: Process, lock: Mapping[str, Any], token: Lock) -> None:
        if lock.get("owner") != process.node.name or lock.get("token") != token.token:
            self.fail("OneMaster", f"{process} writes as master with token {token.token}, the lock is {lock}")

    def spawned(self, lrm: Process, job: Job) -> None:
        self._untouched(lrm, job)
        protecting = job.state in {"watch", "stopped"} or job.uid.startswith("shutdown ")
        if not protecting and self._outcomes.get((lrm.number, job.uid), "retry") != "retry":
            self.fail("AckOnce", f"{lrm} executes uid {job.uid} of {job.sid} again ({job.state})")

    def _untouched(self, lrm: Process, job: Job) -> None:
        """An LRM that has read the present status must not begin anything with what is frozen or in error."""
        record = self.records().get(job.sid)
        if record is None or self.world.store[STATUS].revision > lrm.machine.revision:
            return
        if record["state"] in UNTOUCHED and job.state != "error" and not job.uid.startswith("shutdown "):
            self.fail(UNTOUCHED[record["state"]], f"{lrm} begins {job.state} with {job.sid}")

    def outcome(self, lrm: Process, outcome: Outcome) -> None:
        self.world.note(lrm, f"outcome of {outcome.sid} uid {outcome.uid}: {outcome.code}")
        self._outcomes[lrm.number, outcome.uid] = outcome.code

    def reset(self, node: Node) -> None:
        if self.world.now > node.disturbed_s + EXCUSED_S:
            self.fail("NoNeedlessReset", f"{node.name} is reset, last disturbed at {node.disturbed_s:.3f} s")
