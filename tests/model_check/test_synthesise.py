"""The least durations are least, agree with what Timing derives, and come from how clocks run."""

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hacore.protocol.timing import REQUIREMENTS, SAFE, Timing, TimingError
from model_check.synthesise import BOUNDS, GIVEN, SOUGHT, exactly, overtaken, synthesise

HUNDREDTH = Fraction(1, 100)
NOISE = 1e-9
"""Floating-point arithmetic is this wrong at most, relative to the numbers."""

hundredths = st.integers(1, 5000).map(lambda number: number / 100)
basics = st.fixed_dictionaries(
    {
        "round_s": hundredths,
        "call_timeout_s": hundredths,
        "hardware_s": hundredths,
        "margin_s": st.just(0.0) | hundredths,
        "drift": st.sampled_from([0.0, 1e-5, 500e-6, 0.01, 0.05]),
        "missed_rounds": st.integers(1, 4),
    }
)


def close(one: float, other: float) -> bool:
    return abs(one - other) <= NOISE * max(abs(one), abs(other))


def defaults(**changed: object) -> dict[str, object]:
    return {**{name: getattr(Timing(), name) for name in GIVEN}, **changed}


def test_the_defaults() -> None:
    found = synthesise(defaults())
    assert found.least == {
        "watchdog_s": Fraction("5.6"),
        "lock_ttl_s": Fraction("9.1") * Fraction("1.0005") / Fraction("0.9995"),
        "offline_s": Fraction("1.3"),
        "offline_delay_s": Fraction("1.3"),
        "failover_s": found.least["lock_ttl_s"] + 6,
        "failover_with_master_s": found.least["lock_ttl_s"] + Fraction("8.2"),
    }
    assert found.reset_s == Fraction("3.5")
    assert found.pause_s == Fraction("2.8")


@settings(max_examples=25, deadline=None)
@given(basics)
def test_timing_derives_the_least_durations(basic: dict[str, Any]) -> None:
    timing, found = Timing(**basic), synthesise(basic)
    assert tuple(found.least) == (*SOUGHT, *BOUNDS)
    assert close(timing.watchdog_s, float(found.least["watchdog_s"]))
    assert close(timing.reset_s, float(found.reset_s))
    more = exactly(timing.lock_ttl_s) - found.least["lock_ttl_s"]
    assert -NOISE < more <= HUNDREDTH + Fraction(NOISE)
    assert timing.offline_s >= float(found.least["offline_s"])
    assert all(getattr(timing, bound) >= float(found.least[bound]) - NOISE for bound in BOUNDS)


@settings(max_examples=25, deadline=None)
@given(basics)
def test_with_timings_other_durations_its_bounds_are_the_least(basic: dict[str, Any]) -> None:
    timing = Timing(**basic)
    kept = {name: getattr(timing, name) for name in ("lock_ttl_s", "offline_s", "offline_delay_s")}
    try:
        found = synthesise({**basic, **kept})
    except TimingError:
        assume(False)  # what floats round down is not enough for fractions
    assert all(close(getattr(timing, bound), float(found.least[bound])) for bound in BOUNDS)


@settings(max_examples=60, deadline=None)
@given(basics, st.integers(-100, 100))
def test_safe_is_what_clocks_cannot_break(basic: dict[str, Any], hundredths_more: int) -> None:
    timing = Timing(**basic)
    lock_ttl_s = round(timing.lock_ttl_s + hundredths_more / 100, 2)
    assume(lock_ttl_s > 0)
    object.__setattr__(timing, "lock_ttl_s", lock_ttl_s)
    slack = timing.lock_ttl_s * (1 - timing.drift) - (timing.watchdog_s + timing.reset_s) * (1 + timing.drift)
    assume(abs(slack) > NOISE * lock_ttl_s)
    found = overtaken(*(exactly(getattr(timing, it)) for it in ("watchdog_s", "reset_s", "lock_ttl_s", "drift")))
    assert timing.is_safe() == (found is None)


def test_at_the_least_lock_no_run_is_left_and_right_below_it_one_is() -> None:
    for drift in (Fraction(), Fraction("0.0005"), Fraction("0.05")):
        least = Fraction("9.1") * (1 + drift) / (1 - drift)
        given_ = Fraction("5.6"), Fraction("3.5")
        exact = SimpleNamespace(watchdog_s=given_[0], reset_s=given_[1], lock_ttl_s=least, drift=drift)
        assert REQUIREMENTS[SAFE](exact)
        assert overtaken(*given_, least, drift) is None
        assert overtaken(*given_, least - Fraction(1, 10**9), drift) is not None


@settings(max_examples=10, deadline=None)
@given(basics)
def test_the_witness_is_a_run(basic: dict[str, Any]) -> None:
    found = synthesise(basic)
    run, drift = found.shorter, found.given["drift"]
    assert [moment for moment, _ in run.moments()] == sorted(moment for moment, _ in run.moments())
    assert run.taken_s < run.ended_s
    assert run.lock_ttl_s < found.least["lock_ttl_s"]
    assert run.deadline_s <= found.least["watchdog_s"] / (1 - drift)
    assert run.ended_s <= (found.least["watchdog_s"] + found.reset_s) / (1 - drift)
    assert run.taken_s - run.seen_s >= run.lock_ttl_s / (1 + drift)


def test_what_is_fixed_is_kept() -> None:
    found = synthesise(defaults(watchdog_s=20, lock_ttl_s=0.0))
    assert found.least["watchdog_s"] == 20
    assert found.least["lock_ttl_s"] == Fraction("23.5") * Fraction("1.0005") / Fraction("0.9995")
    found = synthesise(defaults(lock_ttl_s=60.0, offline_s=5))
    assert found.least["lock_ttl_s"] == 60
    assert found.least["watchdog_s"] == exactly(5.6)
    assert found.least["offline_delay_s"] == 5
    assert found.shorter.lock_ttl_s < 10
    assert synthesise(defaults(offline_delay_s=100)).least["failover_s"] == 107


@pytest.mark.parametrize(
    ("fixed", "named"),
    [
        ({"lock_ttl_s": 1.0}, ["lock_ttl_s * (1 - drift) >=", "watchdog_s >= (missed", "lock_ttl_s = 1"]),
        ({"watchdog_s": 5.5}, ["watchdog_s >= (missed_rounds + 1)", "watchdog_s = 5.5"]),
        (
            {"offline_s": 3, "offline_delay_s": 2},
            ["offline_delay_s >= offline_s", "offline_s = 3", "offline_delay_s = 2"],
        ),
    ],
)
def test_what_excludes_each_other_is_named(fixed: dict[str, float], named: list[str]) -> None:
    with pytest.raises(TimingError, match="no timing has all of: ") as refused:
        synthesise(defaults(**fixed))
    assert [text for text in named if text not in str(refused.value)] == []
    assert str(refused.value).count(";") == len(named) - 1
