"""``hacore trace``: what daemons wrote down, held against what they promise."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hacore.cli.faults import UNSAFE
from hacore.cli.text import say_json

if TYPE_CHECKING:
    from hacore.trace.checking import Report


@click.group(short_help="Check what daemons wrote down.")
def trace() -> None:
    """Check the traces that daemons leave, real ones or simulated ones (docs/tracing.md)."""


CHECK = """Check the traces in FILES, or in all directories among them, as one run of one cluster.

Each line that says that a row fired must be a step of the tables: the row exists, it leaves the state that the daemon
is in, it is the first whose guard holds given the facts recorded, and its effect follows, and no other. Then each
daemon lives again: given the answers recorded, it must ask what the trace says that it asked. Traces of several nodes
are merged by the store's revisions, and what must always hold (PROTOCOL section 10) is looked at along the way.

With --tla, TLC confirms for each service that the trace is a behaviour of spec/HACluster.tla.

\b
Examples:
  hacore trace check hacore-cluster                      a local cluster's, also while it runs
  hacore sim run failover.json --trace t && hacore trace check t
  hacore trace check alpha/lrm.jsonl beta/lrm.jsonl      as far as these two files tell

\b
Exit codes: 0 all is well; 12 a line is no step of the tables, or a promise is broken; 2 there is no trace, or it
  cannot be understood; 3 TLC could not be run.
"""


@trace.command(help=CHECK, short_help="Hold traces against tables and promises.")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--tla", is_flag=True, help="Also have TLC confirm it.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def check(ctx: click.Context, /, files: tuple[Path, ...], *, tla: bool, as_json: bool) -> None:
    from hacore.trace.checking import check as checked
    from hacore.trace.reading import TraceError

    try:
        report = checked(files)
    except TraceError as problem:
        click.echo(f"hacore: {problem}", err=True)
        ctx.exit(2)
    confirmed = _confirmed(ctx, files) if tla and not report.problems else []
    ok = not report.problems and all(one.ok for one in confirmed)
    if as_json:
        say_json({**asdict(report), "tla": [asdict(one) for one in confirmed], "ok": ok})
    else:
        for found in report.problems:
            click.echo(str(found))
        for one in confirmed:
            click.echo(one.sentence())
        click.echo(sentence(report))
    ctx.exit(0 if ok else UNSAFE)


@dataclass(frozen=True)
class Confirmed:
    """How far TLC could follow a service's trace."""

    sid: str
    steps: int
    of: int
    until: str
    """What the specification does not tell of any more."""
    refused: str
    """The line that is no step of it."""

    @property
    def ok(self) -> bool:
        return self.steps == self.of

    def sentence(self) -> str:
        if self.ok:
            return f"TLC: {self.sid}: a behaviour of the specification, all {self.of} steps, until {self.until}"
        return f"TLC: {self.sid}: step {self.steps + 1} of {self.of} is none of the specification's ({self.refused})"


def _confirmed(ctx: click.Context, files: tuple[Path, ...]) -> list[Confirmed]:
    try:
        from model_check.tlc import TlcError
        from model_check.trace_tla import consumed
    except ModuleNotFoundError as missing:
        raise click.ClickException(f"{missing.name} is not installed: pip install hacore[check]") from None
    from hacore.trace.abstract import abstract, services
    from hacore.trace.merging import merged
    from hacore.trace.reading import read

    traces = read(files)
    order, found = merged(traces), []
    for sid in services(order):
        told = abstract(traces, order, sid)
        try:
            steps = consumed(told.nodes, sid, told.home, [event.fields() for event in told.events])
        except TlcError as problem:
            click.echo(f"hacore: {problem}", err=True)
            ctx.exit(3)
        refused = told.events[steps].line.place if steps < len(told.events) else ""
        found.append(Confirmed(sid, steps, len(told.events), told.end, refused))
    return found


def sentence(report: Report) -> str:
    """What came of a check, in one line."""
    size = f"{report.nodes} nodes, {report.lives} processes, {report.lines} lines, {report.rows} rows"
    partial = f"; {report.partial} without their beginning" if report.partial else ""
    return f"{len(report.problems) or 'no'} problem{'s' * (len(report.problems) != 1)}: {size}{partial}"
