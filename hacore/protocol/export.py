"""Tables as plain data, for other programs: what ``json`` can write."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from hacore.protocol.requests import JSON
from hacore.protocol.table import ALWAYS, And, Fact, Guard, Not, Or, Row, Table


def export(table: Table) -> dict[str, JSON]:
    """All that a table says. Rows stand in order: of a state's rows, the first whose guard holds fires."""
    return {
        "name": table.name,
        "theory": table.theory.strip(),
        "initial": table.initial,
        "states": [
            {"name": state.name, "shown": state.shown, "final": state.final, "sentence": state.sentence}
            for state in table.states
        ],
        "facts": [
            {"name": fact.name, "checker": fact.checker.value, "sentence": fact.sentence} for fact in table.facts
        ],
        "actions": [
            {"name": action.name, "site": action.site.value, "sentence": action.sentence} for action in table.actions
        ],
        "assuming": [{"text": str(guard), "tree": tree(guard)} for guard in table.assuming],
        "rows": [_row(row) for row in table.rows],
    }


def digest(tables: Iterable[Table]) -> str:
    """Sixteen hexadecimal digits: others as soon as a table means anything else. Words for people do not count."""
    meant = [
        [
            *([state.name, state.shown, state.final] for state in table.states),
            *([*_meant(row)] for row in table.rows),
        ]
        for table in tables
    ]
    return hashlib.sha256(json.dumps(meant).encode()).hexdigest()[:16]


def _meant(row: Row) -> tuple[JSON, ...]:
    told = _row(row)
    del told["why"]
    return tuple(told.values())


def _row(row: Row) -> dict[str, JSON]:
    return {
        "id": row.id,
        "state": row.state,
        "guard": {"text": str(row.guard), "tree": tree(row.guard)},
        "target": row.target,
        "do": [action.name for action in row.do],
        "given": [fact.name for fact in row.given],
        "ends_round": row.ends_round,
        "why": row.why,
    }


def tree(guard: Guard) -> JSON:
    """A guard as ``{"fact": NAME}``, ``{"not": GUARD}``, ``{"and": [...]}`` or ``{"or": [...]}``.

    What always holds is ``{"and": []}``. Of a chain, such as ``A & B & C``, the parts are one list.
    """
    if guard == ALWAYS:
        return {"and": []}
    if isinstance(guard, Fact):
        return {"fact": guard.name}
    if isinstance(guard, Not):
        return {"not": tree(guard.inner)}
    if isinstance(guard, And):
        return {"and": [tree(part) for part in _parts(guard, And)]}
    if isinstance(guard, Or):
        return {"or": [tree(part) for part in _parts(guard, Or)]}
    raise TypeError(f"{guard!r} is of no known kind of guard")


def _parts(guard: Guard, kind: type[And] | type[Or]) -> list[Guard]:
    if isinstance(guard, kind):
        return [*_parts(guard.left, kind), *_parts(guard.right, kind)]
    return [guard]
