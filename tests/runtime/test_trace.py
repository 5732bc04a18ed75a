"""Traces: what real daemons wrote down can be read, and is what their tables say."""

import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hacore.protocol.requests import PowerOff, Say
from hacore.protocol.table import Table
from hacore.protocol.tables import TABLES
from hacore.protocol.timing import Timing
from hacore.runtime import trace
from hacore.runtime.timeline import Timeline
from hacore.runtime.trace import Trace
from hacore.trace.checking import check
from tests.runtime.cluster import Event, LocalCluster

DAEMONS = ("watchdog", "crm", "lrm")


def held_against_table(table: Table, line: Event) -> None:
    """The row is the one that the table takes from that state, given the facts that held."""
    assert set(line["facts"]) <= {fact.name for fact in table.facts_of(line["from"])}, line
    row = table.step(line["from"], lambda fact: fact.name in line["facts"])
    assert (row.id, row.target) == (line["row"], line["to"]), line


def lives(lines: list[Event], daemon: str) -> int:
    """How often the daemon began its life; within a life, each row goes on from where the last one led."""
    begun, at = 0, ""
    for line in rows_of(lines, daemon):
        if line["from"] != at:
            assert line["from"] == TABLES[daemon].initial, f"from {at} into the midst of things: {line}"
            begun += 1
        at = line["to"]
    return begun


def rows_of(lines: list[Event], table: str) -> list[Event]:
    """Those of one table: an LRM's trace has its workers' rows too, and several workers are at work at a time."""
    return [line for line in lines if line.get("row", "").startswith(f"{table}.")]


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A short life of a cluster, which is over."""
    cluster = LocalCluster(tmp_path_factory.mktemp("traced"))
    cluster.settle()
    cluster.done("restart-lrm", "node1")
    cluster.wait_for("another life of the LRM", lambda: lives(cluster.trace("node1", "lrm"), "lrm") == 2)
    cluster.wait_for("its services to thaw", cluster.settled)
    cluster.done("relocate", "proc:web", "node2", "--wait", "40")
    assert cluster.stop() == 0
    yield cluster
    cluster.close()


def each_trace(cluster: LocalCluster) -> Iterator[tuple[str, str, list[Event]]]:
    """Node, daemon and lines."""
    for node, daemon in itertools.product(cluster.nodes, DAEMONS):
        yield node, daemon, cluster.trace(node, daemon)


def test_every_line_has_what_it_should(traced: LocalCluster) -> None:
    for node, daemon, lines in each_trace(traced):
        assert lines
        for line in lines:
            assert (line["node"], line["daemon"]) == (node, daemon)
            assert len(line.keys() & {"begin", "row", "say", "ask"}) == 1, line
            assert ("ask" in line) == ("answer" in line), line
        times = [line["t"] for line in lines]
        assert daemon == "lrm" or times == sorted(times)


def test_every_row_is_what_its_table_says(traced: LocalCluster) -> None:
    for _, daemon, lines in each_trace(traced):
        for table in (daemon, "worker"):
            for line in rows_of(lines, table):
                held_against_table(TABLES[table], line)
        rows = [line for line in lines if "row" in line]
        assert len(rows) == sum(len(rows_of(lines, table)) for table in {daemon, "worker"})
        assert daemon == "lrm" or not rows_of(lines, "worker")


def test_rows_follow_one_another(traced: LocalCluster) -> None:
    for node, daemon, lines in each_trace(traced):
        assert lives(lines, daemon) == (2 if (node, daemon) == ("node1", "lrm") else 1)
        final = rows_of(lines, daemon)[-1]["to"]
        assert TABLES[daemon].state_named[final].final == (daemon != "watchdog"), "it was shut down in order"


def test_it_passes_the_check(traced: LocalCluster) -> None:
    report = check([traced.directory])
    assert report.problems == ()
    assert (report.nodes, report.lives, report.partial) == (3, 10, 0)


def test_every_worker_came_to_an_end(traced: LocalCluster) -> None:
    for node in traced.nodes:
        rows = rows_of(traced.trace(node, "lrm"), "worker")
        ends = [row for row in rows if TABLES["worker"].state_named[row["to"]].final]
        assert len([row for row in rows if row["from"] == "begin"]) == len(ends) > 0


# ------------------------------------------------------------------------------------------------------- writing


def note(it: Trace, **fields: int) -> None:
    it.note(Say("test", fields), None)


def written(path: Path) -> list[Event]:
    """The lines of the older file and of the newer."""
    older = path.with_name(path.name + ".1")
    return [json.loads(line) for file in (older, path) for line in file.read_text().splitlines()]


def written_once(path: Path) -> list[Event]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_trace_keeps_two_files_of_limited_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "MOST_BYTES", 4000)
    path = tmp_path / "there" / "crm.jsonl"
    it = Trace(path, "node1", "crm")
    for number in range(200):
        note(it, number=number)
    it.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["crm.jsonl", "crm.jsonl.1"]
    assert max(file.stat().st_size for file in path.parent.iterdir()) <= 4000
    numbers = [line["about"]["number"] for line in written(path)]
    assert numbers == list(range(numbers[0], 200))
    assert len(numbers) > 200 // 20


def test_each_file_says_at_its_head_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "MOST_BYTES", 4000)
    it = Trace(tmp_path / "crm.jsonl", "node1", "crm")
    it.begin(Timing())
    for number in range(200):
        note(it, number=number)
    it.close()
    for file in tmp_path.iterdir():
        head = json.loads(file.read_text().splitlines()[0])
        assert (head["again"], head["begin"]["timing"]["round_s"]) == (True, Timing().round_s)


def test_a_trace_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "crm.jsonl"
    for number in range(3):
        it = Trace(path, "node1", "crm")
        note(it, number=number)
        it.close()
    assert [json.loads(line)["about"]["number"] for line in path.read_text().splitlines()] == [0, 1, 2]


def test_what_a_request_does_not_show_is_not_written(tmp_path: Path) -> None:
    it = Trace(tmp_path / "crm.jsonl", "node1", "crm")
    request = PowerOff("node2", 7, 12.5, [[{"agent": "fence_dummy", "parameters": {"password": "s3cret"}}]])
    it.note(request, None)
    it.close()
    (line,) = written_once(tmp_path / "crm.jsonl")
    about = {"t": line["t"], "node": "node1", "daemon": "crm", "answer": None}
    assert line == {**about, "ask": "PowerOff", "target": "node2", "revision": 7, "until_s": 12.5}
    assert "s3cret" not in repr(request)


def test_threads_may_write_to_one_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A worker is a thread of its LRM. Nothing is lost, also when the file is full."""
    monkeypatch.setattr(trace, "MOST_BYTES", 150_000)  # more than half of what is written
    it = Trace(tmp_path / "lrm.jsonl", "node1", "lrm")
    go = threading.Barrier(4)

    def work(name: int) -> None:
        go.wait()
        for number in range(500):
            note(it, thread=name, number=number)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    it.close()
    lines = written(tmp_path / "lrm.jsonl")
    for name in range(4):
        assert [line["about"]["number"] for line in lines if line["about"]["thread"] == name] == list(range(500))
    assert capfd.readouterr().err == ""


def test_half_a_line_is_the_only_one_lost(tmp_path: Path) -> None:
    """Its writer was killed in the midst of it."""
    path = tmp_path / "crm.jsonl"
    for number in range(2):
        it = Trace(path, "node1", "crm")
        note(it, number=number)
        it.close()
        with path.open("a") as file:
            file.write('{"t": 1.0, "node": "no')
    it = Trace(path, "node1", "crm")
    note(it, number=2)
    it.close()
    whole, _, *rest = path.read_text().splitlines()
    assert [json.loads(line)["about"]["number"] for line in (whole, rest[0], rest[-1])] == [0, 1, 2]
    told: list[Event] = []
    home = tmp_path / "nodes" / "node1" / "trace"
    home.mkdir(parents=True)
    path.rename(home / "crm.jsonl")
    Timeline(tmp_path, tmp_path, told.append).show()
    assert [moment["about"]["number"] for moment in told] == [0, 1, 2]
