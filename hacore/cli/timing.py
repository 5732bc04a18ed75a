"""``hacore timing``: every duration, the safety inequality, and a failover second by second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from hacore.cli.options import settings_option
from hacore.cli.store import exists, opened, read
from hacore.cli.text import aligned, say_json
from hacore.manager.documents import Settings, settings_of
from hacore.protocol.timing import Timing, TimingError

HELP = """Show every duration, whether the configuration is safe, and how long a failover takes.

The settings are those of the cluster in DIR if there is one, else the defaults; --set tries others, and changes
nothing. What is derived follows from the rest; setting it yourself can only make it longer than is needed, for a
configuration that is not safe is refused.

\b
Examples:
  hacore timing
  hacore timing --set hardware_s=10               what would a watchdog of 10 s cost?
  hacore timing --set round_s=0.2 --set call_timeout_s=0.1
  hacore settings set timing.missed_rounds=3      change them, while the cluster is down
"""

INEQUALITY = "lock_ttl_s * (1 - drift) >= (watchdog_s + reset_s) * (1 + drift)"
SETTINGS = tuple(field.name for field in fields(Timing) if field.init)
MAY_BE_DERIVED = tuple(field.name for field in fields(Timing) if field.init and field.default == 0.0)
DERIVED = tuple(field.name for field in fields(Timing) if not field.init)


def timing_with(settings: Settings, changes: Mapping[str, Any]) -> Timing:
    """The timing of a cluster with some settings changed. Raises TimingError for what is unknown or not safe."""
    from hacore.runtime.cluster import timing_of

    for name in changes:
        if name not in SETTINGS:
            raise TimingError(f"unknown timing setting '{name}': the settings are {', '.join(SETTINGS)}")
    return timing_of(Settings(timing={**settings.timing, **changes}))


@click.command(help=HELP, short_help="Show durations, the safety inequality and a failover's timeline.")
@settings_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def timing(directory: Path, timing: dict[str, Any], as_json: bool) -> None:
    place = click.format_filename(directory)
    settings, source = Settings(), f"the defaults: there is no cluster in {place}"
    if exists(directory):
        with opened(directory) as store:
            settings, source = settings_of(read(store)), f"the cluster in {place}"
    result = timing_with(settings, timing)
    given = {**settings.timing, **timing}
    if as_json:
        say_json({"source": "cluster" if exists(directory) else "defaults", "tried": timing, **facts(result, given)})
        return
    tried = f", with {', '.join(f'{name}={value:g}' for name, value in timing.items())}" if timing else ""
    click.echo(f"Settings of {source}{tried}\n")
    click.echo("\n".join(_text(result, given)))


def facts(timing: Timing, given: Mapping[str, Any]) -> dict[str, Any]:
    """All that follows from the settings."""
    left = timing.lock_ttl_s * (1 - timing.drift)
    right = (timing.watchdog_s + timing.reset_s) * (1 + timing.drift)
    return {
        "settings": {name: getattr(timing, name) for name in SETTINGS},
        "derived": [name for name in MAY_BE_DERIVED if not given.get(name)] + list(DERIVED),
        **{name: getattr(timing, name) for name in DERIVED},
        "inequality": {"text": INEQUALITY, "left_s": left, "right_s": right, "holds": left >= right},
        "timeline": [{"at_s": round(at_s, 6), "what": what} for at_s, what in timing.timeline()],
        "failover_s": timing.failover_s,
        "failover_with_master_s": timing.failover_with_master_s,
    }


def _text(timing: Timing, given: Mapping[str, Any]) -> list[str]:
    told = facts(timing, given)
    inequality, derived, sentences = told["inequality"], told["derived"], _sentences()
    return [
        *aligned(
            ("", name, f"{getattr(timing, name):g}", "derived" if name in derived else "", sentences.get(name, ""))
            for name in (*SETTINGS, *DERIVED)
        ),
        "",
        f"Safe, because {INEQUALITY}:",
        f"  {timing.lock_ttl_s:g} * {1 - timing.drift:g} >= "
        f"({timing.watchdog_s:g} + {timing.reset_s:g}) * {1 + timing.drift:g}, "
        f"that is {inequality['left_s']:.4f} >= {inequality['right_s']:.4f}: a lock outlives its owner's services.",
        "",
        "A failover in the worst case, in seconds from the node's failure:",
        *(f"  {at_s:7.2f}  {what}" for at_s, what in timing.timeline()),
        "",
        f"At most {timing.failover_s:.2f} s until its services start elsewhere; "
        f"{timing.failover_with_master_s:.2f} s if the master was on that node.",
    ]


def _sentences() -> dict[str, str]:
    """What the source of Timing says below each of its fields: there only is it written what they mean."""
    import ast
    import inspect

    (definition,) = ast.parse(inspect.getsource(Timing)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        above.target.id: below.value.value
        for above, below in zip(definition.body, definition.body[1:], strict=False)
        if isinstance(above, ast.AnnAssign) and isinstance(above.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
    }
