"""What runs have seen of the tables: counted from traces, and written down in docs/coverage.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hacore.cli import coverage as command
from hacore.protocol.tables import TABLES
from hacore.trace.coverage import Coverage, possible_pairs, possible_values
from hacore.trace.reading import read
from model_check.report_html import as_html
from tests.trace.forging import Said, write

PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"


@pytest.fixture(scope="module")
def seen() -> Coverage:
    return command.in_simulation([command.SEEDS[0]], minutes=0.05)


def marks() -> dict[str, tuple[bool, ...]]:
    """By row: whether it was seen simulated, real, in models."""
    found = re.findall(r"^\| (\w+\.\S+) \| (\S+) \| (\S+) \| (\S+) \|$", PAGE.read_text(), re.MULTILINE)
    return {row: tuple(mark == "yes" for mark in given) for row, *given in found}


def test_the_page_names_the_rows_that_there_are() -> None:
    assert list(marks()) == [row.id for table in TABLES.values() for row in table.rows], "hacore coverage --write"


def test_the_page_is_about_these_runs() -> None:
    text = " ".join(PAGE.read_text().split())
    assert f"seeds {command.SEEDS[0]} to {command.SEEDS[-1]} of" in text
    assert all(f"`{name}`" in text for name in command.SCENARIOS)


def test_the_page_says_of_models_what_they_must_show() -> None:
    assert {row for row, (*_, model) in marks().items() if model} == command.in_models()


def test_what_is_seen_in_a_few_seconds_is_on_the_page(seen: Coverage) -> None:
    """Of the first seed, whose beginning is the same however long it lasts."""
    assert len(seen.rows) > 40
    everyday = {"lrm.wait.arm", "lrm.wait.ask", "lrm.wait.granted", "crm.master.write", "service.new.start"}
    assert everyday <= seen.rows.keys()
    assert everyday <= {row for row, (simulated, real, _) in marks().items() if simulated and real}


def test_values_and_pairs_are_possible_ones(seen: Coverage) -> None:
    values = {value for table in TABLES.values() for value in possible_values(table)}
    assert set(seen.values) <= values
    assert ("lrm", "GRANTED", True) in seen.values
    for one, other in seen.pairs:
        table = TABLES[other.partition(".")[0]]
        assert table.by_id[one].target == table.by_id[other].state
    assert ("lrm.wait.arm", "lrm.wait.ask") in seen.pairs
    for table in TABLES.values():
        assert sum(one in table.by_id for one, _ in seen.pairs) <= possible_pairs(table)


def test_what_is_not_seen_is_told(seen: Coverage) -> None:
    """A row that is taken out of the runs is listed as one that only models have seen."""
    del seen.rows["lrm.wait.arm"]
    text = command.page(seen, Coverage(), command.in_models())
    only = text.partition("## Rows never seen outside the models")[2].partition("##")[0]
    assert "`lrm.wait.arm`" in only
    assert "`lrm.wait.ask`" not in only
    assert "| lrm.wait.arm | - | - | yes |" in text


def test_a_row_without_its_process_is_counted_once(tmp_path: Path) -> None:
    about = {"t": 1.0, "node": "n1", "daemon": "crm"}
    decided = [{"row": "service.new.start", "of": "ct:1", "facts": ["SUCCEEDED", "WANT_STARTED"]}]
    lines: list[Said] = [
        {**about, "row": "crm.master.change", "from": "master.deciding", "to": "master.writing", "facts": ["CHANGES"]},
        {**about, "row": "crm.master.write", "from": "master.writing", "to": "master.written", "facts": []},
    ]
    lines[0]["decided"] = decided
    write(tmp_path / "crm.jsonl", lines)
    seen = Coverage()
    seen.add(read([tmp_path / "crm.jsonl"]))
    assert seen.rows == {"crm.master.change": 1, "crm.master.write": 1, "service.new.start": 1}
    assert dict(seen.pairs) == {("crm.master.change", "crm.master.write"): 1}
    assert seen.values["service", "NODE_LOST", False] == 1


def test_the_report_shows_what_runs_have_seen() -> None:
    page = as_html([], runs={"lrm.wait.arm": 3})
    assert "Rows in simulated runs" in page
    assert f"1 of {len(TABLES['lrm'].rows)} rows fired" in page
    assert "Rows in simulated runs" not in as_html([])
