"""``hacore lint``: what is wrong with the tables."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from hacore.protocol.tables import TABLES, declared

HELP = """Look for rows, facts and states that cannot mean what they say.

A table checks much by itself when it is loaded: that every state has a last row that always holds, that no row has two
effects, that no effect rests on a document merely read. This command asks a solver (Z3) what can only be seen by
looking at rows together:

\b
  shadowed       the rows above take every case of this row: it never fires
  idle fact      a fact in a guard changes nothing, be it true or false
  unreachable    no rows that can fire lead to this state
  never entered  no row of another state leads to this state
  never left     no row leads out of this state, and it is not final
  unused         a fact or action is declared, and no row mentions it
  two meanings   one name is declared with two sentences
  contradiction  what a table assumes of its facts cannot be true together

One line for each finding; the exit code is 1 if there is any.
"""


@click.command(help=HELP, short_help="Find what is wrong with the tables.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def lint(as_json: bool) -> None:
    try:
        from model_check.lint import lint as findings_of
    except ModuleNotFoundError as missing:
        raise click.ClickException(f"{missing.name} is not installed: pip install hacore[check]") from None
    findings = findings_of(TABLES.values(), declared())
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        rows = sum(len(table.rows) for table in TABLES.values())
        click.echo("\n".join(map(str, findings)) or f"{rows} rows in {len(TABLES)} tables: nothing found")
    raise SystemExit(1 if findings else 0)
