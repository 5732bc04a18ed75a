"""Tables as text: all that a table says, for people to read, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hacore.drawing.dot import GENERATED, MOST_ROWS, groups
from hacore.protocol.table import Row, State, Table

HEAD = f"<!-- {GENERATED} -->"


def page(table: Table) -> str:
    """One table's page: its theory, its picture, its rows state by state, and the words it uses."""
    return "\n".join(
        (
            HEAD,
            f"# The {table.name} table",
            "",
            table.theory.strip(),
            "",
            f"![{table.name}]({table.name}.svg)",
            "",
            "## States",
            "",
            *_states(table),
            "## Rows",
            "",
            "The first row of a state whose guard holds fires: `&` and, `|` or, `~` not. A row has at most one effect"
            " outside its process; *the store checks* what must hold in the transaction that carries the effect.",
            "",
            *(line for shown, states in groups(table).items() for line in _group(table, shown, states)),
            *_words(table),
        )
    )


def index(tables: Iterable[Table]) -> str:
    """The page that lists all tables."""
    rows = [
        (f"[{table.name}]({table.name}.md)", f"[picture]({table.name}.svg)", len(table.states), len(table.rows))
        for table in tables
    ]
    text = "Everything that the daemons decide is in these tables. The files here are generated from them."
    return "\n".join((HEAD, "# Tables", "", text, "", *_lines(("table", "", "states", "rows"), rows)))


def _states(table: Table) -> Iterator[str]:
    yield from _lines(
        ("state", "", "operators see"),
        (
            (f"`{state.name}`", f"{state.sentence}{_marks(table, state)}", f"`{state.shown}`" if state.within else "")
            for state in table.states
        ),
    )


def _marks(table: Table, state: State) -> str:
    marks = [text for text, holds in (("initial", state.name == table.initial), ("final", state.final)) if holds]
    return f" *({', '.join(marks)})*" if marks else ""


def _group(table: Table, shown: str, states: Iterable[State]) -> Iterator[str]:
    """The rows of what operators see as one state, with its picture if the table is drawn in several."""
    rows = [row for state in states for row in table.by_state[state.name]]
    if not rows:
        return
    yield from (f"### {shown}", "")
    if len(table.rows) > MOST_ROWS:
        yield from (f"![{table.name}.{shown}]({table.name}.{shown}.svg)", "")
    columns = ("state", "", "row", "guard", "target", "does", "the store checks", "ends round", "why")
    yield from _lines(columns, (_row(table, row) for row in rows))


def _row(table: Table, row: Row) -> tuple[object, ...]:
    place = table.by_state[row.state].index(row) + 1
    return (
        f"`{row.state}`" if place == 1 else "",
        place,
        f"`{row.id}`",
        f"`{row.guard}`",
        "stays" if row.target == row.state else f"`{row.target}`",
        ", ".join(f"`{action}` ({action.site})" for action in row.do),
        ", ".join(f"`{fact}`" for fact in row.given),
        "yes" if row.ends_round else "",
        row.why,
    )


def _words(table: Table) -> Iterator[str]:
    yield from ("## Facts", "")
    facts = ((f"`{fact}`", fact.checker, fact.sentence) for fact in sorted(table.facts, key=str))
    yield from _lines(("fact", "who checks it", ""), facts)
    if table.assuming:
        yield from ("Of these facts the table assumes:", "")
        yield from (f"- `{guard}`" for guard in table.assuming)
        yield ""
    yield from ("## Actions", "")
    actions = ((f"`{action}`", action.site, action.sentence) for action in sorted(table.actions, key=str))
    yield from _lines(("action", "takes effect on", ""), actions)


def _lines(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """A Markdown table and an empty line. A bar within a cell would end it, even between backquotes."""
    columns = tuple(columns)
    yield f"| {' | '.join(columns)} |"
    yield f"|{' --- |' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |"
    yield ""
