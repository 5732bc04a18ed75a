"""What every type of service must be able to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Protocol

from hacore.protocol.requests import JSON

Config = Mapping[str, JSON]


class ResourceError(Exception):
    """What was asked of a service could not be done, or not be told. The text is one line, for people."""


class ServiceBrokenError(ResourceError):
    """The service has failed in such a way that whether it runs can be told only once it was stopped."""


@contextmanager
def told(sid: str) -> Iterator[None]:
    """What the system refuses while we look or act is told as one line about the service."""
    try:
        yield
    except OSError as error:
        raise ResourceError(f"{sid}: {error}") from error


class Resource(Protocol):
    """Services of one type on one node. Calls may come from several threads and processes at a time."""

    stop_timeout_s: ClassVar[float]
    """How long a service may take to stop by itself if neither the request nor its configuration says."""

    def __init__(self, home: Path, node: str) -> None:
        """Look after the services of ``node``, whose files are below ``home``."""

    @staticmethod
    def validate(sid: str, config: Config) -> None:
        """Raise :class:`ResourceError`, with one line for people, if the service could never be started."""

    def probe(self, sid: str, config: Config) -> bool:
        """Whether anything of the service runs on this node, or may still come up by a start that is under way.

        Raises :class:`ResourceError` when it cannot be told, :class:`ServiceBrokenError` when a stop would mend that.
        """

    def start(self, sid: str, config: Config) -> None:
        """Start the service unless it runs; return as soon as it is under way.

        Raises :class:`ResourceError` when it could not be started.
        """

    def stop(self, sid: str, config: Config, timeout_s: float | None) -> None:
        """Stop the service, by force after ``timeout_s`` seconds (None: what the service's configuration says).

        When this returns, nothing of the service runs on this node. Raises :class:`ResourceError` when that could not
        be brought about, or not be told.
        """

    def migrate(self, sid: str, config: Config, target: str) -> bool:
        """Move the running service to the node ``target`` without stopping it; True if it runs there now, not here."""
