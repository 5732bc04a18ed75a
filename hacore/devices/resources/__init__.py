"""Services on this node: looking at them, starting, stopping and moving them.

The word before the colon of a service's id names its type (``proc:web``), and the type names the class that knows how
such services are looked after.
"""

from __future__ import annotations

import re
from pathlib import Path

from hacore.devices.resources.base import Config, Resource, ResourceError
from hacore.devices.resources.process import ProcessResource

__all__ = ["Config", "Resource", "ResourceError", "resource_for", "validate"]

_TYPES: dict[str, type[Resource]] = {"proc": ProcessResource}

_SID = re.compile(r"[a-z][a-z0-9]*:[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}")


def resource_for(sid: str, home: Path, node: str) -> Resource:
    """The resource that looks after ``sid`` on ``node``, whose files are below ``home``.

    Raises :class:`ResourceError` for an id that is malformed or of an unknown type.
    """
    return _class_for(sid)(home, node)


def validate(sid: str, config: Config) -> None:
    """Raise :class:`ResourceError`, with one line for people, if ``sid`` with ``config`` could never be started."""
    _class_for(sid).validate(sid, config)


def _class_for(sid: str) -> type[Resource]:
    if not _SID.fullmatch(sid):
        raise ResourceError(f"{sid!r} is no service id: it should look like proc:web (type, colon, letters and digits)")
    kind = sid.partition(":")[0]
    if kind not in _TYPES:
        raise ResourceError(f"{sid}: unknown type {kind!r} (known: {', '.join(sorted(_TYPES))})")
    return _TYPES[kind]
