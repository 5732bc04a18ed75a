"""What a proof must get right, on small models; a protocol; and what the explorer says of all that is proved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_check.counterexample import Counterexample, render
from model_check.ground import Ground, evaluate
from model_check.lang import (
    BOOL,
    OFF,
    Action,
    Bool,
    Context,
    Count,
    Domain,
    Duration,
    Enum,
    Expr,
    Field,
    LangError,
    Model,
    Ref,
    Timer,
    Type,
    after,
    ahead,
    every,
    implies,
    ite,
    no_later,
    passed,
    some,
)
from model_check.prove import Obligation, Prover, Verdict, needed, prove_all
from model_check.smt import typing
from model_check.unroll import Unrolled
from tests.model_check import locks
from tests.model_check.small import guarded, moves, owners

NODE, SERVICE = Domain("Node", 2), Domain("Service", 2)


def failures(model: Model) -> dict[tuple[str, str], Obligation]:
    found = {(it.action, it.invariant): it for it in Prover(model).prove() if it.verdict is not Verdict.PROVED}
    assert all(it.verdict is Verdict.REFUTED for it in found.values())
    return found


def example(obligation: Obligation) -> Counterexample:
    assert obligation.counterexample is not None
    return obligation.counterexample


def shown(obligation: Obligation) -> list[str]:
    return [line.strip() for line in render(example(obligation)).splitlines()]


# -------------------------------------------------------------------------------------------------------- obligations


def test_an_inductive_invariant_is_proved() -> None:
    found = {(it.action, it.invariant): it.verdict for it in Prover(owners()).prove()}
    assert set(found.values()) == {Verdict.PROVED}
    assert found.keys() == {
        *(("", "sole"), ("", "key_first")),
        *(("take", "key_first"), ("own", "sole"), ("own", "key_first")),
        *(("give_back", "sole"), ("give_back", "key_first")),
    }


def test_it_is_said_what_a_proof_used() -> None:
    (found,) = Prover(owners()).prove(["own"], ["sole"])
    assert "key_first" in found.used
    assert str(found).startswith("own keeps sole: proved (")


def test_an_invariant_may_be_true_and_not_inductive() -> None:
    model = owners()
    del model.invariants["key_first"]
    ((step, found),) = failures(model).items()
    assert step == ("own", "sole")
    assert shown(found) == [
        "among  n0  n1",
        "before key=n0  ~owns[n0]  owns[n1]",
        "step   own(n=n0)",
        "after  owns[n0]: False -> True",
        "wrong  owns[n0] & owns[n1] & n0 != n1",
    ]


def test_a_counterexample_has_no_more_than_it_takes() -> None:
    model = moves()
    del model.invariants["runs_at"]
    found = failures(model)
    assert found.keys() == {("start", "sole")}
    assert sorted(example(found["start", "sole"]).universe) == ["n0", "n1", "s0"]


def test_an_invariant_that_is_false_is_refuted() -> None:
    ((step, found),) = failures(owners(aware=False)).items()
    assert step == ("take", "key_first")
    assert shown(found) == [
        "among  n0  n1",
        "before key=n1  owns[n1]",
        "step   take(n=n0)",
        "after  key: n1 -> n0",
        "wrong  owns[n1] & key != n1",
    ]
    assert str(found).splitlines()[0].startswith("take keeps key_first: refuted (")


def test_the_start_must_keep_the_invariants_too() -> None:
    model = owners()
    c = model.state()
    model.invariants["owned"] = some(Domain("Node", 2), lambda n: c.owns[n])
    assert shown(failures(model)["", "owned"]) == [
        "among  n0",
        "before all as at the start",
        "step   none: this is the start",
        "after  nothing has changed",
        "wrong  ~(some n: owns[n])",
    ]


def test_what_is_chosen_for_a_run_may_be_anything() -> None:
    model = Model("chosen", [Field("wild", BOOL, (NODE,), chosen=True), Field("tame", BOOL, (NODE,))])
    c = model.state()
    model.invariants["tame"] = every(NODE, lambda n: ~c.tame[n])
    model.invariants["wild"] = every(NODE, lambda n: ~c.wild[n])
    assert failures(model).keys() == {("", "wild")}


def test_an_unknown_says_why() -> None:
    model = Model("endless", [Field("rank", Count(3), (NODE,)), Field("over", BOOL)])

    @model.action()
    def end(c: Context) -> None:
        c.over = True

    c = model.state()
    # Only in a universe without end has each node one above it: no small counterexample, and none that Z3 finds.
    model.invariants["endless"] = every(NODE, lambda n: some(NODE, lambda k: c.rank[n] < c.rank[k]))
    model.invariants["somebody"] = some(NODE, lambda n: c.rank[n] == c.rank[n])
    model.invariants["going"] = ~c.over
    (found,) = Prover(model, timeout_s=0.1).prove(["end"], ["going"])
    assert (found.verdict, found.counterexample) == (Verdict.UNKNOWN, None)
    assert str(found).startswith("end keeps going: unknown (")
    assert str(found).endswith("; nothing found with up to 3 of each domain")


# ------------------------------------------------------------------------------------ quantifiers, references, numbers


def test_quantifiers_in_guards_and_updates() -> None:
    model = Model("crowd", [Field("here", BOOL, (NODE,)), Field("empty", BOOL, (), True), Field("full", BOOL)])

    @model.action(n=NODE)
    def come(c: Context, n: Expr) -> None:
        c.here[n], c.empty = True, False
        c.full = every(NODE, lambda k: c.here[k] | (k == n))

    @model.action(n=NODE)
    def go(c: Context, n: Expr) -> None:
        c.here[n], c.full = False, False
        c.empty = ~some(NODE, lambda k: c.here[k] & (k != n))

    @model.action()
    def swap(c: Context) -> None:
        c.when(c.full | ~some(NODE, lambda k: c.here[k]))
        c.here[:] = lambda k: ~c.here[k]
        c.full, c.empty = c.empty, c.full

    c = model.state()
    model.invariants["empty"] = implies(c.empty, every(NODE, lambda n: ~c.here[n]))
    model.invariants["full"] = implies(c.full, every(NODE, lambda n: c.here[n]))
    assert failures(model) == {}
    model.invariants["known"] = c.empty | some(NODE, lambda n: c.here[n])
    assert failures(model) == {}
    model.invariants["unknown"] = ~c.empty | every(NODE, lambda n: c.here[n])
    assert failures(model).keys() == {("", "unknown"), ("go", "unknown"), ("swap", "unknown")}


def places(*, careful: bool) -> Model:
    model = Model("places", [Field("at", Ref(NODE), (SERVICE,)), Field("goal", Ref(NODE, none=True), (SERVICE,), None)])

    @model.action(s=SERVICE, n=NODE)
    def decide(c: Context, s: Expr, n: Expr) -> None:
        c.goal[s] = n

    @model.action(s=SERVICE)
    def move(c: Context, s: Expr) -> None:
        if careful:
            c.when(c.goal[s] != None)  # noqa: E711 - symbolic
        c.at[s], c.goal[s] = c.goal[s], None

    c = model.state()
    model.invariants["somewhere"] = every(SERVICE, lambda s: some(NODE, lambda n: c.at[s] == n))
    return model


def test_references_keep_their_type() -> None:
    found = {(it.action, it.invariant): it.verdict for it in Prover(places(careful=True)).prove()}
    assert found == dict.fromkeys([("", "somewhere"), ("move", "somewhere"), ("move", "at is set")], Verdict.PROVED)


def test_what_may_be_none_is_asked_only_of_what_may() -> None:
    model = places(careful=True)

    @model.action(s=SERVICE, t=SERVICE)
    def follow(c: Context, s: Expr, t: Expr) -> None:
        c.at[s] = ite(c.goal[s] == None, c.at[t], c.at[s])  # noqa: E711 - symbolic

    @model.action(s=SERVICE)
    def jump(c: Context, s: Expr) -> None:
        c.at[s] = ite(c.goal[s] == None, c.at[s], c.goal[s])  # noqa: E711 - symbolic

    found = {(it.action, it.verdict) for it in Prover(model).prove(invariants=["at is set"])}
    assert found == {("move", Verdict.PROVED), ("jump", Verdict.PROVED)}


def test_none_where_there_must_be_something_is_found() -> None:
    found = failures(places(careful=False))
    assert found.keys() == {("move", "somewhere"), ("move", "at is set")}
    assert shown(found["move", "at is set"]) == [
        "among  s0  n0",
        "before at[s0]=n0",
        "step   move(s=s0)",
        "after  at[s0]: n0 -> none",
        "wrong  at[s0] == none",
    ]


def test_rows_are_written_at_once_and_read_as_they_were() -> None:
    model = Model(
        "views",
        [
            Field("at", Ref(NODE), (SERVICE,)),
            Field("version", Count(3), (SERVICE,)),
            Field("mine", BOOL, (NODE, SERVICE)),
            Field("seen", Count(3), (NODE, SERVICE)),
        ],
    )

    @model.action(n=NODE)
    def view(c: Context, n: Expr) -> None:
        c.mine[n, :] = lambda s: c.at[s] == n
        c.seen[n, :] = lambda s: c.version[s]

    @model.action(s=SERVICE, n=NODE)
    def move(c: Context, s: Expr, n: Expr) -> None:
        c.at[s], c.version[s] = n, c.version[s].next()

    c = model.state()

    def current(n: Expr, s: Expr) -> Expr:
        return implies(c.mine[n, s] & (c.seen[n, s] == c.version[s]), c.at[s] == n)

    model.invariants["current"] = every(NODE, lambda n: every(SERVICE, lambda s: current(n, s)))
    assert failures(model).keys() == {("move", "current")}
    model.invariants["past"] = every(NODE, lambda n: every(SERVICE, lambda s: ~(c.version[s] < c.seen[n, s])))
    assert failures(model) == {}


def test_elements_may_be_called_by_number() -> None:
    model = Model("first", [Field("at", Ref(NODE)), Field("used", BOOL, (NODE,))])

    @model.action()
    def use(c: Context) -> None:
        c.used[c.at] = True

    c = model.state()
    model.invariants["not_second"] = ~c.used[1]
    assert failures(model).keys() == {("use", "not_second")}
    model.invariants["at_first"] = c.at == 0
    assert failures(model) == {}


def test_names_may_be_alike() -> None:
    """Of a field, a parameter, a domain, an enumeration, an invariant, a duration and its values."""
    n, lock = Domain("n", 2), Duration("n", 2)
    values, others = Enum("n", ("n", "none")), Enum("m", ("n", "n0"))
    fields = [Field("n", values, (), "n"), Field("now", Timer(2)), Field("m", others, (), "n0"), Field("k", BOOL, (n,))]
    model = Model("n", fields)

    @model.action(n=n)
    def step(c: Context, n: Expr) -> None:
        c.when(c.n == "n", c.m == "n0")
        c.k[n], c.now, c.m = True, after(lock), "n"

    c = model.state()
    model.invariants["n"] = c.n == "n"
    model.invariants["now"] = implies(c.m == "n0", every(n, lambda n: ~c.k[n]))
    model.invariants["k"] = implies(c.m == "n0", every(n, lambda k: c.k[k]))
    assert failures(model).keys() == {("", "k")}


def test_domains_with_the_same_letter_are_told_apart() -> None:
    store = Domain("Store", 2)
    model = Model("both", [Field("at", Ref(store, none=True), (SERVICE,), None)])

    @model.action(service=SERVICE, store=store)
    def put(c: Context, service: Expr, store: Expr) -> None:
        c.at[service] = store

    c = model.state()
    model.invariants["nowhere"] = every(SERVICE, lambda s: c.at[s] == None)  # noqa: E711 - symbolic
    (found,) = failures(model).values()
    assert example(found).universe == ("s0", "store0")
    assert example(found).step == "put(service=s0, store=store0)"


# --------------------------------------------------------------------------------------------------------------- time


def test_a_lock_that_outlives_two_watchdogs_protects() -> None:
    assert failures(guarded()) == {}


def test_a_lock_that_may_not_live_so_long_does_not() -> None:
    found = failures(guarded(longer=False))
    assert found.keys() == {("take", "held"), ("renew", "held"), ("renew", "renewed")}
    sample = example(found["renew", "renewed"])
    lock, dog = (float(sample.lengths[name]) for name in ("LOCK", "DOG"))
    (node,) = sample.universe
    assert lock < float(sample.before[f"dog[{node}]"]) + dog
    assert float(sample.changes["until"].split(" -> ")[1]) == lock
    assert sample.wrong == (f"works[{node}]", f"renewed[{node}]", f"until < dog[{node}] + DOG")
    assert "alone" in violated(guarded(longer=False))


def test_a_timer_that_is_off_is_over() -> None:
    found = failures(guarded(stops=False))
    assert found.keys() == {("rest", "watched")}
    assert "watched" in violated(guarded(stops=False))


def test_time_passes_as_far_as_a_guard_lets_it() -> None:
    found = failures(guarded(bounded=False))
    assert found.keys() == {("tick", "watched")}
    sample = example(found["tick", "watched"])
    name, lapse = sample.step.split(", after ")
    assert name == "tick()"
    old, new = map(float, sample.changes["dog[n0]"].split(" -> "))
    assert old >= 0 > new
    assert old - new == pytest.approx(float(lapse))
    assert "watched" in violated(guarded(bounded=False))


def bell(*, lapses: bool) -> Model:
    short, long = Duration("SHORT", 1), Duration("LONG", 3)
    model = Model("bell", [Field("bell", Timer(3)), Field("set", BOOL), Field("new", BOOL), Field("early", BOOL)])

    @model.action()
    def wind(c: Context) -> None:
        c.bell, c.set, c.new, c.early = after(long), True, True, False

    @model.action()
    def look(c: Context) -> None:
        c.when(c.set)
        c.early = ahead(c.bell, short)

    @model.action()
    def hush(c: Context) -> None:
        c.bell, c.set, c.new, c.early = OFF, False, False, False

    def tick(c: Context) -> None:
        pass

    if lapses:
        model.add("tick", tick, {}, ticks=True)
    c = model.state()
    model.invariants["silent"] = c.set | (passed(c.bell) & ~ahead(c.bell))
    model.invariants["new"] = implies(c.new, no_later(after(long), c.bell))
    model.invariants["early"] = implies(c.early, ahead(c.bell))
    return model


def test_a_bell_that_is_off_has_rung() -> None:
    assert failures(bell(lapses=False)) == {}


def test_the_clock_is_read_like_a_field() -> None:
    assert failures(bell(lapses=True)).keys() == {("tick", "new"), ("tick", "early")}


def test_a_moment_has_no_number() -> None:
    model = Model("bell", [Field("bell", Timer(3))])

    @model.action()
    def wind(c: Context) -> None:
        c.bell = 3

    with pytest.raises(LangError, match="a timer has no number when time is dense"):
        Prover(model)


# -------------------------------------------------------------------------------------------------------- a protocol


def test_a_protocol_is_proved_by_two_processes_and_all_of_it_is_needed() -> None:
    prover = locks.prover()
    found = list(prove_all(locks.prover))
    assert {(it.step, it.invariant) for it in found} == {
        (number, name) for number in range(len(prover.steps)) for name in prover.obliged(number)
    }
    assert {it.verdict for it in found} == {Verdict.PROVED}
    assert [name for name, loss in needed(prover, found) if loss is None] == ["sole_runner"]


@pytest.mark.parametrize(
    ("model", "broken"),
    [
        (locks.model(premise=False), {(act, name) for act in ("take", "renew") for name in ("shield", "renewed")}),
        (locks.model(early=True), {("come_back", "run_protected")}),
    ],
    ids=["lifetime", "early"],
)
def test_a_fault_of_the_protocol_is_found(model: Model, broken: set[tuple[str, str]]) -> None:
    assert failures(model).keys() == broken


def broken_factory() -> Prover:
    raise LangError("no such model")


def test_what_goes_wrong_in_a_worker_is_told() -> None:
    with pytest.raises(LangError, match="no such model"):
        list(prove_all(broken_factory))


def test_nothing_is_needed_for_itself_alone() -> None:
    model = Model("still", [Field("still", BOOL, (), True)])

    @model.action()
    def stay(c: Context) -> None:
        c.still = c.still

    model.invariants["still"] = model.state().still
    prover = Prover(model)
    found = list(prover.prove())
    assert [it.used for it in found] == [(), ("still",)]
    assert dict(needed(prover, found)) == {"still": None}


def test_what_is_not_needed_is_told() -> None:
    model = owners()
    c = model.state()
    model.invariants["idle"] = every(Domain("Node", 2), lambda n: implies(c.key == None, ~c.owns[n]))  # noqa: E711
    prover = Prover(model)
    found = dict(needed(prover, prover.prove()))
    assert (found["idle"], found["sole"]) == (None, None)
    lost = found["key_first"]
    assert lost is not None
    assert (lost.action, lost.invariant, lost.verdict) == ("own", "sole", Verdict.REFUTED)


# ------------------------------------------------------------------------------------- what the explorer says of it

Builder = Callable[..., Model]


def mutant(model: Model, dropped: set[int], left_out: set[int]) -> Model:
    """The model without some of its guards and of its invariants, by number."""
    numbers = count()
    model.actions = [
        replace(action, guards=tuple(guard for guard in action.guards if next(numbers) not in dropped))
        for action in model.actions
    ]
    for number, name in enumerate(list(model.invariants)):
        if number in left_out:
            del model.invariants[name]
    return model


def violated(model: Model, most: int = 1500) -> set[str]:
    """The invariants that do not hold in some of the states that are reached first."""
    ground = Ground(model)
    seen, ahead_, found = {ground.initial}, [ground.initial], set()
    for state in ahead_:
        found |= {name for name, holds in ground.invariants.items() if not evaluate(holds, state)}
        new = {after_ for _, after_ in ground.successors(state)} - seen
        if len(seen) < most:
            seen |= new
            ahead_.extend(new)
    return found


def replay(model: Model, found: Obligation) -> None:
    """By the explorer's rules: all invariants hold before, the step can be taken, and the invariant is broken."""
    raw, sample = Unrolled(model), example(found)
    goal = raw.ground((model.invariants | typing(model))[found.invariant], {})
    before = list(raw.initial)
    for number, (field, index) in enumerate(raw.places):
        elements = ",".join(f"{domain.name[0].lower()}{at}" for domain, at in zip(field.domains, index, strict=True))
        shown = sample.before.get(f"{field.name}[{elements}]" if elements else field.name)
        if shown is not None:
            before[number] = numbered(field.type, shown)
    if not found.action:
        assert not evaluate(goal, tuple(raw.initial))
        return
    assert all(evaluate(raw.ground(expr, {}), tuple(before)) for expr in model.invariants.values())
    ((guard, updates),) = (
        (guard, updates)
        for action, binding, guard, updates in raw.instances
        if sample.step == f"{action.name}({', '.join(f'{it}={letter(action, it)}{at}' for it, at in binding.items())})"
    )
    assert evaluate(guard, tuple(before))
    after_ = [evaluate(updates[slot], tuple(before)) if slot in updates else old for slot, old in enumerate(before)]
    assert not evaluate(goal, tuple(after_))


def letter(action: Action, name: str) -> str:
    (domain,) = (param.type.domain for param in action.params if param.args[0] == name and isinstance(param.type, Ref))
    return domain.name[0].lower()


def numbered(type_: Type, shown: str) -> int:
    """The number of a value that is written as in a counterexample."""
    match type_:
        case Bool():
            return int(shown == "True")
        case Ref(domain=domain):
            return domain.size if shown == "none" else int(shown[1:])
        case Enum(values=values):
            return values.index(shown)
    return int(shown)


def guard_numbers(build: Builder) -> st.SearchStrategy[set[int]]:
    """Not the first one, which keeps a number within what is explored, nor the one of time: moments that are over are
    not to be compared, for when they are enumerated they are all alike."""
    last = sum(len(action.guards) for action in build().actions if not action.ticks) - 1
    return st.sets(st.integers(1, last), max_size=2)


BUILDERS: list[Builder] = [owners, moves, guarded]
mutations = st.sampled_from(BUILDERS).flatmap(
    lambda build: st.tuples(
        st.just(build),
        guard_numbers(build),
        st.sets(st.integers(0, len(build().invariants) - 1), max_size=len(build().invariants) - 1),
    )
)


@settings(max_examples=15, deadline=None)  # a busy machine makes a solver slow, not wrong
@given(mutations)
def test_what_is_proved_holds_when_explored(mutation: tuple[Builder, set[int], set[int]]) -> None:
    model = mutant(mutation[0](), *mutation[1:])
    while lost := {it.invariant for it in Prover(model).prove() if it.verdict is not Verdict.PROVED}:
        if not lost & model.invariants.keys():
            return  # a reference is not kept set: then nothing is proved
        model.invariants = {name: expr for name, expr in model.invariants.items() if name not in lost}
    assert violated(model) == set()


@settings(max_examples=15, deadline=None)
@given(mutations.filter(lambda mutation: mutation[0] is not guarded))
def test_what_is_refuted_can_be_done_again(mutation: tuple[Builder, set[int], set[int]]) -> None:
    build, dropped, left_out = mutation
    for found in Prover(mutant(build(), dropped, left_out)).prove():
        if found.verdict is not Verdict.PROVED:
            sizes = Counter(name[0] for name in example(found).universe)
            replay(mutant(build(*(sizes[kind] for kind in "ns" if sizes[kind])), dropped, left_out), found)


@pytest.mark.parametrize("model", [*(build() for build in BUILDERS), locks.model()], ids=lambda model: str(model.name))
def test_what_is_left_out_is_not_touched(model: Model) -> None:
    prover = Prover(model)
    for number in range(1, len(prover.steps)):
        for name in model.invariants.keys() - set(prover.obliged(number)):
            assert prover.check(number, name, model.invariants.keys() - {name}).verdict is Verdict.PROVED
