"""``hacore diagram``: draw the tables."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hacore.protocol.tables import TABLES

HELP = """Draw the tables that the daemons run.

For each table this writes a picture (TABLE.svg, from TABLE.dot) and a page (TABLE.md) with the theory, every row, and
every fact and action in a sentence. A large table is an overview and one picture for each state that operators see;
README.md lists them all. Only what is missing or stale is written; what is left over is removed.

How to read a picture: a box is a state, an edge is what may happen next. The number before a row is its place among
the rows of its state: they are tried in order, and the first whose guard holds fires. `&` is and, `|` is or, `~` is
not; the words are explained on the page. Colour says where a row takes effect, a dashed edge ends the daemon's round.

\b
Examples:
  hacore diagram                 bring diagrams/ up to date
  hacore diagram --check         say what is stale and exit with 1; needs no Graphviz
  hacore diagram --output /tmp/d draw somewhere else
"""


@click.command(help=HELP, short_help="Draw the tables.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if anything is missing, stale or left over.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("diagrams"),
    show_default=True,
    metavar="DIR",
    help="Where the files are.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def diagram(check: bool, output: Path, as_json: bool) -> None:
    try:
        from hacore.drawing.render import NoRendererError, generate, stale
    except ModuleNotFoundError as missing:
        raise click.ClickException(f"{missing.name} is not installed: pip install hacore[diagrams]") from None
    if check:
        faults = stale(TABLES.values(), output)
        _say({"stale": faults}, [*faults, f"{output}: run hacore diagram"] if faults else ["all fresh"], as_json)
        raise SystemExit(1 if faults else 0)
    try:
        changed = [str(path) for path in generate(TABLES.values(), output)]
    except NoRendererError as error:
        raise click.ClickException(str(error)) from None
    _say({"changed": changed}, changed or ["all fresh"], as_json)


def _say(answer: dict[str, list[str]], lines: list[str], as_json: bool) -> None:
    click.echo(json.dumps(answer) if as_json else "\n".join(lines))
