"""What the tables do is what the specification for people tells, and weaker tables do something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from hacore.protocol.lrm import LRM, WORKERS
from hacore.protocol.table import Table
from hacore.protocol.tables import TABLES
from hacore.protocol.vocabulary import RESTART_ASKED
from model_check.checks.specified import refines
from model_check.holes import BOAST, LOCK_FIRST, substituted
from model_check.outcome import Verdict
from model_check.world.slices import REFINED, Slice

BY_NAME = {slice_.name: slice_ for slice_ in REFINED}
CALM = replace(BY_NAME["failover"], name="calm", happens=frozenset())
NO_FREEZE = substituted(
    LRM,
    {"lrm.active.leave_frozen": replace(LRM.by_id["lrm.active.leave_frozen"], guard=RESTART_ASKED & ~WORKERS)},
)


def test_our_tables_do_what_the_specification_tells() -> None:
    check = refines(CALM, lambda: TABLES)
    assert (check.verdict, check.problem) == (Verdict.PASSED, "")
    assert int(check.figures["steps"]) > int(check.figures["distinct states"]) > 1000


@pytest.mark.parametrize(
    ("slice_", "tables", "field", "change"),
    [
        pytest.param(CALM, LOCK_FIRST, "lrm", ("wait.arming", "wait.asked"), id="takes the lock before it arms"),
        pytest.param(
            BY_NAME["update"], NO_FREEZE, "lrm", ("active.working", "active.leaving"), id="leaves without an answer"
        ),
        pytest.param(
            BY_NAME["update"],
            BOAST,
            "mode",
            ("restart", "active"),
            id="says active before it is guarded",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_step_that_is_not_told_is_shown(
    slice_: Slice, tables: Mapping[str, Table], field: str, change: tuple[str, str]
) -> None:
    check = refines(slice_, lambda: {**TABLES, **tables})
    assert check.verdict is Verdict.SAFETY
    (story,) = check.stories
    assert story.property == "Steps"
    assert tuple(text.split('"')[1] for text in story.steps[-1].changes[field]) == change
