"""What is SQLite's own about its store: housekeeping, bad files and full disks. test_stores.py has the rest."""

import os
import re
import resource
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hacore.devices.store import Store, StoreError, sqlite
from hacore.devices.store.sqlite import SqliteStore
from hacore.protocol.requests import Committed, Document, Unavailable
from tests.devices.stores import PATIENT_S, committed, is_intact, read

NOBODY = 65534


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(SqliteStore(path, PATIENT_S)) as opened:
        yield opened


# ---------------------------------------------------------------------------------------------------- housekeeping


def test_a_removal_is_forgotten_in_time_and_then_changed_says_yes(
    path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "HOUSEKEEPING_EVERY", 4)
    monkeypatch.setattr(sqlite, "REMOVALS_KEPT", 4)
    for number in range(20):
        committed(store.transact({}, {"kept": number, f"passing/{number}": 1}))
        committed(store.transact({}, {f"passing/{number}": None}))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM documents").fetchone()[0] <= 6
    assert store.changed(10, ("anything",))
    assert not store.changed(36, ("anything",))
    assert store.transact({"passing/3": 0, "kept": 39}, {"passing/3": 1}) == Committed(41)


def test_the_log_does_not_grow_for_ever(path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "HOUSEKEEPING_EVERY", 8)
    for number in range(500):
        committed(store.transact({}, {"a": number}))
    assert path.with_name("store-wal").stat().st_size < 500_000
    assert is_intact(path)


# --------------------------------------------------------------------------------------------------- what can break


def overwrite(path: Path, position: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        file.write(content)


def write_sql(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_foreign(path: Path) -> None:
    path.unlink()
    write_sql(path, "CREATE TABLE documents (key, value, revision)")


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "create it"),
    "directory": (make_directory, "not a file"),
    "fifo": (make_fifo, "not a file"),
    "empty": (lambda path: os.truncate(path, 0), "not a store"),
    "text": (lambda path: path.write_text("hello\n" * 2000), "not a store"),
    "foreign": (make_foreign, "not a store"),
    "older": (lambda path: write_sql(path, "PRAGMA user_version = 0"), "version 0"),
    "newer": (lambda path: write_sql(path, "PRAGMA user_version = 2"), "version 2"),
    "no table": (lambda path: write_sql(path, "DROP TABLE state"), "damaged"),
    "short header": (lambda path: os.truncate(path, 50), "damaged"),
    "half": (lambda path: os.truncate(path, path.stat().st_size // 8192 * 4096), "damaged"),
    "overwritten": (lambda path: overwrite(path, 4096, b"\xa5" * 4096), "damaged"),
}


@pytest.mark.parametrize("spoil", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line_and_left_alone(path: Path, spoil: str) -> None:
    break_it, reason = BAD_FILES[spoil]
    with closing(SqliteStore(path, PATIENT_S)) as store:
        committed(store.transact({}, {f"key/{number}": "value" * 50 for number in range(200)}))
    break_it(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError, match=reason) as caught:
        SqliteStore(path, PATIENT_S)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert before is None or path.read_bytes() == before


def as_nobody(action: Callable[[], object]) -> str:
    """What StoreError ``action`` raises for a user who must heed file modes; root runs it in a child as nobody."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.seteuid(NOBODY)
            action()
        except StoreError as error:
            os.write(writable, str(error).encode())
        finally:
            os._exit(0)
    os.close(writable)
    os.waitpid(child, 0)
    return os.read(readable, 10_000).decode()  # one line: it fits into the pipe


@pytest.mark.parametrize(
    ("file_mode", "directory_mode", "reason"),
    [
        (0o666, 0o777, ""),
        (0o444, 0o777, "store .* not readable and writable .* change"),
        (0o666, 0o555, "directory .* not writable .* change"),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(
    path: Path, file_mode: int, directory_mode: int, reason: str
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(shutil.copy(path, directory))
        copy.chmod(file_mode)
        Path(directory).chmod(directory_mode)
        message = as_nobody(lambda: SqliteStore(copy, PATIENT_S))
        Path(directory).chmod(0o700)
    assert re.fullmatch(f".*{reason}.*" if reason else "", message)


def test_a_full_disk_is_unavailable_until_there_is_space(path: Path, store: Store) -> None:
    committed(store.transact({}, {"a": 0}))
    number, answer = 0, store.transact({}, {})
    limit, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        while not isinstance(answer, Unavailable) and number < 100:
            number += 1
            answer = store.transact({}, {"a": number})
        assert isinstance(answer, Unavailable)
        assert read(store, "a")["a"] == Document(number - 1, number)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    assert store.transact({"a": number}, {"a": number}) == Committed(number + 1)
    assert is_intact(path)


def test_a_store_that_is_replaced_while_in_use_is_not_used_on(path: Path, store: Store) -> None:
    committed(store.transact({}, {"a": 1}))
    spare = path.rename(path.with_name("spare"))
    for _ in range(2):
        with pytest.raises(StoreError, match=r"removed or replaced .* stop every process"):
            store.transact({}, {"a": 2})
        assert not store.changed(0, ("a",))
        shutil.copy(spare, path)


def test_create_makes_one_store_whoever_asks(tmp_path: Path) -> None:
    path = tmp_path / "store"
    outcomes = []

    def create() -> None:
        try:
            SqliteStore.create(path)
            outcomes.append("made")
        except StoreError as error:
            outcomes.append("refused" if "exists" in str(error) else str(error))

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made", "refused", "refused", "refused"]
    assert list(tmp_path.iterdir()) == [path]
    SqliteStore(path, PATIENT_S).close()


@pytest.mark.parametrize("leftover", ["store", "store-wal", "store-shm"])
def test_create_replaces_nothing(tmp_path: Path, leftover: str) -> None:
    (tmp_path / leftover).write_text("precious")
    with pytest.raises(StoreError, match=rf"{leftover} exists; use it, or remove it first$"):
        SqliteStore.create(tmp_path / "store")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["precious"]


def test_create_needs_a_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"No such file or directory; see to the directory .*none$"):
        SqliteStore.create(tmp_path / "none" / "store")
