"""What once went wrong elsewhere, as it would happen here. Each is carried out by whatever daemons it is given.

A broken promise raises Violation; that something does not come about in time, Unsettled: both by the property's name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from hacore.daemons.crm import Crm
from hacore.manager.documents import SETTINGS, Resource
from hacore.protocol.requests import Fired, Request
from hacore.protocol.timing import Timing
from hacore.sim.processes import Process
from hacore.sim.promises import EXCUSED_S, Unsettled
from tests.daemons.stories import SIDS, Story, hear_late_of_a_renewal, pause_an_ex_master

SHORT = Timing(round_s=0.5, call_timeout_s=0.1, hardware_s=0.6, margin_s=0.1)
"""A faster configuration, safe by itself."""


class ReconfiguredCrm(Crm):
    """Runs with a faster configuration than the LRMs still do."""

    table = Crm.table

    def __init__(self, node: str, _: Timing, *args: Any) -> None:
        super().__init__(node, SHORT, *args)


def comes(name: str, story: Story, within_s: float, holds: Callable[[], bool]) -> None:
    if not story.world.run(within_s, holds):
        raise Unsettled(f"{name}: not within {within_s:g} s")


def cut_off_for_good(*, seed: int = 1, **kinds: Any) -> None:
    """A node with a service is cut off from the store."""
    story = Story(seed=seed, **kinds)
    sid, name = story.sid_away_from(story.operator.master())
    story.world.cut(name)
    comes("FailedIsRecovered", story, 60, lambda: story.operator.where(sid) not in ([], [name]))


def reconfigured(*, crm: type[Crm] = ReconfiguredCrm, **kinds: Any) -> None:
    """The CRMs run with shorter durations already, and a node whose LRM does not is cut off."""
    cut_off_for_good(crm=crm, **kinds)


def shut_down_with_a_stuck_service(**kinds: Any) -> None:
    """A node is shut down, and its service does not stop."""
    story = Story(**kinds)
    story.world.write(SETTINGS, {"shutdown_policy": "failover"})
    story.world.services.stuck.add("ct:2")
    story.world.end("n2", "shutdown")
    comes("FailedIsRecovered", story, 120, lambda: story.operator.where("ct:2") not in ([], ["n2"]))


def updated_while_there_is_no_master(**kinds: Any) -> None:
    """All CRMs are stopped, an LRM is restarted by a package update, and later the CRMs are back."""
    story = Story(**kinds)
    world, node = story.world, story.world.nodes["n2"]
    world.run(2 * EXCUSED_S)
    for name in world.nodes:
        world.hold(name, "crm")
    world.run(5)
    old = story.daemon("n2", "lrm")
    world.ask(node, "lrm", "restart")
    world.run(20)
    for name in world.nodes:
        world.let_go(name, "crm")
    comes(
        "UpdateCompletes", story, 60, lambda: node.daemons.get("lrm") not in {old, None} and story.operator.runs(*SIDS)
    )


def updated_while_a_service_comes(**kinds: Any) -> None:
    """A service is on its way to a node whose LRM is to be restarted."""
    story = Story("vm:1", "ct:2", **kinds)
    node, old = story.world.nodes["n2"], story.daemon("n2", "lrm")
    for name in story.world.nodes:
        story.world.pause(story.daemon(name, "crm"), 2.0)
    story.operator.command("migrate vm:1 n2")
    story.world.ask(node, "lrm", "restart")
    comes("UpdateCompletes", story, 60, lambda: node.daemons.get("lrm") is not old)


def paused_before_it_asks_for_its_lock(**kinds: Any) -> None:
    """A node comes back, its LRM sees that it shall start a service, and both its daemons are paused; meanwhile the
    service starts elsewhere."""
    story = Story(**kinds)
    sid, name = story.sid_away_from(story.operator.master())
    story.world.power_off(name, "power")

    def interfere(process: Process, request: Request[Any]) -> None:
        if isinstance(request, Fired) and request.row == "lrm.wait.arm" and process.node.name == name:
            story.world.interfere = lambda _, __: None
            for daemon in (process, story.daemon(name, "crm")):
                story.world.pause(daemon, 30)

    story.world.interfere = interfere
    story.world.boot(name)
    comes("FailedIsRecovered", story, 29, lambda: story.operator.where(sid) not in ([], [name]))
    story.world.run(60)


def forgotten_while_fenced(**kinds: Any) -> None:
    """A node is marked for fencing; an operator deletes its service and adds it again, and the node is back."""
    story = Story(**kinds)
    sid, name = story.sid_away_from(story.operator.master())
    story.world.power_off(name, "power")
    comes("FailedIsRecovered", story, 30, lambda: story.operator.status["nodes"][name] == "fence")
    story.operator.configure(sid, None)
    story.within(5, lambda: not story.operator.state(sid))
    story.operator.configure(sid, Resource(name))
    story.world.boot(name)
    comes("FailedIsRecovered", story, 60, lambda: story.operator.status["nodes"][name] == "online")


def booted_without_a_watchdog(**kinds: Any) -> None:
    """A node comes back, and its multiplexer does not answer."""
    story = Story(**kinds)
    story.world.power_off("n2", "power")
    story.world.boot("n2")
    story.world.pause(story.daemon("n2", "mux"), 120)
    story.world.run(60)


def fails_everywhere(**kinds: Any) -> None:
    """A service cannot be started on any node."""
    story = Story(**kinds)
    story.world.services.failing.add("ct:2")
    story.world.nodes["n2"].running.discard("ct:2")
    comes("MovesEnd", story, 60, lambda: story.operator.state("ct:2") == "error")


paused_between_renewal_and_keep_alive = partial(hear_late_of_a_renewal, 1)
paused_before_it_writes = partial(pause_an_ex_master, "crm.master.write")
