"""State diagrams as parts of a page, and what of them belongs to the steps of a story.

Graphviz names what it draws by titles: a state, or two states and an arrow. Here each state gets the id
``PICTURE/STATE``, each edge ``PICTURE/STATE/STATE``, and both carry what a script looks for: ``data-state`` with
``TABLE/STATE``, ``data-rows`` with the ids of the rows that the edge stands for. Fonts and colours stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from hacore.protocol.table import Row, Table
from model_check.outcome import Step, Story
from model_check.report import rows_of

Drawings: TypeAlias = Mapping[str, Sequence[str]]
"""Of each table, by its name, the SVG texts of its pictures."""

OVERVIEW = ": "
"""In the title of a picture of what operators see; before it stands the table's name."""
STATE_FIELDS = {"state": "service", "node_state": "node"}
"""The table whose state a field holds, where the field is not called like the table."""
SVG = "{http://www.w3.org/2000/svg}"


@dataclass
class Scene:
    """What a step shows beside the steps."""

    rows: list[str]
    picture: str
    link: str
    """The id of the first row's edge, or else of the state that was entered; "" if no picture shows them."""
    at: dict[str, str]
    """Where each machine is after the step: ``TABLE/STATE`` by the field that holds it."""
    moved: list[str]
    """The machines that the step has moved."""
    now: list[str]
    """And where to."""


class Pictures:
    """The pictures that a page may show, and those that it does show: the ones that were asked for."""

    def __init__(self, tables: Mapping[str, Table], drawings: Drawings) -> None:
        self.tables, self.shown = tables, dict[str, Element]()
        self._texts = {
            name: (table, text)
            for table in tables.values()
            for text in drawings.get(table.name, ())
            if (name := _title(ElementTree.fromstring(text)).partition(OVERVIEW)[0])
        }

    def of_state(self, table: str, state: str) -> str:
        """The picture in which a state stands with its rows, or else its table's first; "" if there is none."""
        if table not in self.tables or state not in self.tables[table].state_named:
            return ""
        detail = f"{table}.{self.tables[table].state_named[state].shown}"
        return self._show(next((name for name in (detail, table) if name in self._texts), ""))

    def of_row(self, row: str) -> tuple[str, str]:
        """The picture that shows a row, and the id of its edge in it."""
        found = self.row(row)
        picture = self.of_state(found.id.partition(".")[0], found.state) if found else ""
        return (picture, f"{picture}/{found.state}/{found.target}") if found and picture else ("", "")

    def row(self, row: str) -> Row | None:
        table = self.tables.get(row.partition(".")[0])
        return table.by_id.get(row) if table else None

    def _show(self, name: str) -> str:
        if name and name not in self.shown:
            table, text = self._texts[name]
            self.shown[name] = _marked(ElementTree.fromstring(text), name, table)
        return name


def _title(drawn: Element) -> str:
    return drawn.findtext(f"{SVG}g/{SVG}title") or ""


def _marked(drawn: Element, name: str, table: Table) -> Element:
    """A drawing with ids that nothing else on the page has, and without anything that leads out of it."""
    overview = OVERVIEW in _title(drawn)
    seen = {state.name: state.shown if overview else state.name for state in table.states}
    for element in drawn.iter():
        element.tag = element.tag.removeprefix(SVG)
        if element.tag == "a":
            element.tag = "g"
        for key in [key for key in element.attrib if key == "id" or key.startswith("{")]:
            del element.attrib[key]
    drawn.attrib |= {"role": "img", "aria-label": f"State diagram {name}"}
    for group in drawn.iter("g"):
        match group.get("class"):
            case "node":
                _mark_node(group, name, table)
            case "edge":
                _mark_edge(group, name, table, seen)
            case "graph":
                _unpaint(group)
    return drawn


def _unpaint(graph: Element) -> None:
    """The page is the paper, and has a heading of its own."""
    for element in (graph.find("title"), graph.find("polygon")):
        if element is not None:
            graph.remove(element)


def _mark_node(group: Element, name: str, table: Table) -> None:
    """A stub is called ``STATE to STATE``: it stands for a state that is at home in another picture."""
    source, _, target = group.findtext("title", "").rpartition(" to ")
    state = table.state_named.get(target)
    if state is not None:
        group.attrib |= {"data-state": f"{table.name}/{state.name}", **({} if source else {"id": f"{name}/{target}"})}
        _say(group, f"{state.name}: {state.sentence}")
        _mark_labels(group, [row for row in table.by_state[state.name] if row.target == state.name])


def _mark_edge(group: Element, name: str, table: Table, seen: Mapping[str, str]) -> None:
    source, _, end = group.findtext("title", "").partition("->")
    target = end.rpartition(" to ")[2]
    rows = [row for row in table.rows if (seen[row.state], seen[row.target]) == (source, target)]
    if rows:
        group.attrib |= {"id": f"{name}/{source}/{target}", "data-rows": " ".join(row.id for row in rows)}
        _say(group, "\n".join(f"{row.id}: {row.guard}" for row in rows))
        _mark_labels(group, rows)


def _say(group: Element, text: str) -> None:
    title = group.find("title")
    assert title is not None
    title.text = text


def _mark_labels(group: Element, rows: Iterable[Row]) -> None:
    """A row's label is ``PLACE  ID``, the id without the table's name."""
    names = {row.id.partition(".")[2]: row.id for row in rows}
    for text in group.iter("text"):
        place, _, label = (text.text or "").replace("\xa0", " ").partition(" ")
        if place.isdigit() and label.strip() in names:
            text.set("data-rows", names[label.strip()])


# -------------------------------------------------------------------------------------------------------- scenes


def scenes(story: Story, pictures: Pictures) -> list[Scene]:
    """For each step its scene; a step that no picture shows leaves the one before. Every state is in some picture."""
    steps = (*story.steps, *story.cycle)
    machines, found = _machines(steps, pictures.tables), list[Scene]()
    for step in steps:
        tables = {field: at.partition("/")[0] for field, at in machines.items()}
        moved = {field: f"{tables[field]}/{new}" for field, (_, new) in step.changes.items() if field in tables}
        machines |= moved
        row, (picture, link) = pictures.row(step.row), pictures.of_row(step.row)
        for field in moved:
            if not picture and (picture := pictures.of_state(tables[field], step.changes[field][1])):
                link = f"{picture}/{step.changes[field][1]}"
        own = step.row.partition(".")[0]
        stays = [f"{own}/{row.target}"] if row and own not in {tables[field] for field in moved} else []
        found.append(Scene(rows_of(step), picture, link, dict(machines), list(moved), [*moved.values(), *stays]))
    for place in dict.fromkeys(place for scene in found for place in scene.at.values()):
        pictures.of_state(*place.split("/", 1))
    before = next((scene.picture for scene in found if scene.picture), "")
    for scene in found:
        scene.picture = before = scene.picture or before
    return found


def _machines(steps: Iterable[Step], tables: Mapping[str, Table]) -> dict[str, str]:
    """The fields that hold states of tables, and where each is before the first step, as ``TABLE/STATE``."""
    found: dict[str, str] = {}
    for step in steps:
        for field, change in step.changes.items():
            base = field.partition("[")[0]
            table = tables.get(STATE_FIELDS.get(base, base))
            if table and not table.state_named.keys().isdisjoint(change):
                found.setdefault(field, f"{table.name}/{change[0]}")
    return dict(sorted(found.items()))
