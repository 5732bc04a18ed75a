"""Documents in pmxcfs, the cluster file system of Proxmox VE: the store of a cluster of Proxmox hosts.

1. **What pmxcfs is.** Every node has all files in memory. A write is a message to all nodes, which carry out all
   messages in one order (corosync); it is answered when this node has carried it out, and refused without quorum.
   A read is answered from this node's memory, with or without quorum.
2. **Compare and set.** pmxcfs has no such call, and its lock directories have no owner that could be checked: any node
   may remove them, and a holder that was slow goes on writing. But to rename a file that is not there fails. So the
   newest revision is named by an empty file, its *head*, ``head.N.WHO``, and the documents are in ``documents.N.WHO``,
   one JSON text. A transaction writes the documents of the next revision under a name that nobody else uses, and then
   renames the head that it has read to the next one. Of all who have read the same head one can do that, whoever is
   slow, was killed, or comes back from a pause. Nobody waits for anybody.
3. **Reads.** Before a read this store writes (it sets the time of its directory): what was written before is then
   known here, and without quorum there is no answer. So reads are linearizable, and each costs a small write.
4. **Calls that hang.** A call blocks for about 8 s when the quorum is lost, and for ever while pmxcfs is stopped. All
   calls are made by a process that is killed at the deadline (:mod:`hacore.devices.store.pmxcfs_files`). What it had
   asked for may be done later still, and rule 2 then refuses it unless nothing was written since.
5. **What it cannot give.** It is as good as corosync's quorum: nothing here can tell a node that pmxcfs wrongly lets
   write. Root on any node can remove the files. All documents together may have 1 MiB, and every change writes them
   all. What was committed within the last moments may be lost if all nodes lose power at once.
6. **Alone.** Proxmox's own HA manager must not run: it would start and stop the same guests, and move their files.
   Every process looks whether it does before its first answer.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hacore.devices.clock import now_s
from hacore.devices.store import StoreError
from hacore.devices.store.coding import key_bytes, value_text
from hacore.devices.store.pmxcfs_calls import Calls, NoAnswerError, Watch
from hacore.devices.store.pmxcfs_files import revision
from hacore.protocol.requests import ABSENT, JSON, Committed, Conflict, Document, Snapshot, Unavailable

FIRST = "0.new"
"""The head of a store in which nothing was written yet."""
REMOVALS_KEPT = 100
"""How many removals are remembered, for ``changed``."""


class PmxcfsStore:
    """A :class:`hacore.devices.store.Store` in a directory of pmxcfs, made once with :meth:`create`."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        """``timeout_s`` bounds each call, in seconds. Whether there is a store, the first call says."""
        self._path, self._timeout_s = path, timeout_s
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._closed = False
        self._calls, self._watch = Calls(path), Watch(path)
        self._head = self._text = ""

    @staticmethod
    def create(path: Path, timeout_s: float) -> None:
        """Make a new, empty store, if there is nothing at ``path``. Raises StoreError if that cannot be done."""
        calls = Calls(path)
        try:
            calls.ask({"do": "create", "head": FIRST, "content": _Content().text()}, now_s() + timeout_s)
        except NoAnswerError as problem:
            raise StoreError(f"cannot create the store {path}: {problem}; see to it, and try again") from None
        finally:
            calls.close()

    def read(self, prefixes: tuple[str, ...]) -> Snapshot | Unavailable:
        """See :meth:`hacore.devices.store.Store.read`."""
        try:
            with self._session() as until_s:
                documents = self._look(until_s).documents
                found = {key: document for key, document in documents.items() if key.startswith(prefixes)}
                return Snapshot(found, revision(self._head))
        except NoAnswerError as problem:
            return Unavailable(str(problem))

    def transact(self, checks: Mapping[str, int], writes: Mapping[str, JSON]) -> Committed | Conflict | Unavailable:
        """See :meth:`hacore.devices.store.Store.transact`."""
        for key in (*checks, *writes):
            key_bytes(key)
        values = {key: json.loads(value_text(key, value)) for key, value in writes.items()}
        try:
            with self._session() as until_s:
                while True:
                    content = self._look(until_s)
                    for key, expected in checks.items():
                        if content.documents.get(key, ABSENT).revision != expected:
                            return Conflict(key)
                    content.write(values, revision(self._head) + 1)
                    if not writes or self._commit(content, until_s):
                        return Committed(revision(self._head))
        except NoAnswerError as problem:
            return Unavailable(str(problem))

    def changed(self, since: int, prefixes: tuple[str, ...]) -> bool:
        """See :meth:`hacore.devices.store.Store.changed`."""
        return not self._closed and self._watch.changed(since, prefixes)

    def close(self) -> None:
        """See :meth:`hacore.devices.store.Store.close`."""
        self._closed = True
        with self._lock:
            self._calls.close()
        self._watch.close()

    @contextmanager
    def _session(self) -> Iterator[float]:
        """This thread alone calls, until the moment given. Raises NoAnswerError if that comes before its turn."""
        if os.getpid() != self._pid:
            raise RuntimeError("a store cannot be used across a fork: open it in the new process")
        until_s = now_s() + self._timeout_s
        if not self._lock.acquire(timeout=self._timeout_s):
            raise NoAnswerError("the call of another thread has not ended")
        try:
            if self._closed:
                raise NoAnswerError("this process has closed the store")
            yield until_s
        finally:
            self._lock.release()

    def _look(self, until_s: float) -> _Content:
        """The content of the store as it stands after all that was committed before."""
        seen = self._calls.ask({"do": "look", "known": self._head}, until_s)
        if seen["content"] is not None:
            self._head, self._text = seen["head"], seen["content"]
        try:
            return _Content.of(self._text)
        except (ValueError, KeyError, TypeError) as problem:
            raise StoreError(f"the documents of {self._head} in {self._path} are damaged: restore a copy") from problem

    def _commit(self, content: _Content, until_s: float) -> bool:
        """Make this the content of the store, unless anything was committed since the last look."""
        following, text = f"{revision(self._head) + 1}.{os.urandom(8).hex()}", content.text()
        request = {"do": "commit", "head": self._head, "next": following, "content": text}
        if not self._calls.ask(request, until_s)["done"]:
            return False
        self._head, self._text = following, text
        return True


@dataclass
class _Content:
    """All documents of a revision."""

    documents: dict[str, Document] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    """Which transaction has removed a document: the last ones."""
    forgotten: int = 0
    """The newest transaction whose removals are no longer known."""

    @classmethod
    def of(cls, text: str) -> _Content:
        said = json.loads(text)
        documents = {key: Document(value, at) for key, (value, at) in said["documents"].items()}
        return cls(documents, said["removed"], said["forgotten"])

    def text(self) -> str:
        documents = {key: [it.value, it.revision] for key, it in self.documents.items()}
        said = {"documents": documents, "removed": self.removed, "forgotten": self.forgotten}
        return json.dumps(said, separators=(",", ":"))

    def write(self, writes: Mapping[str, JSON], number: int) -> None:
        """Let the transaction ``number`` write all of these; None removes."""
        for key, value in writes.items():
            if value is not None:
                self.documents[key] = Document(value, number)
                self.removed.pop(key, None)
            elif self.documents.pop(key, None):
                self.removed[key] = number
        while len(self.removed) > REMOVALS_KEPT:
            oldest = min(self.removed, key=lambda key: self.removed[key])
            self.forgotten = max(self.forgotten, self.removed.pop(oldest))
