"""Tables as pictures: the text that Graphviz draws.

A small table is one picture. A large one is an overview of the states that operators see, and one picture for each of
them, with its phases and the rows that leave it; what belongs to another picture is a grey stub. Colour says where a
row takes effect, a dashed line ends the round, and the number before a row is its place in the order in which the
rows of a state are tried. The text is the same whenever the table is.
"""

from __future__ import annotations

import textwrap
from collections.abc import Container, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from html import escape
from typing import TypeAlias

import graphviz

from hacore.protocol.table import ALWAYS, Row, Site, State, Table

GENERATED = "Generated from hacore/protocol by `hacore diagram`. Change the table, not this file."
"""In every file that is generated here."""

Edges: TypeAlias = dict[tuple[str, str], list[Row]]

MOST_ROWS = 24
"""A table with more rows than this is drawn in several pictures."""

DECISION = "decision"
COLOURS = {
    DECISION: "#444444",
    Site.LOCAL: "#8a5a00",
    Site.STORE: "#0058a3",
    Site.DEVICE: "#b3261e",
    Site.SERVICE: "#00714f",
}
"""By where a row takes effect; apart also for the colour-blind. The last of several on one edge colours its line."""

LEGEND = {
    DECISION: "decides only",
    Site.LOCAL: "own memory",
    Site.STORE: "effect on the store",
    Site.DEVICE: "effect on a device",
    Site.SERVICE: "effect on a service",
}
NOTES = (
    "A number is a row's place in its state: the first row whose guard holds fires. '!' names its effect.",
    "Dashed, or 'ends': ends the round. Double border: final. Grey: drawn in another picture.",
)
OVERVIEW_NOTES = (
    "An edge names its row, or says how many rows it stands for; each state has a picture of its own.",
    "Dashed: every row ends the round. Double border: final.",
)
GREY, LIGHT, PALE = "#777777", "#cccccc", "#f5f5f2"
FONT = "Helvetica"
"""The one font whose widths Graphviz and graphviz-pure know without looking for it."""
LABEL_WIDTH, NODE_WIDTH = 30, 30
"""Characters to a line, in the labels of edges and of states."""
MOST_LINES = 4
"""How much of a guard is shown; the page shows all of it, and so does the SVG's tooltip."""
MOST_ENTRIES = 3
"""How many rows of other pictures are named where they enter a state."""


def pictures(table: Table) -> dict[str, str]:
    """The dot text of each picture of a table by the picture's name."""
    if len(table.rows) <= MOST_ROWS:
        return {table.name: _picture(table, table.name, table.states)}
    details = {
        f"{table.name}.{shown}": _picture(table, f"{table.name}.{shown}", states)
        for shown, states in groups(table).items()
        if any(table.by_state[state.name] for state in states)
    }
    return {table.name: _overview(table, set(details)), **details}


def groups(table: Table) -> dict[str, tuple[State, ...]]:
    """The states by what an operator sees of them: each state that has phases, with its phases."""
    shown = dict.fromkeys(state.shown for state in table.states)
    return {name: tuple(state for state in table.states if state.shown == name) for name in shown}


def kind(row: Row) -> str:
    """Where a row takes effect; a row that does nothing decides only."""
    if row.effect:
        return row.effect.site
    return Site.LOCAL if row.do else DECISION


def short(table: Table, row: Row) -> str:
    """A row's id without the table's name."""
    return row.id.removeprefix(f"{table.name}.")


# -------------------------------------------------------------------------------------------------- whole pictures


def _picture(table: Table, name: str, states: Sequence[State]) -> str:
    """States with all rows that leave them. Each edge out of the picture has a stub of its own, to keep it short."""
    inside = {state.name for state in states}
    edges = _merged(row for row in table.rows if row.state in inside)
    graph = _graph(name, NOTES, edges)
    if table.initial in inside:
        _start(graph, table.initial)
    for shown, members in groups(table).items():
        here = [state for state in members if state.name in inside]
        with graph.subgraph(name=f"cluster_{shown}" if len(here) > 1 else None) as part:
            if len(here) > 1:
                part.attr(label=shown, style="rounded,filled", fillcolor=PALE, color=LIGHT, fontsize="12", margin="14")
            for state in here:
                loop = edges.get((state.name, state.name), [])
                _node(part, state, _entries(table, state, inside), _rows(table, loop) if loop else "")
    for (source, target), rows in edges.items():
        end = target if target in inside else f"{source} to {target}"
        if end != target:
            graph.node(end, target, color=GREY, fontcolor=GREY, style="rounded", fontsize="10")
        _edge(graph, source, end, rows, _rows(table, rows))
    return str(graph.source)


def _overview(table: Table, details: Container[str]) -> str:
    """The states that operators see, and the rows that lead from one to another: one by its name, several by number."""
    seen = {state.name: state.shown for state in table.states}
    edges = _merged((row for row in table.rows if seen[row.state] != seen[row.target]), seen)
    graph = _graph(f"{table.name}: what operators see", OVERVIEW_NOTES, edges)
    _start(graph, seen[table.initial])
    for shown, members in groups(table).items():
        link = f"{table.name}.{shown}"
        phases = f"{len(members)} phases" if len(members) > 1 else ""
        _node(graph, table.state_named[shown], phases, "", **({"URL": f"{link}.svg"} if link in details else {}))
    for (source, target), rows in edges.items():
        name = rows[0].id.rpartition(".")[2]
        _edge(graph, source, target, rows, _paragraphs([[name if len(rows) == 1 else f"{len(rows)} rows"]]))
    return str(graph.source)


def _merged(rows: Iterable[Row], seen: Mapping[str, str] | None = None) -> Edges:
    """The rows by the two states that they connect, each state by the name under which it is ``seen``."""
    edges: Edges = {}
    for row in rows:
        ends = (row.state, row.target) if seen is None else (seen[row.state], seen[row.target])
        edges.setdefault(ends, []).append(row)
    return edges


def _leads_back(edges: Edges) -> bool:
    """Whether some state can be left and entered again."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for source, target in edges:
        if source != target:
            sorter.add(target, source)
    try:
        sorter.prepare()
    except CycleError:
        return True
    return False


def _entries(table: Table, state: State, inside: Container[str]) -> str:
    """How a state is entered from other pictures."""
    ids = [short(table, row) for row in table.rows if row.target == state.name and row.state not in inside]
    if len(ids) > MOST_ENTRIES:
        return f"entered by {len(ids)} rows of other pictures"
    return f"entered by {', '.join(ids)}" if ids else ""


# ------------------------------------------------------------------------------------------------------ the pieces


def _graph(title: str, notes: Iterable[str], edges: Edges) -> graphviz.Digraph:
    """An empty picture. Cycles are read from top to bottom; without them, from left to right takes less room."""
    graph = graphviz.Digraph(title, comment=GENERATED)
    kinds = {kind(row) for rows in edges.values() for row in rows}
    direction = {"rankdir": "TB", "nodesep": "0.2"} if _leads_back(edges) else {"rankdir": "LR", "nodesep": "0.3"}
    graph.attr(**direction, ranksep="0.5", bgcolor="white")
    graph.attr(label=_heading(title, notes, kinds), labelloc="t", labeljust="l", fontname=FONT, fontsize="11")
    graph.attr("node", shape="box", style="rounded,filled", fillcolor="white", fontname=FONT, fontsize="11")
    graph.attr("edge", fontname=FONT, fontsize="10", arrowsize="0.7")
    return graph


def _heading(title: str, notes: Iterable[str], kinds: Container[str]) -> str:
    """What the picture shows, and what its colours and signs mean."""
    colours = (f'<font color="{COLOURS[each]}"><b>{text}</b></font>' for each, text in LEGEND.items() if each in kinds)
    grey = (f'<font color="{GREY}">{escape(note)}</font>' for note in notes)
    lines = (f'<font point-size="14"><b>{escape(title)}</b></font>', "   ".join(colours), *grey)
    text = "".join(f'{line}<br align="left"/>' for line in lines)
    return f"<{text}>"


def _start(graph: graphviz.Digraph, initial: str) -> None:
    graph.node("start", shape="point", width="0.12", color="black", fillcolor="black")
    graph.edge("start", initial)


def _node(graph: graphviz.Digraph, state: State, note: str, loop: str = "", **more: str) -> None:
    """A state's box. What a row that stays here says stands in the box: beside its loop, edges would cross it."""
    sentence = [escape(line) for line in textwrap.wrap(state.sentence, NODE_WIDTH)]
    notes = [f"<i>{escape(line)}</i>" for line in textwrap.wrap(note, NODE_WIDTH)]
    text = f'<font point-size="9" color="{GREY}">{"<br/>".join(sentence + notes)}</font>'
    label = f"<b>{state.name}</b><br/>{text}"
    if loop:
        rows = f"<tr><td>{label}</td></tr><hr/><tr><td>{loop}</td></tr>"
        label = f'<table border="0" cellspacing="0" cellpadding="2">{rows}</table>'
    peripheries = "2" if state.final else "1"
    graph.node(state.name, f"<{label}>", peripheries=peripheries, **more)


def _edge(graph: graphviz.Digraph, source: str, target: str, rows: Sequence[Row], label: str) -> None:
    """One edge for all rows between two states; a loop is light, because most loops only wait."""
    strongest = max((kind(row) for row in rows), key=list(COLOURS).index)
    graph.edge(
        source,
        target,
        "" if source == target else f"<{label}>",
        color=COLOURS[strongest] + ("60" if source == target else ""),
        style="dashed" if all(row.ends_round for row in rows) else "solid",
        tooltip="\n".join(f"{row.id}: {row.guard}" for row in rows),
    )


def _paragraphs(paragraphs: Iterable[Sequence[str]]) -> str:
    """Paragraphs of lines, one below the other, with a little air around each."""
    cells = (f'<tr><td align="left" balign="left">{"<br/>".join(lines)}</td></tr>' for lines in paragraphs)
    return f'<table border="0" cellspacing="3" cellpadding="0">{"".join(cells)}</table>'


def _rows(table: Table, rows: Sequence[Row]) -> str:
    """The rows that share an edge: the place and id of each, its guard, its effect."""
    mixed = any(row.ends_round for row in rows) and not all(row.ends_round for row in rows)
    return _paragraphs(_lines(table, row, mixed and row.ends_round) for row in rows)


def _lines(table: Table, row: Row, ends: bool) -> list[str]:
    colour = COLOURS[kind(row)]
    place = table.by_state[row.state].index(row) + 1
    sign = f'  <font point-size="9" color="{GREY}">ends</font>' if ends else ""
    lines = [f'<font color="{colour}"><b>{place}  {short(table, row)}</b></font>{sign}']
    if row.guard is not ALWAYS:
        guard = textwrap.wrap(str(row.guard), LABEL_WIDTH, max_lines=MOST_LINES, placeholder=" ...")
        lines += [f'<font point-size="9">{escape(line)}</font>' for line in guard]
    elif place > 1:
        lines.append('<font point-size="9"><i>otherwise</i></font>')
    if row.effect:
        lines.append(f'<font point-size="9" color="{colour}">! {row.effect}</font>')
    return lines
