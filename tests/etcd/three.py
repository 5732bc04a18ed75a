"""Three real etcd members in three network namespaces, for tests, and ways to hurt them."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from hacore.devices.store.etcd import EtcdStore
from hacore.protocol.requests import Snapshot
from tests.etcd.member import PATIENT_S, Member, answering
from tests.etcd.net import Net


class Three:
    """The members 0, 1, 2; all are up once :meth:`settle` has returned."""

    def __init__(self, directory: Path) -> None:
        self.net = Net(3)
        peers = {f"m{number}": f"http://{self.net.address(number)}:2380" for number in range(3)}
        cluster = ",".join(f"{name}={url}" for name, url in peers.items())
        self.urls = [f"http://{self.net.address(number)}:2379" for number in range(3)]
        self.members = [
            Member(directory, name, url, peer, cluster=cluster, within=self.net.within(number))
            for number, ((name, peer), url) in enumerate(zip(peers.items(), self.urls, strict=True))
        ]
        for member in self.members:
            member.start()

    def store(self, *numbers: int, timeout_s: float = 0.6) -> EtcdStore:
        """A store that knows these members, in this order."""
        return EtcdStore(tuple(self.urls[number] for number in numbers), timeout_s)

    def settle(self) -> None:
        """Undo whatever was done to them, and wait until each of them answers."""
        self.net.heal()
        for member in self.members:
            if member.process is None:
                member.start()
            member.resume()
        for number in range(3):
            with closing(self.store(number)) as store:
                answering(store)

    def leader(self, among: Sequence[int] = (0, 1, 2)) -> int:
        """The member that these members, all of which answer, take for the leader; waits until they agree."""
        found: list[int] = []

        def agreed() -> bool:
            told = {number: self._told(number) for number in among}
            leaders = {answer.get("leader") for answer in told.values()}
            found[:] = [number for number, answer in told.items() if {answer["header"]["member_id"]} == leaders]
            return bool(found)

        wait_for("a leader", agreed)
        return found[0]

    def close(self) -> None:
        for member in self.members:
            member.kill()
        self.net.close()

    def _told(self, number: int) -> dict[str, Any]:
        return ask(self.urls[number], "maintenance/status", {})


def ask(url: str, path: str, message: dict[str, Any]) -> dict[str, Any]:
    """One question to one member that is well."""
    request = urllib.request.Request(f"{url}/v3/{path}", json.dumps(message).encode())
    with urllib.request.urlopen(request, timeout=PATIENT_S) as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def wait_for(what: str, holds: Callable[[], object], within_s: float = PATIENT_S) -> float:
    """Wait until it holds; returns how long that took."""
    began_s = time.monotonic()
    while not holds():
        assert time.monotonic() < began_s + within_s, f"waited {within_s:g} s for {what}, in vain"
        time.sleep(0.02)
    return time.monotonic() - began_s


def snapshot(store: EtcdStore) -> Snapshot:
    answer = store.read(("",))
    assert isinstance(answer, Snapshot), answer
    return answer
