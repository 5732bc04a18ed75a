"""``hacore check``: the protocol, model-checked."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from hacore.cli.text import say_json
from hacore.protocol.table import Table

HELP = """Check the protocol: the tables that the daemons run, by independent means.

\b
  lint       rows that never fire, states never reached (Z3)
  explore    every state of bounded worlds made from the tables: safety, deadlock, no needless reset
  sometimes  each row fires, and what must be possible happens
  live       what must come about does, under the assumptions that each line names: no fair run avoids it for ever
  prove      an inductive invariant, for any number of nodes and services and for dense time (Z3)
  tlc        TLC counts the same states of the same worlds
  must fail  weaker protocols, each of which must break a property
  refine     each step of the model is one that the specification written for people (spec/) tells (TLC)
  mutants    the tables with one thing changed: caught, or proved harmless, as docs/mutants.md says of each
  spec       the specification written for people (spec/), and its configurations that must fail (TLC)

One line a check. --quick takes about a minute, the default some minutes, --long much longer. Counterexamples are
numbered steps: the row that fired, and what it changed. Without a C compiler numpy explores, which takes longer.

With --tables the same is done with tables of your own: a Python module that defines them, or the JSON that `hacore
tables --json` writes, edited. Tables that FILE does not define are hacore's.

With --upgrade it checks a rolling update instead: clusters in which some daemons run the tables of OLD, written by the
old version's `hacore tables --json`, and some the present ones, in every order, there and back. A step of a
counterexample says which version took it.

\b
Examples:
  hacore check --quick
  hacore tables --json > mine.json; edit mine.json; hacore check --quick --tables mine.json
  hacore check --html report.html --junit report.xml
  hacore check --upgrade released.json

\b
Exit codes: 0 all is well; 12 a safety property is broken; 13 a liveness property is, or something never happens
that must be possible; 3 a check could not be carried out; 2 the command was not understood.
"""


@click.command(help=HELP, short_help="Check the protocol: explore, prove, TLC.")
@click.option("--quick", "level", flag_value="quick", help="About a minute.")
@click.option("--long", "level", flag_value="long", help="Everything.")
@click.option(
    "--tables", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Tables of your own."
)
@click.option(
    "--upgrade",
    "before",
    metavar="OLD",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A cluster of two versions: these tables, and the present ones.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Also write JUnit XML.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write a report to read.")
@click.option("--github", is_flag=True, help="Also print workflow annotations for GitHub.")
def check(
    *,
    level: str | None,
    path: Path | None,
    before: Path | None,
    as_json: bool,
    junit: Path | None,
    html: Path | None,
    github: bool,
) -> None:
    try:
        from model_check import report
        from model_check.check import Level, Tables, checks, upgrades
        from model_check.outcome import worst
    except ModuleNotFoundError as missing:
        raise click.ClickException(f"{missing.name} is not installed: pip install hacore[check]") from None
    tables, old, chosen = Tables(path), Tables(before), Level(level or "default")
    _refuse_bad(tables)
    _refuse_bad(old)
    begin, done = time.monotonic(), []
    results = upgrades(chosen, old, tables, _progress()) if before else checks(chosen, tables, _progress())
    for result in results:
        done.append(result)
        if not as_json:
            _tell(result)
    about = {"this run": {"level": chosen.value, "tables": str(path) if path else "hacore's own"}}
    if before:
        about["this run"] |= {"old tables": str(before)}
    if as_json:
        say_json(report.as_json(done, about))
    else:
        failed = sum(bool(result.verdict) for result in done)
        click.echo(f"{len(done)} checks, {failed} failed, {time.monotonic() - begin:.0f} s")
    if junit:
        junit.write_text(report.as_junit(done))
    if html:
        from model_check.report_html import as_html

        html.write_text(as_html(done, about, _drawings(tables()), tables(), None if path or before else _runs()))
    if github:
        click.echo("\n".join(report.as_github(done)))
    raise SystemExit(int(worst(done)))


def _runs() -> dict[str, int]:
    """How often each row fires in simulated runs: some seconds' worth."""
    from hacore.cli.coverage import in_simulation

    return dict(in_simulation(range(3)).rows)


def _drawings(tables: Mapping[str, Table]) -> dict[str, list[str]]:
    """The diagrams of each table, as SVG; none where nothing is installed that draws."""
    try:
        from hacore.drawing import dot, render

        return {name: [render.svg(text) for text in dot.pictures(table).values()] for name, table in tables.items()}
    except (ModuleNotFoundError, RuntimeError):
        return {}


def _refuse_bad(tables: Callable[[], object]) -> None:
    """A file that holds no tables is told of in one line."""
    try:
        tables()
    except Exception as problem:
        raise click.ClickException(str(problem) or repr(problem)) from None


def _tell(result: Any) -> None:
    from model_check import report

    _clear()
    click.echo(report.line(result))
    if result.verdict:
        click.echo(report.problem_text(result))


def _progress() -> Callable[[str], None]:
    """One line that is written over, if somebody looks."""

    def say(text: str) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r\033[K{text}", err=True, nl=False)

    return say


def _clear() -> None:
    if sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)
