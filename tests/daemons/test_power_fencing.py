"""Power fencing in the simulated world: what it saves, that nothing rests on it, and what would be unsound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from hacore.daemons.crm import Crm
from hacore.manager.documents import SETTINGS
from hacore.protocol import crm
from hacore.protocol.requests import Fired, PowerOff, Request
from hacore.sim.power import STATUS_S, SWITCH_S, fencing_of
from hacore.sim.processes import Node, Process
from hacore.sim.promises import Violation
from tests.daemons.stories import SIDS, Story
from tests.daemons.variants import without_given

OWN_START_S = 0.5


class CredulousCrm(Crm):
    """Believes what it has once heard of a node, whatever has happened to its lock since."""

    table = crm.CRM.substituted(
        {"crm.master.take_off": without_given(crm.CRM, "crm.master.take_off", crm.LOCK_UNTOUCHED)}
    )

    def _forget_shots(self, nodes: Iterable[str]) -> None:
        pass


def powered(*moods: str, seed: int = 1, kinds: Mapping[str, Any] | None = None) -> tuple[Story, str, str]:
    """A story whose nodes have devices; a service that does not run on the master's node, and its node."""
    story = Story(seed=seed, **(kinds or {}))
    story.world.write(SETTINGS, {"fencing": fencing_of(story.world.nodes)})
    story.world.devices.power.moods = moods
    return story, *story.sid_away_from(story.operator.master())


def moved(story: Story, sid: str, name: str) -> bool:
    return story.operator.where(sid) not in ([], [name])


def said(story: Story, event: str) -> list[str]:
    """Of which nodes it was said."""
    return [told["node"] for told in story.world.events.list if told["event"] == event]


@pytest.mark.parametrize("seed", range(3))
def test_a_device_that_works_saves_the_wait_for_the_watchdog(seed: int) -> None:
    story, sid, name = powered("works", seed=seed)
    timing = story.world.timing
    bound_s = timing.failover_powered_s(SWITCH_S + 2 * STATUS_S)
    assert bound_s < timing.failover_s
    story.world.cut(name)
    assert story.within(60, lambda: moved(story, sid, name)) <= bound_s + OWN_START_S
    assert story.world.nodes[name].boot == 1, "the watchdog had not fired yet"
    assert said(story, "powered_off") == [name]


@pytest.mark.parametrize("mood", ["fails", "hangs"])
@pytest.mark.parametrize("seed", range(2))
def test_a_device_that_does_not_leaves_it_to_the_watchdog(mood: str, seed: int) -> None:
    story, sid, name = powered(mood, seed=seed)
    story.world.cut(name)
    assert story.within(60, lambda: moved(story, sid, name)) <= story.world.timing.failover_s + OWN_START_S
    assert story.world.nodes[name].boot == 2
    assert len(said(story, "power_off_asked")) == 1, "once is enough, its lock standing still"


def test_a_node_without_power_is_verified_off_too() -> None:
    story, sid, name = powered("works")
    story.world.power_off(name, "power")
    story.within(story.world.timing.lock_ttl_s, lambda: moved(story, sid, name))


def test_only_a_marked_node_is_switched_off_and_only_after_the_mark_is_written() -> None:
    story, sid, name = powered("works")
    marked: list[str] = []

    def look(_: Process, request: Request[Any]) -> None:
        if isinstance(request, PowerOff):
            marked.append(story.operator.status["nodes"][request.target])

    story.world.interfere = look
    story.world.cut(name)
    story.within(60, lambda: moved(story, sid, name))
    assert marked == ["fence"]


@pytest.mark.parametrize("pause_s", [1.0, 4.0, 30.0])
def test_a_node_that_is_switched_on_again_before_its_lock_is_taken_starts_nothing(pause_s: float) -> None:
    story, sid, name = powered("works")
    story.world.cut(name)

    def interfere(process: Process, request: Request[Any]) -> None:
        if isinstance(request, Fired) and request.row == "crm.master.claim":
            story.world.interfere = lambda _, __: None
            story.world.heal(name)
            story.world.boot(name)
            story.world.pause(process, pause_s)

    story.world.interfere = interfere
    story.within(60, lambda: story.world.nodes[name].boot == 2)
    story.within(60, lambda: story.operator.runs(sid))


@pytest.mark.parametrize("credulous", [False, True])
def test_an_answer_that_comes_when_the_node_is_back_counts_for_nothing(credulous: bool) -> None:
    """A slow device: the watchdog was quicker, the node has rejoined, is switched off after all, and rejoins again."""
    story, sid, name = powered("late", kinds={"crm": CredulousCrm} if credulous else {})
    story.world.devices.power.on_again_s = 5.0
    story.world.cut(name)
    story.within(60, lambda: moved(story, sid, name))
    story.world.heal(name)
    story.within(120, lambda: bool(said(story, "powered_off") or said(story, "power_off_failed")))
    story.within(60, lambda: story.operator.runs(*SIDS) and set(story.operator.status["nodes"].values()) == {"online"})
    story.operator.command(f"migrate {sid} {name}")
    story.within(60, lambda: story.operator.where(sid) == [name])
    story.world.devices.power.moods = ("fails",)
    story.world.cut(name)
    if credulous:
        with pytest.raises(Violation, match="FenceBeforeRecover"):
            story.world.run(60)
    else:
        assert said(story, "powered_off") == []
        story.within(60, lambda: moved(story, sid, name))


def test_a_device_that_lies_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says off, and the node is on: nothing can help, and the world says what broke."""
    story, _, name = powered("works")
    power = story.world.devices.power

    def keep_on(_: Node) -> None: ...

    def lie(process: Process, request: PowerOff) -> None:
        power._tell(process, request, "", 0.0)

    monkeypatch.setattr(power, "_switch_off", keep_on)
    monkeypatch.setattr(power, "_verify", lie)
    story.world.cut(name)
    with pytest.raises(Violation, match="FenceBeforeRecover"):
        story.world.run(60)
