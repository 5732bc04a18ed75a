"""hacore plan."""

import json
from pathlib import Path

import pytest

from hacore.manager.documents import RESOURCES
from tests.cli.clusters import Cluster, resource


def lines(said: str) -> list[str]:
    return [" ".join(line.split()) for line in said.splitlines()]


@pytest.fixture
def two(cluster: Cluster) -> Cluster:
    cluster.put(RESOURCES, {"proc:a": resource("node1", "started"), "proc:b": resource("node2", "started")})
    return cluster


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("node-down node1", ["node node1 is fenced", "service proc:a is recovered from node1 on node3"]),
        (
            "node-maintenance node1",
            ["node node1 is in maintenance", "service proc:a is relocated from node1 to node3"],
        ),
        ("relocate proc:a node3", ["service proc:a is relocated from node1 to node3"]),
        ("migrate proc:a node3", ["service proc:a is relocated from node1 to node3"]),
        ("service proc:a stopped", ["service proc:a is stopped on node1"]),
        ("service proc:a ignored", ["service proc:a is removed"]),
        ("add proc:c node3", ["service proc:c is added", "service proc:c is started on node3"]),
        ("service proc:a started", ["nothing would change"]),
    ],
)
def test_a_plan_is_told_and_nothing_is_touched(two: Cluster, words: str, answer: list[str]) -> None:
    before = two.ok("plan", "documents")
    assert answer == [line for line in lines(two.ok("plan", *words.split())) if "recovery" not in line][: len(answer)]
    assert two.ok("plan", "documents") == before


def test_documents_of_elsewhere_can_be_planned_with(two: Cluster, tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    saved.write_text(two.ok("plan", "documents"))
    two.put(RESOURCES, {})
    assert "proc:a" in two.ok("plan", "node-down", "node1", "--status", str(saved))
    assert two.ok("plan", "node-down", "node1") == "nothing would change\n"


def test_rules_are_planned_and_answered_in_json(two: Cluster, tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text(
        '[{"id": "near", "type": "resource-affinity", "resources": ["proc:a", "proc:b"], "affinity": "positive"}]'
    )
    answer = json.loads(two.ok("plan", "rule", str(rules), "--json"))
    assert [it["sid"] for it in answer["events"] if it.get("to") == "relocate"] == ["proc:a"]
    assert (answer["unplaced"], answer["infeasible"], answer["settled"]) == ({}, {}, True)


@pytest.mark.parametrize(
    ("words", "because"),
    [
        ("migrate proc:a node9", "refused  migrate proc:a node9  node9 is not online"),
        ("migrate proc:x node1", "proc:x is not managed"),
        ("node-down node9", "node9 is no node of this cluster"),
        ("service proc:x stopped", "there is no service proc:x"),
        ("add proc:a node1", "there is a service proc:a already"),
    ],
)
def test_what_cannot_be_done_is_said(two: Cluster, words: str, because: str) -> None:
    result = two.run("plan", *words.split())
    assert result.exit_code == 1
    assert because in result.output


def test_a_service_without_a_place_is_told(two: Cluster) -> None:
    two.ok("rules", "add", "here", "proc:a", "--on", "node1", "--strict")
    result = two.run("plan", "node-down", "node1")
    assert result.exit_code == 1
    assert "proc:a  was on node1, and no node that is left may have it" in result.output
