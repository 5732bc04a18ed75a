"""Many processes on one SQLite store: races, kill -9 at any moment, and a writer paused inside a transaction."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from hacore.devices.store import Store, sqlite
from hacore.devices.store.sqlite import SqliteStore
from hacore.protocol.requests import Committed, Document, Snapshot, Unavailable
from tests.devices.stores import PATIENT_S, committed, is_intact, read

CHILD = """
import os, signal, sqlite3, sys, time
from pathlib import Path
from hacore.devices.store import sqlite
from hacore.protocol.requests import Committed

def on_statement(act):
    "Open a store in which ``act`` sees every statement just before it runs."
    connect = sqlite3.connect
    def traced(*args, **options):
        connection = connect(*args, **options)
        connection.set_trace_callback(act)
        return connection
    sqlite3.connect = traced

path, name = Path(sys.argv[1]), sys.argv[2]
"""


WRITE_FOR_EVER = """
store = sqlite.SqliteStore(path, 10.0)
done = 0
while True:
    total = store.read(("total",))["total"]
    writes = {"total": total.value + 1, f"{name}/left": done + 1, f"{name}/right": done + 1}
    if isinstance(store.transact({"total": total.revision}, writes), Committed):
        done += 1
        os.write(1, b"%d\\n" % done)
"""

DIE_AT_EACH_STATEMENT = """
sqlite.HOUSEKEEPING_EVERY = 1  # so that the statements of a checkpoint are among them

def die_at(number):
    left = None
    def count(statement):
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if left is not None:
            left -= 1
    on_statement(count)
    store = sqlite.SqliteStore(path, 10.0)
    left = number
    return store.transact({}, {f"{number}/left": 1, f"{number}/right": 1})

status = 1
while status:
    name = int(name) + 1
    if os.fork() == 0:
        assert isinstance(die_at(name), Committed)
        os._exit(0)
    status = os.wait()[1]
    print(status)
"""

STOP_INSIDE = """
def stop(statement):
    if statement.startswith("COMMIT"):
        os.kill(os.getpid(), signal.SIGSTOP)
on_statement(stop)
store = sqlite.SqliteStore(path, 10.0)
store.transact({}, {"stopped": 1})
"""


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(SqliteStore(path, PATIENT_S)) as opened:
        yield opened


def spawn(program: str, path: Path, name: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", CHILD + program, str(path), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)


@contextmanager
def spawned(program: str, path: Path, *names: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """One process a name; the list may be changed; whoever is in it at the end is killed."""
    children = [spawn(program, path, name) for name in names]
    try:
        yield children
    finally:
        for child in children:
            child.kill()
            output_of(child)


def output_of(child: subprocess.Popen[bytes]) -> bytes:
    """What the child wrote until its end."""
    assert child.stdout
    output = b"" if child.stdout.closed else child.stdout.read()
    child.stdout.close()
    child.wait()
    return output


def wait_for_progress(store: Store, *names: str) -> None:
    """Until the total has grown by five; whatever is seen meanwhile was written together."""
    enough = read(store, "total")["total"].value + 5
    deadline_s = time.monotonic() + PATIENT_S
    prefixes = ["total", *(f"{name}/{side}" for side in ("left", "right") for name in names)]
    while (now := read(store, *prefixes))["total"].value < enough:
        assert all(now[f"{name}/left"] == now[f"{name}/right"] for name in names)
        assert now.revision >= now["total"].revision
        assert time.monotonic() < deadline_s


def test_a_killed_writer_takes_back_nothing_that_it_reported(path: Path, store: Store) -> None:
    chance = random.Random(1)
    names = [f"writer{number}" for number in range(14)]
    reported: dict[str, int] = {}
    committed(store.transact({}, {"total": 0}))
    with spawned(WRITE_FOR_EVER, path, *names[:3]) as children:
        alive = dict(zip(names, children, strict=False))
        for following in [*names[3:], "", "", ""]:
            wait_for_progress(store, *alive)
            time.sleep(chance.uniform(0.0, 0.05))
            victim = chance.choice(list(alive))
            alive[victim].kill()
            reported[victim] = len(output_of(alive.pop(victim)).splitlines())
            committed(store.transact({}, {"survivor": victim}))
            if following:
                alive[following] = spawn(WRITE_FOR_EVER, path, following)
                children.append(alive[following])
        found = read(store, "")
    for name, count in reported.items():
        left, right = found[f"{name}/left"], found[f"{name}/right"]
        assert left == right
        assert (left.value or 0) - count in (0, 1)
    assert found["total"].value == sum(found[f"{name}/left"].value or 0 for name in names) > 0
    assert is_intact(path)


def test_a_writer_killed_at_any_statement_has_written_all_or_nothing(path: Path) -> None:
    with spawned(DIE_AT_EACH_STATEMENT, path, "-1") as [child]:
        statuses = [int(line) for line in output_of(child).split()]
    assert statuses == [signal.SIGKILL] * (len(statuses) - 1) + [0]
    with closing(SqliteStore(path, PATIENT_S)) as store:
        found = read(store, "")
        numbers = [number for number in range(len(statuses)) if found[f"{number}/left"].revision]
        assert 0 < numbers[0] < numbers[-2] < numbers[-1] == len(statuses) - 1
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        for number, side in product(numbers, ("left", "right")):
            assert found[f"{number}/{side}"] == Document(1, number - numbers[0] + 1)
        assert len(found.documents) == 2 * len(numbers)
        committed(store.transact({}, {"survivor": 1}))
    assert is_intact(path)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGCONT])
def test_a_paused_writer_stops_writers_and_nobody_else(path: Path, end: signal.Signals) -> None:
    with closing(SqliteStore(path, 0.2)) as store, spawned(STOP_INSIDE, path, "") as [child]:
        _, status = os.waitpid(child.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        started_s = time.monotonic()
        assert isinstance(store.transact({}, {"mine": 1}), Unavailable)
        assert time.monotonic() - started_s < 0.2 + 2
        assert store.read(("",)) == Snapshot({}, 0)
        assert store.transact({"stopped": 0}, {}) == Committed(0)
        assert not store.changed(0, ("",))
        with closing(SqliteStore(path, 0.2)) as another:
            assert isinstance(another.transact({}, {"mine": 1}), Unavailable)
        child.send_signal(end)
        child.wait()
        assert store.changed(0, ("stopped",)) == (end == signal.SIGCONT)
        committed(store.transact({}, {"mine": 1}))


def test_a_store_that_is_busy_at_the_start_is_a_good_store(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as alone:
        alone.execute("PRAGMA locking_mode = EXCLUSIVE")
        alone.execute("BEGIN IMMEDIATE")
        store = SqliteStore(path, 0.05)
        assert isinstance(store.read(("",)), Unavailable)
        assert isinstance(store.transact({}, {"a": 1}), Unavailable)
        assert not store.changed(0, ("",))
    with closing(store):
        committed(store.transact({}, {"a": 1}))
        assert store.changed(0, ("",))


# ------------------------------------------------------------------------------------------------------ checkpoints


def test_sqlite_makes_no_checkpoint_of_its_own(path: Path, store: Store) -> None:
    for number in range(60):
        committed(store.transact({}, {"a": f"{number}" * 100_000}))
    assert path.stat().st_size < 100_000
    assert path.with_name("store-wal").stat().st_size > 2 * 1000 * 4096


def test_nobody_writes_during_a_checkpoint(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others: list[str] = []

    def try_to_write(statement: str) -> None:
        if "checkpoint(" in statement:
            with closing(connect(path, timeout=0, isolation_level=None)) as other:
                try:
                    other.execute("BEGIN IMMEDIATE")
                    others.append("wrote")
                except sqlite3.OperationalError as error:
                    others.append(str(error))

    def traced(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **options)
        connection.set_trace_callback(try_to_write)
        return connection

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", traced)
    monkeypatch.setattr(sqlite, "HOUSEKEEPING_EVERY", 3)
    with closing(SqliteStore(path, PATIENT_S)) as store:
        for number in range(10):
            committed(store.transact({}, {"a": number}))
    assert others == ["database is locked"] * 3
