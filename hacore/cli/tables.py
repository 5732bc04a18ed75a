"""``hacore tables``: the rows that the daemons run, as text or as JSON."""

from __future__ import annotations

from collections.abc import Iterator

import click

from hacore.cli.text import aligned, say_json
from hacore.protocol.export import export
from hacore.protocol.table import Row, Table
from hacore.protocol.tables import TABLES

HELP = """Show the tables that the daemons run: all of them, or the one called NAME.

Of a state's rows the first whose guard holds fires. `&` is and, `|` is or, `~` is not. Each row: its id, where it leads
(`-` stays), the guard, `do` with what it does, `given` with what the store must find true in the same transaction;
`;` ends the daemon's round.

\b
Examples:
  hacore tables service              what the master does with a service
  hacore tables lrm | grep watchdog
  hacore tables --json > tables.json for other programs: the guards as trees, each fact with who vouches for it
"""


@click.command(help=HELP, short_help="Show the tables as text or JSON.")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def tables(name: str | None, as_json: bool) -> None:
    if name is not None and name not in TABLES:
        raise click.BadParameter(f"there is no table '{name}': the tables are {', '.join(TABLES)}", param_hint="NAME")
    if as_json:
        say_json(export(TABLES[name]) if name else {each: export(table) for each, table in TABLES.items()})
        return
    click.echo("\n".join(line for table in TABLES.values() if name in {None, table.name} for line in text(table)))


def text(table: Table) -> Iterator[str]:
    """One table: its theory, its rows state by state, and the words that they use."""
    title = f"The {table.name} table"
    yield from (title, "=" * len(title), "", table.theory.strip(), "")
    for state in table.states:
        within = f" (operators see {state.within})" if state.within else ""
        yield f"{state.name}: {state.sentence}{within}"
        yield from aligned(_row(row) for row in table.by_state[state.name])
        yield ""
    yield "Facts, and who vouches for them:"
    yield from aligned(("", fact.name, fact.checker, fact.sentence) for fact in sorted(table.facts, key=str))
    yield from ("", "Actions, and where they take effect:")
    yield from aligned(("", action.name, action.site, action.sentence) for action in sorted(table.actions, key=str))
    yield ""


def _row(row: Row) -> tuple[str, ...]:
    does = f"  do {', '.join(map(str, row.do))}" if row.do else ""
    given = f"  given {', '.join(map(str, row.given))}" if row.given else ""
    why = f"  -- {row.why}" if row.why else ""
    stays = row.target == row.state
    return ("", row.id, "-" if stays else row.target, f"{row.guard}{does}{given}{';' if row.ends_round else ''}{why}")
