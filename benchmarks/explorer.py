"""The explorer against TLC with two workers: distinct states a second, on the same generated model, in one run.

The model is a slice of the world: the protocol's tables and all that may happen there. Each program is timed from the
ground model on, which both of them read: making text and compiling it, or starting Java and parsing it, are included.
Their numbers of states must be equal. On a shared machine the processor's seconds say more than the wall's.

Run it from the repository: ``python -m benchmarks.explorer``. TLC takes minutes. With ``--large`` the explorer alone
visits 10^8 states, and the peak of its memory is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hacore.protocol.tables import TABLES
from model_check import tla, tlc
from model_check.checks.explored import model_of
from model_check.explore import explore
from model_check.ground import Ground
from model_check.lang import Model
from model_check.world.slices import LONG, MILLION

EVERYWHERE = next(slice_ for slice_ in LONG if slice_.name == "everywhere")
LARGE = replace(EVERYWHERE, happens=EVERYWHERE.happens | {"unanswered", "dies"})
LARGE_STATES = 10**8


@dataclass(frozen=True)
class Measured:
    """One program's run. ``cpu_s``: of all its threads and processes."""

    name: str
    distinct: int
    wall_s: float
    cpu_s: float


def measured(name: str, run: Callable[[], int]) -> Measured:
    begin_s, used_s = time.perf_counter(), cpu_s()
    distinct = run()
    return Measured(name, distinct, time.perf_counter() - begin_s, cpu_s() - used_s)


def cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(it.ru_utime + it.ru_stime for it in used)


def by_tlc(model: Model, ground: Ground) -> int:
    with TemporaryDirectory() as folder:
        spec = Path(folder) / "Model.tla"
        spec.write_text(tla.module(model, "Model", ground))
        settings = tla.config(model, ground, model.invariants)
        return tlc.run(spec, settings, workers=2, deadlock=False, heap="2g").distinct


def by_explorer(ground: Ground, engine: str) -> int:
    """Nothing that an earlier run has compiled is used."""
    with TemporaryDirectory() as empty:
        os.environ["XDG_CACHE_HOME"] = empty
        return explore(ground, engine=engine, keep=False).distinct


def compare(rounds: int) -> list[Measured]:
    model = model_of(MILLION, TABLES)
    ground = Ground(model)
    found = []
    for _ in range(rounds):
        found += [measured(engine, lambda engine=engine: by_explorer(ground, engine)) for engine in ("c", "numpy")]  # type: ignore[misc]
    found.append(measured("tlc", lambda: by_tlc(model, ground)))
    if len({it.distinct for it in found}) > 1:
        raise SystemExit(f"they count different states: {found}")
    best = {name: min((it for it in found if it.name == name), key=lambda it: it.cpu_s) for name in ("c", "numpy")}
    return [best["c"], best["numpy"], found[-1]]


def large() -> None:
    ground = Ground(model_of(LARGE, TABLES))
    begin_s = time.perf_counter()
    found = explore(ground, engine="c", limit=LARGE_STATES, keep=False, progress=lambda now: print(now, flush=True))
    seconds, peak = time.perf_counter() - begin_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{found.distinct:,} distinct states, {found.generated:,} steps, depth {found.depth}: {seconds:.0f} s, "
        f"{found.distinct / seconds:,.0f} states/s, peak memory {peak:.2f} GiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="runs of the explorer, the best counts (%(default)s)")
    parser.add_argument("--large", action="store_true", help="the explorer alone, 10^8 states")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args()
    if options.large:
        large()
        return
    results = compare(options.rounds)
    if options.json:
        print(json.dumps([asdict(it) for it in results], indent=2))
        return
    print(f"{'':8}{'states':>12}{'wall s':>9}{'CPU s':>9}{'states/s':>12}{'ratio wall':>12}{'ratio CPU':>11}")
    base = results[-1]
    for it in results:
        print(
            f"{it.name:8}{it.distinct:12,}{it.wall_s:9.1f}{it.cpu_s:9.1f}{it.distinct / it.wall_s:12,.0f}"
            f"{base.wall_s / it.wall_s:12.1f}{base.cpu_s / it.cpu_s:11.1f}"
        )


if __name__ == "__main__":
    main()
