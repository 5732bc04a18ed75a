"""The real daemons on simulated hardware: stories, a random search, and broken variants that the search must find."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hacore.daemons.crm import Crm
from hacore.protocol.requests import Fired, Request
from hacore.sim.faults import Chaos, Seed
from hacore.sim.operators import Operator
from hacore.sim.processes import Process
from hacore.sim.promises import Violation
from hacore.sim.shrink import failure, shrunk, told
from hacore.sim.world import World
from tests.daemons.stories import SIDS, Story, hear_late_of_a_renewal, pause_an_ex_master
from tests.daemons.variants import MUTANTS, VARIANTS, BlindFencingCrm, OwnMomentLrm, TokenlessCrm, Variant

PAGE = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text()


@pytest.mark.parametrize("seed", range(3))
def test_failover(seed: int) -> None:
    story = Story(seed=seed)
    sid, name = story.sid_away_from(story.operator.master())
    story.world.power_off(name, "power")
    assert story.within(60, lambda: story.operator.runs(sid)) <= story.world.timing.failover_s + 0.5  # the start's own


@pytest.mark.parametrize("seed", range(3))
def test_failover_of_the_masters_node(seed: int) -> None:
    story = Story(seed=seed)
    name = story.operator.master()
    (sid,) = (sid for sid in SIDS if story.operator.where(sid) == [name])
    story.world.power_off(name, "power")
    assert story.within(60, lambda: story.operator.runs(sid)) <= story.world.timing.failover_with_master_s + 0.5


def test_a_node_that_is_cut_off_is_reset_before_its_service_starts_elsewhere() -> None:
    story = Story()
    sid, name = story.sid_away_from(story.operator.master())
    story.world.cut(name)
    story.within(60, lambda: story.operator.where(sid) not in ([], [name]))
    assert story.world.nodes[name].boot == 2


def test_a_frozen_lrm_is_reset_and_its_service_runs_again() -> None:
    story = Story()
    story.world.pause(story.daemon("n2", "lrm"), 60)
    timing = story.world.timing
    assert story.within(30, lambda: not story.world.nodes["n2"].powered) <= timing.watchdog_s + timing.reset_s
    story.within(60, lambda: story.operator.runs(*SIDS))


def test_a_dead_multiplexer_resets_its_node() -> None:
    story = Story()
    story.world.kill(story.daemon("n2", "mux"))
    assert story.within(30, lambda: not story.world.nodes["n2"].powered) <= story.world.timing.hardware_s
    story.within(60, lambda: story.operator.runs(*SIDS))


def test_an_update_leaves_services_untouched() -> None:
    story = Story()
    for name in story.world.nodes:
        lrm = story.daemon(name, "lrm")
        story.world.ask(story.world.nodes[name], "lrm", "restart")
        running = [node.running.copy() for node in story.world.nodes.values()]

        def touched(running: list[set[str]] = running) -> bool:
            return [node.running for node in story.world.nodes.values()] != running

        story.never(20, touched)
        assert not lrm.alive
        story.within(20, lambda: story.operator.runs(*SIDS))
        assert story.world.nodes[name].armed
    assert story.boots() == [1, 1, 1]


def test_an_update_without_a_master_waits_armed() -> None:
    story = Story()
    for name in story.world.nodes:
        story.world.pause(story.daemon(name, "crm"), 30)
    lrm = story.daemon("n2", "lrm")
    story.world.ask(story.world.nodes["n2"], "lrm", "restart")
    story.never(29, lambda: not lrm.alive or not story.world.nodes["n2"].armed)
    story.within(20, lambda: not lrm.alive)
    story.within(20, lambda: story.operator.runs(*SIDS))
    assert story.boots() == [1, 1, 1]


def test_killed_while_it_waits_for_a_master_means_reset() -> None:
    story = Story()
    for name in story.world.nodes:
        story.world.pause(story.daemon(name, "crm"), 30)
    story.world.ask(story.world.nodes["n2"], "lrm", "restart")
    story.world.run(5)
    story.world.kill(story.daemon("n2", "lrm"))
    story.within(10, lambda: not story.world.nodes["n2"].powered)
    story.within(90, lambda: story.operator.runs(*SIDS))


@pytest.mark.parametrize("mode", ["freeze", "ignore"])
def test_disarm_and_arm(mode: str) -> None:
    story = Story()
    story.operator.command(f"disarm-ha {mode}")
    story.within(20, lambda: (story.operator.status.get("disarm") or {}).get("state") == "disarmed")
    assert not any(node.armed for node in story.world.nodes.values())
    for name in story.world.nodes:
        story.world.cut(name)
    story.world.run(30)
    for name in story.world.nodes:
        story.world.heal(name)
    story.world.run(10)
    story.operator.command("arm-ha")
    story.within(20, lambda: story.operator.runs(*SIDS))
    assert story.boots() == [1, 1, 1]
    assert all(node.armed for node in story.world.nodes.values())


def test_maintenance_and_return() -> None:
    story = Story()
    story.operator.command("enable-node-maintenance n2")
    story.within(30, lambda: not story.world.nodes["n2"].armed and story.operator.runs(*SIDS))
    assert story.operator.where("ct:2") != ["n2"]
    story.operator.command("disable-node-maintenance n2")
    story.within(40, lambda: story.operator.where("ct:2") == ["n2"] and story.operator.runs(*SIDS))
    assert story.boots() == [1, 1, 1]


def test_a_live_move_never_stops_and_a_relocation_does() -> None:
    story = Story("vm:1", "ct:2")
    story.operator.command("migrate vm:1 n3")
    story.never(10, lambda: not story.operator.where("vm:1"))
    assert story.operator.where("vm:1") == ["n3"]
    story.operator.command("migrate ct:2 n3")
    story.within(20, lambda: not story.operator.where("ct:2"))
    story.within(20, lambda: story.operator.where("ct:2") == ["n3"])
    story.within(20, lambda: story.operator.runs("vm:1", "ct:2"))


def test_stop_and_start() -> None:
    story = Story()
    story.operator.command("stop ct:2 5")
    story.within(20, lambda: story.operator.state("ct:2") == "stopped" and not story.operator.where("ct:2"))
    story.operator.request("ct:2", "started")
    story.within(20, lambda: story.operator.runs(*SIDS))


def test_restarts_and_relocations_end_in_error_and_disabled_leads_out() -> None:
    story = Story()
    starts: list[str] = []

    def count(process: Process, request: Request[Any]) -> None:
        if isinstance(request, Fired) and request.row == "worker.begin.start" and process.machine.job.sid == "ct:2":
            starts.append(process.node.name)

    story.world.interfere = count
    story.world.services.failing.add("ct:2")
    story.world.nodes["n2"].running.discard("ct:2")
    story.within(60, lambda: story.operator.state("ct:2") == "error")
    assert len(starts) == 4, "max_restart 1 and max_relocate 1: two starts on each of two nodes"
    assert len(set(starts)) == 2
    story.world.services.failing.clear()
    story.operator.request("ct:2", "disabled")
    story.within(20, lambda: story.operator.state("ct:2") == "stopped")
    story.operator.request("ct:2", "started")
    story.within(30, lambda: story.operator.runs(*SIDS))


@pytest.mark.parametrize("trouble", ["pause", "cut", "kill"])
@pytest.mark.parametrize("at", range(1, 50, 6))
def test_trouble_at_each_request_while_the_lrm_arms(trouble: str, at: int) -> None:
    """From its first request on; what it had begun must not hurt, and all comes right."""
    world = World(at)
    operator = Operator(world)
    world.begin(dict.fromkeys(SIDS, "n1"))
    left = at

    def interfere(process: Process, _: Request[Any]) -> None:
        nonlocal left
        if process.kind == "lrm" and process.node.name == "n1":
            left -= 1
            if left == 0 and trouble == "pause":
                world.pause(process, 20)
            elif left == 0 and trouble == "kill":
                world.kill(process)
            elif left == 0:
                world.cut("n1")
                world.after(12, lambda: world.heal("n1"))

    world.interfere = interfere
    world.run(20)
    assert world.run(60, lambda: operator.runs(*SIDS)), world.story()


@pytest.mark.parametrize("row", ["crm.master.write", "crm.master.take", "crm.master.renew", "crm.master.change"])
def test_a_paused_ex_master_writes_nothing(row: str) -> None:
    pause_an_ex_master(row)


@pytest.mark.parametrize(
    ("row", "crm", "name"),
    [("crm.master.write", TokenlessCrm, "OneMaster"), ("crm.master.take", BlindFencingCrm, "FenceBeforeRecover")],
)
def test_a_paused_ex_master_must_be_refused(row: str, crm: type[Crm], name: str) -> None:
    with pytest.raises(Violation, match=name):
        pause_an_ex_master(row, crm=crm)


@pytest.mark.parametrize("seed", range(5))
def test_a_renewal_that_is_heard_of_late_counts_from_when_it_was_sent(seed: int) -> None:
    hear_late_of_a_renewal(seed)
    with pytest.raises(Violation, match="FenceBeforeRecover"):
        hear_late_of_a_renewal(seed, lrm=OwnMomentLrm)


# ------------------------------------------------------------------------------------------------------ the search


@pytest.mark.parametrize("seed", range(10))
def test_seeds(seed: int) -> None:
    Seed(seed).run()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("first", range(1000, 1500, 50))
def test_many_seeds(first: int) -> None:
    for seed in range(first, first + 50):
        Seed(seed).run()


def test_a_seed_reproduces_exactly() -> None:
    assert Seed(7).run(settle=False).story(600) == Seed(7).run(settle=False).story(600)


@pytest.mark.parametrize("variant", [*VARIANTS, *MUTANTS], ids=lambda variant: variant.name.replace(" ", "-"))
def test_the_search_finds_what_is_broken(variant: Variant) -> None:
    """In as many seeds as the page says."""
    seeds, found = variant.search()
    assert found in variant.names
    assert f"| {variant.name} | {', '.join(variant.only) or 'any'} | `{found}` | {seeds} |" in PAGE.splitlines()


def test_a_failing_seed_is_shrunk_to_what_it_fails_by() -> None:
    """Of nine faults one matters: a node is cut off for longer than the lock lives."""
    variant = VARIANTS[0]
    with variant.installed() as kinds:
        seed = variant.search()[0] - 1
        found = failure(Seed(seed, only=variant.only, **kinds))
        assert found
        less, _ = shrunk(lambda keep: Seed(seed, only=variant.only, keep=keep, **kinds), found)
        again = failure(Seed(seed, only=variant.only, keep=[it.name for it in less.faults], **kinds))
    assert (less.name, len(less.faults)) == (found.name, 1)
    assert len(found.faults) > 1
    assert less.faults[0] in found.faults
    assert less == again
    assert told(less) == told(again)


@pytest.mark.parametrize("only", sorted({variant.only for variant in VARIANTS if variant.only}), ids=str)
def test_the_right_protocol_survives_the_same_trouble(only: tuple[str, ...]) -> None:
    for seed in range(3):
        Seed(seed, only=only).run(settle=False)


def test_chaos_can_do_everything() -> None:
    world = World(0)
    chaos = Chaos(world)
    world.begin(dict.fromkeys(SIDS, "n1"))
    world.run(5)
    for deed in chaos.deeds.values():
        deed()
        world.run(1)
    chaos.settle()
