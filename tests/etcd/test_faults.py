"""Three real members under faults: what is never answered, what always is, and how soon."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import TypeVar

import pytest

from hacore.devices.store.etcd import EtcdStore
from hacore.devices.store.etcd_watch import SILENCE_S
from hacore.protocol.requests import Committed, Snapshot, Unavailable
from tests.etcd.member import needs_etcd
from tests.etcd.net import needs_namespaces
from tests.etcd.three import Three, ask, snapshot, wait_for

pytestmark = [needs_etcd, needs_namespaces]

TIMEOUT_S = 0.6
SLACK_S = 0.4
"""What a busy machine may add to a call's deadline before the caller is awake again."""
ELECTION_S = 8.0
"""Longer than an election takes, on a busy machine, from the moment at which it becomes needed."""

A = TypeVar("A")


@pytest.fixture(scope="module")
def three_of_them(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    with closing(Three(tmp_path_factory.mktemp("three"))) as three:
        yield three


@pytest.fixture
def three(three_of_them: Three) -> Three:
    three_of_them.settle()
    return three_of_them


@pytest.fixture
def opened(three: Three) -> Iterator[Callable[..., EtcdStore]]:
    """Opens stores that know some members."""
    with ExitStack() as stack:
        yield lambda *numbers: stack.enter_context(closing(three.store(*numbers, timeout_s=TIMEOUT_S)))


def in_time(call: Callable[[], A]) -> A:
    """The answer, which must be there at the call's deadline."""
    began_s = time.monotonic()
    answer = call()
    assert time.monotonic() - began_s < TIMEOUT_S + SLACK_S
    return answer


def writes(store: EtcdStore, value: object) -> Callable[[], bool]:
    """Whether a transaction is committed; if it is not it must be Unavailable, in time."""

    def write() -> bool:
        answer = in_time(lambda: store.transact({}, {"a": value}))
        assert isinstance(answer, Committed | Unavailable)
        return isinstance(answer, Committed)

    return write


def test_any_member_will_do(opened: Callable[..., EtcdStore]) -> None:
    stores = [opened(number) for number in range(3)]
    for value, store in enumerate(stores):
        wait_for("a commit", writes(store, value))
        assert [snapshot(other)["a"].value for other in stores] == [value] * 3


def _others(number: int) -> list[int]:
    return [other for other in range(3) if other != number]


def deafen(three: Three, leader: int) -> None:
    three.net.drop(leader, _others(leader))


def mute(three: Three, leader: int) -> None:
    for other in _others(leader):
        three.net.drop(other, [leader])


def part(three: Three, leader: int) -> None:
    three.net.part(leader)


@pytest.mark.parametrize("parting", [part, deafen, mute])
def test_a_leader_that_is_parted_answers_nothing_and_the_others_go_on(
    three: Three, opened: Callable[..., EtcdStore], parting: Callable[[Three, int], None]
) -> None:
    leader = three.leader()
    minority, majority = opened(leader), opened(*_others(leader))
    wait_for("a commit", writes(minority, "before"))
    parting(three, leader)
    parted_s = time.monotonic()
    wait_for("the others to go on", writes(majority, "after"), ELECTION_S)
    if parting is part:
        assert isinstance(in_time(lambda: minority.read(("",))), Unavailable)
        assert isinstance(in_time(lambda: minority.transact({}, {"a": "lost"})), Unavailable)
        assert isinstance(in_time(lambda: minority.transact({"a": 1}, {})), Unavailable)
    else:  # it may hear of the new leader, and pass on to it what it is asked
        answer = in_time(lambda: minority.read(("",)))
        assert isinstance(answer, Unavailable) or answer["a"].value == "after"
    assert time.monotonic() - parted_s < ELECTION_S + 4 * (TIMEOUT_S + SLACK_S)
    assert snapshot(majority)["a"].value == "after"
    three.net.heal()
    wait_for("the leader of old to be back", lambda: isinstance(minority.read(("",)), Snapshot))
    assert snapshot(minority)["a"].value == "after"


@pytest.mark.parametrize("nothing", [(), ("",)])
def test_a_parted_follower_answers_no_read_and_no_check(
    three: Three, opened: Callable[..., EtcdStore], nothing: tuple[str, ...]
) -> None:
    """Also what asks for no document at all: etcd takes that for serializable if one lets it, as is shown first."""
    follower = _others(three.leader())[0]
    minority = opened(follower)
    snapshot(minority)
    three.net.part(follower)
    assert ask(three.urls[follower], "kv/txn", {"success": []})["succeeded"]
    assert isinstance(in_time(lambda: minority.read(nothing)), Unavailable)
    assert isinstance(in_time(lambda: minority.transact({}, {})), Unavailable)


def test_a_paused_leader_is_left_for_another_member(three: Three, opened: Callable[..., EtcdStore]) -> None:
    leader = three.leader()
    store = opened(leader, *_others(leader))
    wait_for("a commit", writes(store, "before"))
    three.members[leader].pause()
    assert isinstance(in_time(lambda: store.transact({}, {"a": "lost"})), Unavailable), "it was sent: never again"
    wait_for("the others to go on", writes(store, "after"), ELECTION_S)
    assert in_time(lambda: snapshot(store))["a"].value == "after"


def test_a_read_passes_over_a_paused_follower_within_its_own_time(
    three: Three, opened: Callable[..., EtcdStore]
) -> None:
    follower = _others(three.leader())[0]
    store = opened(follower, *_others(follower))
    snapshot(store)
    three.members[follower].pause()
    assert isinstance(in_time(lambda: store.read(("",))), Snapshot)


def test_a_killed_member_is_passed_over_at_once_also_by_a_transaction(
    three: Three, opened: Callable[..., EtcdStore]
) -> None:
    follower = _others(three.leader())[0]
    store = opened(follower, *_others(follower))
    wait_for("a commit", writes(store, "before"))
    three.members[follower].kill()
    assert isinstance(in_time(lambda: store.transact({}, {"a": "after"})), Committed), "it was not sent to the dead"


def test_a_change_wakes_at_once_and_from_another_member_when_one_is_silent(
    three: Three, opened: Callable[..., EtcdStore]
) -> None:
    watcher, writer = opened(0, 1, 2), opened(1, 2)
    since = snapshot(watcher).revision
    assert not watcher.changed(since, ("a",))
    wait_for("a commit", writes(writer, "one"))
    assert wait_for("word of it", lambda: watcher.changed(since, ("a",))) < 1.0
    since = snapshot(watcher).revision
    assert not watcher.changed(since, ("a",))
    three.members[0].pause()
    wait_for("the others to go on", writes(writer, "two"), ELECTION_S)
    wait_for("word of it, from another", lambda: watcher.changed(since, ("a",)), SILENCE_S + ELECTION_S)
