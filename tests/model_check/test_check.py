"""The checks behind ``hacore check`` pass on hacore's tables, and find what is broken in others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hacore.protocol import crm, lrm, service
from hacore.protocol.export import export
from hacore.protocol.table import ALWAYS, Row, Table
from hacore.protocol.tables import TABLES
from hacore.protocol.vocabulary import RESTART_ASKED
from model_check.check import linted
from model_check.checks.explored import explored
from model_check.checks.proved import proved
from model_check.checks.specified import conforms
from model_check.imported import ImportedError, load
from model_check.outcome import Verdict
from model_check.world.slices import DEFAULT, LONG, QUICK, SMALL, Slice

BY_NAME = {slice_.name: slice_ for slice_ in QUICK}


def changed(table: Table, row_id: str, **changes: object) -> Mapping[str, Table]:
    """All tables, with one row of one table changed."""
    rows = tuple(replace(row, **changes) if row.id == row_id else row for row in table.rows)  # type: ignore[arg-type]
    return {**TABLES, table.name: replace(table, rows=rows)}


@pytest.mark.parametrize("slice_", [BY_NAME["failover"], BY_NAME["new"]], ids=lambda it: it.name)
def test_our_tables_keep_every_promise_in_a_slice(slice_: Slice) -> None:
    check = explored(slice_, TABLES)
    assert (check.verdict, check.problem) == (Verdict.PASSED, "")
    assert check.fired["lrm.wait.ask"] > 0
    assert check.fired["lrm.active.rest"] > 0, "rows that are taken along count, too"
    assert check.fired["service.new.start"] > 0, "rows that a master writes count, too"


BROKEN = {
    "leaves without a freeze": (
        "update",
        changed(lrm.LRM, "lrm.active.leave_frozen", guard=RESTART_ASKED & ~lrm.WORKERS),
        "SafeDisarm",
    ),
    "recovers without a fence": (
        "failover",
        changed(service.SERVICE, "service.fence.fenced", guard=ALWAYS),
        "FenceBeforeRecover",
    ),
    "writes without the token": (
        "masters",
        changed(crm.CRM, "crm.master.write", given=(crm.BASIS_CURRENT,)),
        "OneMaster",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_table_is_found_out_with_its_story(name: str) -> None:
    slice_name, tables, property_name = BROKEN[name]
    check = explored(BY_NAME[slice_name], tables)
    assert check.verdict is Verdict.SAFETY
    (story,) = check.stories
    assert story.property == property_name
    assert [step.number for step in story.steps] == list(range(1, len(story.steps) + 1))
    assert all(step.row in {"", *TABLES[step.row.partition(".")[0]].by_id} for step in story.steps if step.row)


def test_a_lock_that_is_too_short_is_found_out() -> None:
    check = explored(replace(BY_NAME["failover"], lock=1), TABLES)
    assert check.verdict is Verdict.SAFETY


def test_the_explorer_says_when_it_did_not_finish() -> None:
    check = explored(BY_NAME["failover"], TABLES, limit=1000)
    assert check.verdict is Verdict.BROKEN
    assert "stopped at" in check.problem


def test_explorer_and_tlc_agree_on_a_slice() -> None:
    check = conforms(SMALL[-1], lambda: TABLES)
    assert (check.verdict, check.problem) == (Verdict.PASSED, "")
    assert check.figures["explorer"] == check.figures["TLC"]


@pytest.mark.slow
def test_the_invariant_is_proved() -> None:
    check = proved()
    assert (check.verdict, check.problem) == (Verdict.PASSED, "")


def test_levels_contain_each_other_and_names_are_unique() -> None:
    assert set(QUICK) < set(DEFAULT) < set(LONG)
    assert len({slice_.name for slice_ in LONG}) == len(LONG)


def test_lint_is_part_of_it() -> None:
    assert linted(TABLES).verdict is Verdict.PASSED
    shadowed = (Row("disarm.armed.never", "armed", ALWAYS, "armed"), *TABLES["disarm"].rows)
    assert linted({"disarm": replace(TABLES["disarm"], rows=shadowed)}).verdict is Verdict.BROKEN


# --------------------------------------------------------------------------------------------- tables of one's own


def test_exported_tables_come_back_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "tables.json"
    file.write_text(json.dumps({name: export(table) for name, table in TABLES.items()}))
    for name, table in load(file).items():
        assert table.rows == TABLES[name].rows
        assert export(table) == export(TABLES[name])


def test_a_module_may_define_one_table(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from dataclasses import replace\nfrom hacore.protocol.crm import CRM\nMINE = replace(CRM, theory='mine')\n"
    )
    assert load(file)["crm"].theory == "mine"
    assert load(file)["lrm"] is TABLES["lrm"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.json", "{", "is not JSON"),
        ("b.json", '{"crm": {"name": "crm"}}', "is not an export"),
        ("c.json", "[]", "holds no tables"),
        ("d.py", "x = 1\n", "holds no tables"),
    ],
)
def test_what_holds_no_tables_is_refused(tmp_path: Path, name: str, text: str, says: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(ImportedError, match=says):
        load(file)
