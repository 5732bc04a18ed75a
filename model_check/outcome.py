"""What came of a check: one record for each, whatever did the checking, and what they come to together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

Figure: TypeAlias = int | float | str


class Verdict(IntEnum):
    """The numbers are exit codes: those of TLC, where TLC has one."""

    PASSED = 0
    SAFETY = 12
    LIVENESS = 13
    BROKEN = 3
    """The check itself could not be carried out."""


@dataclass(frozen=True)
class Step:
    """One step of a counterexample. ``row`` is the id of the table's row, "" for a step of the world."""

    number: int
    name: str
    row: str
    changes: dict[str, tuple[str, str]]
    """By field, what it was and what it is."""


@dataclass(frozen=True)
class Story:
    """A run that breaks a promise: the steps, and for liveness the cycle in which it goes on for ever."""

    property: str
    sentence: str
    steps: tuple[Step, ...]
    cycle: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Check:
    """One check: a line of the report."""

    group: str
    """explore, tlc, prove, mutants, live, lint, upgrade ..."""
    name: str
    sentence: str
    """What was checked, for people: of a slice what it contains and leaves out."""
    verdict: Verdict
    seconds: float
    figures: dict[str, Figure] = field(default_factory=dict)
    """Distinct states, obligations, constants ...: in the order in which they are shown."""
    problem: str = ""
    """What is wrong, if anything is."""
    stories: tuple[Story, ...] = ()
    fired: dict[str, int] = field(default_factory=dict)
    """How often each row fired, by id, where that was counted."""
    seen: dict[str, bool] = field(default_factory=dict)
    """Which of the things that must be possible happened, of those that the slice promises."""


def worst(checks: Iterable[Check]) -> Verdict:
    """What all checks come to: broken promises before checks that could not be carried out, safety before liveness."""
    order = (Verdict.SAFETY, Verdict.LIVENESS, Verdict.BROKEN)
    verdicts = {check.verdict for check in checks}
    return next((verdict for verdict in order if verdict in verdicts), Verdict.PASSED)
