"""Connections to the members of an etcd cluster on which everything ends in time.

Every call ends at its deadline, whatever a member, the network or the system's resolver does: a stopped member accepts
connections and answers nothing, a cut one drops packets, a sick one drips. No HTTP library promises that (they bound
each step, or none, but not the whole), so this is the standard library's ``http.client`` on a socket that knows the
deadline; nothing else is needed, and nothing has to be installed.
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

Message: TypeAlias = Mapping[str, Any]

PORT = 2379


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


@contextmanager
def lost(member: Member, *, sent: bool) -> Iterator[None]:
    """Whatever goes wrong between here and the member is one thing: no answer."""
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError, KeyError) as problem:
        raise NoAnswerError(f"{member.url}: {str(problem) or type(problem).__name__}", sent=sent) from problem
