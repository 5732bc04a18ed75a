"""Good traces, and the ways to forge them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hacore.protocol.tables import TABLES
from hacore.sim.faults import Seed
from hacore.sim.traces import traced

Said = dict[str, Any]
Files = dict[Path, list[Said]]


def simulate(directory: Path, seed: int, duration_s: float = 20.0, **more: Any) -> Path:
    """The traces of a simulated cluster in trouble."""
    run = Seed(seed, duration_s=duration_s, **more)
    with traced(run.world, directory):
        run.run()
    return directory


def load(directory: Path) -> Files:
    return {
        path: [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted(directory.rglob("trace/*.jsonl"))
    }


def write(path: Path, lines: list[Said]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def indices(lines: list[Said]) -> list[int]:
    """Those lines after which the same process has taken another step."""
    found, pending = list[int](), list[int]()
    for number, line in enumerate(lines):
        if "begin" in line:
            pending.clear()
            continue
        pending.append(number)
        if "row" in line and "worker" not in line:
            found += pending[:-1]
            pending = pending[-1:]
    return found


# ------------------------------------------------------------------- each alters one line, or leaves it as it is: False


def another_row(lines: list[Said], at: int) -> bool:
    said = lines[at]
    others = (
        [row.id for row in TABLES[said["row"].partition(".")[0]].rows if row.id != said["row"]] if "row" in said else []
    )
    if others:
        said["row"] = others[at % len(others)]
    return bool(others)


def another_target(lines: list[Said], at: int) -> bool:
    if "row" not in lines[at]:
        return False
    table = TABLES[lines[at]["row"].partition(".")[0]]
    lines[at]["to"] = next(state.name for state in table.states if state.name != lines[at]["to"])
    return True


def another_fact(lines: list[Said], at: int) -> bool:
    """A fact is taken away, or one is added that is asked for in that state."""
    said = lines[at]
    if "row" not in said:
        return False
    asked = [fact.name for fact in TABLES[said["row"].partition(".")[0]].facts_of(said["from"])]
    if not asked:
        return False
    fact = asked[at % len(asked)]
    said["facts"] = sorted({*said["facts"]} ^ {fact})
    return True


def a_row_too_few(lines: list[Said], at: int) -> bool:
    if "row" not in lines[at]:
        return False
    del lines[at]
    return True


def a_line_twice(lines: list[Said], at: int) -> bool:
    lines.insert(at, lines[at])
    return True


def a_line_too_few(lines: list[Said], at: int) -> bool:
    del lines[at]
    return True


def another_revision(lines: list[Said], at: int) -> bool:
    answer = lines[at].get("answer")
    if not (isinstance(answer, dict) and "Committed" in answer):
        return False
    answer["Committed"]["revision"] += 1 if at % 2 else -1
    return True


def another_token(lines: list[Said], at: int) -> bool:
    for document in lines[at].get("writes", {}).values():
        if "token" in document:
            document["token"] += 1
            return True
    return False


def another_decision(lines: list[Said], at: int) -> bool:
    decided = lines[at].get("decided")
    if decided:
        decided.pop(at % len(decided))
    return bool(decided)


def swapped(lines: list[Said], at: int) -> bool:
    """Two neighbours, of the same process and of the same machine in it."""
    one, other = lines[at], lines[at + 1]
    if "begin" in other or one.get("worker") != other.get("worker") or {**one, "t": 0} == {**other, "t": 0}:
        return False
    lines[at], lines[at + 1] = other, one
    return True


FORGERIES: dict[str, Callable[[list[Said], int], bool]] = {
    function.__name__: function
    for function in (
        another_row,
        another_target,
        another_fact,
        a_row_too_few,
        a_line_twice,
        a_line_too_few,
        another_revision,
        another_token,
        another_decision,
        swapped,
    )
}
