"""What went wrong elsewhere goes wrong here too if our protocol has the fault, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from hacore.protocol.timing import Timing, TimingError
from hacore.sim.promises import Unsettled, Violation
from tests.past_bugs.bugs import BUGS, PastBug

PAGE = (Path(__file__).parents[2] / "docs" / "past_bugs.md").read_text()
each = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))


@each
def test_ours_does_not_have_it(bug: PastBug) -> None:
    bug.story()


@each
def test_a_faulty_variant_is_found_out(bug: PastBug) -> None:
    with pytest.raises((Violation, Unsettled), match=f"^{bug.breaks}: "):
        bug.story(**bug.faulty())


@each
def test_the_page_tells_of_it(bug: PastBug) -> None:
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| {bug.name} |"))
    missing = [it for it in (bug.whose, *bug.reports, bug.sentence, f"`{bug.breaks}`", bug.told()) if it not in line]
    assert missing == []


def test_durations_by_which_the_watchdog_outlasts_the_lock_are_refused() -> None:
    with pytest.raises(TimingError, match="unsafe"):
        Timing(lock_ttl_s=0.9 * Timing().watchdog_s)
