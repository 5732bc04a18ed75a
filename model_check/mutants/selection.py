"""The mutants that every check tries again: of each table, kind of change and fate, as far as it is soon known."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from model_check.mutants import grounds
from model_check.mutants.changes import own
from model_check.mutants.court import WEAKER, Fate
from model_check.mutants.record import Entry, Record

FEW = 72
FEW_GROUNDS = tuple(it.slice.name for it in grounds.SMALL[:6])
"""Slices in which they meet their fates: each one costs a compilation."""


def selected(record: Record) -> list[str]:
    """In turn one of each table, of these in turn one of each kind of change, and of these of each fate. Of the same
    record always the same ones."""
    known = [(it, record[it.name].fate) for it in own().values() if it.name in record and soon_known(record[it.name])]
    in_turn = _in_turn([((it.table.name, it.kind, fate), it.name) for it, fate in known])
    chosen = set(list(in_turn)[:FEW])
    return [name for name in own() if name in chosen]


def _in_turn(named: list[tuple[tuple[str, ...], str]]) -> Iterator[str]:
    """Names, from one group after the other: by the first of the words before them, and within by the next ones."""
    groups: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for words, name in named:
        if not words:
            yield name
        else:
            groups.setdefault(words[0], []).append((words[1:], name))
    for names in zip_longest(*map(_in_turn, groups.values())):
        yield from filter(None, names)


def soon_known(entry: Entry) -> bool:
    """Whether the few slices tell the fate."""
    return entry.fate != Fate.NEEDED and entry.slice in ("", *FEW_GROUNDS) and WEAKER not in entry.reason
