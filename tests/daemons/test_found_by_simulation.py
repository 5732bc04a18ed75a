"""What the simulated world has found out about the protocol, each as a short story of what must hold.

Those marked xfail are not yet answered by the protocol. That one of them no longer fails is noticed: drop its mark.
"""

from __future__ import annotations

import pytest

from hacore.protocol.requests import Transact
from hacore.sim.operators import Operator
from hacore.sim.processes import Process
from hacore.sim.promises import Violation
from hacore.sim.world import World


def cluster(seed: int, *sids: str) -> tuple[World, Operator]:
    """Three nodes; the services run, the first on n1, the second on n2 ..."""
    world = World(seed)
    operator = Operator(world)
    world.begin({sid: f"n{i % 3 + 1}" for i, sid in enumerate(sids)})
    assert world.run(30, lambda: operator.runs(*sids))
    world.run(5)
    return world, operator


def test_a_late_word_active_thaws_nothing_that_is_not_guarded() -> None:
    """A status in which an LRM says active is held up in the store, and comes after the LRM has let go again."""
    world, _ = cluster(1, "ct:1", "ct:2")
    n1 = world.nodes["n1"]
    world.ask(n1, "lrm", "restart")
    assert world.run(30, lambda: "lrm" not in n1.daemons)
    assert world.run(30, lambda: "lrm" in n1.daemons)

    def hold_up(_: Process, request: Transact) -> float:
        said = request.writes.get("lrm/n1")
        if said is None or said["mode"] != "active":
            return 0.0
        world.hold_up = lambda _, __: 0.0
        world.after(0.6, lambda: world.ask(n1, "lrm", "restart"))
        return 4.0

    world.hold_up = hold_up
    assert world.run(30, lambda: "lrm" not in n1.daemons and not n1.armed)
    world.cut("n1")
    world.run(60)


@pytest.mark.parametrize("services", [1, 4, 12])
@pytest.mark.parametrize("slowness", [0.6, 0.95])
def test_a_slow_store_resets_nobody(services: int, slowness: float) -> None:
    """Every call is answered within call_timeout_s, but a round with several services makes many calls."""
    world = World(1)
    trip_s = slowness * world.timing.call_timeout_s / 2
    world.devices.trip_s = lambda: trip_s  # type: ignore[method-assign]
    world.begin({f"ct:{i}": "n1" for i in range(services)})
    for node in world.nodes.values():
        node.disturbed_s = -100.0
    world.run(60)
    assert [node.boot for node in world.nodes.values()] == [1, 1, 1]


def test_a_reboot_is_not_held_up_by_a_service_that_moves() -> None:
    world, operator = cluster(1, "ct:1", "ct:2")
    operator.command("relocate ct:1 n3")
    assert world.run(10, lambda: operator.state("ct:1") == "relocate")
    world.end("n1", "reboot")
    assert world.run(50, lambda: world.nodes["n1"].boot == 2)


def test_a_reboot_is_not_held_up_by_a_service_in_error() -> None:
    world, operator = cluster(1, "ct:1", "ct:2")
    world.services.stuck.add("ct:1")
    operator.command("stop ct:1 5")
    assert world.run(60, lambda: operator.state("ct:1") == "error")
    world.services.stuck.clear()
    world.end("n1", "reboot")
    assert world.run(50, lambda: world.nodes["n1"].boot == 2)


def told(world: World, kind: str) -> int:
    return sum(event["event"] == kind for event in world.events.list)


def test_what_cannot_be_stopped_is_tried_again_once_another_state_was_requested() -> None:
    world, operator = cluster(1, "ct:1", "ct:2")
    world.services.stuck.add("ct:1")
    operator.request("ct:1", "disabled")
    world.run(60)
    assert (operator.state("ct:1"), told(world, "stop_failed")) == ("error", 1)
    world.services.stuck.clear()
    world.run(20)
    assert operator.state("ct:1") == "error"
    operator.request("ct:1", "stopped")
    world.run(10)
    operator.request("ct:1", "disabled")
    assert world.run(20, lambda: operator.state("ct:1") == "stopped")


def test_people_are_told_once_that_a_service_has_nowhere_to_go() -> None:
    world, operator = cluster(1, "ct:1", "ct:2", "ct:3")
    here = {"type": "node-affinity", "resources": ["ct:3"], "nodes": {"n3": 1}, "strict": True}
    world.write("rules", {"here": here})
    for _ in range(2):
        known = told(world, "recovery_blocked")
        world.power_off("n3", "power")
        assert world.run(60, lambda: operator.state("ct:3") == "recovery")
        world.run(30)
        assert told(world, "recovery_blocked") == known + 1
        world.boot("n3")
        assert world.run(60, lambda: operator.runs("ct:3"))


def test_what_was_ignored_for_a_while_runs_once() -> None:
    """Ignored, its node's LRM lets go after a while; then the node is cut, and the service is managed again."""
    world, operator = cluster(1, "ct:1", "ct:2")
    operator.request("ct:1", "ignored")
    assert world.run(90, lambda: not world.nodes["n1"].armed)
    world.cut("n1")
    world.run(5)
    operator.request("ct:1", "started")
    world.run(60)


def test_disarming_completes_although_the_release_of_a_lock_was_lost() -> None:
    world, operator = cluster(1, "ct:1", "ct:2")

    def hold_up(_: Process, request: Transact) -> float:
        lock = request.writes.get("lock/agent/n1")
        if lock is None or lock["owner"]:
            return 0.0
        world.hold_up = lambda _, __: 0.0
        return 1000.0

    world.hold_up = hold_up
    operator.command("disarm-ha freeze")
    assert world.run(10, lambda: not any(node.armed for node in world.nodes.values()))
    assert world.run(60, lambda: (operator.status.get("disarm") or {}).get("state") == "disarmed")


@pytest.mark.xfail(raises=Violation, strict=True)
def test_a_live_move_does_not_arrive_where_nobody_guards() -> None:
    """The target has crashed and boots: its lock and its status still say that it guards."""
    world, operator = cluster(1, "vm:1", "ct:2")
    operator.command("migrate vm:1 n2")
    assert world.run(20, lambda: operator.state("vm:1") == "migrate")
    world.power_off("n2", "power")
    world.boot("n2")
    world.pause(world.nodes["n2"].daemons["lrm"], 3.0)
    world.run(30)


def test_an_update_of_the_target_and_a_live_move_do_not_wait_for_each_other() -> None:
    """The target says restart and waits until nothing comes; the source waits until it says active (seed 47)."""
    world, operator = cluster(1, "vm:1", "ct:2")
    world.careful_arrivals = True
    n2 = world.nodes["n2"]
    crms = [node.daemons["crm"] for node in world.nodes.values()]
    for crm in crms:
        world.pause(crm, 2.0)
    operator.command("migrate vm:1 n2")
    world.ask(n2, "lrm", "restart")
    assert world.run(60, lambda: "lrm" not in n2.daemons or operator.where("vm:1") == ["n2"])


def test_a_node_that_comes_back_is_not_fenced_before_its_first_heartbeat() -> None:
    """Its LRM says active, the master thaws, and in the same round finds that the node is lost (seed 5023)."""
    world, operator = cluster(1, "ct:1", "ct:2")
    world.write("settings", {"shutdown_policy": "freeze"})
    world.end("n2", "shutdown")
    assert world.run(30, lambda: not world.nodes["n2"].powered)
    world.run(6)
    world.boot("n2")
    world.hold_up = lambda _, request: 0.5 if "heartbeat/n2" in request.writes else 0.0
    world.after(3.0, lambda: setattr(world, "hold_up", lambda _, __: 0.0))
    assert not world.run(30, lambda: operator.status["nodes"]["n2"] == "fence")
    assert world.nodes["n2"].boot == 2
