"""What a master's round costs, for clusters of several sizes; and, with ``--scenarios``, a suite of scenarios.

A round is all that the master does from the documents as it read them until there is nothing left to write: decide,
write, take a lock for fencing, decide again. Parsing the documents is part of it, input and output are not. It is
measured when nothing has happened (``steady``) and when a node was just lost and its lock may be taken (``failover``).

Times are those of the processor, the least of several turns; ``x decode`` is the same as a multiple of the time in
which msgspec reads the manager status from JSON, in the same turn, so that it can be compared between machines. Run it
from the repository: ``python -m benchmarks.rounds``.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from hacore.manager.documents import (
    DYNAMIC_STATS,
    MEMBERS,
    RESOURCES,
    RULES,
    SETTINGS,
    STATIC_STATS,
    STATUS,
    Record,
    Resource,
    Settings,
    Status,
    dump,
    lrm_key,
)
from hacore.manager.memory import Memory
from hacore.manager.plan import whole_round
from hacore.manager.view import Sight
from hacore.protocol.locks import Lock, agent_lock
from hacore.protocol.reference.tables import REFERENCE, timing
from hacore.protocol.requests import Document, Snapshot
from hacore.sim.clockwork import Clockwork
from hacore.sim.events import first_difference
from hacore.sim.scenario import read_scenario

SIZES = ((3, 1000), (20, 5000), (50, 20000))
"""Nodes and services."""
TTL_S = 20.0
GIB = 1 << 30


class Case(NamedTuple):
    nodes: int
    services: int
    scheduler: str
    rules: bool
    failover: bool

    @property
    def text(self) -> str:
        kind = "failover" if self.failover else "steady"
        return f"{self.nodes} x {self.services}, {self.scheduler}{', rules' * self.rules}, {kind}"


def cases() -> Iterator[Case]:
    for nodes, services in SIZES:
        for failover in (False, True):
            for scheduler in ("basic", "static"):
                for rules in (False, True):
                    yield Case(nodes, services, scheduler, rules, failover)


# ----------------------------------------------------------------------------------------------------- the cluster


def cluster(case: Case) -> tuple[Snapshot, Sight]:
    """All services started, and running where they are preferred; with ``failover`` the first node has just gone."""
    nodes = [f"node{number}" for number in range(case.nodes)]
    sids = [f"vm:{number}" for number in range(case.services)]
    home = {sid: nodes[number % case.nodes] for number, sid in enumerate(sids)}
    uid = {sid: str(number) for number, sid in enumerate(sids, 1)}
    records = {sid: Record("started", home[sid], uid[sid], running=True) for sid in sids}
    values: dict[str, Any] = {
        STATUS: dump(Status("node1", dict.fromkeys(nodes, "online"), records, last_uid=len(sids))),
        RESOURCES: dump({sid: Resource(home[sid]) for sid in sids}),
        MEMBERS: nodes,
        SETTINGS: dump(Settings(scheduler=case.scheduler)),
        RULES: rules(case, sids, nodes) if case.rules else {},
        STATIC_STATS: {
            "nodes": {node: {"maxcpu": 64.0, "maxmem": 2048 * GIB} for node in nodes},
            "services": {sid: {"maxcpu": 1.0 + n % 7, "maxmem": (1 + n % 5) * GIB} for n, sid in enumerate(sids)},
        },
        DYNAMIC_STATS: {"nodes": {}, "services": {}},
    }
    for node in nodes:
        results = {uid[sid]: "success" for sid in sids if home[sid] == node}
        values[lrm_key(node)] = {"mode": "active", "generation": 0, "results": results}
        values[agent_lock(node)] = Lock(node, 1, 1, TTL_S).document()
    gone = frozenset(nodes[:1] if case.failover else ())
    sight = Sight(online=frozenset(nodes) - gone, lost=gone, expired=gone)
    return Snapshot({key: Document(value, 1) for key, value in values.items()}, 1), sight


def rules(case: Case, sids: list[str], nodes: list[str]) -> dict[str, Any]:
    """Each fourth service belongs on three nodes, each fourth is in a pair; pairs are together or apart in turn."""
    found: dict[str, Any] = {}
    for number in range(0, len(sids) - case.nodes - 1, 4):
        where = {nodes[(number + step) % case.nodes]: 1 for step in range(3)}
        found[f"on{number}"] = {"type": "node-affinity", "resources": [sids[number]], "nodes": where}
        together = number % 8 == 0
        pair = [sids[number + 1], sids[number + 1 + (case.nodes if together else 1)]]
        affinity = "positive" if together else "negative"
        found[f"with{number}"] = {"type": "resource-affinity", "resources": pair, "affinity": affinity}
    return found


# ---------------------------------------------------------------------------------------------------- the measures


def cpu_ms(work: Callable[[], object]) -> float:
    gc.collect()
    begin = time.process_time()
    work()
    return (time.process_time() - begin) * 1e3


def measure(case: Case, turns: int) -> dict[str, float]:
    """Milliseconds of the round, and as a multiple of decoding the manager status: the least of all turns."""
    snapshot, sight = cluster(case)
    text = msgspec.json.encode(snapshot[STATUS].value)
    decode_ms = min(cpu_ms(lambda: msgspec.json.decode(text, type=Status)) for _ in range(turns))
    memory = Memory()
    round_ms = min(cpu_ms(lambda: whole_round("node1", snapshot, sight, memory)) for _ in range(turns))
    return {"ms": round_ms, "x_decode": round_ms / decode_ms}


def scenarios(directory: Path) -> tuple[int, int, float]:
    """How many scenarios there are below the directory, how many of them gave what they expect, and the seconds."""
    paths = sorted(directory.rglob("*.json"))
    followed = 0
    begin = time.process_time()
    for path in paths:
        scenario = read_scenario(path)
        loop_s = max(20, 2 * len(scenario.nodes))
        events = Clockwork(scenario, REFERENCE, timing(loop_s), loop_s).run().list
        followed += not first_difference(scenario.expect, events)
    return len(paths), followed, time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=3, help="how often each is measured (%(default)s)")
    parser.add_argument("--scenarios", type=Path, metavar="DIR", help="run the scenarios below DIR instead")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args()
    if options.scenarios:
        count, followed, seconds = scenarios(options.scenarios)
        print(f"{followed} of {count} scenarios as expected, {seconds:.1f} s, {seconds / count * 1e3:.0f} ms each")
        return
    result = {}
    for case in cases():
        result[case.text] = measure(case, options.turns)
        if not options.json:
            print(f"{case.text:40}{result[case.text]['ms']:9.1f} ms{result[case.text]['x_decode']:8.1f} x decode")
    if options.json:
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
