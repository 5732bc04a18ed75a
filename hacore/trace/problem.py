"""What is wrong with a trace."""

from __future__ import annotations

from dataclasses import dataclass

from hacore.trace.reading import Line


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not hold: the property's name, where and when, and the lines that show it."""

    name: str
    node: str
    t: float
    text: str
    lines: tuple[str, ...]

    @classmethod
    def at(cls, name: str, text: str, line: Line, *others: Line) -> Problem:
        return cls(name, line.node, line.t, text, (line.place, *(other.place for other in others)))

    def __str__(self) -> str:
        return f"{self.name}: {self.node} at {self.t:.3f}: {self.text} ({', '.join(self.lines)})"
