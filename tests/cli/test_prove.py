"""hacore prove: obligations, exit codes, and why the protocol is as it is."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hacore.cli import main
from hacore.protocol.tables import TABLES
from model_check import theorem, why
from model_check.holes import CLOSED, HOLES
from model_check.lang import BOOL, Context, Count, Domain, Field, Model, every, some
from model_check.properties import SAFETY
from model_check.prove import Prover


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["prove", *words])


def ok(*words: str) -> str:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def proving(monkeypatch: pytest.MonkeyPatch, make: Callable[[], Model]) -> None:
    """Let another model be proved."""
    monkeypatch.setattr(theorem, "prover", lambda *_: Prover(make(), timeout_s=0.1))


# ------------------------------------------------------------------------------------------------------------- proof


def test_a_line_for_each_obligation() -> None:
    lines = ok("lrm.wait.arm", "--workers", "1").splitlines()
    assert lines[-2].startswith("100%  ")
    assert all(" keeps " in line and ": proved (" in line for line in lines[:-1])
    assert lines[-1].startswith(f"{len(lines) - 1} obligations in ")
    assert lines[-1].endswith(f": {len(lines) - 1} proved, 0 refuted, 0 unknown")
    assert ok("lrm.wait.arm", "--workers", "1", "--quiet").count("\n") == 1


def test_obligations_for_programs_and_in_several_processes() -> None:
    told = json.loads(ok("world.lrm_starts", "--json"))
    assert told["rows"] == ["world.lrm_starts"]
    assert (told["refuted"], told["unknown"]) == (0, 0)
    assert told["proved"] == len(told["obligations"])
    assert {it["action"] for it in told["obligations"]} == {"start", "world.lrm_starts"}
    assert told["safety"] == {it.name: it.sentence for it in SAFETY}
    assert told["assumptions"] == list(theorem.ASSUMPTIONS)
    (shield,) = (it for it in told["obligations"] if (it["action"], it["invariant"]) == ("world.lrm_starts", "Shield"))
    assert (shield["verdict"], shield["counterexample"]) == ("proved", "")


def switch() -> Model:
    model = Model("switch", [Field("on", BOOL)])

    @model.action()
    def turn(c: Context) -> None:
        c.on = ~c.on

    model.invariants["off"] = ~model.state().on
    return model


def endless() -> Model:
    """Only in a universe without end has each node one above it: there is no small counterexample."""
    node = Domain("Node", 2)
    model = Model("endless", [Field("rank", Count(3), (node,)), Field("over", BOOL)])

    @model.action()
    def end(c: Context) -> None:
        c.over = True

    c = model.state()
    model.invariants["endless"] = every(node, lambda n: some(node, lambda k: c.rank[n] < c.rank[k]))
    model.invariants["somebody"] = some(node, lambda n: c.rank[n] == c.rank[n])
    model.invariants["going"] = ~c.over
    return model


def test_what_is_refuted_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    proving(monkeypatch, switch)
    result = run("--workers", "1", "--quiet")
    assert result.exit_code == 12
    assert "turn keeps off: refuted (" in result.stdout
    assert "\n  after  on: False -> True\n" in result.stdout
    assert "So in every run" not in result.stdout
    told = json.loads(run("--workers", "1", "--json").stdout)
    assert "on: False -> True" in next(it["counterexample"] for it in told["obligations"] if it["verdict"] == "refuted")


def test_what_is_not_settled_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    proving(monkeypatch, endless)
    monkeypatch.setattr(Prover, "prove", lambda self: iter([self.check(1, "going")]))
    result = run("--workers", "1")
    assert result.exit_code == 3
    assert "end keeps going: unknown (" in result.stdout


def test_the_sum_of_a_whole_proof_says_what_it_rests_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def off() -> Model:
        model = switch()
        model.actions.clear()
        model.add("rest", lambda c: setattr(c, "on", False), {})
        return model

    proving(monkeypatch, off)
    text = ok("--workers", "1")
    assert "2 proved, 0 refuted, 0 unknown" in text
    assert [it.sentence for it in SAFETY if it.sentence not in text] == []
    assert [it for it in theorem.ASSUMPTIONS if it not in text] == []


@pytest.mark.slow
def test_the_protocol_is_proved() -> None:
    text = ok("--quiet")
    assert " 0 refuted, 0 unknown\n" in text
    assert "So in every run, with any number of nodes, services and masters, at any moment:\n" in text


def test_no_such_row() -> None:
    result = run("lrm.weit")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "hacore: no action's name begins with lrm.weit: see hacore tables\n"


def test_every_row_of_a_daemon_is_in_the_proof() -> None:
    actions = {name for action in theorem.model().actions for name in (action.row, *action.tags)}
    rows = {row.id for name in ("lrm", "crm") for row in TABLES[name].rows}
    assert sorted(rows - actions) == ["crm.master.quit", "crm.slave.quit", "crm.wait.quit"]  # said by an assumption


# ------------------------------------------------------------------------------------------------------------- --why


def test_a_hole_is_explained_with_a_run() -> None:
    text = ok("--why", "short")
    assert "two nodes run the service: lock_ttl_s < watchdog_s + reset_s\n" in text
    assert "if lock_ttl_s >= watchdog_s + reset_s: impossible\n" in text
    assert "for example, with watchdog_s = 5.6, reset_s = 3.5, lock_ttl_s = 9.09:\n" in text
    lines = [line for line in text.splitlines() if line.startswith("    t=")]
    assert len(lines) == len(next(hole.script for hole in HOLES if hole.name == "short"))
    assert lines[-1].split() == ["t=", "9.10", "worker.begin.start", "n=1", "s=0", "runs[1,0]:", "False", "->", "True"]


def test_holes_for_programs() -> None:
    (told,) = json.loads(ok("--why", "d", "--json"))
    assert (told["name"], told["condition"], told["expected"], told["if_safe"]) == ("d", "always", True, "always")
    assert told["tables"] == ["crm", "lrm", "service"]
    assert [it["action"] for it in told["steps"]] == told["script"]
    assert told["steps"][-1]["changes"]["runs[1,0]"] == ["False", "True"]
    assert told["durations"] == {"watchdog_s": 5.6, "reset_s": 3.5, "lock_ttl_s": 9.11}


def test_the_first_part_of_a_name_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = stub(monkeypatch)
    ok("--why", "a")
    assert [hole.name for hole, _ in asked] == ["a.order", "a.pause", "a.look"]
    assert all(exemplified for _, exemplified in asked)


def test_without_a_name_all_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = stub(monkeypatch)
    assert "hacore prove." in ok("--why")
    assert [hole for hole, _ in asked] == [*HOLES, *CLOSED]
    assert not any(exemplified for _, exemplified in asked)


def test_a_hole_that_is_not_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    stub(monkeypatch, "impossible")
    result = run("--why", "short")
    assert result.exit_code == 3
    assert "impossible, and not: lock_ttl_s < watchdog_s + reset_s" in result.stdout


def stub(monkeypatch: pytest.MonkeyPatch, condition: str = "") -> list[tuple[Any, bool]]:
    """Explanations without a solver; returns what is asked for."""
    asked = []

    def explain(hole: Any, exemplify: bool = True) -> why.Explanation:
        asked.append((hole, exemplify))
        return why.Explanation(hole, condition or hole.possible, "always", "impossible", None)

    monkeypatch.setattr(why, "explain", explain)
    return asked


def test_no_such_hole() -> None:
    result = run("--why", "z")
    assert result.exit_code == 2
    assert "no hole is called 'z': there are a.order, " in result.stderr
