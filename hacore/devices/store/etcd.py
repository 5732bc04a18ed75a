"""Documents in an etcd cluster: the store of a cluster of several machines.

1. **What is used of etcd**: linearizable transactions (``/v3/kv/txn``) and nothing else that matters. No lease, no
   time to live, no keep-alive: a leader that was overruled and does not know it yet acknowledges those. No serializable
   read: a member that was cut off answers it from the past.
2. **A read is a transaction that writes nothing**, and always has a range that is not serializable: etcd takes one
   without any for serializable. All of its ranges show one moment.
3. **Revisions are etcd's own**: a document's is its ``mod_revision``, a snapshot's the header's. Others who write to
   the same etcd make them grow in larger steps. A transaction that changes nothing gets none of its own.
4. **A transaction whose answer is lost is Unavailable**, and is never sent again. A read is asked of another member.
5. Each key begins with ``prefix``; what is outside it is never looked at. Values are JSON in ASCII.
"""

from __future__ import annotations

import json
import os
import ssl
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from hacore.devices.clock import now_s
from hacore.devices.store import StoreError
from hacore.devices.store.coding import bounds, key_bytes, value_text
from hacore.devices.store.etcd_gateway import Gateway, NoAnswerError
from hacore.devices.store.etcd_watch import Watch
from hacore.protocol.requests import JSON, Committed, Conflict, Document, Snapshot, Unavailable

A = TypeVar("A")


class EtcdStore:
    """A :class:`hacore.devices.store.Store` in the etcd cluster that has the members ``endpoints``.

    ``tls`` is for https endpoints; ``login`` is a user and a password. Nothing is asked before the first call.
    """

    def __init__(
        self,
        endpoints: tuple[str, ...],
        timeout_s: float,
        *,
        prefix: str = "/hacore/",
        tls: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        """Raises ValueError for an endpoint that is none."""
        self._gateway = Gateway(endpoints, tls, login, timeout_s)
        self._prefix = key_bytes(prefix)
        self._watch = Watch(self._gateway, self._prefix)
        self._quiet_until_s = 0.0
        """Until when ``changed`` says no, since the last call had no answer."""
        self._pid = os.getpid()

    def read(self, prefixes: tuple[str, ...]) -> Snapshot | Unavailable:
        """See :meth:`hacore.devices.store.Store.read`."""
        ranges = [bounds(self._prefix + prefix.encode()) for prefix in prefixes]
        questions = [_range(low, range_end=_text(high)) for low, high in ranges]
        return self._answer({"success": [self._nothing(), *questions]}, self._snapshot, again=True)

    def transact(self, checks: Mapping[str, int], writes: Mapping[str, JSON]) -> Committed | Conflict | Unavailable:
        """See :meth:`hacore.devices.store.Store.transact`."""
        keys = {key: self._prefix + key_bytes(key) for key in [*checks, *writes]}
        question = {
            "compare": [_unchanged(keys[key], revision) for key, revision in checks.items()],
            "success": [_write(key, keys[key], value) for key, value in writes.items()] or [self._nothing()],
            "failure": [self._nothing(), *(_range(keys[key], keys_only=True) for key in checks)],
        }

        def understand(answer: dict[str, Any]) -> Committed | Conflict:
            if answer.get("succeeded"):
                return Committed(int(answer["header"]["revision"]))
            found = {b64decode(kv["key"]): int(kv["mod_revision"]) for kv in _found(answer)}
            return Conflict(next(key for key, revision in checks.items() if found.get(keys[key], 0) != revision))

        return self._answer(question, understand, again=not writes)

    def changed(self, since: int, prefixes: tuple[str, ...]) -> bool:
        """See :meth:`hacore.devices.store.Store.changed`. Asks nobody: a thread listens. False, too, for a while after
        a call that had no answer: whoever reads at once when told to would ask without end."""
        if now_s() < self._quiet_until_s:
            return False
        return self._watch.changed(since, tuple(prefix.encode() for prefix in prefixes))

    def close(self) -> None:
        """See :meth:`hacore.devices.store.Store.close`."""
        self._watch.close()
        self._gateway.close()

    def _answer(
        self, question: dict[str, Any], understand: Callable[[dict[str, Any]], A], *, again: bool
    ) -> A | Unavailable:
        if os.getpid() != self._pid:
            raise RuntimeError("a store cannot be used across a fork: open it in the new process")
        try:
            return understand(self._gateway.call("/v3/kv/txn", question, again=again))
        except NoAnswerError as problem:
            self._quiet_until_s = now_s() + self._gateway.timeout_s
            return Unavailable(str(problem))

    def _snapshot(self, answer: dict[str, Any]) -> Snapshot:
        documents = {}
        for kv in _found(answer):
            place = b64decode(kv["key"])
            try:
                value = json.loads(b64decode(kv.get("value", "")))
                documents[place[len(self._prefix) :].decode()] = Document(value, int(kv["mod_revision"]))
            except ValueError:
                trouble = "is no document of hacore's: remove it, or choose another prefix"
                raise StoreError(f"what etcd has at {place.decode(errors='replace')} {trouble}") from None
        return Snapshot(documents, int(answer["header"]["revision"]))

    def _nothing(self) -> dict[str, Any]:
        """A range of nothing, for it is no key: makes a transaction linearizable (rule 2)."""
        return _range(self._prefix, count_only=True)


def tls_with(ca: Path, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    """TLS that trusts only what ``ca`` vouches for, and shows ``cert`` if it is asked. Raises StoreError."""
    for path in filter(None, (ca, cert, key)):
        try:
            path.read_bytes()
        except OSError as problem:
            raise StoreError(f"{path}: {problem.strerror}: see to the file, or name another") from None
    try:
        tls = ssl.create_default_context(cafile=ca)
        if cert:
            tls.load_cert_chain(cert, key)
    except ssl.SSLError as problem:
        raise StoreError(f"{ca}, {cert}, {key}: no certificates and key that belong together: {problem}") from None
    return tls


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _range(key: bytes, **more: Any) -> dict[str, Any]:
    return {"request_range": {"key": _text(key), **more}}


def _unchanged(key: bytes, revision: int) -> dict[str, Any]:
    """An absent key has revision 0 for etcd, too."""
    return {"target": "MOD", "key": _text(key), "result": "EQUAL", "mod_revision": str(revision)}


def _write(key: str, place: bytes, value: JSON) -> dict[str, Any]:
    if value is None:
        return {"request_delete_range": {"key": _text(place)}}
    return {"request_put": {"key": _text(place), "value": _text(value_text(key, value).encode())}}


def _found(answer: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """The keys that the ranges of a transaction have found."""
    for each in answer.get("responses", ()):
        yield from each.get("response_range", {}).get("kvs", ())
