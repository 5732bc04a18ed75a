"""``hacore up``, ``node``, ``power``, ``restart-lrm``: a cluster on this machine, and the processes of a node."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from hacore.cli.options import settings_option

UP = """Run a local cluster: N nodes as process trees on this machine, until Ctrl-C.

Each node has an emulated power supply and an emulated hardware watchdog. When the watchdog of a node expires, every
process of that node is killed at once, its services included, and the node boots again after --boot seconds.

DIR (see `hacore -C DIR`) is made if it is not there; what is in it is kept. Timing is fixed when DIR is made.

\b
Examples:
  hacore -C /tmp/c up --nodes 3
  hacore -C /tmp/c add proc:web --node node1 --command "python3 -m http.server 8000"
  hacore -C /tmp/c status
  hacore -C /tmp/c power node1 off
"""


@click.command(help=UP, short_help="Run a local cluster on this machine.")
@click.option("--nodes", default=3, show_default=True, type=click.IntRange(1, 32), help="How many nodes.")
@click.option("--boot", "boot_s", default=2.0, show_default=True, help="Seconds from a node's end to its next boot.")
@settings_option
@click.option("--json", "as_json", is_flag=True, help="Print events as JSON lines.")
@click.pass_obj
def up(directory: Path, nodes: int, boot_s: float, timing: dict[str, Any], as_json: bool) -> None:
    from hacore.runtime.cluster import create, read_members, read_settings, timing_of
    from hacore.runtime.site import Site

    create(directory, [f"node{i + 1}" for i in range(nodes)], timing)
    timing_of(read_settings(directory))
    members = read_members(directory)

    def tell(event: dict[str, Any]) -> None:
        fields = " ".join(f"{key}={value}" for key, value in event.items() if key not in {"t", "event"})
        click.echo(json.dumps(event) if as_json else f"{event['t']:.2f}  {event['event']}  {fields}")

    Site(directory, members, lambda node: node_command(directory, node), boot_s, tell).run()


def node_command(directory: Path, node: str) -> list[str]:
    """The command that starts a node."""
    return [sys.executable, "-m", "hacore", "-C", str(directory.resolve()), "node", node]


@click.command(short_help="Be a node: what a unit file starts.")
@click.argument("name", required=False)
@click.pass_obj
def node(directory: Path, name: str | None) -> None:
    """Be the node NAME of the cluster in DIR: start its watchdog multiplexer, CRM and LRM, and keep them running.

    Without NAME it is the one that DIR/hacore.toml names.

    SIGTERM shuts the node down as the shutdown policy says, SIGUSR1 likewise for a reboot, SIGHUP restarts the LRM as a
    package update would. Its hardware watchdog is served by `hacore up`.
    """
    from hacore.runtime.cluster import read_members, read_settings, timing_of
    from hacore.runtime.config import FILE, load
    from hacore.runtime.node import Node

    name = name or load(directory).node
    if not name:
        raise click.ClickException(f"which node? {directory / FILE} does not say: hacore node NAME")
    timing_of(read_settings(directory))
    if name not in read_members(directory):
        raise click.ClickException(f"{name} is no node of this cluster: {', '.join(read_members(directory))}")
    Node(directory, name).run()


@click.command(hidden=True)
@click.argument("kind", type=click.Choice(["watchdog", "crm", "lrm"]))
@click.argument("name")
@click.option("--init", "init_pid", default=0, help="The parent, whose end is this process's end.")
@click.pass_obj
def daemon(directory: Path, kind: str, name: str, init_pid: int) -> None:
    """Be one daemon of a node; `hacore node` starts all of them."""
    from hacore.runtime.daemon import run

    run(kind, directory, name, init_pid)


@click.command(short_help="Switch a local node off or on, or reset it.")
@click.argument("name")
@click.argument("to", type=click.Choice(["off", "on", "reset"]))
@click.pass_obj
def power(directory: Path, name: str, to: str) -> None:
    """Pull the plug of the node NAME of a local cluster, plug it in again, or press its reset button.

    Nothing on the node is asked or warned: this is what a failure looks like.
    """
    from hacore.runtime.site import site_call

    site_call(directory, {"do": "power", "node": name, "to": to})


@click.command("restart-lrm", short_help="Restart a node's LRM as a package update would.")
@click.argument("name")
@click.pass_obj
def restart_lrm(directory: Path, name: str) -> None:
    """Restart the LRM of the node NAME of a local cluster, as a package update would.

    The LRM asks the master to freeze its services, waits for the acknowledgement, closes its watchdog, frees its lock
    and ends; the services run on. Then it is started again, takes lock and watchdog, and the services thaw.
    """
    from hacore.runtime.site import site_call

    nodes = site_call(directory, {"do": "status"})["nodes"]
    if name not in nodes:
        raise click.ClickException(f"{name} is no node of this site: {', '.join(sorted(nodes))}")
    if not nodes[name]["pid"]:
        raise click.ClickException(f"{name} is off: hacore power {name} on")
    os.kill(nodes[name]["pid"], signal.SIGHUP)
