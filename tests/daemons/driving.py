"""A daemon's generator, run on answers that a test makes up."""

from collections.abc import Callable
from typing import Any, TypeVar

from hacore.protocol.requests import Asking, Fired, Request

A = TypeVar("A")


def drive(asking: Asking[A], answer: Callable[[Request[Any]], Any]) -> tuple[A, list[Request[Any]]]:
    """Run to the end. Returns what it returned, and all that it asked."""
    asked: list[Request[Any]] = []
    said: Any = None
    while True:
        try:
            request = asking.send(said)
        except StopIteration as end:
            return end.value, asked
        asked.append(request)
        said = answer(request)


def rows(asked: list[Request[Any]]) -> list[str]:
    """The rows that fired, in order."""
    return [request.row for request in asked if isinstance(request, Fired)]
