"""hacore sim: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hacore.cli import faults, main
from hacore.protocol.tables import TABLES
from hacore.sim import play
from hacore.sim.faults import Chaos
from tests.daemons.variants import RECOVER_WITHOUT_FENCE
from tests.sim.small import written


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["sim", *map(str, words)])


def test_help_teaches() -> None:
    assert "run" in run("--help").output
    assert "Exit codes" in run("run", "--help").output
    assert "Exit codes" in run("faults", "--help").output


def test_a_log_for_people_and_one_for_programs(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    told = run("run", written(tmp_path, ("power node1 off",)), "--events", out)
    assert told.exit_code == 0
    assert " operator     command              text=power node1 off\n" in told.stdout
    assert told.stdout.splitlines()[-1].startswith("ok: ")
    events = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(events) == len(told.stdout.splitlines()) - 1
    assert {"t", "actor", "event"} <= events[0].keys()


def test_the_example_in_the_docs_runs(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text()
    path = tmp_path / "failover.json"
    path.write_text(text.partition("```json\n")[2].partition("```")[0])
    answer = json.loads(run("run", path, "--json").stdout)
    assert answer["ok"]
    assert answer["scenario"] == "failover"


def test_json(tmp_path: Path) -> None:
    answer = json.loads(run("run", written(tmp_path), "--seed", "3", "--json").stdout)
    assert (answer["ok"], answer["profile"], answer["seed"], answer["violation"]) == (True, "hacore", 3, "")


def test_check_compares_with_what_is_expected(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    words = ("--profile", "reference", "--check")
    assert run("run", written(tmp_path), *words, "--events", out).exit_code == 1
    expect = [json.loads(line) for line in out.read_text().splitlines()]
    assert run("run", written(tmp_path, expect=expect), *words).exit_code == 0
    del expect[20]
    told = run("run", written(tmp_path, expect=expect), *words)
    assert told.exit_code == 1
    assert "expected" in told.stdout
    assert run("run", written(tmp_path, expect=expect), "--profile", "reference").exit_code == 0


def test_what_the_reference_breaks_is_told_and_is_no_failure(tmp_path: Path) -> None:
    path = written(tmp_path, ("service ct:2 delete",), ("service ct:2 add node3 started",))
    told = run("run", path, "--profile", "reference")
    assert told.exit_code == 0
    assert "the reference breaks SingleOwner here: ct:2 runs on node2 and node3" in told.stdout


def test_a_broken_promise_is_told_with_its_story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLES, "service", RECOVER_WITHOUT_FENCE)
    told = run("run", written(tmp_path, ("network node2 off",)))
    assert told.exit_code == 12
    assert "VIOLATION" in told.stdout
    assert "NOT SAFE: " in told.stdout.splitlines()[-1]


def test_what_does_not_end_well_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLES, "service", TABLES["service"].substituted({"service.started.stop": ()}))
    monkeypatch.setattr(play, "QUIET_S", 5.0)
    told = run("run", written(tmp_path, ("service ct:2 disabled",)))
    assert told.exit_code == 13
    assert "ct:2 shall be disabled, is started" in told.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"commands": [["powr node1 on"]]}, "nothing that could be done"),
        ({"commands": [["power node9 on"]]}, "with one of node1, node2, node3"),
        ({"services": {"vm:1": {"node": "node9"}}}, "there is no node node9"),
        ({"services": {"vm 1": {"node": "node1"}}}, "bad service id"),
        ({"settings": {"crs": {"ha": "magic"}}}, "'magic' is none of basic, static, dynamic"),
        ({"manager_status": {"service_status": {"vm:1": {"node": "node1"}}}}, "a service without 'state'"),
        ({"nodes": {"node1": {"cpus": 3}}}, "unknown field `cpus`"),
    ],
)
def test_a_file_that_is_not_understood_is_told_in_one_line(tmp_path: Path, more: Any, told: str) -> None:
    answer = run("run", written(tmp_path, **more))
    assert answer.exit_code == 2
    assert told in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_no_file(tmp_path: Path) -> None:
    answer = run("run", tmp_path / "none.json")
    assert answer.exit_code == 2
    assert "No such file" in answer.stderr


# ---------------------------------------------------------------------------------------------------------- faults


FAILING = 21
"""A seed in which something of the kind that is made to fail happens among others."""


def test_rates_come_first_and_the_verdict_last() -> None:
    lines = run("faults", "--seed", "7", "--minutes", "0.1").stdout.splitlines()
    assert lines[0].startswith("seeds 7 to 7: 3 nodes, 4 services, 0.1 min")
    assert lines[-1].startswith("0 of 1 seeds failed; ")


def test_two_processes_give_what_one_gives() -> None:
    words = ("--minutes", "0.05", "--nodes", "1", "--services", "1", "--json")
    both = json.loads(run("faults", "--seeds", "2", *words).stdout)
    single = [json.loads(run("faults", "--seed", seed, *words).stdout)["simulated_hours"] for seed in (0, 1)]
    assert both["failed"] == []
    assert both["simulated_hours"] == pytest.approx(sum(single))


@pytest.mark.parametrize(("kind", "code"), [("safety", 12), ("liveness", 13), ("crash", 14)])
def test_a_seed_that_fails_is_told_with_its_story(kind: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def trouble(chaos: Chaos, _: float = 0.0) -> None:
        if kind == "crash":
            raise ZeroDivisionError
        if kind == "safety":
            chaos.world.promises.fail("SingleOwner", "made up")

    monkeypatch.setattr(Chaos, "begin", trouble)
    monkeypatch.setattr(Chaos, "_unsettled", lambda _: "all is wrong" if kind == "liveness" else "")
    told = run("faults", "--minutes", "0.05")
    assert told.exit_code == code
    assert f"seed 0: {kind}: " in told.stdout
    assert "n1/crm#" in told.stdout
    assert told.stdout.splitlines()[-1].startswith("1 of 1 seeds failed")


def test_a_seed_is_shrunk_to_the_fault_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(chaos: Chaos) -> str:
        chaos.world.after(1.0, lambda: chaos.world.promises.fail("SingleOwner", "made up"))
        return "what matters"

    monkeypatch.setattr(Chaos, "_crash", crash)
    monkeypatch.setattr(Chaos, "_interfere", lambda *_: None)
    words = ("faults", "--seeds", "1", "--seed", FAILING, "--minutes", "0.3", "--shrink")
    told = run(*words)
    assert told.exit_code == 12
    lines = told.stdout.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith(f"seed {FAILING}: SingleOwner by 1 of "))
    assert int(lines[at].split()[6]) > 1
    assert lines[at + 1].endswith(" s  what matters")
    assert lines[at + 2].startswith("SingleOwner: made up")
    assert json.loads(run(*words, "--json").stdout)["shrunk"] == lines[at : at + 3]


def test_the_worst_decides() -> None:
    assert list(faults.CODES.values()) == [14, 12, 13]
