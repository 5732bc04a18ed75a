"""The pictures in diagrams/ are of the tables as they are, and show every row."""

import importlib
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from hacore.drawing import dot, markdown, render
from hacore.protocol.table import ALWAYS, Action, Checker, Fact, Row, Site, State, Table
from hacore.protocol.tables import TABLES

ROOT = Path(__file__).parents[1]
ALL = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)

HOT = Fact("HOT", Checker.DEVICE, "It is hot.")
RAIN = Fact("RAIN", Checker.READ, "It rains.")
OPEN = Action("OPEN", Site.DEVICE, "Open the window.")
SLAM = Action("SLAM", Site.DEVICE, "Slam the window.")
ROOM = Table(
    "room",
    "A room with a window.",
    (
        State("shut", "The window is shut."),
        State("opening", "About to open it.", "shut"),
        State("open", "It is open."),
        State("gone", "The house is gone.", final=True),
    ),
    (
        Row("room.shut.hot", "shut", HOT & ~RAIN, "opening"),
        Row("room.shut.air", "shut", HOT | RAIN, "opening", why="air is needed"),
        Row("room.shut.stay", "shut", ALWAYS, "shut", ends_round=True),
        Row("room.opening.open", "opening", ALWAYS, "open", do=(OPEN,)),
        Row("room.open.burn", "open", HOT & RAIN, "gone"),
        Row("room.open.stay", "open", ALWAYS, "open", ends_round=True),
    ),
)


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A directory with everything about one small table."""
    render.generate([ROOM], tmp_path)
    return tmp_path


def changed(table: Table, number: int, **fields: object) -> Table:
    rows = list(table.rows)
    rows[number] = replace(rows[number], **fields)  # type: ignore[arg-type]
    return replace(table, rows=tuple(rows))


# ------------------------------------------------------------------------------------------------------- freshness


def test_the_diagrams_are_fresh() -> None:
    assert render.stale(TABLES.values(), ROOT / "diagrams") == [], "run hacore diagram"


def test_what_was_just_drawn_is_fresh(drawn: Path) -> None:
    assert {path.name for path in drawn.iterdir()} == {"README.md", "room.dot", "room.md", "room.svg"}
    assert render.stale([ROOM], drawn) == []
    assert render.generate([ROOM], drawn) == []


def test_an_empty_directory_lacks_everything(tmp_path: Path) -> None:
    lacking = ["README.md: missing", "room.dot: missing", "room.md: missing", "room.svg: missing"]
    assert render.stale([ROOM], tmp_path / "new") == lacking
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["README.md", "room.dot", "room.md", "room.svg"])
def test_a_missing_file_is_found_and_made(drawn: Path, name: str) -> None:
    (drawn / name).unlink()
    assert render.stale([ROOM], drawn) == [f"{name}: missing"]
    assert render.generate([ROOM], drawn) == [drawn / name]
    assert render.stale([ROOM], drawn) == []


def test_files_of_a_changed_table_are_stale(drawn: Path) -> None:
    other = changed(ROOM, 4, guard=HOT | RAIN)
    assert render.stale([other], drawn) == ["room.dot: stale", "room.md: stale", "room.svg: stale"]
    assert render.generate([other], drawn) == [drawn / name for name in ("room.dot", "room.md", "room.svg")]
    assert render.stale([other], drawn) == []


def test_a_picture_of_other_source_is_stale_however_it_came_about(drawn: Path) -> None:
    (drawn / "room.svg").write_text(render.svg("digraph { shut -> open }"))
    assert render.stale([ROOM], drawn) == ["room.svg: stale"]


def test_a_picture_by_another_renderer_is_fresh(drawn: Path) -> None:
    text = (drawn / "room.svg").read_text()
    (drawn / "room.svg").write_text(text.replace("<polygon", '<polygon class="other"'))
    assert render.stale([ROOM], drawn) == []


def test_what_is_left_over_is_found_and_removed(drawn: Path) -> None:
    house = replace(ROOM, name="house", rows=tuple(replace(row, id=f"house.{row.id}") for row in ROOM.rows))
    render.generate([ROOM, house], drawn)
    assert render.stale([ROOM], drawn) == [
        "README.md: stale",
        "house.dot: left over",
        "house.md: left over",
        "house.svg: left over",
    ]
    render.generate([ROOM], drawn)
    assert render.stale([ROOM], drawn) == []
    assert not list(drawn.glob("house.*"))


def test_what_somebody_else_put_there_is_left_alone(drawn: Path) -> None:
    (drawn / "notes.md").write_text("About the pictures.")
    (drawn / "photo.svg").write_bytes(b"\xff\xfe")
    assert render.stale([ROOM], drawn) == []
    assert render.generate([ROOM], drawn) == []
    assert (drawn / "notes.md").exists()


# ------------------------------------------------------------------------------------------------ what is in them


@ALL
def test_every_row_is_in_a_picture_and_on_the_page(table: Table) -> None:
    sources, page = "\n".join(dot.pictures(table).values()), markdown.page(table)
    for row in table.rows:
        assert f"{row.id}: " in sources
        assert f"<b>{table.by_state[row.state].index(row) + 1}  {dot.short(table, row)}</b>" in sources
        assert f"| `{row.id}` |" in page
        assert row.why in page
    words: list[State | Fact | Action] = [*table.states, *table.facts, *table.actions]
    assert [word.name for word in words if word.sentence not in page] == []


@pytest.mark.parametrize("table", [ROOM, *TABLES.values()], ids=["room", *TABLES])
def test_a_change_of_a_row_changes_a_picture(table: Table) -> None:
    table = replace(table, states=(*table.states, State("elsewhere", "Elsewhere.", final=True)))
    pictures, page = dot.pictures(table), markdown.page(table)
    for number, row in list(enumerate(table.rows))[:: len(table.rows) // 5]:
        changes: list[dict[str, object]] = [
            {"id": f"{row.id}_"},
            {"target": "elsewhere"},
            {"ends_round": not row.ends_round},
            {"guard": HOT & row.guard} if row.guard is not ALWAYS else {"do": (SLAM,), "given": ()},
        ]
        for change in changes:
            assert dot.pictures(changed(table, number, **change)) != pictures, (row.id, change)
        assert markdown.page(changed(table, number, why=f"{row.why}!")) != page


def test_rows_in_another_order_are_another_picture() -> None:
    first, second, *rest = ROOM.rows
    assert dot.pictures(replace(ROOM, rows=(second, first, *rest))) != dot.pictures(ROOM)


def test_signs_of_a_picture() -> None:
    (source,) = dot.pictures(ROOM).values()
    lines = [line.strip() for line in source.splitlines()]
    assert "start -> shut" in lines
    assert "subgraph cluster_shut {" in lines
    (gone,) = (line for line in lines if line.startswith("gone ["))
    assert "peripheries=2" in gone
    (merged,) = (line for line in lines if line.startswith("shut -> opening"))
    assert "1  shut.hot" in merged
    assert "2  shut.air" in merged
    (loop,) = (line for line in lines if line.startswith("open -> open"))
    assert "style=dashed" in loop
    (effect,) = (line for line in lines if line.startswith("opening -> open"))
    assert dot.COLOURS[Site.DEVICE] in effect
    assert "! OPEN" in effect


@pytest.mark.parametrize(
    ("do", "kind"),
    [((), dot.DECISION), ((Action("NOTE", Site.LOCAL, ""),), Site.LOCAL), ((OPEN,), Site.DEVICE)],
)
def test_the_kind_of_a_row_follows_from_what_it_does(do: tuple[Action, ...], kind: str) -> None:
    assert dot.kind(Row("room.x", "shut", ALWAYS, "shut", do=do)) == kind


def test_a_large_table_is_an_overview_and_details(tmp_path: Path) -> None:
    more = tuple(replace(ROOM.rows[0], id=f"room.shut.hot{number}") for number in range(dot.MOST_ROWS))
    large = replace(ROOM, rows=more + ROOM.rows)
    pictures = dot.pictures(large)
    assert list(pictures) == ["room", "room.shut", "room.open"]
    assert "shut.hot7" not in pictures["room"].replace("room.shut.hot7", "")
    assert '"opening to open" [label=open color="#777777"' in pictures["room.shut"]
    assert "entered by opening.open" in pictures["room.open"]
    render.generate([large], tmp_path)
    assert 'xlink:href="room.shut.svg"' in (tmp_path / "room.svg").read_text()


def test_a_bar_in_a_guard_does_not_end_its_cell() -> None:
    (line,) = (line for line in markdown.page(ROOM).splitlines() if "`room.shut.air`" in line)
    assert line == r"|  | 2 | `room.shut.air` | `HOT \| RAIN` | `opening` |  |  |  | air is needed |"


def test_assumptions_are_on_the_page() -> None:
    assert "- `~(HOT & RAIN)`" in markdown.page(replace(ROOM, assuming=(~(HOT & RAIN),)))


def test_the_text_does_not_depend_on_the_order_of_sets() -> None:
    script = """
from hacore.drawing.render import texts
from hacore.protocol.tables import TABLES
print(texts(TABLES.values()))
"""
    runs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


# ------------------------------------------------------------------------------------------------------- rendering


def texts_of(svg: str) -> Iterator[str]:
    return (
        part
        for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
        for part in text.itertext()
    )


def test_the_committed_pictures_show_each_row() -> None:
    for table in TABLES.values():
        shown = {text for name in dot.pictures(table) for text in texts_of((ROOT / f"diagrams/{name}.svg").read_text())}
        for row in table.rows:
            place = table.by_state[row.state].index(row) + 1
            assert f"{place}  {dot.short(table, row)}" in {text.replace("\xa0", " ") for text in shown}, row.id


def test_an_svg_names_its_source_and_not_its_renderer(drawn: Path) -> None:
    svg = (drawn / "room.svg").read_text()
    assert svg.startswith("<!-- Generated from hacore/protocol")
    assert "raphviz" not in svg
    assert "HOT | RAIN" in set(texts_of(svg))


def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_path: list[str], beside: list[str]) -> None:
    for directory, names in (("path", on_path), ("scripts", beside)):
        (tmp_path / directory).mkdir()
        for name in names:
            (tmp_path / directory / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path / "scripts"))


@pytest.mark.parametrize(
    ("on_path", "beside", "taken"),
    [
        (["dot", "graphviz-pure"], ["graphviz-pure"], "path/dot"),
        (["graphviz-pure"], ["graphviz-pure"], "path/graphviz-pure"),
        ([], ["graphviz-pure"], "scripts/graphviz-pure"),
    ],
)
def test_the_renderer_is_debians_or_pips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_path: list[str], beside: list[str], taken: str
) -> None:
    programs(tmp_path, monkeypatch, on_path, beside)
    assert render.renderer() == str(tmp_path / taken)


def test_without_a_renderer_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch, [], [])
    with pytest.raises(render.NoRendererError, match=r"pip install hacore\[diagrams\]"):
        render.generate([ROOM], tmp_path / "out")


# ----------------------------------------------------------------------------------------------------- the command

command = importlib.import_module("hacore.cli.diagram")
"""The module: the package may hold its command under the same name."""


def test_the_command_draws_and_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "TABLES", {"room": ROOM})
    run = CliRunner()
    where = ["--output", str(tmp_path)]
    assert run.invoke(command.diagram, ["--check", *where]).exit_code == 1
    first = run.invoke(command.diagram, where)
    assert (first.exit_code, len(first.output.splitlines())) == (0, 4)
    assert run.invoke(command.diagram, where).output == "all fresh\n"
    assert run.invoke(command.diagram, ["--check", *where]).exit_code == 0
    (tmp_path / "room.md").unlink()
    check = run.invoke(command.diagram, ["--check", "--json", *where])
    assert (check.exit_code, json.loads(check.output)) == (1, {"stale": ["room.md: missing"]})
    assert not (tmp_path / "room.md").exists()
    again = run.invoke(command.diagram, ["--json", *where])
    assert json.loads(again.output) == {"changed": [str(tmp_path / "room.md")]}


def test_the_command_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = ["--output", str(tmp_path / "out")]
    with monkeypatch.context() as without:
        programs(tmp_path, without, [], [])
        result = CliRunner().invoke(command.diagram, where)
    assert result.exit_code == 1
    assert "pip install hacore[diagrams]" in result.output
    monkeypatch.setitem(sys.modules, "graphviz", None)
    for name in ("dot", "markdown", "render"):
        monkeypatch.delitem(sys.modules, f"hacore.drawing.{name}")
    result = CliRunner().invoke(command.diagram, where)
    assert (result.exit_code, result.output) == (
        1,
        "Error: graphviz is not installed: pip install hacore[diagrams]\n",
    )
