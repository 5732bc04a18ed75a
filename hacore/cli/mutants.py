"""``hacore mutants``: what each part of the tables is for."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import Any

import click

from hacore.cli.text import say_json

HELP = """Change one thing in the tables, and see what becomes of it.

Without options: how many mutants there are, and what became of them. With --row those of one row are tried, and the run
that breaks a property is shown, step by step. docs/mutants.md has all of them, docs/guards.md what each guard is for.

--write tries those that are not on record (model_check/mutants/record.json), and brings record and pages up to date.
What is tried is kept at once: it may be stopped at any time. With --anew all are tried, which takes hours.

\b
Examples:
  hacore mutants
  hacore mutants --row lrm.wait.ask
  hacore mutants --write

\b
Exit codes: 0 done; 2 it was not understood.
"""
KEPT_S = 10.0
"""How often the record is written while mutants are tried."""


@click.command(help=HELP, short_help="Change one thing in the tables, and see what becomes of it.")
@click.option("--row", metavar="ROW", help="Try the mutants of this row, and show what becomes of each.")
@click.option("--write", is_flag=True, help="Try what is not on record; bring record and pages up to date.")
@click.option("--anew", is_flag=True, help="With --write: try all of them.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def mutants(*, row: str | None, write: bool, anew: bool, as_json: bool) -> None:
    try:
        import z3  # noqa: F401 - whether it is there
    except ModuleNotFoundError as missing:
        raise click.ClickException(f"{missing.name} is not installed: pip install hacore[check]") from None
    if anew and not write:
        raise click.UsageError("--anew goes with --write")
    if row:
        _story(row, as_json)
    elif write:
        _write(anew, as_json)
    else:
        _summary(as_json)


def _story(row: str, as_json: bool) -> None:
    from hacore.protocol.tables import TABLES
    from model_check.mutants.changes import own
    from model_check.mutants.court import Court
    from model_check.mutants.record import Entry

    chosen = [it for it in own().values() if it.row == row]
    if not chosen:
        raise click.BadParameter(f"no mutant changes a row called '{row}': see hacore tables", param_hint="--row")
    told = []
    for trial in Court(TABLES).tried(chosen, _progress):
        _clear()
        told.append({"name": trial.mutant.name, **asdict(Entry.of(trial)), "run": [asdict(it) for it in trial.steps]})
        if not as_json:
            click.echo("\n".join([f"{trial.mutant.name}\n  {Entry.of(trial)}", *map(_step, trial.steps)]))
    _clear()
    if as_json:
        say_json(told)


def _step(step: Any) -> str:
    changes = ", ".join(f"{name}: {old} -> {new}" for name, (old, new) in step.changes.items())
    return f"  {step.number:3} {step.name}  {changes}"


def _write(anew: bool, as_json: bool) -> None:
    from model_check.mutants.changes import own
    from model_check.mutants.pages import pages
    from model_check.mutants.record import load, save, tried

    known = {} if anew else {name: entry for name, entry in load().items() if name in own()}
    due = [name for name in own() if name not in known]
    kept = time.monotonic()
    try:
        for number, (name, entry) in enumerate(tried(due, say=_progress), 1):
            known[name] = entry
            _clear()
            if not as_json:
                click.echo(f"{number} of {len(due)}: {name}: {entry}")
            if time.monotonic() - kept > KEPT_S:
                save(known)
                kept = time.monotonic()
    finally:
        save(known)
        for path, text in pages(known).items():
            path.write_text(text, encoding="utf8")
    if as_json:
        say_json({"tried": due, "on record": len(known)})


def _summary(as_json: bool) -> None:
    from model_check.mutants.changes import own
    from model_check.mutants.pages import UNTRIED
    from model_check.mutants.record import load

    known, counts = load(), dict[str, int]()
    for name in own():
        fate = known[name].fate if name in known else UNTRIED
        counts[fate] = counts.get(fate, 0) + 1
    if as_json:
        say_json({"mutants": sum(counts.values()), **counts})
    else:
        click.echo("\n".join(f"{number:5} {fate}" for fate, number in sorted(counts.items())))


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{text}", err=True, nl=False)


def _clear() -> None:
    if sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)
