"""The simulated store: linearizable documents with revisions, and a compare-and-set transaction over several."""

from __future__ import annotations

from collections.abc import Mapping

from hacore.protocol.requests import ABSENT, JSON, Committed, Conflict, Document, Snapshot


class Store:
    """In memory. Values are shared with whoever reads them, and never changed in place."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.revision = 0

    def __getitem__(self, key: str) -> Document:
        return self.documents.get(key, ABSENT)

    def read(self, prefixes: tuple[str, ...]) -> Snapshot:
        return Snapshot({k: d for k, d in self.documents.items() if k.startswith(prefixes)}, self.revision)

    def transact(self, checks: Mapping[str, int], writes: Mapping[str, JSON]) -> Committed | Conflict:
        for key, revision in checks.items():
            if self[key].revision != revision:
                return Conflict(key)
        self.revision += 1
        self.documents.update({key: Document(value, self.revision) for key, value in writes.items()})
        return Committed(self.revision)
