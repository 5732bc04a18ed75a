"""Which move evens out the load, and when it is made."""

from statistics import mean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacore.manager.documents import DynamicStats, Record, Settings, Size, StaticStats, Use
from hacore.manager.rebalance import Rebalance, imbalance, rebalance
from hacore.manager.rules import NodeAffinity, ResourceAffinity, Rule
from hacore.manager.topsis import Loads
from tests.manager.placing import GIB, Cluster, record, running

NOW = Settings(scheduler="static", rebalance=True, rebalance_hold_rounds=0)


def crowded(**rules: Rule) -> Cluster:
    """Three services on n1, of 1, 2 and 4 processors, and nothing elsewhere."""
    cluster = Cluster(scheduler="static", rules=rules)
    for number in (1, 2, 4):
        cluster.static.services[f"vm:{number}"] = Size(number, GIB)
        cluster.records[f"vm:{number}"] = running("n1")
    return cluster


def moved(cluster: Cluster, settings: Settings = NOW) -> Rebalance | None:
    return rebalance(settings, cluster.records, cluster.places(), 0, queued=False)[1]


def move(cluster: Cluster, settings: Settings = NOW) -> str:
    it = moved(cluster, settings)
    return f"{it.how} {it.sid} {it.target}" if it else ""


@given(st.lists(st.integers(0, 10**20), min_size=1, max_size=8))
def test_imbalance_is_the_deviation_as_a_part_of_the_mean(loads: list[int]) -> None:
    wanted = pstdev(loads) / mean(loads) if any(loads) else 0
    assert imbalance(Loads(loads)) == pytest.approx(wanted)


# ------------------------------------------------------------------------------------------------------------ when


def test_nothing_moves_unless_it_is_wanted() -> None:
    assert moved(crowded())
    assert not moved(crowded(), Settings(scheduler="static", rebalance_hold_rounds=0))
    basic = crowded()
    basic.scheduler = "basic"
    assert not moved(basic)


def test_an_imbalance_must_last() -> None:
    cluster, settings, held, after = crowded(), Settings(scheduler="static", rebalance=True), 0, []
    for _ in range(7):
        held, it = rebalance(settings, cluster.records, cluster.places(), held, queued=False)
        after.append((held, it is not None))
    assert after == [(1, False), (2, False), (0, True)] * 2 + [(1, False)]


def test_a_motion_interrupts_the_count_and_balance_ends_it() -> None:
    cluster, settings = crowded(), Settings(scheduler="static", rebalance=True)
    assert rebalance(settings, cluster.records, cluster.places(), 2, queued=True) == (2, None)
    for state in ("migrate", "relocate"):
        moving = {**cluster.records, "vm:9": record("n1", state=state, to="n2")}
        assert rebalance(settings, moving, cluster.places(), 2, queued=False) == (2, None)
    balanced = Cluster(scheduler="static")
    assert rebalance(settings, balanced.records, balanced.places(), 2, queued=False) == (0, None)


def test_a_move_must_be_worth_it() -> None:
    it = moved(crowded())
    assert it is not None
    gain = (it.before - it.after) / it.before
    for margin, worth in ((gain - 1e-9, True), (gain + 1e-9, False)):
        settings = Settings(scheduler="static", rebalance=True, rebalance_hold_rounds=0, rebalance_margin=margin)
        assert (moved(crowded(), settings) is not None) == worth


def test_the_threshold_is_the_imbalance_from_which_on_something_is_done() -> None:
    it = moved(crowded())
    assert it is not None
    for threshold, done in ((it.before - 1e-9, True), (it.before + 1e-9, False)):
        settings = Settings(scheduler="static", rebalance=True, rebalance_hold_rounds=0, rebalance_threshold=threshold)
        assert (moved(crowded(), settings) is not None) == done


# ------------------------------------------------------------------------------------------------------------ what


def test_the_move_that_leaves_the_least_imbalance_is_made_and_of_equals_the_first_by_name() -> None:
    assert move(crowded()) == "migrate vm:4 n2"
    cluster = crowded()
    for number in (1, 2):
        cluster.static.services[f"vm:{number}"] = Size(4, GIB)
    assert move(cluster) == "migrate vm:1 n2"


def test_what_cannot_move_live_is_relocated() -> None:
    cluster = crowded()
    cluster.static.services["ct:9"], cluster.records["ct:9"] = Size(7, 4 * GIB), running("n1")
    assert move(cluster) == "relocate ct:9 n2"


def test_rules_are_kept() -> None:
    everywhere = ["vm:1", "vm:2", "vm:4"]
    assert move(crowded(home=NodeAffinity(everywhere, {"n1": 0}, strict=True))) == ""
    assert move(crowded(home=NodeAffinity(everywhere, {"n1": 0}))) == ""
    assert move(crowded(home=NodeAffinity(everywhere, {"n1": 0, "n3": 0}))) == "migrate vm:4 n3"
    cluster = crowded(apart=ResourceAffinity(["vm:4", "vm:8"], "negative"))
    cluster.records["vm:8"] = running("n2")
    assert move(cluster) == "migrate vm:4 n3"


def test_companions_move_together_or_not_at_all() -> None:
    pair = ResourceAffinity(["vm:1", "vm:2"], "positive")
    cluster = crowded(pair=pair)
    cluster.static.services["vm:4"] = Size(0.5, 0)
    assert move(cluster) == "migrate vm:1 n2"
    it = moved(cluster)
    assert it is not None
    cluster.records.update({sid: running("n2") for sid in pair.resources})
    before = rebalance(Settings(rebalance=True), cluster.records, cluster.places(), 0, queued=False)
    assert before[0] == 1
    cluster.records["vm:1"] = running("n1")
    assert move(cluster) == "migrate vm:4 n3"
    cluster.records.update({"vm:1": running("n1"), "vm:2": record("n1", state="error")})
    assert move(cluster) == "migrate vm:4 n2"


def test_with_dynamic_what_is_measured_moves() -> None:
    cluster = crowded()
    cluster.scheduler = "dynamic"
    assert move(cluster) == ""
    cluster.dynamic = DynamicStats(
        {"n1": Use(8, 8 * GIB), "n2": Use(), "n3": Use()}, {"vm:1": Use(5, 4 * GIB), "vm:2": Use(3, 4 * GIB)}
    )
    assert move(cluster) == "migrate vm:1 n2"


# ------------------------------------------------------------------------------------------------- reference cases


def figures(it: Rebalance | None) -> tuple[str, str, str, str]:
    assert it is not None
    return it.sid, it.target, f"{it.before:.2f}", f"{it.after:.2f}"


def test_four_moves_of_the_reference_one_after_the_other() -> None:
    """Reference case crs-static-auto-rebalance3."""
    cluster = Cluster(scheduler="static", static=StaticStats({f"n{it}": Size(24, 48 * GIB) for it in (1, 2, 3)}))
    for number, node in enumerate(("n1", "n1", "n2", "n2", "n3", "n3", "n3"), 101):
        cluster.records[f"vm:{number}"] = running(node)
        cluster.static.services[f"vm:{number}"] = Size(2, 2 * GIB) if number < 105 else Size(8, 8 * GIB)

    def step() -> tuple[str, str, str, str]:
        it = figures(moved(cluster))
        cluster.records[it[0]] = running(it[1])
        return it

    assert step() == ("vm:105", "n1", "0.88", "0.47")
    cluster.static.services.update({f"vm:{number}": Size(1, GIB) for number in range(101, 106)})
    assert [step(), step(), step()] == [
        ("vm:106", "n2", "0.91", "0.42"),
        ("vm:103", "n1", "0.42", "0.31"),
        ("vm:104", "n1", "0.31", "0.20"),
    ]


def test_two_moves_by_topsis() -> None:
    """Random case 274: nodes of several sizes, services of 4 processors and 4 GiB."""
    gb = 10**9
    nodes = {"n1": Size(32, 100 * gb), "n2": Size(16, 100 * gb), "n3": Size(24, 200 * gb), "n4": Size(32, 150 * gb)}
    homes = {"ct:101": "n2", "ct:102": "n1", "fa:200014": "n1", "fa:611011": "n1"}
    records: dict[str, Record] = {sid: running(node) for sid, node in homes.items()}
    cluster = Cluster([*nodes], records, {}, "static", StaticStats(nodes, dict.fromkeys(homes, Size(4, 4 * GIB))))
    settings = Settings(scheduler="static", rebalance=True, rebalance_hold_rounds=0, rebalance_method="topsis")
    assert figures(moved(cluster, settings)) == ("ct:102", "n4", "1.07", "0.67")
    records["ct:102"] = running("n4")
    records["fa:200014"] = record("n1", state="stopped")
    assert figures(moved(cluster, settings))[:2] == ("ct:101", "n3")


def test_a_service_measured_at_a_dynamic_cluster_is_moved_as_in_the_reference() -> None:
    """Reference case crs-dynamic-constrained-auto-rebalance1: three of four services may not leave n1."""
    static = StaticStats({f"n{it}": Size(24, 48 * GIB) for it in (1, 2, 3)})
    mib = 2**20
    uses = {"vm:101": (0.9, 2500), "vm:102": (7.9, 8192), "vm:103": (4.7, 5000), "vm:104": (4.0, 4096)}
    dynamic = DynamicStats({"n1": Use(17.5, 19788 * mib), "n2": Use(), "n3": Use()})
    dynamic.services.update({sid: Use(cpu, mem * mib) for sid, (cpu, mem) in uses.items()})
    rules: dict[str, Rule] = {"home": NodeAffinity(["vm:101", "vm:102", "vm:103"], {"n1": 0}, strict=True)}
    records = {sid: running("n1") for sid in uses}
    cluster = Cluster(records=records, rules=rules, scheduler="dynamic", static=static, dynamic=dynamic)
    assert figures(moved(cluster)) == ("vm:104", "n2", "1.41", "0.98")
