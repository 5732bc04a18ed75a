"""What an LRM makes of the manager's records: which of them ask for a worker, and what it may say about all of them.

PROTOCOL section 4. Pure functions over the documents as read and the LRM's own memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from hacore.manager.documents import LrmStatus, Record, Resource, Settings, Status
from hacore.protocol.requests import Job

AT_ONCE = 4
"""Workers that may run at the same time."""
RESTING_STATES = frozenset({"stopped", "freeze", "request_start"})
"""States in which nothing runs that would have to be guarded."""
_UNTOUCHED = frozenset({"recovery", "fence", "freeze", "request_start"})
_LEAVING = frozenset({"error", "migrate", "relocate", "request_start_balance", "fence", "recovery"})
"""States in which the master does not freeze."""


@dataclass(frozen=True, slots=True)
class Duty:
    """What one node has to do with the services of the cluster."""

    node: str
    status: Status
    resources: Mapping[str, Resource]
    own: LrmStatus
    settings: Settings
    guarded: frozenset[str] = frozenset()
    """Nodes whose LRM owns its lock and has published a mode in which it guards what comes to it."""

    def records(self) -> Iterator[tuple[str, Record]]:
        """The records whose node or target is this node."""
        for sid, record in self.status.services.items():
            if self.node in {record.node, record.target}:
                yield sid, record

    def here(self) -> Iterator[tuple[str, Record]]:
        """The records whose node is this node, by sid."""
        for sid, record in sorted(self.status.services.items()):
            if record.node == self.node:
                yield sid, record

    def fence_requested(self) -> bool:
        return self.status.nodes.get(self.node) == "fence" or any(record.state == "fence" for _, record in self.here())

    def active_services(self) -> bool:
        return any(record.state not in RESTING_STATES for _, record in self.records())

    def busy(self) -> bool:
        """As :meth:`active_services`, but for what is in error."""
        return any(record.state not in RESTING_STATES | {"error"} for _, record in self.records())

    def frozen_services(self) -> bool:
        return any(record.state == "freeze" for _, record in self.records())

    def quiet(self) -> bool:
        return all(self._rests(record) for _, record in self.records())

    def nothing_guarded(self) -> bool:
        return all(self._rests(record) or self._untouched(record) for _, record in self.records())

    def settled(self) -> bool:
        return all(self._rests(record) or record.state in _LEAVING for _, record in self.here())

    def _rests(self, record: Record) -> bool:
        """Whether nothing of it has to be guarded; a freeze counts if it answers this LRM's last request."""
        answered = record.state != "freeze" or record.generation == self.own.generation
        return record.state in RESTING_STATES and answered

    def _untouched(self, record: Record) -> bool:
        """Whether it is new, and no LRM has answered for it: then no master takes it on."""
        return record.state == "new" and record.uid not in self.own.results

    def policy_freezes(self, asked: Collection[str]) -> bool:
        """Whether the shutdown policy freezes services for what is asked (``reboot`` or ``shutdown``)."""
        policy = self.settings.shutdown_policy
        return policy == "freeze" or (policy == "conditional" and "reboot" in asked)

    def job(self, sid: str, record: Record, *, again: bool, tries: int) -> Job | None:
        """The work that a record asks for; None if its state asks for none or the service is configured no more.

        ``again``: the uid was executed before, so only look whether what was done still holds.
        """
        resource = self.resources.get(sid)
        if resource is None or record.state in _UNTOUCHED:
            return None
        return Job(
            uid=record.uid,
            sid=sid,
            state="watch" if again and record.state == "started" else record.state,
            config=resource.config,
            target=record.target,
            timeout_s=record.timeout_s,
            here=resource.node == self.node,
            retries_left=resource.max_restart - tries,
            tries=tries,
        )

    def comes_too_early(self, record: Record) -> bool:
        """A live move waits until the target's LRM guards what arrives there."""
        return record.state == "migrate" and record.target != self.node and record.target not in self.guarded

    def shutdown_jobs(self) -> Iterator[Job]:
        """Stop everything on this node, because the node goes down."""
        for sid, _ in self.here():
            if sid in self.resources:
                yield Job(f"shutdown {sid}", sid, "request_stop", self.resources[sid].config)


def watched_again(state: str, outcome: str) -> bool:
    """Whether an executed uid is looked at again: what shall run may have died, what is stopped shall stay stopped."""
    return (state == "started" and outcome == "success") or state == "stopped"
