"""Which node a service gets."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacore.manager.documents import Record
from hacore.manager.placement import choose, usage

NODES = ["n1", "n2", "n3"]

ways = st.sampled_from(["stay", "next", "best"])
some_nodes = st.lists(st.sampled_from([*NODES, "n4"]), unique=True)
records = st.builds(
    Record,
    state=st.just("started"),
    node=st.sampled_from(NODES),
    uid=st.just("1"),
    failed_nodes=some_nodes,
    maintenance_node=st.sampled_from(["", *NODES]),
)
loads = st.dictionaries(st.sampled_from(NODES), st.integers(0, 5))


def record(node: str = "n1", *, failed: str = "", home: str = "") -> Record:
    return Record("started", node, "1", failed_nodes=failed.split(), maintenance_node=home)


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
    assert usage([Record(state, "n1", "1", target="n2")]) == Counter(counted.split())


def test_usage_adds_up() -> None:
    assert usage([record("n1"), record("n1"), record("n2")]) == Counter(n1=2, n2=1)


@pytest.mark.parametrize(
    ("way", "it", "used", "chosen"),
    [
        ("stay", record("n1"), {"n1": 9}, "n1"),
        ("best", record("n1"), {"n1": 9}, "n2"),
        ("best", record("n1"), {"n1": 1, "n2": 1, "n3": 1}, "n1"),
        ("best", record("n1"), {"n1": 2, "n2": 1, "n3": 1}, "n2"),
        ("best", record("n1"), {"n1": 2, "n2": 2, "n3": 1}, "n3"),
        ("stay", record("n4"), {"n1": 1}, "n2"),
        ("next", record("n1"), {}, "n2"),
        ("next", record("n1", failed="n2"), {}, "n3"),
        ("next", record("n1", failed="n2 n3"), {}, ""),
        ("stay", record("n1", failed="n1 n2"), {}, "n1"),
        ("stay", record("n1", home="n3"), {"n3": 9}, "n3"),
        ("best", record("n1", home="n3"), {"n3": 9}, "n3"),
        ("stay", record("n1", home="n4"), {}, "n1"),
        ("next", record("n1", failed="n3", home="n3"), {}, "n2"),
    ],
)
def test_the_node_chosen(way: str, it: Record, used: dict[str, int], chosen: str) -> None:
    assert choose(way, it, NODES, used) == chosen


def test_without_failback_a_service_stays_while_it_can() -> None:
    away = record("n1", home="n3")
    assert choose("stay", away, NODES, {}, failback=False) == "n1"
    assert choose("stay", away, ["n2", "n3"], {}, failback=False) == "n3"
    assert choose("next", away, NODES, {}, failback=False) == "n3"


@given(ways, records, some_nodes, loads, st.booleans())
def test_the_node_is_one_on_which_services_may_be_placed(
    way: str, it: Record, online: list[str], used: dict[str, int], failback: bool
) -> None:
    chosen = choose(way, it, online, used, failback=failback)
    fit = set(online) - ({*it.failed_nodes, it.node} if way == "next" else set())
    assert chosen in fit if fit else chosen == ""
    assert choose(way, it, [*reversed(online)], used, failback=failback) == chosen


@given(records, some_nodes, loads, st.booleans())
def test_a_service_that_may_stay_leaves_for_its_home_only(
    it: Record, online: list[str], used: dict[str, int], failback: bool
) -> None:
    chosen = choose("stay", it, online, used, failback=failback)
    if it.node in online:
        assert chosen == it.node or (chosen == it.maintenance_node and failback)
