"""Members of etcd that are sick: every call ends in time, and nothing is sent twice that may not be."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from typing import Any

import pytest

from hacore.devices.store import StoreError
from hacore.devices.store.etcd import EtcdStore
from hacore.protocol.requests import Committed, Snapshot, Unavailable

TIMEOUT_S = 0.4
SLACK_S = 0.3

HEADER = {"header": {"revision": "7"}, "succeeded": True}


def answer(status: str, told: object) -> bytes:
    body = json.dumps(told).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def well(link: socket.socket) -> None:
    link.sendall(answer("200 OK", HEADER))


def silent(link: socket.socket) -> None:
    link.settimeout(3 * TIMEOUT_S)
    link.recv(1)


def well_once(link: socket.socket) -> None:
    """And hangs up afterwards."""
    well(link)


def hanging_up(link: socket.socket) -> None:
    """It is gone after it has heard all."""


def dripping(link: socket.socket) -> None:
    for byte in answer("200 OK", HEADER):
        link.sendall(bytes([byte]))
        time.sleep(TIMEOUT_S / 20)


def endless(link: socket.socket) -> None:
    link.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        link.sendall(b"X-More: and more\r\n")
        time.sleep(TIMEOUT_S / 20)


def garbled(link: socket.socket) -> None:
    link.sendall(b"220 mail.example ESMTP\r\n")


def leaderless(link: socket.socket) -> None:
    link.sendall(answer("503 Service Unavailable", {"code": 14, "message": "etcdserver: leader changed"}))


SICK = [silent, hanging_up, dripping, endless, garbled, leaderless]


class Stand:
    """A stand-in for a member: counts the questions that it has heard whole, and behaves as it is told."""

    def __init__(self, behave: Callable[[socket.socket], None]) -> None:
        self.behave, self.heard = behave, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                link, _ = self.listener.accept()
                threading.Thread(target=self._talk, args=(link,), daemon=True).start()

    def _talk(self, link: socket.socket) -> None:
        with link, suppress(OSError):
            while self._hears(link):
                self.heard += 1
                self.behave(link)
                if self.behave is not well:
                    return

    def _hears(self, link: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = link.recv(65536)
            if not piece:
                return False
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        while len(body) < length:
            body += link.recv(65536)
        return True

    def close(self) -> None:
        self.listener.close()


@pytest.fixture
def stand() -> Iterator[Callable[[Callable[[socket.socket], None]], Stand]]:
    with ExitStack() as stack:
        yield lambda behave: stack.enter_context(closing(Stand(behave)))


def in_time(call: Callable[[], Any]) -> Any:
    began_s = time.monotonic()
    answer = call()
    assert time.monotonic() - began_s < TIMEOUT_S + SLACK_S
    return answer


@pytest.mark.parametrize("behave", SICK)
def test_a_sick_member_is_no_answer_in_time(stand: Any, behave: Callable[[socket.socket], None]) -> None:
    member = stand(behave)
    with closing(EtcdStore((member.url,), TIMEOUT_S)) as store:
        assert isinstance(in_time(lambda: store.read(("",))), Unavailable)
        assert isinstance(in_time(lambda: store.transact({}, {"a": 1})), Unavailable)
        assert not in_time(lambda: store.changed(0, ("",)))


@pytest.mark.parametrize("behave", SICK)
def test_a_read_is_asked_of_another_member_and_a_transaction_is_not(
    stand: Any, behave: Callable[[socket.socket], None]
) -> None:
    sick, other = stand(behave), stand(well)
    with closing(EtcdStore((sick.url, other.url), TIMEOUT_S)) as store:
        assert in_time(lambda: store.read(("",))) == Snapshot({}, 7)
        assert (sick.heard, other.heard) == (1, 1)
    with closing(EtcdStore((sick.url, other.url), TIMEOUT_S)) as store:
        assert isinstance(in_time(lambda: store.transact({}, {"a": 1})), Unavailable)
        assert (sick.heard, other.heard) == (2, 1), "its answer was lost: it is not sent again"
        assert in_time(lambda: store.transact({}, {"a": 1})) == Committed(7)
        assert (sick.heard, other.heard) == (2, 2), "the sick one is asked last from now on"


def test_what_was_not_sent_is_sent_to_another_member(stand: Any) -> None:
    dead, other = stand(well), stand(well)
    dead.close()
    with closing(EtcdStore((dead.url, other.url), TIMEOUT_S)) as store:
        assert in_time(lambda: store.transact({}, {"a": 1})) == Committed(7)


def test_a_connection_that_was_cut_while_it_rested_is_made_anew(stand: Any) -> None:
    member = stand(well_once)
    with closing(EtcdStore((member.url,), TIMEOUT_S)) as store:
        for _ in range(3):
            assert store.transact({}, {"a": 1}) == Committed(7)
            time.sleep(0.05)
        assert member.heard == 3


def test_a_resolver_that_hangs_costs_no_more_than_the_deadline(stand: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    other, numeric = stand(well), socket.getaddrinfo

    def hang(host: str, port: int, **more: Any) -> Any:
        if host == "etcd.example" and not more.get("flags"):
            time.sleep(5 * TIMEOUT_S)
        return numeric(host, port, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with closing(EtcdStore(("http://etcd.example:2379",), TIMEOUT_S)) as store:
        assert "in time" in in_time(lambda: store.read(("",))).reason
    with closing(EtcdStore(("http://etcd.example:2379", other.url), TIMEOUT_S)) as store:
        assert in_time(lambda: store.read(("",))) == Snapshot({}, 7)


def test_a_name_once_found_needs_no_resolver(stand: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    member = stand(well_once)
    with closing(EtcdStore((member.url.replace("127.0.0.1", "localhost"),), TIMEOUT_S)) as store:
        assert store.read(("",)) == Snapshot({}, 7)

        def fail(*_: Any, **__: Any) -> Any:
            raise socket.gaierror("no resolver")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        for _ in range(3):
            time.sleep(0.05)  # for it to hang up
            assert store.read(("",)) == Snapshot({}, 7)


REFUSALS = {
    "etcdserver: request is too large": "max-request-bytes",
    "grpc: received message larger than max (2600010 vs. 2097152)": "max-request-bytes",
    "etcdserver: too many operations in txn request": "max-txn-ops",
    "etcdserver: mvcc: database space exceeded": "defragment",
    "etcdserver: user name is empty": "user and password_file",
    "etcdserver: permission denied": "role grant-permission",
    "etcdserver: a reason of its own": "etcd's log",
}


@pytest.mark.parametrize("field", ["error", "message"])
@pytest.mark.parametrize("message", REFUSALS)
def test_a_refusal_says_what_to_do(stand: Any, message: str, field: str) -> None:
    member = stand(lambda link: link.sendall(answer("400 Bad Request", {field: message, "code": 3})))
    with closing(EtcdStore((member.url,), TIMEOUT_S)) as store:
        with pytest.raises(StoreError, match=REFUSALS[message]) as caught:
            store.transact({}, {"a": 1})
        assert message in str(caught.value)
        assert member.url in str(caught.value)
    assert member.heard == 1


def test_too_many_requests_pass(stand: Any) -> None:
    told = {"code": 8, "message": "etcdserver: too many requests"}
    member = stand(lambda link: link.sendall(answer("429 Too Many Requests", told)))
    with closing(EtcdStore((member.url,), TIMEOUT_S)) as store:
        assert isinstance(store.read(("",)), Unavailable)


def test_what_is_no_gateway_is_named(stand: Any) -> None:
    member = stand(lambda link: link.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nNot Found"))
    with closing(EtcdStore((member.url,), TIMEOUT_S)) as store, pytest.raises(StoreError, match="enable-grpc-gateway"):
        store.read(("",))


@pytest.mark.parametrize("url", ["", "host:2379", "ftp://host", "http://", "http://host/path", "http://host:port"])
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"endpoint|port"):
        EtcdStore((url,), TIMEOUT_S)
