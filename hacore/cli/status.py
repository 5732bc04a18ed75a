"""``hacore status``: who is master, what runs where, and what is notable."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from hacore.cli.store import opened, read
from hacore.cli.text import aligned, say_json
from hacore.devices.store import Store, StoreError
from hacore.manager.documents import (
    Record,
    Resource,
    Status,
    commands_of,
    dump,
    lrm_of,
    members_of,
    resources_of,
    status_of,
)
from hacore.protocol.locks import FENCING, MANAGER_LOCK, Lock, agent_lock, heartbeat
from hacore.protocol.requests import Snapshot

HELP = """Show the cluster as its documents describe it, all read at one moment.

\b
  store      that it answered, and the number of its last transaction
  site       whether the processes of `hacore up` are there
  master     the owner of the manager lock, and its fencing token, which grows with each new master
  node       what the master thinks of it; its LRM's mode; the owner and token of its lock; the revision of
             its heartbeat, which grows while the node is alive
  service    its state and node, where it goes to, the state that is requested, where it failed to start
  command    what is queued, and not yet taken by a master
  refused    the last few commands that the master refused, and why
  disarm     that the watchdogs are being released, or are
  notable    what you may want to do something about, one line each

A master or node that has just died is still named until its lock or its heartbeat has stood still for long enough: see
`hacore timing`.

\b
Examples:
  hacore status
  hacore status --watch
  hacore status --json | jq -r '.services[] | select(.state == "error")'
"""

WATCH_S = 1.0


@click.command(help=HELP, short_help="Show master, nodes, services, and what is notable.")
@click.option("--watch", is_flag=True, help="Show it anew every second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def status(directory: Path, *, watch: bool, as_json: bool) -> None:
    if watch and as_json:
        raise click.UsageError("--watch is for people, --json for programs: choose one")
    with opened(directory) as store:
        if watch:
            _watch(store, directory)
            return
        told = report(read(store), _power(directory))
    if as_json:
        say_json({"directory": str(directory), **told})
    else:
        click.echo("\n".join(text(told)))


def _watch(store: Store, directory: Path) -> None:
    with suppress(KeyboardInterrupt):
        while True:
            shown = _shown(store, directory)
            click.clear()
            click.echo(shown)
            time.sleep(WATCH_S)


def _shown(store: Store, directory: Path) -> str:
    """For who watches: what cannot be read now may be in a second."""
    try:
        return "\n".join(text(report(read(store), _power(directory))))
    except StoreError as problem:
        return str(problem)


def _power(directory: Path) -> dict[str, str] | None:
    """Which nodes of the local site are on or off, as far as can be told; None if it should run here, but does not."""
    from hacore.runtime.config import load
    from hacore.runtime.engines import SqliteEngine
    from hacore.runtime.site import NoSite, SiteError, site_call

    try:
        answer = site_call(directory, {"do": "status"}, timeout_s=1.0)
    except NoSite:
        return None if isinstance(load(directory).store, SqliteEngine) else {}
    except SiteError:
        return {}
    return {node: machine["power"] for node, machine in answer["nodes"].items()}


# --------------------------------------------------------------------------------------------------- what there is


def report(seen: Snapshot, power: Mapping[str, str] | None) -> dict[str, Any]:
    """All that there is to tell. ``power`` is that of the site's nodes, None where no site runs."""
    status, lock = status_of(seen), Lock.of(seen[MANAGER_LOCK])
    resources, members = resources_of(seen), members_of(seen)
    told: dict[str, Any] = {
        "revision": seen.revision,
        "site": None if power is None else {"power": dict(power)},
        "master": {"node": lock.owner or None, "token": lock.token, "renewals": lock.renewals},
        "nodes": {node: _node(seen, status, node, members) for node in sorted({*members, *status.nodes})},
        "services": {
            sid: _service(resources.get(sid), status.services.get(sid))
            for sid in sorted({*resources, *status.services})
        },
        "commands": dump(commands_of(seen).queue),
        "refusals": dump(status.refusals),
        "disarm": dump(status.disarm),
    }
    return {**told, "notable": list(notable(told))}


def _node(seen: Snapshot, status: Status, node: str, members: list[str]) -> dict[str, Any]:
    lrm, lock = lrm_of(seen, node), Lock.of(seen[agent_lock(node)])
    return {
        "state": status.nodes.get(node),
        "member": node in members,
        "maintenance_requested": node in status.maintenance,
        "lrm": {"mode": lrm.mode or None, "generation": lrm.generation} if seen[f"lrm/{node}"].revision else None,
        "lock": {"owner": lock.owner or None, "token": lock.token},
        "heartbeat": seen[heartbeat(node)].revision,
    }


def _service(resource: Resource | None, record: Record | None) -> dict[str, Any]:
    """The configuration of a service, and the master's record of it; either may be missing."""
    it = record or Record(state="", node=resource.node if resource else "", uid="")
    return {
        "state": it.state or None,
        "node": it.node,
        "target": it.target or None,
        "requested": resource.state if resource else None,
        "running": it.running,
        "failed_nodes": it.failed_nodes,
        "maintenance_node": it.maintenance_node or None,
        "uid": it.uid or None,
        "comment": resource.comment if resource else "",
    }


def notable(told: Mapping[str, Any]) -> Iterator[str]:
    """What an operator may want to do something about, one sentence each."""
    master, nodes, services = told["master"]["node"], told["nodes"], told["services"]
    if told["site"] is None:
        yield "no site runs in this directory, so all this is as it was left: hacore up"
    if master is None and (services or told["commands"] or told["disarm"]):
        yield "no master: nothing is decided, recovered or taken from the queue until a CRM gets the manager lock"
    elif master is None:
        yield "no master, and none is needed: no service is configured"
    if told["disarm"] is not None:
        yield f"the cluster is {told['disarm']['state']}: no service is started, stopped or recovered before hacore arm"
    for node, it in nodes.items():
        if it["state"] == "fence":
            yield f"{node} is being fenced: its services wait until its lock has stood still for its lifetime"
        elif it["state"] in {"unknown", "gone"}:
            yield f"{node} is not online"
        elif it["state"] == "maintenance" or it["maintenance_requested"]:
            yield f"{node} is in maintenance until hacore node-maintenance disable {node}"
    for sid, it in services.items():
        yield from _notable_service(sid, it, told)


def _notable_service(sid: str, it: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[str]:
    node, state = it["node"], it["state"]
    if state == "error" and it["requested"] == "disabled":
        yield f"{sid} is in error, and could not be stopped: find out why, then hacore set {sid} --state stopped"
    elif state == "error":
        yield f"{sid} is in error, and left alone: find out why, then hacore set {sid} --state disabled"
    elif state == "fence":
        yield f"{sid} waits until {node} is fenced"
    elif state == "recovery":
        yield f"{sid} waits to be recovered: no node that may have it is online"
    elif state == "freeze" and told["disarm"] is None:
        yield f"{sid} is frozen until the LRM of {node} is active again"
    elif state is None and it["requested"] != "ignored":
        yield f"{sid} has not been seen by a master yet"
    elif it["failed_nodes"]:
        yield f"{sid} could not be started on {', '.join(it['failed_nodes'])}"


# --------------------------------------------------------------------------------------------------------- as text


def text(told: Mapping[str, Any]) -> list[str]:
    """The report for people: each line begins with what it is about."""
    master, site = told["master"], told["site"]
    head = [("store", f"answered, revision {told['revision']}")]
    if site is not None:
        off = sorted(node for node, power in site["power"].items() if power == "off")
        head.append(
            ("site", ("runs" if site["power"] else "does not answer") + (f", off: {', '.join(off)}" * bool(off)))
        )
    head.append(("master", f"{master['node']}, token {master['token']}" if master["node"] else "none"))
    if told["disarm"] is not None:
        head.append(("disarm", f"{told['disarm']['state']}, mode {told['disarm']['mode']}"))
    commands = [("command", f"{command['id']}: {command['text']}") for command in told["commands"]]
    return [
        *aligned(head),
        *aligned(_node_line(node, it) for node, it in told["nodes"].items()),
        *aligned(_service_line(sid, it) for sid, it in told["services"].items()),
        *aligned(commands),
        *aligned(("refused", f"{it['id']}: {it['text']}", it["reason"]) for it in told["refusals"]),
        *aligned(("notable", sentence) for sentence in told["notable"]),
    ]


def _node_line(node: str, it: Mapping[str, Any]) -> tuple[str, ...]:
    lrm, lock = it["lrm"], it["lock"]
    held = {None: "free", FENCING: "held for fencing"}.get(lock["owner"], f"held by {lock['owner']}")
    return (
        "node",
        node,
        (it["state"] or "not seen yet") + (", maintenance requested" if it["maintenance_requested"] else ""),
        f"lrm {lrm['mode'] or 'silent'}" if lrm else "lrm not heard of",
        f"lock {held}, token {lock['token']}",
        f"heartbeat {it['heartbeat']}",
    )


def _service_line(sid: str, it: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        "service",
        sid,
        (it["state"] or ("ignored" if it["requested"] == "ignored" else "new"))
        + (", running" if it["running"] else ""),
        it["node"] + (f" -> {it['target']}" if it["target"] else ""),
        f"requested {it['requested'] or 'nothing: configured no more'}",
        f"failed on {', '.join(it['failed_nodes'])}" if it["failed_nodes"] else "",
    )
