"""What has changed in an etcd cluster, as its members tell of it: a thread that listens to ``/v3/watch``.

It only wakes: no decision rests on it, so it may be late, and whatever it does not know it takes for changed. It is
late when a member is cut or stopped: nothing tells then, but the cluster's own heartbeats are silent. After
``SILENCE_S`` without a word another member is asked to go on from the revision heard of last, so nothing is missed.
"""

from __future__ import annotations

import threading
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import Any

from hacore.devices.store import StoreError
from hacore.devices.store.coding import bounds
from hacore.devices.store.etcd_gateway import Gateway, Link, NoAnswerError

SILENCE_S = 3.0
"""No member is silent for so long while daemons run: each writes once a round."""


class Watch:
    """Listens to all changes of keys that begin with ``prefix``; starts when it is first asked."""

    def __init__(self, gateway: Gateway, prefix: bytes) -> None:
        self._gateway, self._prefix = gateway, prefix
        self._low, self._high = bounds(prefix)
        self._newest: dict[bytes, int] = {}
        """The revision of each key's last change that was heard of."""
        self._heard = 0
        """Up to which revision everything was heard. 0: not known where to begin."""
        self._since = 0
        """From which revision on everything was heard; 0: nothing was."""
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._link: Link | None = None
        self._closed = threading.Event()

    def changed(self, since: int, prefixes: tuple[bytes, ...]) -> bool:
        """Whether a key below ``prefixes`` has, or may have, changed after revision ``since``."""
        with self._starting:
            if self._thread is None and not self._closed.is_set():
                self._heard = since
                self._thread = threading.Thread(target=self._live, name="watch", daemon=True)
                self._thread.start()
        if since < self._since:
            return bool(prefixes)
        known = dict(self._newest)  # one step, so that the thread may go on meanwhile
        return any(revision > since and key.startswith(prefixes) for key, revision in known.items())

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        if self._link:
            self._link.cut()

    def _live(self) -> None:
        turn = 0
        while not self._closed.is_set():
            with suppress(NoAnswerError, StoreError):  # whoever makes a call hears of it
                self._listen(turn)
            self._closed.wait(self._gateway.timeout_s)
            turn += 1

    def _listen(self, turn: int) -> None:
        """Follow one member until it is silent."""
        if not self._heard:
            self._heard = self._now()
            self._since = 0
        wanted = {
            "key": b64encode(self._low).decode(),
            "range_end": b64encode(self._high).decode(),
            "start_revision": str(self._heard + 1),
        }
        with self._gateway.stream(turn, "/v3/watch", {"create_request": wanted}, SILENCE_S) as (self._link, answers):
            for answer in answers:
                if self._closed.is_set() or not self._note(answer["result"]):
                    return

    def _now(self) -> int:
        """The cluster's revision; asked as every call is, so that it also logs in."""
        nothing = {"request_range": {"key": b64encode(self._prefix).decode(), "count_only": True}}
        answer = self._gateway.call("/v3/kv/txn", {"success": [nothing]}, again=True)
        return int(answer["header"]["revision"])

    def _note(self, told: dict[str, Any]) -> bool:
        """False: this member tells no more. What it has forgotten (compaction) or may not tell is taken for changed."""
        if told.get("canceled"):
            self._heard = 0
            return False
        for event in told.get("events", ()):
            key, revision = event["kv"]["key"], int(event["kv"]["mod_revision"])
            self._newest[b64decode(key)[len(self._prefix) :]] = revision
            self._heard = max(self._heard, revision)
        self._since = self._since or self._heard
        return True
