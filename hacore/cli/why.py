"""``hacore why``: answers from traces, in plain sentences."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import click

from hacore.cli.text import say_json

if TYPE_CHECKING:
    from hacore.trace.history import History
    from hacore.trace.why import Answer

WIDTH = 110
INDENT = 13 * " "

WHY = """Say why something happened, from the traces of all nodes: in sentences, with times and the lines that show it.

Times are in seconds and count from the event that is explained. What a row means is said in the words of its table;
its id is in brackets.

\b
Examples:
  hacore why fenced node2                  the last time that this node was fenced
  hacore why moved proc:web                the last time that this service changed its node
  hacore why waiting                       what is not as requested at the end of the traces, and why
  hacore why waiting proc:web --trace t    from traces elsewhere: simulated ones, or copied from several machines

\b
Exit codes: 0 answered; 1 the traces do not tell of that; 2 there are no traces, or they cannot be understood.
"""


@click.group(help=WHY, short_help="Say why a node was fenced, a service moved, something waits.")
def why() -> None:
    pass


def _history(ctx: click.Context, places: tuple[Path, ...]) -> History:
    from hacore.trace.history import History
    from hacore.trace.merging import merged
    from hacore.trace.reading import TraceError, read

    try:
        traces = read(places or (ctx.obj,))
    except TraceError as problem:
        click.echo(f"hacore: {problem}", err=True)
        ctx.exit(2)
    return History.of(traces, merged(traces))


def _options(command: click.Command) -> click.Command:
    for option in (
        click.Option(
            ["--trace", "places"],
            multiple=True,
            type=click.Path(exists=True, path_type=Path),
            metavar="DIR",
            help="Traces: a directory or a file; may be repeated. Without it: those of the cluster in -C DIR.",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Answer in JSON."),
    ):
        command.params.append(option)
    return command


@_options
@why.command(short_help="Why a node was fenced.")
@click.argument("node")
@click.pass_context
def fenced(ctx: click.Context, node: str, places: tuple[Path, ...], as_json: bool) -> None:
    """Why NODE was fenced last: what failed first, and what followed."""
    from hacore.trace.why import fenced as answer

    _say(answer(_history(ctx, places), node), as_json)


@_options
@why.command(short_help="Why a service moved.")
@click.argument("sid")
@click.pass_context
def moved(ctx: click.Context, sid: str, places: tuple[Path, ...], as_json: bool) -> None:
    """Why the service SID changed its node last."""
    from hacore.trace.why import moved as answer

    _say(answer(_history(ctx, places), sid), as_json)


@_options
@why.command(short_help="What is waited for.")
@click.argument("sid", default="")
@click.pass_context
def waiting(ctx: click.Context, sid: str, places: tuple[Path, ...], as_json: bool) -> None:
    """What the service SID, or the whole cluster, waits for at the end of the traces."""
    from hacore.trace.why import waiting as answer

    _say(answer(_history(ctx, places), sid), as_json)


def _say(answer: Answer, as_json: bool) -> None:
    from hacore.trace.troubles import KINDS

    if as_json:
        say_json(asdict(answer))
        return
    click.echo(click.style(fill(answer.short, WIDTH), bold=True))
    if answer.first:
        click.echo(f"What failed first, {_when(answer.first.at - answer.at)}: {KINDS[answer.first.kind]}")
    for told in answer.then:
        click.echo(fill(f"{told.at - answer.at:+9.2f} s  {told.text}", WIDTH, subsequent_indent=INDENT))
        for place in _places(told.lines):
            click.echo(INDENT + click.style(place, dim=True))


def _places(lines: tuple[str, ...]) -> list[str]:
    """Lines of one file together."""
    by_file: dict[str, list[str]] = {}
    for line in lines:
        path, _, number = line.rpartition(":")
        by_file.setdefault(path, []).append(number)
    return [f"{path}:{','.join(numbers)}" for path, numbers in by_file.items()]


def _when(seconds: float) -> str:
    return f"{abs(seconds):.2f} s {'before' if seconds < 0 else 'after'}"
