"""Nodes, services and rules, from which a test asks for a place."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hacore.manager.documents import DynamicStats, Record, Size, StaticStats, Use
from hacore.manager.load import Load
from hacore.manager.placement import Places
from hacore.manager.rules import Rule, compile_rules

NODES = ("n1", "n2", "n3")
GIB = 2**30


def record(node: str = "n1", *, state: str = "started", to: str = "", failed: str = "", home: str = "") -> Record:
    return Record(state, node, "1", to, failed_nodes=failed.split(), maintenance_node=home)


def running(node: str) -> Record:
    return Record("started", node, "1", running=True)


@dataclass
class Cluster:
    """Three nodes of 16 processors and 64 GiB, all online. Each test changes what it is about."""

    online: list[str] = field(default_factory=lambda: list(NODES))
    records: dict[str, Record] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    scheduler: str = "basic"
    static: StaticStats = field(default_factory=lambda: StaticStats({node: Size(16, 64 * GIB) for node in NODES}))
    dynamic: DynamicStats = field(default_factory=lambda: DynamicStats({node: Use() for node in NODES}))

    def load(self) -> Load:
        return Load(self.scheduler, self.online, self.static, self.dynamic)

    def places(self) -> Places:
        return Places(compile_rules(self.rules, NODES), self.load(), self.records)


def crowd(counts: Mapping[str, int]) -> dict[str, Record]:
    """So many services on each node."""
    return {f"ct:{node}-{number}": record(node) for node, count in counts.items() for number in range(count)}
