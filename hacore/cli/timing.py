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
from hacore.protocol.timing import SAFE, Timing, TimingError

HELP = """Show every duration, whether the configuration is safe, and how long a failover takes.

The settings are those of the cluster in DIR if there is one, else the defaults; --set tries others, and changes
nothing. What is derived follows from the rest; setting it yourself can only make it longer than is needed, for a
configuration that is not safe is refused.

--synthesise asks a solver (Z3) instead for the least durations that these settings allow, in exact fractions: those
given with --set are kept, all other derived ones are sought. It shows a run in which a lock that lived a little shorter
would be taken too early.

--power tells the failover's bound with power fencing, if the devices need so long from being asked to the status that
says off. The master waits for them no longer than for the lock.

\b
Examples:
  hacore timing
  hacore timing --set hardware_s=10               what would a watchdog of 10 s cost?
  hacore timing --set round_s=0.2 --set call_timeout_s=0.1
  hacore timing --set hardware_s=10 --power 4     what would IPMI save?
  hacore timing --synthesise --set watchdog_s=20  what is the shortest lock for this watchdog?
  hacore settings set timing.missed_rounds=3      change them, while the cluster is down
"""

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
@click.option("--synthesise", is_flag=True, help="Find the least durations, and show why less does not do.")
@click.option(
    "--power", "power_s", type=click.FloatRange(0), metavar="SECONDS", help="Fencing devices need so long: see below."
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def timing(directory: Path, timing: dict[str, Any], synthesise: bool, power_s: float | None, as_json: bool) -> None:
    place = click.format_filename(directory)
    settings, source = Settings(), f"the defaults: there is no cluster in {place}"
    if exists(directory):
        with opened(directory) as store:
            settings, source = settings_of(read(store)), f"the cluster in {place}"
    result = timing_with(settings, timing)
    given = {**settings.timing, **timing}
    least = _synthesis(result, timing) if synthesise else None
    if as_json:
        told = _least_facts(result, least) if least else {**facts(result, given), **_powered(result, power_s)}
        say_json({"source": "cluster" if exists(directory) else "defaults", "tried": timing, **told})
        return
    tried = f", with {', '.join(f'{name}={value:g}' for name, value in timing.items())}" if timing else ""
    click.echo(f"Settings of {source}{tried}\n")
    click.echo("\n".join(_least_text(result, least) if least else _text(result, given)))
    for bound_s in _powered(result, power_s).values():
        click.echo(f"At most {bound_s:.2f} s if fencing devices say within {power_s:g} s that the node is off.")


def _powered(timing: Timing, power_s: float | None) -> dict[str, float]:
    return {} if power_s is None else {"failover_powered_s": timing.failover_powered_s(power_s)}


def facts(timing: Timing, given: Mapping[str, Any]) -> dict[str, Any]:
    """All that follows from the settings."""
    left = timing.lock_ttl_s * (1 - timing.drift)
    right = (timing.watchdog_s + timing.reset_s) * (1 + timing.drift)
    return {
        "settings": {name: getattr(timing, name) for name in SETTINGS},
        "derived": [name for name in MAY_BE_DERIVED if not given.get(name)] + list(DERIVED),
        **{name: getattr(timing, name) for name in DERIVED},
        "inequality": {"text": SAFE, "left_s": left, "right_s": right, "holds": left >= right},
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
        f"Safe, because {SAFE}:",
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


# ------------------------------------------------------------------------------------------------------ --synthesise


def _synthesis(timing: Timing, fixed: Mapping[str, Any]) -> Any:
    """The least durations for this timing's settings; what is fixed is kept."""
    try:
        from model_check.synthesise import GIVEN, synthesise
    except ModuleNotFoundError as missing:
        raise click.ClickException(f"{missing.name} is not installed: pip install hacore[check]") from None
    return synthesise({**{name: getattr(timing, name) for name in GIVEN}, **fixed})


def _least_facts(timing: Timing, found: Any) -> dict[str, Any]:
    """What was found, beside what hacore takes; fractions as text."""
    return {
        "given": {name: getattr(timing, name) for name in found.given},
        "reset_s": float(found.reset_s),
        "pause_s": float(found.pause_s),
        "least": {name: float(value) for name, value in found.least.items()},
        "exact": {name: str(value) for name, value in found.least.items()},
        "taken": {name: getattr(timing, name) for name in found.least},
        "shorter": {
            "lock_ttl_s": float(found.shorter.lock_ttl_s),
            "moments": [{"at_s": float(at_s), "what": what} for at_s, what in found.shorter.moments()],
        },
    }


def _least_text(timing: Timing, found: Any) -> list[str]:
    rows = [("", name, f"{float(it):.6g}", f"{getattr(timing, name):.6g}") for name, it in found.least.items()]
    return [
        "The least that these settings allow; Z3 finds it and proves that less contradicts the requirements:",
        *aligned([("", "", "least", "hacore takes"), *rows]),
        "",
        f"A node that stands still, or is cut off, for up to {float(found.pause_s):g} s is not reset.",
        f"Less does not do. If a lock lived a thousandth shorter, {float(found.shorter.lock_ttl_s):.6g} s, this could "
        "happen, in seconds from the last renewal:",
        *(f"  {float(at_s):9.4f}  {what}" for at_s, what in found.shorter.moments()),
    ]
