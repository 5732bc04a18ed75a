"""The specification for people holds what it promises, needs each of its precautions, and takes no step but by rows."""

import re
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from hacore.protocol.table import ALWAYS, Action, Checker, Fact, Row, Site, State, Table
from hacore.protocol.tables import TABLES
from model_check import tables_tla
from model_check.tlc import Answer, Verdict, run

SPEC = Path(__file__).parents[2] / "spec"
CONFIGS = sorted(SPEC.glob("MC*.cfg"))
SHORT = {"MCShortLock", "MCOldStatus"}
"""The others take TLC longer; ``hacore check`` runs them all."""
BY_COVERAGE = "MCUpdate"
"""In this run every step of the specification is taken."""


def promise_broken(config: Path) -> str:
    """The promise that must not hold in this configuration, as its first line says; "" if all must hold."""
    first = config.read_text().partition("\n")[0]
    return first.removeprefix("\\* Must fail: ") if "Must fail: " in first else ""


def constants(config: Path) -> dict[str, str]:
    return dict(re.findall(r"^  (\w+) = (.*)$", config.read_text(), re.MULTILINE))


GOOD = [config for config in CONFIGS if not promise_broken(config)]
BAD = [config for config in CONFIGS if promise_broken(config)]


def parameters(configs: list[Path]) -> list[object]:
    return [
        pytest.param(config, id=config.stem, marks=[pytest.mark.slow] if config.stem not in SHORT else [])
        for config in configs
    ]


@cache
def checked(config: Path) -> Answer:
    return run(SPEC / "MC.tla", config, coverage=config.stem == BY_COVERAGE, brief=config.stem != "MCAll")


@pytest.mark.parametrize("config", parameters(GOOD))
def test_all_promises_are_kept(config: Path) -> None:
    answer = checked(config)
    assert (answer.verdict, answer.violated) == (Verdict.OK, "")


@pytest.mark.parametrize("config", parameters(BAD))
def test_without_one_precaution_a_promise_is_broken(config: Path) -> None:
    answer = checked(config)
    assert answer.violated == promise_broken(config)
    if answer.verdict is Verdict.SAFETY:
        assert "{n1, n2}" in answer.trace[-1].state["runs"]
    else:
        assert answer.verdict is Verdict.LIVENESS


def test_each_precaution_is_taken_away_once() -> None:
    missing = [name for config in BAD for name, value in constants(config).items() if value == "FALSE"]
    short = [config.stem for config in BAD if not is_safe(config)]
    declared = (SPEC / "HACluster.tla").read_text().partition("Each of these is TRUE")[2].partition("VARIABLES")[0]
    precautions = re.findall(r"^  (\w+)", declared, re.MULTILINE)
    assert len(precautions) == 6
    assert sorted(name for name in missing if name != "Operated") == sorted(precautions)
    assert short == ["MCShortLock"]
    assert [config.stem for config in GOOD if not is_safe(config)] == []
    assert {constants(config)[name] for config in GOOD for name in precautions} == {"TRUE"}


def is_safe(config: Path) -> bool:
    watchdog, reset, lock = (int(constants(config)[name]) for name in "WRL")
    return lock >= watchdog + reset


@pytest.mark.slow
def test_every_step_is_taken() -> None:
    taken = checked(SPEC / f"{BY_COVERAGE}.cfg").taken
    assert {"Tick", "Feed", "TakeAgentLock"} < set(taken)
    assert [action for action, times in taken.items() if not times] == []


# ---------------------------------------------------------------------------------------------------- the tables


def test_the_tables_are_fresh() -> None:
    assert not tables_tla.stale(SPEC), "run model_check.tables_tla.write"


def test_the_rows_that_the_specification_names_exist() -> None:
    named = re.findall(r"\b(?:lrm|crm|service|node)\.[a-z_]+\.[a-z_]+\b", (SPEC / "HACluster.tla").read_text())
    assert len(named) > 50
    assert set(named) - {row.id for table in TABLES.values() for row in table.rows} == set()


@pytest.mark.parametrize(
    ("row", "promise"),
    [("service.fence.fenced", "ServiceStepsAreRows"), ("lrm.wait.granted", "LrmStepsAreRows")],
)
def test_steps_are_held_against_rows(tmp_path: Path, row: str, promise: str) -> None:
    for module in SPEC.glob("*.tla"):
        shutil.copy(module, tmp_path)
    (tmp_path / tables_tla.NAME).write_text(tables_tla.text(without(row)))
    answer = run(tmp_path / "MC.tla", SPEC / f"{BY_COVERAGE}.cfg", brief=True)
    assert answer.violated == promise


def without(row_id: str) -> list[Table]:
    """The tables, but the state that the row leaves stays as it is where the row would have fired."""
    (name, *_) = row_id.split(".")
    row = TABLES[name].by_id[row_id]
    rows = tuple(replace(row, target=row.state) if each is row else each for each in TABLES[name].rows)
    return [*(table for table in TABLES.values() if table.name != name), replace(TABLES[name], rows=rows)]


HOT = Fact("HOT", Checker.DEVICE, "It is hot.")
OPEN = Action("OPEN", Site.DEVICE, "Open the window.")
COUNT = Action("COUNT", Site.LOCAL, "Count once more.")
ROOM = Table(
    "room",
    "A room with a window.",
    (State("shut", "Shut."), State("shut.opening", "About to open.", "shut"), State("open", "Open.", final=True)),
    (
        Row("room.shut.hot", "shut", HOT, "shut.opening", do=(COUNT,)),
        Row("room.shut.stay", "shut", ALWAYS, "shut", ends_round=True),
        Row("room.opening.open", "shut.opening", ALWAYS, "open", do=(COUNT, OPEN)),
    ),
)


def test_a_table_as_data() -> None:
    _, body = tables_tla.text([ROOM]).split("*)\n\n")
    assert (
        body
        == """\
RoomWithin == [
  shut |-> {"shut", "shut.opening"},
  open |-> {"open"}]
RoomStates == UNION {RoomWithin[shown] : shown \\in DOMAIN RoomWithin}
RoomRows == {
  <<"room.shut.hot", "shut", "shut.opening", "">>,
  <<"room.shut.stay", "shut", "shut", "">>,
  <<"room.opening.open", "shut.opening", "open", "OPEN">>}

"""
        + "=" * tables_tla.WIDTH
        + "\n"
    )


def test_a_missing_or_changed_module_is_stale(tmp_path: Path) -> None:
    assert tables_tla.stale(tmp_path)
    written = tables_tla.write(tmp_path)
    assert written == tmp_path / "Tables.tla"
    assert not tables_tla.stale(tmp_path)
    written.write_text(written.read_text().replace("lrm.wait.arm", "lrm.wait.army"))
    assert tables_tla.stale(tmp_path)
