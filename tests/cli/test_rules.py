"""hacore rules, rules add, rules remove, rules check."""

import json
from pathlib import Path
from typing import Any

import pytest

from hacore.manager.documents import RULES
from tests.cli.clusters import NODES, Cluster

PAIR = {"type": "resource-affinity", "resources": ["proc:web", "proc:db"], "affinity": "positive"}
HOME = {"type": "node-affinity", "resources": ["proc:db"], "nodes": {"node1": 2, "node2": 0}, "strict": True}
APART = {**PAIR, "affinity": "negative"}


def test_rules_are_added_shown_and_removed(cluster: Cluster) -> None:
    assert cluster.ok("rules") == "no rules\n"
    said = cluster.ok("rules", "add", "pair", "proc:web", "proc:db", "--together", "--comment", "see ticket 17")
    assert said == "added pair: proc:web proc:db together\n"
    cluster.ok("rules", "add", "home", "proc:old", "--on", "node1=2", "--on", "node2", "--strict")
    cluster.ok("rules", "add", "later", "proc:web", "proc:db", "--apart", "--disable")
    assert cluster.value(RULES) == {
        "pair": {**PAIR, "comment": "see ticket 17"},
        "home": {**HOME, "resources": ["proc:old"]},
        "later": {**APART, "disable": True},
    }
    assert cluster.json("rules") == cluster.value(RULES)
    assert [" ".join(line.split()) for line in cluster.ok("rules").splitlines()] == [
        "home followed proc:old on node1=2 node2=0 only",
        "later disabled proc:web proc:db apart",
        "pair followed proc:web proc:db together see ticket 17",
    ]
    assert cluster.ok("rules", "remove", "pair") == "removed pair\n"
    assert sorted(cluster.value(RULES)) == ["home", "later"]


def test_who_adds_a_rule_is_told_what_is_not_followed_for_it(cluster: Cluster) -> None:
    cluster.put(RULES, {"pair": PAIR})
    assert cluster.ok("rules", "add", "apart", "proc:web", "proc:db", "--apart").splitlines() == [
        "added apart: proc:web proc:db apart",
        "not followed: apart  proc:web and proc:db would be together and apart: pair, apart",
        "not followed: pair   proc:web and proc:db would be together and apart: pair, apart",
    ]
    assert {line.split()[1] for line in cluster.ok("rules").splitlines()} == {"infeasible"}


@pytest.mark.parametrize(
    ("words", "because"),
    [
        ("pair proc:x --on node1", "there is a rule pair already: remove it with hacore rules remove pair"),
        ("new proc:x --on node9", "node9 is no node of this cluster; its nodes are node1, node2, node3"),
        ("new x --on node1", "bad service id 'x'"),
        ("new proc:x proc:x --together", "proc:x is named twice"),
    ],
)
def test_a_rule_that_is_refused_changes_nothing(cluster: Cluster, words: str, because: str) -> None:
    cluster.put(RULES, {"pair": PAIR})
    assert because in cluster.refused("rules", "add", *words.split())


@pytest.mark.parametrize(
    ("words", "because"),
    [
        ("new proc:x", "write one of --on NODE, --together, --apart"),
        ("new proc:x --on node1 --apart", "write one of --on NODE, --together, --apart"),
        ("new proc:x proc:y --apart --strict", "--strict goes with --on"),
        ("new proc:x --on node1=high", "write NODE or NODE=PRIORITY"),
        ("new --apart", "Missing argument 'SID...'"),
    ],
)
def test_a_rule_that_is_not_understood_changes_nothing(cluster: Cluster, words: str, because: str) -> None:
    assert because in cluster.not_understood("rules", "add", *words.split())


def test_only_a_rule_that_is_there_can_be_removed(cluster: Cluster) -> None:
    assert cluster.refused("rules", "remove", "pair") == "there is no rule pair; the rules are none"


# ----------------------------------------------------------------------------------------------------------- check


def checked(cluster: Cluster, *words: str) -> tuple[int, str]:
    result = cluster.run("rules", "check", *words)
    assert result.stderr == ""
    return result.exit_code, result.stdout


def test_the_rules_of_the_cluster_are_checked(cluster: Cluster) -> None:
    assert checked(cluster) == (0, "all can be followed: 0 rules\n")
    cluster.put(RULES, {"pair": PAIR, "home": HOME})
    because = "home has several priorities, and pair is about a resource of it"
    assert checked(cluster) == (1, f"home  {because}\npair  {because}\n")
    code, told = checked(cluster, "--json")
    assert (code, json.loads(told)) == (1, {"rules": 2, "infeasible": {"home": [because], "pair": [because]}})


def written(directory: Path, value: Any) -> str:
    path = directory / "rules.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return str(path)


@pytest.mark.parametrize("nodes", [NODES, {"node1": {"power": "on"}, "node2": {}, "node3": {}}])
@pytest.mark.parametrize("rules", [{"a": PAIR, "b": APART}, [{"id": "a", **PAIR}, {"id": "b", **APART}]])
def test_the_rules_of_a_file_are_checked_without_a_cluster(cluster: Cluster, nodes: Any, rules: Any) -> None:
    file = written(cluster.directory, {"nodes": nodes, "rules": rules, "services": {}})
    result = cluster.run("-C", "/nowhere", "rules", "check", "--file", file, "--json")
    assert result.exit_code == 1
    assert sorted(json.loads(result.stdout)["infeasible"]) == ["a", "b"]
    assert checked(cluster, "--file", written(cluster.directory, {"nodes": nodes}))[0] == 0


@pytest.mark.parametrize(
    ("value", "because"),
    [
        ("{", "this is not JSON"),
        ([], 'write {"nodes": [...], "rules": [...]}'),
        ({"rules": []}, 'write {"nodes": [...], "rules": [...]}'),
        ({"nodes": [], "rules": [PAIR]}, "each rule needs an id of its own"),
        ({"nodes": [], "rules": {"a": {**PAIR, "affinty": 1}}}, "unknown field `affinty`"),
    ],
)
def test_a_file_that_is_no_set_of_rules_is_refused(cluster: Cluster, value: Any, because: str) -> None:
    file = written(cluster.directory, value)
    said = cluster.refused("rules", "check", "--file", file)
    assert because in said
    assert "rules.json" in said
