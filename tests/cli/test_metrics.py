"""``hacore metrics``: what Prometheus would read."""

import re

from hacore.cli.metrics import Family, lines
from hacore.manager.documents import STATUS
from hacore.protocol.locks import MANAGER_LOCK, Lock
from hacore.runtime.config import FILE
from hacore.runtime.only_one import OnlyOne
from tests.cli.clusters import Cluster

LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\.)*",?)*)\})? ([0-9.e+-]+)\Z')


def told(cluster: Cluster) -> dict[str, float]:
    """Metrics by name and labels. Each is described before, and said once."""
    said: dict[str, float] = {}
    described: set[str] = set()
    for line in cluster.ok("metrics").splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert kind in {"gauge", "counter"}
            assert name not in described
            described.add(name)
        elif not line.startswith("# HELP "):
            match = LINE.match(line)
            assert match, line
            assert match[1] in described
            key = line.rpartition(" ")[0]
            assert key not in said
            said[key] = float(match[3])
    return said


def test_what_the_documents_say(serving: Cluster) -> None:
    services = {"proc:web": {"state": "error", "node": "node1", "uid": "1"}}
    serving.put(STATUS, {"master": "node2", "nodes": {"node1": "fence", "node2": "online"}, "services": services})
    serving.put(MANAGER_LOCK, Lock("node2", 16_777_217, 3, 9.0).document())
    said = told(serving)
    assert said["hacore_store_up"] == 1
    assert said['hacore_master{node="node2"}'] == 1
    assert said['hacore_master{node="node1"}'] == 0
    assert said['hacore_node_state{node="node1",state="fence"}'] == 1
    assert said['hacore_node_state{node="node3",state="unseen"}'] == 1
    assert said['hacore_services{state="error"}'] == 1
    assert said['hacore_service_state{service="proc:web",node="node1",state="error"}'] == 1
    assert said['hacore_lock_token{lock="manager"}'] == 16_777_217, "to the last digit"
    assert said["hacore_disarmed"] == 0


def test_what_this_machine_says(cluster: Cluster) -> None:
    (cluster.directory / FILE).write_text(f'node = "node1"\nstate = "{cluster.directory}"\n')
    assert told(cluster)["hacore_node_up"] == 0
    with OnlyOne(cluster.directory / "node.lock"):
        assert told(cluster)["hacore_node_up"] == 1


def test_a_store_that_is_not_there_is_told_too(cluster: Cluster) -> None:
    (cluster.directory / FILE).write_text(
        'node = "node1"\n[store]\nengine = "etcd"\nendpoints = ["http://127.0.0.1:9"]\n'
    )
    result = cluster.run("metrics")
    assert result.exit_code == 0
    assert "hacore_store_up 0" in result.stdout.splitlines()
    assert "hacore_services" not in result.stdout


def test_no_text_breaks_the_format() -> None:
    (*_, line) = lines(Family("a", "gauge", "A.", {(("b", 'x"y\\z\n'),): 1}))
    assert line == 'a{b="x\\"y\\\\z\\n"} 1'
    assert LINE.match(line)
