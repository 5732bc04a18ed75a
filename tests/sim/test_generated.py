"""Scenarios drawn at random: every run ends, and no service ever runs on two nodes (reference profile, no disarm)."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hacore.protocol.reference.tables import REFERENCE, timing
from hacore.sim.clockwork import Clockwork, Slot
from hacore.sim.scenario import NodeAtStart, Scenario, ServiceAtStart
from hacore.sim.services import Services
from hacore.sim.store import Store

NODES = ("n1", "n2", "n3")
SIDS = ("vm:1", "ct:2", "fa:0110")
LOOP_S = 20

nodes, sids = st.sampled_from(NODES), st.sampled_from(SIDS)
commands = st.one_of(
    st.builds("power {} {}".format, nodes, st.sampled_from(["on", "off"])),
    st.builds("network {} {}".format, nodes, st.sampled_from(["on", "off"])),
    st.builds("{} {}".format, st.sampled_from(["reboot", "shutdown", "restart-lrm"]), nodes),
    st.builds("crm {} {}-node-maintenance".format, nodes, st.sampled_from(["enable", "disable"])),
    st.builds("service {} {}".format, sids, st.sampled_from(["started", "stopped", "disabled", "stop 0"])),
    st.builds("service {} {} {}".format, sids, st.sampled_from(["migrate", "relocate"]), nodes),
    st.builds("cfs {} update {}".format, nodes, st.sampled_from(["work", "fail"])),
    st.builds("delay {}".format, st.sampled_from([50, 200])),
)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """All nodes are switched on first; what a scenario is shrunk to can be saved and read as any other."""
    services = {sid: ServiceAtStart(draw(nodes), draw(st.sampled_from(["started", "stopped"]))) for sid in SIDS}
    later = draw(st.lists(st.lists(commands, min_size=1, max_size=2), max_size=4))
    policy = draw(st.sampled_from(["conditional", "freeze", "failover", "migrate"]))
    return Scenario(
        dict.fromkeys(NODES, NodeAtStart()),
        [[f"power {node} on" for node in NODES], *later],
        services=services,
        settings={"ha": {"shutdown_policy": policy}},
    )


def doubled(running: dict[str, set[str]]) -> Iterator[str]:
    """The services that run on more than one node."""
    return (sid for sid in SIDS if sum(sid in here for here in running.values()) > 1)


class Watched(Clockwork):
    """A run in which it is looked after every round whether a service runs on two nodes."""

    def _round(self, slot: Slot) -> None:
        super()._round(slot)
        assert not [*doubled(self.hardware.services.running)], f"at {self.now_s} s: {self.scenario.commands}"


def run(scenario: Scenario) -> None:
    """Raises ScenarioError if it does not end."""
    Watched(scenario, REFERENCE, timing(LOOP_S), LOOP_S).run()


@settings(max_examples=8, deadline=None, suppress_health_check=[*HealthCheck])
@given(scenarios())
def test_no_service_runs_on_two_nodes(scenario: Scenario) -> None:
    run(scenario)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=500, deadline=None, suppress_health_check=[*HealthCheck])
@given(scenarios())
def test_no_service_runs_on_two_nodes_in_many_scenarios(scenario: Scenario) -> None:
    run(scenario)


def test_a_node_that_loses_its_power_and_keeps_its_services_would_be_noticed() -> None:
    """Then they run there and where they are recovered."""
    scenario = Scenario(
        dict.fromkeys(NODES, NodeAtStart()),
        [[f"power {node} on" for node in NODES], ["power n3 off"]],
        services={"vm:1": ServiceAtStart("n3", "started")},
    )
    run(scenario)

    class Undying(set[str]):
        def clear(self) -> None:
            pass

    made = Services.__init__

    def immortal(services: Services, running: dict[str, set[str]], store: Store) -> None:
        made(services, {node: Undying(here) for node, here in running.items()}, store)

    with patch.object(Services, "__init__", immortal), pytest.raises(AssertionError, match="power n3 off"):
        run(scenario)
