"""``spec/Tables.tla``: the tables as a TLA+ module of plain data, for the hand-written specification to refer to.

For each table, say ``lrm``, there are

- ``LrmStates``, the names of its states, phases included;
- ``LrmWithin``, which phases an operator sees as which state: ``LrmWithin["active"]``;
- ``LrmRows``, its rows as ``<<id, from, to, effect>>``, the effect being the row's one action outside the process,
  "" if it has none.

Guards are left out: the specification states its own, and TLC holds its steps against the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from hacore.protocol.table import Row, Table
from hacore.protocol.tables import TABLES

NAME = "Tables.tla"
WIDTH = 80
HEAD = """\
(* Generated from the tables in hacore/protocol. Not edited by hand.                   *)
(* TStates: the states of table t. TWithin: which of them are shown as which state.    *)
(* TRows: its rows, <<id, from, to, effect>>, where "" is no effect outside a process. *)"""


def text(tables: Iterable[Table]) -> str:
    """The module's text. The same tables give the same text."""
    parts = [" MODULE Tables ".center(WIDTH, "-"), HEAD, *("\n".join(_table(table)) for table in tables), "=" * WIDTH]
    return "\n\n".join(parts) + "\n"


def write(directory: Path) -> Path:
    """Bring the module in a directory up to date with the protocol's tables."""
    path = directory / NAME
    path.write_text(text(TABLES.values()))
    return path


def stale(directory: Path) -> bool:
    """Whether the module in a directory is missing, or is not that of the protocol's tables."""
    path = directory / NAME
    return not path.is_file() or path.read_text() != text(TABLES.values())


def _table(table: Table) -> Iterator[str]:
    name = table.name.capitalize()
    shown: dict[str, list[str]] = {}
    for state in table.states:
        shown.setdefault(state.shown, []).append(state.name)
    groups = [f"{state} |-> {_set(phases)}" for state, phases in shown.items()]
    yield f"{name}Within == [\n  " + ",\n  ".join(groups) + "]"
    yield f"{name}States == UNION {{{name}Within[shown] : shown \\in DOMAIN {name}Within}}"
    yield f"{name}Rows == {{\n  " + ",\n  ".join(map(_row, table.rows)) + "}"


def _row(row: Row) -> str:
    effect = row.effect.name if row.effect else ""
    return "<<" + ", ".join(f'"{part}"' for part in (row.id, row.state, row.target, effect)) + ">>"


def _set(names: Iterable[str]) -> str:
    return "{" + ", ".join(f'"{name}"' for name in names) + "}"
