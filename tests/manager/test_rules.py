"""Which rules are dropped and why, and what the others say together."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacore.manager.documents import RULES, DocumentError, dump
from hacore.manager.rules import (
    CHECKS,
    NO_RULES,
    Compiled,
    NodeAffinity,
    ResourceAffinity,
    Rule,
    compile_rules,
    listed,
    rules_of,
)
from hacore.protocol.requests import Document, Snapshot

NODES = ["n1", "n2", "n3"]
SIDS = [f"vm:{number}" for number in range(1, 8)]


def named(letters: str) -> list[str]:
    return [f"vm:{letter}" for letter in letters]


def together(letters: str, **more: Any) -> ResourceAffinity:
    return ResourceAffinity(named(letters), "positive", **more)


def apart(letters: str, **more: Any) -> ResourceAffinity:
    return ResourceAffinity(named(letters), "negative", **more)


def on(letters: str, nodes: str, **more: Any) -> NodeAffinity:
    """Services on nodes, all of priority 0, or ``n1=2 n2=1``."""
    priorities = (each.partition("=") for each in nodes.split())
    return NodeAffinity(named(letters), {node: int(number or 0) for node, _, number in priorities}, **more)


def compiled(**rules: Rule) -> Compiled:
    return compile_rules(rules, NODES)


def test_without_rules_a_service_is_a_group_by_itself() -> None:
    assert compile_rules({}, NODES) == NO_RULES
    assert (NO_RULES.group("vm:1"), NO_RULES.companions("vm:1")) == ("vm:1", ("vm:1",))


# --------------------------------------------------------------------------------------------------------- checks


@pytest.mark.parametrize(
    ("rules", "dropped"),
    [
        ({"a": on("x", "n1"), "b": on("xy", "n2"), "c": on("z", "n1")}, "a b"),
        ({"a": together("x"), "b": apart("y"), "c": together("yz")}, "a b"),
        ({"a": apart("wxyz"), "b": apart("xyz")}, "a"),
        ({"a": together("xy"), "b": apart("xyz"), "c": together("vw")}, "a b"),
        ({"a": together("xy"), "b": together("yz"), "c": apart("xz")}, "a b c"),
        ({"a": together("xy"), "b": apart("xz")}, ""),
        ({"a": on("x", "n1=1 n2=2"), "b": apart("xy"), "c": together("xz"), "d": on("y", "n1")}, "a b c"),
        ({"a": on("x", "n1=1 n2=1"), "b": apart("xy")}, ""),
        ({"a": on("x", "n1=1 n2=2"), "b": apart("yz")}, ""),
        ({"a": on("x", "n1"), "b": on("y", "n1"), "c": together("xyz")}, "a b c"),
        ({"a": on("x", "n1"), "b": on("z", "n1"), "c": together("xy"), "d": together("yz")}, "a b c d"),
        ({"a": on("xy", "n1"), "c": together("xyz")}, ""),
        ({"a": on("xy", "n1"), "b": apart("xyz")}, "a b"),
        ({"a": on("x", "n1"), "b": on("y", "n1"), "c": apart("xyz")}, "a b c"),
        ({"a": on("x", "n1"), "b": on("y", "n2"), "c": apart("xyz")}, ""),
        # What one check drops, the others have seen all the same.
        ({"a": on("xy", "n1"), "b": apart("xy"), "c": together("xy")}, "a b c"),
        # Disabled rules are seen by none.
        ({"a": on("x", "n1"), "b": on("xy", "n2", disable=True)}, ""),
        ({"a": together("xy", disable=True), "b": apart("xyz")}, ""),
    ],
)
def test_rules_that_cannot_be_followed_are_dropped(rules: dict[str, Rule], dropped: str) -> None:
    assert sorted(compiled(**rules).infeasible) == dropped.split()


def test_the_reason_names_what_is_in_the_way() -> None:
    rules: dict[str, Rule] = {
        "home": on("wx", "n1"),
        "other": on("x", "n1=1 n2=2"),
        "pair": together("xy"),
        "single": apart("z"),
        "split": apart("wxyz"),
    }
    assert compiled(**rules).infeasible == {
        "home": [
            "vm:x is in more than one node-affinity rule: home, other",
            "resources of pair are in more than one node-affinity rule: home, other",
        ],
        "other": [
            "vm:x is in more than one node-affinity rule: home, other",
            "other has several priorities, and pair is about a resource of it",
            "other has several priorities, and split is about a resource of it",
            "resources of pair are in more than one node-affinity rule: home, other",
        ],
        "pair": [
            "vm:x and vm:y would be together and apart: pair, split",
            "other has several priorities, and pair is about a resource of it",
            "resources of pair are in more than one node-affinity rule: home, other",
        ],
        "single": ["it names one resource only"],
        "split": [
            "it keeps 4 resources apart, but there are 3 nodes",
            "vm:x and vm:y would be together and apart: pair, split",
            "other has several priorities, and split is about a resource of it",
        ],
    }


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.strip("_"))
def test_each_check_is_needed(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a set of rules that only it finds fault with."""
    needed: dict[str, dict[str, Rule]] = {
        "_in_two_node_rules": {"a": on("x", "n1"), "b": on("x", "n2")},
        "_alone": {"a": apart("x")},
        "_more_than_nodes": {"a": apart("wxyz")},
        "_together_and_apart": {"a": together("xy"), "b": apart("xy")},
        "_several_priorities": {"a": on("x", "n1=1 n2=2"), "b": apart("xy")},
        "_in_several_places": {"a": on("x", "n1"), "b": on("y", "n2"), "c": together("xy")},
        "_too_few_places": {"a": on("xy", "n1"), "b": apart("xy")},
    }
    rules = needed[check.__name__]
    assert compiled(**rules).infeasible
    monkeypatch.setattr("hacore.manager.rules.CHECKS", [each for each in CHECKS if each is not check])
    assert not compiled(**rules).infeasible


# ------------------------------------------------------------------------------------------------ transformations


def test_connected_positive_rules_are_one_group() -> None:
    rules = compiled(a=together("xy"), b=together("vw"), c=together("yz"))
    assert rules.companions("vm:z") == ("vm:x", "vm:y", "vm:z")
    assert rules.companions("vm:v") == ("vm:v", "vm:w")
    assert {rules.group(sid) for sid in named("xyz")} == {"vm:x"}


def test_a_node_affinity_of_one_member_holds_for_all() -> None:
    rules = compiled(a=on("y", "n2", strict=True), b=together("xyz"))
    assert {rules.located[rules.group(sid)].nodes["n2"] for sid in named("xyz")} == {0}


def separated(rules: Compiled, sid: str) -> set[str]:
    groups = rules.apart_from_groups.get(sid, ())
    return set(rules.apart.get(rules.group(sid), ())).union(*(rules.members[group] for group in groups))


@pytest.mark.parametrize(
    ("sid", "others"),
    [("vm:a", "bxyz"), ("vm:x", "abc"), ("vm:y", "ab"), ("vm:z", "ab"), ("vm:b", "axyz"), ("vm:c", "ax"), ("vm:d", "")],
)
def test_a_negative_rule_about_one_member_holds_for_all_but_not_between_two_that_it_does_not_name(
    sid: str, others: str
) -> None:
    rules = compiled(apart=apart("abx"), left=together("xyz"), right=together("bc"))
    assert separated(rules, sid) == set(named(others if sid != "vm:a" else "bcxyz"))


def test_a_rule_that_is_dropped_says_nothing() -> None:
    rules = compiled(a=together("xy"), b=together("yz"), c=apart("xz"), d=on("x", "n1"))
    assert (rules.leader, rules.members, rules.apart, rules.apart_from_groups) == ({}, {}, {}, {})
    assert rules.located == {"vm:x": on("x", "n1")}


# ------------------------------------------------------------------------------------------------------ properties


sids = st.lists(st.sampled_from(SIDS), min_size=1, max_size=4, unique=True)
any_rule = st.one_of(
    st.builds(NodeAffinity, sids, st.dictionaries(st.sampled_from(NODES), st.integers(0, 2), min_size=1)),
    st.builds(ResourceAffinity, sids, st.sampled_from(["positive", "negative"]), st.booleans()),
)
any_rules = st.lists(any_rule, max_size=5).map(lambda rules: {f"r{number}": it for number, it in enumerate(rules)})


@given(any_rules)
def test_what_is_kept_is_followed_and_can_be_kept_together(rules: dict[str, Rule]) -> None:
    it = compile_rules(rules, NODES)
    for id_, rule in rules.items():
        if rule.disable or id_ in it.infeasible:
            continue
        for sid in rule.resources:
            if isinstance(rule, NodeAffinity):
                assert it.located[it.group(sid)] is rule
            elif rule.affinity == "positive":
                assert set(rule.resources) <= set(it.companions(sid))
            else:
                assert set(rule.resources) - {sid} <= separated(it, sid)
    assert compile_rules({id_: rule for id_, rule in rules.items() if id_ not in it.infeasible}, NODES).infeasible == {}


@given(any_rules)
def test_keeping_apart_is_mutual_and_spares_companions(rules: dict[str, Rule]) -> None:
    it = compile_rules(rules, NODES)
    for sid in SIDS:
        others = separated(it, sid)
        assert not others & set(it.companions(sid))
        assert all(sid in separated(it, other) for other in others)


@given(any_rules)
def test_neither_the_order_of_rules_nor_of_resources_matters(rules: dict[str, Rule]) -> None:
    turned = {id_: rules[id_] for id_ in reversed(rules)}
    assert compile_rules(turned, NODES) == compile_rules(rules, NODES)


def test_the_time_grows_with_what_rules_name_not_with_its_square() -> None:
    def cpu_s(services: int) -> float:
        rules: dict[str, Rule] = {"all": ResourceAffinity([f"vm:{it}" for it in range(services)], "positive")}
        for it in range(services // 2):
            rules[f"apart{it}"] = ResourceAffinity([f"ct:{2 * it}", f"ct:{2 * it + 1}"], "negative")
            rules[f"home{it}"] = NodeAffinity([f"fa:{it}"], {"n1": 0})
        rules["link"] = ResourceAffinity(["vm:7", "ct:7"], "negative")
        start = time.process_time()
        assert not compile_rules(rules, NODES).infeasible
        return time.process_time() - start

    cpu_s(10)
    assert min(cpu_s(10_000) for _ in range(2)) < 40 * min(cpu_s(1_000) for _ in range(2))


# ------------------------------------------------------------------------------------------------------- documents


def holding(value: Any) -> Snapshot:
    return Snapshot({RULES: Document(value, 3)}, 3)


def test_rules_read_back_as_they_were_written() -> None:
    rules: dict[str, Rule] = {"a": on("xy", "n1=2 n2=1", strict=True), "b": apart("xy", comment="see ticket 17")}
    assert rules_of(holding(dump(rules))) == rules
    assert rules_of(Snapshot({}, 0)) == {}


def test_rules_may_be_listed() -> None:
    items = [
        {"type": "node-affinity", "id": "a", "resources": ["vm:x"], "nodes": {"n1": 0}, "strict": 1},
        {
            "type": "resource-affinity",
            "id": "b",
            "resources": ["vm:x", "vm:y"],
            "affinity": "negative",
            "disable": True,
        },
    ]
    assert listed(items, "it") == {"a": on("x", "n1", strict=True), "b": apart("xy", disable=True)}
    assert items[0]["id"] == "a"


NODE_RULE = {"type": "node-affinity", "resources": ["vm:x"], "nodes": {"n1": 0}}
PAIR = {"type": "resource-affinity", "resources": ["vm:x", "vm:y"], "affinity": "positive"}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({**NODE_RULE, "node": "n1"}, "unknown field `node` - at `$[...]`"),
        ({**NODE_RULE, "affinity": "positive"}, "unknown field `affinity`"),
        ({**NODE_RULE, "nodes": {}}, "a node-affinity rule needs nodes"),
        ({**NODE_RULE, "nodes": {"N1": 0}}, "bad node name 'N1'"),
        ({**NODE_RULE, "nodes": {"n1": -1}}, "the priority of n1 must be at least 0"),
        ({**NODE_RULE, "nodes": {"n1": "high"}}, "Expected `int`, got `str`"),
        ({**NODE_RULE, "resources": []}, "a rule needs resources"),
        ({**PAIR, "resources": ["vm:x", "vm:x"]}, "vm:x is named twice"),
        ({**PAIR, "resources": ["x"]}, "bad service id 'x'"),
        ({**PAIR, "affinity": "neutral"}, "Invalid enum value 'neutral'"),
        ({**PAIR, "type": "affinity"}, "Invalid value 'affinity'"),
        ({"resources": ["vm:x"]}, "missing required field `type`"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused_with_document_and_field(rule: Any, words: str) -> None:
    with pytest.raises(DocumentError) as refused:
        rules_of(holding({"it": rule}))
    assert str(refused.value).startswith("document 'rules': ")
    assert words in str(refused.value)


@pytest.mark.parametrize("items", [[PAIR], [{**PAIR, "id": "a"}, {**NODE_RULE, "id": "a"}], [{**PAIR, "id": 3}]])
def test_each_listed_rule_needs_an_id_of_its_own(items: Any) -> None:
    with pytest.raises(DocumentError, match="document 'it': each rule needs an id of its own"):
        listed(items, "it")
