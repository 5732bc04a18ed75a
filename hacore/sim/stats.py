"""What simulated nodes and services are sized and measured at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hacore.manager.documents import DynamicStats, Size, StaticStats, Use
from hacore.sim.scenario import GIB, Scenario

MIB = 1 << 20
SIZE, USE = Size(4, 4 * GIB), Use(2, 2 * GIB)
"""Of a service of which a scenario says nothing."""


@dataclass
class Stats:
    """Sizes and uses by service; what a node is measured to use is what its running services use."""

    nodes: dict[str, Size] = field(default_factory=dict)
    sizes: dict[str, Size] = field(default_factory=dict)
    uses: dict[str, Use] = field(default_factory=dict)

    @classmethod
    def of(cls, scenario: Scenario) -> Stats:
        sized, used = scenario.static_stats or {}, scenario.dynamic_stats or {}
        return cls(
            {node: Size(it.maxcpu, int(it.maxmem)) for node, it in scenario.nodes.items()},
            {sid: Size(_or(it.maxcpu, 4), int(_or(it.maxmem, 4 * GIB))) for sid, it in sized.items()},
            {sid: Use(_or(it.cpu, 2), int(_or(it.mem, 2 * GIB))) for sid, it in used.items()},
        )

    def measure(self, sid: str, what: str, words: Mapping[str, str]) -> None:
        """``set-static-stats maxcpu N maxmem MIB`` or ``set-dynamic-stats cpu N mem MIB``."""
        if what == "set-static-stats":
            old = self.sizes.get(sid, SIZE)
            memory = int(words["maxmem"]) * MIB if "maxmem" in words else old.maxmem
            self.sizes[sid] = Size(float(words.get("maxcpu", old.maxcpu)), memory)
        else:
            used = self.uses.get(sid, USE)
            memory = int(words["mem"]) * MIB if "mem" in words else used.mem
            self.uses[sid] = Use(float(words.get("cpu", used.cpu)), memory)

    def static(self, sids: Iterable[str]) -> StaticStats:
        return StaticStats(self.nodes, {sid: self.sizes.get(sid, SIZE) for sid in sids})

    def dynamic(self, sids: Iterable[str], running: Mapping[str, Iterable[str]]) -> DynamicStats:
        measured = {node: [self.uses.get(sid, USE) for sid in sorted(here)] for node, here in running.items()}
        nodes = {node: Use(sum(it.cpu for it in uses), sum(it.mem for it in uses)) for node, uses in measured.items()}
        return DynamicStats(nodes, {sid: self.uses.get(sid, USE) for sid in sids})


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
