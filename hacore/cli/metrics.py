"""``hacore metrics``: the cluster in Prometheus's text format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import click

from hacore.cli.status import report
from hacore.cli.store import opened, read
from hacore.devices.store import StoreError

HELP = """Print the cluster, and this machine's part in it, as metrics for Prometheus.

They are meant for the textfile collector of node_exporter, say once a minute:

\b
  hacore metrics > /var/lib/prometheus/node-exporter/hacore.new \\
    && mv /var/lib/prometheus/node-exporter/hacore.new /var/lib/prometheus/node-exporter/hacore.prom

If the store does not answer, hacore_store_up is 0 and all that comes from it is missing. A lock and a heartbeat that
are alive change their revision: changes(hacore_heartbeat_revision[5m]) == 0 is a node that is dead. A lock's token
grows with each new owner: increase(hacore_lock_token[1h]) counts takeovers, restarts included.
"""


Labels: TypeAlias = tuple[tuple[str, str], ...]


class Family(NamedTuple):
    """A metric: its name, type and meaning, and by labels its values."""

    name: str
    kind: str
    meaning: str
    values: Mapping[Labels, float]


@click.command(help=HELP, short_help="Print metrics for Prometheus.")
@click.pass_obj
def metrics(directory: Path) -> None:
    click.echo("\n".join(line for family in _families(directory) for line in lines(family)))


def _families(directory: Path) -> Iterator[Family]:
    told = None
    try:
        with opened(directory) as store:
            told = report(read(store), None)
    except StoreError as problem:
        click.echo(f"hacore: {problem}", err=True)
    yield Family("hacore_store_up", "gauge", "Whether the store answers this machine.", {(): told is not None})
    yield from _local(directory)
    if told is not None:
        yield from of_cluster(told)


def _local(directory: Path) -> Iterator[Family]:
    from hacore.devices.watchdog.sysfs import describe
    from hacore.runtime.config import load, state_path
    from hacore.runtime.only_one import holder

    config = load(directory)
    if config.node:
        runs = holder(state_path(directory, config.node) / "node.lock") is not None
        yield Family("hacore_node_up", "gauge", "Whether `hacore node` runs on this machine.", {(): runs})
    if config.watchdog.device:
        try:
            active = describe(config.watchdog.path()).active
        except OSError:
            active = None
        known: dict[Labels, float] = {} if active is None else {(): float(active)}
        yield Family("hacore_watchdog_armed", "gauge", "Whether this machine's watchdog is armed.", known)


def of_cluster(told: Mapping[str, Any]) -> Iterator[Family]:
    """What ``hacore status`` knows, as metrics."""
    nodes, services, master = told["nodes"], told["services"], told["master"]
    state = {_labels(node=node, state=it["state"] or "unseen"): 1 for node, it in nodes.items()}
    mode = {_labels(node=node, mode=it["lrm"]["mode"] or "silent"): 1 for node, it in nodes.items() if it["lrm"]}
    tokens = {f"agent/{node}": it["lock"]["token"] for node, it in nodes.items()} | {"manager": master["token"]}
    beats = {_labels(node=node): it["heartbeat"] for node, it in nodes.items()}
    counts = Counter(it["state"] or it["requested"] or "new" for it in services.values())
    where = {
        _labels(service=sid, node=it["node"], state=it["state"] or it["requested"] or "new"): 1
        for sid, it in services.items()
    }
    has_master = {_labels(node=node): node == master["node"] for node in nodes}
    yield Family("hacore_master", "gauge", "Whether this node owns the manager lock.", has_master)
    yield Family("hacore_node_state", "gauge", "What the master thinks of a node.", state)
    yield Family("hacore_lrm_mode", "gauge", "What a node's LRM says of itself.", mode)
    yield Family("hacore_services", "gauge", "Services by state.", {_labels(state=it): n for it, n in counts.items()})
    yield Family("hacore_service_state", "gauge", "Where a service is, and in which state.", where)
    yield Family(
        "hacore_lock_token", "counter", "Grows when a lock is taken.", {_labels(lock=k): n for k, n in tokens.items()}
    )
    yield Family("hacore_manager_lock_renewals", "gauge", "Grows while a master lives.", {(): master["renewals"]})
    yield Family("hacore_heartbeat_revision", "gauge", "Changes while a node lives.", beats)
    yield Family("hacore_commands_queued", "gauge", "Commands that no master has taken.", {(): len(told["commands"])})
    yield Family(
        "hacore_disarmed", "gauge", "Whether the cluster is disarmed, or about to be.", {(): told["disarm"] is not None}
    )


def _labels(**labels: str) -> Labels:
    return tuple(labels.items())


def lines(family: Family) -> Iterator[str]:
    """A metric as Prometheus reads it."""
    yield f"# HELP {family.name} {family.meaning}"
    yield f"# TYPE {family.name} {family.kind}"
    for labels, value in family.values.items():
        inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
        yield f"{family.name}{{{inner}}} {float(value):.17g}" if inner else f"{family.name} {float(value):.17g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
