"""``hacore demo``: three nodes, four services, three faults, one verdict."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from hacore.cli.options import settings_option

HELP = """Show failover on this machine: three nodes, four services, three faults, one verdict.

\b
1. kill     SIGKILL every daemon of one node (its services run on, unguarded, until the watchdog resets it)
2. freeze   SIGSTOP the LRM of another node
3. update   restart the LRM of a third node, as a package update would

After 1 and 2 the services must come up elsewhere; during 3 they must run on untouched. The timeline shows what the
daemons decided (from their traces) and what the machine room did. The verdict comes from a witness outside the cluster:
each service holds an exclusive lock on a file of its own, and a second one that finds it held is an overlap.

The timers are short, and checked against the safety inequality like any others: `hacore timing --set ...`.
Exit code 0: every service recovered, no overlap, no needless touch. 1: something else. Nothing is left running.
"""

TIMING = {"round_s": 0.5, "call_timeout_s": 0.25, "hardware_s": 0.75, "margin_s": 0.25, "monitor_s": 2.0}


@click.command(help=HELP, short_help="Show a failover, with a witness's verdict.")
@click.option("--keep", type=click.Path(path_type=Path), metavar="DIR", help="Use DIR, and keep traces and logs in it.")
@click.option("--json", "as_json", is_flag=True, help="Print the timeline and the verdict as JSON lines.")
@settings_option
def demo(keep: Path | None, timing: dict[str, Any], as_json: bool) -> None:
    from hacore.runtime.demo import Demo

    def tell(moment: dict[str, Any]) -> None:
        click.echo(json.dumps(moment) if as_json else _line(moment))

    with tempfile.TemporaryDirectory(prefix="hacore-demo-") as scratch:
        directory = (keep or Path(scratch)).resolve()
        if keep and any(directory.glob("*")):
            raise click.ClickException(f"{keep} is not empty: name a new directory")
        verdict = Demo(directory, {**TIMING, **timing}, tell).run()
    click.echo(json.dumps(verdict) if as_json else _verdict(verdict))
    sys.exit(0 if verdict["ok"] else 1)


def _line(moment: dict[str, Any]) -> str:
    if "title" in moment:
        return click.style(f"\n{moment['title']}", bold=True)
    about = " ".join(f"{key}={value}" for key, value in moment["about"].items())
    return f"{moment['t']:7.2f} s  {moment['actor']:<15} {moment['event']:<18} {about}"


def _verdict(verdict: dict[str, Any]) -> str:
    lines = [click.style("\nVerdict", bold=True)]
    for fault in verdict["faults"]:
        what = f"{fault['seconds']:.2f} s" if fault["ok"] else click.style("NOT", fg="red")
        lines.append(f"  {fault['name']:<8} {fault['promise']}: {what}")
    count = len(verdict["overlaps"])
    lines.append(f"  witness  services that ran twice: {click.style(str(count), fg='red') if count else 'none'}")
    lines.append(f"  traces   {_traced(verdict['trace'])}")
    bounds = f"{verdict['bound_s']:.1f} s, with the master {verdict['bound_with_master_s']:.1f} s"
    lines.append(f"  worst case by the settings: {bounds}")
    lines.append("  ok" if verdict["ok"] else click.style("  FAILED", fg="red"))
    return "\n".join(lines)


def _traced(trace: dict[str, Any]) -> str:
    if trace["problems"]:
        return click.style("\n           ".join(trace["problems"]), fg="red")
    return f"{trace['rows']} rows fired, each a step of the tables; every promise kept along {trace['lines']} lines"
