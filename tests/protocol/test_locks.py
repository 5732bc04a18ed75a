"""A lock's token only grows, and a lock is taken only by who has seen it stand still for long enough."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacore.protocol.locks import FENCING, MANAGER_LOCK, Lock, Watch, agent_lock, heartbeat
from hacore.protocol.requests import ABSENT, Document, Snapshot

KEY = agent_lock("n1")
LIFETIME_S = 9.0

owners = st.sampled_from(["n1", "n2", FENCING])
changes = st.lists(st.tuples(st.sampled_from(["taken", "renewed", "released"]), owners), max_size=20)


def changed(lock: Lock, how: str, owner: str) -> Lock:
    if how == "taken":
        return lock.taken(owner, LIFETIME_S)
    return lock.renewed() if how == "renewed" else lock.released()


def snapshot(revision: int) -> Snapshot:
    """The lock's document with this revision; 0: there is none."""
    return Snapshot({KEY: Document({}, revision)} if revision else {}, revision)


def seen(*reads: tuple[int, float]) -> Watch:
    """A watch that has seen the lock's revisions at these times."""
    watch = Watch()
    for revision, now_s in reads:
        watch.see(snapshot(revision), [KEY], now_s)
    return watch


# -------------------------------------------------------------------------------------------------------- the lock


def test_a_lock_never_taken_is_free() -> None:
    assert Lock.of(ABSENT) == Lock("", 0, 0, 0.0)


def test_taking_raises_the_token_and_names_the_owner() -> None:
    assert Lock("n1", 4, 17, 5.0).taken("n2", LIFETIME_S) == Lock("n2", 5, 0, LIFETIME_S)


def test_renewing_changes_the_document_and_keeps_owner_and_token() -> None:
    lock = Lock("n1", 4, 17, 5.0)
    assert lock.renewed() == replace(lock, renewals=18)


def test_releasing_keeps_the_token() -> None:
    assert Lock("n1", 4, 17, 5.0).released() == Lock("", 4, 17, 5.0)


@given(changes)
def test_the_token_grows_with_each_owner_and_never_shrinks(steps: list[tuple[str, str]]) -> None:
    lock = Lock()
    for how, owner in steps:
        before, lock = lock, changed(lock, how, owner)
        assert lock.token == before.token + (how == "taken")


@given(changes)
def test_no_owner_ever_has_the_token_of_another(steps: list[tuple[str, str]]) -> None:
    lock, owner_of = Lock(), dict[int, str]()
    for how, owner in steps:
        lock = changed(lock, how, owner)
        if lock.owner:
            assert owner_of.setdefault(lock.token, lock.owner) == lock.owner


@given(changes)
def test_a_lock_reads_back_from_its_document(steps: list[tuple[str, str]]) -> None:
    lock = Lock()
    for how, owner in steps:
        lock = changed(lock, how, owner)
        assert Lock.of(Document(lock.document(), 1)) == lock


@given(st.text(), st.text())
def test_keys_do_not_meet(one: str, other: str) -> None:
    assert len({MANAGER_LOCK, agent_lock(one), heartbeat(other)}) == 3
    assert (agent_lock(one) == agent_lock(other)) == (one == other)


# ------------------------------------------------------------------------------------------------------- the watch


def test_time_is_counted_from_the_first_sight() -> None:
    watch = seen((3, 100.0), (3, 104.0), (3, 107.0))
    assert watch.unchanged_s(KEY, 110.0) == 10.0


@pytest.mark.parametrize("revision", [4, 99, 2], ids=["next", "later", "earlier"])
def test_any_other_revision_starts_the_count_again(revision: int) -> None:
    watch = seen((3, 100.0), (revision, 107.0))
    assert watch.unchanged_s(KEY, 110.0) == 3.0


def test_what_is_absent_was_last_seen_when_it_was_there() -> None:
    removed = seen((3, 100.0), (4, 103.0), (0, 107.0))
    assert removed.unchanged_s(KEY, 110.0) == 7.0
    assert not removed.changed_within(KEY, 60.0, 107.0)
    assert seen((3, 100.0), (0, 107.0), (3, 108.0)).changed_within(KEY, 60.0, 110.0)


def test_who_begins_anew_has_seen_all_just_now_and_waits_for_changes() -> None:
    watch = seen((3, 100.0), (4, 103.0))
    watch.begin_anew([KEY], 5.0, 104.0)
    assert watch.changed_within(KEY, 5.0, 104.0)  # it changed lately: nothing is to be waited for
    watch.begin_anew([KEY], 5.0, 120.0)
    assert watch.unchanged_s(KEY, 121.0) == 1.0
    assert not watch.changed_within(KEY, 5.0, 121.0)


def test_what_appears_starts_the_count_again() -> None:
    assert seen((0, 100.0), (1, 107.0)).unchanged_s(KEY, 110.0) == 3.0


def test_what_was_never_looked_at_has_not_stood_still() -> None:
    assert Watch().unchanged_s(KEY, 1e9) == 0.0
    assert seen((3, 100.0)).unchanged_s(agent_lock("n2"), 1e9) == 0.0


def test_what_is_absent_stands_still_as_well() -> None:
    """A node whose heartbeat was never written is lost after the delay, counted from the first look."""
    assert seen((0, 100.0)).unchanged_s(KEY, 110.0) == 10.0


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.0, 5.0)), min_size=1, max_size=20))
def test_a_document_has_stood_still_for_as_long_as_its_last_revision_was_seen(reads: list[tuple[int, float]]) -> None:
    watch, now_s, since_s, last = Watch(), 0.0, 0.0, -1
    for revision, later_s in reads:
        now_s += later_s
        if revision != last:
            since_s = now_s if revision or last == -1 else since_s
            last = revision
        watch.see(snapshot(revision), [KEY], now_s)
        assert watch.unchanged_s(KEY, now_s) == now_s - since_s


def test_only_what_was_seen_to_change_has_changed_lately() -> None:
    found = seen((3, 100.0), (3, 101.0))
    assert not found.changed_within(KEY, 5.0, 101.0)
    changed_since = seen((3, 100.0), (4, 101.0))
    assert changed_since.changed_within(KEY, 5.0, 105.9)
    assert not changed_since.changed_within(KEY, 5.0, 106.0)
    assert seen((0, 100.0), (1, 101.0)).changed_within(KEY, 5.0, 101.0)
    assert not Watch().changed_within(KEY, 5.0, 0.0)


@pytest.mark.parametrize(
    ("theirs_s", "mine_s", "after_s", "is_expired"),
    [
        (9.0, 9.0, 8.9, False),
        (9.0, 9.0, 9.0, True),
        (20.0, 9.0, 19.9, False),
        (20.0, 9.0, 20.0, True),
        (9.0, 20.0, 19.9, False),
        (9.0, 20.0, 20.0, True),
    ],
)
def test_a_lock_expires_after_the_longer_lifetime(
    theirs_s: float, mine_s: float, after_s: float, is_expired: bool
) -> None:
    lock = Lock("n1", 1, 0, theirs_s)
    assert seen((3, 100.0)).expired(KEY, lock, mine_s, 100.0 + after_s) is is_expired


def test_a_free_lock_is_to_be_had_at_once() -> None:
    assert Watch().expired(KEY, Lock(), LIFETIME_S, 0.0)
    assert Watch().expired(KEY, Lock("n1", 7, 3, LIFETIME_S).released(), LIFETIME_S, 0.0)


def test_a_lock_that_was_never_looked_at_is_not_expired() -> None:
    assert not Watch().expired(KEY, Lock("n1", 1, 0, 0.1), 0.1, 1e9)
