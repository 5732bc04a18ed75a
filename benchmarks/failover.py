"""How long a failover takes on etcd, from the fault to the start of the last service elsewhere, next to the bound.

Three nodes, each a network and a PID namespace with an etcd member, the daemons, an emulated watchdog that resets it,
and a service that a witness watches. Faults in turn: the cable pulled, every process stopped, every daemon killed, the
plug pulled; each time on another node, whether it is the master's or not. The bound is that of ``hacore timing`` for
the same settings. An overlap ends it at once. As root, from the repository: ``python -m benchmarks.failover``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import mean, median
from typing import Any

from tests.cluster.nodes import NodeCluster

FAULTS = ("cut", "freeze", "kill_daemons", "pull_the_plug")


def run(cluster: NodeCluster, number: int) -> dict[str, Any]:
    """One fault and what came of it; the cluster is whole again afterwards."""
    node, fault = cluster.nodes[number // len(FAULTS) % len(cluster.nodes)], FAULTS[number % len(FAULTS)]
    cluster.send_home()
    resets = len(cluster.events("watchdog_reset"))
    master = cluster.master().owner == node
    took_s = cluster.fail_over(node, getattr(cluster, fault))
    if fault == "pull_the_plug":
        cluster.power(node, "on")
    overlaps = cluster.seen("overlap")
    if overlaps:
        raise SystemExit(f"a service ran twice: {overlaps}{cluster.story()}")
    others = [event["node"] for event in cluster.events("watchdog_reset")[resets:] if event["node"] != node]
    return {"fault": fault, "node": node, "master": master, "took_s": round(took_s, 2), "others_reset": others}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="one line a run, and one with the sum of it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        cluster = NodeCluster(Path(directory))
        try:
            timing = cluster.timing()
            runs = []
            for number in range(options.runs):
                runs.append(run(cluster, number))
                print(json.dumps(runs[-1]) if options.json else _line(runs[-1]), flush=True)
        finally:
            cluster.close()
    sums = {
        "bound_s": round(timing.failover_s, 2),
        "bound_with_master_s": round(timing.failover_with_master_s, 2),
        **{fault: _sum([each["took_s"] for each in runs if each["fault"] == fault]) for fault in FAULTS},
        "all": _sum([each["took_s"] for each in runs]),
        "others_reset": sum(len(each["others_reset"]) for each in runs),
    }
    print(json.dumps(sums, indent=None if options.json else 2))
    sys.exit(any(each["took_s"] > timing.failover_with_master_s for each in runs))


def _line(it: dict[str, Any]) -> str:
    return f"{it['took_s']:6.2f} s  {it['fault']:13} {it['node']}{' (master)' if it['master'] else ''}"


def _sum(times_s: list[float]) -> dict[str, float]:
    if not times_s:
        return {}
    shown = {"least_s": min(times_s), "median_s": median(times_s), "mean_s": mean(times_s), "most_s": max(times_s)}
    return {name: round(value, 2) for name, value in shown.items()}


if __name__ == "__main__":
    main()
