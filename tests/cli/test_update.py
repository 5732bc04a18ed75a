"""What ``hacore update`` makes of its words; what it does is shown on a real cluster (tests/runtime/test_update.py)."""

from pathlib import Path

import pytest

from hacore.manager.documents import UPDATE
from hacore.runtime.config import FILE
from tests.cli.clusters import Cluster


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("node1",),
        ("--rolling",),
        ("--clear",),
        ("node1", "--clear", "--", "true"),
        ("node1", "--via", "ssh {node}", "--", "true"),
    ],
)
def test_what_is_not_understood(cluster: Cluster, words: tuple[str, ...]) -> None:
    assert cluster.run("update", *words).exit_code == 2


def test_an_update_that_is_no_more_is_forgotten_by_its_name_only(cluster: Cluster) -> None:
    cluster.put(UPDATE, {"node": "node1"})
    assert cluster.run("update", "node2", "--clear").exit_code == 1
    assert cluster.value(UPDATE) == {"node": "node1"}
    assert cluster.ok("update", "node1", "--clear") == "node1: the update is forgotten\n"
    assert cluster.value(UPDATE) is None


def test_it_is_refused_where_the_node_is_not(cluster: Cluster) -> None:
    assert "no `hacore node node1` runs" in cluster.run("update", "node1", "--", "true").stderr
    (cluster.directory / FILE).write_text('node = "node2"\n')
    assert "this machine is node2" in cluster.run("update", "node1", "--", "true").stderr


def test_each_node_is_reached_by_the_words_given_and_the_first_refusal_ends_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    script = tmp_path / "reach"
    script.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\ntest $1 != node2\n')
    script.chmod(0o755)
    told = cluster.run("update", "--rolling", "--via", f"{script} {{node}}", "--", "echo", "a b")
    assert told.exit_code == 3
    assert "stopped at node2" in told.stderr
    there = f"hacore -C {cluster.directory} update {{node}} -- echo 'a b'"
    wanted = [f"{node} {there.replace('{node}', node)}" for node in ("node1", "node2")]
    assert (tmp_path / "asked").read_text().splitlines() == wanted
