"""``hacore init``: a first ``hacore.toml`` for a machine, with comments."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import click

HELP = """Write DIR/hacore.toml, which tells this machine which node it is, where the store is, and what resets it.

It asks nothing, and never overwrites; look the file over, then `hacore doctor`. NAME is the machine's host name, if
nothing is said.

\b
Examples:
  hacore -C /etc/hacore init alpha --endpoint http://10.0.0.1:2379 --endpoint http://10.0.0.2:2379 \\
         --endpoint http://10.0.0.3:2379
  hacore -C /etc/hacore init --engine pmxcfs
  hacore init --print
"""

ENGINES = ("etcd", "pmxcfs", "sqlite")

TEMPLATE = """\
# What this machine is told about its cluster. What all nodes must agree on is in the store: hacore settings.

node = {node}   # this machine's name in the cluster
state = {state}   # sockets, locks and traces of its daemons, for root only
# notify = "/etc/hacore/notify"     # a command that is given each event as a line of JSON: docs/deploy.md

[store]                     # the same on all nodes
engine = {engine}
{store}
[watchdog]                  # what resets this machine when hacore cannot vouch for it: docs/watchdog.md
device = {watchdog}             # "auto": the first that is not softdog; or a path. See hacore watchdog status
"""

ETCD = """\
endpoints = {endpoints}   # this machine's own member first: it is asked first
{secure}
# user = "hacore"                   # if etcd has users
# password_file = "password"        # in this directory, for root only
# prefix = "/hacore/"               # all keys of this cluster begin with it
"""

TLS = """\
ca = "/etc/etcd/ca.pem"             # who vouches for the members
cert = "/etc/etcd/node.pem"         # this machine's own certificate, if etcd asks for one, and its key
key = "/etc/etcd/node.key"\
"""
PLAIN = """\
# ca = "/etc/etcd/ca.pem"           # with https only: who vouches for the members
# cert = "/etc/etcd/node.pem"       # this machine's own certificate, if etcd asks for one, and its key
# key = "/etc/etcd/node.key"\
"""


@click.command(help=HELP, short_help="Write a first DIR/hacore.toml for this machine.")
@click.argument("name", required=False)
@click.option(
    "--engine", type=click.Choice(ENGINES), default="etcd", show_default=True, help="Where the documents are."
)
@click.option("--endpoint", "endpoints", multiple=True, metavar="URL", help="A member of etcd; given once for each.")
@click.option("--watchdog", default="auto", show_default=True, metavar="DEVICE", help="The watchdog's device.")
@click.option(
    "--state", default="/var/lib/hacore", show_default=True, metavar="PATH", help="Where the daemons' files are."
)
@click.option("--print", "only_print", is_flag=True, help="Print it, and write nothing.")
@click.pass_obj
def init(
    directory: Path,
    *,
    name: str | None,
    engine: str,
    endpoints: tuple[str, ...],
    watchdog: str,
    state: str,
    only_print: bool,
) -> None:
    from hacore.protocol.names import check_node
    from hacore.runtime.config import FILE, parse

    node = name or socket.gethostname().partition(".")[0]
    check_node(node)
    if endpoints and engine != "etcd":
        raise click.UsageError("--endpoint goes with --engine etcd")
    text = TEMPLATE.format(
        node=json.dumps(node),
        state=json.dumps(state),
        engine=json.dumps(engine),
        store=_store(engine, endpoints or ("http://127.0.0.1:2379",)),
        watchdog=json.dumps(watchdog),
    )
    path = directory / FILE
    parse(text, path)
    if only_print:
        click.echo(text, nl=False)
        return
    directory.mkdir(parents=True, exist_ok=True)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        raise click.ClickException(f"{path} is there already, and is left as it is") from None
    with os.fdopen(file, "w") as writing:
        writing.write(text)
    click.echo(f"{path} is written: look it over, then hacore -C {directory} doctor")


def _store(engine: str, endpoints: tuple[str, ...]) -> str:
    if engine == "etcd":
        secure = any(url.startswith("https://") for url in endpoints)
        return ETCD.format(endpoints=json.dumps(endpoints), secure=TLS if secure else PLAIN)
    if engine == "pmxcfs":
        return '# path = "/etc/pve/priv/hacore"    # where in Proxmox\'s cluster file system\n'
    return ""
