"""``--wait``: stay until the status shows that a queued command is done, or that it will not be.

A command and what the master makes of it change in one transaction. So a command that has left the queue has either
left its mark in the same documents, or stands among the refusals.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import click

from hacore.devices.clock import now_s
from hacore.devices.store import Store
from hacore.manager.documents import commands_of, resources_of, status_of
from hacore.manager.jobs import RESTING_STATES
from hacore.protocol.locks import MANAGER_LOCK, Lock
from hacore.protocol.requests import Snapshot, Unavailable

POLL_S = 0.05

wait_option = click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Wait so long for it to be done; tell its progress on stderr, and exit with 1 if it is not.",
)


class Progress(NamedTuple):
    """How far a command has come; ``done`` is None while it may still be either."""

    text: str
    done: bool | None = None


Goal: TypeAlias = Callable[[Snapshot], Progress]
"""Looks at the documents and says how far a command has come since it left the queue."""


def wait(store: Store, command: int, goal: Goal, wait_s: float) -> None:
    """Return when the command is done. Raises ClickException if it was refused, has failed or takes too long."""
    ends_s = now_s() + wait_s
    told = ""
    while True:
        seen = store.read(("",))
        progress = _silent(seen) if isinstance(seen, Unavailable) else _progress(seen, command, goal)
        if progress.text != told:
            click.echo(progress.text, err=True)
            told = progress.text
        if progress.done:
            return
        if progress.done is False:
            raise click.ClickException(f"not done: {progress.text}")
        if now_s() >= ends_s:
            raise click.ClickException(f"not done after {wait_s:g} s: {progress.text}; the command stands")
        since = 0 if isinstance(seen, Unavailable) else seen.revision
        while now_s() < ends_s and not store.changed(since, ("",)):
            time.sleep(POLL_S)


def _silent(answer: Unavailable) -> Progress:
    return Progress(f"the store does not answer: {answer.reason}")


def _progress(seen: Snapshot, command: int, goal: Goal) -> Progress:
    if any(queued.id == command for queued in commands_of(seen).queue):
        master = Lock.of(seen[MANAGER_LOCK]).owner
        return Progress(f"queued for the master, {master}" if master else "queued: there is no master to take it")
    for refusal in status_of(seen).refusals:
        if refusal.id == command:
            return Progress(f"refused: {refusal.reason}", done=False)
    return goal(seen)


def moved(sid: str, node: str) -> Goal:
    """The service has come to the node, and runs or is stopped there."""
    taken = False

    def look(seen: Snapshot) -> Progress:
        nonlocal taken
        record = status_of(seen).services.get(sid)
        if record is None:
            return Progress(f"{sid} is not managed", done=False)
        way = f" to {record.target}" if record.target else ""
        text = f"{sid}: {record.state} on {record.node}{way}"
        if node not in {record.node, record.target} or record.state == "error":
            return Progress(f"{text} ({'failed' if taken else 'refused'})", done=False)
        taken = True
        arrived = record.node == node and (record.state == "stopped" or record.running)
        return Progress(f"{text}{', running' if record.running else ''}", done=arrived or None)

    return look


def stopped(sid: str) -> Goal:
    """The service does not run."""

    def look(seen: Snapshot) -> Progress:
        record, resource = status_of(seen).services.get(sid), resources_of(seen).get(sid)
        if record is None or resource is None:
            return Progress(f"{sid} is not managed", done=False)
        text = f"{sid}: {record.state} on {record.node}"
        if resource.state == "started":
            return Progress(f"{text} (refused)", done=False)
        if record.state == "error":
            return Progress(f"{text} (it may still run)", done=False)
        return Progress(text, done=record.state == "stopped" or None)

    return look


def emptied(node: str) -> Goal:
    """The node is in maintenance, and none of its services is active."""

    def look(seen: Snapshot) -> Progress:
        status = status_of(seen)
        if node not in status.maintenance:
            return Progress(f"{node}: maintenance is not requested (refused)", done=False)
        left = [
            f"{sid} ({record.state})"
            for sid, record in sorted(status.services.items())
            if node in {record.node, record.target} and record.state not in RESTING_STATES
        ]
        state = status.nodes.get(node, "unknown")
        if left:
            return Progress(f"{node}: {state}, still there: {', '.join(left)}")
        return Progress(f"{node}: {state}, no service is active there", done=state == "maintenance" or None)

    return look


def returned(node: str) -> Goal:
    """The node is in maintenance no more."""

    def look(seen: Snapshot) -> Progress:
        state = status_of(seen).nodes.get(node, "unknown")
        return Progress(f"{node}: {state}", done=state == "online" or None)

    return look


def disarmed(seen: Snapshot) -> Progress:
    """No watchdog is armed anywhere."""
    disarm = status_of(seen).disarm
    if disarm is None:
        return Progress("disarm is not requested (refused)", done=False)
    return Progress(f"the cluster is {disarm.state} ({disarm.mode})", done=disarm.state == "disarmed" or None)


def armed(seen: Snapshot) -> Progress:
    """The request to disarm is withdrawn."""
    disarm = status_of(seen).disarm
    if disarm is None:
        return Progress("the cluster is armed", done=True)
    return Progress(f"the cluster is {disarm.state} ({disarm.mode})")
