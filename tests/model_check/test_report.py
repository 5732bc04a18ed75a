"""Reports say what checks found: to people, to programs, to those who build."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest

from hacore.drawing.dot import pictures
from hacore.drawing.render import svg
from hacore.protocol.table import ALWAYS, Row, State, Table
from hacore.protocol.tables import TABLES
from model_check.outcome import Check, Step, Story, Verdict, worst
from model_check.report import as_github, as_json, as_junit, figure, line, problem_text, where
from model_check.report_html import as_html
from model_check.report_pictures import Drawings

ROOT = Path(__file__).parents[2]

STEPS = (
    Step(1, "world.restart_asked(n=0)", "", {"want[0]": ("run", "<restart>")}),
    Step(2, "world.crash(n=1)", "", {"lrm[1]": ("active", "wait_for_agent_lock"), "armed[1]": ("True", "False")}),
    Step(
        3,
        "crm.master.write service.started.lost(m=0)",
        "crm.master.write",
        {"state[0]": ("started", "fence"), "crm[0]": ("master.writing", "master.written")},
    ),
    Step(
        4,
        "lrm.active.leave_frozen(n=0)",
        "lrm.active.leave_frozen",
        {"lrm[0]": ("active.working", "active.leaving")},
    ),
    Step(5, "lrm.wait.quit(n=1)", "lrm.wait.quit", {"lrm[1]": ("wait_for_agent_lock", "exited")}),
)
CYCLE = (Step(6, "stutter", "service.fence.wait", {}), Step(7, "tick", "", {"lease[0]": ("2", "1")}))

GOOD = Check(
    "explore",
    "failover",
    "A <node> fails.",
    Verdict.PASSED,
    2.1,
    {"distinct states": 1234567, "depth": 61, "rows": "172 of 180"},
    fired={"lrm.wait.ask": 3, "lrm.wait.quit": 1200, "crm.wait.fit": 1, "lrm.wait.forgotten": 1},
)
BAD = Check(
    "explore",
    "update",
    "An LRM restarts.",
    Verdict.SAFETY,
    1.0,
    {"distinct states": 5, "nodes": 1},
    "SafeDisarm does not hold",
    (Story("SafeDisarm", "No watchdog, no work & no % surprises.", STEPS),),
    {"lrm.wait.ask": 4},
)
LASSO = Check("live", "fence", "", Verdict.LIVENESS, 0, stories=(Story("Recovers", "", STEPS[:1], CYCLE),))
BROKEN = Check("tlc", "new (50 %)", "Counted twice.", Verdict.BROKEN, 0.5, problem="no Java\n\x1b[31mat all")
NAMED = Check("lint", "tables", "", Verdict.SAFETY, 0, problem="lrm: lrm.wait.quit: shadowed: it never fires")
ALL = (GOOD, BAD, LASSO, BROKEN, NAMED)


@pytest.fixture(scope="module")
def drawings() -> Drawings:
    return {name: [svg(source) for source in pictures(TABLES[name]).values()] for name in ("lrm", "crm", "service")}


@pytest.fixture(scope="module")
def page(drawings: Drawings) -> Page:
    return Page(as_html(ALL, {"this run": {"level": "quick", "lock_ttl_s": 120}}, drawings))


class Page(HTMLParser):
    """What a browser would find in a page: elements with their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source, self.elements, self.text = text, list[tuple[str, dict[str, str]]](), ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def having(self, attribute: str) -> list[str]:
        return [attrs[attribute] for _, attrs in self.elements if attribute in attrs]

    def steps(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.having("data-step")]


# ------------------------------------------------------------------------------------------------------------ text


def test_the_worst_verdict_is_what_counts() -> None:
    assert worst([]) is worst([GOOD]) is Verdict.PASSED
    assert worst([GOOD, BROKEN]) is Verdict.BROKEN
    assert worst([BROKEN, BAD, GOOD]) is Verdict.SAFETY


def test_lines_stand_below_each_other() -> None:
    assert [line(check) for check in (GOOD, BAD, BROKEN)] == [
        "ok      explore  failover        1,234,567 distinct states, depth 61, 172 of 180 rows    2.1 s",
        "FAILED  explore  update          5 distinct states, 1 node                               1.0 s",
        "BROKEN  tlc      new (50 %)                                                              0.5 s",
    ]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("nodes", 2, "2 nodes"),
        ("properties", 1, "1 property"),
        ("lock_ttl_s", 1, "lock_ttl_s 1"),
        ("ratio", 0.25, "ratio 0.25"),
        ("states/s", 1234567.0, "1,234,567 states/s"),
        ("engine", "c", "engine c"),
    ],
)
def test_a_plural_is_counted(name: str, value: int | float | str, shown: str) -> None:
    assert figure(name, value) == shown


def test_a_line_is_one_line() -> None:
    assert "\n" not in line(replace(BROKEN, name="a\nb", figures={"engine": "c\r\nc"}))


def test_a_problem_is_told_as_numbered_rows() -> None:
    assert problem_text(BAD) == (
        "FAILED explore update: safety\n"
        "  SafeDisarm does not hold\n"
        "\n"
        "  SafeDisarm is broken: No watchdog, no work & no % surprises.\n"
        "      1  world.restart_asked(n=0)                    want[0]: run -> <restart>\n"
        "      2  world.crash(n=1)                            lrm[1]: active -> wait_for_agent_lock\n"
        "                                                     armed[1]: True -> False\n"
        "      3  crm.master.write service.started.lost(m=0)  state[0]: started -> fence\n"
        "                                                     crm[0]: master.writing -> master.written\n"
        "      4  lrm.active.leave_frozen(n=0)                lrm[0]: active.working -> active.leaving\n"
        "      5  lrm.wait.quit(n=1)                          lrm[1]: wait_for_agent_lock -> exited"
    )


def test_a_cycle_is_marked() -> None:
    assert problem_text(LASSO) == (
        "FAILED live fence: liveness\n"
        "\n"
        "  Recovers is broken\n"
        "      1  world.restart_asked(n=0)    want[0]: run -> <restart>\n"
        "  and from there on these, over and over:\n"
        "  |   6  service.fence.wait stutter  nothing changes\n"
        "  |   7  tick                        lease[0]: 2 -> 1"
    )


def test_where_nothing_is_wrong_nothing_is_told() -> None:
    assert problem_text(GOOD) == ""


# ---------------------------------------------------------------------------------------------------- for programs


def test_json_holds_everything_and_only_what_json_can_say() -> None:
    written = as_json(ALL, {"this run": {"level": "quick"}})
    assert json.loads(json.dumps(written)) == written
    assert list(written) == ["schema", "verdict", "exit", "seconds", "about", "checks"]
    assert (written["schema"], written["verdict"], written["exit"]) == (1, "safety", 12)
    assert written["about"] == {"this run": {"level": "quick"}}


def test_the_form_of_the_json_is_stable() -> None:
    """Who changes this changes the schema's number."""
    story = Story("P", "S.", (Step(1, "world.x", "", {"f[0]": ("a", "b")}),), (Step(2, "t.r(n=0)", "t.r", {}),))
    check = Check("g", "n", "s", Verdict.LIVENESS, 1.5, {"depth": 2}, "p", (story,), {"t.r": 3})
    assert as_json([check])["checks"] == [
        {
            "group": "g",
            "name": "n",
            "sentence": "s",
            "verdict": "liveness",
            "seconds": 1.5,
            "figures": {"depth": 2},
            "problem": "p",
            "stories": [
                {
                    "property": "P",
                    "sentence": "S.",
                    "steps": [{"number": 1, "name": "world.x", "row": "", "changes": {"f[0]": ["a", "b"]}}],
                    "cycle": [{"number": 2, "name": "t.r(n=0)", "row": "t.r", "changes": {}}],
                }
            ],
            "fired": {"t.r": 3},
            "seen": {},
        }
    ]


def test_junit_has_a_suite_for_each_group() -> None:
    root = fromstring(as_junit(ALL))
    assert [root.get(key) for key in ("tests", "failures", "errors")] == ["5", "3", "1"]
    suites = {suite.get("name"): [case.get("name") for case in suite.iter("testcase")] for suite in root}
    assert list(suites.items())[:2] == [("explore", ["failover", "update"]), ("live", ["fence"])]
    assert list(suites.items())[2:] == [("tlc", ["new (50 %)"]), ("lint", ["tables"])]
    messages = [failure.get("message") for failure in root.iter("failure")]
    assert messages == ["SafeDisarm does not hold", "Recovers is broken", NAMED.problem]
    assert next(root.iter("failure")).text == problem_text(BAD)
    assert next(root.iter("error")).get("type") == "broken"


def test_what_xml_cannot_say_is_replaced() -> None:
    (error,) = fromstring(as_junit([BROKEN])).iter("error")
    assert "no Java\n  \ufffd[31mat all" in (error.text or "")


# ---------------------------------------------------------------------------------------------------------- GitHub


def test_annotations_are_one_line_each_and_escaped() -> None:
    bad, lasso, broken, named = as_github(ALL)
    assert bad.startswith("::error title=explore update%3A SafeDisarm,file=hacore/protocol/lrm.py,line=")
    assert lasso.startswith("::error title=live fence%3A Recovers,file=hacore/protocol/service.py,line=")
    assert broken.startswith("::error title=tlc new (50 %25)%3A could not be carried out::BROKEN")
    assert named.startswith("::error title=lint tables%3A safety,file=hacore/protocol/lrm.py,line=")
    text = bad.partition("::error ")[2].partition("::")[2]
    assert "\n" not in text
    assert "no %25 surprises" in text
    assert text.replace("%0A", "\n").replace("%25", "%") == problem_text(BAD)


def test_several_stories_are_several_annotations() -> None:
    other = replace(BAD, stories=(*BAD.stories, Story("OneMaster", "At most one.", STEPS[:1])))
    first, second = as_github([other])
    assert "OneMaster" not in first
    assert "SafeDisarm is broken" not in second
    assert "OneMaster is broken%3A" not in second, "only properties escape colons"
    assert "file=" not in second


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_row_is_found_where_it_is_written(table: Table) -> None:
    for row in table.rows:
        found = where(row.id)
        assert found, row.id
        written = (ROOT / found[0]).read_text().splitlines()[found[1] - 1]
        assert f'"{row.id}"' in written or f'f"{table.name}.{{' in written
    assert where("lrm.nothing.of_the_kind") is where("") is where("json.dumps") is None


def test_a_row_whose_id_is_put_together_is_found_at_the_most_telling_place() -> None:
    found = where("lrm.maintenance.too_late")
    assert found
    assert '.too_late"' in (ROOT / found[0]).read_text().splitlines()[found[1] - 1]


# ------------------------------------------------------------------------------------------------------------ HTML


def test_the_page_needs_nothing_else(page: Page) -> None:
    assert all(link.startswith("#") for link in page.having("href"))
    assert not page.having("src")
    assert not page.having("xlink:href")
    assert not re.search(r"url\(|@import|https?://", page.source)


def test_ids_are_unique_and_links_lead_somewhere(page: Page) -> None:
    ids = page.having("id")
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in page.having("href")} <= set(ids)


def test_every_check_step_and_change_is_on_the_page(page: Page) -> None:
    for check in ALL:
        assert check.name in page.text
        assert check.sentence in page.text
        assert check.problem.replace("\x1b", "\ufffd") in page.text
        for step in (step for story in check.stories for step in (*story.steps, *story.cycle)):
            assert step.name in page.text
            for field, (old, new) in step.changes.items():
                assert f"{field}: {old} → {new}" in page.text
    assert "and from there on these, over and over:" in page.text
    assert "A <node> fails." not in page.source, "it is escaped"
    assert "→ <b>&lt;restart&gt;" in page.source


def test_the_summary_says_what_it_all_comes_to(page: Page) -> None:
    assert "4 of 5 checks failed: safety" in page.text
    assert "level quick, lock_ttl_s 120" in page.text
    assert "all of 1 checks passed" in as_html([GOOD])
    assert "<h2>What is wrong</h2>" not in as_html([GOOD])


def test_states_and_rows_that_steps_mention_are_in_the_diagrams(page: Page) -> None:
    ids = set(page.having("id"))
    for state in ("lrm.active/active.leaving", "lrm.wait_for_agent_lock/wait_for_agent_lock", "lrm/exited"):
        assert state in ids
    assert {"crm.master/master.written", "service.fence/fence"} <= ids
    states = set(page.having("data-state"))
    for scene in page.steps():
        assert {*scene["at"].values(), *scene["now"]} <= states
        assert scene["picture"] in ids
        assert not scene["link"] or scene["link"] in ids
    rows = [row for text in page.having("data-rows") for row in text.split()]
    for row in (row for scene in page.steps() for row in scene["rows"] if not row.startswith("world.")):
        assert rows.count(row) >= 2, "as an edge and as a label"


def test_each_step_shows_where_the_machines_are(page: Page) -> None:
    asked, crash, write, leave, quit_, *_ = page.steps()
    assert asked["picture"] == crash["picture"] == "lrm.wait_for_agent_lock"
    assert asked["at"] == {
        "crm[0]": "crm/master.writing",
        "lrm[0]": "lrm/active.working",
        "lrm[1]": "lrm/active",
        "state[0]": "service/started",
    }
    assert (asked["moved"], asked["link"]) == ([], "")
    assert (crash["moved"], crash["link"]) == (["lrm[1]"], "lrm.wait_for_agent_lock/wait_for_agent_lock")
    assert write["rows"] == ["crm.master.write", "service.started.lost"]
    assert write["link"] == "crm.master/master.writing/master.written"
    assert sorted(write["now"]) == ["crm/master.written", "service/fence"]
    assert leave["link"] == "lrm.active/active.working/active.leaving"
    assert quit_["at"]["lrm[1]"] == "lrm/exited"


def test_a_row_that_stays_is_shown_where_it_stays(page: Page) -> None:
    (stay,) = (scene for scene in page.steps() if scene["rows"] == ["service.fence.wait"])
    assert (stay["picture"], stay["now"], stay["moved"]) == ("service.fence", ["service/fence"], [])


def test_each_row_of_a_master_leads_to_its_own_edge(page: Page) -> None:
    links = page.having("href")
    assert "#crm.master/master.writing/master.written" in links
    assert "#service.started/started/fence" in links


def test_pictures_that_no_step_needs_are_left_out(page: Page) -> None:
    shown = {attrs["id"] for tag, attrs in page.elements if tag == "figure"}
    assert "lrm.active" in shown
    assert not {"lrm.maintenance", "crm", "service"} & shown


def test_coverage_is_that_of_all_checks_together(page: Page) -> None:
    assert f"2 of {len(TABLES['lrm'].rows)} rows fired" in page.text
    cells = r"<td><code>[^<]*</code></td>"
    assert re.search(rf'<code>lrm\.wait\.ask</code></td>{cells * 2}<td class="number">7</td>', page.source)
    assert re.search(rf'<code>lrm\.wait\.quit</code></td>{cells * 2}<td class="number">1,200</td>', page.source)
    never = [part for part in page.text.split("Never fired: ")[1:] if "lrm.active.renew," in part.splitlines()[0]]
    assert len(never) == 1
    assert "lrm.wait.ask," not in never[0].splitlines()[0]
    assert "Counted, but in none of these tables: lrm.wait.forgotten" in page.text
    assert page.text.count("None of these rows fired in any check.") == len(TABLES) - 2
    assert "<h2>Rows</h2>" not in as_html([BROKEN])


def test_without_diagrams_a_story_is_told_all_the_same() -> None:
    page = Page(as_html(ALL))
    assert "lrm.active.leave_frozen(n=0)" in page.text
    assert not page.having("data-state")
    assert "<h2>Diagrams</h2>" not in page.source
    ids = set(page.having("id"))
    assert {link.removeprefix("#") for link in page.having("href")} <= ids


def test_tables_of_your_own_are_shown() -> None:
    room = Table(
        "room",
        "A room.",
        (State("shut", "It is <shut>."), State("gone", "Gone.", final=True)),
        (Row("room.shut.go", "shut", ALWAYS, "gone"),),
    )
    steps = (Step(1, "room.shut.go(n=0)", "room.shut.go", {"room[0]": ("shut", "gone")}),)
    check = replace(BAD, stories=(Story("Stays", "", steps),), fired={})
    drawn = {"room": [svg(source) for source in pictures(room).values()]}
    page = Page(as_html([check], None, drawn, {"room": room}))
    assert {"room/shut", "room/gone", "room/shut/gone"} <= set(page.having("id"))
    assert "shut: It is <shut>." in page.text


def test_the_script_finds_what_it_looks_for(page: Page) -> None:
    script = (ROOT / "model_check/report.js").read_text()
    classes = {name for text in page.having("class") for name in text.split()}
    wanted = set(re.findall(r'(?:"|"\.pane )\.([a-z]+)"', script))
    assert {"story", "step", "run", "caption", "machines", "scroll"} <= wanted
    assert wanted - {"fired", "now", "here"} <= classes
    for name in re.findall(r"dataset\.(\w+)", script):
        assert page.having(f"data-{name}"), name
    for name in re.findall(r"scene\.(\w+)", script):
        assert name in page.steps()[0]
