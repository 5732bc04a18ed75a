"""``hacore update``: a node's package update, which touches no service and resets no node."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from hacore.cli import Failure
from hacore.cli.text import say_json

HELP = """Run COMMAND on this machine, the node NODE, while its LRM is down and its services run on, frozen.

It refuses, and says why, unless the store answers, a master lives, no service of the node is in error or on its way,
and nobody else is updating. Then the LRM asks the master to freeze the node's services, closes its watchdog and ends;
COMMAND runs; the daemons start again, except for `hacore node` itself; the services thaw; all must be as before.

While COMMAND runs nobody looks after the services of the node, and none of them is recovered if the node fails: it
should not ask questions, and end in time (`timeout 300 apt-get -y ...`). If this command is killed, the LRM comes back
at once, and COMMAND runs on beside it.

--rolling does all nodes, one after the other, and stops at the first doubt. --via says how a node is reached: the words
before the command, with {node} for its name. Without it all nodes must be on this machine.

\b
Examples:
  hacore -C /etc/hacore update alpha -- apt-get -y install hacore
  hacore -C /etc/hacore update --rolling --via "ssh root@{node}" -- apt-get -y install hacore
  hacore -C /etc/hacore update alpha --clear      forget an update that was killed

\b
Exit codes: 0 done, and all is as before; 1 refused, nothing was begun; 2 not understood; 3 begun, and something is
amiss (also: COMMAND failed), which one line says.
"""


class Doubt(Failure):
    """It was begun, and something is amiss."""

    exit_code = 3


@click.command(help=HELP, short_help="Run a package update on a node; services run on.")
@click.argument("node", required=False)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.option("--rolling", is_flag=True, help="All nodes, one after the other.")
@click.option("--via", metavar="WORDS", help='How a node is reached, such as "ssh {node}".')
@click.option("--clear", is_flag=True, help="Forget an update of NODE that was killed.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def update(
    directory: Path,
    *,
    node: str | None,
    command: tuple[str, ...],
    rolling: bool,
    via: str | None,
    clear: bool,
    as_json: bool,
) -> None:
    words = ((node,) if rolling and node else ()) + command
    if clear:
        if not node or command or rolling or via:
            raise click.UsageError("write hacore update NODE --clear")
        _clear(directory, node)
    elif not words:
        raise click.UsageError("write hacore update NODE -- COMMAND..., or hacore update --rolling -- COMMAND...")
    elif rolling:
        _roll(directory, words, via, as_json)
    elif via:
        raise click.UsageError("--via goes with --rolling")
    else:
        assert node
        steps = _update(directory, node, words, quiet=as_json)
        if as_json:
            say_json({"node": node, "steps": steps})


def _update(directory: Path, node: str, command: Sequence[str], *, quiet: bool) -> list[str]:
    from hacore.runtime.update import UpdateDoubt, update_node

    steps: list[str] = []

    def tell(step: str) -> None:
        steps.append(step)
        if not quiet:
            click.echo(step, err=True)

    try:
        update_node(directory, node, command, tell)
    except UpdateDoubt as doubt:
        raise Doubt(f"{node}: {doubt}") from None
    return steps


def _clear(directory: Path, node: str) -> None:
    from hacore.runtime.update import clear

    if not clear(directory, node):
        raise click.ClickException(f"nobody has begun an update of {node}")
    click.echo(f"{node}: the update is forgotten")


def _roll(directory: Path, command: Sequence[str], via: str | None, as_json: bool) -> None:
    from hacore.runtime.cluster import read_members

    done: list[str] = []
    for node in read_members(directory):
        words = ["-C", str(directory.resolve()), "update", node, "--", *command]
        there = [*shlex.split(via.replace("{node}", node)), shlex.join(["hacore", *words])] if via else None
        code = subprocess.run(there or [sys.executable, "-m", "hacore", *words], check=False).returncode
        if code:
            begun = f"{', '.join(done)} done" if done else "no node was done before"
            kind = Failure if code == 1 and not done else Doubt
            raise kind(f"stopped at {node}, which said why ({begun}, the rest untouched)")
        done.append(node)
    if as_json:
        say_json({"nodes": done})
    else:
        click.echo(f"updated: {', '.join(done)}")
