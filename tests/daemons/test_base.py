"""A daemon gives every name of its table a meaning; its machine moves first, and effects follow."""

from typing import Any

import pytest

from hacore.daemons.base import Daemon, checks, does, sees
from hacore.daemons.crm import Crm
from hacore.daemons.lrm import Lrm
from hacore.daemons.watchdog_mux import WatchdogMux
from hacore.daemons.worker import Worker
from hacore.protocol.locks import heartbeat
from hacore.protocol.requests import (
    Asking,
    Clock,
    Committed,
    Conflict,
    Fired,
    Inbox,
    Request,
    Say,
    Sleep,
    Transact,
    Unavailable,
)
from hacore.protocol.table import ALWAYS, Action, Checker, Fact, Row, Site, State, Table
from hacore.protocol.tables import TABLES
from hacore.protocol.timing import Timing
from hacore.protocol.vocabulary import GRANTED, HEARTBEAT, RESTART_ASKED, SHUTDOWN_ASKED
from tests.daemons.driving import drive, rows

DARK = Fact("DARK", Checker.READ, "It is dark.")
LOCKED = Fact("LOCKED", Checker.LOCAL, "The door is locked.")
MINE = Fact("MINE", Checker.STORE, "The lamp is mine.")
NOTE = Action("NOTE", Site.LOCAL, "Remember.")
WRITE = Action("WRITE", Site.STORE, "Write it down.")
LAMP = Table(
    "lamp",
    "A lamp.",
    (
        State("off", "The lamp is off."),
        State("off.asked", "The store has answered.", "off"),
        State("on", "The lamp is on."),
        State("gone", "The lamp is gone.", final=True),
    ),
    (
        Row("lamp.off.leave", "off", RESTART_ASKED | SHUTDOWN_ASKED, "gone", ends_round=True),
        Row("lamp.off.write", "off", ~LOCKED, "off.asked", do=(NOTE, WRITE), given=(MINE,)),
        Row("lamp.off.stay", "off", ALWAYS, "off", ends_round=True),
        Row("lamp.asked.on", "off.asked", GRANTED, "on"),
        Row("lamp.asked.off", "off.asked", ALWAYS, "off", do=(HEARTBEAT,), ends_round=True),
        Row("lamp.on.dark", "on", DARK, "off", ends_round=True),
        Row("lamp.on.stay", "on", ALWAYS, "on", ends_round=True),
    ),
)


WRITTEN = Committed(9)


class Meanings(Daemon):
    """All that the lamp's table names, but not the table itself."""

    name = "lamp"
    wake_on = ("lamps/",)

    def __init__(self) -> None:
        super().__init__("n1", Timing())
        self.revisions: dict[str, int] | None = {"lamp": 3}
        self.notes: list[str] = []
        self.dark = self.locked = False
        self.looked: list[tuple[str, ...]] = []

    def look(self, facts: tuple[Fact, ...]) -> Asking[None]:
        self.looked.append(tuple(fact.name for fact in facts))
        yield from ()

    @sees(DARK, LOCKED)
    def _seen(self, fact: Fact) -> bool:
        return self.dark if fact == DARK else self.locked

    @checks(MINE)
    def _mine(self) -> dict[str, int] | None:
        return self.revisions

    @does(NOTE)
    def _note(self) -> None:
        self.notes.append(self.state)

    @does(WRITE)
    def _write(self) -> Asking[None]:
        yield from self.transact({"lamp": {"seen_in": self.state}})


class Lamp(Meanings):
    table = LAMP


def answers(store: Committed | Conflict | Unavailable = WRITTEN, inbox: frozenset[str] = frozenset()) -> Any:
    def answer(request: Request[Any]) -> Any:
        return {Inbox: inbox, Clock: 50.0, Transact: store}.get(type(request))

    return answer


# -------------------------------------------------------------------------------------------- what must be bound


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (Row("lamp.on.new", "on", Fact("WARM", Checker.DEVICE, "It is warm."), "off"), "WARM"),
        (Row("lamp.on.new", "on", LOCKED, "off", do=(Action("RING", Site.DEVICE, "Ring."),)), "RING"),
        (Row("lamp.on.new", "on", LOCKED, "off", do=(Action("COUNT", Site.LOCAL, "Count."),)), "COUNT"),
        (Row("lamp.on.new", "on", LOCKED, "off", (WRITE,), (Fact("YOURS", Checker.STORE, "It is yours."),)), "YOURS"),
    ],
)
def test_a_name_without_a_meaning_is_refused_when_the_class_is_defined(row: Row, name: str) -> None:
    rest = [each for each in LAMP.rows if each.id != "lamp.on.stay"]
    table = Table("lamp", "A lamp.", LAMP.states, (*rest, row, LAMP.by_id["lamp.on.stay"]))
    with pytest.raises(TypeError, match=f"Broken gives no meaning to {name}"):
        type("Broken", (Meanings,), {"table": table})


def test_a_stored_fact_is_bound_by_its_check_and_not_by_sight() -> None:
    class OnlySeen(Meanings):
        @sees(MINE)
        def _mine(self) -> dict[str, int] | None:
            return {}

    with pytest.raises(TypeError, match="gives no meaning to MINE"):
        type("Broken", (OnlySeen,), {"table": LAMP})


def test_several_missing_names_are_named_together() -> None:
    with pytest.raises(TypeError, match="gives no meaning to DARK, LOCKED"):
        type("Broken", (Daemon,), {"table": LAMP})


def test_every_daemon_runs_the_table_of_the_protocol() -> None:
    assert {cls.table for cls in (Crm, Lrm, Worker, WatchdogMux)} == {
        TABLES[name] for name in ("crm", "lrm", "worker", "watchdog")
    }


# --------------------------------------------------------------------------------------------------------- a round


def test_the_machine_moves_first_then_local_actions_then_the_effect() -> None:
    lamp = Lamp()
    _, asked = drive(lamp.step(), answers())
    assert lamp.notes == ["off.asked"]
    assert asked == [
        Fired("lamp.off.write", "off", "off.asked", ()),
        Transact({"lamp": 3}, {"lamp": {"seen_in": "off.asked"}}),
    ]


def test_a_round_ends_with_the_row_that_ends_it() -> None:
    lamp = Lamp()
    sleep, asked = drive(lamp.round(), answers())
    assert [type(each) for each in asked[:2]] == [Inbox, Clock]
    assert rows(asked) == ["lamp.off.write", "lamp.asked.on", "lamp.on.stay"]
    assert sleep == Sleep(50.0 + lamp.timing.round_s, 0, ("lamps/",))
    assert lamp.state == "on"


def test_what_the_rows_look_at_is_looked_for_and_nothing_else() -> None:
    lamp = Lamp()
    drive(lamp.round(), answers())
    assert lamp.looked == [("RESTART_ASKED", "SHUTDOWN_ASKED", "LOCKED"), ("GRANTED",), ("DARK",)]


def test_the_facts_that_held_are_in_the_trace() -> None:
    lamp = Lamp()
    lamp.locked = True
    _, asked = drive(lamp.round(), answers())
    assert Fired("lamp.off.stay", "off", "off", ("LOCKED",)) in asked


@pytest.mark.parametrize("answer", [Conflict("lamp"), Unavailable("no quorum")])
def test_what_is_not_confirmed_is_not_granted(answer: Conflict | Unavailable) -> None:
    lamp = Lamp()
    _, asked = drive(lamp.round(), answers(answer))
    assert rows(asked) == ["lamp.off.write", "lamp.asked.off"]


def test_what_is_known_not_to_hold_is_not_even_asked_for() -> None:
    lamp = Lamp()
    lamp.revisions = None
    _, asked = drive(lamp.round(), answers())
    assert rows(asked) == ["lamp.off.write", "lamp.asked.off"]
    assert [each for each in asked if isinstance(each, Transact)] == [Transact({}, {heartbeat("n1"): {"by": "lamp"}})]


def test_only_a_change_that_operators_see_is_told() -> None:
    _, asked = drive(Lamp().round(), answers())
    assert [each for each in asked if isinstance(each, Say)] == [Say("daemon_state", {"from": "off", "to": "on"})]


@pytest.mark.parametrize("word", ["restart", "shutdown", "reboot"])
def test_a_daemon_that_is_asked_to_leave_ends(word: str) -> None:
    lamp = Lamp()
    sleep, asked = drive(lamp.round(), answers(inbox=frozenset({word})))
    assert sleep is None
    assert lamp.finished
    assert rows(asked) == ["lamp.off.leave"]
    (fired,) = (each for each in asked if isinstance(each, Fired))
    assert fired.facts == (("RESTART_ASKED",) if word == "restart" else ("SHUTDOWN_ASKED",))


def test_a_machine_begins_in_the_first_state_of_its_table() -> None:
    assert WatchdogMux(Timing()).state == "closed"
