"""How loaded the nodes are, in a working copy that follows every step of a round.

basic    a node's load is the number of services on it
static   the processors and the memory that its services are configured with
dynamic  what is measured on it, plus the configured size of services that are to run there and do not yet
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hacore.manager import topsis
from hacore.manager.documents import DynamicStats, StaticStats
from hacore.manager.topsis import PART, Loads

NANO = 10**9
"""Processors are counted in whole billionths, so that their sums are exact."""


class Weight(NamedTuple):
    """What services take of a node."""

    cpu: int = 0
    """Billionths of processors."""
    mem: int = 0
    """Bytes."""
    unlimited: int = 0
    """How many of them may take all processors there are."""


NOTHING = Weight()


class Load:
    """The load of the online nodes; :meth:`add` follows what the services do.

    Where the figures of a node are missing, nodes cannot be compared by size, and the scheduler is ``basic``. A service
    whose figures are missing weighs nothing.
    """

    def __init__(self, scheduler: str, online: Iterable[str], static: StaticStats, dynamic: DynamicStats) -> None:
        self.nodes = sorted(online)
        known = static.nodes.keys() & dynamic.nodes.keys() if scheduler == "dynamic" else static.nodes.keys()
        self.scheduler = scheduler if known >= set(self.nodes) else "basic"
        self.counts = dict.fromkeys(self.nodes, 0)
        """How many services are on each node."""
        self._static, self._dynamic = static, dynamic
        self._has: dict[str, Weight] = {}
        self._used: dict[str, Weight] = {}
        """What is used of a node, and is about to be."""
        if self.scheduler != "basic":
            for node in self.nodes:
                self._has[node] = Weight(_nano(static.nodes[node].maxcpu), static.nodes[node].maxmem)
                self._used[node] = self._measured(node) if self.scheduler == "dynamic" else NOTHING

    def add(self, sid: str, node: str, *, running: bool, times: int = 1) -> None:
        """The service counts on this node. What runs there already is part of what is measured.

        With ``times`` -1 the same is taken back.
        """
        self.counts[node] += times
        if self.scheduler == "static" or (self.scheduler == "dynamic" and not running):
            used, more = self._used[node], self._configured(sid)
            self._used[node] = Weight(
                used.cpu + times * more.cpu, used.mem + times * more.mem, used.unlimited + times * more.unlimited
            )

    def scores(self, sid: str) -> Mapping[str, float]:
        """How each node would do for the service, were it to start there: less is better."""
        if self.scheduler == "basic":
            return self.counts
        cpu, mem = self._loads(self._used)
        more = self.shares(self._configured(sid))
        scores = topsis.scores(cpu.judged_with(more_cpu for more_cpu, _ in more), mem.judged_with(it for _, it in more))
        return {node: -score for node, score in zip(self.nodes, scores, strict=True)}

    def settled(self) -> tuple[Loads, Loads]:
        """The loads of processors and of memory that rebalancing is about: dynamic, what is measured and no more."""
        if self.scheduler == "static":
            return self._loads(self._used)
        return self._loads({node: self._measured(node) for node in self.nodes})

    def weight(self, sids: Iterable[str]) -> Weight:
        """What these services take of the settled loads."""
        weigh = self._configured if self.scheduler == "static" else self._running
        weights = [weigh(sid) for sid in sids]
        return Weight(*map(sum, zip(*weights, strict=True)))

    def shares(self, weight: Weight) -> list[tuple[int, int]]:
        """The parts of processors and memory that such a weight is of each node, in the order of ``nodes``."""
        known: dict[Weight, tuple[int, int]] = {}
        for has in self._has.values():
            if has not in known:
                known[has] = _share(weight, has)
        return [known[has] for has in self._has.values()]

    def _loads(self, used: Mapping[str, Weight]) -> tuple[Loads, Loads]:
        loads = [_share(used[node], has) for node, has in self._has.items()]
        return Loads(cpu for cpu, _ in loads), Loads(mem for _, mem in loads)

    def _configured(self, sid: str) -> Weight:
        size = self._static.services.get(sid)
        return Weight(_nano(size.maxcpu), size.maxmem, not size.maxcpu) if size else NOTHING

    def _running(self, sid: str) -> Weight:
        use = self._dynamic.services.get(sid)
        return Weight(_nano(use.cpu), use.mem) if use else NOTHING

    def _measured(self, node: str) -> Weight:
        use = self._dynamic.nodes[node]
        return Weight(_nano(use.cpu), use.mem)


def _nano(cpus: float) -> int:
    return round(cpus * NANO)


def _share(weight: Weight, has: Weight) -> tuple[int, int]:
    return weight.unlimited * PART + weight.cpu * PART // has.cpu, weight.mem * PART // has.mem
