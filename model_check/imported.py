"""Tables of one's own: from a Python module, or from the JSON that ``hacore tables --json`` writes."""

from __future__ import annotations

import json
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hacore.protocol.table import ALWAYS, Action, Checker, Fact, Guard, Row, Site, State, Table
from hacore.protocol.tables import TABLES, declared


class ImportedError(ValueError):
    """The file does not hold tables; the message says what is missing."""


def load(path: Path) -> dict[str, Table]:
    """The tables of a file; those that it does not have are hacore's own.

    A Python module defines tables as global names, or ``TABLES``. Raises :class:`ImportedError`, and what the module
    or a table raises itself.
    """
    found = _of_json(path) if path.suffix == ".json" else _of_python(path)
    if not found:
        raise ImportedError(f"{path} holds no tables")
    if unknown := set(found) - set(TABLES):
        raise ImportedError(f"{path}: nothing reads a table called {', '.join(sorted(unknown))}")
    tables = {**TABLES, **found}
    if strange := _words(tables) - set(map(str, declared())):
        raise ImportedError(
            f"{path}: this version of hacore does not know what {', '.join(sorted(strange))} would mean"
        )
    return tables


def _words(tables: Mapping[str, Table]) -> set[str]:
    """Every fact and action that the rows speak of."""
    return {str(it) for table in tables.values() for it in (*table.facts, *table.actions)}


def _of_python(path: Path) -> dict[str, Table]:
    names = runpy.run_path(str(path))
    if isinstance(names.get("TABLES"), Mapping):
        return dict(names["TABLES"])
    return {it.name: it for it in names.values() if isinstance(it, Table) and it is not TABLES.get(it.name)}


def _of_json(path: Path) -> dict[str, Table]:
    try:
        written = json.loads(path.read_text())
    except json.JSONDecodeError as problem:
        raise ImportedError(f"{path} is not JSON: {problem}") from None
    tables = written.get("tables", written) if isinstance(written, dict) else written
    listed = tables.values() if isinstance(tables, dict) else tables
    try:
        return {it["name"]: _table(it) for it in listed}
    except (KeyError, TypeError, AttributeError) as problem:
        raise ImportedError(f"{path} is not an export of tables: {problem!r}") from None


def _table(written: Mapping[str, Any]) -> Table:
    facts = {it["name"]: Fact(it["name"], Checker(it["checker"]), it["sentence"]) for it in written["facts"]}
    actions = {it["name"]: Action(it["name"], Site(it["site"]), it["sentence"]) for it in written["actions"]}
    return Table(
        written["name"],
        written["theory"],
        tuple(_state(it) for it in written["states"]),
        tuple(_row(it, facts, actions) for it in written["rows"]),
        tuple(_guard(it["tree"], facts) for it in written["assuming"]),
    )


def _state(written: Mapping[str, Any]) -> State:
    within = "" if written["shown"] == written["name"] else written["shown"]
    return State(written["name"], written["sentence"], within, written["final"])


def _row(written: Mapping[str, Any], facts: Mapping[str, Fact], actions: Mapping[str, Action]) -> Row:
    return Row(
        written["id"],
        written["state"],
        _guard(written["guard"]["tree"], facts),
        written["target"],
        tuple(actions[name] for name in written["do"]),
        tuple(facts[name] for name in written["given"]),
        written["ends_round"],
        written["why"],
    )


def _guard(tree: Mapping[str, Any], facts: Mapping[str, Fact]) -> Guard:
    if "fact" in tree:
        return facts[tree["fact"]]
    if "not" in tree:
        return ~_guard(tree["not"], facts)
    parts = [_guard(part, facts) for part in tree.get("and", tree.get("or", ()))]
    if not parts:
        return ALWAYS
    whole = parts[0]
    for part in parts[1:]:
        whole = whole & part if "and" in tree else whole | part
    return whole
