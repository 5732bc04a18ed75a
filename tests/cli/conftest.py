"""Fixtures of the operators' commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.clusters import RESOURCES, Cluster, resource


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes, no services."""
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.store.close()


@pytest.fixture
def serving(cluster: Cluster) -> Cluster:
    """A cluster with services in each requested state."""
    states = {"proc:web": "started", "proc:db": "stopped", "proc:old": "disabled", "proc:own": "ignored"}
    cluster.put(RESOURCES, {sid: resource(f"node{i % 3 + 1}", state) for i, (sid, state) in enumerate(states.items())})
    return cluster
