"""Reports say what checks found: to people, to programs, to those who build."""

from __future__ import annotations

import json
import re
from xml.etree.ElementTree import fromstring

from hacore.drawing.dot import pictures
from hacore.drawing.render import svg
from hacore.protocol.lrm import LRM
from model_check.outcome import Check, Step, Story, Verdict, worst
from model_check.report import as_github, as_json, as_junit, line, problem_text
from model_check.report_html import as_html

STEPS = (
    Step(1, "world.restart_asked(n=0)", "", {"want[0]": ("run", "restart")}),
    Step(
        2, "lrm.active.leave_frozen(n=0)", "lrm.active.leave_frozen", {"lrm[0]": ("active.working", "active.leaving")}
    ),
)
GOOD = Check(
    "explore",
    "failover",
    "A <node> fails.",
    Verdict.PASSED,
    2.1,
    {"distinct states": 1234567},
    fired={"lrm.wait.ask": 3},
)
BAD = Check(
    "explore",
    "update",
    "An LRM restarts.",
    Verdict.SAFETY,
    1.0,
    {"distinct states": 5},
    "SafeDisarm does not hold",
    (Story("SafeDisarm", "No watchdog, no work & no % surprises.", STEPS),),
)
BROKEN = Check("tlc", "new", "Counted twice.", Verdict.BROKEN, 0.5, problem="no Java")


def test_the_worst_verdict_is_what_counts() -> None:
    assert worst([]) is worst([GOOD]) is Verdict.PASSED
    assert worst([GOOD, BROKEN]) is Verdict.BROKEN
    assert worst([BROKEN, BAD, GOOD]) is Verdict.SAFETY


def test_a_line_has_the_verdict_and_the_figures() -> None:
    assert re.match(r"ok +explore +failover +1,234,567 distinct states +2\.1 s", line(GOOD))
    assert line(BAD).startswith("FAILED")
    assert line(BROKEN).startswith("BROKEN")


def test_a_problem_is_told_as_numbered_rows() -> None:
    text = problem_text(BAD)
    assert "No watchdog, no work" in text
    assert re.search(r"2 +lrm\.active\.leave_frozen.*active\.working -> active\.leaving", text)


def test_json_holds_everything() -> None:
    written = json.loads(json.dumps(as_json([GOOD, BAD])))
    assert written["verdict"] == "safety"
    assert [check["name"] for check in written["checks"]] == ["failover", "update"]
    assert "active.leaving" in json.dumps(written)


def test_junit_counts_failures_and_errors() -> None:
    root = fromstring(as_junit([GOOD, BAD, BROKEN]))
    assert len(list(root.iter("failure"))) == 1
    assert len(list(root.iter("error"))) == 1
    assert len(list(root.iter("testcase"))) == 3


def test_annotations_are_one_line_each_and_escaped() -> None:
    found = as_github([GOOD, BAD, BROKEN])
    assert found
    assert all(text.startswith("::") and "\n" not in text for text in found)
    assert not any("no % surprises" in text for text in found), "a percent sign is escaped"


def test_the_page_needs_nothing_else_and_shows_the_run_beside_the_diagram() -> None:
    drawn = {"lrm": [svg(source) for source in pictures(LRM).values()]}
    page = as_html([GOOD, BAD], {"this run": {"level": "quick"}}, drawn)
    assert not re.search(r"""(src|href)=["']https?:""", page)
    assert "A &lt;node&gt; fails." in page
    assert "A <node> fails." not in page
    assert 'data-from="active.working" data-state="active.leaving"' in page
    titles = set(re.findall(r"<title>([^<]*)</title>", page))
    assert {state.name for state in LRM.states if state.shown == "active"} <= titles
    assert "want[0]: run → restart" in page
    assert re.search(r"lrm\.wait\.ask</code><td class=\"number\">3", page)
