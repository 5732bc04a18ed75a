"""What came of checks, as one page that needs nothing else: figures, coverage, and runs beside the diagrams.

The diagrams are handed over, as SVG by table; a script finds states and edges in them by the titles that Graphviz gives
them. Without scripts, everything but the highlighting is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files

from hacore.protocol.table import Table
from hacore.protocol.tables import TABLES
from model_check.outcome import Check, Step, Story, Verdict, worst
from model_check.report import About, figures

Drawings = Mapping[str, Sequence[str]]

STATE_FIELDS = {"lrm": "lrm", "crm": "crm", "worker": "worker", "service": "state", "node": "node_state"}
"""The field of the model that holds a table's state."""


def as_html(
    checks: Iterable[Check],
    about: About | None = None,
    drawings: Drawings | None = None,
    tables: Mapping[str, Table] = TABLES,
) -> str:
    """The whole page. ``drawings``: of each table, by its name, the SVG texts of its diagrams."""
    checks = tuple(checks)
    style, script = (files("model_check").joinpath(name).read_text() for name in ("report.css", "report.js"))
    body = "\n".join(_body(checks, about or {}, drawings or {}, tables))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>hacore check</title>'
        f'<meta name="viewport" content="width=device-width"><style>\n{style}</style></head>\n'
        f"<body>\n{body}\n<script>\n{script}</script></body></html>\n"
    )


def _body(checks: tuple[Check, ...], about: About, drawings: Drawings, tables: Mapping[str, Table]) -> Iterator[str]:
    verdict = worst(checks)
    failed = sum(check.verdict is not Verdict.PASSED for check in checks)
    yield "<h1>hacore check</h1>"
    yield f'<p class="{_class(verdict)}">{len(checks)} checks, {failed} failed: {verdict.name.lower()}</p>'
    for title, values in about.items():
        yield f"<p>{escape(title)}: {escape(', '.join(f'{key} {value}' for key, value in values.items()))}</p>"
    yield from _checks(checks)
    for check in checks:
        if check.problem:
            yield f"<h2>{escape(check.group)} {escape(check.name)}</h2><pre>{escape(check.problem)}</pre>"
        for story in check.stories:
            yield from _story(story, drawings)
    yield from _coverage(checks, tables)


def _checks(checks: tuple[Check, ...]) -> Iterator[str]:
    yield "<h2>Checks</h2><table><thead><tr><th>verdict<th>check<th>what<th>figures<th>seconds</thead><tbody>"
    for check in checks:
        yield (
            f'<tr><td class="{_class(check.verdict)}">{check.verdict.name.lower()}<td>{escape(check.group)} '
            f"<b>{escape(check.name)}</b><td>{escape(check.sentence)}<td>{escape(', '.join(figures(check)))}"
            f'<td class="number">{check.seconds:,.1f}'
        )
    yield "</tbody></table>"


def _class(verdict: Verdict) -> str:
    return "passed" if verdict is Verdict.PASSED else "failed"


def _story(story: Story, drawings: Drawings) -> Iterator[str]:
    yield f"<h3>{escape(story.property)}: {escape(story.sentence)}</h3>"
    yield "<p>Click a step, or use the arrow keys; the diagram shows where the daemon then is.</p>"
    yield '<div class="story" tabindex="0"><ol>'
    yield from map(_step, (*story.steps, *story.cycle))
    yield "</ol><div>"
    names = dict.fromkeys(step.row.partition(".")[0] for step in story.steps if step.row)
    for name in names:
        for text in drawings.get(name, ()):
            yield f'<figure data-table="{escape(name)}">{text[text.index("<svg") :]}</figure>'
    yield "</div></div>"


def _step(step: Step) -> str:
    table = step.row.partition(".")[0]
    field = STATE_FIELDS.get(table, table)
    old, new = next((change for name, change in step.changes.items() if name.partition("[")[0] == field), ("", ""))
    changes = "".join(
        f"<small>{escape(name)}: {escape(was)} → {escape(now)}</small>" for name, (was, now) in step.changes.items()
    )
    data = f'data-row="{escape(step.row)}" data-from="{escape(old)}" data-state="{escape(new)}"'
    return f"<li {data}>{escape(step.name)}{changes}</li>"


def _coverage(checks: tuple[Check, ...], tables: Mapping[str, Table]) -> Iterator[str]:
    """How often each row fired, all explorations together."""
    fired: Counter[str] = Counter()
    for check in checks:
        fired.update(check.fired)
    if not fired:
        return
    yield "<h2>Rows</h2><p>How often each row fired, in all explorations together. Rows that change nothing that the "
    yield "model keeps track of are not counted.</p>"
    for table in tables.values():
        rows = [row.id for row in table.rows]
        never = [row for row in rows if not fired[row]]
        yield f"<details><summary>{escape(table.name)}: {len(rows) - len(never)} of {len(rows)} rows</summary><table>"
        yield "".join(f'<tr><td><code>{escape(row)}</code><td class="number">{fired[row]:,}' for row in rows)
        yield "</table></details>"
