"""Stores that are missing, damaged, busy or not ours to write; changes that others get in the way of."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from hacore.cli import main
from hacore.cli.store import ATTEMPTS, read, update
from hacore.devices.store import StoreError
from hacore.protocol.requests import JSON, Committed, Conflict, Document, Snapshot, Unavailable
from tests.cli.clusters import RESOURCES, Cluster, resource

COMMANDS = (
    ("status",),
    ("config",),
    ("settings",),
    ("settings", "set", "shutdown_policy=freeze"),
    ("settings", "set", "timing.round_s=2"),
    ("rules",),
    ("rules", "add", "x", "proc:x", "--on", "node1"),
    ("rules", "remove", "x"),
    ("rules", "check"),
    ("add", "proc:x", "--node", "node1", "--command", "x"),
    ("set", "proc:x", "--state", "stopped"),
    ("remove", "proc:x"),
    ("migrate", "proc:x", "node2"),
    ("relocate", "proc:x", "node2"),
    ("stop", "proc:x"),
    ("node-maintenance", "enable", "node1"),
    ("node-maintenance", "disable", "node1"),
    ("disarm",),
    ("arm",),
)
EACH = pytest.mark.parametrize("words", COMMANDS, ids=" ".join)


def failing(directory: Path, *words: str) -> str:
    result = CliRunner().invoke(main, ["-C", str(directory), *words])
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert result.stderr.startswith("hacore: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@EACH
def test_no_store(tmp_path: Path, words: tuple[str, ...]) -> None:
    said = failing(tmp_path / "none", *words)
    assert f"no cluster in {tmp_path}/none" in said
    assert "up" in said
    assert list(tmp_path.iterdir()) == []


@EACH
def test_something_else_in_its_place(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "store.db").write_bytes(b"not a store at all" * 1000)
    assert "is not a store" in failing(tmp_path, *words)
    assert (tmp_path / "store.db").read_bytes() == b"not a store at all" * 1000


def test_a_directory_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "store.db").mkdir()
    assert "is not a file" in failing(tmp_path, "status")


def test_a_file_as_the_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "no cluster in" in failing(tmp_path / "file", "status")


def test_a_damaged_store(cluster: Cluster) -> None:
    cluster.put(RESOURCES, {f"proc:x{i}": resource("node1", comment="x" * 500) for i in range(100)})
    cluster.store.close()
    path = cluster.directory / "store.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path.write_bytes(path.read_bytes()[:8192] + b"\xa5" * (path.stat().st_size - 8192))
    assert "is damaged" in failing(cluster.directory, "status")


@pytest.fixture
def readable() -> Iterator[Path]:
    """A cluster that others than its owner may look at, and not change."""
    directory = Path(tempfile.mkdtemp())
    try:
        Cluster(directory).store.close()
        directory.chmod(0o755)
        yield directory
    finally:
        shutil.rmtree(directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@EACH
def test_a_store_of_somebody_else(readable: Path, words: tuple[str, ...]) -> None:
    os.seteuid(65534)
    try:
        said = failing(readable, *words)
    finally:
        os.seteuid(0)
    assert "not readable and writable for this user" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_directory_that_may_not_be_entered(cluster: Cluster) -> None:
    cluster.directory.chmod(0o700)
    os.seteuid(65534)
    try:
        said = failing(cluster.directory, "status")
    finally:
        os.seteuid(0)
    assert "Permission denied" in said


def test_a_busy_store(serving: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hacore.runtime.cluster.OPERATOR_TIMEOUT_S", 0.05)
    before = serving.seen()
    with closing(sqlite3.connect(serving.directory / "store.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        assert "'resources' may have been changed or not" in failing(
            serving.directory, "set", "proc:web", "--state", "stopped"
        )
        assert "'commands' may have been changed or not" in failing(serving.directory, "stop", "proc:web")
        serving.ok("status")
    assert serving.seen() == before


# ----------------------------------------------------------------------------------------- reading and changing


class Contested:
    """A store of one document, whose answers to the next transactions are given."""

    def __init__(self, *answers: Committed | Conflict | Unavailable, readable: bool = True) -> None:
        self.answers, self.readable = list(answers), readable
        self.revision, self.asked = 1, 0

    def read(self, prefixes: tuple[str, ...]) -> Snapshot | Unavailable:
        if not self.readable:
            return Unavailable("it is away")
        return Snapshot({"key": Document(self.revision, self.revision)}, self.revision)

    def transact(self, checks: Mapping[str, int], writes: Mapping[str, JSON]) -> Committed | Conflict | Unavailable:
        assert checks == {"key": self.revision, "other": 0}
        self.asked += 1
        answer = self.answers.pop(0)
        self.revision += isinstance(answer, Conflict)
        return answer

    def changed(self, since: int, prefixes: tuple[str, ...]) -> bool:
        return False

    def close(self) -> None:
        pass


def more(seen: Snapshot) -> int:
    value: int = seen["key"].value
    return value + 100


def test_a_conflict_is_judged_anew() -> None:
    store = Contested(Conflict("key"), Conflict("other"), Committed(9))
    assert update(store, "key", more, ("other",)) == 103
    assert store.asked == 3


def test_conflicts_come_to_an_end() -> None:
    store = Contested(*[Conflict("key")] * ATTEMPTS)
    with pytest.raises(StoreError, match="100 times in a row: nothing was changed, try again"):
        update(store, "key", more, ("other",))
    assert store.asked == ATTEMPTS


def test_no_answer_to_a_change_is_not_repeated() -> None:
    store = Contested(Unavailable("it is away"), Committed(9))
    with pytest.raises(StoreError, match="it is away; 'key' may have been changed or not"):
        update(store, "key", more, ("other",))
    assert store.asked == 1


def test_no_answer_to_a_read_changes_nothing() -> None:
    store = Contested(readable=False)
    with pytest.raises(StoreError, match="it is away; nothing was changed"):
        update(store, "key", more)
    with pytest.raises(StoreError):
        read(store)


def test_what_is_so_already_is_not_written() -> None:
    store = Contested()
    assert update(store, "key", lambda seen: seen["key"].value) == 1
    assert store.asked == 0
