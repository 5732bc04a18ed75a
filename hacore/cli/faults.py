"""``hacore sim faults``: random trouble by the number of a seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from sys import stderr
from typing import TYPE_CHECKING, Any

import click

from hacore.cli.options import trace_option
from hacore.cli.text import say_json

if TYPE_CHECKING:
    from hacore.sim.faults import Seed

UNSAFE, UNSETTLED, CRASHED = 12, 13, 14
"""Exit codes: a promise was broken; the end is not as it should be; the simulator or a daemon crashed."""
CODES = {"crash": CRASHED, "safety": UNSAFE, "liveness": UNSETTLED}
"""The worst first."""
WORKERS = 2

FAULTS = """Simulate clusters in trouble: one for each seed, with the daemons and tables that run on nodes.

Before any request of any process it may be paused or killed; nodes are cut off, lose power, reboot and are updated;
calls to the store are slow, lost, or happen late; services fail, crash and get stuck; operators command this and that;
in every second seed nodes have fencing devices, which work, fail, hang or are late. A seed decides all of it, and which
kinds of trouble there are at all. What hacore promises is looked at in every event. Then nothing more happens, and
everything must come right.

A seed that fails is told at once; run it again by its number to see its story. Each fault has its own randomness, so
the seed can be shrunk: --shrink leaves out what is not needed for the failure.

\b
Examples:
  hacore sim faults --seeds 200
  hacore sim faults --seed 1234                 this one again, with its story if it fails
  hacore sim faults --seed 1234 --shrink        the fewest of its faults by which it fails
  hacore sim faults --seeds 50 --nodes 5 --services 12 --minutes 5

\b
Exit codes: 0 all held; 12 a promise was broken; 13 not everything came right in the end; 14 a crash of the simulator
  or of a daemon.
"""


@dataclass(frozen=True)
class Found:
    """What became of one seed; ``kind`` is "" if all held."""

    seed: int
    kind: str
    text: str
    story: str
    simulated_s: float
    cpu_s: float


@click.command(help=FAULTS, short_help="Simulate clusters in random trouble.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The first.")
@click.option("--nodes", type=click.IntRange(1, 99), default=3, show_default=True)
@click.option("--services", type=click.IntRange(0), default=4, show_default=True)
@click.option("--minutes", type=click.FloatRange(0), default=1.0, show_default=True, help="So long is trouble.")
@click.option("--shrink", is_flag=True, help="Tell of the first seed that fails by which of its faults it does.")
@trace_option
@click.option("--json", "as_json", is_flag=True, help="Print only what was found, in JSON.")
@click.pass_context
def faults(
    ctx: click.Context, /, *, seeds: int, seed: int, shrink: bool, trace: Path | None, as_json: bool, **size: Any
) -> None:
    if not as_json:
        click.echo("\n".join(_rates(seed, seeds, **size)))
    found = []
    for number, one in enumerate(_all(range(seed, seed + seeds), trace=trace, **size), 1):
        found.append(one)
        if one.kind and not as_json:
            click.echo(f"seed {one.seed}: {one.kind}: {one.text}")
        if not as_json and stderr.isatty():
            click.echo(f"{number} of {seeds}\r", nl=False, err=True)
    failed = sorted((one for one in found if one.kind), key=lambda one: one.seed)
    hours = sum(one.simulated_s for one in found) / 3600
    cpu_hours = sum(one.cpu_s for one in found) / 3600
    less = _shrunk(failed[0].seed, **size) if shrink and failed else {}
    if as_json:
        told = {"first_seed": seed, "seeds": seeds, **size, "simulated_hours": hours, "cpu_hours": cpu_hours}
        say_json({**told, "failed": [asdict(one) for one in failed], **less})
    else:
        if less:
            click.echo("\n".join(less["shrunk"]))
        elif seeds == 1 and failed:
            click.echo(failed[0].story)
        rate = f"{hours / cpu_hours:.0f} cluster-hours an hour of a core" if cpu_hours else ""
        click.echo(f"{len(failed)} of {seeds} seeds failed; {hours:.2f} cluster-hours simulated, {rate}")
    ctx.exit(next((code for kind, code in CODES.items() if any(one.kind == kind for one in failed)), 0))


def _rates(seed: int, seeds: int, nodes: int, services: int, minutes: float) -> list[str]:
    from hacore.sim import faults as chaos

    size = f"{nodes} nodes, {services} services, {minutes:g} min of trouble each"
    return [
        f"seeds {seed} to {seed + seeds - 1}: {size}; each seed draws one of",
        f"  a pause before a request: {', '.join(f'{rate:g}' for rate in chaos.PAUSE_RATES)}",
        f"  a kill before a request:  {', '.join(f'{rate:g}' for rate in chaos.KILL_RATES)}",
        f"  a slow call:              {', '.join(f'{rate:g}' for rate in chaos.SLOW_RATES)}",
        f"  other trouble every:      {', '.join(f'{gap_s:g}' for gap_s in chaos.GAPS_S)} s; each kind occurs at all"
        f" with {chaos.CHOSEN:g}",
    ]


def _all(seeds: range, **size: Any) -> Iterator[Found]:
    """As they end."""
    one: Callable[[int], Found] = partial(look, **size)
    if len(seeds) == 1:
        yield one(seeds[0])
        return
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        tasks = [pool.submit(one, seed) for seed in seeds]
        for task in as_completed(tasks):
            yield task.result()


def _run(seed: int, nodes: int, services: int, minutes: float, keep: Sequence[str] | None = None) -> Seed:
    from hacore.sim.faults import Seed, spread

    return Seed(seed, spread(services, nodes), minutes * 60, nodes=nodes, keep=keep)


def _shrunk(seed: int, **size: Any) -> dict[str, list[str]]:
    """By what a seed fails that does, in words."""
    from hacore.sim.shrink import failure, shrunk, told

    found = failure(_run(seed, **size))
    if found is None:
        return {}
    less, runs = shrunk(lambda keep: _run(seed, **size, keep=keep), found)
    head = f"seed {seed}: {less.name} by {len(less.faults)} of {len(found.faults)} faults, found in {runs} runs:"
    return {"shrunk": [head, *told(less), less.text]}


def look(seed: int, *, trace: Path | None = None, **size: Any) -> Found:
    """Run one seed. Its traces go to a directory of its own below ``trace``."""
    from hacore.sim.shrink import failure
    from hacore.sim.traces import traced

    begin_s = time.process_time()
    run = _run(seed, **size)
    with traced(run.world, trace and trace / f"seed-{seed}"):
        found = failure(run)
    kind, text, story = (found.kind, found.text, found.story) if found else ("", "", "")
    return Found(seed, kind, text, story, run.world.now, time.process_time() - begin_s)
