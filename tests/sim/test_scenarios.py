"""The scenarios that the project was given, where they lie beside it: by the reference's protocol, and by hacore's."""

from __future__ import annotations

from pathlib import Path

import pytest

from hacore.protocol.reference.tables import REFERENCE, timing
from hacore.sim.clockwork import Clockwork, loop_of
from hacore.sim.events import first_difference
from hacore.sim.play import Play
from hacore.sim.scenario import read_scenario

SHARED = Path(__file__).parents[2].parent / "shared" / "scenarios"
SAMPLE = [
    *("basic3", "cfs-unavailable1", "crs-dynamic-auto-rebalance2", "crs-static1", "recovery3", "reboot1"),
    *("resource-affinity-strict-mixed1", "resource-failure6", "restart-lrm", "service-command9", "service-ignore3"),
    "shutdown-policy4",
]
"""Of each feature one, quickly done."""
ALL = sorted(SHARED.glob("*/*.json"))

sample = pytest.mark.parametrize("name", SAMPLE)
every = pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)


def follow(path: Path) -> None:
    """The reference's protocol gives the events expected."""
    scenario = read_scenario(path)
    loop_s = loop_of(scenario)
    events = Clockwork(scenario, REFERENCE, timing(loop_s), loop_s).run()
    assert first_difference(scenario.expect, events.list) == ""


def given(name: str) -> Path:
    path = SHARED / "reference" / f"{name}.json"
    if not path.exists():
        pytest.skip("the scenarios do not lie beside the project")
    return path


@sample
def test_the_reference_is_followed(name: str) -> None:
    follow(given(name))


@sample
def test_hacore_is_safe_and_ends_well(name: str) -> None:
    Play(read_scenario(given(name))).run()


@pytest.mark.slow
@every
def test_the_reference_is_followed_everywhere(path: Path) -> None:
    follow(path)


@pytest.mark.slow
@pytest.mark.timeout(600)
@every
def test_hacore_is_safe_and_ends_well_everywhere(path: Path) -> None:
    Play(read_scenario(path)).run()
