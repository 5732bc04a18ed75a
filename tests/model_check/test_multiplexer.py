"""The multiplexer's own table keeps what the world takes for granted of it, and weaker tables do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hacore.protocol import watchdog
from hacore.protocol.table import ALWAYS, Row, Table
from hacore.protocol.tables import TABLES
from model_check.checks.explored import multiplexed
from model_check.conform import against_tlc
from model_check.explore import explore
from model_check.ground import Ground
from model_check.holes import substituted
from model_check.outcome import Verdict
from model_check.world.multiplexer import PROMISES, Size, multiplexer

OURS = watchdog.WATCHDOG
ROWS = OURS.by_id
TINY = Size(watchdog_s=2, hardware_s=2)


def changed(row: str, **changes: object) -> Table:
    return substituted(OURS, {row: replace(ROWS[row], **changes)})[OURS.name]  # type: ignore[arg-type]


def without(row: str) -> Table:
    return substituted(OURS, {row: ()})[OURS.name]


def before_the_deadlines(row: str) -> Table:
    """The row is looked at before the deadlines of all clients are."""
    expire = ROWS["watchdog.armed.expire"]
    return substituted(OURS, {expire.id: (ROWS[row], expire), row: ()})[OURS.name]


def test_our_table_keeps_every_promise_and_each_of_its_rows_fires() -> None:
    check = multiplexed(TABLES)
    assert (check.verdict, check.problem) == (Verdict.PASSED, "")
    assert set(check.fired) == set(ROWS)
    assert all(check.fired.values())


WEAKER = {
    "feeds without a look at the deadlines": (before_the_deadlines("watchdog.armed.feed"), "EndsInTime"),
    "feeds after a deadline": (
        changed("watchdog.armed.expire", do=(watchdog.FEED_HARDWARE,), target="armed"),
        "EndsInTime",
    ),
    "takes a keep-alive that is too late": (before_the_deadlines("watchdog.armed.move"), "EndsInTime"),
    "forgets a client on a close that is too late": (before_the_deadlines("watchdog.armed.dismiss"), "EndsInTime"),
    "disarms on a close that is too late": (before_the_deadlines("watchdog.armed.close"), "StaysArmed"),
    "disarms although another client is open": (
        changed("watchdog.armed.close", guard=watchdog.CLOSE_ASKED),
        "StaysArmed",
    ),
    "forgets who vanished": (changed("watchdog.armed.vanish", do=(watchdog.DISMISS,)), "StaysArmed"),
    "never expires": (without("watchdog.armed.expire"), "EndsInTime"),
    "admits without the hardware": (
        substituted(
            OURS,
            {
                "watchdog.opening.admit": Row(
                    "watchdog.opening.admit",
                    "opening",
                    ALWAYS,
                    "armed",
                    do=(watchdog.ADMIT, watchdog.ACCEPT),
                    ends_round=True,
                ),
                "watchdog.opening.fail": (),
            },
        )[OURS.name],
        "StaysArmed",
    ),
    "moves a deadline and refuses to": (
        changed("watchdog.armed.move", do=(watchdog.MOVE, watchdog.REFUSE)),
        "KeepsItsWord",
    ),
    "never feeds": (without("watchdog.armed.feed"), "NoNeedlessReset"),
}


@pytest.mark.parametrize("name", WEAKER)
def test_a_weaker_table_is_found_out(name: str) -> None:
    table, promise = WEAKER[name]
    ground = Ground(multiplexer({OURS.name: table}, TINY))
    found = explore(ground, invariants=[promise])
    assert found.violated is not None


def test_what_is_found_out_comes_with_its_story() -> None:
    table, _ = WEAKER["feeds without a look at the deadlines"]
    check = multiplexed({OURS.name: table})
    assert check.verdict is Verdict.SAFETY
    (story,) = check.stories
    assert story.property in PROMISES
    assert story.sentence
    assert "watchdog.armed.feed" in {step.row for step in story.steps}


def test_no_shorter_time_to_the_reset_would_do() -> None:
    """The bound is tight: twice the hardware's timeout, and not a tick less."""
    assert multiplexed(TABLES, size=TINY).verdict is Verdict.PASSED
    check = multiplexed(TABLES, size=replace(TINY, margin_s=-1))
    assert [story.property for story in check.stories] == ["EndsInTime"]


@pytest.mark.slow
def test_explorer_and_tlc_agree_on_it() -> None:
    model = multiplexer(size=replace(TINY, clients=1))
    ground = Ground(model)
    assert against_tlc(model, ground, explore(ground, keep=False)).equal
