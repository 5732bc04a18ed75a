"""``hacore rules``: on which nodes services belong, with whom, and from whom apart; and which rules are infeasible."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any

import click

from hacore.cli.service_options import text_option
from hacore.cli.services import insist_on_member
from hacore.cli.store import opened, read, update
from hacore.cli.text import aligned, say_json
from hacore.manager.documents import MEMBERS, RULES, DocumentError, dump, members_of
from hacore.manager.rules import Compiled, NodeAffinity, ResourceAffinity, Rule, Rules, compile_rules, listed, rules_of
from hacore.protocol.requests import Snapshot

ADD = """Add the rule ID about the services SID...: they belong on nodes, on one node together, or on nodes apart.

\b
  --on NODE=PRIORITY   of these nodes (several --on) those of the highest priority that are online; without
                       --strict, any other node if none of them is online
  --together           all on one node
  --apart              each on a node without the others

Services that need not be configured yet. Rules that cannot be followed together are not followed, and the answer says
so: see `hacore rules check`.

\b
Examples:
  hacore rules add near proc:web proc:db --together
  hacore rules add spread proc:web1 proc:web2 --apart
  hacore rules add big proc:db --on node1=2 --on node2=1 --strict
"""


@click.group(invoke_without_command=True, short_help="Show or change the rules of placement.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def rules(ctx: click.Context, as_json: bool) -> None:
    """Show the rules by which services are placed; see `hacore rules add --help`."""
    if ctx.invoked_subcommand is not None:
        return
    with opened(ctx.obj) as store:
        seen = read(store)
    current = rules_of(seen)
    if as_json:
        say_json(dump(current))
        return
    compiled = compile_rules(current, members_of(seen))
    rows = [(id_, _force(id_, rule, compiled), _sentence(rule), rule.comment) for id_, rule in sorted(current.items())]
    click.echo("\n".join(aligned(rows)) or "no rules")


def _force(id_: str, rule: Rule, compiled: Compiled) -> str:
    return "disabled" if rule.disable else "infeasible" if id_ in compiled.infeasible else "followed"


def _sentence(rule: Rule) -> str:
    who = " ".join(rule.resources)
    if isinstance(rule, ResourceAffinity):
        return f"{who} {'together' if rule.affinity == 'positive' else 'apart'}"
    nodes = " ".join(f"{node}={priority}" for node, priority in sorted(rule.nodes.items()))
    return f"{who} on {nodes}{' only' if rule.strict else ''}"


def _nodes(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    nodes: dict[str, int] = {}
    for text in values:
        node, _equals, priority = text.partition("=")
        if priority and not priority.isdecimal():
            raise click.BadParameter(f"'{text}': write NODE or NODE=PRIORITY, such as node1=2")
        nodes[node] = int(priority or 0)
    return nodes


@rules.command("add", help=ADD, short_help="Add a rule.")
@click.argument("id_", metavar="ID")
@click.argument("sids", metavar="SID...", nargs=-1, required=True)
@click.option("--on", "nodes", multiple=True, metavar="NODE[=PRIORITY]", callback=_nodes, help="They belong here.")
@click.option("--strict", is_flag=True, help="With --on: no other node will do.")
@click.option("--together", "affinity", flag_value="positive", help="All on one node.")
@click.option("--apart", "affinity", flag_value="negative", help="Each on a node without the others.")
@click.option("--disable", is_flag=True, help="Write it down, but do not follow it yet.")
@click.option("--comment", default="", metavar="TEXT", callback=text_option, help="A note for people.")
@click.pass_obj
def add(directory: Path, /, id_: str, sids: tuple[str, ...], affinity: Any, nodes: dict[str, int], **more: Any) -> None:
    if bool(nodes) == bool(affinity):
        raise click.UsageError("write one of --on NODE, --together, --apart")
    if more["strict"] and not nodes:
        raise click.UsageError("--strict goes with --on")
    rule = _rule(list(sids), affinity, nodes, **more)

    def change(seen: Snapshot) -> dict[str, Rule]:
        current = rules_of(seen)
        if id_ in current:
            raise click.ClickException(f"there is a rule {id_} already: remove it with hacore rules remove {id_}")
        for node in nodes:
            insist_on_member(seen, node)
        return {**current, id_: rule}

    with opened(directory) as store:
        new = update(store, RULES, change, rests_on=(MEMBERS,))
        members = members_of(read(store))
    click.echo(f"added {id_}: {_sentence(rule)}")
    for line in _reasons(compile_rules(new, members)):
        click.echo(f"not followed: {line}")


def _rule(sids: list[str], affinity: Any, nodes: dict[str, int], *, strict: bool, **more: Any) -> Rule:
    try:
        if affinity:
            return ResourceAffinity(sids, affinity, **more)
        return NodeAffinity(sids, nodes, strict, **more)
    except ValueError as problem:
        raise click.ClickException(str(problem)) from None


@rules.command(short_help="Remove a rule.")
@click.argument("id_", metavar="ID")
@click.pass_obj
def remove(directory: Path, id_: str) -> None:
    """Remove the rule ID."""

    def change(seen: Snapshot) -> dict[str, Rule]:
        current = rules_of(seen)
        if id_ not in current:
            raise click.ClickException(f"there is no rule {id_}; the rules are {', '.join(sorted(current)) or 'none'}")
        return {name: rule for name, rule in current.items() if name != id_}

    with opened(directory) as store:
        update(store, RULES, change)
    click.echo(f"removed {id_}")


@rules.command(short_help="Say which rules cannot be followed, and why.")
@click.option("--file", "source", type=click.File(), metavar="FILE", help="Rules and nodes as JSON, not the cluster's.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def check(ctx: click.Context, source: IO[str] | None, as_json: bool) -> None:
    """Say which rules cannot be followed, and why; the master leaves these out and follows the others.

    FILE (- for the standard input) holds {"nodes": [...], "rules": ...}: rules by their ids, or a list of rules with
    an id each; what else is in it does not matter, so that it may be a scenario.

    \b
    Exit codes: 0 all can be followed; 1 some cannot; 2 it was not understood.
    """
    if source is None:
        with opened(ctx.obj) as store:
            seen = read(store)
        current: Rules = rules_of(seen)
        members = members_of(seen)
    else:
        current, members = _from_file(source)
    compiled = compile_rules(current, members)
    if as_json:
        say_json({"rules": len(current), "infeasible": compiled.infeasible})
    else:
        click.echo("\n".join(_reasons(compiled)) or f"all can be followed: {len(current)} rules")
    ctx.exit(1 if compiled.infeasible else 0)


def _from_file(source: IO[str]) -> tuple[Rules, list[str]]:
    try:
        value = json.load(source)
    except (ValueError, RecursionError) as problem:
        raise DocumentError(f"{source.name}: this is not JSON: {problem}") from None
    if not isinstance(value, dict) or not isinstance(value.get("nodes"), dict | list):
        raise DocumentError(f'{source.name}: write {{"nodes": [...], "rules": [...]}}')
    return listed(value.get("rules"), f"{source.name}: rules"), [str(node) for node in value["nodes"]]


def _reasons(compiled: Compiled) -> list[str]:
    return aligned((id_, reason) for id_, reasons in sorted(compiled.infeasible.items()) for reason in reasons)
