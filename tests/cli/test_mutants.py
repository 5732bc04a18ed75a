"""``hacore mutants``: counts, and stories of one row."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from hacore.cli import main


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["mutants", *args])
    return result.exit_code, result.output


def test_the_counts_are_of_all_mutants() -> None:
    code, output = run("--json")
    counts = json.loads(output)
    assert code == 0
    assert counts.pop("mutants") == sum(counts.values()) > 1000
    assert run()[1].split()[0].isdigit()


def test_the_mutants_of_a_row_are_tried() -> None:
    code, output = run("--row", "crm.wait.quit", "--json")
    fates = {it["name"]: it["fate"] for it in json.loads(output)}
    assert code == 0
    assert fates["crm.wait.quit: left out"] == "equivalent", "the model leaves out that a CRM quits"
    assert fates["crm.wait.quit: without RESTART_ASKED | SHUTDOWN_ASKED"] == "liveness", "it always quits"


@pytest.mark.slow
def test_the_story_of_a_row_is_told_step_by_step() -> None:
    code, output = run("--row", "lrm.active.leave_frozen")
    assert code == 0
    assert "lrm.active.leave_frozen: without QUIET\n  caught: SafeDisarm is broken" in output
    assert "lrm.active.leave n=0  " in output


def test_a_row_that_is_none_and_options_that_do_not_go_together_are_refused() -> None:
    code, output = run("--row", "lrm.none")
    assert code == 2
    assert "no mutant changes a row called 'lrm.none'" in output
    assert run("--anew")[0] == 2
