"""``hacore watchdog``: which watchdogs this machine has, which of them hacore uses, and whether it works."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from hacore.cli.store import exists
from hacore.cli.text import aligned, say_json
from hacore.devices import proc
from hacore.devices.store import StoreError
from hacore.devices.watchdog import sysfs
from hacore.devices.watchdog.linux import LinuxWatchdog, unfit
from hacore.devices.watchdog.sysfs import SOFTDOG_LIMIT, Described, describe, holders

HELP = """Show and try this machine's watchdogs, which reset it when hacore cannot vouch for it any more.

hacore.toml says which one is used: `device = "/dev/watchdog0"` in its section `[watchdog]`, or "auto". Without it, and
in a local cluster of `hacore up`, the nodes have emulated ones.

\b
Exit codes: 0 all is well; 1 it is not, and one line says why; 2 it was not understood.
"""

STATUS = """Show all watchdogs of this machine, and which one hacore uses, or would use.

"auto" takes the first that is not softdog, and softdog if there is no other. hacore loads no module: if there is no
watchdog, this names those that would drive one here.

\b
Examples:
  hacore watchdog status
  hacore watchdog status --json | jq -r .uses
"""

TEST = """Try a watchdog: open it, set its timeout and read it back, feed it, close it.

DEVICE is the one that `hacore watchdog status` says hacore uses. Nothing happens to the machine, unless this command is
killed (SIGKILL) in the seconds that it takes: then the watchdog resets it. With --reset it does so on purpose: the
watchdog is not fed, and the machine goes down without stopping anything. Ctrl-C before that closes it.

\b
Examples:
  hacore watchdog test
  hacore watchdog test /dev/watchdog1 --timeout 30
  hacore watchdog test --reset --yes
"""

FEEDINGS = 3
FED_AFTER_S = 1.2
"""Long enough for a driver that counts whole seconds to show that time has passed."""
TOO_LATE_S = 5.0
"""So long after its timeout a watchdog that has not reset the machine does not work."""


@click.group("watchdog", help=HELP, short_help="Show and try this machine's watchdogs.")
def group() -> None:
    pass


@group.command(help=STATUS, short_help="Show all watchdogs, and which one is used.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def status(directory: Path, as_json: bool) -> None:
    told = report(directory)
    if as_json:
        say_json(told)
    else:
        click.echo("\n".join(_text(told)))
    if told["trouble"]:
        raise click.ClickException(told["trouble"])


def report(directory: Path) -> dict[str, Any]:
    """All that there is to tell."""
    from hacore.runtime.config import FILE, load

    configured, place = load(directory).watchdog.device, directory / FILE
    found = sysfs.devices(sysfs.MACHINE)
    chosen: Described | None = None
    if configured.startswith("/"):
        chosen, why = describe(Path(configured)), f"{place} names it"
        found += [] if chosen in found else [chosen]
    elif not configured and exists(directory):
        why = f"{place} names no watchdog: the nodes of this cluster have emulated ones"
    elif chosen := sysfs.best(found):
        why = "softdog, because there is no other" if chosen.soft else "the first that is not softdog"
    else:
        why = "there is none"
    held = {it.path: [_process(pid) for pid in holders(it.path)] for it in found}
    return {
        "devices": [{**asdict(it), "path": str(it.path), "soft": it.soft, "held_by": held[it.path]} for it in found],
        "modules": sysfs.modules(sysfs.MACHINE),
        "configured": configured or None,
        "uses": str(chosen.path) if chosen else None,
        "why": why,
        "warning": SOFTDOG_LIMIT if chosen and chosen.soft else None,
        "trouble": _trouble(directory, configured, chosen, held),
    }


def _trouble(directory: Path, configured: str, it: Described | None, held: dict[Path, list[str]]) -> str:
    """Why hacore cannot use the watchdog that it would; nothing if it can, or does."""
    if it is None:
        if not configured and exists(directory):
            return ""
        return f"there is no watchdog: modprobe {' or '.join(sysfs.modules(sysfs.MACHINE))}"
    if not it.path.exists():
        return f"{it.path}: there is no such device: modprobe {' or '.join(sysfs.modules(sysfs.MACHINE))}"
    foreign = [process for process in held[it.path] if not process.endswith("(hacore)")]
    if foreign:
        own = "; set RuntimeWatchdogSec=0 in /etc/systemd/system.conf" if foreign[0].startswith("1 ") else ""
        return f"{it.path}: process {foreign[0]} holds it{own}"
    if it.active and not held[it.path] and os.geteuid() == 0:
        return f"{it.path}: whoever armed it has died: it is about to reset this machine"
    against = unfit(it, _timeout_s(directory, it))
    return f"{it.path}: {against}" if against else ""


def _timeout_s(directory: Path, it: Described) -> float:
    """The cluster's ``hardware_s``; where it has no store, or that does not answer, one that the device can have."""
    from hacore.runtime.cluster import read_settings, timing_of

    if exists(directory):
        with suppress(StoreError):
            return timing_of(read_settings(directory)).hardware_s
    return float(max(10, it.min_timeout_s or 1))


def _process(pid: int) -> str:
    """A process, for people."""
    from hacore.runtime.demo import is_daemon

    name = (proc.read(f"/proc/{pid}/comm") or b"?").decode(errors="replace").strip()
    return f"{pid} ({'hacore' if is_daemon(pid, 'watchdog') else name})"


def _text(told: dict[str, Any]) -> Iterator[str]:
    if told["devices"]:
        rows = [("device", "identity", "driver", "timeout", "takes", "state", "nowayout", "held by")]
        yield from aligned(rows + [_row(it) for it in told["devices"]])
        yield ""
    yield f"hacore uses {told['uses'] or 'none of them'}: {told['why']}"
    if told["warning"]:
        yield f"WARNING: {told['warning']}"
    if not told["devices"] or told["warning"]:
        yield f"Modules that would drive a watchdog here: {', '.join(told['modules'])}"


def _row(it: dict[str, Any]) -> tuple[str, ...]:
    def known(value: object, unit: str = "") -> str:
        return "?" if value is None else f"{value}{unit}"

    most = f"{it['max_timeout_s']} s" if it["max_timeout_s"] else "any"
    return (
        it["path"],
        known(it["identity"]),
        known(it["driver"]),
        known(it["timeout_s"], " s"),
        f"{it['min_timeout_s'] or 1} s to {most}",
        {None: "?", True: "armed", False: "disarmed"}[it["active"]],
        {None: "?", True: "yes", False: "no"}[it["nowayout"]],
        ", ".join(it["held_by"]) or "nobody",
    )


# ---------------------------------------------------------------------------------------------------------- trying it


@group.command(help=TEST, short_help="Open, feed and close a watchdog, or let it reset the machine.")
@click.argument("device", required=False, type=click.Path(path_type=Path))
@click.option(
    "--timeout", "timeout_s", type=click.IntRange(1), help="Seconds; default: the cluster's hardware_s, or 10."
)
@click.option("--reset", is_flag=True, help="Let it reset this machine.")
@click.option("--yes", is_flag=True, help="Do not ask before a reset.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def test(directory: Path, *, device: Path | None, timeout_s: int | None, reset: bool, yes: bool, as_json: bool) -> None:
    if device is None:
        told = report(directory)
        if told["uses"] is None:
            raise click.ClickException(told["trouble"] or f"{told['why']}: name a device")
        device = Path(told["uses"])
    seconds = timeout_s or _timeout_s(directory, describe(device))
    if reset and not yes:
        click.confirm(f"Reset {socket.gethostname()} in {seconds:g} s, without stopping anything?", abort=True)
    with _opened(device, seconds) as watchdog:
        seen: dict[str, Any] = {
            "device": str(device),
            "identity": watchdog.identity,
            "asked_s": seconds,
            "timeout_s": watchdog.timeout_s,
            "pretimeout_s": watchdog.pretimeout_s(),
            "last_boot": watchdog.boot_status(),
        }
        if reset:
            _wait_for_reset(watchdog)
        seen["left_s"] = list(_feedings(watchdog))
    seen["disarmed"] = describe(device).active is not True
    if as_json:
        say_json(seen)
    else:
        click.echo("\n".join(aligned((key, _shown(value)) for key, value in seen.items())))


def _shown(value: object) -> str:
    return ", ".join(map(_shown, value)) or "-" if isinstance(value, list) else "?" if value is None else str(value)


@contextmanager
def _opened(device: Path, timeout_s: float) -> Iterator[LinuxWatchdog]:
    """The watchdog, closed whatever happens, also when this process is asked to end."""
    asked = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: sys.exit(1)) for number in asked}
    try:
        watchdog = LinuxWatchdog.open(device, timeout_s)
        try:
            yield watchdog
        finally:
            watchdog.close()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _feedings(watchdog: LinuxWatchdog) -> Iterator[list[int | None]]:
    """What the driver says is left, before and after each feeding."""
    for _ in range(FEEDINGS):
        time.sleep(min(FED_AFTER_S, watchdog.timeout_s / 2))
        before = watchdog.time_left_s()
        watchdog.feed()
        yield [before, watchdog.time_left_s()]


def _wait_for_reset(watchdog: LinuxWatchdog) -> None:
    os.sync()
    watchdog.feed()
    for left_s in range(watchdog.timeout_s, 0, -1):
        click.echo(f"{watchdog.about}: resets this machine in {left_s} s, unless you press Ctrl-C", err=True)
        time.sleep(1)
    time.sleep(TOO_LATE_S)
    raise click.ClickException(f"{watchdog.about}: it has not reset this machine; do not rely on it")
