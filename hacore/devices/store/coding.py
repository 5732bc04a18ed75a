"""How documents become bytes: the same in every engine, so that each refuses what another could not hold."""

from __future__ import annotations

import json

from hacore.protocol.requests import JSON

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def key_bytes(key: str) -> bytes:
    """A key in UTF-8: compared byte by byte, and any prefix has a plain upper bound. Raises ValueError for no key."""
    if not key:
        raise ValueError("a document's key must not be empty")
    return key.encode()


def value_text(key: str, value: JSON) -> str:
    """A value as ASCII text. Raises ValueError or TypeError for what would not be read back unchanged."""
    text = _encode(value)
    if json.loads(text) != value:
        raise ValueError(f"the value of {key!r} would not be read back unchanged: use lists, and strings as keys")
    return text


def bounds(prefix: bytes) -> tuple[bytes, bytes]:
    """The keys that begin with ``prefix`` are those from the first to before the second. UTF-8 never has a byte ff."""
    return prefix, (prefix[:-1] + bytes([prefix[-1] + 1]) if prefix else b"\xff")
