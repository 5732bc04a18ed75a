"""What the tests of the SQLite store share."""

import sqlite3
from contextlib import closing
from pathlib import Path

from hacore.devices.store import Store
from hacore.protocol.requests import Committed, Conflict, Snapshot, Unavailable

PATIENT_S = 10.0
"""Longer than any wait between healthy processes, also on a slow and busy machine."""


def committed(answer: Committed | Conflict | Unavailable) -> int:
    assert isinstance(answer, Committed), answer
    return answer.revision


def read(store: Store, *prefixes: str) -> Snapshot:
    answer = store.read(prefixes)
    assert isinstance(answer, Snapshot), answer
    return answer


def is_intact(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
