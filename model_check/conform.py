"""The explorer and TLC, held against each other; and the model held against the specification that people wrote.

Two programs read one declaration in different ways: the explorer unrolls it into numbers, TLC gets symbolic text. So
equal numbers of states speak for both.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from hacore.protocol.table import Table
from model_check import tables_tla, tla, tlc
from model_check.ground import Ground
from model_check.lang import Model

MODULE = "Model"
SPEC = Path(__file__).parents[1] / "spec"


class Explored(Protocol):
    """What is compared, as :class:`model_check.explore.result.Exploration` has it."""

    @property
    def distinct(self) -> int: ...
    @property
    def generated(self) -> int: ...
    @property
    def depth(self) -> int: ...


@dataclass(frozen=True)
class Counts:
    """Of states: how many there are, how many steps lead to them (initial states included), and how many levels."""

    distinct: int
    generated: int
    depth: int


@dataclass(frozen=True)
class Conformance:
    """What the explorer found, what TLC found, and how long that took TLC."""

    explorer: Counts
    tlc: Counts
    seconds: float

    @property
    def equal(self) -> bool:
        """All numbers are the same. The steps are, too: no guard of a module makes TLC take one step twice."""
        return self.explorer == self.tlc


def against_tlc(
    model: Model,
    ground: Ground,
    explored: Explored,
    *,
    chosen: Mapping[str, object] | None = None,
    heap: str = "1g",
    timeout_s: float | None = None,
    brief: bool = False,
) -> Conformance:
    """Have TLC enumerate the model, too. ``explored``: all states, without symmetry, and with the same fields chosen.

    TLC checks the types besides. It has one worker: with more, its levels are not those of a breadth-first search.
    Raises :class:`model_check.tlc.TlcError`, also if TLC finds a value that its type does not have.
    """
    settings = tla.config(model, ground, ["TypeOK"], chosen=chosen)
    with TemporaryDirectory() as folder:
        spec = Path(folder) / f"{MODULE}.tla"
        spec.write_text(tla.module(model, MODULE, ground))
        answer = tlc.run(spec, settings, workers=1, deadlock=False, heap=heap, timeout_s=timeout_s, brief=brief)
    if answer.verdict is not tlc.Verdict.OK:
        raise tlc.TlcError(f"TLC stopped, for {answer.violated} does not hold in {answer.trace[-1].state}")
    return Conformance(
        Counts(explored.distinct, explored.generated, explored.depth),
        Counts(answer.distinct, answer.generated, answer.depth),
        answer.seconds,
    )


def against_companion(
    model: Model, ground: Ground, tables: Iterable[Table], timeout_s: float | None = None
) -> tlc.Answer:
    """Have TLC hold every step of the model against ``spec/HACluster.tla``, as ``spec/Refines.tla`` says.

    ``tables``: those that the model is made from. Of the properties, Begins is about the initial state, Steps about all
    others. Raises :class:`model_check.tlc.TlcError`.
    """
    settings = tla.config(model, ground, ()).replace("  Spec\n", "  Watched\n") + "PROPERTIES\n  Begins\n  Steps\n"
    with TemporaryDirectory() as name:
        folder = Path(name)
        for path in (SPEC / "HACluster.tla", SPEC / "Refines.tla"):
            shutil.copy(path, folder)
        (folder / tables_tla.NAME).write_text(tables_tla.text(tables))
        (folder / f"{MODULE}.tla").write_text(tla.module(model, MODULE, ground))
        return tlc.run(folder / "Refines.tla", settings, deadlock=False, brief=True, timeout_s=timeout_s)
