"""``hacore fencing``: the devices by which nodes can be switched off."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from hacore.cli.service_options import text_option
from hacore.cli.services import insist_on_member
from hacore.cli.store import opened, read, update
from hacore.cli.text import aligned, say_json
from hacore.manager.documents import MEMBERS, SETTINGS, Device, Secret, Settings, dump, settings_of
from hacore.protocol.requests import Snapshot

HELP = """Show or change by which devices nodes can be switched off.

When a node is lost, its services wait until its watchdog must have ended everything there. If the node has fencing
devices, the master has them switch it off and then asks them whether it is off. If they all say so, the services are
recovered at once; if not, they wait as they would without. So devices save time, and are never needed.

A device is a fence agent (a program of the package fence-agents, which must be installed on every node) and its
parameters. Devices stand in levels. The levels of a node are tried in order until one works; the devices of one level
are used together, as for a node with two power supplies. A node that was switched off stays off until somebody switches
it on.
"""

ADD = """Add a device by which NODE can be switched off: the fence agent AGENT, such as fence_ipmilan.

The agent's parameters are those of its manual page: man fence_ipmilan, or fence_ipmilan -o metadata. Write passwords
as --secret NAME=FILE: the file (with the password as its only line) must be on every node, and is read when it is
needed. What is given with --set is stored in the cluster's documents.

A new device is a new level, tried after the others, unless --level names one that is there: then they are used
together.

\b
Examples:
  hacore fencing add node1 fence_ipmilan --set ip=10.0.0.11 --set username=admin --set lanplus=1 --set cipher=3 \\
      --secret password=/etc/hacore/ipmi-password
  hacore fencing add node1 fence_apc_snmp --set ip=10.0.0.9 --set port=1      if that fails: the power strip
  hacore fencing add node1 fence_apc_snmp --set ip=10.0.0.8 --set port=1 --level 2   and the second one, with it
  hacore fencing test node1
"""

HIDDEN = ("pass", "secret", "token")
TEST_S = 20.0


@click.group(invoke_without_command=True, help=HELP, short_help="Show or change by which devices nodes are fenced.")
@click.pass_context
def fencing(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@fencing.command("list", short_help="Show the devices.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def list_(directory: Path, as_json: bool) -> None:
    """Show the devices of each node, level by level; passwords are not shown."""
    with opened(directory) as store:
        nodes = settings_of(read(store)).fencing
    shown = {node: [[_shown(device) for device in devices] for devices in levels] for node, levels in nodes.items()}
    if as_json:
        say_json(shown)
        return
    rows = [
        (node, f"level {number}", device["agent"], _words(device["parameters"]))
        for node, levels in sorted(shown.items())
        for number, devices in enumerate(levels, 1)
        for device in devices
    ]
    click.echo("\n".join(aligned(rows)) or "no devices: a lost node's watchdog is waited for")


def _shown(device: Device) -> Any:
    """As it is stored, without what nobody is to read."""
    told = dump(device)
    for name, value in device.parameters.items():
        if isinstance(value, str) and any(part in name for part in HIDDEN):
            told["parameters"][name] = "***"
    return told


def _words(parameters: dict[str, Any]) -> str:
    return " ".join(f"{name}={it if isinstance(it, str) else 'file:' + it['file']}" for name, it in parameters.items())


def _pairs(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in values]
    for name, equals, _value in pairs:
        if not (name and equals):
            raise click.BadParameter(f"'{name}': write NAME=VALUE, such as ip=10.0.0.11")
    return {name: value for name, _, value in pairs}


@fencing.command("add", help=ADD, short_help="Add a device.")
@click.argument("node")
@click.argument("agent", callback=text_option)
@click.option("--set", "plain", multiple=True, metavar="NAME=VALUE", callback=_pairs, help="A parameter of the agent.")
@click.option(
    "--secret", multiple=True, metavar="NAME=FILE", callback=_pairs, help="One that is in a file on each node."
)
@click.option("--level", type=click.IntRange(1), metavar="N", help="Use it together with the devices of this level.")
@click.pass_obj
def add(directory: Path, /, node: str, agent: str, level: int | None, **given: dict[str, str]) -> None:
    try:
        secrets = {name: Secret(file) for name, file in given["secret"].items()}
        device = Device(agent, {**given["plain"], **secrets})
    except ValueError as problem:
        raise click.ClickException(str(problem)) from None

    def change(seen: Snapshot) -> Settings:
        insist_on_member(seen, node)
        settings = settings_of(seen)
        levels = [[*devices] for devices in settings.fencing.get(node, [])]
        if level is None or level == len(levels) + 1:
            levels.append([device])
        elif level <= len(levels):
            levels[level - 1].append(device)
        else:
            raise click.ClickException(f"{node} has {len(levels)} levels: the next one is {len(levels) + 1}")
        return replace(settings, fencing={**settings.fencing, node: levels})

    with opened(directory) as store:
        update(store, SETTINGS, change, rests_on=(MEMBERS,))
    click.echo(f"added {agent} for {node}; try it: hacore fencing test {node}")


@fencing.command(short_help="Remove devices.")
@click.argument("node")
@click.option("--level", type=click.IntRange(1), metavar="N", help="Only those of this level; later ones move up.")
@click.pass_obj
def remove(directory: Path, node: str, level: int | None) -> None:
    """Remove the devices of NODE, or those of one level."""

    def change(seen: Snapshot) -> Settings:
        settings = settings_of(seen)
        levels = _levels_of(settings, node)
        if level is not None and level > len(levels):
            raise click.ClickException(f"{node} has no level {level}, only {len(levels)}")
        left = [it for number, it in enumerate(levels, 1) if level not in {None, number}]
        others = {name: its for name, its in settings.fencing.items() if name != node}
        return replace(settings, fencing={**others, node: left} if left else others)

    with opened(directory) as store:
        update(store, SETTINGS, change)
    click.echo(f"removed {'the devices' if level is None else f'level {level}'} of {node}")


def _levels_of(settings: Settings, node: str) -> list[list[Device]]:
    if node not in settings.fencing:
        known = ", ".join(sorted(settings.fencing)) or "none"
        raise click.ClickException(f"{node} has no fencing devices; the nodes that have any are {known}")
    return settings.fencing[node]


@fencing.command(short_help="Ask every device of a node for its status, from here.")
@click.argument("node")
@click.option("--timeout", "timeout_s", type=float, default=TEST_S, show_default=True, metavar="SECONDS")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def test(ctx: click.Context, node: str, timeout_s: float, as_json: bool) -> None:
    """Ask every device of NODE for its status, from this machine. Nothing is switched.

    Do this on every node that may be master: each must be able to reach the devices of the others.

    \b
    Exit codes: 0 every device has said on or off; 1 some have not.
    """
    with opened(ctx.obj) as store:
        levels = _levels_of(settings_of(read(store)), node)
    devices = [(number, device) for number, its in enumerate(levels, 1) for device in its]
    with ThreadPoolExecutor(len(devices)) as pool:
        seen = list(pool.map(lambda each: seen_of(each[0], each[1], timeout_s), devices))
    if as_json:
        say_json(seen)
    else:
        rows = ((f"level {it['level']}", it["agent"], it["state"], f"{it['s']:.1f} s", it["problem"]) for it in seen)
        click.echo("\n".join(aligned(rows)))
    ctx.exit(1 if any(it["problem"] for it in seen) else 0)


def seen_of(level: int, device: Device, timeout_s: float) -> dict[str, Any]:
    """What a device of a level says of its status, within the time, or why it says nothing."""
    from hacore.devices.clock import now_s
    from hacore.devices.power import PowerError, status

    begin_s, state, problem = now_s(), "unknown", ""
    try:
        state = status(dump(device), begin_s + timeout_s)
    except PowerError as unknown:
        problem = str(unknown)
    return {"level": level, "agent": device.agent, "state": state, "s": round(now_s() - begin_s, 1), "problem": problem}
