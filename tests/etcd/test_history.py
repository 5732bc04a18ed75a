"""Many at once, on three real members in random trouble: what was confirmed is there, what was refused is not.

Each transaction adds one to a count, and leaves a document of its own, conditional on both being as they were read. So
afterwards it can be told of each whether it happened, and the count tells whether any happened twice.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from hacore.devices.store import etcd
from hacore.devices.store.etcd_gateway import Gateway
from hacore.protocol.requests import Committed, Conflict, Unavailable
from tests.etcd.member import needs_etcd
from tests.etcd.net import needs_namespaces
from tests.etcd.three import Three, snapshot

pytestmark = [needs_etcd, needs_namespaces, pytest.mark.slow]

CLIENTS = 4
TROUBLE_S = 45.0


@pytest.fixture
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    with closing(Three(tmp_path_factory.mktemp("history"))) as three:
        three.settle()
        yield three


class History:
    """What became of each transaction, as its client was told; and how new a read had to be."""

    def __init__(self) -> None:
        self.committed: set[str] = set()
        self.refused: set[str] = set()
        self.unknown: set[str] = set()
        self.newest = 0
        self.violations: list[str] = []
        self.reads = 0
        self.began_s = time.monotonic()

    def note(self, name: str, answer: Committed | Conflict | Unavailable) -> None:
        if isinstance(answer, Committed):
            self.newest = max(self.newest, answer.revision)
            self.committed.add(name)
        else:
            (self.refused if isinstance(answer, Conflict) else self.unknown).add(name)


def client(three: Three, number: int, history: History, lock: threading.Lock, over: threading.Event) -> None:
    order = [(number + step) % 3 for step in range(3)]
    with closing(three.store(*order, timeout_s=0.5)) as store:
        for turn in range(10**6):
            if over.is_set():
                return
            with lock:
                newest = history.newest
            seen = store.read(("count",))
            if isinstance(seen, Unavailable):
                continue
            with lock:
                history.reads += 1
                if seen.revision < newest:
                    history.violations.append(f"a read at {seen.revision}, after a commit at {newest} was known")
            name = f"done/{history.began_s}/{number}/{turn}"
            checks = {"count": seen["count"].revision, name: 0}
            answer = store.transact(checks, {"count": (seen["count"].value or 0) + 1, name: 1})
            with lock:
                history.note(name, answer)


def trouble(three: Three, chance: random.Random) -> None:
    """One fault more, or none at all any longer."""
    number = chance.randrange(3)
    member, others = three.members[number], [other for other in range(3) if other != number]
    three.net.heal()
    match chance.choice(["part", "deafen", "mute", "pause", "kill", "none"]):
        case "part":
            three.net.part(number)
        case "deafen":
            three.net.drop(number, others)
        case "mute":
            for other in others:
                three.net.drop(other, [number])
        case "pause":
            member.pause()
            time.sleep(chance.uniform(0.1, 3.0))
            member.resume()
        case "kill":
            member.kill()
            time.sleep(chance.uniform(0.1, 2.0))
            member.start()


def run(three: Three, seed: int) -> History:
    """What came of it; what must not be is among its violations."""
    history, lock, over = History(), threading.Lock(), threading.Event()
    work = [threading.Thread(target=client, args=(three, number, history, lock, over)) for number in range(CLIENTS)]
    for each in work:
        each.start()
    chance, until_s = random.Random(seed), time.monotonic() + TROUBLE_S
    while time.monotonic() < until_s:
        time.sleep(chance.uniform(0.5, 2.0))
        trouble(three, chance)
    over.set()
    for each in work:
        each.join()
    three.settle()
    time.sleep(1.0)  # for what may happen still
    with closing(three.store(0, 1, 2, timeout_s=5.0)) as store:
        found = snapshot(store)
    done = {key for key in found.documents if key.startswith(f"done/{history.began_s}/")}
    history.violations += [f"{name} was confirmed, and is not there" for name in history.committed - done]
    history.violations += [f"{name} was refused, and is there" for name in history.refused & done]
    everything = sum(key.startswith("done/") for key in found.documents)
    if found["count"].value != everything:
        history.violations.append(f"{everything} have happened, and {found['count'].value} were counted")
    print(f"{len(history.committed)} committed, {len(history.refused)} refused, {history.reads} reads;", end=" ")
    print(f"of {len(history.unknown)} without an answer {len(history.unknown & done)} have happened")
    return history


def test_what_was_confirmed_is_there_and_what_was_refused_is_not(three: Three) -> None:
    history = run(three, 1)
    assert history.violations == []
    assert len(history.committed) > 100
    assert len(history.refused) > 10
    assert len(history.unknown) > 2, "too little trouble"


def sending_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction whose answer is lost is sent to another member."""
    call = Gateway.call
    monkeypatch.setattr(Gateway, "call", lambda self, path, message, **_: call(self, path, message, again=True))


def reading_the_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads are serializable."""
    plain = etcd._range
    monkeypatch.setattr(etcd, "_range", lambda key, **more: plain(key, serializable=True, **more))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("spoil", [sending_again, reading_the_past])
def test_a_store_that_breaks_a_promise_is_found(
    three: Three, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[pytest.MonkeyPatch], None]
) -> None:
    spoil(monkeypatch)
    assert any(run(three, seed).violations for seed in range(5))
