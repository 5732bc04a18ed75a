"""What the SQLite store costs, as a multiple of a bare ``UPDATE`` commit of sqlite3 in the same run.

A time in microseconds says as much of the machine and its load as of the store; a ratio to the least that SQLite
itself needs for a commit, measured in turns with the store, can be compared from run to run. Run it from the
repository: ``python -m benchmarks.store``.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

from hacore.devices.store.sqlite import SqliteStore

BASE = "bare UPDATE commit"

VALUE = {"owner": "node1", "token": 7, "renewals": 123456, "note": "x" * 150}
"""About as large as a lock, a heartbeat or a service's record."""


def bare_commit(path: Path) -> Callable[[], object]:
    """One row, one UPDATE, one commit: with the same journal and the same durability as the store."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("CREATE TABLE one (value TEXT)")
    db.execute("INSERT INTO one VALUES ('')")
    value = json.dumps(VALUE)
    return lambda: db.execute("UPDATE one SET value = ?", (value,))


def subjects(path: Path, documents: int) -> dict[str, Callable[[], object]]:
    """What is measured, by name. ``other`` stands for the other processes of the cluster."""
    SqliteStore.create(path)
    store, other = SqliteStore(path, 10.0), SqliteStore(path, 10.0)
    store.transact({}, {f"service/{number:06}": VALUE for number in range(documents)})
    revision = 1

    def transact() -> None:
        nonlocal revision
        revision = getattr(store.transact({"lock/manager": revision}, {"lock/manager": VALUE}), "revision", revision)

    store.transact({}, {"lock/manager": VALUE})
    revision = 2
    return {
        "transact, 1 check 1 write": transact,
        "check only": lambda: store.transact({"lock/manager": revision}, {}),
        "read 1 document": lambda: store.read(("lock/manager",)),
        f"read {documents} documents": lambda: store.read(("service/",)),
        "changed, other prefix written": lambda: other.changed(1, ("service/",)),
        "changed, nothing written": lambda: other.changed(1, ("service/",)),
    }


def measure(directory: Path, documents: int, rounds: int) -> dict[str, list[float]]:
    """The durations in seconds of each subject, one of each in every round."""
    measured = {BASE: bare_commit(directory / "bare"), **subjects(directory / "store", documents)}
    times_s: dict[str, list[float]] = {name: [] for name in measured}
    for number in range(-rounds // 10, rounds):
        for name, subject in measured.items():
            start_s = time.perf_counter()
            subject()
            if number >= 0:
                times_s[name].append(time.perf_counter() - start_s)
    return times_s


def summary(times_s: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """p50 and p99 in microseconds, and as multiples of the p50 of the bare commit."""
    base_us = quantiles(times_s[BASE], n=100)[49] * 1e6
    result = {}
    for name, times in times_s.items():
        cuts = quantiles(times, n=100)
        p50_us, p99_us = cuts[49] * 1e6, cuts[98] * 1e6
        result[name] = {"p50_us": p50_us, "p99_us": p99_us, "p50": p50_us / base_us, "p99": p99_us / base_us}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2000, help="how often each is measured (%(default)s)")
    parser.add_argument("--documents", type=int, default=300, help="how many documents there are (%(default)s)")
    parser.add_argument("--directory", type=Path, help="where to put the store: another disk, for example")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        result = summary(measure(Path(directory), options.documents, options.rounds))
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{'':32}{'p50':>8}{'p99':>8}    multiples of the p50 of a {BASE}")
    for name, figures in result.items():
        print(f"{name:32}{figures['p50']:8.2f}{figures['p99']:8.2f}    p50 {figures['p50_us']:.0f} µs")


if __name__ == "__main__":
    main()
