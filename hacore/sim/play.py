"""A scenario carried out on the event-driven world, with hacore's own tables, delays and clocks.

Commands are given at the times of the reference clock. Nodes whose power is on at the start have booted; a node that
its watchdog has reset boots again. A skipped round is a pause of those daemons for as long as the reference's loop
lasts; a fault of the cluster file system makes every call of its node to the store fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hacore.manager.documents import DYNAMIC_STATS, RESOURCES, STATIC_STATS, dump
from hacore.protocol.table import Table
from hacore.sim.clockwork import COMMANDS_EVERY, loop_of
from hacore.sim.documents import documents_of
from hacore.sim.ending import Ending
from hacore.sim.operators import Operator
from hacore.sim.promises import Unsettled, Violation
from hacore.sim.scenario import Scenario
from hacore.sim.stats import Stats
from hacore.sim.world import World

QUIET_S = 240.0
"""So long after the last command all must be as it should, and so long again it must stay or come right again."""
MEASURED_EVERY_S = 5.0


class Play:
    """One run of a scenario. ``kinds``: other classes of daemons, see :class:`World`."""

    def __init__(
        self, scenario: Scenario, seed: int = 0, tables: Mapping[str, Table] | None = None, **kinds: Any
    ) -> None:
        self.scenario, self.loop_s = scenario, loop_of(scenario)
        self.world = World(seed, nodes=sorted(scenario.nodes), tables=tables, **kinds)
        self.world.majority = self.world.careful_arrivals = True
        self.world.stats = Stats.of(scenario)
        self.operator, self.ending = Operator(self.world), Ending(self.world)

    def run(self) -> None:
        """Raises Violation if a promise is broken, Unsettled if it does not end well."""
        try:
            self._begin()
            self._commands()
            self._quiet()
        except Violation as problem:
            problem.add_note(self.world.story())
            raise

    def _begin(self) -> None:
        world = self.world
        for key, value in documents_of(self.scenario).items():
            world.write(key, value)
        for name, node in self.scenario.nodes.items():
            world.nodes[name].running.update(self.scenario.running.get(name, ()))
            world.nodes[name].cut = node.network != "on"
            if node.power == "on":
                world.boot(name)
        if self.scenario.settings.get("crs", {}).get("ha", "basic") != "basic":
            self._measure()

    def _commands(self) -> None:
        """A list in every fifth loop; loops that end before a delay has passed do not count."""
        world, due_s = self.world, float(self.loop_s)
        for commands in self.scenario.commands:
            world.run(due_s - world.now)
            delays_s = [self.operator.carry_out(command, self) for command in commands]
            due_s += max(self.loop_s, *delays_s, 0) + (COMMANDS_EVERY - 1) * self.loop_s

    def _quiet(self) -> None:
        for _ in range(2):
            self.world.run(2 * self.world.timing.failover_with_master_s)
            if not self.world.run(QUIET_S, lambda: not self.ending.problems()):
                raise Unsettled("; ".join(self.ending.problems()) + f" (at {self.world.now:.0f} s)")

    def _measure(self) -> None:
        store, stats = self.world.store, self.world.stats
        sids = store[RESOURCES].value or ()
        measured = {
            STATIC_STATS: dump(stats.static(sids)),
            DYNAMIC_STATS: dump(stats.dynamic(sids, self.world.services.running)),
        }
        for key, value in measured.items():
            if value != store[key].value:
                self.world.write(key, value)
        self.world.after(MEASURED_EVERY_S, self._measure)

    # ------------------------------------------------------------------------------- hardware and init systems

    def power(self, node: str, *, on: bool) -> None:
        it = self.world.nodes[node]
        if on:
            self.world.heal(node)
            it.broken = False
            self.world.boot(node)
        else:
            self.world.power_off(node, "power")
            it.cut = True

    def network(self, node: str, *, on: bool) -> None:
        if on:
            self.world.heal(node)
        else:
            self.world.cut(node)

    def file_system(self, node: str, what: str, *, works: bool) -> None:
        self.world.nodes[node].broken = not works
        self.world.disturb(self.world.nodes[node])

    def end(self, node: str, how: str) -> None:
        self.world.end(node, how)

    def restart_lrm(self, node: str) -> None:
        self.world.ask(self.world.nodes[node], "lrm", "restart")

    def stop_crm(self, node: str) -> None:
        self.world.hold(node, "crm")

    def start_crm(self, node: str) -> None:
        self.world.let_go(node, "crm")

    def skip_rounds(self, kind: str, rounds: int) -> None:
        for node in self.world.nodes.values():
            if kind in node.daemons:
                self.world.pause(node.daemons[kind], rounds * self.loop_s)
