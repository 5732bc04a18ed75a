"""The pages made from the record: docs/mutants.md, with every mutant, and docs/guards.md, with what needs what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from model_check.mutants.changes import Mutant, own
from model_check.mutants.court import Fate
from model_check.mutants.record import Entry, Record
from model_check.properties import SAFETY

DOCS = Path(__file__).parents[2] / "docs"
UNTRIED = "not yet tried"
MADE = "Made by `hacore mutants --write`; not edited by hand."

ABOUT_MUTANTS = """
Each mutant is hacore's tables with one thing changed: a part of a guard dropped or reversed, a row left out, something
that a row is given or does dropped, a target exchanged. What becomes of it shows what that thing is for.

- **caught**: a run breaks a named property. `hacore mutants --row ROW` shows the run. It is a shortest one of its
  slice; where the page says *after a state without X*, it leads by a shortest way to a state in which the conjunct X of
  the invariant fails, and from there by a shortest way to the breach.
- **equivalent**: it does nothing else than the tables: the same row fires in every case, as Z3 proves, or the actions
  of the closed model are the same ones. The second says that the model cannot tell, not that nobody could.
- **liveness**: Z3 proves that the invariant still holds, for any number of nodes and services, so it is safe; but
  something that the tables do in a slice never happens there any more.
- **defence in depth**: Z3 proves it safe, and in the slices nothing is lost that an operator could see.
- **needed by the proof**: a conjunct of the invariant is not proved to be kept, and no run was found. Either the run is
  longer than what was explored, or the mutant is safe for a reason that the invariant does not state.
"""
ABOUT_GUARDS = """
What each part of each row is for. A property is named where a run breaks it without that part
([mutants.md](mutants.md) has every change that was tried). What safety does not need serves liveness, or is a second
line of defence; what is equivalent makes no difference to the closed model.
"""
PARTS = {"without": "if", "given without": "given", "does not": "does", "left out": "the row itself"}
"""Of the kinds of mutants, those that drop a part."""


def pages(record: Record) -> dict[Path, str]:
    return {DOCS / "mutants.md": mutants_page(record), DOCS / "guards.md": guards_page(record)}


def stale(record: Record) -> list[str]:
    """The pages that are not as the record has them."""
    return [
        str(path)
        for path, text in pages(record).items()
        if not path.exists() or path.read_text(encoding="utf8") != text
    ]


def mutants_page(record: Record) -> str:
    every = list(own().values())
    lines = ["# Mutants", "", MADE, ABOUT_MUTANTS, *_counts(every, record), "", *_caught(record)]
    for row, its in groupby(every, lambda it: it.row):
        lines += ["", f"## {row}", ""]
        lines += [f"- {_code(it)}: {told(record.get(it.name))}" for it in its]
    return "\n".join(lines) + "\n"


def told(entry: Entry | None) -> str:
    return str(entry) if entry else UNTRIED


def _code(mutant: Mutant) -> str:
    return f"{mutant.kind} `{mutant.part}`" if mutant.part else mutant.kind


def _counts(every: Iterable[Mutant], record: Record) -> Iterator[str]:
    columns = (*(it.value for it in Fate), UNTRIED)
    counts: dict[str, Counter[str]] = {}
    for mutant in every:
        entry = record.get(mutant.name)
        counts.setdefault(mutant.table.name, Counter())[entry.fate if entry else UNTRIED] += 1
    yield f"| table | {' | '.join(columns)} | all |"
    yield f"|---{'|---:' * (len(columns) + 1)}|"
    for name, its in [*counts.items(), ("all", sum(counts.values(), Counter[str]()))]:
        yield f"| {name} | {' | '.join(str(its[it]) for it in columns)} | {its.total()} |"


def _caught(record: Record) -> Iterator[str]:
    caught = Counter(it.property for it in record.values() if it.fate == Fate.CAUGHT)
    yield "| property | mutants caught |"
    yield "|---|---:|"
    yield from (f"| {it.name}: {it.sentence} | {caught[it.name]} |" for it in SAFETY)


def guards_page(record: Record) -> str:
    lines = ["# What each guard is for", "", MADE, ABOUT_GUARDS.rstrip()]
    for name, its in groupby(own().values(), lambda it: it.table.name):
        lines += ["", f"## {name}", "", "| row | part | needed by |", "|---|---|---|"]
        for row, parts in groupby((it for it in its if it.kind in PARTS), lambda it: it.row):
            for number, part in enumerate(parts):
                shown = f"{PARTS[part.kind]} `{part.part}`" if part.part else PARTS[part.kind]
                lines.append(
                    f"| {'' if number else f'`{row}`'} | {_cell(shown)} | {_cell(_serves(record.get(part.name)))} |"
                )
    return "\n".join(lines) + "\n"


def _serves(entry: Entry | None) -> str:
    if entry is None:
        return UNTRIED
    match entry.fate:
        case Fate.CAUGHT:
            return f"**{entry.property}**"
        case Fate.NEEDED:
            return f"the proof ({entry.property})"
        case Fate.LIVENESS:
            return f"liveness: without it {entry.reason}"
    return entry.fate


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
