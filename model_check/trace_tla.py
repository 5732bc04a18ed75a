"""A trace, held against the specification that people wrote: spec/TraceHACluster.tla.

TLC takes one step for each event of the trace. If it comes to the end, the trace is a behaviour of the specification;
else the first event is told that is no possible step, whatever the trace does not show.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hacore.protocol.tables import TABLES
from model_check import tables_tla, tlc

SPEC = Path(__file__).parents[1] / "spec"
NAME = "TraceHACluster"
STEPS = "TraceSteps"
WIDTH = 80
REACHED = re.compile(r'<<"event", (\d+)>>')

CONFIG = """
CONSTANTS
  Node = {{{nodes}}}
  Service = {{"{service}"}}
  Crm = {{{nodes}}}
  Nobody = "nobody"
  W = 2
  R = 1
  L = 3
  Failing = {{{nodes}}}
  Updated = {{{nodes}}}
  Operated = TRUE
  Survivors = {{}}
  RecheckAfterArming = TRUE
  ActiveOnlyGuarded = TRUE
  Generations = TRUE
  MarkFirst = TRUE
  ReleaseChecked = TRUE
  TokenChecked = TRUE
SPECIFICATION TraceSpec
INVARIANT NotConsumed
CONSTRAINT Shown
"""
"""Any node may fail at any time there, and ticks are as few as it takes: a round is less than one."""

Event = Mapping[str, str | bool]


def consumed(
    nodes: Sequence[str], service: str, home: str, events: Sequence[Event], timeout_s: float | None = None
) -> int:
    """How many events TLC could follow, one step each: all of them, if it is a behaviour of the specification.

    An event has ``do`` and ``node``; a write also ``state`` and ``home``, a request for a lock ``yes``. Raises
    :class:`model_check.tlc.TlcError`.
    """
    config = CONFIG.format(nodes=", ".join(f'"{node}"' for node in nodes), service=service)
    with TemporaryDirectory() as name:
        folder = Path(name)
        for path in (SPEC / "HACluster.tla", SPEC / f"{NAME}.tla"):
            shutil.copy(path, folder)
        (folder / tables_tla.NAME).write_text(tables_tla.text(TABLES.values()))
        (folder / f"{STEPS}.tla").write_text(module(home, events))
        answer = tlc.run(folder / f"{NAME}.tla", config, workers=1, deadlock=False, brief=True, timeout_s=timeout_s)
    if answer.violated == "NotConsumed":
        return len(events)
    return max((int(number) for number in REACHED.findall(answer.text)), default=1) - 1


def module(home: str, events: Sequence[Event]) -> str:
    """The events as a module of plain data."""
    body = ",\n  ".join(map(_record, events))
    return "\n".join(
        [f" MODULE {STEPS} ".center(WIDTH, "-"), f'Home == "{home}"', f"Trace == <<\n  {body}>>", "=" * WIDTH, ""]
    )


def _record(event: Event) -> str:
    fields = {**event, "yes": event.get("yes", False)}
    return f"[{', '.join(f'{key} |-> {_value(value)}' for key, value in fields.items())}]"


def _value(value: str | bool) -> str:
    return str(value).upper() if isinstance(value, bool) else f'"{value}"'
