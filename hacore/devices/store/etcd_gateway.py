"""Asking the members of an etcd cluster, over the JSON gateway that each of them has (``/v3/...``, HTTP/1.1).

Every call ends at its deadline, whatever a member, the network or the system's resolver does: a stopped member accepts
connections and answers nothing, a cut one drops packets, a sick one drips. No client library promises that (they bound
each step, or none, but not the whole), so this is the standard library's ``http.client`` on a socket that knows the
deadline; nothing else is needed, and nothing has to be installed.

A member that fails is left for the next one, which is asked first from then on. Within one call that happens only if
it does no harm: a request that has been sent, and whose answer is lost, is sent again only if the caller says so.
"""

from __future__ import annotations

import http.client
import io
import json
import select
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from hacore.devices.clock import now_s
from hacore.devices.store import StoreError

Message: TypeAlias = Mapping[str, Any]

PORT = 2379
UNAUTHENTICATED = 401

_PASSING = {1, 2, 4, 10, 13, 14}
"""The gRPC codes of what may be otherwise next time, and may have happened: cancelled, unknown, deadline exceeded,
aborted, internal, unavailable. All others are a plain no: nothing has happened."""

_ADVICE = {
    "too large": "raise --max-request-bytes on all members",
    "larger than max": "raise --max-request-bytes on all members",
    "too many operations": "raise --max-txn-ops on all members",
    "space exceeded": "compact and defragment it, raise --quota-backend-bytes, then `etcdctl alarm disarm`",
    "user name is empty": "it wants a user: set user and password_file",
    "authentication is not enabled": "leave out user and password_file, or `etcdctl auth enable`",
    "authentication failed": "check user and password_file",
    "permission denied": "set user and password_file, and let that user read and write below the prefix: "
    "`etcdctl role grant-permission ROLE --prefix=true readwrite PREFIX`",
}
"""What an operator can do, by a part of etcd's message."""


class NoAnswerError(Exception):
    """No member has answered in time. ``sent``: one of them may have got the request."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class Member:
    """A member's address. Raises ValueError for what is none.

    Names are looked up in a thread of their own: the resolver knows no deadline. The addresses found last are used
    without waiting, while they are looked up anew: a cluster must not depend on who serves its names.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError(f"'{url}' is no endpoint: write http://HOST:{PORT} or https://HOST:{PORT}")
        self.url, self.host, self.port, self.secure = url, parts.hostname, parts.port or PORT, parts.scheme == "https"
        self._found: list[Any] = []
        self._problem: OSError | None = None
        self._lookup = threading.Thread()
        with suppress(OSError):  # a number needs no looking up
            self._found = self._look(socket.AI_NUMERICHOST)
        self._is_name = not self._found

    def addresses(self, until_s: float) -> list[Any]:
        """What ``getaddrinfo`` has found. Raises OSError."""
        if self._is_name and not self._lookup.is_alive():
            self._lookup = threading.Thread(target=self._look_up, daemon=True)
            self._lookup.start()
        if not self._found:
            self._lookup.join(max(until_s - now_s(), 0.0))
        if not self._found:
            raise self._problem or TimeoutError(f"the name {self.host} was not found in time")
        return self._found

    def _look_up(self) -> None:
        try:
            self._found = self._look(0)
        except OSError as problem:
            self._problem = problem

    def _look(self, flags: int) -> list[Any]:
        return socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM, flags=flags)


class _Timed(io.RawIOBase):
    """A socket for ``http.client``, each step of which ends at ``until_s``."""

    def __init__(self, link: socket.socket) -> None:
        self.link, self.until_s = link, 0.0

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._ready().send(rest) :]

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._ready().recv_into(buffer)

    def close(self) -> None:
        """An answer that was read is closed; the connection lives on."""

    def _ready(self) -> socket.socket:
        left_s = self.until_s - now_s()
        if left_s <= 0:
            raise TimeoutError("no answer in time")
        self.link.settimeout(left_s)
        return self.link


class Link:
    """A connection to a member. Raises OSError, or HTTPException for what is no HTTP, at ``until_s`` at the latest."""

    def __init__(self, member: Member, tls: ssl.SSLContext | None, until_s: float) -> None:
        self.member, self.reusable = member, True
        self._timed = _Timed(_connected(member, tls if member.secure else None, until_s))
        self._http = http.client.HTTPConnection(member.host, member.port)
        self._http.auto_open = 0
        self._http.sock = self._timed

    def ask(self, path: str, message: Message, token: str, until_s: float) -> http.client.HTTPResponse:
        """The answer, of which only the head has been read."""
        self._timed.until_s = until_s
        headers = {"Content-Type": "application/json", **({"Authorization": token} if token else {})}
        self._http.request("POST", path, json.dumps(message).encode(), headers)
        answer = self._http.getresponse()
        self.reusable = not answer.will_close
        return answer

    def extend(self, until_s: float) -> None:
        """Let the answer that is being read go on until then."""
        self._timed.until_s = until_s

    def is_cut(self) -> bool:
        """Whether the other end has hung up: on a connection that rests there is nothing to be read."""
        poll = select.poll()
        poll.register(self._timed.link, select.POLLIN)
        return bool(poll.poll(0))

    def cut(self) -> None:
        """End whatever another thread is waiting for."""
        with suppress(OSError):
            socket.socket.shutdown(self._timed.link, socket.SHUT_RDWR)  # not TLS's own, which is not for two threads

    def close(self) -> None:
        self._timed.link.close()


def _connected(member: Member, tls: ssl.SSLContext | None, until_s: float) -> socket.socket:
    """A socket connected to one of the member's addresses; each gets its share of the time."""
    problem: OSError = OSError("no address")
    addresses = member.addresses(until_s)
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        link = socket.socket(family, kind, protocol)
        try:
            link.settimeout(max((until_s - now_s()) / (len(addresses) - number), 0.001))
            link.connect(address)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                link.settimeout(max(until_s - now_s(), 0.001))
                link = tls.wrap_socket(link, server_hostname=member.host)
        except OSError as failed:
            problem = failed
            link.close()
        except BaseException:
            link.close()
            raise
        else:
            return link
    raise problem


class Gateway:
    """The members of one etcd cluster, as one partner.

    Its methods may be called from any thread. ``login`` is a user and a password, or None.
    """

    def __init__(
        self, endpoints: tuple[str, ...], tls: ssl.SSLContext | None, login: tuple[str, str] | None, timeout_s: float
    ) -> None:
        """Raises ValueError for an endpoint that is none."""
        self.members = [Member(url) for url in endpoints]
        self.timeout_s = timeout_s
        self._tls, self._login = tls, login
        self._first = 0
        self._token = ""
        self._idle: list[Link] = []
        self._closed = threading.Event()

    def call(self, path: str, message: Message, *, again: bool) -> dict[str, Any]:
        """The answer to ``message``. ``again``: it does no harm if it is asked of several members.

        Raises NoAnswerError, at the latest ``timeout_s`` after the call; or StoreError: it was refused.
        """
        until_s = now_s() + self.timeout_s
        first, count = self._first, len(self.members)
        problem = NoAnswerError("there was no time", sent=False)
        for number in range(first, first + count):
            began_s = now_s()
            if began_s >= until_s:
                break
            share_s = (began_s + until_s) / 2 if number == first and count > 1 else until_s
            try:
                return self._ask(self.members[number % count], path, message, share_s, share_s if again else until_s)
            except NoAnswerError as failed:
                problem = failed
                self._first = (number + 1) % count
                if failed.sent and not again:
                    break
        raise problem

    @contextmanager
    def stream(self, number: int, path: str, message: Message, silence_s: float) -> Iterator[tuple[Link, Any]]:
        """A connection, and its answer as an iterator of messages that ends when nothing comes for ``silence_s``.

        Raises NoAnswerError, also from the iterator, and StoreError.
        """
        member = self.members[number % len(self.members)]
        until_s = now_s() + self.timeout_s
        with self._linked(member, until_s) as link, _lost(member, sent=True):
            answer = link.ask(path, message, self._token, until_s)
            if answer.status != http.client.OK:
                raise _refusal(member, answer.status, answer.read())
            link.reusable = False
            yield link, _lines(link, answer, silence_s)

    def close(self) -> None:
        """Hang up. Calls that are under way end first; later ones have no answer."""
        self._closed.set()
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()

    def _ask(self, member: Member, path: str, message: Message, connect_s: float, until_s: float) -> dict[str, Any]:
        with self._linked(member, connect_s) as link:
            if self._login and not self._token:
                self._log_in(link, until_s)
            status, body = self._answer(link, path, message, until_s)
            if status == UNAUTHENTICATED and self._login:  # the token is too old, and nothing has happened
                self._log_in(link, until_s)
                status, body = self._answer(link, path, message, until_s)
            if status != http.client.OK:
                raise _refusal(member, status, body)
            with _lost(member, sent=True):
                answer: dict[str, Any] = json.loads(body)
                return answer

    def _answer(self, link: Link, path: str, message: Message, until_s: float) -> tuple[int, bytes]:
        with _lost(link.member, sent=True):
            answer = link.ask(path, message, self._token, until_s)
            return answer.status, answer.read()

    def _log_in(self, link: Link, until_s: float) -> None:
        assert self._login
        user, password = self._login
        with _lost(link.member, sent=False):
            answer = link.ask("/v3/auth/authenticate", {"name": user, "password": password}, "", until_s)
            body = answer.read()
            if answer.status == http.client.OK:
                self._token = json.loads(body)["token"]
        if answer.status != http.client.OK:
            refusal = _refusal(link.member, answer.status, body)
            raise NoAnswerError(str(refusal), sent=False) if isinstance(refusal, NoAnswerError) else refusal

    @contextmanager
    def _linked(self, member: Member, until_s: float) -> Iterator[Link]:
        """A connection for one question; kept for the next one, if all went well."""
        if self._closed.is_set():
            raise NoAnswerError("this process has closed the store", sent=False)
        with _lost(member, sent=False):
            link = self._rested(member) or Link(member, self._tls, until_s)
        try:
            yield link
        except StoreError:  # an answer like any other
            self._rest(link)
            raise
        except BaseException:
            link.close()
            raise
        self._rest(link)

    def _rested(self, member: Member) -> Link | None:
        while self._idle:
            with suppress(IndexError):  # another thread was faster
                link = self._idle.pop()
                if link.member is member and not link.is_cut():
                    return link
                link.close()
        return None

    def _rest(self, link: Link) -> None:
        if link.reusable and not self._closed.is_set():
            self._idle.append(link)
        else:
            link.close()


@contextmanager
def _lost(member: Member, *, sent: bool) -> Iterator[None]:
    """Whatever goes wrong between here and the member is one thing: no answer."""
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError, KeyError) as problem:
        raise NoAnswerError(f"{member.url}: {str(problem) or type(problem).__name__}", sent=sent) from problem


def _refusal(member: Member, status: int, body: bytes) -> NoAnswerError | StoreError:
    """What an answer that is no success means. etcd 3.4 says ``error``, later ones ``message``."""
    try:
        told = json.loads(body)
        message, code = str(told.get("message") or told["error"]), int(told["code"])
    except (ValueError, KeyError, AttributeError, TypeError):
        what = "--enable-grpc-gateway, and the address of its clients' port"
        return StoreError(f"{member.url} does not answer as etcd's gateway does (HTTP {status}): see to {what}")
    if code in _PASSING or "too many requests" in message:
        return NoAnswerError(f"{member.url}: {message}", sent=True)
    advice = next((advice for part, advice in _ADVICE.items() if part in message), "see to etcd's log")
    return StoreError(f"etcd at {member.url} says '{message}': {advice}")


def _lines(link: Link, answer: http.client.HTTPResponse, silence_s: float) -> Iterator[dict[str, Any]]:
    while True:
        link.extend(now_s() + silence_s)
        with _lost(link.member, sent=True):
            line = answer.readline()
            if not line:
                return
            message = json.loads(line)
        yield message
