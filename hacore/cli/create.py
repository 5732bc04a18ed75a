"""``hacore create``: the first documents of a cluster of several machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hacore.cli.options import settings_option

HELP = """Make a new cluster: write its nodes and its timing into the store that DIR/hacore.toml names.

This is done once, on one of the machines. Then each machine runs `hacore -C DIR node NAME`, with a DIR/hacore.toml of
its own that names the same store. If there is a cluster in the store already, it is left as it is.

\b
Examples:
  hacore -C /etc/hacore create --node alpha --node beta --node gamma
  hacore -C /etc/hacore timing            how long a failover takes with that
"""


@click.command(help=HELP, short_help="Make a new cluster in the store that DIR/hacore.toml names.")
@click.option("--node", "nodes", multiple=True, required=True, metavar="NAME", help="A node; given once for each.")
@settings_option
@click.pass_obj
def create(directory: Path, nodes: tuple[str, ...], timing: dict[str, Any]) -> None:
    from hacore.runtime.cluster import create, read_members

    if repeated := sorted({node for node in nodes if nodes.count(node) > 1}):
        raise click.ClickException(f"a node is named twice: {', '.join(repeated)}")
    if not create(directory, nodes, timing):
        raise click.ClickException(f"there is a cluster already, of {', '.join(read_members(directory))}: use that")
    click.echo(f"a cluster of {', '.join(nodes)}")
