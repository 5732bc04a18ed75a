"""How commands print: aligned lines for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click


def aligned(rows: Iterable[Sequence[object]], gap: str = "  ") -> list[str]:
    """Rows as lines, each column as wide as its widest cell. The last cell of a row is free to be longer."""
    cells = [[" ".join(str(cell).split()) for cell in row] for row in rows]
    widths: dict[int, int] = {}
    for row in cells:
        for column, cell in enumerate(row[:-1]):
            widths[column] = max(widths.get(column, 0), len(cell))
    return [gap.join(cell.ljust(widths.get(column, 0)) for column, cell in enumerate(row)).rstrip() for row in cells]


def word(value: Any) -> str:
    """A value as it is written in documents, without quotes around text."""
    return value if isinstance(value, str) else json.dumps(value)


def say_json(answer: Any) -> None:
    click.echo(json.dumps(answer, indent=2))
