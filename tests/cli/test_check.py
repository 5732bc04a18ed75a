"""``hacore check``, as far as it is quick to try."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hacore.cli import main
from hacore.protocol.export import export
from hacore.protocol.tables import TABLES

EARLY_WORD = Path(__file__).parents[2] / "docs" / "examples" / "early_word.py"


def test_help_teaches() -> None:
    answer = CliRunner().invoke(main, ["check", "--help"])
    assert answer.exit_code == 0
    for word in ("explore", "prove", "tlc", "--tables", "--upgrade", "Exit codes", "12"):
        assert word in answer.output


def test_a_file_without_tables_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text("{")
    answer = CliRunner().invoke(main, ["check", "--tables", str(file)])
    assert answer.exit_code == 1
    assert "is not JSON" in answer.output
    assert "Traceback" not in answer.output


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "is not JSON"), ('{"lrm": {"name": "lrm"}}', "is not an export of tables"), ("[]", "holds no tables")],
)
def test_what_is_no_export_of_an_old_version_is_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "old.json"
    file.write_text(text)
    answer = CliRunner().invoke(main, ["check", "--upgrade", str(file)])
    assert answer.exit_code == 1
    assert says in answer.output
    assert "Traceback" not in answer.output


@pytest.mark.slow
def test_an_upgrade_that_is_not_safe_ends_with_a_story_of_both_versions(tmp_path: Path) -> None:
    report, page = tmp_path / "report.xml", tmp_path / "report.html"
    told = ["check", "--quick", "--json", "--upgrade", str(EARLY_WORD), "--junit", str(report), "--html", str(page)]
    answer = CliRunner().invoke(main, told)
    assert answer.exit_code == 12, answer.output
    said = json.loads(answer.output)
    assert said["about"]["this run"]["old tables"] == str(EARLY_WORD)
    story = next(check["stories"][0] for check in said["checks"] if check["stories"])
    assert {step["name"].rpartition(", ")[2] for step in story["steps"] if step["row"]} == {"old", "new"}
    assert "SafeDisarm" in report.read_text()
    assert "lrm.wait.say_active" in page.read_text()


@pytest.mark.slow
def test_an_upgrade_that_changes_nothing_passes(tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text(CliRunner().invoke(main, ["tables", "--json"]).output)
    answer = CliRunner().invoke(main, ["check", "--quick", "--upgrade", str(old)])
    assert answer.exit_code == 0, answer.output


@pytest.mark.slow
def test_a_quick_check_passes_and_finds_a_guard_that_is_gone(tmp_path: Path) -> None:
    answer = CliRunner().invoke(main, ["check", "--quick", "--json"])
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.output)["verdict"] == "passed"

    tables = {name: export(table) for name, table in TABLES.items()}
    rows = tables["lrm"]["rows"]
    assert isinstance(rows, list)
    leave = next(row for row in rows if row["id"] == "lrm.active.leave_frozen")
    leave["guard"]["tree"] = {"and": [{"fact": "RESTART_ASKED"}, {"not": {"fact": "WORKERS"}}]}
    mine, junit = tmp_path / "mine.json", tmp_path / "report.xml"
    mine.write_text(json.dumps(tables))
    answer = CliRunner().invoke(main, ["check", "--quick", "--tables", str(mine), "--junit", str(junit)])
    assert answer.exit_code == 12
    assert "SafeDisarm" in answer.output
    assert "lrm.active.leave_frozen" in answer.output
    assert "failure" in junit.read_text()
