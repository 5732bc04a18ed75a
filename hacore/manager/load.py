"""How loaded the nodes are, in a working copy that follows every step of a round.

basic    a node's load is the number of services on it
static   the processors and the memory that its services are configured with
dynamic  what is measured on it, plus the configured size of services that are to run there and do not yet
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hacore.manager import topsis
from hacore.manager.documents import DynamicStats, Size, StaticStats

NANO = 10**9
"""Processors are counted in whole billionths, so that sums do not depend on the order in which they were made."""


class Load:
    """The load of the online nodes; :meth:`add` and :meth:`remove` follow what the services do.

    Where the figures of a node are missing, nodes cannot be compared by size, and the scheduler is ``basic``.
    """

    def __init__(self, scheduler: str, online: Iterable[str], static: StaticStats, dynamic: DynamicStats) -> None:
        self.nodes = sorted(online)
        known = static.nodes.keys() & dynamic.nodes.keys() if scheduler == "dynamic" else static.nodes.keys()
        self.scheduler = scheduler if known >= set(self.nodes) else "basic"
        self.counts = dict.fromkeys(self.nodes, 0)
        """How many services are on each node."""
        self._sizes = static.services
        self._use = dynamic.services
        self.cpu_there_is: dict[str, int] = {}
        self.mem_there_is: dict[str, int] = {}
        self._cpu = dict.fromkeys(self.nodes, 0)
        self._mem = dict.fromkeys(self.nodes, 0)
        """What the services count for, in billionths of a processor and in bytes; dynamic: without what is measured."""
        self._measured_cpu = dict.fromkeys(self.nodes, 0)
        self._measured_mem = dict.fromkeys(self.nodes, 0)
        if self.scheduler != "basic":
            for node in self.nodes:
                self.cpu_there_is[node] = nano(static.nodes[node].maxcpu)
                self.mem_there_is[node] = static.nodes[node].maxmem
        if self.scheduler == "dynamic":
            for node in self.nodes:
                self._measured_cpu[node] = nano(dynamic.nodes[node].cpu)
                self._measured_mem[node] = dynamic.nodes[node].mem

    def add(self, sid: str, node: str, *, running: bool) -> None:
        """The service counts on this node. What runs there already is part of what is measured."""
        self._change(sid, node, running, 1)

    def remove(self, sid: str, node: str, *, running: bool) -> None:
        """Take back what :meth:`add` did with the same arguments."""
        self._change(sid, node, running, -1)

    def _change(self, sid: str, node: str, running: bool, sign: int) -> None:
        if node not in self.counts:
            return
        self.counts[node] += sign
        if self.scheduler == "static" or (self.scheduler == "dynamic" and not running):
            cpu, mem = self._size(sid, node)
            self._cpu[node] += sign * cpu
            self._mem[node] += sign * mem

    def _size(self, sid: str, node: str) -> tuple[int, int]:
        """What the service is configured with, were it on this node: one without a limit may take all processors."""
        size = self._sizes.get(sid, Size())
        return nano(size.maxcpu) or (self.cpu_there_is[node] if sid in self._sizes else 0), size.maxmem

    def weight(self, sid: str, node: str) -> tuple[int, int]:
        """What leaves this node with the service, or comes to it: billionths of a processor, bytes."""
        if self.scheduler == "static":
            return self._size(sid, node)
        use = self._use.get(sid)
        return (nano(use.cpu), use.mem) if use else (0, 0)

    def steady(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """What is used of each node once nothing is about to start: billionths of a processor, bytes."""
        return (self._cpu, self._mem) if self.scheduler == "static" else (self._measured_cpu, self._measured_mem)

    def scores(self, sid: str) -> Mapping[str, float]:
        """How each node would do for the service, were it to start there: less is better."""
        if self.scheduler == "basic":
            return self.counts
        cpu = [(self._measured_cpu[node] + self._cpu[node]) / self.cpu_there_is[node] for node in self.nodes]
        mem = [(self._measured_mem[node] + self._mem[node]) / self.mem_there_is[node] for node in self.nodes]
        cpus, mems = topsis.Loads(cpu), topsis.Loads(mem)
        placements = []
        for index, node in enumerate(self.nodes):
            more_cpu, more_mem = self._size(sid, node)
            then_cpu = (self._measured_cpu[node] + self._cpu[node] + more_cpu) / self.cpu_there_is[node]
            then_mem = (self._measured_mem[node] + self._mem[node] + more_mem) / self.mem_there_is[node]
            placements.append((*cpus.with_({index: then_cpu}), *mems.with_({index: then_mem})))
        return {node: -score for node, score in zip(self.nodes, topsis.scores(placements), strict=True)}


def nano(cpus: float) -> int:
    """Processors in billionths."""
    return round(cpus * NANO)
