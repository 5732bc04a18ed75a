"""Mutants of hacore's tables, tried again: each must meet the fate that is on record."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from model_check.mutants.changes import own
from model_check.mutants.court import Fate
from model_check.mutants.pages import stale
from model_check.mutants.record import Record, load, tried
from model_check.mutants.selection import FEW_GROUNDS, selected
from model_check.outcome import Check, Verdict

SHOWN = 10
"""Of what is wrong."""


def mutated(long: bool = False, say: Callable[[str], None] = lambda _: None, record: Record | None = None) -> Check:
    """A selection, or all that were tried. ``record``: instead of the one that is kept."""
    begin = time.perf_counter()
    known, every = load() if record is None else record, own()
    names = [it for it in (known if long else selected(known)) if it in every]
    gone = sorted(known.keys() - every.keys())
    problems = [f"{it} is on record, and no mutant is called so: hacore mutants --write" for it in gone]
    if record is None:
        problems += [f"{path} is not what the record says: hacore mutants --write" for path in stale(known)]
    if not names:
        problems.append("nothing is on record that could be tried: hacore mutants --write")
    for number, (name, entry) in enumerate(tried(names, () if long else FEW_GROUNDS, say=say), 1):
        say(f"mutants: {number} of {len(names)}")
        if entry != known[name]:
            problems.append(f"{name}\n  on record: {known[name]}\n  now:       {entry}")
    more = f"\n... and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    untried = {"not on record": left} if (left := len(every.keys() - known.keys())) else {}
    counts = Counter(known[name].fate for name in names)
    return Check(
        group="mutants",
        name="all" if long else "selection",
        sentence="Each mutant of the tables is caught, or proved harmless, as docs/mutants.md says.",
        verdict=Verdict.BROKEN if problems else Verdict.PASSED,
        seconds=time.perf_counter() - begin,
        figures={"mutants": len(names), **{fate.value: counts[fate] for fate in Fate if counts[fate]}, **untried},
        problem="\n".join(problems[:SHOWN]) + more,
    )
