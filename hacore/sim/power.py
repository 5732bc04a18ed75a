"""Fencing devices of the simulated world: they work, fail, hang or take their time. What they say is true."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from hacore.protocol.requests import JSON, PowerOff, PowerOutcome, ReapPower
from hacore.sim.processes import Node, Process

if TYPE_CHECKING:
    from hacore.sim.world import World

MOODS = ("works", "works", "fails", "hangs", "late")
"""What a device does the next time; each is drawn with the same probability."""
SWITCH_S, STATUS_S, LATE_S = 1.5, 0.5, 30.0
"""A device switches off within the first of these times, a late one within the third; it looks at the power within the
second after that, and its answer takes as long."""


def fencing_of(nodes: Iterable[str]) -> JSON:
    """The setting by which every node has a device."""
    return {node: [[{"agent": "fence_sim"}]] for node in nodes}


class PowerDevices:
    """Each node has one. It goes on with what it was asked for even if the one who asked is gone."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.moods: Sequence[str] = MOODS
        self.on_again_s = 0.0
        """Within this time somebody switches a node on again that a device has switched off; 0: nobody does."""

    def off(self, process: Process, request: PowerOff) -> tuple[bool, None]:
        rng, node = self.world.rng, self.world.nodes[request.target]
        mood = rng.choice(self.moods)
        self.world.note(process, f"has {node.name} powered off, revision {request.revision}: the device {mood}")
        if mood == "fails":
            self._tell(process, request, "the device failed", rng.uniform(0, STATUS_S))
        elif mood == "hangs":
            self._tell(process, request, "no answer in time", request.until_s - self.world.clock(process.node))
        else:
            switch_s = rng.uniform(0, LATE_S if mood == "late" else SWITCH_S)
            self.world.after(switch_s, lambda: self._switch_off(node))
            self.world.after(switch_s + rng.uniform(0, STATUS_S), lambda: self._verify(process, request))
        return False, None

    def reap(self, process: Process, _: ReapPower) -> tuple[bool, Any]:
        ended, process.shot = tuple(process.shot), []
        return False, ended

    def _switch_off(self, node: Node) -> None:
        boots = node.powered and self.on_again_s
        self.world.disturb(node)
        self.world.power_off(node.name, "fencing device")
        if boots:
            self.world.after(self.world.rng.uniform(0, self.on_again_s), lambda: self.world.boot(node.name))

    def _verify(self, process: Process, request: PowerOff) -> None:
        """The status as it is now; the answer takes its way."""
        reason = "the power is on" if self.world.nodes[request.target].powered else ""
        self._tell(process, request, reason, self.world.rng.uniform(0, STATUS_S))

    def _tell(self, process: Process, request: PowerOff, reason: str, delay_s: float) -> None:
        def arrive() -> None:
            if process.alive:
                process.shot.append(PowerOutcome(request.target, request.revision, not reason, reason))
                self.world.wake(process)

        self.world.after(max(0.0, delay_s), arrive)
