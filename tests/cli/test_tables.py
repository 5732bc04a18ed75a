"""hacore tables, and tables as plain data."""

import json
from itertools import product
from typing import Any

import pytest

from hacore.protocol.export import export, tree
from hacore.protocol.table import ALWAYS, Checker, Fact, Guard, Table
from hacore.protocol.tables import TABLES
from tests.cli.clusters import Cluster

A, B, C = (Fact(name, Checker.LOCAL, f"{name} is the case.") for name in "ABC")
ALL = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)


def holds(it: Any, facts: dict[str, bool]) -> bool:
    """What a reader of the JSON makes of a guard."""
    ((kind, inner),) = it.items()
    if kind == "fact":
        return facts[inner]
    if kind == "not":
        return not holds(inner, facts)
    return (all if kind == "and" else any)(holds(part, facts) for part in inner)


@pytest.mark.parametrize(
    ("guard", "expected"),
    [
        (A, {"fact": "A"}),
        (~A, {"not": {"fact": "A"}}),
        (A & B & C, {"and": [{"fact": "A"}, {"fact": "B"}, {"fact": "C"}]}),
        (A & (B | C), {"and": [{"fact": "A"}, {"or": [{"fact": "B"}, {"fact": "C"}]}]}),
        (~(A | B), {"not": {"or": [{"fact": "A"}, {"fact": "B"}]}}),
        (ALWAYS, {"and": []}),
    ],
)
def test_guards_are_trees(guard: Guard, expected: object) -> None:
    assert tree(guard) == expected
    for values in product([False, True], repeat=3):
        facts = dict(zip("ABC", values, strict=True))
        assert holds(tree(guard), facts) == guard.holds(lambda fact, facts=facts: facts[fact.name])  # type: ignore[misc]


def test_an_unknown_guard_is_no_tree() -> None:
    with pytest.raises(TypeError, match="no known kind"):
        tree(Guard())


@ALL
def test_an_export_has_everything(table: Table) -> None:
    data = export(table)
    assert json.loads(json.dumps(data)) == data
    assert [row["id"] for row in data["rows"]] == [row.id for row in table.rows]
    assert [state["name"] for state in data["states"]] == [state.name for state in table.states]
    facts, actions = ({it["name"] for it in data[key]} for key in ("facts", "actions"))
    for row, told in zip(table.rows, data["rows"], strict=True):
        assert (told["state"], told["target"], told["ends_round"]) == (row.state, row.target, row.ends_round)
        assert told["guard"] == {"text": str(row.guard), "tree": tree(row.guard)}
        assert set(told["do"]) <= actions
        assert {*told["given"], *(fact.name for fact in row.guard.facts())} <= facts
    assert all(it["checker"] and it["sentence"] for it in data["facts"])
    assert all(it["site"] and it["sentence"] for it in data["actions"])


def test_tables_as_json(cluster: Cluster) -> None:
    assert cluster.json("tables") == {name: export(table) for name, table in TABLES.items()}
    assert cluster.json("tables", "lrm") == export(TABLES["lrm"])


@ALL
def test_tables_as_text(cluster: Cluster, table: Table) -> None:
    text = cluster.ok("tables", table.name)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for row in table.rows:
        (line,) = (line for line in lines if line.startswith(f"{row.id} "))
        target = "-" if row.target == row.state else row.target
        assert line.startswith(f"{row.id} {target} {row.guard}")
        assert row.why in line
        assert all(str(word) in line for word in (*row.do, *row.given))
    assert table.theory.strip() in text
    assert text in cluster.ok("tables")


def test_an_unknown_table(cluster: Cluster) -> None:
    assert "the tables are crm, lrm, service" in cluster.not_understood("tables", "services")
