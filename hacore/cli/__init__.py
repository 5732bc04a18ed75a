"""``hacore``: the one command, which finds the others.

A command's module is imported when the command is used or listed, so that each pays only for what it needs.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import click

SECTIONS = {
    "Services": {
        "add": "services:add",
        "set": "services:change",
        "remove": "services:remove",
        "config": "services:config",
        "migrate": "services:migrate",
        "relocate": "services:relocate",
        "stop": "services:stop",
        "rules": "rules:rules",
        "plan": "plan:group",
    },
    "Cluster": {
        "init": "init:init",
        "create": "create:create",
        "status": "status:status",
        "metrics": "metrics:metrics",
        "node-maintenance": "cluster:node_maintenance",
        "fencing": "fencing:fencing",
        "disarm": "cluster:disarm",
        "arm": "cluster:arm",
        "settings": "cluster:settings",
        "timing": "timing:timing",
        "watchdog": "watchdog:group",
        "update": "update:update",
        "doctor": "doctor:doctor",
    },
    "Protocol": {
        "tables": "tables:tables",
        "diagram": "diagram:diagram",
        "lint": "lint:lint",
        "prove": "prove:prove",
        "check": "check:check",
        "mutants": "mutants:mutants",
    },
    "Simulation": {
        "sim": "sim:sim",
    },
    "Traces": {
        "trace": "trace:trace",
        "why": "why:why",
        "coverage": "coverage:coverage",
    },
    "A cluster on this machine": {
        "demo": "demo:demo",
        "up": "local:up",
        "node": "local:node",
        "power": "local:power",
        "restart-lrm": "local:restart_lrm",
        "daemon": "local:daemon",
    },
}
"""Where each command is, ``module:name`` below this package, in the order in which people read of them."""

COMMANDS = {name: where for section in SECTIONS.values() for name, where in section.items()}

HELP = """A high-availability core for Linux clusters.

Services (`type:name`, such as proc:web) run on one node each. When a node fails, it is fenced by its watchdog, and its
services are started elsewhere; never do two nodes run the same service.

All commands work on the cluster in DIR, which is made by `hacore up`, or by `hacore create` for several machines. Only
`add`, `set`, `remove`, `rules`, `fencing` and `settings set` change the configuration at once; `migrate`, `relocate`,
`stop`, `node-maintenance`, `disarm` and `arm` queue a command, which the cluster's master carries out or refuses
(--wait tells you).

\b
Examples:
  hacore -C /tmp/c up --nodes 3           run a cluster of three nodes in this terminal
  hacore -C /tmp/c add proc:web --node node1 --command "python3 -m http.server 8000"
  hacore -C /tmp/c status                 who is master, what runs where, what is notable
  hacore -C /tmp/c migrate proc:web node2 --wait 30
  hacore -C /tmp/c timing                 how long a failover takes, second by second

\b
Exit codes: 0 done; 1 it could not be done, and one line says why; 2 it was not understood.
"""


class Failure(click.ClickException):
    """What could not be done, in one line."""

    def show(self, file: Any = None) -> None:
        click.echo(f"hacore: {' '.join(self.message.split())}", file=file, err=file is None)


class Hacore(click.Group):
    """Finds commands by :data:`COMMANDS`, and says in one line why one has failed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(f"hacore.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in SECTIONS.items():
            commands = {name: self.get_command(ctx, name) for name in names}
            with formatter.section(title):
                formatter.write_dl(
                    [(name, it.get_short_help_str(80)) for name, it in commands.items() if it and not it.hidden]
                )

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.UsageError, Failure):
            raise
        except click.ClickException as problem:
            raise Failure(problem.format_message()) from None
        except Exception as problem:
            if not _is_for_operators(problem):
                raise
            raise Failure(_sentence(problem)) from problem


def _is_for_operators(problem: Exception) -> bool:
    """Whether the exception's text says to an operator what is wrong; else it is a mistake of ours, and is shown whole.

    Those that hacore defines do: StoreError, DocumentError, CommandError, ResourceError, TimingError, SiteError. Except
    TableError, which is for those who write tables. And so does what the system says of a file.
    """
    from hacore.protocol.table import TableError

    if isinstance(problem, OSError) and not isinstance(problem, BrokenPipeError) and problem.filename is not None:
        return True
    return type(problem).__module__.startswith("hacore.") and not isinstance(problem, TableError)


def _sentence(problem: Exception) -> str:
    if isinstance(problem, OSError) and problem.filename is not None:
        return f"{problem.filename}: {problem.strerror}"
    return str(problem)


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from hacore import __version__

        click.echo(f"hacore {__version__}")
        ctx.exit()


@click.group(cls=Hacore, help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option(
    "-C",
    "--directory",
    type=click.Path(path_type=Path),
    default=Path("hacore-cluster"),
    show_default=True,
    envvar="HACORE_DIR",
    show_envvar=True,
    metavar="DIR",
    help="The cluster's directory.",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@click.pass_context
def main(ctx: click.Context, directory: Path) -> None:
    ctx.obj = directory
