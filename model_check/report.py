"""What came of checks, as text: lines for people, JSON for programs, JUnit and annotations for those who build."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from typing import TypeAlias
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from hacore.protocol.tables import TABLES
from model_check.outcome import Check, Figure, Step, Story, Verdict, worst

About: TypeAlias = Mapping[str, Mapping[str, Figure]]
"""What a report says of all its checks, by title: versions, constants ..."""

SCHEMA = 1
"""Of the JSON, whose keys are the fields of the records. A new key needs no new number, any other change does."""

WORDS = {Verdict.PASSED: "ok", Verdict.SAFETY: "FAILED", Verdict.LIVENESS: "FAILED", Verdict.BROKEN: "BROKEN"}
KINDS = {Verdict.SAFETY: "safety", Verdict.LIVENESS: "liveness", Verdict.BROKEN: "could not be carried out"}
AGAIN = "and from there on these, over and over:"
"""Above the steps of a cycle."""
WIDEST_NAME = 52
"""A step's name that is longer pushes its changes to the right."""
ROW_ID = r"\w+(?:\.\w+)+"
"""What looks like the id of a row."""

# ------------------------------------------------------------------------------------------------------------ text


def line(check: Check) -> str:
    """A check in one line. The columns stand below each other unless one is uncommonly wide."""
    seconds = f"{check.seconds:,.1f} s"
    shown = ", ".join(figures(check))
    text = f"{WORDS[check.verdict]:<7} {check.group:<8} {check.name:<15} {shown:<52} {seconds:>8}"
    return re.sub(r"[\r\n]+", " ", text)


def figures(check: Check) -> list[str]:
    """The figures as they are read."""
    return [figure(name, value) for name, value in check.figures.items()]


def figure(name: str, value: Figure) -> str:
    """``3 nodes``, ``172 of 180 rows``, but ``depth 61`` and ``lock_ttl_s 120``: a plural is counted."""
    if not name.endswith("s") or name.endswith("_s"):
        return f"{name} {number(value)}"
    if value == 1:
        name = f"{name[:-3]}y" if name.endswith("ies") else name[:-1]
    return f"{number(value)} {name}"


def number(value: Figure) -> str:
    """With commas, and no more digits than are needed."""
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) else value


def problem_text(check: Check) -> str:
    """What is wrong, and how it comes about; empty if nothing is wrong."""
    if check.verdict is Verdict.PASSED:
        return ""
    head = f"{WORDS[check.verdict]} {check.group} {check.name}: {KINDS[check.verdict]}"
    problem = [f"  {each}".rstrip() for each in check.problem.splitlines()]
    return "\n".join((head, *problem, *(part for story in check.stories for part in _story(story))))


def title(step: Step) -> str:
    """What happened: the row's id, or what the world did, with its parameters if they are known."""
    return step.name if step.row in step.name else f"{step.row} {step.name}".strip()


def rows_of(step: Step) -> list[str]:
    """The step's row, and those that its name tells of besides: a master decides and writes rows of other tables."""
    return [row for row in dict.fromkeys((step.row, *re.findall(ROW_ID, step.name))) if row]


def _story(story: Story) -> Iterator[str]:
    yield from ("", f"  {broken(story)}")
    width = min(WIDEST_NAME, max((len(title(step)) for step in (*story.steps, *story.cycle)), default=0))
    for step in story.steps:
        yield from _step(step, " ", width)
    if story.cycle:
        yield f"  {AGAIN}"
    for step in story.cycle:
        yield from _step(step, "|", width)


def broken(story: Story) -> str:
    """The property and its sentence."""
    return f"{story.property} is broken: {story.sentence}" if story.sentence else f"{story.property} is broken"


def _step(step: Step, bar: str, width: int) -> Iterator[str]:
    """A line for each change; a bar runs down the cycle."""
    changes = [f"{name}: {old} -> {new}" for name, (old, new) in step.changes.items()] or ["nothing changes"]
    yield f"  {bar} {step.number:>3}  {title(step):<{width}}  {changes[0]}"
    yield from (f"  {bar} {'':>3}  {'':<{width}}  {change}" for change in changes[1:])


# ------------------------------------------------------------------------------------------------------------ JSON


def as_json(checks: Iterable[Check], about: About | None = None) -> dict[str, object]:
    """Everything, as lists, objects, texts and numbers only."""
    checks = tuple(checks)
    verdict = worst(checks)
    return {
        "schema": SCHEMA,
        "verdict": verdict.name.lower(),
        "exit": int(verdict),
        "seconds": sum(check.seconds for check in checks),
        "about": {name: dict(section) for name, section in (about or {}).items()},
        "checks": [_record(check) for check in checks],
    }


def _record(check: Check) -> dict[str, object]:
    """A check field by field; verdicts by name."""
    record: dict[str, object] = json.loads(json.dumps(asdict(check)))
    return record | {"verdict": check.verdict.name.lower()}


# ----------------------------------------------------------------------------------------------------------- JUnit

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(checks: Iterable[Check]) -> str:
    """One test suite for each group, one test case for each check."""
    checks = tuple(checks)
    root = Element("testsuites", {"name": "hacore check", **_counts(checks)})
    for group, members in by_group(checks).items():
        suite = SubElement(root, "testsuite", {"name": clean(group), **_counts(members)})
        for check in members:
            _case(suite, check)
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, "unicode")}\n'


def by_group(checks: Iterable[Check]) -> dict[str, list[Check]]:
    """The checks of each group, in order."""
    groups: dict[str, list[Check]] = {}
    for check in checks:
        groups.setdefault(check.group, []).append(check)
    return groups


def clean(text: str) -> str:
    """A text without what XML cannot say: terminals' control characters, above all."""
    return _NOT_XML.sub("\ufffd", text)


def headline(check: Check) -> str:
    """The problem in one line."""
    lines = (*check.problem.strip().splitlines(), *(broken(story) for story in check.stories), KINDS[check.verdict])
    return lines[0]


def _counts(checks: Sequence[Check]) -> dict[str, str]:
    verdicts = [check.verdict for check in checks]
    return {
        "tests": str(len(checks)),
        "failures": str(sum(verdict in (Verdict.SAFETY, Verdict.LIVENESS) for verdict in verdicts)),
        "errors": str(verdicts.count(Verdict.BROKEN)),
        "skipped": "0",
        "time": f"{sum(check.seconds for check in checks):.3f}",
    }


def _case(suite: Element, check: Check) -> None:
    named = {"classname": clean(check.group), "name": clean(check.name)}
    case = SubElement(suite, "testcase", {**named, "time": f"{check.seconds:.3f}"})
    if check.verdict is not Verdict.PASSED:
        what = "error" if check.verdict is Verdict.BROKEN else "failure"
        wrong = SubElement(case, what, type=check.verdict.name.lower(), message=clean(headline(check)))
        wrong.text = clean(problem_text(check))
    if check.sentence or check.figures:
        SubElement(case, "system-out").text = clean("\n".join((check.sentence, ", ".join(figures(check)))).strip())


# ---------------------------------------------------------------------------------------------------------- GitHub


def as_github(checks: Iterable[Check]) -> list[str]:
    """A workflow command for each check that failed, and for each of its stories if it has any."""
    return [command for check in checks if check.verdict is not Verdict.PASSED for command in _annotations(check)]


def _annotations(check: Check) -> Iterator[str]:
    whole = problem_text(check).splitlines()
    for story in check.stories or (None,):
        text = whole if story is None else [*whole[: 1 + len(check.problem.splitlines())], *_story(story)]
        properties = {"title": f"{check.group} {check.name}: {story.property if story else KINDS[check.verdict]}"}
        found = next((found for row in _blamed(check, story) if (found := where(row))), None)
        if found:
            properties |= {"file": found[0], "line": str(found[1])}
        shown = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in properties.items())
        yield f"::error {shown}::{_escaped(chr(10).join(text))}"


def _escaped(text: str, signs: str = "") -> str:
    """What would end a command, or one of its properties, as its number."""
    return "".join(f"%{ord(sign):02X}" if sign in f"%\r\n{signs}" else sign for sign in text)


def _blamed(check: Check, story: Story | None) -> Iterator[str]:
    """What may be rows to look at: those of the story, the last first, and those that the problem names."""
    for step in reversed((*story.steps, *story.cycle) if story else ()):
        yield from reversed(rows_of(step))
    yield from re.findall(ROW_ID, check.problem)


def where(row: str) -> tuple[str, int] | None:
    """File and line at which a row is written. Where ids are put together, that is the most telling of the places."""
    name = row.partition(".")[0]
    if name not in TABLES:
        return None
    fitting = [(weight, at) for pattern, weight, at in _ids(name) if re.fullmatch(pattern, row)]
    return (f"hacore/protocol/{name}.py", max(fitting)[1]) if fitting else None


@cache
def _ids(name: str) -> tuple[tuple[str, int, int], ...]:
    """The ids of rows in a table's module: a pattern, how many of its letters are literal, and the line."""
    found = []
    for node in ast.walk(ast.parse(files("hacore.protocol").joinpath(f"{name}.py").read_text())):
        match node:
            case ast.Call(func=ast.Name(id="Row"), args=[ast.Constant(value=str(text)) as first, *_]):
                found.append((re.escape(text), len(text), first.lineno))
            case ast.Call(func=ast.Name(id="Row"), args=[ast.JoinedStr(values=parts) as first, *_]):
                texts = [str(part.value) if isinstance(part, ast.Constant) else "" for part in parts]
                pattern = "".join(re.escape(text) if text else r"[\w.]+" for text in texts)
                found.append((pattern, sum(map(len, texts)), first.lineno))
    return tuple(found)
