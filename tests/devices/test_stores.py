"""What every store promises, held against each engine: what a transaction means, a dict as model, many at once."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from hacore.devices.store import Store
from hacore.protocol.requests import ABSENT, Committed, Conflict, Document, Snapshot, Unavailable
from tests.devices.stores import Place, PmxcfsPlace, committed, read, soon

# ------------------------------------------------------------------------------------------------------- semantics


def test_a_new_store_is_empty(store: Store) -> None:
    new = read(store, "")
    assert new.documents == {}
    assert store.transact({}, {}) == Committed(new.revision)
    assert store.read(()) == new


def test_every_writing_transaction_has_the_next_revision(store: Store) -> None:
    first = read(store).revision + 1
    assert store.transact({}, {"a": 1, "b": {"x": [1, None]}}) == Committed(first)
    assert store.transact({"a": first}, {"a": 2}) == Committed(first + 1)
    documents = {"a": Document(2, first + 1), "b": Document({"x": [1, None]}, first)}
    assert store.read(("",)) == Snapshot(documents, first + 1)
    assert store.read(("b", "a")) == Snapshot(documents, first + 1)


def test_a_conflict_names_the_key_and_writes_nothing(store: Store) -> None:
    one = committed(store.transact({}, {"a": 1, "b": 1}))
    assert store.transact({"a": one, "b": one + 6}, {"a": 2, "c": 2}) == Conflict("b")
    assert store.transact({"a": 0}, {"c": 2}) == Conflict("a")
    assert store.transact({"c": one}, {"c": 2}) == Conflict("c")
    assert read(store, "") == Snapshot({"a": Document(1, one), "b": Document(1, one)}, one)


def test_without_writes_it_is_a_pure_check(store: Store) -> None:
    one = committed(store.transact({}, {"a": 1}))
    assert store.transact({"a": one, "b": 0}, {}) == Committed(one)
    assert store.transact({"a": 0}, {}) == Conflict("a")
    assert read(store).revision == one


def test_a_removed_key_is_absent_and_never_has_an_old_revision_again(store: Store) -> None:
    one = committed(store.transact({}, {"a": 1}))
    assert store.transact({"a": one}, {"a": None, "never": None}) == Committed(one + 1)
    assert read(store, "a")["a"] == ABSENT
    assert store.transact({"a": one}, {}) == store.transact({"a": one + 1}, {}) == Conflict("a")
    assert store.transact({"a": 0}, {"a": 1}) == Committed(one + 2)
    assert read(store, "a")["a"] == Document(1, one + 2)


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
    assert read(store, "").documents == {}


def test_a_megabyte_is_no_trouble(place: Place, store: Store) -> None:
    if isinstance(place, PmxcfsPlace):
        pytest.skip("a file of pmxcfs has a megabyte at most")
    for key in "abc":
        committed(store.transact({}, {key: key * 1_400_000}))
    assert [read(store, "")[key].value for key in "abc"] == [key * 1_400_000 for key in "abc"]


KEYS = st.sampled_from(["a", "aa", "a\U0010ffff", "b", "b%", "\x00", "\ud7ff", "\ue000", "\U0010ffff"])
PREFIXES = st.lists(st.just("") | KEYS, max_size=3).map(tuple)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


class AgainstADict(RuleBasedStateMachine):
    """Two stores opened on one place, one of them now and then anew, do what a dict does."""

    place: Place

    def __init__(self) -> None:
        super().__init__()
        self.here = self.place.another()
        self.stores = [self.here.open(), self.here.open()]
        self.documents: dict[str, Document] = {}
        self.touched: dict[str, int] = {}
        self.base = self.number = read(self.stores[0]).revision

    def teardown(self) -> None:
        for store in self.stores:
            store.close()

    def revision(self, key: str) -> int:
        return self.documents.get(key, ABSENT).revision

    @rule(which=st.booleans(), right=st.sets(KEYS, max_size=3), writes=st.dictionaries(KEYS, VALUES, max_size=4))
    def transact(self, which: bool, right: set[str], writes: dict[str, Any]) -> None:
        changing = any(value is not None or key in self.documents for key, value in writes.items())
        number = committed(self.stores[which].transact({key: self.revision(key) for key in right}, writes))
        assert number == self.number + 1 if changing else number - self.number in {0, bool(writes)}
        self.number = number
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
        since = max(self.number - ago, self.base)
        newer = any(key.startswith(prefixes) for key, revision in self.touched.items() if revision > since)
        if newer and not self.here.prompt:
            assert soon(lambda: self.stores[which].changed(since, prefixes))
        elif self.here.prompt:
            assert self.stores[which].changed(since, prefixes) == newer

    @rule()
    def reopen(self) -> None:
        self.stores[0].close()
        self.stores[0] = self.here.open()


def test_it_does_what_a_dict_does(place: Place) -> None:
    machine = type("Machine", (AgainstADict,), {"place": place})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=place.examples, stateful_step_count=25, deadline=None)
    )


# --------------------------------------------------------------------------------------------------------- changed


def test_changed_sees_what_this_process_writes(store: Store) -> None:
    new = read(store).revision
    assert not store.changed(new, ("",))
    a = committed(store.transact({}, {"a": 1}))
    assert soon(lambda: store.changed(new, ("",)))
    assert not store.changed(new, ("b",))
    b = committed(store.transact({}, {"b": 1}))
    assert soon(lambda: store.changed(new, ("b",)))
    assert not store.changed(a, ("a",))
    removed = committed(store.transact({}, {"a": None}))
    committed(store.transact({}, {"a": None}))
    assert soon(lambda: store.changed(b, ("a",)))
    assert not store.changed(removed, ("a",))


CHILD = """
import os, signal, sys, time
from pathlib import Path
from hacore.devices.store import etcd, pmxcfs, sqlite
from hacore.protocol.requests import Committed

store, name = eval(sys.argv[1]), sys.argv[2]
"""

WRITE_ONE = "store.transact({}, {name: 1})"
REMOVE_ONE = "store.transact({}, {name: None})"

INCREMENT = """
done = 0
while done < 50:
    counter = store.read(("counter",))["counter"]
    done += isinstance(store.transact({"counter": counter.revision}, {"counter": counter.value + 1}), Committed)
"""

INTERRUPT_PARENT = """
while True:
    time.sleep(0.001)
    os.kill(int(name), signal.SIGUSR1)
"""


@contextmanager
def spawned(program: str, place: Place, *names: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """One process a name; whoever is left at the end is killed."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", CHILD + program, place.expression()]
    children = [subprocess.Popen([*command, name], env=environment) for name in names]
    try:
        yield children
    finally:
        for child in children:
            child.kill()
            child.wait()


def test_changed_sees_other_processes_and_ignores_other_prefixes(place: Place, store: Store) -> None:
    mine = committed(store.transact({}, {"mine/a": 1, "other/a": 1}))
    assert not store.changed(mine, ("mine/",))
    with spawned(WRITE_ONE, place, "other/b") as [child]:
        assert child.wait() == 0
    assert soon(lambda: store.changed(mine, ("other/",)))
    assert not store.changed(mine, ("mine/",))
    with spawned(REMOVE_ONE, place, "mine/a") as [child]:
        assert child.wait() == 0
    assert soon(lambda: store.changed(mine, ("none", "mine/")))
    assert store.changed(mine, ("mine/",))
    assert not store.changed(mine + 2, ("",))
    assert not store.changed(mine, ())


# ------------------------------------------------------------------------------------------------------ many at once


def test_no_update_is_lost_between_processes(place: Place, store: Store) -> None:
    first = committed(store.transact({}, {"counter": 0}))
    with spawned(INCREMENT, place, *"abcd") as children:
        assert [child.wait() for child in children] == [0] * 4
    assert read(store, "counter")["counter"] == Document(200, first + 200)


def test_threads_share_a_store(store: Store) -> None:
    first = committed(store.transact({}, {"counter": 0}))

    def increment() -> None:
        done = 0
        while done < 25:
            counter = read(store, "counter")["counter"]
            done += isinstance(store.transact({"counter": counter.revision}, {"counter": counter.value + 1}), Committed)

    threads = [threading.Thread(target=increment) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(store, "counter")["counter"] == Document(100, first + 100)


class InterruptionError(Exception):
    pass


def test_an_interrupted_transaction_is_whole_and_the_next_one_works(place: Place, store: Store) -> None:
    armed, interrupted, number = False, 0, 0

    def interrupt(*_: object) -> None:
        nonlocal armed, interrupted
        if armed:
            armed = False
            interrupted += 1
            raise InterruptionError

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with closing(place.open()) as another, spawned(INTERRUPT_PARENT, place, str(os.getpid())):
            while interrupted < place.examples:
                number += 1
                with suppress(InterruptionError):
                    armed = True
                    committed(store.transact({}, {"left": number, "right": number}))
                    armed = False
                revision = committed(another.transact({}, {"another": number}))
                assert committed(store.transact({}, {})) >= revision
    finally:
        signal.signal(signal.SIGUSR1, before)
    found = read(store, "")
    assert found["left"] == found["right"]


# ------------------------------------------------------------------------------------------------------- its own end


def test_a_closed_store_is_unavailable(store: Store) -> None:
    one = committed(store.transact({}, {"a": 1}))
    store.close()
    store.close()
    assert store.read(("",)) == store.transact({}, {"a": 2}) == Unavailable("this process has closed the store")
    assert not store.changed(one - 1, ("",))


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
