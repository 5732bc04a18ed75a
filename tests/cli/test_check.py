"""``hacore check``, as far as it is quick to try."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hacore.cli import main
from hacore.protocol.export import export
from hacore.protocol.tables import TABLES


def test_help_teaches() -> None:
    answer = CliRunner().invoke(main, ["check", "--help"])
    assert answer.exit_code == 0
    for word in ("explore", "prove", "tlc", "--tables", "Exit codes", "12"):
        assert word in answer.output


def test_a_file_without_tables_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text("{")
    answer = CliRunner().invoke(main, ["check", "--tables", str(file)])
    assert answer.exit_code == 1
    assert "is not JSON" in answer.output
    assert "Traceback" not in answer.output


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
