"""Documents in one SQLite file: the store of a cluster whose nodes are all processes of one machine.

1. **Promise.** ``kill -9`` of any process at any moment neither damages the store nor loses a transaction that was
   reported as committed. A crash of the whole machine does not damage it either, but may take back the transactions
   of the last moments; it ends every emulated node as well.
2. **One file, three names.** The store is FILE with FILE-wal and FILE-shm (https://sqlite.org/wal.html). They are
   moved, copied and removed together, and only while no process has the store open. They are on a local disk.
3. **A paused writer stops all others.** There is one write lock, and SQLite cannot take it from a process that was
   paused (SIGSTOP, a frozen container) inside a transaction: every other writer answers ``Unavailable`` until that
   process goes on or is killed. Readers are not stopped. So a transaction holds the lock for as short a time as can
   be: all values are encoded before, and nothing but a handful of statements happens inside.
4. **Bounds.** A call waits for locks at most ``timeout_s``. It does not bound a disk that hangs, and one wait of
   SQLite's own is longer: a writer paused within the few nanoseconds in which it publishes its commit makes readers
   retry for up to 10 s (walTryBeginRead in SQLite's wal.c); then they answer ``Unavailable`` too.
5. **Checkpoints are ours.** SQLite before 3.51.3 (but not 3.50.7 and 3.44.6) can lose commits when a checkpoint runs
   while another process starts the log anew ("the WAL-reset bug", https://sqlite.org/wal.html#walresetbug), and such
   versions are what distributions ship. So SQLite's automatic checkpoint is off, and ours runs only while this
   process holds the write lock: no other process can start the log anew meanwhile.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeAlias, TypeVar

from hacore.devices.store import StoreError
from hacore.devices.store.coding import bounds, key_bytes, value_text
from hacore.protocol.requests import JSON, Committed, Conflict, Document, Snapshot, Unavailable

APPLICATION_ID = 0x68616372
"""PRAGMA application_id, bytes 68 to 71 of the file: "hacr"."""

SCHEMA_VERSION = 1
"""PRAGMA user_version: raised whenever the tables below change."""

HOUSEKEEPING_EVERY = 256
"""The transaction whose revision this divides copies the log back into the file: the log stays at some megabytes."""

REMOVALS_KEPT = 10_000
"""For how many revisions a removal is remembered. ``changed`` since an older revision says True, to be safe."""

# Keys are UTF-8 in a BLOB: compared byte by byte, and any prefix has a plain upper bound (see coding.py). A document
# whose value is NULL was removed. ``forgotten`` is the newest revision of the removals that are no longer kept.
SCHEMA = f"""
BEGIN;
CREATE TABLE documents (key BLOB PRIMARY KEY, value TEXT, revision INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX by_revision ON documents (revision);
CREATE INDEX removals ON documents (revision) WHERE value IS NULL;
CREATE TABLE state (number INTEGER NOT NULL, forgotten INTEGER NOT NULL);
INSERT INTO state VALUES (0, 0);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
"""Another process has the lock. SQLITE_PROTOCOL is how SQLite ends the 10 s of rule 4."""

_TROUBLE = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
"""The disk or the file system says no, and may say yes next time (https://sqlite.org/rescode.html)."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""The file is not, or no longer, a store. SQLITE_ERROR: a table is missing."""

_FOREIGN = "{} is not a store: name another file, or remove it and create a store"

A = TypeVar("A")
_Checks: TypeAlias = list[tuple[bytes, int]]


class SqliteStore:
    """A :class:`hacore.devices.store.Store` in the SQLite file ``path``, made once with :meth:`create`.

    A process that forks opens its own store afterwards: SQLite's locks do not survive a fork.
    """

    def __init__(self, path: Path, timeout_s: float) -> None:
        """Open the store; ``timeout_s`` bounds each call's wait for locks, in seconds.

        Raises:
            StoreError: there is no store at ``path``, or it is damaged, foreign, of another version or not writable.
        """
        self._path = path.resolve()
        self._timeout_s = timeout_s
        self._pid = os.getpid()
        self._closed = threading.Event()
        self._registry = threading.Lock()
        self._local = threading.local()
        self._sessions: weakref.WeakSet[_Session] = weakref.WeakSet()
        try:
            self._session().check()
        except sqlite3.DatabaseError as error:
            # A store that is merely busy is a good store: the first call will say Unavailable.
            if _code(error) not in _BUSY:
                raise _damaged(self._path, error) from error

    @staticmethod
    def create(path: Path) -> None:
        """Make a new, empty store at ``path``. Whoever opens it meanwhile finds all of it or nothing.

        Raises:
            StoreError: there is something at ``path`` already, or the directory cannot be written to.
        """
        path = path.resolve()
        for suffix in ("", "-wal", "-shm"):  # an older store's log would be played into the new file
            name = f"{path}{suffix}"
            if os.path.lexists(name):
                raise StoreError(f"cannot create the store {path}: {name} exists; use it, or remove it first")
        try:
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            os.close(handle)
            try:
                with closing(_connect(Path(temporary), 0)) as db:
                    db.executescript(SCHEMA)
                    db.execute("PRAGMA journal_mode = WAL")
                os.link(temporary, path)  # fails, unlike a rename, if somebody else was faster
            finally:
                Path(temporary).unlink()
        except (OSError, sqlite3.DatabaseError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise StoreError(f"cannot create the store {path}: {reason}; see to the directory {path.parent}") from error

    def read(self, prefixes: tuple[str, ...]) -> Snapshot | Unavailable:
        """See :meth:`hacore.devices.store.Store.read`."""
        ranges = [bounds(prefix.encode()) for prefix in prefixes]
        return self._answer(lambda session: session.read(ranges))

    def transact(self, checks: Mapping[str, int], writes: Mapping[str, JSON]) -> Committed | Conflict | Unavailable:
        """See :meth:`hacore.devices.store.Store.transact`."""
        expected = [(key_bytes(key), revision) for key, revision in checks.items()]
        values = [(key_bytes(key), value_text(key, value)) for key, value in writes.items() if value is not None]
        removed = [key_bytes(key) for key, value in writes.items() if value is None]
        if not writes:
            return self._answer(lambda session: session.verify(expected))
        return self._answer(lambda session: session.write(expected, values, removed))

    def changed(self, since: int, prefixes: tuple[str, ...]) -> bool:
        """See :meth:`hacore.devices.store.Store.changed`. Costs one look at shared memory if nothing was written."""
        try:
            return self._answer(lambda session: session.changed(since, prefixes)) is True
        except StoreError:
            return False

    def close(self) -> None:
        """See :meth:`hacore.devices.store.Store.close`."""
        self._closed.set()
        with self._registry:
            for session in self._sessions:
                session.close()

    def _answer(self, work: Callable[[_Session], A]) -> A | Unavailable:
        """Let this thread's session do ``work``; say in the protocol's words what went wrong."""
        try:
            session = self._session()
            with session.lock:
                if self._closed.is_set():
                    session.db.close()
                    return Unavailable("this process has closed the store")
                if session.file != _identity(self._path):
                    # Two files of one name are two clusters that do not see each other: never go on with the older.
                    trouble = "was removed or replaced while in use: stop every process that uses it"
                    raise StoreError(f"the store {self._path} {trouble}")
                return work(session)
        except sqlite3.DatabaseError as error:
            if _code(error) in _BUSY | _TROUBLE:
                return Unavailable(f"{self._path}: {error}")
            if _code(error) in _DAMAGED:
                raise _damaged(self._path, error) from error
            raise

    def _session(self) -> _Session:
        """This thread's connection: threads of one process wait for each other no more than processes do."""
        if os.getpid() != self._pid:
            raise RuntimeError("a store cannot be used across a fork: open it in the new process")
        session: _Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = _Session(self._path, self._timeout_s)
            with self._registry:
                self._sessions.add(session)
        return session


class _Session:
    """One thread's connection. Only its own thread works with it; ``lock`` keeps :meth:`close` out meanwhile."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self.lock = threading.Lock()
        _insist_on_a_usable_file(path)
        self.path = path
        self.db = _connect(path, timeout_s)
        try:
            _insist_on_our_schema(self.db, path)
            self.file = _identity(path)
        except BaseException:
            self.db.close()
            raise
        # What ``changed`` remembers: the newest revision that this connection may know of, the data version when it
        # last looked, and up to which revision it found nothing for the question asked last.
        self._number, self._data_version = 0, -1
        self._quiet: tuple[tuple[int, tuple[str, ...]] | None, int] = (None, 0)

    def close(self) -> None:
        with self.lock:
            self.db.close()

    def check(self) -> None:
        """Read the whole file once: a damaged store is found at the start, not by the first failover."""
        (verdict,) = self.db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise _damaged(self.path, verdict)
        self._newest()

    def read(self, ranges: list[tuple[bytes, bytes]]) -> Snapshot:
        documents: dict[str, Document] = {}
        with self._transaction("BEGIN"):
            number = self._newest()
            rows = [row for each in ranges for row in self.db.execute(_READ, each)]
        for key, value, revision in rows:
            documents[key.decode()] = Document(json.loads(value), revision)
        return Snapshot(documents, number)

    def verify(self, checks: _Checks) -> Committed | Conflict:
        """A pure check is a read: it waits for no writer and stops none."""
        with self._transaction("BEGIN"):
            return self._conflict(checks) or Committed(self._newest())

    def write(self, checks: _Checks, values: list[tuple[bytes, str]], removed: list[bytes]) -> Committed | Conflict:
        with self._transaction("BEGIN IMMEDIATE"):
            revision = self._newest() + 1
            conflict = self._conflict(checks)
            if conflict:
                return conflict
            self.db.executemany(_WRITE, [(key, value, revision) for key, value in values])
            self.db.executemany(_REMOVE, [(revision, key) for key in removed])
            self.db.execute("UPDATE state SET number = ?", (revision,))
            self._number = revision
            if revision % HOUSEKEEPING_EVERY == 0:
                for statement in _FORGET:
                    self.db.execute(statement, (revision - REMOVALS_KEPT,))
        if revision % HOUSEKEEPING_EVERY == 0:
            self._checkpoint()
        return Committed(revision)

    def changed(self, since: int, prefixes: tuple[str, ...]) -> bool:
        question = (since, prefixes)
        # The data version is unequal whenever another connection has committed, and says nothing of our own commits
        # (https://sqlite.org/pragma.html#pragma_data_version); _number knows those.
        (version,) = self.db.execute("PRAGMA data_version").fetchone()
        if self._quiet[0] == question:
            since = self._quiet[1]
        if version == self._data_version and self._number <= since:
            return False
        ranges = " OR ".join(["key >= ? AND key < ?"] * len(prefixes)) or "FALSE"
        parameters = [since, since, *(bound for prefix in prefixes for bound in bounds(prefix.encode()))]
        number, found = self.db.execute(_CHANGED.format(ranges=ranges), parameters).fetchone()
        self._number, self._data_version = number, version
        if not found:
            self._quiet = (question, number)
        return bool(found)

    def _newest(self) -> int:
        number: int = self.db.execute("SELECT number FROM state").fetchone()[0]
        return number

    def _conflict(self, checks: _Checks) -> Conflict | None:
        for key, expected in checks:
            row = self.db.execute("SELECT revision FROM documents WHERE key = ? AND value IS NOT NULL", (key,))
            if (row.fetchone() or (0,)) != (expected,):
                return Conflict(key.decode())
        return None

    def _checkpoint(self) -> None:
        """Copy the log back into the file while a second connection of ours keeps writers out (rule 5).

        The transaction before it is committed whatever becomes of this. A busy store is left for the next time.
        """
        with suppress(sqlite3.DatabaseError), closing(_connect(self.path, 0)) as guard:
            guard.execute("BEGIN IMMEDIATE")
            self.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        """Commit what is done inside, or nothing: also when a signal's handler raises in the midst of it."""
        try:
            self.db.rollback()  # does nothing, unless a signal's handler has broken off what is below
            self.db.execute(begin)
            yield
            self.db.execute("COMMIT")
        finally:
            self.db.rollback()


_READ = "SELECT key, value, revision FROM documents WHERE key >= ? AND key < ? AND value IS NOT NULL"
_WRITE = """
INSERT INTO documents VALUES (?, ?, ?)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision
"""
_REMOVE = "UPDATE documents SET value = NULL, revision = ? WHERE key = ? AND value IS NOT NULL"
_OLD_REMOVALS = "FROM documents INDEXED BY removals WHERE value IS NULL AND revision <= ?"
_FORGET = (
    f"UPDATE state SET forgotten = coalesce((SELECT max(revision) {_OLD_REMOVALS}), forgotten)",
    f"DELETE {_OLD_REMOVALS}",
)
_CHANGED = """
SELECT number, forgotten > ? OR EXISTS (
    SELECT 1 FROM documents INDEXED BY by_revision WHERE revision > ? AND ({ranges})
) FROM state
"""


def _connect(path: Path, timeout_s: float) -> sqlite3.Connection:
    """A connection to a file that exists, with transactions begun and ended by us only."""
    db = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False
    )
    # NORMAL: no commit waits for the disk. A killed process loses nothing, as the kernel has its log. FULL would only
    # add the last moments before a crash of the machine (rule 1), and would wait for the disk while it holds the
    # write lock: one slow disk would then look like the loss of the quorum to every node at once.
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    return db


def _insist_on_a_usable_file(path: Path) -> None:
    """Say what SQLite would call "unable to open database file". Opens nothing: to close it would drop our locks."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise StoreError(f"no store at {path} ({error.strerror}): name the right file, or create it") from None
    if not stat.S_ISREG(mode):
        raise StoreError(f"{path} is not a file: name the file of the store")
    if not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        raise StoreError(f"the store {path} is not readable and writable for this user: change its owner or mode")
    if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=True):
        raise StoreError(f"the directory of the store {path} is not writable for this user: change its owner or mode")


def _insist_on_our_schema(db: sqlite3.Connection, path: Path) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise StoreError(_FOREIGN.format(path))
    if version != SCHEMA_VERSION:
        wanted = f"this program needs {SCHEMA_VERSION}: use the release that made it"
        raise StoreError(f"the store {path} has version {version} and {wanted}")
    (journal,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if journal != "wal":
        raise StoreError(f"the store {path} has no write-ahead log ({journal}): put it on a local disk")


def _damaged(path: Path, what: sqlite3.DatabaseError | str) -> StoreError:
    if isinstance(what, sqlite3.DatabaseError) and _code(what) == sqlite3.SQLITE_NOTADB:
        return StoreError(_FOREIGN.format(path))
    line = " ".join(str(what).split())
    return StoreError(f"the store {path} is damaged ({line}): stop all nodes, then restore a copy or create it anew")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _code(error: sqlite3.DatabaseError) -> int:
    """The primary result code; -1 if the error is not SQLite's."""
    code: int = getattr(error, "sqlite_errorcode", -1)
    return code & 0xFF if code >= 0 else -1
