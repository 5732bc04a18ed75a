"""``hacore plan``: what would happen if, worked out on a copy of the documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import click

from hacore.cli.store import opened, read
from hacore.cli.text import aligned, say_json
from hacore.manager import commands
from hacore.manager.documents import (
    COMMANDS,
    REQUESTED_STATES,
    RESOURCES,
    RULES,
    DocumentError,
    Resource,
    commands_of,
    dump,
    members_of,
    resources_of,
)
from hacore.manager.plan import Plan, plan, with_documents
from hacore.manager.rules import listed, rules_of
from hacore.protocol.names import check_sid
from hacore.protocol.requests import JSON, Document, Snapshot

HELP = """Say what would happen if, and touch nothing.

The master's rounds are run on a copy of the documents, with every service doing as it is asked to: what is moved,
started, stopped and recovered, what is refused, and what would have no node to run on. Only what follows from the
change is told.

\b
Examples:
  hacore plan node-down node1
  hacore plan migrate proc:web node2
  hacore plan rule new-rules.json --json
  hacore plan documents > now.json; hacore plan node-down node1 --status now.json

\b
Exit codes: 0 it can be done; 1 something is refused, or a service would have no place; 2 it was not understood.
"""

Change = Callable[[Snapshot], Snapshot]
SHOWN = {
    "migrate": "migrates from {node} to {target}",
    "relocate": "is relocated from {node} to {target}",
    "request_start_balance": "is to be started on {target} rather than on {node}",
    "request_stop": "is stopped on {node}",
    "freeze": "is frozen on {node}",
    "error": "is in error on {node}",
}
STARTED_FROM = {"new", "request_start", "stopped", "recovery"}


@click.group("plan", help=HELP, short_help="Say what would happen if, and touch nothing.")
def group() -> None:
    pass


def _answers(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")(command)
    option = click.option("--status", "source", type=click.File(), metavar="FILE", help="Documents, not the cluster's.")
    return option(click.pass_context(command))


@group.command(short_help="NODE fails.")
@click.argument("node")
@_answers
def node_down(ctx: click.Context, node: str, **how: Any) -> None:
    """What would happen if NODE failed now, once it is fenced."""
    _tell(ctx, lambda seen: _of_member(seen, node), down=(node,), **how)


@group.command(short_help="NODE is put into maintenance.")
@click.argument("node")
@_answers
def node_maintenance(ctx: click.Context, node: str, **how: Any) -> None:
    """What would happen if NODE were put into maintenance."""
    _tell(ctx, lambda seen: _queued(_of_member(seen, node), f"enable-node-maintenance {node}"), **how)


@group.command(short_help="SID is migrated to NODE.")
@click.argument("sid")
@click.argument("node")
@_answers
def migrate(ctx: click.Context, sid: str, node: str, **how: Any) -> None:
    """What would happen if SID were migrated to NODE."""
    _tell(ctx, lambda seen: _queued(seen, f"migrate {sid} {node}"), **how)


@group.command(short_help="SID is relocated to NODE.")
@click.argument("sid")
@click.argument("node")
@_answers
def relocate(ctx: click.Context, sid: str, node: str, **how: Any) -> None:
    """What would happen if SID were relocated to NODE."""
    _tell(ctx, lambda seen: _queued(seen, f"relocate {sid} {node}"), **how)


@group.command(short_help="The state STATE is requested of SID.")
@click.argument("sid")
@click.argument("state", type=click.Choice(REQUESTED_STATES))
@_answers
def service(ctx: click.Context, sid: str, state: str, **how: Any) -> None:
    """What would happen if the requested state of SID were STATE."""

    def change(seen: Snapshot) -> Snapshot:
        resources = resources_of(seen)
        if sid not in resources:
            raise click.ClickException(f"there is no service {sid}")
        resources[sid].state = state
        return with_documents(seen, {RESOURCES: dump(resources)})

    _tell(ctx, change, **how)


@group.command(short_help="A service SID is added on NODE.")
@click.argument("sid")
@click.argument("node")
@_answers
def add(ctx: click.Context, sid: str, node: str, **how: Any) -> None:
    """What would happen if a service SID, to be started, were added on NODE."""
    check_sid(sid)

    def change(seen: Snapshot) -> Snapshot:
        resources = resources_of(_of_member(seen, node))
        if sid in resources:
            raise click.ClickException(f"there is a service {sid} already")
        return with_documents(seen, {RESOURCES: dump({**resources, sid: Resource(node)})})

    _tell(ctx, change, **how)


@group.command(short_help="The rules in FILE are added.")
@click.argument("rules", type=click.File(), metavar="FILE")
@_answers
def rule(ctx: click.Context, rules: IO[str], **how: Any) -> None:
    """What would happen if the rules in FILE (as JSON: by their ids, or a list with an id each) were added."""
    added = listed(_json(rules), rules.name)
    _tell(ctx, lambda seen: with_documents(seen, {RULES: dump({**rules_of(seen), **added})}), **how)


@group.command(short_help="Print the cluster's documents, for --status.")
@click.pass_obj
def documents(directory: Path) -> None:
    """Print the cluster's documents as JSON, for --status."""
    with opened(directory) as store:
        seen = read(store)
    say_json({key: document.value for key, document in sorted(seen.documents.items())})


# ------------------------------------------------------------------------------------------------------ the change


def _queued(seen: Snapshot, text: str) -> Snapshot:
    return with_documents(seen, {COMMANDS: dump(commands.append(commands_of(seen), text))})


def _of_member(seen: Snapshot, node: str) -> Snapshot:
    """The same documents, if the node is a member."""
    members = members_of(seen)
    if node not in members:
        raise click.ClickException(f"{node} is no node of this cluster; its nodes are {', '.join(members)}")
    return seen


def _json(source: IO[str]) -> JSON:
    try:
        return json.load(source)
    except (ValueError, RecursionError) as problem:
        raise DocumentError(f"{source.name}: this is not JSON: {problem}") from None


def _documents(directory: Path, source: IO[str] | None) -> Snapshot:
    if source is None:
        with opened(directory) as store:
            return read(store)
    values = _json(source)
    if not isinstance(values, dict):
        raise DocumentError(f"{source.name}: write the documents by their keys, as `hacore plan documents` prints them")
    return Snapshot({key: Document(value, 1) for key, value in values.items()}, 1)


# ------------------------------------------------------------------------------------------------------ the answer


def _tell(
    ctx: click.Context, change: Change, source: IO[str] | None, as_json: bool, down: Collection[str] = ()
) -> None:
    try:
        found = plan(_documents(ctx.obj, source), change, down)
    except commands.CommandError as problem:
        raise click.ClickException(str(problem)) from None
    if as_json:
        say_json({**dump(found), "events": [{"event": it.kind, **it.fields} for it in found.events]})
    else:
        click.echo("\n".join(aligned(_lines(found))) or "nothing would change")
    ctx.exit(1 if found.refused or found.unplaced else 0)


def _lines(found: Plan) -> Iterator[tuple[str, ...]]:
    for event in found.events:
        yield from _line(event.kind, event.fields)
    for sid, node in found.unplaced.items():
        yield "no place", sid, f"was on {node}, and no node that is left may have it"
    for id_, reasons in sorted(found.infeasible.items()):
        for reason in reasons:
            yield "rule", id_, f"not followed: {reason}"
    if not found.settled:
        yield "no end", "", "services would move on and on"


def _line(kind: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    if kind == "service_state" and fields["to"] in SHOWN:
        yield "service", fields["sid"], SHOWN[fields["to"]].format(**{"target": "", **fields})
    elif kind == "service_state" and fields["to"] == "started" and fields["from"] in STARTED_FROM:
        yield "service", fields["sid"], f"is started on {fields['node']}"
    elif kind == "service_recovered":
        yield "service", fields["sid"], f"is recovered from {fields['node']} on {fields['target']}"
    elif kind in {"service_added", "service_removed"}:
        yield "service", fields["sid"], f"is {kind.rpartition('_')[2]}"
    elif kind == "fence_done":
        yield "node", fields["node"], "is fenced"
    elif kind == "node_state" and fields["to"] == "maintenance":
        yield "node", fields["node"], "is in maintenance"
    elif kind == "command_refused":
        yield "refused", fields["command"], fields["reason"]
