"""Which node a service gets."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacore.manager.documents import Record
from hacore.manager.placement import Way, choose
from hacore.manager.rules import NodeAffinity, ResourceAffinity, Rule, compile_rules
from tests.manager.placing import NODES, Cluster, crowd, record

VM = "vm:1"


def chosen(
    way: Way,
    it: Record,
    used: dict[str, int] | None = None,
    others: dict[str, Record] | None = None,
    *,
    rules: list[Rule] | None = None,
    failback: bool = True,
    online: str = "n1 n2 n3",
) -> str:
    """The node for vm:1, which itself counts nowhere."""
    named = {f"r{number}": rule for number, rule in enumerate(rules or [])}
    cluster = Cluster(online.split(), {**crowd(used or {}), **(others or {})}, named)
    return choose(way, VM, it, cluster.places(), failback=failback)


@pytest.mark.parametrize(
    ("state", "counted"),
    [
        ("request_start", ""),
        ("request_start_balance", "n2"),
        ("started", "n1"),
        ("request_stop", "n1"),
        ("stopped", ""),
        ("migrate", "n1 n2"),
        ("relocate", "n1 n2"),
        ("freeze", "n1"),
        ("fence", "n1"),
        ("recovery", "n1"),
        ("error", "n1"),
    ],
)
def test_a_service_counts_where_it_runs_and_where_it_goes(state: str, counted: str) -> None:
    places = Cluster(records={VM: record("n1", state=state, to="n2")}).places()
    assert places.load.counts == {node: int(node in counted.split()) for node in NODES}
    places.count(VM, None)
    assert places.load.counts == dict.fromkeys(NODES, 0)


def test_a_service_counts_on_online_nodes_only() -> None:
    places = Cluster(
        ["n1"], {"vm:1": record("n2", state="recovery"), "vm:2": record("n1"), "vm:3": record("n3")}
    ).places()
    assert places.load.counts == {"n1": 1}


@pytest.mark.parametrize(
    ("way", "it", "used", "node"),
    [
        ("stay", record("n1"), {"n1": 9}, "n1"),
        ("best", record("n1"), {"n1": 9}, "n2"),
        ("best", record("n1"), {"n1": 1, "n2": 1, "n3": 1}, "n1"),
        ("best", record("n1"), {"n1": 2, "n2": 1, "n3": 1}, "n2"),
        ("best", record("n1"), {"n1": 2, "n2": 2, "n3": 1}, "n3"),
        ("stay", record("n4"), {"n1": 1}, "n2"),
        ("next", record("n1", failed="n1"), {}, "n2"),
        ("next", record("n1", failed="n2 n1"), {}, "n3"),
        ("next", record("n1", failed="n1 n2 n3"), {}, ""),
        ("next", record("n2"), {}, "n3"),
        ("next", record("n3"), {}, "n1"),
        ("next", record("n2"), {"n3": 1}, "n3"),
        ("stay", record("n1", failed="n1 n2"), {}, "n1"),
        ("stay", record("n1", home="n3"), {"n3": 9}, "n3"),
        ("best", record("n1", home="n3"), {"n3": 9}, "n3"),
        ("stay", record("n1", home="n4"), {}, "n1"),
        ("next", record("n1", failed="n1 n3", home="n3"), {}, "n2"),
    ],
)
def test_the_node_chosen(way: Way, it: Record, used: dict[str, int], node: str) -> None:
    assert chosen(way, it, used) == node


def test_without_failback_a_service_stays_while_it_can() -> None:
    away = record("n1", home="n3")
    assert chosen("stay", away, failback=False) == "n1"
    assert chosen("stay", away, failback=False, online="n2 n3") == "n3"
    assert chosen("next", away, failback=False) == "n3"


# ---------------------------------------------------------------------------------------------------------- rules


def on(nodes: dict[str, int], *, strict: bool = False) -> NodeAffinity:
    return NodeAffinity([VM], nodes, strict)


@pytest.mark.parametrize(
    ("rule", "online", "node"),
    [
        (on({"n2": 0, "n3": 0}), "n1 n2 n3", "n2"),
        (on({"n2": 1, "n3": 2}), "n1 n2 n3", "n3"),
        (on({"n2": 1, "n3": 2}), "n1 n2", "n2"),
        (on({"n3": 0}), "n1 n2", "n1"),
        (on({"n3": 0}, strict=True), "n1 n2", ""),
        (on({"n1": 0, "n3": 0}, strict=True), "n1 n2 n3", "n1"),
    ],
)
def test_a_node_affinity_prefers_its_online_nodes_of_the_highest_priority(
    rule: NodeAffinity, online: str, node: str
) -> None:
    assert chosen("stay", record("n1"), rules=[rule], online=online) == node


def test_without_failback_a_service_stays_on_a_node_that_is_allowed_though_not_preferred() -> None:
    for strict, node in ((False, "n1"), (True, "n3")):
        assert chosen("stay", record("n1"), rules=[on({"n3": 0}, strict=strict)], failback=False) == node
    assert chosen("stay", record("n1"), rules=[on({"n1": 1, "n3": 2}, strict=True)], failback=False) == "n1"


def apart(*others: str) -> ResourceAffinity:
    return ResourceAffinity([VM, *others], "negative")


def together(*others: str) -> ResourceAffinity:
    return ResourceAffinity([VM, *others], "positive")


def test_a_negative_affinity_leaves_out_the_nodes_that_others_use_or_move_to() -> None:
    others = {"vm:2": record("n1", state="migrate", to="n2")}
    assert chosen("stay", record("n1"), others=others, rules=[apart("vm:2")]) == "n3"
    assert chosen("stay", record("n1"), others=others, rules=[apart("vm:2")], failback=False) == "n3"
    assert chosen("best", record("n1"), others={"vm:2": record("n3")}, rules=[apart("vm:2")], online="n3") == ""


def test_who_is_in_the_way_of_a_move() -> None:
    rules: dict[str, Rule] = {"apart": apart("vm:2", "vm:4"), "pair": ResourceAffinity(["vm:2", "vm:3"], "positive")}
    homes = {
        "vm:2": record("n1", state="migrate", to="n2"),
        "vm:3": record("n2"),
        "vm:4": record("n3", state="stopped"),
    }
    places = Cluster(records=homes, rules=rules).places()
    assert [places.blockers(VM, node) for node in NODES] == [["vm:2"], ["vm:2", "vm:3"], []]


@pytest.mark.parametrize(
    ("others", "node"),
    [
        ({"vm:2": record("n3")}, "n3"),
        ({"vm:2": record("n3"), "vm:3": record("n2")}, "n2"),
        ({"vm:2": record("n3"), "vm:3": record("n2"), "vm:4": record("n3")}, "n3"),
        ({"vm:2": record("n3", state="migrate", to="n2")}, "n2"),
        ({"vm:2": record("n3", state="stopped")}, "n1"),
        ({"vm:2": record("n4", state="recovery")}, "n1"),
    ],
)
def test_a_positive_affinity_keeps_the_node_with_most_companions(others: dict[str, Record], node: str) -> None:
    rules: list[Rule] = [together("vm:2", "vm:3", "vm:4")]
    assert chosen("stay", record("n1"), others=others, rules=rules) == node
    assert chosen("best", record("n1"), others=others, rules=rules) == node
    assert chosen("stay", record("n1"), others=others, rules=rules, failback=False) == "n1"


def test_companions_on_nodes_that_are_not_preferred_do_not_count() -> None:
    node_rule = NodeAffinity([VM, "vm:2"], {"n1": 0, "n2": 0}, strict=True)
    others = {"vm:2": record("n3")}
    assert chosen("best", record("n3"), {"n1": 1}, others, rules=[node_rule, together("vm:2")]) == "n2"


def test_without_failback_companions_outweigh_services_to_be_kept_apart_from() -> None:
    rules: list[Rule] = [together("vm:2"), ResourceAffinity([VM, "vm:3"], "negative")]
    beside = {"vm:2": record("n1"), "vm:3": record("n1")}
    assert chosen("stay", record("n1"), others=beside, rules=rules, failback=False) == "n1"
    assert chosen("stay", record("n1"), others=beside | {"vm:2": record("n2")}, rules=rules, failback=False) == "n2"


def test_two_groups_that_a_rule_keeps_apart_find_a_node_each() -> None:
    """Reference case resource-affinity-strict-mixed3, first round: vm:201 has nowhere to go yet, vm:203 has."""
    rules: dict[str, Rule] = {
        "together-100s": ResourceAffinity(["vm:101", "vm:102", "vm:103"], "positive"),
        "together-200s": ResourceAffinity(["vm:201", "vm:202", "vm:203"], "positive"),
        "apart": ResourceAffinity(["vm:101", "vm:201"], "negative"),
    }
    homes = {"vm:101": "n1", "vm:102": "n2", "vm:103": "n1", "vm:201": "n1", "vm:202": "n2", "vm:203": "n1"}
    places = Cluster(records={sid: record(node) for sid, node in homes.items()}, rules=rules).places()
    decided = {}
    for sid, home in homes.items():
        decided[sid] = choose("stay", sid, record(home), places)
        if decided[sid] not in {"", home}:
            places.count(sid, record(home, state="migrate", to=decided[sid]))
    assert decided == {"vm:101": "n3", "vm:102": "n3", "vm:103": "n3", "vm:201": "", "vm:202": "n2", "vm:203": "n2"}


# ------------------------------------------------------------------------------------------------------ properties

SIDS = [f"vm:{number}" for number in range(1, 6)]
ways: st.SearchStrategy[Way] = st.sampled_from(["stay", "next", "best"])
some_nodes = st.lists(st.sampled_from([*NODES, "n4"]), unique=True)
states = st.sampled_from(["request_start", "started", "stopped", "migrate", "request_start_balance", "recovery"])
records = st.builds(
    Record,
    state=states,
    node=st.sampled_from([*NODES, "n4"]),
    uid=st.just("1"),
    target=st.sampled_from(NODES),
    failed_nodes=some_nodes,
    maintenance_node=st.sampled_from(["", *NODES]),
)
populations = st.dictionaries(st.sampled_from(SIDS), records)
sids = st.lists(st.sampled_from(SIDS), min_size=2, max_size=3, unique=True)
node_rules = st.builds(
    NodeAffinity, sids, st.dictionaries(st.sampled_from(NODES), st.integers(0, 2), min_size=1), strict=st.booleans()
)
rule_lists = st.lists(
    st.one_of(node_rules, st.builds(ResourceAffinity, sids, st.sampled_from(["positive", "negative"]))), max_size=4
)
clusters = st.builds(
    Cluster,
    online=st.lists(st.sampled_from(NODES), unique=True),
    records=populations,
    rules=rule_lists.map(lambda rules: {f"r{number}": rule for number, rule in enumerate(rules)}),
    scheduler=st.sampled_from(["basic", "static"]),
)


@given(ways, records, clusters, st.booleans())
def test_a_choice_is_online_and_breaks_no_rule(way: Way, it: Record, cluster: Cluster, failback: bool) -> None:
    cluster.records[VM] = it
    node = choose(way, VM, it, cluster.places(), failback=failback)
    assert node == "" or node in cluster.online
    stays_unasked = way == "stay" and not failback and node == it.node
    assert way != "next" or node not in it.failed_nodes
    kept = set(cluster.rules) - set(compile_rules(cluster.rules, NODES).infeasible)
    for rule in (cluster.rules[id_] for id_ in sorted(kept) if node and VM in cluster.rules[id_].resources):
        if isinstance(rule, NodeAffinity):
            assert node in rule.nodes or not rule.strict
            if not stays_unasked:
                best = max((rule.nodes[each] for each in cluster.online if each in rule.nodes), default=-1)
                assert rule.nodes.get(node, -1) == best
        elif rule.affinity == "negative" and not stays_unasked:
            for other in set(rule.resources) & cluster.records.keys() - {VM}:
                assert node not in _used(cluster.records[other])


def _used(it: Record) -> set[str]:
    return {
        "started": {it.node},
        "recovery": {it.node},
        "migrate": {it.node, it.target},
        "request_start_balance": {it.target},
    }.get(it.state, set())


@given(ways, clusters, st.lists(st.tuples(st.sampled_from(SIDS), st.one_of(st.none(), records)), max_size=6))
def test_following_changes_is_as_good_as_counting_anew(
    way: Way, cluster: Cluster, changes: list[tuple[str, Record | None]]
) -> None:
    followed = cluster.places()
    for sid, it in changes:
        followed.count(sid, it)
        if it is None:
            cluster.records.pop(sid, None)
        else:
            cluster.records[sid] = it
    anew = cluster.places()
    for sid, it in cluster.records.items():
        assert followed.load.scores(sid) == anew.load.scores(sid)
        assert choose(way, sid, it, followed) == choose(way, sid, it, anew)


@given(clusters)
def test_the_nodes_of_separated_services_are_those_with_one_in_the_way(cluster: Cluster) -> None:
    places = cluster.places()
    for sid in SIDS:
        assert places.separated(sid) == {node for node in cluster.online if places.blockers(sid, node)}


@given(ways, clusters, st.booleans())
def test_the_short_cut_leads_where_the_long_way_does(way: Way, cluster: Cluster, failback: bool) -> None:
    places = cluster.places()
    short = {sid: choose(way, sid, it, places, failback=failback) for sid, it in cluster.records.items()}
    places.rules = replace(places.rules, named=frozenset(SIDS))
    assert short == {sid: choose(way, sid, it, places, failback=failback) for sid, it in cluster.records.items()}


@given(records, clusters, st.booleans())
def test_a_service_without_rules_that_may_stay_leaves_for_its_home_only(
    it: Record, cluster: Cluster, failback: bool
) -> None:
    node = choose("stay", "ct:9", it, cluster.places(), failback=failback)
    if it.node in cluster.online:
        assert node == it.node or (node == it.maintenance_node and failback)
