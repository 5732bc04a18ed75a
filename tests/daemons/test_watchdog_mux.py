"""Every row of the watchdog table fires; a deadline that has passed is final, whatever clients and clocks do."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hacore.daemons.base import sees
from hacore.daemons.watchdog_mux import WatchdogMux
from hacore.protocol.requests import (
    Accepted,
    Clock,
    CloseHardware,
    FeedHardware,
    Message,
    OpenHardware,
    Receive,
    Refused,
    Reply,
    Request,
)
from hacore.protocol.timing import Timing
from hacore.protocol.watchdog import ALL_AHEAD, WATCHDOG
from tests.daemons.driving import drive, rows

TIMING = Timing()
FED_S = TIMING.feed_s
HARDWARE = (OpenHardware, FeedHardware, CloseHardware)


class Bench:
    """A multiplexer, its hardware and the clock, moved by hand."""

    def __init__(self) -> None:
        self.mux = WatchdogMux(TIMING)
        self.now_s = 100.0
        self.can_open = True
        self.rows: list[str] = []

    def round(self, message: Message | None = None) -> list[Request[Any]]:
        """One round; returns what was asked of the hardware and said to clients."""

        def answer(request: Request[Any]) -> Any:
            return {Receive: message, Clock: self.now_s, OpenHardware: self.can_open}.get(type(request))

        _, asked = drive(self.mux.round(), answer)
        self.rows += rows(asked)
        return [each for each in asked if isinstance(each, Reply | OpenHardware | FeedHardware | CloseHardware)]

    def tell(self, verb: str, client: int = 1, ahead_s: float = 10.0) -> list[Request[Any]]:
        return self.round(Message(client, verb, self.now_s + ahead_s if verb in {"open", "keepalive"} else 0.0))

    def later(self, seconds: float) -> "Bench":
        self.now_s += seconds
        return self

    def until_s(self) -> float:
        """Up to when the multiplexer waits for a message."""
        request = next(self.mux.round())
        assert isinstance(request, Receive)
        return request.until_s


def armed(*clients: int, ahead_s: float = 10.0) -> Bench:
    bench = Bench()
    for client in clients or (1,):
        bench.tell("open", client, ahead_s)
    return bench


def accepted(client: int = 1) -> Reply:
    return Reply(client, Accepted())


def is_refused(said: list[Request[Any]], client: int = 1) -> bool:
    (reply,) = said
    return isinstance(reply, Reply) and reply.client == client and isinstance(reply.answer, Refused)


# ---------------------------------------------------------------------------------------------------- every row


def scripts() -> Iterator[tuple[str, Bench, list[Request[Any]], list[Request[Any]]]]:
    """A row, the bench after it fired, what was asked in that round, and what should have been."""
    bench = Bench()
    yield "watchdog.closed.open", bench, bench.tell("open"), [OpenHardware(), accepted()]
    bench = Bench()
    yield "watchdog.opening.admit", bench, bench.tell("open"), [OpenHardware(), accepted()]
    bench = Bench()
    yield "watchdog.closed.wait", bench, bench.round(), []
    bench = armed()
    yield "watchdog.armed.expire", bench, bench.later(10.0).round(), []
    bench = armed()
    yield "watchdog.armed.feed", bench, bench.later(FED_S).round(), [FeedHardware()]
    bench = armed()
    yield "watchdog.armed.admit", bench, bench.tell("open", 2), [accepted(2)]
    bench = armed()
    yield "watchdog.armed.move", bench, bench.tell("keepalive", 1, 20.0), [accepted()]
    bench = armed()
    yield "watchdog.armed.close", bench, bench.tell("close"), [CloseHardware(), accepted()]
    bench = armed()
    yield "watchdog.closing.done", bench, bench.tell("close"), [CloseHardware(), accepted()]
    bench = armed(1, 2)
    yield "watchdog.armed.dismiss", bench, bench.tell("close", 2), [accepted(2)]
    bench = armed()
    yield "watchdog.armed.vanish", bench, bench.tell("gone"), []
    bench = armed()
    yield "watchdog.armed.wait", bench, bench.later(FED_S / 2).round(), []


REFUSALS = {"watchdog.closed.refuse", "watchdog.opening.fail", "watchdog.armed.refuse"}


@pytest.mark.parametrize("number", range(12), ids=[row for row, *_ in scripts()])
def test_a_row_fires_and_asks_for_what_it_should(number: int) -> None:
    row, bench, asked, expected = list(scripts())[number]
    assert row in bench.rows
    assert asked == expected


def test_every_row_of_the_watchdog_table_has_a_case() -> None:
    assert sorted(set(WATCHDOG.by_id) - {row for row, *_ in scripts()} - REFUSALS) == []


@pytest.mark.parametrize(("verb", "ahead_s"), [("open", 0.0), ("open", -1.0), ("keepalive", 9.0), ("close", 0.0)])
def test_nothing_is_opened_for_who_asks_in_vain(verb: str, ahead_s: float) -> None:
    bench = Bench()
    assert is_refused(bench.tell(verb, 1, ahead_s))
    assert bench.rows == ["watchdog.closed.refuse"]
    assert bench.mux.deadlines == {}


def test_hardware_that_cannot_be_opened_arms_nobody() -> None:
    bench = Bench()
    bench.can_open = False
    opened, *said = bench.tell("open")
    assert opened == OpenHardware()
    assert is_refused(said)
    assert bench.rows == ["watchdog.closed.open", "watchdog.opening.fail"]
    assert (bench.mux.state, bench.mux.deadlines) == ("closed", {})


@pytest.mark.parametrize(
    ("verb", "client", "ahead_s"),
    [("open", 1, 9.0), ("open", 2, 0.0), ("keepalive", 2, 9.0), ("keepalive", 1, 0.0), ("close", 2, 0.0)],
    ids=["open twice", "open too late", "move of a stranger", "move too late", "close of a stranger"],
)
def test_a_request_that_does_not_hold_changes_nothing(verb: str, client: int, ahead_s: float) -> None:
    bench = armed()
    assert is_refused(bench.tell(verb, client, ahead_s), client)
    assert bench.rows[-1] == "watchdog.armed.refuse"
    assert bench.mux.deadlines == {1: 110.0}


# ---------------------------------------------------------------------------------------------------- deadlines


def test_a_passed_deadline_is_final() -> None:
    bench = armed()
    assert bench.later(10.0).tell("keepalive", 1, 20.0) == []
    assert bench.mux.finished
    assert bench.mux.shown == "expired"


@pytest.mark.parametrize("verb", ["keepalive", "close", "open"])
def test_nothing_saves_a_node_whose_deadline_has_passed(verb: str) -> None:
    bench = armed(1, 2)
    bench.tell("keepalive", 2, 99.0)
    assert bench.later(10.0).tell(verb, 3 if verb == "open" else 1) == []
    assert bench.mux.finished


def test_one_passed_deadline_of_several_is_enough() -> None:
    bench = armed(1, 2)
    bench.tell("keepalive", 1, 99.0)
    assert bench.later(10.0).round() == []
    assert bench.mux.finished


def test_a_deadline_may_be_moved_nearer() -> None:
    bench = armed()
    assert bench.tell("keepalive", 1, 1.0) == [accepted()]
    bench.later(1.0).round()
    assert bench.mux.finished


def test_a_clients_end_without_a_close_dooms_the_node() -> None:
    bench = armed(1, 2)
    bench.tell("gone", 1)
    assert is_refused(bench.tell("open", 3), 3)
    assert bench.tell("keepalive", 2, 99.0) == [accepted(2)]
    assert bench.tell("close", 2) == [accepted(2)]
    assert bench.mux.state == "armed"
    assert FeedHardware() in bench.later(9.9).round()
    assert bench.later(0.1).round() == []
    assert bench.mux.finished


def test_the_end_of_a_stranger_means_nothing() -> None:
    bench = armed()
    assert bench.tell("gone", 2) == []
    assert bench.tell("open", 3) == [accepted(3)]


def test_a_client_that_closed_may_go_and_its_number_comes_anew() -> None:
    bench = armed(1, 2)
    bench.tell("close", 1)
    assert bench.tell("gone", 1) == []
    assert bench.tell("open", 3) == [accepted(3)]


def test_the_hardware_is_opened_and_closed_again_and_again() -> None:
    bench = Bench()
    for client in (1, 2, 3):
        assert bench.tell("open", client) == [OpenHardware(), accepted(client)]
        assert bench.tell("close", client) == [CloseHardware(), accepted(client)]
        bench.later(100.0)


def test_feeding_comes_before_the_message_and_keeps_its_pace() -> None:
    bench = armed()
    assert bench.tell("keepalive") == [accepted()]
    assert bench.later(FED_S).tell("keepalive") == [FeedHardware(), accepted()]
    assert bench.tell("keepalive") == [accepted()]


def test_it_wakes_for_the_next_feeding_or_the_next_deadline() -> None:
    assert armed().until_s() == 100.0 + FED_S
    assert armed(ahead_s=FED_S / 2).until_s() == 100.0 + FED_S / 2


# ----------------------------------------------------------------------------------- whatever clients and clocks do


@dataclass(frozen=True)
class Happening:
    """A client's word, or none, and how far the clock goes on before each of the next looks."""

    verb: str
    client: int
    ahead_s: float
    steps_s: tuple[float, ...]


happenings = st.builds(
    Happening,
    st.sampled_from(["open", "open", "keepalive", "keepalive", "close", "gone", "nothing", "nothing"]),
    st.integers(1, 3),
    st.sampled_from([-1.0, 0.0, 0.3, 1.0, 3.0, 10.0]),
    st.lists(st.sampled_from([0.0, 0.0, 0.1, FED_S, 1.0, 3.0]), min_size=1, max_size=3).map(tuple),
)


class Witness:
    """Plays a script and watches, with a memory of its own, that no deadline is fed over."""

    def __init__(self, script: list[Happening]) -> None:
        self.mux = WatchdogMux(TIMING)
        self.script = script
        self.now_s = self.looked_s = 100.0
        self.deadlines: dict[int, float] = {}
        self.left: set[int] = set()
        self.message: Message | None = None
        self.steps: list[float] = []
        self.open = self.passed = False

    def play(self) -> None:
        for happening in self.script:
            if self.mux.finished:
                return
            self.steps = [*happening.steps_s]
            self.message = None
            if happening.verb != "nothing" and happening.client not in self.left:
                self.message = Message(happening.client, happening.verb, self.now_s + happening.ahead_s)
            if self.message and happening.verb == "gone":
                self.left.add(happening.client)
            drive(self.mux.round(), self.answer)

    def answer(self, request: Request[Any]) -> Any:
        match request:
            case Receive():
                return self.message
            case Clock():
                self.now_s += self.steps.pop(0) if self.steps else 0.0
                self.looked_s = self.now_s
                self.passed |= any(deadline_s <= self.now_s for deadline_s in self.deadlines.values())
                return self.looked_s
            case OpenHardware():
                assert not self.open
                self.open = True
                return True
            case FeedHardware():
                assert self.open
                assert not self.passed
                assert all(deadline_s > self.looked_s for deadline_s in self.deadlines.values())
            case CloseHardware():
                assert not self.passed
                assert self.message is not None
                assert (self.message.verb, {*self.deadlines}) == ("close", {self.message.client})
                self.open = False
            case Reply(answer=Accepted()):
                self._accepted()
        return None

    def _accepted(self) -> None:
        assert not self.passed
        assert self.message is not None
        if self.message.verb == "close":
            del self.deadlines[self.message.client]
        else:
            assert self.open
            assert self.message.deadline_s > self.looked_s
            assert (self.message.client in self.deadlines) == (self.message.verb == "keepalive")
            assert self.message.verb == "keepalive" or not self.left & {*self.deadlines}
            self.deadlines[self.message.client] = self.message.deadline_s


@settings(max_examples=150)
@given(st.lists(happenings, max_size=25))
def test_no_deadline_is_ever_fed_over(script: list[Happening]) -> None:
    witness = Witness(script)
    witness.play()
    assert witness.mux.finished == witness.passed
    assert witness.open == bool(witness.deadlines)
    assert witness.deadlines == witness.mux.deadlines


class Careless(WatchdogMux):
    """Takes every deadline for one that lies ahead."""

    @sees(ALL_AHEAD)
    def _all_ahead(self) -> bool:
        return True


def test_a_multiplexer_that_feeds_over_a_deadline_is_found_out() -> None:
    witness = Witness([Happening("open", 1, 0.3, (0.0,)), Happening("nothing", 1, 0.0, (3.0,))])
    witness.play()
    witness = Witness(witness.script)
    witness.mux = Careless(TIMING)
    with pytest.raises(AssertionError):
        witness.play()
