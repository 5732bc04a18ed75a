"""The default durations are safe; what is not safe is refused with its numbers; the inequality is what is needed."""

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacore.manager.documents import Settings
from hacore.protocol.timing import Timing, TimingError
from hacore.runtime.cluster import timing_of

NOISE = 1e-9
"""Floating-point arithmetic is this wrong at most, relative to the numbers."""
SETTINGS = [setting.name for setting in fields(Timing) if setting.init]
DERIVED = {"watchdog_s", "lock_ttl_s", "offline_s", "offline_delay_s"}
MAY_BE_ZERO = DERIVED | {"margin_s", "drift"}
WHOLE = {"missed_rounds", "idle_rounds"}

seconds = st.floats(0.01, 100.0)
basics = st.fixed_dictionaries(
    {
        "round_s": seconds,
        "call_timeout_s": seconds,
        "hardware_s": seconds,
        "margin_s": st.floats(0.0, 10.0),
        "drift": st.floats(0.0, 0.05),
        "missed_rounds": st.integers(1, 5),
    }
)
lengthened = st.fixed_dictionaries({name: st.just(0.0) | st.floats(1.0, 3.0) for name in sorted(DERIVED)})
"""By what factor a derived duration is set longer than it must be; 0: it is left to be derived."""
rates = st.floats(-1.0, 1.0)
"""How a clock runs, from as slow as the drift allows to as fast."""


def slack(timing: Timing) -> float:
    """By how much the safety inequality holds; less than 0: it does not."""
    return timing.lock_ttl_s * (1 - timing.drift) - (timing.watchdog_s + timing.reset_s) * (1 + timing.drift)


def noise(timing: Timing) -> float:
    return NOISE * timing.lock_ttl_s


def message(make: Callable[..., object], *arguments: Any, **settings: Any) -> str:
    """What is said when this is refused."""
    with pytest.raises(TimingError) as refused:
        make(*arguments, **settings)
    return str(refused.value)


# ------------------------------------------------------------------------------------------------ the inequality


def test_the_defaults_are_safe() -> None:
    timing = Timing()
    assert slack(timing) >= 0
    assert timing.feed_s <= timing.hardware_s / 2
    assert timing.watchdog_s >= 2 * timing.round_s
    assert timing.offline_delay_s >= timing.offline_s > timing.round_s
    assert timing.failover_s < 30


@given(basics, lengthened)
def test_whatever_is_accepted_is_safe(settings: dict[str, Any], factors: dict[str, float]) -> None:
    derived = Timing(**settings)
    longer = {name: getattr(derived, name) * factor for name, factor in factors.items()}
    try:
        timing = Timing(**{**settings, **longer})
    except TimingError:
        return  # one was set longer, and what rests on it was not
    assert slack(timing) >= -noise(timing)


@given(basics, st.floats(0.0, 1e3))
def test_a_lifetime_is_refused_below_the_least_and_accepted_from_there(settings: dict[str, Any], more: float) -> None:
    least = Timing(**settings).least_lock_ttl_s()
    assert Timing(**settings, lock_ttl_s=least).lock_ttl_s == least
    assert Timing(**settings, lock_ttl_s=least + more).lock_ttl_s == least + more
    assert f"{least:g}" in message(Timing, **settings, lock_ttl_s=least - 0.011)


@given(basics, st.floats(0.01, 0.999))
def test_the_refusal_has_the_numbers(settings: dict[str, Any], part: float) -> None:
    safe = Timing(**settings)
    said = message(Timing, **settings, lock_ttl_s=safe.least_lock_ttl_s() * part)
    for number in (safe.lock_ttl_s * part, safe.watchdog_s, safe.reset_s, safe.least_lock_ttl_s()):
        assert f"{number:g}" in said
    assert "\n" not in said


@given(basics)
def test_the_least_lifetime_is_hardly_more_than_needed(settings: dict[str, Any]) -> None:
    timing = Timing(**settings)
    assert slack(timing) <= 0.01 + noise(timing)


def test_the_advice_of_the_refusal_is_good() -> None:
    said = message(Timing, watchdog_s=20.0, lock_ttl_s=7.0)
    advised_s = float(said.rsplit(" ", 1)[1])
    assert Timing(watchdog_s=20.0, lock_ttl_s=advised_s).lock_ttl_s == advised_s


# ------------------------------------------------------------------------------------- why it is enough, and needed


def ends_s(timing: Timing, rate: float) -> float:
    """Real time from sending the last renewal to the end of everything on a node whose clock runs at this rate."""
    return (timing.watchdog_s + timing.reset_s) / (1 + rate * timing.drift)


def taken_s(timing: Timing, lock_ttl_s: float, rate: float, seen_s: float) -> float:
    """Real time until a watcher takes the lock that it saw renewed ``seen_s`` after the renewal was sent."""
    return seen_s + lock_ttl_s / (1 + rate * timing.drift)


@given(basics, rates, rates, st.floats(0.0, 10.0))
def test_the_lock_is_taken_after_the_end_of_the_services(
    settings: dict[str, Any], owner: float, watcher: float, seen_s: float
) -> None:
    timing = Timing(**settings)
    assert taken_s(timing, timing.lock_ttl_s, watcher, seen_s) >= ends_s(timing, owner) - noise(timing)


@given(basics)
def test_a_hundredth_less_than_needed_has_a_violation(settings: dict[str, Any]) -> None:
    timing = Timing(**settings)
    needed = (timing.watchdog_s + timing.reset_s) * (1 + timing.drift) / (1 - timing.drift)
    assert taken_s(timing, needed * 0.99, 1.0, 0.0) < ends_s(timing, -1.0)
    said = message(Timing, **settings, lock_ttl_s=needed * 0.99)
    assert said.startswith("unsafe: ")


@given(basics, rates, rates)
def test_only_opposite_clocks_use_up_the_lifetime(settings: dict[str, Any], owner: float, watcher: float) -> None:
    """The inequality is exact: at the least lifetime, fast watcher and slow owner meet, to a rounded hundredth."""
    timing = Timing(**settings)
    worst = taken_s(timing, timing.lock_ttl_s, 1.0, 0.0) - ends_s(timing, -1.0)
    here = taken_s(timing, timing.lock_ttl_s, watcher, 0.0) - ends_s(timing, owner)
    assert here >= worst - noise(timing)
    assert worst <= 0.012 + noise(timing)


# --------------------------------------------------------------------------------------------------- bad settings


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, -1, True, False, "5", None, [1.0]], ids=repr)
def test_a_bad_value_is_refused_by_name(name: str, value: object) -> None:
    said = message(timing_of, Settings(timing={name: value}))
    assert said.startswith(f"{name} is ")
    assert "\n" not in said
    assert len(said) < 120


@pytest.mark.parametrize("name", SETTINGS)
def test_zero_is_a_value_where_it_means_something(name: str) -> None:
    settings = Settings(timing={name: 0})
    if name in MAY_BE_ZERO:
        assert getattr(timing_of(settings), name) == (getattr(Timing(), name) if name in DERIVED else 0)
    else:
        assert message(timing_of, settings).startswith(f"{name} is 0, but must be ")


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_rounds_are_counted_in_whole_numbers(name: str) -> None:
    assert (
        message(timing_of, Settings(timing={name: 1.5})) == f"{name} is 1.5, but must be a whole number of at least 1"
    )


@pytest.mark.parametrize("name", ["round", "reset_s", "feed_s", ""])
def test_an_unknown_setting_is_refused_by_name(name: str) -> None:
    said = message(timing_of, Settings(timing={name: 1.0}))
    assert said.startswith(f"there is no timing setting '{name}': there are round_s, ")


def test_a_clock_that_is_wrong_by_a_tenth_is_refused() -> None:
    assert "drift is 0.1" in message(Timing, drift=0.1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"watchdog_s": 5.5, "lock_ttl_s": 60.0},
            ("watchdog_s is 5.5", "may take 5.6 s", "healthy nodes would be reset"),
        ),
        ({"offline_s": 1.2}, ("offline_s is 1.2", "1.3 s apart")),
        ({"offline_delay_s": 2.0}, ("offline_delay_s is 2", "offline_s (2.3)")),
    ],
    ids=["watchdog", "offline", "delay"],
)
def test_what_harms_healthy_nodes_is_refused(settings: dict[str, float], words: tuple[str, ...]) -> None:
    said = message(Timing, **settings)
    assert [word for word in words if word not in said] == []


# --------------------------------------------------------------------------------------------------- the timeline


@given(basics, lengthened)
def test_the_timeline_runs_from_the_failure_to_the_failover(
    settings: dict[str, Any], factors: dict[str, float]
) -> None:
    derived = Timing(**settings)
    longer = {name: getattr(derived, name) * factor for name, factor in factors.items()}
    try:
        timing = Timing(**{**settings, **longer})
    except TimingError:
        return
    moments = [moment for moment, _ in timing.timeline()]
    assert moments == sorted(moments)
    assert moments[0] == 0.0
    assert moments[-1] == timing.failover_s
    assert all(sentence for _, sentence in timing.timeline())
    assert timing.lock_ttl_s <= timing.failover_s <= timing.failover_with_master_s


def test_everything_has_ended_before_the_lock_stands_out_its_lifetime() -> None:
    moment = {sentence: at for at, sentence in Timing().timeline()}
    assert moment["everything on the node has ended"] <= moment["the node's lock has stood still for its lifetime"]


@given(basics, seconds)
def test_power_fencing_never_makes_a_failover_longer_and_shortens_it_where_the_lock_is_what_it_waits_for(
    settings: dict[str, Any], power_s: float
) -> None:
    timing = Timing(**settings)
    bound_s = timing.failover_powered_s(power_s)
    assert bound_s <= timing.failover_s
    asked_s = timing.offline_delay_s + timing.round_s + 4 * timing.call_timeout_s
    assert (bound_s < timing.failover_s) == (asked_s + power_s < timing.lock_ttl_s) or math.isclose(
        asked_s + power_s, timing.lock_ttl_s
    )
