"""The store in pmxcfs where pmxcfs is at its worst: late, deaf, without quorum, not there, or beside its HA manager."""

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

import pytest

from hacore.devices.store import StoreError, pmxcfs_calls, pmxcfs_files
from hacore.devices.store.pmxcfs import REMOVALS_KEPT, PmxcfsStore
from hacore.protocol.requests import Committed, Conflict, Document, Snapshot, Unavailable
from tests.devices.pmxcfs_cluster import PmxcfsCluster, needs_fuse, pmxcfs_cluster
from tests.devices.stores import PATIENT_S, committed, read, soon

pytestmark = [needs_fuse, pytest.mark.slow]

SLACK_S = 3.0
"""For a busy machine, beyond what a call may take."""

_numbers = count(1)


@pytest.fixture(scope="module")
def cluster_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PmxcfsCluster]:
    with pmxcfs_cluster(tmp_path_factory.mktemp("pmxcfs")) as cluster:
        yield cluster


@pytest.fixture
def cluster(cluster_one: PmxcfsCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[PmxcfsCluster]:
    """All is well before and after a test."""
    monkeypatch.setenv("PATH", str(cluster_one.programs), prepend=":")
    yield cluster_one
    for node in ("pve1", "pve2", "pve3"):
        cluster_one.tell(heal=node)
    cluster_one.units("inactive", "inactive")
    (cluster_one.mount / "pve1/ha/manager_status").unlink(missing_ok=True)


@pytest.fixture
def name(cluster: PmxcfsCluster) -> str:
    """A store of its own for each test."""
    name = f"store{next(_numbers)}"
    PmxcfsStore.create(cluster.path("pve1", name), PATIENT_S)
    return name


Opener = Callable[..., PmxcfsStore]


@pytest.fixture
def opened(cluster: PmxcfsCluster, name: str) -> Iterator[Opener]:
    """Opens the store on a node."""
    with ExitStack() as stores:

        def open_on(node: str, timeout_s: float = PATIENT_S) -> PmxcfsStore:
            return stores.enter_context(closing(PmxcfsStore(cluster.path(node, name), timeout_s)))

        yield open_on


A = TypeVar("A")


def answered(ask: Callable[[], A | Unavailable]) -> A:
    """The first answer that is one: where it may take a second, a very busy machine may need more than one try."""
    while isinstance(answer := ask(), Unavailable):  # the test's timeout is the bound
        time.sleep(0.1)
    return answer


def unavailable(answer: object) -> str:
    assert isinstance(answer, Unavailable), answer
    return answer.reason


# ----------------------------------------------------------------------------------------------- late, and too late


def test_what_comes_too_late_changes_nothing(cluster: PmxcfsCluster, opened: Opener) -> None:
    """A transaction is on its way when its deadline passes, another node commits, and then it arrives."""
    slow, other = opened("pve1", 1.0), opened("pve2")
    first = committed(other.transact({}, {"a": 1}))
    assert answered(lambda: slow.read(("a",)))["a"] == Document(1, first)
    cluster.tell(hold="pve1")
    assert "no answer from pmxcfs" in unavailable(slow.transact({"a": first}, {"a": "slow"}))
    assert other.transact({"a": first}, {"a": "other"}) == Committed(first + 1)
    cluster.tell(let_go="pve1")
    time.sleep(0.5)
    assert read(other, "") == Snapshot({"a": Document("other", first + 1)}, first + 1)
    assert answered(lambda: slow.transact({"a": first}, {"a": "slow"})) == Conflict("a")


def test_what_comes_late_but_first_is_whole(cluster: PmxcfsCluster, opened: Opener) -> None:
    slow, other = opened("pve1", 1.0), opened("pve2")
    assert answered(lambda: slow.read(("",))) == Snapshot({}, 0)
    cluster.tell(hold="pve1")
    unavailable(slow.transact({}, {"a": 1, "b": 2}))
    cluster.tell(let_go="pve1")
    assert soon(lambda: read(other, "").revision == 1)
    assert read(other, "") == Snapshot({"a": Document(1, 1), "b": Document(2, 1)}, 1)


def test_a_lock_and_a_look_would_not_do(cluster: PmxcfsCluster) -> None:
    """The danger is real: to look whether nobody else has written, and then to replace a file, is too late."""
    file = cluster.path("pve1", "file")
    replace = (
        f"import os; open({str(file) + '.new'!r}, 'w').write('slow'); os.rename({str(file) + '.new'!r}, {str(file)!r})"
    )
    cluster.tell(hold="pve1")
    slow = subprocess.Popen([sys.executable, "-c", replace])
    assert soon(file.with_name("file.new").exists)
    cluster.path("pve2", "file").write_text("other")
    cluster.tell(let_go="pve1")
    assert slow.wait() == 0
    assert cluster.path("pve2", "file").read_text() == "slow"


def test_what_is_left_over_is_removed_unless_somebody_is_about_to_use_it(
    cluster: PmxcfsCluster, opened: Opener, name: str
) -> None:
    directory = cluster.path("pve1", name)
    store = opened("pve1")
    committed(store.transact({}, {"a": 1}))
    for of in ("0.killed", "1.lost", "2.lost", "3.next", "30.later"):
        (directory / f"documents.{of}").touch()
    committed(store.transact({}, {"a": 2}))
    left = {it.name for it in directory.iterdir()}
    (head,) = (it for it in left if it.startswith("head.2."))
    assert left == {head, head.replace("head", "documents"), "documents.3.next", "documents.30.later"}


# ------------------------------------------------------------------------------------------------- quorum lost


def test_without_quorum_nobody_answers_from_memory(cluster: PmxcfsCluster, opened: Opener, name: str) -> None:
    store, rest = opened("pve1", 1.0), opened("pve2", 1.0)
    first = committed(opened("pve3").transact({}, {"a": 1}))
    for each in (store, rest):
        assert answered(partial(each.read, ("",))).revision == first
    cluster.tell(cut="pve1", wait_s=2.5)
    began_s = time.monotonic()
    for each in (store, rest):
        unavailable(each.read(("",)))
        assert time.monotonic() - began_s < 2 * 1.0 + SLACK_S
    assert soon(lambda: isinstance(rest.transact({"a": first}, {"a": 2}), Committed))
    assert [it.name for it in cluster.path("pve1", name).glob("head.1.*")], "pve1 still sees what was"
    for _ in range(2):
        assert "ermi" in unavailable(store.read(("",)))
        unavailable(store.transact({"a": first}, {"a": "wrong"}))
        unavailable(store.transact({}, {}))
    cluster.tell(heal="pve1", wait_s=0.5)
    assert soon(lambda: not isinstance(store.read(()), Unavailable))
    assert answered(lambda: store.read(("",)))["a"] == Document(2, first + 1)


# ----------------------------------------------------------------------------------------------- it hangs


def test_a_stopped_pmxcfs_is_unavailable_in_time(cluster: PmxcfsCluster, opened: Opener) -> None:
    store = opened("pve1", 1.0)
    committed(opened("pve2").transact({}, {"a": 1}))
    assert soon(lambda: store.changed(0, ("",)))
    cluster.tell(stop="pve1")
    for call in (lambda: store.read(("",)), lambda: store.transact({}, {"a": 2}), lambda: store.transact({}, {})):
        began_s = time.monotonic()
        unavailable(call())
        assert time.monotonic() - began_s < 1.0 + SLACK_S
    began_s = time.monotonic()
    for _ in range(20):
        store.changed(0, ("",))
    assert time.monotonic() - began_s < SLACK_S, "changed waits for nothing"
    cluster.tell(go_on="pve1")
    assert soon(lambda: isinstance(store.read(("",)), Snapshot))


def test_a_stopped_pmxcfs_does_not_keep_a_store_from_closing(cluster: PmxcfsCluster, name: str) -> None:
    store = PmxcfsStore(cluster.path("pve1", name), 0.5)
    store.changed(0, ("",))
    cluster.tell(stop="pve1")
    unavailable(store.read(("",)))
    began_s = time.monotonic()
    store.close()
    assert time.monotonic() - began_s < 5
    cluster.tell(go_on="pve1")


def test_threads_wait_for_each_other_no_longer_than_they_may(cluster: PmxcfsCluster, opened: Opener) -> None:
    store = opened("pve1", 1.0)
    cluster.tell(stop="pve1")
    took_s: list[float] = []

    def call() -> None:
        began_s = time.monotonic()
        unavailable(store.read(("",)))
        took_s.append(time.monotonic() - began_s)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(took_s) == 3
    assert max(took_s) < 1.0 + SLACK_S


# ----------------------------------------------------------------------------------------- what an operator must mend


def mend(store: PmxcfsStore) -> str:
    with pytest.raises(StoreError) as told:
        answered(lambda: store.read(("",)))
    with pytest.raises(StoreError):
        store.transact({}, {"a": 1})
    assert not store.changed(0, ("",))
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.usefixtures("cluster")
def test_where_pmxcfs_is_not_mounted_nothing_is_written(tmp_path: Path) -> None:
    place = tmp_path / "hacore"
    with pytest.raises(StoreError, match="is not on pmxcfs"):
        PmxcfsStore.create(place, PATIENT_S)
    with closing(PmxcfsStore(place, PATIENT_S)) as store:
        assert "is pmxcfs running" in mend(store)
        place.mkdir()
        assert "is not on pmxcfs, which is not running" in mend(store)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("states", [("active", "inactive"), ("inactive", "activating"), ("unclear", "inactive"), ()])
def test_beside_the_units_of_an_ha_manager_it_refuses(
    cluster: PmxcfsCluster, opened: Opener, name: str, states: tuple[str, ...]
) -> None:
    cluster.units(*states)
    assert "systemctl disable --now pve-ha-lrm.service pve-ha-crm.service" in mend(opened("pve1"))
    assert [it.name for it in cluster.path("pve1", name).glob("head.*")] == ["head.0.new"]


def test_beside_an_ha_manager_elsewhere_it_refuses(cluster: PmxcfsCluster, opened: Opener) -> None:
    (cluster.mount / "pve2" / "ha" / "manager_status").write_text("{}")
    assert "is at work (" in mend(opened("pve1"))
    cluster.tell(later_s=pmxcfs_files.FRESH_S + 1)
    assert read(opened("pve1"), "").revision == 0


def test_without_systemctl_nobody_knows(opened: Opener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    unavailable(opened("pve1").read(("",)))


def test_what_is_too_large_is_refused(opened: Opener) -> None:
    store = opened("pve1")
    committed(store.transact({}, {"a": 1}))
    with pytest.raises(StoreError, match="more than pmxcfs holds in a file"):
        store.transact({}, {"a": "x" * 1_100_000})
    assert read(store, "") == Snapshot({"a": Document(1, 1)}, 1)
    committed(store.transact({}, {"b": 1}))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda it: (it / "head.7.other").touch(), "has 2 heads"),
        (lambda it: (it / "head.0.new").unlink(), "has 0 heads"),
        (lambda it: (it / "documents.0.new").unlink(), "has lost documents.0.new"),
        (lambda it: (it / "documents.0.new").write_text("{"), "the documents of 0.new in /"),
        (lambda it: (it / "documents.0.new").write_text("[]"), "the documents of 0.new in /"),
    ],
)
def test_a_damaged_store_is_refused(
    cluster: PmxcfsCluster, opened: Opener, name: str, spoil: Callable[[Path], object], says: str
) -> None:
    spoil(cluster.path("pve1", name))
    assert says in mend(opened("pve1"))


def test_create_makes_one_store_whoever_asks(cluster: PmxcfsCluster) -> None:
    paths = [cluster.path(node, "made") for node in ("pve1", "pve2", "pve3")]
    threads = [threading.Thread(target=PmxcfsStore.create, args=(path, PATIENT_S)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(it.name for it in paths[0].iterdir()) == ["documents.0.new", "head.0.new"]
    with closing(PmxcfsStore(paths[0], PATIENT_S)) as store:
        committed(store.transact({}, {"a": 1}))
        PmxcfsStore.create(paths[1], PATIENT_S)
        assert read(store, "").revision == 1


# ------------------------------------------------------------------------------------------------------- changed


def test_a_removal_is_forgotten_in_time_and_then_changed_says_yes(opened: Opener) -> None:
    store = opened("pve1")
    passing = {f"passing/{number}": 1 for number in range(REMOVALS_KEPT + 1)}
    committed(store.transact({}, {"kept": 1, **passing}))
    half = dict.fromkeys(list(passing)[:2])
    committed(store.transact({}, half))
    committed(store.transact({}, {key: None for key in passing if key not in half}))
    assert soon(lambda: store.changed(2, ("passing/",)))
    assert not store.changed(2, ("kept",))
    assert store.changed(1, ("kept",)), "who knows"


def test_a_watching_process_that_ends_is_replaced(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pmxcfs_calls, "AGAIN_S", 0.1)
    store = opened("pve1")
    committed(store.transact({}, {"a": 1}))
    assert soon(lambda: store.changed(0, ("a",)))
    process = store._watch._process
    assert process
    process.kill()
    process.wait()
    committed(store.transact({}, {"b": 1}))
    assert soon(lambda: store.changed(1, ("b",)))


# ------------------------------------------------------------------------------------- the file system of these tests


def test_locks_are_as_in_the_real_pmxcfs(cluster: PmxcfsCluster) -> None:
    mine, other = (cluster.mount / node / "priv" / "lock" / "it" for node in ("pve1", "pve2"))
    mine.mkdir()
    with pytest.raises(FileExistsError):
        other.mkdir()
    later = int(mine.stat().st_mtime) + 1000
    os.utime(mine, (0, later))
    for path, when in ((mine, later - 1), (other, later + 1), (other, 0)):
        with pytest.raises(PermissionError):
            os.utime(path, (0, when))
    with pytest.raises(PermissionError):
        mine.rename(mine.with_name("moved"))
    cluster.tell(later_s=2000)
    with pytest.raises(FileNotFoundError):
        os.utime(other, (0, 0))
    other.mkdir()
    mine.rmdir()
    mine.mkdir()
    with pytest.raises(PermissionError):
        os.utime(other, (0, later + 5000))
    cluster.tell(cut="pve1")
    for error in (errno.EPERM, errno.EACCES, errno.EACCES):
        with pytest.raises(PermissionError) as told:
            mine.rmdir()
        assert told.value.errno == error
    assert mine.stat().st_mode & 0o777 == 0o500
