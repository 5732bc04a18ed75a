"""The record: what became of every mutant, kept beside the code, from which the pages are made.

It is made by ``hacore mutants --write``, which takes long, and is read by the check, which tries a selection again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from queue import Empty
from typing import Any

from hacore.protocol.tables import TABLES
from model_check.mutants.changes import own
from model_check.mutants.court import Court, Fate, Trial

RECORD = Path(__file__).with_name("record.json")
TOGETHER = 60
"""Mutants that are tried in one go: they share compilations."""
LOOK_S = 5.0
"""How often it is looked whether the processes are still there."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Entry:
    """A trial, as far as it is kept."""

    fate: str
    property: str = ""
    slice: str = ""
    reason: str = ""
    steps: int = 0
    detour: str = ""

    @classmethod
    def of(cls, trial: Trial) -> Entry:
        return cls(trial.fate.value, trial.property, trial.slice, trial.reason, len(trial.steps), trial.detour)

    def __str__(self) -> str:
        match self.fate:
            case Fate.CAUGHT:
                where = f"after a state without {self.detour}, " if self.detour else ""
                return f"caught: {self.property} is broken ({where}{self.steps} steps in '{self.slice}')"
            case Fate.NEEDED:
                return f"needed by the proof: {self.property} is not proved to be kept"
            case Fate.LIVENESS:
                return f"liveness: {self.reason} ('{self.slice}')"
        return f"{self.fate}: {self.reason}" if self.reason else self.fate


Record = dict[str, Entry]
"""By the mutant's name, in the order of the tables."""


def load(path: Path = RECORD) -> Record:
    known = json.loads(path.read_text()) if path.exists() else {}
    return {name: Entry(**entry) for name, entry in known.items()}


def save(record: Record, path: Path = RECORD) -> None:
    lines = (
        f"{json.dumps(it.name)}: {json.dumps({k: v for k, v in asdict(record[it.name]).items() if v})}"
        for it in own().values()
        if it.name in record
    )
    scratch = path.with_suffix(".new")
    scratch.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    scratch.replace(path)


def tried(
    names: Sequence[str], slices: Sequence[str] = (), *, workers: int = 2, say: Say = lambda _: None
) -> Iterator[tuple[str, Entry]]:
    """Mutants of hacore's own tables, tried in processes of their own: each as soon as its fate is known.

    ``slices``: tried in these only, by name. Then the rest is taken for harmless that is proved safe.
    """
    context = get_context("spawn")
    results, units = context.Queue(), context.Queue()
    for unit in in_units(names, workers):
        units.put(unit)
    processes = [
        context.Process(target=_work, args=(units, results, tuple(slices)), daemon=True) for _ in range(workers)
    ]
    for each in processes:
        units.put(None)
        each.start()
    try:
        ended = 0
        while ended < workers:
            try:
                result: Any = results.get(timeout=LOOK_S)
            except Empty:
                if any(each.exitcode for each in processes):
                    raise RuntimeError("a process that tries mutants was killed") from None
                continue
            if result is None:
                ended += 1
            elif isinstance(result, str):
                say(result)
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result
    finally:
        for each in processes:
            each.terminate()


def in_units(names: Sequence[str], workers: int) -> list[Sequence[str]]:
    """Not too many in each, and in each some of all tables: so a run that is stopped has tried a bit of everything."""
    units = max(-(-len(names) // TOGETHER), min(workers, len(names)))
    return [names[at::units] for at in range(units)]


def _work(units: Any, results: Any, slices: tuple[str, ...]) -> None:
    parent = parent_process()
    assert parent is not None
    try:
        court, known = Court(TABLES, slices), own()
        while (unit := units.get()) is not None:
            for trial in court.tried([known[name] for name in unit], results.put):
                if not parent.is_alive():  # it was killed, and nobody waits for more
                    return
                results.put((trial.mutant.name, Entry.of(trial)))
        results.put(None)
    except BaseException as problem:
        results.put(problem)
        raise
