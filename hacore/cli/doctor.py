"""``hacore doctor``: whether this machine is fit to be a node, and what to do if it is not."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from hacore.cli.text import aligned, say_json
from hacore.devices.store import Store, StoreError
from hacore.manager.documents import Settings, resources_of, settings_of, status_of
from hacore.protocol.requests import Snapshot, Unavailable
from hacore.protocol.timing import Timing, TimingError

HELP = """Examine this machine as a node of its cluster, and say what is wrong and how to mend it.

It looks at the configuration and who may read it, the store and how fast it writes, the timing, the watchdog, the
clock, the unit, the services that something else would start as well, and the fencing devices. It starts, stops and
changes nothing, but for a document that it writes and removes to measure the store.

Run it as root, on every node, before you start the nodes and after every change.

\b
Exit codes: 0 nothing has failed (there may be warnings); 1 something has; 2 it was not understood.
"""

PROBES = 5
SLACK = 3.0
"""A store that takes a third of call_timeout_s now, at rest, may well take all of it under load."""
FENCE_S = 10.0
COARSE_CLOCKS = frozenset({"jiffies", "refined-jiffies", "pit"})
CLOCK = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
SYSTEMD = Path("/run/systemd/system")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: ``ok``, ``warn`` or ``fail``; what it is about; what there is; and how to mend it."""

    level: str
    about: str
    text: str
    fix: str = ""


def ok(about: str, text: str) -> Finding:
    return Finding("ok", about, text)


def warn(about: str, text: str, fix: str) -> Finding:
    return Finding("warn", about, text, fix)


def fail(about: str, text: str, fix: str) -> Finding:
    return Finding("fail", about, text, fix)


@click.command(help=HELP, short_help="Examine this machine: what is wrong, and how to mend it.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    findings = list(examine(ctx.obj))
    if as_json:
        say_json([asdict(it) for it in findings])
    else:
        rows = [(it.level, it.about, it.text) for it in findings]
        for it, line in zip(findings, aligned(rows), strict=True):
            click.echo(line + (f"\n      -> {it.fix}" if it.fix else ""))
    ctx.exit(1 if any(it.level == "fail" for it in findings) else 0)


def examine(directory: Path) -> Iterator[Finding]:
    """All that there is to say of this machine."""
    from hacore.runtime.config import FILE, ConfigError, load

    try:
        node = load(directory).node
    except ConfigError as problem:
        yield fail("config", str(problem), "mend it, or write a new one: hacore init --print")
        return
    if not node:
        text = f"{directory / FILE} names no node"
        yield fail("config", text, f"hacore -C {directory} init, on a node of a cluster of several machines")
        return
    yield ok("config", f"{directory / FILE}: this is {node}")
    yield from _files(directory, node)
    yield from _store(directory, node)
    yield from _watchdog(directory)
    yield from _clock()
    yield from _unit(directory, node)


# ------------------------------------------------------------------------------------------------- files and clock


def _files(directory: Path, node: str) -> Iterator[Finding]:
    from hacore.runtime.config import load, state_path
    from hacore.runtime.engines import EtcdEngine

    engine = load(directory).store
    if isinstance(engine, EtcdEngine):
        for name in filter(None, (engine.password_file, engine.key)):
            yield _secret(directory / name)
    state = state_path(directory, node)
    if not state.exists():
        yield ok("state", f"{state} is made when the node starts first")
    elif (mode := state.stat().st_mode) & 0o022:
        text = f"{state} may be written by others than its owner ({mode & 0o777:o})"
        yield fail("state", f"{text}, who could speak for the daemons", f"chmod 700 {state}")
    else:
        yield ok("state", f"{state} is its owner's")


def _secret(path: Path) -> Finding:
    try:
        mode = path.stat().st_mode
    except OSError as problem:
        return fail("secret", f"{path}: {problem.strerror}", "see to it, or name another in hacore.toml")
    if mode & 0o007:
        return fail("secret", f"everybody may read {path} ({mode & 0o777:o})", f"chmod o= {path}")
    return ok("secret", f"{path} is not for everybody")


def _clock() -> Iterator[Finding]:
    from hacore.devices.clock import now_s

    source = CLOCK.read_text().strip() if CLOCK.exists() else "unknown"
    if source in COARSE_CLOCKS:
        text = f"the kernel counts time by {source}, which stands still while interrupts are off"
        yield fail("clock", text, "find out why there is no better one: dmesg | grep -i clocksource")
    else:
        yield ok("clock", f"CLOCK_BOOTTIME is {now_s():.0f} s, counted by {source}")


# ------------------------------------------------------------------------------------------------------- the store


def _store(directory: Path, node: str) -> Iterator[Finding]:
    from hacore.cli.store import opened, read

    try:
        with opened(directory) as store:
            seen = read(store)
            took_s = max(_write_s(store, node) for _ in range(PROBES))
    except StoreError as problem:
        yield fail("store", str(problem), "nothing else can be examined before it answers")
        return
    if not seen["members"].value:
        yield fail("store", "it answers, but there is no cluster in it", "on one node, once: hacore create --node ...")
        return
    if node in seen["members"].value:
        yield ok("store", f"it answers, and {node} is a node of the cluster in it")
    else:
        yield fail("store", f"{node} is no node of the cluster in it", "set node in hacore.toml to one of its nodes")
    settings = settings_of(seen)
    timing = _timing_of(settings)
    if isinstance(timing, str):
        yield fail("timing", timing, "hacore settings set timing.NAME=, which makes it the default")
    else:
        yield ok("timing", f"it is safe; a failover takes at most {timing.failover_with_master_s:.1f} s")
        yield _latency(took_s, timing)
    yield from _alone(directory, node, seen)
    yield from _fencing(settings)


def _write_s(store: Store, node: str) -> float:
    """What a write takes, which is what the renewal of a lock takes. Raises StoreError."""
    from hacore.devices.clock import now_s

    key, begin_s = f"doctor/{node}", now_s()
    for value in ("how long does this take?", None):
        if isinstance(answer := store.transact({}, {key: value}), Unavailable):
            raise StoreError(f"it does not take a write: {answer.reason}")
    return (now_s() - begin_s) / 2


def _timing_of(settings: Settings) -> Timing | str:
    """The cluster's timing, or why it is none."""
    from hacore.runtime.cluster import timing_of

    try:
        return timing_of(settings)
    except TimingError as problem:
        return str(problem)


def _latency(took_s: float, timing: Timing) -> Finding:
    text = f"the slowest of {PROBES} writes took {took_s * 1000:.0f} ms; call_timeout_s is {timing.call_timeout_s:g}"
    if took_s >= timing.call_timeout_s:
        return fail(
            "latency", text, "a faster network or disk for it, or hacore settings set timing.call_timeout_s=..."
        )
    if took_s * SLACK >= timing.call_timeout_s:
        return warn("latency", text, "little is left for busy times: see hacore timing --set call_timeout_s=...")
    return ok("latency", text)


# ----------------------------------------------------------------------------------------- watchdog, unit, services


def _watchdog(directory: Path) -> Iterator[Finding]:
    from hacore.cli.watchdog import report

    told = report(directory)
    if told["trouble"]:
        yield fail("watchdog", told["trouble"], "see hacore watchdog status, and docs/watchdog.md")
    elif told["uses"] is None:
        yield fail("watchdog", told["why"], 'real nodes need `device = "auto"` in section [watchdog] of hacore.toml')
    elif told["warning"]:
        yield warn("watchdog", f"{told['uses']}, {told['why']}", told["warning"])
    else:
        yield ok("watchdog", f"{told['uses']}, {told['why']}; it can have the timeout hardware_s")


def _unit(directory: Path, node: str) -> Iterator[Finding]:
    from hacore.runtime.config import state_path
    from hacore.runtime.only_one import holder

    if holder(state_path(directory, node) / "node.lock") is None:
        yield warn("node", f"`hacore node {node}` does not run", "systemctl start hacore")
    else:
        yield ok("node", f"`hacore node {node}` runs")
    if not SYSTEMD.exists():
        yield warn("unit", "systemd does not run here", "have something else start `hacore node` at every boot")
        return
    asked = subprocess.run(["systemctl", "is-enabled", "hacore"], capture_output=True, text=True, check=False)
    state = asked.stdout.strip() or "missing"
    if state == "enabled":
        yield ok("unit", "hacore.service is enabled")
    else:
        yield warn("unit", f"hacore.service is {state}", "see docs/deploy.md, then: systemctl enable hacore")


def _alone(directory: Path, node: str, seen: Snapshot) -> Iterator[Finding]:
    """What systemd or Proxmox starts by itself would run twice."""
    from hacore.devices.resources import ResourceError, resource_for
    from hacore.runtime.config import state_path

    records = status_of(seen).services
    for sid, it in resources_of(seen).items():
        here = sid.startswith("unit:") or (sid in records and records[sid].node == node)
        insist = getattr(resource_for(sid, state_path(directory, node), node), "insist_on_us_alone", None)
        if not here or insist is None:
            continue
        try:
            insist(sid, it.config)
        except ResourceError as problem:
            yield fail("service", str(problem), "nothing but hacore may start it, on any node")
        else:
            yield ok("service", f"{sid} is started by nobody else")


def _fencing(settings: Settings) -> Iterator[Finding]:
    """Any node may be master, and so must reach every device."""
    from hacore.cli.fencing import seen_of

    for node, levels in sorted(settings.fencing.items()):
        for number, devices in enumerate(levels, 1):
            for device in devices:
                told = seen_of(number, device, FENCE_S)
                if told["problem"]:
                    yield fail("fencing", f"{node}: {told['problem']}", f"hacore fencing test {node}")
                else:
                    yield ok("fencing", f"{node}: {device.agent} says that it is {told['state']}")
