"""Driving a generator of requests on real devices: ask, answer, note."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from hacore.protocol.requests import Asking, Request
from hacore.runtime.trace import Trace

A = TypeVar("A")

Answers = dict[type[Request[Any]], Callable[[Any], Any]]
"""What answers each kind of request."""


def drive(asking: Asking[A], answers: Answers, trace: Trace) -> A:
    """Run a generator of requests to its end, and return what it returns."""
    answer: Any = None
    while True:
        try:
            request = asking.send(answer)
        except StopIteration as end:
            result: A = end.value
            return result
        answer = answers[type(request)](request)
        trace.note(request, answer)
