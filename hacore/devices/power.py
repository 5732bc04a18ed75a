"""Power fencing with fence agents: a node is switched off, and asked again whether it is.

Any agent of Debian's fence-agents will do. An agent is a program that reads ``name=value`` lines from its standard
input, one of them the action (its manual page, and ``fence_NAME -o metadata``, list the others). It ends with 0 when
the action has succeeded. The action ``status`` ends with 0 if the power is on and with 2 if it is off, and prints
``Status: OFF`` then; both are asked for here, because programs that were never understood end with 2 as well.

A node's devices stand in *levels*. The devices of a level are used together, as for a node with two power supplies: all
are told to switch off, and once all have done so, all are asked for their status. The levels are tried in order until
one says off throughout; each may take its share of the time that is left.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

from hacore.devices.clock import now_s

Device: TypeAlias = Mapping[str, Any]
"""As in the settings: ``agent``, and ``parameters`` by name, each a text or ``{"file": path}``."""

AGENTS = "/usr/sbin:/sbin"
"""Where fence agents are, besides the PATH."""
STATUS_ON, STATUS_OFF = 0, 2
ORPHANED_S = 1.0
"""So long after its time is up an agent is killed if whoever started it has been killed before."""


class PowerError(Exception):
    """It is not known that the power is off. The text is one line, for people."""


def power_off(levels: Sequence[Sequence[Device]], until_s: float) -> None:
    """Switch a node off. Returns when all devices of one level have said that it is off, after it was switched off.

    Raises :class:`PowerError`, which says of each level why not, at ``until_s`` at the latest. Then the power may be
    off or not.
    """
    reasons = []
    for number, devices in enumerate(levels, 1):
        share_s = (until_s - now_s()) / (len(levels) - number + 1)
        try:
            _switch_off(devices, now_s() + share_s)
        except PowerError as problem:
            reasons.append(f"level {number}: {problem}")
        else:
            return
    raise PowerError("; ".join(reasons))


def _switch_off(devices: Sequence[Device], until_s: float) -> None:
    _together(lambda device: _act(device, "off", until_s), devices)
    states = _together(lambda device: status(device, until_s), devices)
    if set(states) != {"off"}:
        raise PowerError(f"switched off, but the status is {', '.join(states)}")


def _together(do: Callable[[Device], str], devices: Sequence[Device]) -> list[str]:
    """Do it with all devices at a time. Raises what the first of them that failed has raised, when all have ended."""
    with ThreadPoolExecutor(max(1, len(devices))) as pool:
        return list(pool.map(do, devices))


def status(device: Device, until_s: float) -> str:
    """Whether the device's power is ``on`` or ``off``, by its own word. Raises :class:`PowerError`."""
    code, said = _run(device, "status", until_s)
    words = {line.strip().lower() for line in said.splitlines()}
    for state, expected in (("on", STATUS_ON), ("off", STATUS_OFF)):
        if code == expected and f"status: {state}" in words:
            return state
    raise PowerError(_problem(device, "status", code, said))


def _act(device: Device, action: str, until_s: float) -> str:
    code, said = _run(device, action, until_s)
    if code != 0:
        raise PowerError(_problem(device, action, code, said))
    return said


def _problem(device: Device, action: str, code: int, said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f"{device['agent']} {action} ended with {code}" + (f": {lines[-1]}" if lines else "")


def _run(device: Device, action: str, until_s: float) -> tuple[int, str]:
    """The agent's exit code, and what it has printed. Nothing of it is left afterwards."""
    agent = device["agent"]
    program = shutil.which(agent, path=f"{os.environ.get('PATH', '')}:{AGENTS}")
    if program is None:
        raise PowerError(f"{agent} is not installed")
    left_s = until_s - now_s()
    if left_s <= 0:
        raise PowerError(f"no time is left for {agent} {action}")
    bounded = ["timeout", "--signal=KILL", f"{left_s + ORPHANED_S:.3f}", program]
    given = {name: _value(value) for name, value in device.get("parameters", {}).items()}
    lines = "".join(f"{name}={value}\n" for name, value in {**given, "action": action}.items())
    with subprocess.Popen(
        bounded,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(lines, left_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # not reaped yet, so the group is still its own
            raise PowerError(f"{agent} {action} did not answer in time") from None
        return process.returncode, said


def _value(value: Any) -> str:
    """A parameter's value, or what is in the file that holds it."""
    if isinstance(value, str):
        return value
    try:
        text = Path(value["file"]).read_text().removesuffix("\n")
    except (OSError, UnicodeDecodeError) as problem:
        raise PowerError(f"{value['file']}: {getattr(problem, 'strerror', '') or 'not text'}") from None
    if "\n" in text:
        raise PowerError(f"{value['file']}: more than one line")
    return text
