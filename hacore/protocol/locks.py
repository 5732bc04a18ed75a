"""Locks as documents, judged by watching: owner, fencing token, renewals.

A store is trusted with linearizable documents and a compare-and-set transaction, and with nothing else: no lease, no
clock, no time to live of its own. From that follows a lock whose expiry is judged by the one who wants it:

1. The owner renews by rewriting the document. It reads its clock *before* it sends the renewal; it may act until
   ``watchdog_s`` after that reading.
2. Who wants the lock notes, on its own clock and *after* the answer has arrived, when it first saw this revision. Once
   the revision has stood for the lock's lifetime, it may take the lock by compare-and-set on that revision.
3. Each new owner raises the token. Writes and releases are conditional on it.

If the owner sent its last renewal at real time s, then it was written at or after s, so the watcher saw it after s and
takes the lock after s + lifetime: later than the owner's end, if :mod:`hacore.protocol.timing` holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from hacore.protocol.requests import JSON, Document, Snapshot

MANAGER_LOCK = "lock/manager"
FENCING = "fencing"
"""The owner of a node's lock while it is held as evidence that the node was fenced."""


def agent_lock(node: str) -> str:
    """The key of a node's lock."""
    return f"lock/agent/{node}"


def heartbeat(node: str) -> str:
    """The key of a node's heartbeat."""
    return f"heartbeat/{node}"


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock document. ``owner`` is "" when it is free."""

    owner: str = ""
    token: int = 0
    """The fencing token: grows with every new owner, never shrinks."""
    renewals: int = 0
    lifetime_s: float = 0.0
    """How long the owner asks to be left alone after a renewal: a watcher waits at least this long."""

    @classmethod
    def of(cls, document: Document) -> Lock:
        """The lock that a document holds; an absent document is a lock that was never taken."""
        return cls() if document.value is None else cls(**document.value)

    def taken(self, owner: str, lifetime_s: float) -> Lock:
        return Lock(owner, self.token + 1, 0, lifetime_s)

    def taking(self, owner: str) -> str:
        """What people are told when ``owner`` takes this lock: it may have been that owner's all along."""
        return "lock_kept" if self.owner == owner else "lock_acquired"

    def renewed(self) -> Lock:
        return replace(self, renewals=self.renewals + 1)

    def released(self) -> Lock:
        return replace(self, owner="")

    def document(self) -> JSON:
        return asdict(self)


class Watch:
    """Since when, on the watcher's own clock, each document has stood unchanged. Kept for the watcher's whole life."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, float]] = {}
        self._changing: set[str] = set()

    def see(self, snapshot: Snapshot, keys: Iterable[str], now_s: float) -> None:
        """Note what a read showed. ``now_s`` must have been read *after* the answer arrived.

        A document that is absent does not stand still: it was last seen when it was still there.
        """
        for key in keys:
            revision = snapshot[key].revision
            if revision == 0 and key in self._seen:
                self._changing.discard(key)
                self._seen[key] = (0, self._seen[key][1])
                continue
            if key in self._seen and self._seen[key][0] != revision:
                self._changing.add(key)
            if key not in self._seen or self._seen[key][0] != revision:
                self._seen[key] = (revision, now_s)

    def begin_anew(self, keys: Iterable[str], within_s: float, now_s: float) -> None:
        """Of what was not seen to change lately, take it that it did just now, and wait to see it change again."""
        for key in keys:
            if not self.changed_within(key, within_s, now_s):
                self._changing.discard(key)
                self._seen[key] = (self._seen.get(key, (0, now_s))[0], now_s)

    def unchanged_s(self, key: str, now_s: float) -> float:
        """For how long the document has been seen unchanged; 0 for one never looked at."""
        return now_s - self._seen.get(key, (0, now_s))[1]

    def changed_within(self, key: str, within_s: float, now_s: float) -> bool:
        """Whether the document has been seen to change, lately. To have found it there is not enough."""
        return key in self._changing and self.unchanged_s(key, now_s) < within_s

    def expired(self, key: str, lock: Lock, lifetime_s: float, now_s: float) -> bool:
        """Whether the lock is free, or has outlived both its owner's lifetime and the watcher's own."""
        return not lock.owner or self.left_s(key, lock, lifetime_s, now_s) <= 0

    def left_s(self, key: str, lock: Lock, lifetime_s: float, now_s: float) -> float:
        """For how long the lock must yet stand unchanged to have outlived both."""
        return max(lock.lifetime_s, lifetime_s) - self.unchanged_s(key, now_s)
