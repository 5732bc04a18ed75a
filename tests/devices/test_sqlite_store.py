"""One process and its SQLite store: what a transaction means, a dict as model, bad files and full disks."""

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
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from hacore.devices.store import Store, StoreError, sqlite
from hacore.devices.store.sqlite import SqliteStore
from hacore.protocol.requests import ABSENT, Committed, Conflict, Document, Snapshot, Unavailable
from tests.devices.sqlite_stores import PATIENT_S, committed, is_intact, read

NOBODY = 65534


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "template"
    SqliteStore.create(path)
    return path


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(template, tmp_path / "store"))


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(SqliteStore(path, PATIENT_S)) as opened:
        yield opened


# ------------------------------------------------------------------------------------------------------- semantics


def test_a_new_store_is_empty(store: Store) -> None:
    assert store.read(("",)) == Snapshot({}, 0)
    assert store.transact({}, {}) == Committed(0)


def test_every_writing_transaction_has_the_next_revision(store: Store) -> None:
    assert store.transact({}, {"a": 1, "b": {"x": [1, None]}}) == Committed(1)
    assert store.transact({"a": 1}, {"a": 2}) == Committed(2)
    assert store.read(("",)) == Snapshot({"a": Document(2, 2), "b": Document({"x": [1, None]}, 1)}, 2)


def test_a_conflict_names_the_key_and_writes_nothing(store: Store) -> None:
    committed(store.transact({}, {"a": 1, "b": 1}))
    assert store.transact({"a": 1, "b": 7}, {"a": 2, "c": 2}) == Conflict("b")
    assert store.transact({"a": 0}, {"c": 2}) == Conflict("a")
    assert store.transact({"c": 1}, {"c": 2}) == Conflict("c")
    assert read(store, "") == Snapshot({"a": Document(1, 1), "b": Document(1, 1)}, 1)


def test_without_writes_it_is_a_pure_check(store: Store) -> None:
    committed(store.transact({}, {"a": 1}))
    assert store.transact({"a": 1, "b": 0}, {}) == Committed(1)
    assert store.transact({"a": 0}, {}) == Conflict("a")
    assert read(store).revision == 1


def test_a_removed_key_is_absent_and_never_has_an_old_revision_again(store: Store) -> None:
    committed(store.transact({}, {"a": 1}))
    assert store.transact({"a": 1}, {"a": None, "never": None}) == Committed(2)
    assert read(store, "a")["a"] == ABSENT
    assert store.transact({"a": 1}, {}) == store.transact({"a": 2}, {}) == Conflict("a")
    assert store.transact({"a": 0}, {"a": 1}) == Committed(3)
    assert read(store, "a")["a"] == Document(1, 3)


@pytest.mark.parametrize("key", ["%", "_", "a'b", "\x00", "\x00a", "ü/ß", "\ud7ff", "\ue000", "\U0010ffff", "k" * 5000])
def test_any_key_is_only_itself(store: Store, key: str) -> None:
    documents = {"a": 0, "b": 0, key: 1, f"{key}{key}": 2}
    committed(store.transact({}, documents))
    for prefix in ("a", key, key * 2, key * 3):
        found = read(store, prefix).documents
        assert {name: found[name].value for name in found} == {
            name: value for name, value in documents.items() if name.startswith(prefix)
        }


def test_values_are_read_back_equal(store: Store) -> None:
    value = {"b": [1.5, -1, 10**30, True, None, "", "\x00\ud800ß"], "a": {"": {}}}
    committed(store.transact({}, {"a": value, "b": False, "c": 0, "d": ""}))
    assert [read(store, "")[key].value for key in "abcd"] == [value, False, 0, ""]


@pytest.mark.parametrize("key", ["", "b"])
@pytest.mark.parametrize("value", [{1: 2}, (1,), float("nan"), float("inf"), {1}])
def test_what_no_store_can_hold_is_refused_and_nothing_is_written(store: Store, key: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        store.transact({}, {"a": 1, key: value if key else 1})
    assert read(store, "") == Snapshot({}, 0)


KEYS = st.sampled_from(["a", "aa", "a\U0010ffff", "b", "b%", "\x00", "\ud7ff", "\ue000", "\U0010ffff"])
PREFIXES = st.lists(st.just("") | KEYS, max_size=3).map(tuple)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


class AgainstADict(RuleBasedStateMachine):
    """Two stores opened on one file, one of them now and then anew, do what a dict does."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(shutil.copy(self.template, self.directory.name))
        self.stores = [SqliteStore(self.path, PATIENT_S), SqliteStore(self.path, PATIENT_S)]
        self.documents: dict[str, Document] = {}
        self.touched: dict[str, int] = {}
        self.number = 0

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        assert is_intact(self.path)
        self.directory.cleanup()

    def revision(self, key: str) -> int:
        return self.documents.get(key, ABSENT).revision

    @rule(which=st.booleans(), right=st.sets(KEYS, max_size=3), writes=st.dictionaries(KEYS, VALUES, max_size=4))
    def transact(self, which: bool, right: set[str], writes: dict[str, Any]) -> None:
        self.number += bool(writes)
        checks = {key: self.revision(key) for key in right}
        assert self.stores[which].transact(checks, writes) == Committed(self.number)
        for key, value in writes.items():
            if value is not None or key in self.documents:
                self.touched[key] = self.number
            self.documents[key] = Document(value, self.number)
            if value is None:
                del self.documents[key]

    @rule(which=st.booleans(), key=KEYS, off=st.sampled_from([-1, 1, 2]), writes=st.dictionaries(KEYS, VALUES))
    def conflict(self, which: bool, key: str, off: int, writes: dict[str, Any]) -> None:
        assert self.stores[which].transact({key: self.revision(key) + off}, writes) == Conflict(key)

    @rule(which=st.booleans(), prefixes=PREFIXES)
    def read(self, which: bool, prefixes: tuple[str, ...]) -> None:
        found = {key: document for key, document in self.documents.items() if key.startswith(prefixes)}
        assert self.stores[which].read(prefixes) == Snapshot(found, self.number)

    @rule(which=st.booleans(), prefixes=PREFIXES, ago=st.integers(0, 4))
    def changed(self, which: bool, prefixes: tuple[str, ...], ago: int) -> None:
        since = max(self.number - ago, 0)
        newer = any(key.startswith(prefixes) for key, revision in self.touched.items() if revision > since)
        assert self.stores[which].changed(since, prefixes) == newer

    @rule()
    def reopen(self) -> None:
        self.stores[0].close()
        self.stores[0] = SqliteStore(self.path, PATIENT_S)


def test_it_does_what_a_dict_does(path: Path) -> None:
    machine = type("Machine", (AgainstADict,), {"template": path})
    run_state_machine_as_test(machine, settings=settings(max_examples=40, stateful_step_count=25, deadline=None))


# --------------------------------------------------------------------------------------------------------- changed


def test_changed_sees_what_this_process_writes(store: Store) -> None:
    assert not store.changed(0, ("",))
    committed(store.transact({}, {"a": 1}))
    assert store.changed(0, ("",))
    assert not store.changed(0, ("b",))
    committed(store.transact({}, {"b": 1}))
    assert store.changed(0, ("b",))
    committed(store.transact({}, {"a": None}))
    committed(store.transact({}, {"a": None}))
    assert store.changed(2, ("a",))
    assert not store.changed(3, ("a",))


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


def test_a_closed_store_is_unavailable(store: Store) -> None:
    committed(store.transact({}, {"a": 1}))
    store.close()
    store.close()
    assert store.read(("",)) == store.transact({}, {"a": 2}) == Unavailable("this process has closed the store")
    assert not store.changed(0, ("",))


def test_a_store_is_not_used_across_a_fork(store: Store) -> None:
    child = os.fork()
    if child == 0:
        try:
            store.read(("",))
        except RuntimeError:
            os._exit(7)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
