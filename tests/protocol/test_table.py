"""Guards mean what they print, and a table that breaks a rule cannot be made."""

from itertools import product
from operator import not_

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacore.protocol.table import ALWAYS, Action, Checker, Fact, Guard, Row, Site, State, Table, TableError

A, B, C = (Fact(name, Checker.LOCAL, f"{name} is the case.") for name in "ABC")
READ = Fact("READ", Checker.READ, "So a document says.")
KEPT = Fact("KEPT", Checker.STORE, "Nobody has written since.")
NOTE = Action("NOTE", Site.LOCAL, "Remember.")
FEED = Action("FEED", Site.DEVICE, "Feed the watchdog.")
WRITE = Action("WRITE", Site.STORE, "Write the document.")

OFF, ON, GONE = State("off", "Off."), State("on", "On."), State("gone", "Gone.", final=True)
STAY = Row("t.off.stay", "off", ALWAYS, "off", ends_round=True)
LEAVE = Row("t.on.leave", "on", ALWAYS, "gone")

guards = st.recursive(
    st.sampled_from([A, B, C, ALWAYS]),
    lambda inner: st.one_of(
        inner.map(lambda guard: ~guard),
        st.tuples(inner, inner).map(lambda pair: pair[0] & pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1]),
    ),
    max_leaves=12,
)
VALUATIONS: list[dict[Fact, bool]] = [
    dict(zip((A, B, C), values, strict=True)) for values in product((False, True), repeat=3)
]


def table(*rows: Row, states: tuple[State, ...] = (OFF, ON, GONE)) -> Table:
    return Table("t", "A theory.", states, rows)


# ---------------------------------------------------------------------------------------------------------- guards


@pytest.mark.parametrize(
    ("guard", "holds_with"),
    [
        (A & B, "AB ABC"),
        (A | B, "B A BC AC AB ABC"),
        (~A, "- C B BC"),
        (~(A | B) & C, "C"),
        (A & B | C, "C BC AC AB ABC"),
        (A & (B | C), "AC AB ABC"),
        (ALWAYS, "- C B BC A AC AB ABC"),
    ],
    ids=str,
)
def test_a_guard_holds_as_written(guard: Guard, holds_with: str) -> None:
    """``holds_with`` names the facts that are true together when the guard holds."""
    held = [facts for facts in VALUATIONS if guard.holds(facts.__getitem__)]
    true = ["".join(fact.name for fact in facts if facts[fact]) or "-" for facts in held]
    assert sorted(true) == sorted(holds_with.split())


@given(guards)
def test_a_guard_reads_back_from_its_text(guard: Guard) -> None:
    names: dict[str, Guard] = {"A": A, "B": B, "C": C, "always": ALWAYS}
    again: Guard = eval(str(guard), names)
    for facts in VALUATIONS:
        assert again.holds(facts.__getitem__) == guard.holds(facts.__getitem__)
    assert list(again.facts()) == list(guard.facts())


def test_parentheses_stand_only_where_they_must() -> None:
    assert str(A & B & C) == "A & B & C"
    assert str(A & (B | ~C)) == "A & (B | ~C)"
    assert str(A & B | C) == "A & B | C"
    assert str(~(A & B)) == "~(A & B)"


def test_a_guard_names_its_facts_in_the_order_of_the_text() -> None:
    assert list((C & ~(A | C)).facts()) == [C, A, C]
    assert list(ALWAYS.facts()) == []


@pytest.mark.parametrize("guard", [A, ~A, A & B, A | B, ALWAYS], ids=str)
def test_a_guard_has_no_truth_value(guard: Guard) -> None:
    """So ``A and B``, ``not A`` and ``if A`` are found when they are written, and not when they do harm."""
    for misuse in (bool, not_):
        with pytest.raises(TypeError, match=r"combine guards with & \| ~ .* ask Guard.holds"):
            misuse(guard)


@pytest.mark.parametrize("other", [True, "B", None])
def test_a_guard_combines_with_guards_only(other: object) -> None:
    with pytest.raises(TypeError, match="is not a guard"):
        A & other  # type: ignore[operator]
    with pytest.raises(TypeError, match="is not a guard"):
        A | other  # type: ignore[operator]


def test_facts_of_one_name_are_one_fact() -> None:
    assert Fact("A", Checker.READ, "Another sentence.") == A
    assert A != B
    assert A & B == A & B != B & A


# ---------------------------------------------------------------------------------------------------------- tables


def row(guard: Guard, *do: Action, given: tuple[Fact, ...] = (), id: str = "t.off.go", target: str = "on") -> Row:
    return Row(id, "off", guard, target, do=do, given=given)


def test_the_first_row_that_holds_fires() -> None:
    first, second = row(A & B), Row("t.off.other", "off", A, "gone", do=(NOTE, FEED))
    made = table(first, second, STAY, LEAVE)
    assert made.step("off", {A, B}.__contains__) is first
    assert made.step("off", {A}.__contains__) is second
    assert made.step("off", {B}.__contains__) is STAY
    assert made.facts_of("off") == (A, B)
    assert made.facts_of("on") == ()
    assert (made.initial, second.effect, first.effect) == ("off", FEED, None)
    with pytest.raises(TableError, match="gone is final"):
        made.step("gone", {A}.__contains__)


def test_a_table_knows_each_of_its_words_once() -> None:
    made = table(row(A | B | A, WRITE, NOTE, given=(KEPT,)), STAY, LEAVE)
    assert made.facts == (A, B, KEPT)
    assert made.actions == (WRITE, NOTE)
    assert made.by_id["t.on.leave"] is LEAVE
    assert made.state_named["gone"] is GONE


def test_a_phase_is_shown_as_the_state_it_lies_within() -> None:
    assert State("on.warming", "Warms up.", within="on").shown == "on"
    assert ON.shown == "on"


TOTAL = "state off is not total: end it with a row guarded by ALWAYS"
BROKEN = [
    ("state off is declared twice", (STAY, LEAVE), (OFF, ON, GONE, OFF)),
    ("row id t.off.stay is used twice", (STAY, STAY, LEAVE), None),
    ("state on lies within nowhere, which is not declared", (STAY, LEAVE), (OFF, State("on", "", "nowhere"), GONE)),
    ("state gone is final, yet row t.back leaves it", (STAY, LEAVE, Row("t.back", "gone", ALWAYS, "off")), None),
    ("state on is not total", (STAY,), None),
    (TOTAL, (row(A), LEAVE), None),
    (TOTAL, (row(A | ~A), LEAVE), None),
    (TOTAL, (STAY, row(A), LEAVE), None),
    ("row id off.go does not begin with 't.'", (row(A, id="off.go"), STAY, LEAVE), None),
    ("row id table.off.go does not begin with 't.'", (row(A, id="table.off.go"), STAY, LEAVE), None),
    ("row t.off.go names the state nowhere", (row(A, target="nowhere"), STAY, LEAVE), None),
    ("row t.lost names the state nowhere", (STAY, LEAVE, Row("t.lost", "nowhere", A, "off")), None),
    ("row t.off.go has two effects", (row(A, FEED, NOTE, WRITE), STAY, LEAVE), None),
    ("row t.off.go has two effects", (row(A, FEED, FEED), STAY, LEAVE), None),
    ("only the store can check a fact of checker 'store'", (row(A & ~KEPT, WRITE), STAY, LEAVE), None),
    ("'given' is for what the store checks", (row(A, WRITE, given=(KEPT, B)), STAY, LEAVE), None),
    ("'given' needs an effect on the store", (row(A, given=(KEPT,)), STAY, LEAVE), None),
    ("'given' needs an effect on the store", (row(A, FEED, given=(KEPT,)), STAY, LEAVE), None),
    ("has an effect, yet READ was merely read", (row(A & ~READ, FEED), STAY, LEAVE), None),
]


@pytest.mark.parametrize(("message", "rows", "states"), BROKEN, ids=[message for message, _, _ in BROKEN])
def test_a_broken_table_cannot_be_made(message: str, rows: tuple[Row, ...], states: tuple[State, ...] | None) -> None:
    with pytest.raises(TableError) as raised:
        table(*rows, states=states or (OFF, ON, GONE))
    assert str(raised.value).startswith("table t: ")
    assert message in str(raised.value)


def test_what_was_read_may_decide_but_not_act() -> None:
    """The same two rows as the broken one above, with a state between them."""
    decide = Row("t.off.go", "off", A & ~READ, "on")
    act = Row("t.on.act", "on", ALWAYS, "gone", do=(FEED,))
    assert table(decide, STAY, act).step("off", {A}.__contains__).target == "on"


def test_a_variant_has_other_rows_in_the_same_places() -> None:
    table = Table(
        "t",
        "",
        (State("one", ""), State("two", ""), State("gone", "", final=True)),
        (
            Row("t.go", "one", A, "two"),
            Row("t.stay", "one", ALWAYS, "one"),
            Row("t.end", "two", A, "gone"),
            Row("t.wait", "two", ALWAYS, "two"),
        ),
    )
    leap = table.changed("t.go", target="gone")
    variant = table.substituted({"t.go": (leap, Row("t.back", "one", B, "one")), "t.end": (), "t.wait": ()})
    assert [row.id for row in variant.rows] == ["t.go", "t.back", "t.stay"]
    assert [state.name for state in variant.states] == ["one", "gone"], "a state that no row leaves any more is gone"
    assert table.by_id["t.go"].target == "two"
    extended = table.substituted({"t.end": Row("t.end", "two", A, "three")}, State("three", "", final=True))
    assert "three" in extended.by_state
    with pytest.raises(TableError, match="there is no row t"):
        table.substituted({"t.nothing": ()})
    with pytest.raises(TableError, match="is not total"):
        table.substituted({"t.stay": ()})
