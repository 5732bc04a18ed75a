"""``hacore coverage``: what of the tables has been seen in simulated runs, in a real one, and in the models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from hacore.protocol.tables import TABLES

if TYPE_CHECKING:
    from hacore.trace.coverage import Coverage

SEEDS = range(12)
"""Of `hacore sim faults`, a minute of trouble each."""
SCENARIOS = (
    "policy-migrate-reboot",
    "policy-freeze-shutdown",
    "disarm-freeze",
    "disarm-ignore",
    "maintenance-and-return",
    "relocate-after-failures",
    "stop-fails",
    "idle-lrm",
)
"""Of tests/scenarios, by hacore's own protocol."""
PATH = Path("docs/coverage.md")

HELP = f"""Show what of the tables is seen in runs: rows, values of facts, and which row follows which.

Simulated are the seeds {SEEDS[0]} to {SEEDS[-1]} of `hacore sim faults` and {len(SCENARIOS)} scenarios of
tests/scenarios; real is one `hacore demo`. Of the models it is known which rows never fire: `hacore check` fails if
that is not so. All of it takes about a minute and a half.

With --write it brings {PATH} up to date; to be run in the project's directory.
"""


@click.command(help=HELP, short_help="Show what of the tables is seen in runs.")
@click.option("--write", is_flag=True, help=f"Write {PATH}.")
def coverage(*, write: bool) -> None:
    simulated, real = in_simulation(SEEDS, SCENARIOS), in_a_demonstration()
    text = page(simulated, real, in_models())
    if write:
        PATH.write_text(text)
    else:
        click.echo(text, nl=False)


# ----------------------------------------------------------------------------------------------------------- sources


def in_simulation(seeds: Iterable[int], scenarios: Iterable[str] = (), minutes: float = 1.0) -> Coverage:
    """What simulated runs see."""
    from hacore.sim.faults import Seed, spread
    from hacore.sim.play import Play
    from hacore.sim.scenario import read_scenario
    from hacore.sim.traces import Tracer
    from hacore.trace.coverage import Coverage
    from hacore.trace.reading import Traces

    seen = Coverage()
    runs: list[Seed | Play] = [Seed(seed, spread(4, 3), minutes * 60) for seed in seeds]
    runs += [Play(read_scenario(Path("tests/scenarios") / f"{name}.json")) for name in scenarios]
    for run in runs:
        traces = Traces()

        def take(path: Path, line: dict[str, Any], traces: Traces = traces) -> None:
            if line.keys() & {"begin", "row"}:
                traces.take(path, 0, line)

        Tracer(run.world, Path(), take)
        run.run()
        seen.add(traces)
    return seen


def in_a_demonstration() -> Coverage:
    """What a real run sees."""
    from hacore.cli.demo import TIMING
    from hacore.runtime.demo import Demo
    from hacore.trace.coverage import Coverage
    from hacore.trace.reading import read

    seen = Coverage()
    with TemporaryDirectory(prefix="hacore-demo-") as directory:
        Demo(Path(directory), TIMING, lambda _: None).run()
        seen.add(read([Path(directory)]))
    return seen


def in_models() -> set[str]:
    """The rows that fire in some slice of `hacore check`, and those of the multiplexer."""
    from model_check.checks.sometimes import NEVER, rows_seen

    return {row.id for row in rows_seen(TABLES)} - NEVER.keys() | {row.id for row in TABLES["watchdog"].rows}


# ---------------------------------------------------------------------------------------------------------- the page


def page(simulated: Coverage, real: Coverage, models: set[str]) -> str:
    return "\n".join(_page(simulated, real, models)) + "\n"


def _page(simulated: Coverage, real: Coverage, models: set[str]) -> Iterator[str]:
    names = ", ".join(f"`{name}`" for name in SCENARIOS)
    yield "<!-- Written by `hacore coverage --write`. Not edited by hand. -->\n"
    yield "# What is seen of the tables\n"
    yield f"Simulated: seeds {SEEDS[0]} to {SEEDS[-1]} of `hacore sim faults`, a minute of trouble each, and of"
    yield f"`tests/scenarios`: {names}."
    yield "Real: one `hacore demo`. Models: `hacore check` fails if a row that is marked fires in no slice."
    yield ""
    yield "A value is a fact that held, or did not, when a row was looked for. A pair is a row and the next of the"
    yield "same machine: a process, a worker, a record, a node, the disarm request. Many pairs that the states allow"
    yield "cannot be, for other reasons. A master does not tell of rows that change no document: no run shows them.\n"
    yield from _summary(simulated, real, models)
    yield from _unseen(simulated, real, models)
    yield "\n## All rows\n"
    for table in TABLES.values():
        yield f"\n### {table.name}\n\n| row | simulated | real | models |\n|---|---|---|---|"
        for row in table.rows:
            marks = (row.id in simulated.rows, row.id in real.rows, row.id in models)
            yield f"| {row.id} | {' | '.join('yes' if mark else '-' for mark in marks)} |"


def _summary(simulated: Coverage, real: Coverage, models: set[str]) -> Iterator[str]:
    from hacore.trace.coverage import possible_pairs, possible_values

    yield "| table | rows | simulated | real | models | values | simulated | real | pairs | simulated | real |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for table in TABLES.values():
        rows, values = {row.id for row in table.rows}, set(possible_values(table))
        seen = [len(rows & it.keys()) for it in (simulated.rows, real.rows)]
        held = [len(values & it.values.keys()) for it in (simulated, real)]
        pairs = [sum(one in rows for one, _ in it.pairs) for it in (simulated, real)]
        numbers = [len(rows), *seen, len(rows & models), len(values), *held, possible_pairs(table), *pairs]
        yield f"| {table.name} | {' | '.join(map(str, numbers))} |"


def _unseen(simulated: Coverage, real: Coverage, models: set[str]) -> Iterator[str]:
    from hacore.trace.coverage import possible_values

    every = [row for table in TABLES.values() for row in table.rows]
    unseen = [row for row in every if row.id not in simulated.rows and row.id not in real.rows]
    silent = {row.id for row in unseen if is_silent(row.id)}
    yield "\n## Rows never seen outside the models\n"
    yield _listed(row.id for row in unseen if row.id in models and row.id not in silent)
    yield "\n## Rows seen nowhere\n"
    yield _listed(row.id for row in unseen if row.id not in models and row.id not in silent)
    yield "\n## Values of facts never seen in runs\n"
    values = [value for table in TABLES.values() for value in possible_values(table)]
    missing = (value for value in values if value not in simulated.values and value not in real.values)
    yield _listed(f"{table}: {'' if held else '~'}{fact}" for table, fact, held in missing)


def is_silent(row_id: str) -> bool:
    """Whether a master does not tell of the row, for it changes no document."""
    name = row_id.partition(".")[0]
    row = TABLES[name].by_id[row_id]
    return name in {"service", "node", "disarm"} and row.state == row.target and not row.do


def _listed(words: Iterable[str]) -> str:
    return "\n".join(f"- `{word}`" for word in words) or "None."
