"""What the tests of all stores share: places for documents in each engine, and what must be true of an answer."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Protocol

from hacore.devices.store import Store
from hacore.devices.store.etcd import EtcdStore
from hacore.devices.store.pmxcfs import PmxcfsStore
from hacore.devices.store.sqlite import SqliteStore
from hacore.protocol.requests import Committed, Conflict, Snapshot, Unavailable

PATIENT_S = 10.0
"""Longer than any wait between healthy processes, also on a slow and busy machine."""


class Place(Protocol):
    """Where one test has its documents: empty at first, and opened as often as it likes."""

    prompt: bool
    """Whether ``changed`` knows at once; else it is told in the background, and may say yes of what is old."""

    examples: int
    """How many random stories are told of it, and how often it is interrupted: some engines are slow."""

    def open(self) -> Store: ...

    def another(self) -> Place:
        """Another one."""
        ...

    def expression(self) -> str:
        """Python that opens it in another process, which has imported ``Path`` and the engines' modules."""
        ...


_numbers = count(1)


@dataclass
class SqlitePlace:
    path: Path
    template: Path
    prompt = True
    examples = 40

    def open(self) -> Store:
        return SqliteStore(self.path, PATIENT_S)

    def another(self) -> Place:
        path = self.path.with_name(f"{self.path.name}-{next(_numbers)}")
        return SqlitePlace(Path(shutil.copy(self.template, path)), self.template)

    def expression(self) -> str:
        return f"sqlite.SqliteStore(Path({str(self.path)!r}), {PATIENT_S})"


@dataclass
class EtcdPlace:
    url: str
    prefix: str
    prompt = False
    examples = 15

    def open(self) -> Store:
        return EtcdStore((self.url,), PATIENT_S, prefix=self.prefix)

    def another(self) -> Place:
        return EtcdPlace(self.url, f"/test/{next(_numbers)}/")

    def expression(self) -> str:
        return f"etcd.EtcdStore(({self.url!r},), {PATIENT_S}, prefix={self.prefix!r})"


@dataclass
class PmxcfsPlace:
    path: Path
    prompt = False
    examples = 4

    def open(self) -> Store:
        return PmxcfsStore(self.path, PATIENT_S)

    def another(self) -> Place:
        path = self.path.with_name(f"test-{next(_numbers)}")
        PmxcfsStore.create(path, PATIENT_S)
        return PmxcfsPlace(path)

    def expression(self) -> str:
        return f"pmxcfs.PmxcfsStore(Path({str(self.path)!r}), {PATIENT_S})"


def committed(answer: Committed | Conflict | Unavailable) -> int:
    assert isinstance(answer, Committed), answer
    return answer.revision


def read(store: Store, *prefixes: str) -> Snapshot:
    answer = store.read(prefixes)
    assert isinstance(answer, Snapshot), answer
    return answer


def soon(holds: Callable[[], bool]) -> bool:
    """Whether it comes to hold."""
    until_s = time.monotonic() + PATIENT_S
    while not holds():
        if time.monotonic() > until_s:
            return False
        time.sleep(0.01)
    return True


def is_intact(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
