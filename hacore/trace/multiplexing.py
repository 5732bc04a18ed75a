"""A multiplexer's life, held against what its clients have said.

Its trace leaves out its looks at the clock, so it cannot be lived again. But which clients are admitted follows from
the messages and the rows, and so do the facts about them; and the clock was looked at after a message had come, and
before the row fired.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hacore.protocol.tables import TABLES
from hacore.trace.problem import Problem
from hacore.trace.reading import Life, Line

NAME = "Again"
ABOUT_CLIENTS = frozenset({"OPEN_ASKED", "MOVE_ASKED", "CLOSE_ASKED", "VANISHED", "MESSAGE", "DOOMED", "LAST_CLIENT"})
ROUNDED_S = 2e-6


class Clients:
    """Who is admitted, and what was said last."""

    def __init__(self) -> None:
        self.admitted: set[int] = set()
        self.vanished: set[int] = set()
        self.message: dict[str, Any] | None = None
        self.received: Line | None = None

    def facts(self) -> set[str]:
        """What of :data:`ABOUT_CLIENTS` holds."""
        facts = {"DOOMED"} if self.vanished else set[str]()
        client = self.message["client"] if self.message else 0
        if self.admitted == {client}:
            facts.add("LAST_CLIENT")
        if self.message:
            asks = {(False, "open"): "OPEN_ASKED", (True, "keepalive"): "MOVE_ASKED", (True, "close"): "CLOSE_ASKED"}
            asks[True, "gone"] = "VANISHED"
            facts |= {asks[key] for key in [(client in self.admitted, self.message["verb"])] if key in asks}
            facts |= {"MESSAGE"} if self.message["verb"] != "gone" else set()
        return facts

    def take(self, line: Line) -> Iterator[Problem]:
        message = line.answer("Message") if line.ask == "Receive" else None
        if message is not None:
            if self.message and "MESSAGE" in self.facts():
                yield Problem.at(NAME, "a message, though nothing became of the one before", line, *self._lines())
            self.message, self.received = message, line
        elif line.row in TABLES["watchdog"].by_id:
            yield from self._row(line)
        elif line.ask == "Reply" and self.received and line.said["client"] != self.received.answer("Message")["client"]:
            yield Problem.at(NAME, f"client {line.said['client']} is answered, who did not ask", line, *self._lines())

    def _lines(self) -> list[Line]:
        return [self.received] if self.received else []

    def _row(self, line: Line) -> Iterator[Problem]:
        table = TABLES["watchdog"]
        row, said = table.by_id[line.row], set(line.said["facts"])
        asked = {fact.name for fact in table.facts_of(row.state)}
        for fact in sorted(asked & ABOUT_CLIENTS & (said ^ self.facts())):
            yield Problem.at(NAME, f"{fact} {'did not hold' if fact in said else 'held'}", line, *self._lines())
        if "DEADLINE_AHEAD" in asked and self.message and self.received:
            deadline, ahead = self.message["deadline_s"], "DEADLINE_AHEAD" in said
            if (deadline > line.t + ROUNDED_S and not ahead) or (deadline < self.received.t - ROUNDED_S and ahead):
                yield Problem.at(NAME, f"the deadline {deadline:.3f} {'was past' if ahead else 'lay ahead'}", line)
        elif "DEADLINE_AHEAD" in said:
            yield Problem.at(NAME, "there is no message with a deadline", line)
        client = self.message["client"] if self.message else 0
        for action in row.do:
            if action.name == "ADMIT":
                self.admitted.add(client)
            elif action.name == "DISMISS":
                self.admitted.discard(client)
            elif action.name == "DOOM":
                self.vanished.add(client)
        if row.ends_round:
            self.message = None


def multiplexed(life: Life) -> Iterator[Problem]:
    """What of a multiplexer's life does not follow from what its clients said."""
    clients = Clients()
    if life.daemon == "watchdog" and life.whole:
        for line in life.lines:
            yield from clients.take(line)
