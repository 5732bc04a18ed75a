"""What came of checks, as one page that needs nothing else: verdicts, figures, coverage, and runs beside diagrams.

The page is built from elements, never from pieces of text, so whatever a check says is escaped. Without scripts it says
the same: each step leads to its place in the diagrams at the end. With them, the diagram stands beside the steps, and
follows whoever clicks or uses the arrow keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import TypeAlias
from xml.etree.ElementTree import Element, SubElement, tostring

from hacore.protocol.table import ALWAYS, Table
from hacore.protocol.tables import TABLES
from model_check.outcome import Check, Step, Story, Verdict, worst
from model_check.report import (
    AGAIN,
    KINDS,
    ROW_ID,
    WORDS,
    About,
    broken,
    by_group,
    clean,
    figures,
    number,
    title,
)
from model_check.report_pictures import Drawings, Pictures, Scene, scenes

Content: TypeAlias = Element | str


def as_html(
    checks: Iterable[Check],
    about: About | None = None,
    drawings: Drawings | None = None,
    tables: Mapping[str, Table] = TABLES,
    runs: Mapping[str, int] | None = None,
) -> str:
    """The whole page. Of the ``drawings`` those are shown that stories need; without any, stories are only told.

    ``runs``: how often each row fired in simulated runs.
    """
    checks = tuple(checks)
    pictures = Pictures(tables, drawings or {})
    style, script = (files("model_check").joinpath(name).read_text() for name in ("report.css", "report.js"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"hacore check: {_verdict(checks)}"),
        tag("style", style),
    )
    main = tag("main", *_summary(checks, about or {}), *_checks(checks))
    main.extend(_problems(checks, pictures))
    main.extend(_coverage(checks, tables))
    if runs is not None:
        main.extend(_seen_in_runs(checks, tables, runs))
    main.extend(_diagrams(pictures))
    page = tag("html", head, tag("body", main, tag("script", script)), lang="en")
    return f"<!doctype html>\n{tostring(page, 'unicode', method='html')}\n"


def tag(name: str, /, *content: Content, **attributes: str) -> Element:
    """An element: ``class_`` is the attribute class, ``data_x`` is data-x. Blocks end their lines."""
    element = Element(name, {key.rstrip("_").replace("_", "-"): clean(value) for key, value in attributes.items()})
    last: Element | None = None
    for each in content:
        if isinstance(each, Element):
            element.append(each)
            last = each
        elif last is None:
            element.text = (element.text or "") + clean(each)
        else:
            last.tail = (last.tail or "") + clean(each)
    if name in {"tr", "li", "p", "section", "table", "tbody", "figure"}:
        element.tail = "\n"
    return element


def code(*content: Content) -> Element:
    return tag("code", *content)


def _anchor(*parts: object) -> str:
    """An id, of signs that mean nothing else in an address."""
    return re.sub(r"[^\w./()=,-]+", "_", "/".join(map(str, parts)))


def _class(verdict: Verdict) -> str:
    return f"verdict {verdict.name.lower()}"


# ---------------------------------------------------------------------------------------------------------- checks


def _verdict(checks: Sequence[Check]) -> str:
    failed = [check for check in checks if check.verdict is not Verdict.PASSED]
    if not failed:
        return f"all of {len(checks)} checks passed"
    return f"{len(failed)} of {len(checks)} checks failed: {KINDS[worst(checks)]}"


def _summary(checks: Sequence[Check], about: About) -> Iterator[Element]:
    yield tag("h1", "hacore check")
    yield tag("p", _verdict(checks), class_=f"summary {_class(worst(checks))}")
    entries = {name: ", ".join(f"{key} {number(value)}" for key, value in of.items()) for name, of in about.items()}
    entries["time"] = f"{sum(check.seconds for check in checks):,.1f} s"
    pairs = (each for name, text in entries.items() for each in (tag("dt", name), tag("dd", text)))
    yield tag("dl", *pairs, class_="about")


def _checks(checks: Sequence[Check]) -> Iterator[Element]:
    heads = (tag("th", text, scope="col") for text in ("", "check", "figures", "time"))
    bodies = (
        tag(
            "tbody",
            tag("tr", tag("th", group, colspan="4", scope="rowgroup")),
            *(_check(check) for check in members),
        )
        for group, members in by_group(checks).items()
    )
    yield tag("h2", "Checks")
    yield tag("table", tag("thead", tag("tr", *heads)), *bodies, class_="checks")


def _check(check: Check) -> Element:
    word: Content = WORDS[check.verdict]
    if check.verdict is not Verdict.PASSED:
        word = tag("a", word, href=f"#{_anchor('problem', check.group, check.name)}")
    return tag(
        "tr",
        tag("td", word, class_=_class(check.verdict)),
        tag("td", tag("b", check.name), tag("p", check.sentence)),
        tag("td", tag("ul", *(tag("li", text) for text in figures(check)), class_="figures")),
        tag("td", f"{check.seconds:,.1f} s", class_="number"),
        id=_anchor("check", check.group, check.name),
    )


# ------------------------------------------------------------------------------------------------------- what is wrong


def _problems(checks: Sequence[Check], pictures: Pictures) -> Iterator[Element]:
    wrong = [check for check in checks if check.verdict is not Verdict.PASSED]
    if wrong:
        yield tag("h2", "What is wrong")
    for check in wrong:
        where = _anchor("problem", check.group, check.name)
        section = tag("section", tag("h3", f"{check.group} {check.name}"), tag("p", check.sentence), id=where)
        if check.problem:
            section.append(tag("pre", check.problem))
        for place, story in enumerate(check.stories, 1):
            section.extend(_story(story, _anchor(where, place), pictures))
        yield section


def _story(story: Story, where: str, pictures: Pictures) -> Iterator[Element]:
    told = zip((*story.steps, *story.cycle), scenes(story, pictures), strict=True)
    items = [_step(step, scene, where, pictures) for step, scene in told]
    many = len(story.steps)
    run = tag("div", tag("ol", *items[:many]), class_="run")
    if story.cycle:
        run.extend((tag("p", AGAIN), tag("ol", *items[many:], class_="cycle")))
    pane = tag("aside", tag("p", class_="caption", aria_live="polite"), tag("ul", class_="machines"), class_="pane")
    SubElement(pane, "div", {"class": "scroll"})
    pane.set("aria-label", "The diagram at this step")
    yield tag("h4", broken(story))
    yield tag("div", run, pane, class_="story", id=where, data_again=str(many if story.cycle else ""))


def _step(step: Step, scene: Scene, where: str, pictures: Pictures) -> Element:
    """A step: what happened, with links to its places in the diagrams, and what it changed."""
    row = pictures.row(step.row)
    changes = [
        tag("li", code(field), ": ", tag("span", old, class_="was"), " → ", tag("b", new))
        for field, (old, new) in step.changes.items()
    ]
    return tag(
        "li",
        code(*_linked(step, scene, pictures)),
        *([tag("p", str(row.guard))] if row and row.guard is not ALWAYS else []),
        tag("ul", *(changes or [tag("li", "nothing changes")])),
        class_="step",
        id=_anchor(where, step.number),
        value=str(step.number),
        data_step=json.dumps(asdict(scene)),
    )


def _linked(step: Step, scene: Scene, pictures: Pictures) -> Iterator[Content]:
    """A step's name: each row in it leads to its edge; without any, the name to the state that was entered."""
    links = {row: link for row in scene.rows if (link := pictures.of_row(row)[1])}
    if not links:
        yield tag("a", title(step), href=f"#{scene.link}") if scene.link else title(step)
        return
    for word in re.split(f"({ROW_ID})", title(step)):
        yield tag("a", word, href=f"#{links[word]}") if word in links else word


# -------------------------------------------------------------------------------------------------- rows, diagrams


def _coverage(checks: Sequence[Check], tables: Mapping[str, Table]) -> Iterator[Element]:
    """How often each row fired, all checks together, and which never did."""
    counting = [check for check in checks if check.fired]
    if not counting:
        return
    known = {row.id for table in tables.values() for row in table.rows}
    others = sorted({row for check in counting for row in check.fired if row not in known})
    names = ", ".join(f"{check.group} {check.name}" for check in counting)
    yield tag("h2", "Rows")
    yield tag("p", f"How often each row fired, in all checks that count it together: {names}.")
    yield tag("p", "Rows that change nothing that the model keeps track of are not counted.")
    for table in tables.values():
        yield _rows(table, counting)
    if others:
        yield tag("p", "Counted, but in none of these tables: ", *_listed(others), class_="never")


def _rows(table: Table, counting: Sequence[Check]) -> Element:
    times = {row.id: [check.fired[row.id] for check in counting if check.fired.get(row.id)] for row in table.rows}
    never = [row for row, counts in times.items() if not counts]
    section = tag("section", tag("h3", table.name), id=_anchor("rows", table.name))
    if len(never) == len(table.rows):
        section.append(tag("p", "None of these rows fired in any check."))
        return section
    fired, every = len(table.rows) - len(never), len(table.rows)
    section.append(tag("p", tag("progress", value=str(fired), max=str(every)), f" {fired} of {every} rows fired"))
    if never:
        section.append(tag("p", "Never fired: ", *_listed(never), class_="never"))
    heads = (tag("th", text, scope="col") for text in ("row", "from", "to"))
    counts = (tag("th", text, scope="col", class_="number") for text in ("fired", "in checks"))
    lines = (
        tag(
            "tr",
            *(tag("td", code(text)) for text in (row.id, row.state, row.target)),
            *(tag("td", f"{count:,}", class_="number") for count in (sum(times[row.id]), len(times[row.id]))),
            class_="" if times[row.id] else "never",
        )
        for row in table.rows
    )
    body = tag("table", tag("thead", tag("tr", *heads, *counts)), tag("tbody", *lines))
    section.append(tag("details", tag("summary", f"all rows of {table.name}"), body))
    return section


def _seen_in_runs(checks: Sequence[Check], tables: Mapping[str, Table], runs: Mapping[str, int]) -> Iterator[Element]:
    """Which rows the daemons themselves have taken, and which only the models."""
    fired = {row for check in checks for row, count in check.fired.items() if count}
    yield tag("h2", "Rows in simulated runs")
    yield tag("p", "Which rows fired in a few simulated runs of the daemons; docs/coverage.md is about many more.")
    for table in tables.values():
        rows = [row.id for row in table.rows]
        seen, models = [row for row in rows if row in runs], [row for row in rows if row in fired and row not in runs]
        section = tag("section", tag("h3", table.name), id=_anchor("runs", table.name))
        bar = tag("progress", value=str(len(seen)), max=str(len(rows)))
        section.append(tag("p", bar, f" {len(seen)} of {len(rows)} rows fired"))
        if models:
            section.append(tag("p", "In models only: ", *_listed(models), class_="never"))
        yield section


def _listed(words: Iterable[str]) -> Iterator[Content]:
    for place, word in enumerate(words):
        yield from (", ", code(word)) if place else (code(word),)


def _diagrams(pictures: Pictures) -> Iterator[Element]:
    """The pictures that steps lead to, each once; whole tables last, so that states are looked up in details first."""
    if pictures.shown:
        yield tag("h2", "Diagrams")
    for name in sorted(pictures.shown, key=lambda name: (name in pictures.tables, name)):
        yield tag("figure", tag("figcaption", name), tag("div", pictures.shown[name], class_="scroll"), id=name)
