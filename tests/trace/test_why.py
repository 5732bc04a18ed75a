"""Explanations: of simulated clusters to which one thing was done, so the reason is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hacore.cli import main
from hacore.sim.operators import Operator
from hacore.sim.traces import traced
from hacore.sim.world import World
from hacore.trace.history import History
from hacore.trace.merging import merged
from hacore.trace.reading import read
from hacore.trace.why import Answer, NotTold, fenced, moved, waiting

SERVICES = {"vm:1": "n1", "vm:2": "n2", "ct:3": "n3"}


def after(directory: Path, deed: Callable[[World], None], seconds: float = 25.0) -> History:
    """What is told of a cluster in which all was well for 8 s, and of so many seconds after a deed."""
    world = World(1)
    with traced(world, directory):
        world.begin(SERVICES)
        world.run(8.0)
        deed(world)
        world.run(seconds)
    traces = read([directory])
    return History.of(traces, merged(traces))


def pause(world: World) -> None:
    world.pause(world.nodes["n2"].daemons["lrm"], 60.0)


DEEDS: dict[str, tuple[Callable[[World], None], str, str]] = {
    "store": (lambda world: world.cut("n2"), "store", "the store did not answer the "),
    "pause": (pause, "silent", "the LRM of n2 fell silent"),
    "multiplexer": (
        lambda world: world.kill(world.nodes["n2"].daemons["mux"]),
        "killed",
        "the multiplexer of n2 ended without a word: killed, or crashed",
    ),
    "power": (lambda world: world.power_off("n2", "power"), "power", "n2 lost its power"),
    "killed": (
        lambda world: world.kill(world.nodes["n2"].daemons["lrm"]),
        "killed",
        "the LRM of n2 ended without a word: killed, or crashed; a new one began",
    ),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_why_a_node_was_fenced(deed: str, tmp_path: Path) -> None:
    do, kind, words = DEEDS[deed]
    answer = fenced(after(tmp_path, do), "n2")
    assert answer.first is not None
    assert (answer.first.kind, words in answer.first.text) == (kind, True), answer.first
    assert answer.first.text in answer.short
    assert answer.first.at <= answer.at + 1.0
    assert_shown(answer)
    texts = [told.text for told in answer.then]
    if kind in {"store", "power"}:  # else it is back before a master has given it up
        assert sum("took n2 from online" in text for text in texts) == 1, texts
        assert any("took the lock of n2 for fencing" in text for text in texts), texts
        assert any("vm:2 from fence to recovery to started" in text for text in texts), texts
    else:
        assert "the watchdog reset n2: everything on it ended" in texts


def assert_shown(answer: Answer) -> None:
    """Every line that is named is there, and tells of what the sentence is about."""
    for told in answer.then:
        for place in told.lines:
            path, _, number = place.rpartition(":")
            assert json.loads(Path(path).read_text().splitlines()[int(number) - 1]), place
    assert [told.at for told in answer.then] == sorted(told.at for told in answer.then)


def test_why_a_service_moved_after_a_fence(tmp_path: Path) -> None:
    answer = moved(after(tmp_path, lambda world: world.cut("n2")), "vm:2")
    assert "vm:2 moved from n2 to" in answer.short
    assert "n2 was fenced, because the store did not answer" in answer.short
    texts = " ".join(told.text for told in answer.then)
    assert "the service's node was last seen online longer ago than the offline delay [service.started.lost]" in texts
    assert "vm:2 runs on" in texts
    assert_shown(answer)


def test_why_a_service_moved_by_command(tmp_path: Path) -> None:
    answer = moved(after(tmp_path, lambda world: Operator(world).command("migrate vm:1 n3")), "vm:1")
    assert answer.short.startswith("vm:1 moved from n1 to n3: the pending command is migrate")
    assert answer.first is None
    assert_shown(answer)


def test_what_is_waited_for(tmp_path: Path) -> None:
    history = after(tmp_path, lambda world: world.services.failing.update(SERVICES), 0.5)
    assert waiting(history).short == "the cluster waits for nothing: all is as requested."

    def fail(world: World) -> None:
        world.services.failing.add("vm:2")
        world.nodes["n2"].running.discard("vm:2")

    answer = waiting(after(tmp_path / "2", fail, 30.0), "vm:2")
    assert answer.short.startswith("vm:2 waits: vm:2 shall be started, and is error on ")
    assert any("start_failed" in told.text for told in answer.then)
    assert_shown(answer)


def test_who_waits_for_a_fence(tmp_path: Path) -> None:
    answer = waiting(after(tmp_path, lambda world: world.power_off("n2", "power"), 7.0))
    assert (
        "vm:2 shall be started, and is fence on n2 (Its node is lost: waits until that node is fenced)" in answer.short
    )
    assert any("the LRM of n2 has said nothing for" in told.text for told in answer.then)


def test_what_did_not_happen_is_not_told(tmp_path: Path) -> None:
    history = after(tmp_path, lambda _: None, 2.0)
    questions: tuple[tuple[Callable[[], Answer], str], ...] = (
        (lambda: fenced(history, "n2"), "n2 was not fenced"),
        (lambda: fenced(history, "n9"), "no node n9, only n1, n2, n3"),
        (lambda: moved(history, "vm:1"), "vm:1 did not move"),
        (lambda: moved(history, "vm:9"), "it knows no service vm:9"),
        (lambda: waiting(history, "vm:9"), "no service vm:9, only ct:3, vm:1, vm:2"),
    )
    for question, words in questions:
        with pytest.raises(NotTold, match=words):
            question()


def why(*words: object) -> Result:
    return CliRunner().invoke(main, ["why", *map(str, words)])


def test_the_command(tmp_path: Path) -> None:
    after(tmp_path, lambda world: world.cut("n2"))
    told = why("fenced", "n2", "--trace", tmp_path)
    assert told.exit_code == 0, told.output
    assert told.output.startswith("n2 was fenced: its watchdog reset it, because the store did not answer the ")
    assert "What failed first, " in told.output
    assert "nodes/n2/trace/lrm.jsonl:" in told.output
    answer = json.loads(why("fenced", "n2", "--trace", tmp_path, "--json").output)
    assert answer["first"]["kind"] == "store"
    refused = why("moved", "vm:1", "--trace", tmp_path)
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
    (tmp_path / "empty").mkdir()
    assert why("waiting", "--trace", tmp_path / "empty").exit_code == 2
