"""Services on this node: looking at them, starting, stopping and moving them.

The word before the colon of a service's id names its type (``proc:web``), and the type names the class that knows how
such services are looked after.
"""

from __future__ import annotations

from pathlib import Path

from hacore.devices.resources.base import Config, Resource, ResourceError, ServiceBrokenError
from hacore.devices.resources.ocf import OcfResource
from hacore.devices.resources.process import ProcessResource
from hacore.devices.resources.proxmox import ContainerResource, MachineResource
from hacore.devices.resources.settings import seconds
from hacore.devices.resources.systemd import SystemdResource
from hacore.protocol.names import NameProblem, check_sid

__all__ = ["Config", "Resource", "ResourceError", "ServiceBrokenError", "resource_for", "stop_timeout_s", "validate"]

_TYPES: dict[str, type[Resource]] = {
    "proc": ProcessResource,
    "unit": SystemdResource,
    "ocf": OcfResource,
    "vm": MachineResource,
    "ct": ContainerResource,
}


def resource_for(sid: str, home: Path, node: str) -> Resource:
    """The resource that looks after ``sid`` on ``node``, whose files are below ``home``.

    Raises :class:`ResourceError` for an id that is malformed or of an unknown type.
    """
    return _class_for(sid)(home, node)


def validate(sid: str, config: Config) -> None:
    """Raise :class:`ResourceError`, with one line for people, if ``sid`` with ``config`` could never be started."""
    _class_for(sid).validate(sid, config)


def stop_timeout_s(sid: str, config: Config) -> float:
    """How long the service may take to stop by itself, if a request does not say. Raises as :func:`validate` does."""
    return seconds(config, "stop_timeout_s", _class_for(sid).stop_timeout_s)


def _class_for(sid: str) -> type[Resource]:
    try:
        kind = check_sid(sid).partition(":")[0]
    except NameProblem as problem:
        raise ResourceError(str(problem)) from None
    if kind not in _TYPES:
        raise ResourceError(f"{sid}: unknown type {kind!r} (known: {', '.join(sorted(_TYPES))})")
    return _TYPES[kind]
