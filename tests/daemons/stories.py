"""Stories of the real daemons on simulated hardware, for whatever variant of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hacore.manager.documents import Resource
from hacore.protocol.requests import Fired, Request
from hacore.sim.operators import Operator
from hacore.sim.processes import Process
from hacore.sim.world import World

SIDS = ("ct:1", "ct:2", "ct:3")


class Story:
    """Three nodes; the services run, the first on n1, the second on n2, the third on n3."""

    def __init__(self, *sids: str, seed: int = 1, **kinds: Any) -> None:
        self.world = World(seed, **kinds)
        self.world.careful_arrivals = True
        self.operator = Operator(self.world)
        self.world.begin({})
        for number, sid in enumerate(sids or SIDS, 1):
            self.operator.configure(sid, Resource(f"n{number}"))
        self.within(30, lambda: self.operator.runs(*(sids or SIDS)))
        self.within(60, lambda: bool(self.operator.master()))

    def within(self, duration_s: float, holds: Callable[[], bool]) -> float:
        """How long it took until it held; it must."""
        begin_s = self.world.now
        assert self.world.run(duration_s, holds), self.world.story()
        return self.world.now - begin_s

    def never(self, duration_s: float, happens: Callable[[], bool]) -> None:
        assert not self.world.run(duration_s, happens), self.world.story()

    def daemon(self, name: str, kind: str) -> Process:
        return self.world.nodes[name].daemons[kind]

    def boots(self) -> list[int]:
        return [node.boot for node in self.world.nodes.values()]

    def sid_away_from(self, name: str) -> tuple[str, str]:
        """A service that does not run on this node, and its node."""
        return next((sid, where) for sid in SIDS for where in self.operator.where(sid) if where != name)


def pause_an_ex_master(row: str, **kinds: Any) -> None:
    """A master is stopped just before it does this, while a node is fenced; another takes over; then it goes on."""
    story = Story(**kinds)
    master = story.daemon(story.operator.master(), "crm")
    sid, name = story.sid_away_from(master.node.name)
    story.world.power_off(name, "power")

    def interfere(process: Process, request: Request[Any]) -> None:
        if process is master and isinstance(request, Fired) and request.row == row:
            story.world.interfere = lambda _, __: None
            story.world.pause(process, 30)

    story.world.interfere = interfere
    story.world.after(20, lambda: story.world.boot(name))
    story.world.after(25, lambda: story.operator.command(f"relocate {sid} {name}"))
    story.within(20, lambda: master.paused)
    story.within(29, lambda: story.operator.master() != master.node.name and story.operator.runs(*SIDS))
    story.within(60, lambda: not master.paused)
    story.world.run(20)
    assert story.operator.runs(*SIDS)


def hear_late_of_a_renewal(seed: int, **kinds: Any) -> None:
    """An LRM is stopped while its renewal is on its way, for nearly as long as it may be; its node is cut off."""
    story = Story(seed=seed, **kinds)
    timing = story.world.timing
    _, name = story.sid_away_from(story.operator.master())
    lrm = story.daemon(name, "lrm")
    story.world.run(5 + seed / 7)

    def interfere(process: Process, request: Request[Any]) -> None:
        if process is lrm and isinstance(request, Fired) and request.row == "lrm.active.confirmed":
            story.world.interfere = lambda _, __: None
            story.world.pause(process, timing.watchdog_s - timing.round_s - 0.3)
            story.world.cut(name)

    story.world.interfere = interfere
    story.world.run(30)
