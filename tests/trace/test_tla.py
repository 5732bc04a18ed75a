"""A trace is a behaviour of the specification that people wrote, by TLC's word; a forged one is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hacore.cli import main
from hacore.sim.traces import traced
from hacore.sim.world import World
from hacore.trace.abstract import Abstract, abstract, services
from hacore.trace.merging import merged
from hacore.trace.reading import read
from model_check import tlc
from model_check.trace_tla import consumed


def simulate(directory: Path, seconds: float, update_s: float = 0.0) -> None:
    """One service on two nodes, from nothing on. Its LRM is asked to restart, if that is said."""
    world = World(1, nodes=2)
    with traced(world, directory):
        world.begin({"ct:1": "n1"})
        if update_s:
            world.after(update_s, lambda: world.ask(world.nodes["n1"], "lrm", "restart"))
        world.run(seconds)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Abstract:
    try:
        tlc.java(), tlc.jar()
    except tlc.TlcError as problem:
        pytest.skip(str(problem))
    directory = tmp_path_factory.mktemp("started")
    simulate(directory, 3.0)
    traces = read([directory])
    order = merged(traces)
    assert services(order) == ["ct:1"]
    told = abstract(traces, order, "ct:1")
    assert told.end == "the end of the trace"
    return told


def followed(told: Abstract, *without: int) -> tuple[int, int]:
    events = [event.fields() for number, event in enumerate(told.events) if number not in without]
    return consumed(told.nodes, told.sid, told.home, events), len(events)


def number(told: Abstract, do: str) -> int:
    return next(n for n, event in enumerate(told.events) if event.do == do)


def test_a_start_is_a_behaviour(started: Abstract) -> None:
    assert {"arm", "take", "feed", "active", "report", "spawn", "work", "write", "master"} <= {
        event.do for event in started.events
    }
    steps, of = followed(started)
    assert steps == of > 15


@pytest.mark.parametrize("do", ["arm", "write"])
def test_a_step_left_out_is_noticed_where_it_is_missed(do: str, started: Abstract) -> None:
    """Without a watchdog no lock; without the master's word no start."""
    left_out = number(started, do)
    steps, of = followed(started, left_out)
    assert left_out <= steps < of


@pytest.mark.slow
def test_a_failover_and_an_update_are_behaviours(tmp_path: Path) -> None:
    simulate(tmp_path, 40.0, update_s=6.0)
    answer = CliRunner().invoke(main, ["trace", "check", "--tla", str(tmp_path)])
    assert answer.exit_code == 0, answer.output
    assert "TLC: ct:1: a behaviour of the specification, all " in answer.output
    assert "until the end of the trace" in answer.output
