"""Each kind of finding is made on a table broken on purpose; a solver and truth tables agree on every table."""

import importlib
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from hacore.protocol.reference.tables import REFERENCE
from hacore.protocol.table import ALWAYS, Action, Checker, Fact, Guard, Row, Site, State, Table
from hacore.protocol.tables import TABLES, declared
from model_check.enumerate import MOST_FACTS, cases, columns, verdict
from model_check.lint import Finding, Kind, lint, reachable, settled_facts, shadowed

command = importlib.import_module("hacore.cli.lint")
"""The module: the package may hold its command under the same name."""

FACTS = A, B, C, D = tuple(Fact(name, Checker.LOCAL, f"{name} is the case.") for name in "ABCD")
EVERY = (1 << 16) - 1
"""All valuations of four facts."""
RING = Action("RING", Site.DEVICE, "Ring the bell.")


def table(*rows: tuple[str, Guard, str], assuming: Iterable[Guard] = (), final: str = "gone") -> Table:
    """A table of rows ``state guard target`` with ids t.1, t.2 ..., each state closed by t.STATE, which stays."""
    names = dict.fromkeys(name for state, _, target in rows for name in (state, target))
    stay = (Row(f"t.{name}", name, ALWAYS, name) for name in names if name != final)
    made = (Row(f"t.{number}", *row) for number, row in enumerate(rows, 1))
    states = tuple(State(name, "", final=name == final) for name in names)
    return Table("t", "", states, (*made, *stay), tuple(assuming))


def only(findings: list[Finding]) -> tuple[str, Kind, str]:
    (finding,) = findings
    return finding.where, finding.kind, finding.sentence


SOUND = table(("off", A & B, "on"), ("off", A, "gone"), ("on", ~A, "off"))


def test_a_sound_table_has_no_findings() -> None:
    assert lint([SOUND], FACTS[:2]) == []


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_have_no_findings(name: str) -> None:
    assert lint([TABLES[name]]) == []


def test_the_words_of_the_tables_are_used_and_mean_one_thing() -> None:
    assert [finding for finding in lint(TABLES.values(), declared()) if finding.table == ""] == []


# ------------------------------------------------------------------------------------------------- kinds of findings


def test_a_row_below_one_that_holds_more_often_is_shadowed() -> None:
    broken = table(("off", A, "gone"), ("off", A & B, "on"), ("on", C, "gone"), ("off", D, "on"))
    where, kind, sentence = only(lint([broken]))
    assert (where, kind) == ("t.2", Kind.SHADOWED)
    assert sentence == "whenever 'A & B' holds, a row above fires: t.1"


def test_a_row_may_be_shadowed_by_several_together() -> None:
    broken = table(("off", C, "gone"), ("off", A & B, "gone"), ("off", A & ~B, "gone"), ("off", A, "gone"))
    where, kind, sentence = only(lint([broken]))
    assert (where, kind) == ("t.4", Kind.SHADOWED)
    assert sentence.endswith(": t.2, t.3")


def test_a_guard_that_contradicts_itself_is_shadowed_by_nothing() -> None:
    where, kind, sentence = only(lint([table(("off", A & ~A, "gone"), ("off", B, "gone"))]))
    assert (where, kind, sentence) == ("t.1", Kind.SHADOWED, "its guard 'A & ~A' can never hold")


def test_assumptions_count() -> None:
    sound = table(("off", A & B, "on"), ("off", B, "gone"), ("on", C, "gone"))
    assert lint([sound]) == []
    where, kind, sentence = only(lint([replace(sound, assuming=(~(A & B), ~C | A))])[:1])
    assert (where, kind, sentence) == ("t.1", Kind.SHADOWED, "its guard 'A & B' can never hold")


def test_assumptions_that_exclude_each_other_are_found_and_nothing_else() -> None:
    where, kind, sentence = only(lint([replace(SOUND, assuming=(A | B, ~A, ~B))]))
    assert (where, kind) == ("t", Kind.CONTRADICTION)
    assert sentence == "these cannot hold together: A | B, ~A, ~B"


@pytest.mark.parametrize("guard", [A & (B | ~B), A | B & ~B, (A | B) & (A | ~B)], ids=str)
def test_a_fact_that_changes_nothing_is_idle(guard: Guard) -> None:
    where, kind, sentence = only(lint([table(("off", guard, "gone"))]))
    assert (where, kind) == ("t.1", Kind.IDLE_FACT)
    assert "whatever B is" in sentence


def test_a_fact_may_be_idle_because_of_the_rows_above() -> None:
    broken = table(("off", A & B, "gone"), ("off", ~A & B | C, "gone"))
    assert lint([broken]) == []
    assert only(lint([replace(broken, assuming=(A | ~B,))])) == (
        "t.2",
        Kind.IDLE_FACT,
        "'~A & B | C' holds or not whatever A is, in the cases that the rows above leave",
    )


def test_a_fact_that_the_rows_above_settle_is_no_fault_but_known() -> None:
    restated = table(("off", A, "gone"), ("off", ~A & B, "gone"))
    assert lint([restated]) == []
    assert [(row.id, fact, value) for row, fact, value in settled_facts(restated)] == [("t.2", A, False)]


def test_a_state_behind_rows_that_never_fire_is_unreachable() -> None:
    broken = table(("off", A, "gone"), ("off", A, "on"), ("on", B, "gone"))
    shadow, island = lint([broken])
    assert (shadow.where, shadow.kind) == ("t.2", Kind.SHADOWED)
    assert (island.where, island.kind) == ("on", Kind.UNREACHABLE)
    assert island.sentence == "no rows that can fire lead here from off, so these never fire: t.3, t.on"


def test_states_that_only_lead_to_each_other_are_unreachable() -> None:
    broken = table(("off", A, "gone"), ("one", A, "two"), ("two", A, "one"))
    assert [(each.where, each.kind) for each in lint([broken])] == [
        ("one", Kind.UNREACHABLE),
        ("two", Kind.UNREACHABLE),
    ]


def test_a_state_that_no_other_leads_to_is_never_entered() -> None:
    where, kind, sentence = only(lint([table(("off", A, "gone"), ("on", B, "gone"))]))
    assert (where, kind) == ("on", Kind.NEVER_ENTERED)
    assert sentence == "no row of another state leads here, so these never fire: t.2, t.on"


def test_a_state_that_no_row_leaves_is_never_left() -> None:
    assert only(lint([table(("off", A, "on"), ("on", B, "on"))]))[:2] == ("on", Kind.NEVER_LEFT)


def test_a_declared_word_that_no_row_mentions_is_unused() -> None:
    fact, action = lint([SOUND], [A, C, RING])
    assert (fact.where, fact.kind, fact.sentence) == ("C", Kind.UNUSED, "no row of any table mentions this fact")
    assert (action.where, action.kind) == ("RING", Kind.UNUSED)


def test_a_word_that_only_the_store_checks_is_used() -> None:
    kept = Fact("KEPT", Checker.STORE, "Nobody has written since.")
    write = Action("WRITE", Site.STORE, "Write.")
    used = replace(SOUND, rows=(Row("t.0", "off", D, "on", do=(write,), given=(kept,)), *SOUND.rows))
    assert lint([used], [kept, write, D]) == []


@pytest.mark.parametrize(
    ("word", "other"),
    [
        (A, Fact("A", Checker.LOCAL, "Something else.")),
        (A, Fact("A", Checker.READ, A.sentence)),
        (RING, Action("RING", Site.STORE, RING.sentence)),
    ],
)
def test_one_name_for_two_things_is_found(word: Fact | Action, other: Fact | Action) -> None:
    findings = [each for each in lint([SOUND], [word, other, word]) if each.kind is not Kind.UNUSED]
    assert only(findings)[:2] == (word.name, Kind.TWO_MEANINGS)


def test_one_name_for_two_things_is_found_in_rows_too() -> None:
    other = Fact("A", Checker.LOCAL, "Something else.")
    twin = Table("u", "", SOUND.states[:1], (Row("u.1", "off", other, "off"), Row("u.2", "off", ALWAYS, "off")))
    assert ("A", Kind.TWO_MEANINGS) in {(each.where, each.kind) for each in lint([SOUND, twin])}


def test_a_finding_reads_as_a_line() -> None:
    assert str(Finding("t", "on", Kind.NEVER_LEFT, "no way")) == "t: on: never left: no way"
    assert str(Finding("", "A", Kind.UNUSED, "not used")) == "tables: A: unused: not used"


# ------------------------------------------------------------------------------------------------- the command


def test_the_command_lists_what_the_lint_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "TABLES", {"t": table(("off", A, "gone"), ("off", A, "on"), ("on", C, "gone"))})
    monkeypatch.setattr(command, "declared", lambda: FACTS)
    result = CliRunner().invoke(command.lint)
    assert result.exit_code == 1
    assert result.output.splitlines()[0] == "t: t.2: shadowed: whenever 'A' holds, a row above fires: t.1"
    answer = json.loads(CliRunner().invoke(command.lint, ["--json"]).output)
    assert [each["kind"] for each in answer] == ["shadowed", "unreachable", "unused", "unused"]
    assert set(answer[0]) == {"table", "where", "kind", "sentence"}


def test_the_command_says_that_nothing_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "TABLES", {"t": SOUND})
    monkeypatch.setattr(command, "declared", lambda: FACTS[:2])
    result = CliRunner().invoke(command.lint)
    assert (result.exit_code, result.output) == (0, "5 rows in 1 tables: nothing found\n")
    assert CliRunner().invoke(command.lint, ["--json"]).output == "[]\n"


def test_the_command_names_what_to_install_without_a_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "z3", None)
    monkeypatch.delitem(sys.modules, "model_check.lint")
    result = CliRunner().invoke(command.lint)
    assert result.exit_code == 1
    assert result.output == "Error: z3 is not installed: pip install hacore[check]\n"


# ------------------------------------------------------------------------------------------------- a second opinion

guards = st.recursive(
    st.sampled_from([*FACTS, ALWAYS]),
    lambda inner: st.one_of(
        inner.map(lambda guard: ~guard),
        st.tuples(inner, inner).map(lambda pair: pair[0] & pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1]),
    ),
    max_leaves=6,
)
names = st.sampled_from(["off", "on", "up", "gone"])


@st.composite
def tables(draw: st.DrawFn) -> Table:
    rows = draw(st.lists(st.tuples(names.filter(lambda name: name != "gone"), guards, names), min_size=1, max_size=8))
    return table(*rows, assuming=draw(st.lists(guards, max_size=2)))


def assert_agreement(checked: Table) -> None:
    dead = [row for row, _ in shadowed(checked)]
    opinion = verdict(checked)
    assert {row.id for row in dead} == opinion.shadowed
    assert {(row.id, fact.name, value) for row, fact, value in settled_facts(checked)} == opinion.settled
    assert set(checked.by_state) - reachable(checked, dead) == opinion.unreachable


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "lrm" else name for name in TABLES]
)
def test_truth_tables_agree_about_the_tables(name: str) -> None:
    assert_agreement(TABLES[name])


@settings(deadline=None)  # a busy machine makes a solver slow, not wrong
@given(tables())
def test_truth_tables_agree_about_any_table(checked: Table) -> None:
    truth = columns(FACTS)
    possible = EVERY
    for guard in checked.assuming:
        possible &= cases(guard, truth, EVERY)
    assert any(finding.kind is Kind.CONTRADICTION for finding in lint([checked])) == (possible == 0)
    if possible:
        assert_agreement(checked)


@given(guards)
def test_a_truth_table_says_what_the_guard_says(guard: Guard) -> None:
    truth = cases(guard, columns(FACTS), EVERY)
    for number, values in enumerate(product((False, True), repeat=4)):
        facts = dict(zip(reversed(FACTS), values, strict=True))  # the first fact is the lowest bit
        assert bool(truth >> number & 1) == guard.holds(facts.__getitem__)


def test_too_many_facts_are_refused_rather_than_waited_for() -> None:
    many: Guard = ALWAYS
    for number in range(MOST_FACTS + 1):
        many = many & Fact(f"F{number}", Checker.LOCAL, "")
    with pytest.raises(ValueError, match=f"depends on {MOST_FACTS + 1} facts, over {MOST_FACTS}"):
        verdict(table(("off", many, "gone")))


def test_the_reference_variant_is_sound_too() -> None:
    """Only what its workers never end with has no way to it."""
    findings = lint(REFERENCE.values(), ())
    assert [(each.where, each.kind) for each in findings] == [("down", Kind.NEVER_ENTERED)]
