"""``hacore add``, ``set``, ``remove``, ``config``, ``migrate``, ``relocate``, ``stop``: services."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from hacore.cli import waiting
from hacore.cli.service_options import service_options, with_given
from hacore.cli.store import opened, read, update
from hacore.cli.text import aligned, say_json, word
from hacore.devices.store import Store
from hacore.manager import commands
from hacore.manager.documents import (
    COMMANDS,
    MEMBERS,
    RESOURCES,
    STATUS,
    Commands,
    DocumentError,
    Resource,
    commands_of,
    members_of,
    resources_of,
    status_of,
)
from hacore.protocol.names import check_node, check_sid
from hacore.protocol.requests import Snapshot

STATES = """
\b
  started    it runs; if its node dies, it is started on another
  stopped    it does not run; if its node dies, it is moved to another
  disabled   it does not run, and stays where it is; also the way out of state error
  ignored    not managed: nobody looks at it
"""

TYPES = """
\b
  proc:NAME   a command, run by /bin/sh in /, which stays in the foreground; write `exec` before
              it where you can, so that it gets the signal to stop (SIGTERM) itself
                --command TEXT; directory, environment.NAME
  unit:NAME   systemd's NAME.service, which nothing but hacore may start: not enabled
                unit
  ocf:NAME    what a resource agent looks after (Debian: resource-agents)
                agent=PROVIDER:AGENT, parameters.NAME; start_timeout_s, monitor_timeout_s
  vm:NUMBER   a virtual machine of Proxmox VE    start_timeout_s, migrate_timeout_s
  ct:NUMBER   a container of Proxmox VE          start_timeout_s, migrate_timeout_s
"""

ADD = f"""Put the service SID under management.

SID is TYPE:NAME. The types, and their settings (--set KEY=VALUE), of which only --command and agent are a must:
{TYPES}
A VALUE that can be read as JSON is taken as such; quote it twice where a number is meant to be text.

The requested states:
{STATES}
\b
Examples:
  hacore add proc:web --node node1 --command "exec python3 -m http.server 8000"
  hacore add proc:db --node node2 --command "cd /srv/db && exec ./db" --stop-timeout 60 --max-relocate 3
  hacore add proc:old --node node1 --command "exec ./old" --state stopped --comment "see ticket 17"
  hacore add unit:nginx --node node1
  hacore add ocf:ip --node node1 --set agent=heartbeat:IPaddr2 --set parameters.ip=192.0.2.7
  hacore add vm:100 --node pve1 --stop-timeout 300
"""

SET = f"""Change what is configured of the service SID; what is not given stays as it is.

A new command, or a new stop time-out, counts from the next start or stop: what runs is not restarted. The node is not
configured but decided: see `hacore migrate`.

The requested states:
{STATES}
\b
Examples:
  hacore set proc:web --state stopped     stop it; it is still recovered to another node
  hacore set proc:web --state disabled    stop it, or bring it out of state error
  hacore set proc:web --state started --max-restart 3
  hacore set ocf:ip --set parameters.cidr_netmask=24 --set monitor_timeout_s=
"""


@click.command("add", help=ADD, short_help="Put a service under management.")
@click.argument("sid")
@click.option("--node", required=True, metavar="NODE", help="Where it is now, or shall be started.")
@service_options
@click.pass_obj
def add(directory: Path, /, sid: str, node: str, **given: Any) -> None:
    from hacore.devices.resources import validate

    check_sid(sid)
    resource = with_given(Resource(check_node(node)), given)
    validate(sid, resource.config)

    def change(seen: Snapshot) -> dict[str, Resource]:
        configured = resources_of(seen)
        if sid in configured:
            raise click.ClickException(f"{sid} is configured already: change it with hacore set {sid}")
        insist_on_member(seen, node)
        return {**configured, sid: resource}

    with opened(directory) as store:
        update(store, RESOURCES, change, rests_on=(MEMBERS,))
    click.echo(f"added {sid} on {node}, requested state {resource.state}")


@click.command("set", help=SET, short_help="Change a service's configuration or requested state.")
@click.argument("sid")
@service_options
@click.pass_obj
def change(directory: Path, /, sid: str, **given: Any) -> None:
    from hacore.devices.resources import validate

    if all(value is None for value in given.values()):
        raise click.UsageError("say what to change, such as --state stopped")

    def with_changes(seen: Snapshot) -> dict[str, Resource]:
        configured = resources_of(seen)
        resource = with_given(_configured_as(configured, sid), given)
        validate(sid, resource.config)
        if resource.state == "ignored":
            _insist_on_rest(seen, sid)
        return {**configured, sid: resource}

    with opened(directory) as store:
        resource = update(store, RESOURCES, with_changes, rests_on=(STATUS,))[sid]
    click.echo(f"{sid}: requested state {resource.state}")


@click.command(short_help="Take a service out of management.")
@click.argument("sid")
@click.pass_obj
def remove(directory: Path, sid: str) -> None:
    """Take the service SID out of management, and leave it as it is.

    What runs goes on running, unguarded: nobody stops it, and nobody starts it elsewhere when its node dies. Before it
    is added again on another node, make sure that it does not run any more, or it will run twice. Refused while nobody
    can know where the service runs: in fence, recovery and freeze, and while it moves.

    \b
    To end a service for good:
      hacore set SID --state disabled
      hacore status                     wait until it is stopped
      hacore remove SID
    """
    removed: list[str] = []

    def without(seen: Snapshot) -> dict[str, Resource]:
        configured = resources_of(seen)
        resource = _configured_as(configured, sid)
        record = status_of(seen).services.get(sid)
        _insist_on_rest(seen, sid)
        removed[:] = [record.node, record.state] if record else [resource.node, "not managed yet"]
        return {other: it for other, it in configured.items() if other != sid}

    with opened(directory) as store:
        update(store, RESOURCES, without, rests_on=(STATUS,))
    node, state = removed
    click.echo(f"removed {sid} from management; it is left as it is on {node} ({state})")


@click.command(short_help="Show the services that are configured.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def config(directory: Path, as_json: bool) -> None:
    """Show what is configured of each service. For what becomes of them, see `hacore status`."""
    with opened(directory) as store:
        resources = {sid: msgspec.structs.asdict(it) for sid, it in sorted(resources_of(read(store)).items())}
    if as_json:
        say_json(resources)
        return
    for sid, fields in resources.items():
        settings = fields.pop("config")
        click.echo(sid)
        said = [("", name, word(value)) for name, value in {**fields, **settings}.items() if value != ""]
        click.echo("\n".join(aligned(said)))
    if not resources:
        click.echo("no service is configured: see hacore add --help")


# -------------------------------------------------------------------------------------------- what the master does


@click.command(short_help="Move a service while it runs, where its type can.")
@click.argument("sid")
@click.argument("node")
@waiting.wait_option
@click.pass_obj
def migrate(directory: Path, sid: str, node: str, wait_s: float | None) -> None:
    """Move the service SID to NODE while it runs.

    Types that cannot do that (proc cannot) are stopped, and started on NODE: as with `hacore relocate`. If the move
    fails, the service stays where it is. The command is queued; the master refuses it if NODE is not online by then.

    \b
    Example:
      hacore migrate proc:web node2 --wait 30
    """
    _move(directory, "migrate", sid, node, wait_s)


@click.command(short_help="Stop a service, and start it on another node.")
@click.argument("sid")
@click.argument("node")
@waiting.wait_option
@click.pass_obj
def relocate(directory: Path, sid: str, node: str, wait_s: float | None) -> None:
    """Stop the service SID, hand it over to NODE, and start it there.

    A service that is stopped is handed over, and stays stopped. The command is queued; the master refuses it if NODE is
    not online by then.

    \b
    Example:
      hacore relocate proc:web node2
    """
    _move(directory, "relocate", sid, node, wait_s)


def _move(directory: Path, verb: str, sid: str, node: str, wait_s: float | None) -> None:
    def judge(seen: Snapshot) -> str:
        resource = _managed(seen, sid)
        insist_on_member(seen, node)
        record = status_of(seen).services.get(sid)
        if node == (record.node if record else resource.node):
            raise click.ClickException(f"{sid} is on {node} already")
        return f"{verb} {sid} {node}"

    with opened(directory) as store:
        queue(store, judge, waiting.moved(sid, node), wait_s)


@click.command(short_help="Stop a service, within a given time.")
@click.argument("sid")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.IntRange(0),
    metavar="SECONDS",
    help="How long it may take, before it is stopped by force; 0: by force at once. Default: as configured.",
)
@waiting.wait_option
@click.pass_obj
def stop(directory: Path, sid: str, timeout_s: int | None, wait_s: float | None) -> None:
    """Stop the service SID; its requested state becomes stopped.

    So it is still recovered to another node if its node dies, but not started there. It is started again with
    `hacore set SID --state started`.

    \b
    Examples:
      hacore stop proc:web
      hacore stop proc:web --timeout 120 --wait 130
    """
    from hacore.devices.resources import stop_timeout_s

    def judge(seen: Snapshot) -> str:
        resource = _managed(seen, sid)
        if resource.state != "started":
            raise click.ClickException(f"{sid} is not to be stopped: its requested state is {resource.state} already")
        configured_s = stop_timeout_s(sid, resource.config)
        return f"stop {sid} {math.ceil(configured_s) if timeout_s is None else timeout_s}"

    with opened(directory) as store:
        queue(store, judge, waiting.stopped(sid), wait_s)


def queue(store: Store, judge: Callable[[Snapshot], str], goal: waiting.Goal, wait_s: float | None) -> None:
    """Queue the command that ``judge`` makes of the documents, unless it raises; then wait for it, if that is asked."""

    def change(seen: Snapshot) -> Commands:
        return commands.append(commands_of(seen), judge(seen))

    queued = update(store, COMMANDS, change).queue[-1]
    click.echo(f"queued as command {queued.id}: {queued.text}")
    if wait_s is not None:
        waiting.wait(store, queued.id, goal, wait_s)


def _insist_on_rest(seen: Snapshot, sid: str) -> None:
    """Raise ClickException while the service may run where nobody guards it, or on one of two nodes."""
    record = status_of(seen).services.get(sid)
    if record and record.state in {"fence", "recovery", "freeze", "migrate", "relocate", "request_start_balance"}:
        raise click.ClickException(f"{sid} is in state {record.state}: wait until that is over (hacore status)")


def insist_on_member(seen: Snapshot, node: str) -> None:
    """Raise ClickException unless the node belongs to the cluster."""
    members = members_of(seen)
    if check_node(node) not in members:
        raise click.ClickException(f"{node} is no node of this cluster; its nodes are {', '.join(members) or 'none'}")


def _configured_as(configured: dict[str, Resource], sid: str) -> Resource:
    check_sid(sid)
    if sid not in configured:
        known = ", ".join(sorted(configured)) or "none"
        raise DocumentError(f"{sid} is not configured; the services are {known}")
    return configured[sid]


def _managed(seen: Snapshot, sid: str) -> Resource:
    resource = _configured_as(resources_of(seen), sid)
    if resource.state == "ignored":
        raise click.ClickException(f"{sid} is not managed: its requested state is ignored")
    return resource
