"""Where a cluster keeps its documents, and what the protocol may rely on.

A store is trusted with one thing only: linearizable documents with revisions, and a compare-and-set transaction over
several of them. No clock, lease or time-to-live of a store is used anywhere: a lock is a document like any other, and
its protocol is part of :mod:`hacore.protocol`. So an engine is right if it keeps the four promises below, and the
proofs hold for each engine that does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from hacore.protocol.requests import JSON, Committed, Conflict, Snapshot, Unavailable


class StoreError(Exception):
    """What an operator must mend before the store can be used. The message is one line and says what to do."""


class Store(Protocol):
    """Documents by key. A key is a non-empty string; a value is what ``json`` reads back unchanged, and never None.

    Revisions: the store counts the transactions that change something, one by one or in larger steps, never downwards
    and never twice the same. A document's revision is the number of the transaction that wrote it last, so a key that
    was removed and written again never has an old revision, and an equal revision means an untouched document.

    Every method may be called from any thread, and from many processes on stores of the same name. No method waits
    longer for its answer than the time-out that the store was opened with.

    Raises:
        StoreError: from any method but ``changed``, when waiting will not help (see :class:`StoreError`).
        ValueError, TypeError: a key or a value that no store can hold; nothing was written.
    """

    def read(self, prefixes: tuple[str, ...]) -> Snapshot | Unavailable:
        """All documents whose key begins with one of ``prefixes`` ("" is all), as they stood at one moment.

        Consistency: linearizable. The moment lies between the call and the return, so the snapshot holds every
        transaction, of any process, that was reported as committed before the call. ``revision`` is that of the
        last transaction before the moment.
        """
        ...

    def transact(self, checks: Mapping[str, int], writes: Mapping[str, JSON]) -> Committed | Conflict | Unavailable:
        """Write all of ``writes``, if every key of ``checks`` still has the revision given; otherwise write nothing.

        Revision 0 in ``checks`` means that the key must be absent. None in ``writes`` removes the document; to remove
        what is absent is no error. Keys need not be in both. Without ``writes`` it is a pure check, and ``Committed``
        has the revision of the last transaction before it.

        Consistency: strictly serializable. Checks and writes happen together at one moment between the call and the
        return. ``Committed`` means that every later read or check sees the writes, also when any process is killed
        at any moment. ``Conflict`` means that nothing was written. After ``Unavailable`` the transaction may have
        happened, may happen still, or may never happen: only a later read or check can tell.
        """
        ...

    def changed(self, since: int, prefixes: tuple[str, ...]) -> bool:
        """Is there a document, or a removal, below ``prefixes`` that is newer than revision ``since``?

        Consistency: none needed. It is a hint that a read may be worth while, it is cheap enough to be asked every
        50 ms, and no decision rests on it. It is False when the store cannot tell. It may be True without need when
        ``since`` is old. It misses no change for good: asked again, it sees the change sooner or later.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections. Calls that are under way end first; later ones answer ``Unavailable``."""
        ...
