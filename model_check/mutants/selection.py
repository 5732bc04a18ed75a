"""The mutants that every check tries again: of each table, kind of change and fate, as far as it is soon known."""

from __future__ import annotations

from itertools import zip_longest

from hacore.protocol.tables import TABLES
from model_check.mutants import grounds
from model_check.mutants.changes import Mutant, mutants
from model_check.mutants.court import WEAKER, Fate
from model_check.mutants.record import Entry, Record

FEW = 72
FEW_GROUNDS = tuple(it.slice.name for it in grounds.SMALL[:6])
"""Slices in which they meet their fates: each one costs a compilation."""


def selected(record: Record) -> list[str]:
    """In turn one of each kind of change and fate, of each table; always the same ones of the same record."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for mutant in mutants(TABLES):
        entry = record.get(mutant.name)
        if entry and soon_known(entry):
            groups.setdefault(_group(mutant, entry), []).append(mutant.name)
    in_turn = (name for names in zip_longest(*groups.values()) for name in names if name)
    chosen = set(list(in_turn)[:FEW])
    return [it.name for it in mutants(TABLES) if it.name in chosen]


def _group(mutant: Mutant, entry: Entry) -> tuple[str, str, str]:
    return mutant.table.name, mutant.kind, entry.fate


def soon_known(entry: Entry) -> bool:
    """Whether the few slices tell the fate."""
    return entry.fate != Fate.NEEDED and entry.slice in ("", *FEW_GROUNDS) and WEAKER not in entry.reason
