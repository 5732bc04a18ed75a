"""The reference clock: daemons take their rounds one after the other, each round in no time at all.

In a loop every node's CRM runs one round, then its LRM; then the watchdogs are looked at. There is one hardware clock
and one clock a daemon, in whole seconds. A round happens at the hardware clock's time, and takes the daemon's clock one
second further. Commands are carried out between loops.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hacore.daemons.base import Daemon
from hacore.daemons.crm import Crm
from hacore.daemons.lrm import Lrm
from hacore.protocol.table import Table
from hacore.protocol.timing import Timing
from hacore.sim.events import Events
from hacore.sim.hardware import Hardware
from hacore.sim.notes import Notes
from hacore.sim.operators import Operator
from hacore.sim.processes import quick
from hacore.sim.scenario import Scenario, ScenarioError
from hacore.sim.switches import ClockSwitches

DAEMONS: dict[str, type[Daemon]] = {"crm": Crm, "lrm": Lrm}
"""In the order in which they run on a node."""
COMMANDS_EVERY = 5
"""Loops."""
QUIET_S = 500
"""A run ends so long after the last command."""
MOST_S = 10_000


def loop_of(scenario: Scenario) -> int:
    """How long a loop takes, in seconds."""
    return max(20, 2 * len(scenario.nodes))


@dataclass
class Slot:
    """Where a daemon runs. The clock stays when the daemon goes."""

    kind: str
    node: str
    clock_s: int = 0
    daemon: Daemon | None = None
    asked: set[str] = field(default_factory=set)
    """Words of the init system: restart, shutdown, reboot, stop."""

    @property
    def actor(self) -> str:
        return f"{self.node}/{self.kind}"


class Clockwork:
    """One run of a scenario."""

    def __init__(self, scenario: Scenario, tables: Mapping[str, Table], timing: Timing, loop_s: int) -> None:
        self.scenario, self.tables, self.timing, self.loop_s = scenario, tables, timing, loop_s
        self.now_s = 0
        self.events = Events()
        self.fired: Counter[str] = Counter()
        """How often each row of a daemon or a worker fired, by its id."""
        self.nodes = sorted(scenario.nodes)
        self.slots = {node: {kind: Slot(kind, node) for kind in DAEMONS} for node in self.nodes}
        self.hardware = Hardware(self)
        self.operator, self.switches = Operator(self.hardware), ClockSwitches(self)
        self.notes = Notes(self)
        self.skipped = dict.fromkeys(DAEMONS, 0)
        """Rounds that all daemons of a kind are still to skip."""

    def run(self) -> Events:
        """Raises ScenarioError if it does not come to an end."""
        lists = iter(self.scenario.commands)
        last_s, loops, resume_s = 0, 0, 0
        while True:
            self._loop()
            if self.now_s < resume_s:
                continue
            loops += 1
            if loops % COMMANDS_EVERY != 1:
                continue
            commands = next(lists, None)
            if commands is None:
                if self.now_s - last_s > QUIET_S:
                    return self.events
                continue
            for command in commands:
                last_s = self.now_s
                resume_s = max(resume_s, self.now_s + self.operator.carry_out(command, self.switches))
            if self.now_s > MOST_S:
                raise ScenarioError(f"not over after {MOST_S} s")

    def _loop(self) -> None:
        begin_s = self.now_s
        for node in self.nodes:
            for slot in self.slots[node].values():
                if slot.daemon and not self.skipped[slot.kind]:
                    self._round(slot)
            self._look_at_watchdogs()
        self.skipped = {kind: max(0, rounds - 1) for kind, rounds in self.skipped.items()}
        self.now_s = max(self.now_s, begin_s + self.loop_s)
        for slot in self.all_slots():
            slot.clock_s = self.now_s

    def all_slots(self) -> Iterable[Slot]:
        return (slot for slots in self.slots.values() for slot in slots.values())

    # --------------------------------------------------------------------------------------------------- daemons

    def start(self, slot: Slot) -> None:
        slot.asked.clear()
        daemon = quick(DAEMONS[slot.kind](slot.node, self.timing, self.tables))
        slot.daemon = daemon
        self.say(slot, "daemon_state", {"from": "startup", "to": daemon.shown})

    def say(self, slot: Slot, kind: str, fields: Mapping[str, Any]) -> None:
        self.events.add(slot.clock_s, slot.actor, kind, fields)

    def _round(self, slot: Slot) -> None:
        assert slot.daemon is not None
        slot.clock_s = self.now_s
        sleep = self.hardware.carry_out(slot, slot.daemon.round())
        self.notes.look()
        slot.clock_s += 1
        self.now_s = max(self.now_s, slot.clock_s)
        if sleep is None:
            slot.daemon = None
            self.say(slot, "daemon_exit", {})
            self.hardware.ended(slot)

    def kill(self, node: str) -> None:
        for slot in self.slots[node].values():
            if slot.daemon:
                slot.daemon = None
                self.say(slot, "daemon_killed", {})

    def _look_at_watchdogs(self) -> None:
        for node in self.nodes:
            if self.hardware.watchdog_fires(node):
                self.hardware.power(node, on=False)
                self.events.add(self.now_s, "hardware", "watchdog_reset", {"node": node})
