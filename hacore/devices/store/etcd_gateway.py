"""Asking the members of an etcd cluster, over the JSON gateway that each of them has (``/v3/...``, HTTP/1.1).

A member that fails is left for the next one, which is asked first from then on. Within one call that happens only if
it does no harm: a request that has been sent, and whose answer is lost, is sent again only if the caller says so.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from hacore.devices.clock import now_s
from hacore.devices.store import StoreError
from hacore.devices.store.etcd_link import Link, Member, Message, NoAnswerError, lost

UNAUTHENTICATED = 401
LOGIN_S = 10.0
"""How long a login may take, in the background."""

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
        self._logins: dict[Member, threading.Thread] = {}
        self._refused: NoAnswerError | StoreError | None = None
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
        """A connection of its own, and its answer as an iterator of messages.

        Raises NoAnswerError, from the iterator after ``silence_s`` without a message; and StoreError.
        """
        member = self.members[number % len(self.members)]
        until_s = now_s() + self.timeout_s
        with lost(member, sent=True), closing(Link(member, self._tls, until_s)) as link:
            answer = link.ask(path, message, self._token, until_s)
            if answer.status != http.client.OK:
                raise _refusal(member, answer.status, answer.read())
            yield link, _lines(link, answer, silence_s)

    def close(self) -> None:
        """Hang up. Calls that are under way end first; later ones have no answer."""
        self._closed.set()
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()

    def _ask(self, member: Member, path: str, message: Message, connect_s: float, until_s: float) -> dict[str, Any]:
        with self._linked(member, connect_s) as link:
            token = self._entered(member, "", until_s)
            status, body = self._answer(link, path, message, token, until_s)
            if status == UNAUTHENTICATED and self._login:  # the token is too old, and nothing has happened
                token = self._entered(member, token, until_s)
                status, body = self._answer(link, path, message, token, until_s)
            if status != http.client.OK:
                raise _refusal(member, status, body)
            with lost(member, sent=True):
                answer: dict[str, Any] = json.loads(body)
                return answer

    def _answer(self, link: Link, path: str, message: Message, token: str, until_s: float) -> tuple[int, bytes]:
        with lost(link.member, sent=True):
            answer = link.ask(path, message, token, until_s)
            return answer.status, answer.read()

    def _entered(self, member: Member, old: str, until_s: float) -> str:
        """A token other than ``old``; ``member`` is asked for one if there is none.

        Etcd takes its time over a password, on purpose, and on a busy machine more than a call has. So a login goes on
        when nobody can wait for it any longer, for those who call later.
        """
        if not self._login:
            return ""
        if self._token == old:
            login = self._logins.get(member)
            if login is None or not login.is_alive():
                self._refused = None
                login = self._logins[member] = threading.Thread(
                    target=self._enter, args=(member, *self._login), daemon=True
                )
                login.start()
            login.join(max(until_s - now_s(), 0.0))
        if self._token == old:
            raise self._refused or NoAnswerError(f"{member.url}: has not let us in yet", sent=False)
        return self._token

    def _enter(self, member: Member, user: str, password: str) -> None:
        until_s = now_s() + LOGIN_S
        try:
            with self._linked(member, until_s) as link, lost(member, sent=False):
                asked = {"name": user, "password": password}
                status, body = self._answer(link, "/v3/auth/authenticate", asked, "", until_s)
                if status != http.client.OK:
                    raise _refusal(member, status, body)
                self._token = json.loads(body)["token"]
        except NoAnswerError as problem:
            self._refused = NoAnswerError(str(problem), sent=False)
        except StoreError as problem:
            self._refused = problem

    @contextmanager
    def _linked(self, member: Member, until_s: float) -> Iterator[Link]:
        """A connection for one question; kept for the next one, if all went well."""
        if self._closed.is_set():
            raise NoAnswerError("this process has closed the store", sent=False)
        with lost(member, sent=False):
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


def _refusal(member: Member, status: int, body: bytes) -> NoAnswerError | StoreError:
    """What an answer that is no success means. etcd 3.4 says ``error``, later ones ``message``."""
    try:
        told = json.loads(body)
        message, code = str(told.get("message") or told["error"]), int(told["code"])
    except (ValueError, KeyError, AttributeError, TypeError):
        if status >= http.client.INTERNAL_SERVER_ERROR:  # something between here and there
            return NoAnswerError(f"{member.url}: HTTP {status}", sent=True)
        what = "--enable-grpc-gateway, and the address of its clients' port"
        return StoreError(f"{member.url} does not answer as etcd's gateway does (HTTP {status}): see to {what}")
    if code in _PASSING or "too many requests" in message:
        return NoAnswerError(f"{member.url}: {message}", sent=True)
    advice = next((advice for part, advice in _ADVICE.items() if part in message), "see to etcd's log")
    return StoreError(f"etcd at {member.url} says '{message}': {advice}")


def _lines(link: Link, answer: http.client.HTTPResponse, silence_s: float) -> Iterator[dict[str, Any]]:
    while True:
        link.extend(now_s() + silence_s)
        with lost(link.member, sent=True):
            line = answer.readline()
            if not line:
                return
            message = json.loads(line)
        yield message
