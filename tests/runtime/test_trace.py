"""Traces: what real daemons wrote down can be read, and is what their tables say."""

import itertools
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hacore.protocol.requests import Say
from hacore.protocol.table import Table
from hacore.protocol.tables import TABLES
from hacore.runtime import trace
from hacore.runtime.trace import Trace
from tests.runtime.cluster import Event, LocalCluster

DAEMONS = ("watchdog", "crm", "lrm")


def held_against_table(table: Table, lines: list[Event]) -> int:
    """Every row is the one that the table takes from that state, given the facts; returns how many lives began."""
    lives, at = 0, ""
    for line in lines:
        known = {fact.name for fact in table.facts_of(line["from"])}
        assert set(line["facts"]) <= known, line
        row = table.step(line["from"], lambda fact, held=line["facts"]: fact.name in held)  # type: ignore[misc]
        assert (row.id, row.target) == (line["row"], line["to"])
        if line["from"] != at:
            assert line["from"] == table.initial, f"from {at} into the midst of things: {line}"
            lives += 1
        at = line["to"]
    return lives


def held_against_tables(lines: list[Event], node: str, daemon: str) -> int:
    """All lines of one trace are well formed, and its rows are its table's; returns how many lives began."""
    assert {(line["node"], line["daemon"]) for line in lines} == {(node, daemon)}
    assert [line for line in lines if not isinstance(line["t"], float)] == []
    assert [line for line in lines if len(line.keys() & {"row", "say", "ask"}) != 1] == []
    assert [line for line in lines if ("ask" in line) != ("answer" in line)] == []
    rows = [line for line in lines if "row" in line]
    worker = [line for line in rows if line["row"].startswith("worker.")]
    for line in worker:  # several of them are at work at the same time, so their rows are mixed
        held_against_table(TABLES["worker"], [{**line, "from": line["from"]}]) if line["from"] == "begin" else None
        assert one_row(TABLES["worker"], line)
    assert not worker or daemon == "lrm"
    return held_against_table(TABLES[daemon], [line for line in rows if line not in worker])


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A short life of a cluster, which is over."""
    cluster = LocalCluster(tmp_path_factory.mktemp("traced"))
    cluster.settle()
    cluster.done("restart-lrm", "node1")
    cluster.wait_for("another life of the LRM", lambda: len(lives(cluster, "node1", "lrm")) == 2)
    cluster.wait_for("its services to thaw", cluster.settled)
    cluster.done("relocate", "proc:web", "node2", "--wait", "40")
    assert cluster.stop() == 0
    yield cluster
    cluster.close()
