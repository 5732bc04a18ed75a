"""``hacore node-maintenance``, ``disarm``, ``arm``, ``settings``: what concerns the whole cluster or a whole node."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click
import msgspec

from hacore.cli import waiting
from hacore.cli.services import insist_on_member, queue
from hacore.cli.store import opened, read, update
from hacore.cli.text import aligned, say_json, word
from hacore.cli.timing import SETTINGS as TIMINGS
from hacore.cli.timing import timing_with
from hacore.manager.documents import SETTINGS, Settings, commands_of, dump, settings_of, status_of
from hacore.protocol.requests import Snapshot

PLAIN = {
    field.name: field.type for field in msgspec.structs.fields(Settings) if field.name not in {"timing", "fencing"}
}
"""The settings that are one word each, and their types."""

SET = """Change settings of the cluster: all that are given, or none if one is refused.

NAME= (with nothing behind it) goes back to the default.

\b
  shutdown_policy      what happens to the services of a node that is shut down:
                       conditional  a reboot freezes them, a poweroff lets them be recovered elsewhere
                       freeze       they wait, frozen, for their node to return
                       failover     they are recovered elsewhere
                       migrate      they are moved away before the node goes down
  scheduler            by what nodes are compared:
                       basic        the number of services
                       static       the processors and memory that services are configured with (stats/static)
                       dynamic      what is measured (stats/dynamic), and what is about to start
  rebalance_on_start   true: a service that is started is placed on the best node
  rebalance            true: services are moved while they run, to even out the load (not with scheduler basic)
  rebalance_method     bruteforce   the move that leaves the least imbalance
                       topsis       the move that leaves the best mean and peak load
  rebalance_threshold  the imbalance (standard deviation / mean of the nodes' loads) from which on something is done
  rebalance_hold_rounds  for how many rounds on end it must have lasted
  rebalance_margin     by which part of itself a move must lessen the imbalance
  timing.NAME          see `hacore timing`; daemons read these when they start, and nodes with different timing are not
                       safe together, so they can only be changed while the cluster is down

\b
Examples:
  hacore settings set shutdown_policy=migrate
  hacore settings set rebalance_on_start=true shutdown_policy=
  hacore settings set timing.hardware_s=10 timing.missed_rounds=2
"""


@click.group("node-maintenance", short_help="Empty a node for work on it, and take it into service again.")
def node_maintenance() -> None:
    """Empty a node for work on it: its services move away, and come back afterwards."""


@node_maintenance.command()
@click.argument("node")
@waiting.wait_option
@click.pass_obj
def enable(directory: Path, node: str, wait_s: float | None) -> None:
    """Move all services away from NODE, and place none on it.

    With --wait it returns when no service is active there any more: then the node may be switched off. It stays in
    maintenance, over any restart, until that is disabled. Only an online node can be put into maintenance.

    \b
    Example:
      hacore node-maintenance enable node2 --wait 120
    """

    def judge(seen: Snapshot) -> str:
        insist_on_member(seen, node)
        disarm = status_of(seen).disarm
        if disarm is not None and not _queued(seen, "arm-ha"):
            raise click.ClickException(f"the cluster is {disarm.state}, so no service can move: hacore arm")
        return f"enable-node-maintenance {node}"

    with opened(directory) as store:
        queue(store, judge, waiting.emptied(node), wait_s)


@node_maintenance.command()
@click.argument("node")
@waiting.wait_option
@click.pass_obj
def disable(directory: Path, node: str, wait_s: float | None) -> None:
    """Take NODE into service again: what was moved away comes back.

    \b
    Example:
      hacore node-maintenance disable node2
    """

    def judge(seen: Snapshot) -> str:
        insist_on_member(seen, node)
        return f"disable-node-maintenance {node}"

    with opened(directory) as store:
        queue(store, judge, waiting.returned(node), wait_s)


@click.command(short_help="Release every watchdog, for work on the network.")
@click.option(
    "--mode",
    type=click.Choice(["freeze", "ignore"]),
    default="freeze",
    show_default=True,
    help="freeze: services stay where they are. ignore: you may move them by hand meanwhile.",
)
@waiting.wait_option
@click.pass_obj
def disarm(directory: Path, mode: str, wait_s: float | None) -> None:
    """Release every watchdog of the cluster, so that work on the network resets no node.

    Services that run go on running; none is started, stopped, moved or recovered until `hacore arm`. What is on its way
    is finished first. Do not touch the network before the status says `disarmed`: --wait returns when it does.

    \b
    Example:
      hacore disarm --wait 60 && echo "now the cables"
    """

    def judge(seen: Snapshot) -> str:
        current = status_of(seen).disarm
        if current is not None and not _queued(seen, "arm-ha"):
            raise click.ClickException(f"the cluster is {current.state} already (mode {current.mode})")
        return f"disarm-ha {mode}"

    with opened(directory) as store:
        queue(store, judge, waiting.disarmed, wait_s)


@click.command(short_help="Arm the cluster again after a disarm.")
@waiting.wait_option
@click.pass_obj
def arm(directory: Path, wait_s: float | None) -> None:
    """Arm the cluster again: every node takes its lock and its watchdog, and services are managed as before.

    \b
    Example:
      hacore arm --wait 30
    """

    def judge(seen: Snapshot) -> str:
        if status_of(seen).disarm is None and not _queued(seen, "disarm-ha"):
            raise click.ClickException("the cluster is not disarmed")
        return "arm-ha"

    with opened(directory) as store:
        queue(store, judge, waiting.armed, wait_s)


def _queued(seen: Snapshot, verb: str) -> bool:
    return any(command.text.split()[:1] == [verb] for command in commands_of(seen).queue)


# ------------------------------------------------------------------------------------------------------- settings


@click.group(invoke_without_command=True, short_help="Show or change the cluster's settings.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def settings(ctx: click.Context, as_json: bool) -> None:
    """Show the cluster's settings; `hacore settings set --help` explains them."""
    if ctx.invoked_subcommand is not None:
        return
    with opened(ctx.obj) as store:
        current = msgspec.structs.asdict(settings_of(read(store)))
    del current["fencing"]  # which may hold passwords: see hacore fencing
    if as_json:
        say_json(current)
        return
    timing = current.pop("timing")
    rows = [(name, word(value)) for name, value in current.items()]
    rows += [(f"timing.{name}", word(value)) for name, value in timing.items()]
    click.echo("\n".join(aligned(rows)))
    if not timing:
        click.echo("timing: all as by default, see hacore timing")


@settings.command("set", help=SET, short_help="Change settings.")
@click.argument("changes", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.pass_obj
def set_settings(directory: Path, changes: tuple[str, ...]) -> None:
    wanted = dict(_parsed(text) for text in changes)
    timing = {name.removeprefix("timing."): value for name, value in wanted.items() if name.startswith("timing.")}
    plain = {name: value for name, value in wanted.items() if not name.startswith("timing.")}

    def change(seen: Snapshot) -> Settings:
        current = settings_of(seen)
        merged = {**dump(current), **plain, "timing": _without_defaults({**current.timing, **timing})}
        new = _converted(_without_defaults(merged))
        if timing:
            timing_with(new, {})
        return new

    with opened(directory) as store, _no_site(directory) if timing else nullcontext():
        update(store, SETTINGS, change)
    for name, value in wanted.items():
        click.echo(f"{name}: {'the default' if value is None else word(value)}")


def _parsed(text: str) -> tuple[str, Any]:
    """One NAME=VALUE. The value is None where it goes back to the default."""
    name, equals, value = text.partition("=")
    known = [*PLAIN, *(f"timing.{each}" for each in TIMINGS)]
    if not equals:
        raise click.UsageError(f"'{text}': write NAME=VALUE, such as shutdown_policy=freeze")
    if name not in known:
        raise click.ClickException(f"unknown setting '{name}': the settings are {', '.join(known)}")
    if value == "":
        return name, None
    if PLAIN.get(name) is str:
        return name, value
    try:
        return name, json.loads(value)
    except (json.JSONDecodeError, RecursionError):
        wanted = "true or false" if PLAIN.get(name) is bool else "a number"
        raise click.ClickException(f"{name} is '{value}', but must be {wanted}") from None


def _without_defaults(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _converted(values: dict[str, Any]) -> Settings:
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as problem:
        raise click.ClickException(str(problem)) from None


@contextmanager
def _no_site(directory: Path) -> Iterator[None]:
    """Hold the lock that a site holds, so that none runs now, and no daemon starts in the midst of a change."""
    lock = os.open(directory / "site.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise click.ClickException(
                f"the cluster in {directory} is up: its daemons read timing.* when they start, and nodes with "
                f"different timing are not safe together; stop it first (Ctrl-C in hacore up)"
            ) from None
        yield
    finally:
        os.close(lock)
