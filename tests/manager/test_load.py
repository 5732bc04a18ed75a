"""How a node would do for a service that starts there."""

from itertools import pairwise
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacore.manager import topsis
from hacore.manager.documents import DynamicStats, Record, Size, StaticStats, Use
from hacore.manager.load import Load
from hacore.manager.placement import Places, choose
from hacore.manager.rules import NO_RULES
from hacore.manager.topsis import PART, Loads
from tests.manager.placing import GIB, NODES, Cluster, record, running

GB = 10**9


def naive(cpu: list[float], mem: list[float], more: list[tuple[float, float]]) -> list[float]:
    """The scores as PROTOCOL section 6 has them, in plain floats: loads as they are, and what is added to each."""
    rows = []
    for index, (more_cpu, more_mem) in enumerate(more):
        row: list[float] = []
        for loads, added in ((cpu, more_cpu), (mem, more_mem)):
            then = [load + added * (number == index) for number, load in enumerate(loads)]
            row += [1 + sqrt(sum(load * load for load in then) / len(then)), 1 + max(then)]
        rows.append(row)
    norms = [sqrt(sum(value * value for value in column)) for column in zip(*rows, strict=True)]
    scaled = [[value / norm for value, norm in zip(row, norms, strict=True)] for row in rows]
    best, worst = ([pick(column) for column in zip(*scaled, strict=True)] for pick in (min, max))
    scores = []
    for row in scaled:
        far, near = (
            sqrt(sum((w / 18 * (a - b)) ** 2 for w, a, b in zip((1, 2, 5, 10), row, ideal, strict=True)))
            for ideal in (worst, best)
        )
        scores.append(-far / (far + near) if far + near else 0.0)
    return scores


sizes = st.builds(Size, st.sampled_from([0, 0.5, 1, 2, 4]), st.integers(0, 16).map(lambda gib: gib * GIB))
node_sizes = st.builds(Size, st.sampled_from([8, 16, 24]), st.sampled_from([64, 128]).map(lambda gib: gib * GIB))
homes = st.lists(st.tuples(st.sampled_from(NODES), sizes), max_size=12)


@given(st.tuples(*[node_sizes] * 3), homes, sizes)
def test_scores_are_those_of_the_formula(nodes: tuple[Size, ...], services: list[tuple[str, Size]], new: Size) -> None:
    has = dict(zip(NODES, nodes, strict=True))
    static = StaticStats(has, {f"vm:{number}": size for number, (_, size) in enumerate(services)} | {"vm:new": new})
    load = Load("static", NODES, static, DynamicStats())
    for number, (node, _) in enumerate(services):
        load.add(f"vm:{number}", node, running=True)
    here = {node: [size for home, size in services if home == node] for node in NODES}
    cpu = [sum(size.maxcpu or has[node].maxcpu for size in here[node]) / has[node].maxcpu for node in NODES]
    mem = [sum(size.maxmem for size in here[node]) / has[node].maxmem for node in NODES]
    more = [((new.maxcpu or has[node].maxcpu) / has[node].maxcpu, new.maxmem / has[node].maxmem) for node in NODES]
    scores, wanted = load.scores("vm:new"), naive(cpu, mem, more)
    if len({round(score, 6) for score in wanted}) > 1:
        assert [scores[node] for node in NODES] == pytest.approx(wanted, abs=1e-6)


@given(st.permutations(NODES), homes, sizes)
def test_equal_nodes_have_equal_scores_to_the_last_bit(
    turned: list[str], services: list[tuple[str, Size]], new: Size
) -> None:
    """Whatever the order of the nodes, of the services, and of all that came and went."""
    static = StaticStats({node: Size(24, 128 * GIB) for node in NODES}, {"vm:new": new})
    static.services.update({f"vm:{number}": size for number, (_, size) in enumerate(services)})
    one, other = (Load("static", NODES, static, DynamicStats()) for _ in range(2))
    renamed = dict(zip(NODES, turned, strict=True))
    for number, (node, _) in enumerate(services):
        one.add(f"vm:{number}", node, running=True)
        other.add(f"vm:{number}", NODES[0], running=True)
    for number, (node, _) in reversed(list(enumerate(services))):
        other.add(f"vm:{number}", NODES[0], running=True, times=-1)
        other.add(f"vm:{number}", renamed[node], running=True)
    assert {renamed[node]: score for node, score in one.scores("vm:new").items()} == other.scores("vm:new")


def test_a_difference_that_rounding_makes_decides_nothing() -> None:
    """0.1 + 0.2 processors are 0.3 processors, though not as floats."""
    sizes = {"vm:1": Size(0.1, GIB), "vm:2": Size(0.2, GIB), "vm:3": Size(0.3, 2 * GIB), "vm:new": Size(1, GIB)}
    cluster = Cluster(["n1", "n2"], scheduler="static")
    cluster.static.services.update(sizes)
    cluster.records.update({"vm:1": record("n1"), "vm:2": record("n1"), "vm:3": record("n2")})
    assert set(cluster.places().load.scores("vm:new").values()) == {0}
    cluster.static.services["vm:3"] = Size(0.3 + 1e-9, 2 * GIB)
    assert cluster.places().load.scores("vm:new") == {"n1": -1, "n2": 0}


@given(st.lists(st.integers(0, 3 * PART), min_size=1, max_size=6), st.data())
def test_what_changes_is_judged_as_if_it_had_been_so(loads: list[int], data: st.DataObject) -> None:
    more = [data.draw(st.integers(0, PART)) for _ in loads]

    it = Loads(loads)
    for index, judged in enumerate(it.judged_with(more)):
        then = [load + added * (number == index) for number, (load, added) in enumerate(zip(loads, more, strict=True))]
        assert judged == Loads(then).judged_with([0] * len(loads))[0]
    for source, target in pairwise(range(len(loads))):
        less = data.draw(st.integers(0, loads[source]))
        then = [
            load - less * (number == source) + more[target] * (number == target) for number, load in enumerate(loads)
        ]
        assert it.judged(source, less, target, more[target]) == Loads(then).judged(source, 0, target, 0)


def test_equal_placements_score_nothing() -> None:
    assert topsis.scores([(1.5, 1.5)] * 2, [(1.0, 1.0)] * 2) == [0.0, 0.0]
    assert topsis.scores([], []) == []


# ------------------------------------------------------------------------------------------- what counts for a load


def scores_of(cluster: Cluster, sid: str = "vm:new") -> list[float]:
    return [round(cluster.places().load.scores(sid)[node], 3) for node in NODES]


def test_with_dynamic_a_service_that_runs_counts_by_what_is_measured_only() -> None:
    dynamic = DynamicStats({node: Use(4, 8 * GIB) for node in NODES})
    static = StaticStats(Cluster().static.nodes, {"vm:1": Size(8, 32 * GIB), "vm:new": Size(1, GIB)})
    cluster = Cluster(scheduler="dynamic", static=static, dynamic=dynamic)
    cluster.records["vm:1"] = running("n1")
    assert scores_of(cluster) == [0, 0, 0]
    for about_to_run in (record("n1"), record("n3", state="request_start_balance", to="n1")):
        cluster.records["vm:1"] = about_to_run
        assert scores_of(cluster) == [0, -1, -1]
    cluster.records["vm:1"] = record("n1", state="migrate", to="n2")
    assert scores_of(cluster) == [0, 0, 0]


@pytest.mark.parametrize("scheduler", ["static", "dynamic"])
def test_nodes_without_figures_are_compared_by_number(scheduler: str) -> None:
    cluster = Cluster(scheduler=scheduler, records={"vm:1": record("n1")})
    assert cluster.load().scheduler == scheduler
    del (cluster.static if scheduler == "static" else cluster.dynamic).nodes["n2"]
    assert cluster.load().scheduler == "basic"
    assert scores_of(cluster) == [1, 0, 0]
    cluster.online.remove("n2")
    assert cluster.load().scheduler == scheduler


def test_a_service_without_figures_weighs_nothing() -> None:
    cluster = Cluster(scheduler="static", records={"vm:1": record("n1")})
    cluster.static.services["vm:new"] = Size(1, GIB)
    assert scores_of(cluster) == [0, 0, 0]
    assert scores_of(cluster, "vm:1") == [0, 0, 0]
    cluster.static.services["vm:1"] = Size(0, 0)
    assert scores_of(cluster) == [0, -1, -1]


# ------------------------------------------------------------------------------------------------- reference cases


def place(scheduler: str, nodes: dict[str, Size], services: dict[str, tuple[str, Size]]) -> dict[str, str]:
    """Where services are started, one after the other; those whose home ends in ``!`` are about to stop there."""
    static = StaticStats(nodes, {sid: size for sid, (_, size) in services.items()})
    load = Load(scheduler, nodes, static, DynamicStats({node: Use() for node in nodes}))
    places = Places(NO_RULES, load, {})
    chosen = {}
    for sid, (home, _) in services.items():
        if home.endswith("!"):
            places.count(sid, record(home.strip("!"), state="request_stop"))
            continue
        chosen[sid] = choose("best", sid, record(home, state="request_start"), places)
        to = "" if chosen[sid] == home else chosen[sid]
        places.count(sid, Record("request_start_balance" if to else "started", home, "2", to))
    return chosen


@pytest.mark.parametrize(
    ("scheduler", "nodes", "services", "chosen"),
    [
        (  # random case 242
            "static",
            {"n1": Size(16, 300 * GB), "n2": Size(32, 300 * GB), "n3": Size(16, 200 * GB), "n4": Size(16, 100 * GB)},
            {
                "ct:105": ("n2!", Size(8, 8 * GB)),
                "vm:101": ("n2!", Size(1, 16 * GB)),
                "fa:530010": ("n3", Size(4, 8 * GB)),
                "vm:103": ("n1", Size(1, 8 * GB)),
            },
            {"fa:530010": "n1", "vm:103": "n3"},
        ),
        (  # random case 117: weights are applied before distances are squared
            "dynamic",
            {"n1": Size(16, 200 * GB), "n2": Size(16, 100 * GB), "n3": Size(24, 100 * GB)},
            {"fa:201010": ("n3", Size(4, 4 * GIB)), "vm:101": ("n2", Size(4, 4 * GIB))},
            {"fa:201010": "n1", "vm:101": "n3"},
        ),
    ],
)
def test_services_are_started_where_the_reference_starts_them(
    scheduler: str, nodes: dict[str, Size], services: dict[str, tuple[str, Size]], chosen: dict[str, str]
) -> None:
    assert place(scheduler, nodes, services) == chosen
