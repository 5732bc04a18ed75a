"""Whole nodes, each with its own etcd member, through faults: services run elsewhere in time, and never twice."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.cluster.nodes import NodeCluster
from tests.etcd.member import needs_etcd
from tests.etcd.net import needs_namespaces

pytestmark = [needs_etcd, needs_namespaces, pytest.mark.timeout(300)]

BUSY_S = 10.0
"""What a busy machine may add to the bound, which speaks of calls that end in time and processes that get to run."""
LONG_S = 15.0
"""Longer than any watchdog's deadline."""


@pytest.fixture(scope="module")
def cluster_of_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeCluster]:
    cluster = NodeCluster(tmp_path_factory.mktemp("nodes"))
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(cluster_of_nodes: NodeCluster) -> Iterator[NodeCluster]:
    """All is well before the test, and no service has run twice after it."""
    cluster_of_nodes.send_home()
    yield cluster_of_nodes
    assert cluster_of_nodes.seen("overlap") == []


def is_survived(cluster: NodeCluster, node: str, fault: Callable[[str], None]) -> None:
    """What ran there runs elsewhere in time; only that node was reset."""
    resets = len(cluster.events("watchdog_reset"))
    took_s = cluster.fail_over(node, fault)
    assert took_s < cluster.timing().failover_with_master_s + BUSY_S
    assert {event["node"] for event in cluster.events("watchdog_reset")[resets:]} <= {node}


def not_the_masters(cluster: NodeCluster) -> str:
    return next(node for node in cluster.nodes if node != cluster.master().owner)


def test_a_node_that_is_cut_off_is_reset_and_its_service_runs_elsewhere(cluster: NodeCluster) -> None:
    is_survived(cluster, not_the_masters(cluster), cluster.cut)


def test_a_node_whose_daemons_are_killed_is_reset_and_its_service_runs_elsewhere(cluster: NodeCluster) -> None:
    is_survived(cluster, not_the_masters(cluster), cluster.kill_daemons)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["cut", "kill_daemons", "freeze", "pull_the_plug"])
def test_the_masters_node_fails(cluster: NodeCluster, fault: str) -> None:
    node = cluster.master().owner
    is_survived(cluster, node, getattr(cluster, fault))
    if fault == "pull_the_plug":
        cluster.power(node, "on")


@pytest.mark.slow
def test_a_node_that_hears_nothing_is_reset(cluster: NodeCluster) -> None:
    node = not_the_masters(cluster)
    number = cluster.nodes.index(node)
    others = [other for other in range(len(cluster.nodes)) if other != number]
    is_survived(cluster, node, lambda _: cluster.net.drop(number, others))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_loss_of_etcds_leader_resets_nobody(cluster: NodeCluster, number: signal.Signals) -> None:
    resets, running = cluster.events("watchdog_reset"), cluster.running()
    _, leader = cluster.etcd_leader()
    os.kill(leader, number)
    time.sleep(LONG_S)
    if number == signal.SIGSTOP:
        os.kill(leader, signal.SIGCONT)
    cluster.settle()
    assert cluster.events("watchdog_reset") == resets
    assert cluster.running() == running
