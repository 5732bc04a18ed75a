"""``hacore prove``: the proof that the protocol is safe, and what would be wrong with others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Any

import click

from hacore.cli.text import aligned, say_json

HELP = """Prove that the protocol is safe, for any number of nodes, services and masters and for dense time.

The closed model is made from the tables. Each of its actions must keep each invariant: every such question is an
obligation, which a solver (Z3) settles alone, with all invariants assumed before the step. Given ROWs, only actions
whose names begin so are looked at. What is not proved is shown with a state and a step from it.

--why tells why the protocol is as it is. It replays a run of a weaker protocol with its times left open, and says for
exactly which durations two nodes would run one service; with a HOLE's name, or the first part of it, it shows a run.

\b
Examples:
  hacore prove                        half a minute, or minutes
  hacore prove lrm.wait crm.master.take
  hacore prove --why                  the holes, and when they are open
  hacore prove --why a                all about one of them

\b
Exit codes: 0 proved; 12 refuted; 3 not settled, or a hole is not as it was; 2 it was not understood.
"""
PROVED, REFUTED, NOT_SETTLED = 0, 12, 3
"""Exit codes: those of model_check.outcome."""


@click.command(help=HELP, short_help="Prove the protocol safe, and show why others are not.")
@click.argument("rows", nargs=-1, metavar="[ROW]...")
@click.option("--why", is_flag=False, flag_value="", metavar="[HOLE]", help="Show runs of weaker protocols instead.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(1), default=60.0, show_default=True, help="Seconds for one."
)
@click.option("--quiet", "-q", is_flag=True, help="Show only what is not proved, and the sum.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def prove(
    rows: tuple[str, ...], *, why: str | None, workers: int, timeout_s: float, quiet: bool, as_json: bool
) -> None:
    try:
        import z3  # noqa: F401 - whether it is there
    except ModuleNotFoundError as missing:
        raise click.ClickException(f"{missing.name} is not installed: pip install hacore[check]") from None
    if why is not None:
        raise SystemExit(_explain(why, as_json))
    raise SystemExit(_prove(rows, workers, timeout_s, quiet, as_json))


# ------------------------------------------------------------------------------------------------------------- proof


def _prove(rows: tuple[str, ...], workers: int, timeout_s: float, quiet: bool, as_json: bool) -> int:
    from model_check.theorem import prover

    begun, make = perf_counter(), partial(prover, rows, timeout_s)
    first = make()
    if len(first.steps) == 1:
        raise click.ClickException(f"no action's name begins with {' or '.join(rows)}: see hacore tables")
    due = sum(1 for number in range(len(first.steps)) for _ in first.obliged(number))
    found: list[Any] = []
    for obligation in _settled(first, make, workers):
        found.append(obligation)
        if not as_json and (obligation.verdict != "proved" or not quiet):
            click.echo(f"{len(found) / due:4.0%}  {obligation}")
        elif sys.stderr.isatty():
            click.echo(f"\r{len(found)} of {due}", err=True, nl=len(found) == due)
    counts = {verdict: sum(it.verdict == verdict for it in found) for verdict in ("proved", "refuted", "unknown")}
    seconds = perf_counter() - begun
    if as_json:
        say_json(_facts(rows, found, counts, seconds))
    else:
        click.echo("\n".join(_summary(rows, counts, seconds)))
    return REFUTED if counts["refuted"] else NOT_SETTLED if counts["unknown"] else PROVED


def _settled(first: Any, make: Callable[[], Any], workers: int) -> Iterator[Any]:
    """Obligations, each as soon as it is settled: by the first prover, or by others in processes of their own."""
    from model_check.prove import prove_all

    yield from first.prove() if workers == 1 else prove_all(make, workers)


def _summary(rows: tuple[str, ...], counts: dict[str, int], seconds: float) -> list[str]:
    from model_check.properties import SAFETY
    from model_check.theorem import ASSUMPTIONS

    total = sum(counts.values())
    line = f"{total} obligations in {seconds:.1f} s: {', '.join(f'{number} {it}' for it, number in counts.items())}"
    if rows or counts["proved"] < total:
        return [line]
    return [
        *("", line, "", "So in every run, with any number of nodes, services and masters, at any moment:"),
        *aligned(("", it.name, it.sentence) for it in SAFETY),
        *("", "This rests on what is assumed:"),
        *(f"  {it}" for it in ASSUMPTIONS),
    ]


def _facts(rows: tuple[str, ...], found: list[Any], counts: dict[str, int], seconds: float) -> dict[str, Any]:
    from model_check.counterexample import render
    from model_check.properties import SAFETY
    from model_check.theorem import ASSUMPTIONS

    return {
        "rows": list(rows),
        "seconds": round(seconds, 3),
        **counts,
        "safety": {it.name: it.sentence for it in SAFETY},
        "assumptions": list(ASSUMPTIONS),
        "obligations": [
            {
                **{"action": it.action or "start", "row": it.row, "invariant": it.invariant, "verdict": it.verdict},
                **{"seconds": round(it.seconds, 4), "used": list(it.used), "reason": it.reason},
                "counterexample": render(it.counterexample) if it.counterexample else "",
            }
            for it in found
        ],
    }


# ------------------------------------------------------------------------------------------------------------- --why


def _explain(name: str, as_json: bool) -> int:
    from model_check.holes import CLOSED, HOLES
    from model_check.why import as_json as told
    from model_check.why import explain, render

    every = (*HOLES, *CLOSED)
    chosen = [hole for hole in every if not name or hole.name == name or hole.name.startswith(f"{name}.")]
    if not chosen:
        names = ", ".join(hole.name for hole in every)
        raise click.BadParameter(f"no hole is called '{name}': there are {names}", param_hint="--why")
    found = []
    for hole in chosen:
        found.append(explain(hole, exemplify=bool(name) or as_json))
        if not as_json:
            click.echo(f"{render(found[-1])}\n")
    if as_json:
        say_json([told(explanation) for explanation in found])
    elif not name:
        click.echo("A hole's name after --why shows a run, step by step. Without holes there is none: hacore prove.")
    return PROVED if all(explanation.expected for explanation in found) else NOT_SETTLED
