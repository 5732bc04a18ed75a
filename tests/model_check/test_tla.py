"""TLC finds in the text exactly the states that the ground model has, and the text is fit to be read."""

import ast
import random
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from model_check.conform import Counts, against_tlc
from model_check.explore import explore
from model_check.expr import BOOL, Count, Domain, Duration, Enum, Expr, LangError, Ref, Timer, lift
from model_check.ground import Ground, evaluate
from model_check.lang import (
    FALSE,
    OFF,
    TRUE,
    Context,
    Field,
    Model,
    after,
    ahead,
    all_of,
    every,
    implies,
    ite,
    later,
    no_later,
    outlasts,
    passed,
    some,
)
from model_check.tla import Fair, LeadsTo, config, module
from model_check.tlc import Answer, TlcError, Verdict, jar, java, run

NODE, SERVICE = Domain("Node", 2), Domain("Service", 3)
SHORT, LONG = Duration("Short", 1), Duration("Long", 3)
MODE = Enum("Mode", ("wait", "active", "lost", "never"))

# --------------------------------------------------------------------------------------- a plain search, and TLC's


def states(ground: Ground, **chosen: object) -> dict[tuple[int, ...], int]:
    """Every reachable state, and at which level it is found."""
    level = [ground.start(**chosen)]
    found = dict.fromkeys(level, 1)
    while level:
        depth = found[level[0]] + 1
        reached = dict.fromkeys(after for state in level for _, after in ground.successors(state))
        level = [state for state in reached if state not in found]
        found.update(dict.fromkeys(level, depth))
    return found


def check(folder: Path, name: str, text: str, settings: str) -> Answer:
    """What TLC says of a module."""
    (folder / f"{name}.tla").write_text(text)
    return run(folder / f"{name}.tla", settings, workers=1, deadlock=False, brief=True)


def enumerated(folder: Path, name: str, text: str, settings: str) -> tuple[str, str]:
    """What TLC says, and all states that it has found."""
    (folder / f"{name}.tla").write_text(text)
    (folder / f"{name}.cfg").write_text(settings)
    options = ["-XX:+UseParallelGC", "-XX:TieredStopAtLevel=1", f"-Djava.io.tmpdir={folder}", "-cp", str(jar())]
    command = [str(java()), *options, "tlc2.TLC", "-deadlock", "-metadir", "meta", "-dump", "all", name]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    return said, (folder / "all.dump").read_text()


RENAMED = {"vars_2": "vars", "xWF_x": "WF_x"}
"""See :func:`odd`."""


def dumped(text: str) -> Iterator[dict[str, object]]:
    """The states that TLC has written down, as :meth:`Ground.shown` shows them."""
    for state in re.split(r"State \d+:\n", text)[1:]:
        shown: dict[str, object] = {}
        for name, value in re.findall(r"/\\ (\w+) = ((?:.|\n)*?)(?=\n/\\|\n\n)", state):
            shown.update(places(RENAMED.get(name, name), python(value)))
        yield shown


@cache
def python(value: str) -> object:
    for pattern, ours in ((r"\b(?:node|service)(\d)\b", r"\1"), (r"\(", "{"), (r"\)", "}"), (":>", ":"), ("@@", ",")):
        value = re.sub(pattern, ours, value)
    return ast.literal_eval(value.replace("TRUE", "True").replace("FALSE", "False"))


def places(name: str, value: object, index: tuple[int, ...] = ()) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for at, inner in value.items():
            yield from places(name, inner, (*index, at))
    else:
        yield (f"{name}[{','.join(map(str, index))}]" if index else name), value


def rows_of(shown: Iterable[Mapping[str, object]]) -> list[str]:
    return sorted(str(sorted(it.items())) for it in shown)


# ------------------------------------------------------------------------------------------------- small models


def leases() -> Model:
    """Timers: a lease runs out, and is renewed while it has time left."""
    model = Model("leases", [Field("lock", Ref(NODE, none=True), initial=None), Field("lease", Timer(3))])

    @model.action(n=NODE)
    def take(c: Context, n: Expr) -> None:
        c.when((c.lock == None) | passed(c.lease))  # noqa: E711 - symbolic
        c.lock, c.lease = n, after(LONG)

    @model.action()
    def shorten(c: Context) -> None:
        c.when(ahead(c.lease, SHORT), ~ahead(c.lease, LONG))
        c.lease = OFF

    @model.action()
    def give(c: Context) -> None:
        c.when(~passed(c.lease))
        c.lock = None

    def tick(c: Context) -> None:
        c.lock = ite(outlasts(c.lease), c.lock, None)

    model.add("world.tick", tick, {}, row="w.t", ticks=True)
    return model


def deadlines() -> Model:
    """Timers for each element, set by each other, that may not outlast what they can hold."""
    model = Model("deadlines", [Field("dog", Timer(4), (NODE,)), Field("limit", Timer(2)), Field("idle", Timer(2))])

    @model.action(n=NODE)
    def arm(c: Context, n: Expr) -> None:
        c.when(passed(c.dog[n]) | no_later(c.dog[n], c.limit), passed(c.idle), ~ahead(c.idle), ~ahead(c.idle, SHORT))
        c.dog[n] = later(c.limit, LONG)

    @model.action()
    def extend(c: Context) -> None:
        c.limit = later(c.limit, SHORT)

    model.add("pass", lambda c: c.when(every(NODE, lambda n: outlasts(c.dog[n]))), {}, ticks=True)
    return model


def counts() -> Model:
    """Counters grow to their end."""
    model = Model("counts", [Field("gen", Count(3), (NODE,)), Field("ack", Count(2), initial=1)])

    @model.action(n=NODE)
    def ask(c: Context, n: Expr) -> None:
        c.when(~(c.gen[n] > c.ack.next()))
        c.gen[n] = c.gen[n].next()

    @model.action(n=NODE)
    def answer(c: Context, n: Expr) -> None:
        c.when(c.ack < c.gen[n], ~(c.gen[n] == 1))
        c.ack = c.ack.next()

    return model


def rows() -> Model:
    """Writes to whole rows and columns, and a quantifier over two domains."""
    model = Model("rows", [Field("runs", BOOL, (NODE, SERVICE)), Field("seen", Ref(SERVICE, none=True), (NODE,), None)])

    @model.action(n=NODE, s=SERVICE)
    def start(c: Context, n: Expr, s: Expr) -> None:
        c.when(every(NODE, lambda m: (m == n) | ~c.runs[m, s]))
        c.runs[n, s] = True

    @model.action(n=NODE)
    def crash(c: Context, n: Expr) -> None:
        c.when(some(NODE, lambda m: some(SERVICE, lambda s: c.runs[m, s] & ~(m == n))))
        c.runs[n, :] = False
        c.seen[:] = lambda m: ite(m == n, None, c.seen[m])

    @model.action(s=SERVICE)
    def swap(c: Context, s: Expr) -> None:
        c.runs[:, s] = lambda m: some(NODE, lambda o: ~(o == m) & c.runs[o, s])
        c.seen[0] = s

    return model


def chain() -> Model:
    """References read through references; as an index, None is the last."""
    fields = [Field("at", Ref(NODE), (SERVICE,), 1), Field("boss", Ref(NODE, none=True), (NODE,), None)]
    model = Model("chain", [*fields, Field("chief", Ref(NODE, none=True), (), None), Field("up", BOOL, (NODE,))])

    @model.action(s=SERVICE)
    def follow(c: Context, s: Expr) -> None:
        c.when(c.boss[c.at[s]] != None)  # noqa: E711 - symbolic
        c.at[s] = ite(c.boss[c.at[s]] == None, 0, c.boss[c.at[s]])  # noqa: E711 - symbolic

    @model.action(n=NODE, m=NODE)
    def rise(c: Context, n: Expr, m: Expr) -> None:
        c.when(c.chief == c.boss[n], ~c.up[c.boss[c.boss[n]]] | ~(n == m))
        c.boss[n] = m
        c.up[c.chief] = ~c.up[n]

    @model.action(n=NODE)
    def elect(c: Context, n: Expr) -> None:
        c.when(~(c.chief == None) | ~c.up[c.chief])  # noqa: E711 - symbolic
        c.chief = ite(c.up[n], c.boss[n], n)

    return model


def modes() -> Model:
    """Choices; a field that never changes, an action that never fires."""
    fields = [Field("mode", MODE, (NODE,), "wait"), Field("last", MODE, (), "lost"), Field("fixed", BOOL)]
    model = Model("modes", fields)

    @model.action(n=NODE)
    def step(c: Context, n: Expr) -> None:
        c.when(c.mode[n].isin("wait", "active"), implies(c.fixed, c.last == "wait"))
        c.when(((c.mode[n] == "wait") & ~(c.last == "active")) | ((c.last == "lost") & ~(c.mode[n] == "wait")))
        c.mode[n] = ite(c.mode[n] == "wait", "active", c.last)
        c.last = c.mode[n]
        c.fixed = c.fixed & (c.mode[n] == "lost")

    @model.action(n=NODE)
    def reset(c: Context, n: Expr) -> None:
        c.when(
            ~c.mode[n].isin("wait", "active", "never"),
            ~(c.last == "never"),
            ite(c.last == "wait", c.mode[n] == "lost", ~c.fixed),
        )
        c.mode[n] = "wait"

    @model.action()
    def never(c: Context) -> None:
        c.when(c.fixed)
        c.last = "wait"

    return model


SMALL = (leases, deadlines, counts, rows, chain, modes)


class Formulas:
    """Truths about the fields of :func:`asked`, made at random."""

    def __init__(self, context: Context, seed: int) -> None:
        self.c, self.random = context, random.Random(seed)

    def truth(self, depth: int, *nodes: Expr) -> Expr:
        c, below = self.c, depth - 1

        def one_of(*makes: Callable[[], Expr]) -> Expr:
            return self.random.choice(makes)()

        def truth(*more: Expr) -> Expr:
            return self.truth(below, *more, *nodes)

        def node() -> Expr:
            return self.node(below, *nodes)

        if not depth:
            moments = ahead(c.t, SHORT), ahead(c.t), passed(c.u), outlasts(c.t), no_later(c.t, c.u), c.u == OFF
            return self.random.choice(moments)
        return one_of(
            lambda: truth() & truth(),
            lambda: truth() | truth(),
            lambda: ~truth(),
            lambda: implies(truth(), truth()),
            lambda: ite(truth(), truth(), truth()),
            lambda: some(NODE, truth),
            lambda: every(NODE, truth),
            lambda: lift(c.on[node()], BOOL),
            lambda: node() == node(),
            lambda: node() == self.random.choice([0, 1, None]),
            lambda: ite(truth(), c.n, c.n.next()) < c.n.next(),
            lambda: no_later(later(ite(truth(), c.t, c.u), SHORT), ite(truth(), c.t, after(LONG))),
        )

    def node(self, depth: int, *nodes: Expr) -> Expr:
        if depth <= 0:
            return lift(self.random.choice([self.c.one, *nodes]), Ref(NODE, none=True))
        inner = self.node(depth - 1, *nodes)
        chosen = ite(self.truth(depth - 1, *nodes), inner, self.random.choice([0, 1, None]))
        return lift(self.random.choice([inner, self.c.two[inner], chosen]), inner.type)


def asked() -> Model:
    """Many states, and whether random formulas hold in them: where one does, a step leads to a state that says so."""
    questions = 40
    heard = Enum("Heard", ("none", *(f"f{number}" for number in range(questions))))
    fields = [
        Field("one", Ref(NODE, none=True), (), None),
        Field("two", Ref(NODE), (NODE,)),
        Field("on", BOOL, (NODE,)),
        Field("n", Count(1)),
        Field("t", Timer(2)),
        Field("u", Timer(1)),
        Field("heard", heard, (), "none"),
    ]
    model = Model("asked", fields)
    context = model.state()
    quiet = context.heard == "none"

    @model.action(n=NODE)
    def change(c: Context, n: Expr) -> None:
        c.when(quiet)
        c.on[n], c.one = ~c.on[n], ite(c.on[n], None, n)

    @model.action(n=NODE)
    def turn(c: Context, n: Expr) -> None:
        c.when(quiet)
        c.two[n], c.n = ite(c.two[n] == 0, ite(passed(c.t), 1, c.two[0]), 0), c.n.next()

    @model.action()
    def arm(c: Context) -> None:
        c.when(quiet)
        c.t, c.u = later(c.t, SHORT), after(SHORT)

    model.add("tick", lambda c: c.when(quiet), {}, ticks=True)
    for number in range(questions):
        formula = Formulas(context, number).truth(4)

        def hear(c: Context, formula: Expr = formula, number: int = number) -> None:
            c.when(quiet, formula)
            c.heard = f"f{number}"

        model.add(f"hear.{number}", hear, {})
    return model


def together(*makes: Callable[[], Model]) -> Model:
    """Small models, one of which is begun: so that TLC starts once for all of them."""
    parts = [make() for make in makes]
    names = Enum("Part", ("none", *(part.name for part in parts)))
    model = Model(
        "together", [Field("part", names, (), "none"), *(it for part in parts for it in part.fields.values())]
    )
    for part in parts:

        def begin(c: Context, name: str = part.name) -> None:
            c.when(c.part == "none")
            c.part = name

        model.add(f"begin.{part.name}", begin, {})
        begun = model.state().part == part.name
        model.actions += [replace(it, name=f"{part.name}.{it.name}", guards=(begun, *it.guards)) for it in part.actions]
    return model


def odd() -> Model:
    """Names that TLA+ has other uses for, and two writes to one field."""
    fields = [Field("vars", BOOL, (NODE,)), Field("WF_x", Enum("Next", ("one", "two")), (), "one"), Field("Spec", BOOL)]
    model = Model("odd", fields)
    for name in ("a.b", "a_b", "a.b (lost)", "WF_vars", "TRUE", "n"):

        def write(c: Context, n: Expr, m: Expr) -> None:
            c.when(~(n == m))
            c.vars[n] = ~c.vars[m]
            c.WF_x = ite(c.vars[n], c.WF_x, "two")

        model.add(name, write, {"n": NODE, "m": NODE})
    last = model.actions[-1]
    swapped = [replace(it, index=last.params[1:], value=TRUE) for it in last.updates if it.field.domains]
    model.actions[-1] = replace(last, updates=(*last.updates, *swapped))
    model.invariants["always.on"] = model.state().Spec | TRUE
    return model


def choosing() -> Model:
    """What is chosen is a constant: for all of its indices the same."""
    policy = Enum("Policy", ("keep", "change"))
    chosen = [Field("policy", policy, (), "keep", chosen=True), Field("home", Ref(NODE), (SERVICE,), chosen=True)]
    model = Model("choosing", [*chosen, Field("at", Ref(NODE, none=True), (SERVICE,), None), Field("moves", Count(2))])

    @model.action(s=SERVICE)
    def place(c: Context, s: Expr) -> None:
        c.at[s] = c.home[s]

    @model.action(s=SERVICE, n=NODE)
    def move(c: Context, s: Expr, n: Expr) -> None:
        c.when(c.policy == "change", c.at[s] == c.home[s], ~(n == c.home[s]))
        c.at[s], c.moves = n, c.moves.next()

    c = model.state()
    model.invariants["Few moves"] = ~(c.moves == 2) | some(SERVICE, lambda s: c.at[s] == c.home[s])
    return model


def door(strong: bool) -> tuple[Model, list[Fair], list[LeadsTo]]:
    """Who waits at a door that opens and closes gets in only if fairness is strong."""
    place = Enum("Place", ("outside", "inside"))
    model = Model(
        "door", [Field("open", BOOL, (), False, "It opens and closes."), Field("at", place, (NODE,), "outside")]
    )

    def swing(c: Context) -> None:
        c.open = ~c.open

    @model.action(n=NODE)
    def enter(c: Context, n: Expr) -> None:
        c.when(c.open, c.at[n] == "outside")
        c.at[n] = "inside"

    model.add("door.swing", swing, {}, row="d.s")
    c, n = model.state(), Expr("param", ("n",), Ref(NODE))
    fair = [Fair("swings", ["door.swing"]), Fair("enters", ["enter"], strong)]
    return model, fair, [LeadsTo("Entered", c.at[n] == "outside", c.at[n] == "inside")]


# ---------------------------------------------------------------------------------------------------------- tests


def test_tlc_finds_the_same_states(tmp_path: Path) -> None:
    model = together(leases, deadlines, counts, rows, chain, modes, odd, asked)
    ground = Ground(model)
    found = states(ground)
    text, settings = module(model, "Together", ground), config(model, ground, ["TypeOK"])
    said, dump = enumerated(tmp_path, "Together", text, settings)
    assert "No error has been found" in said, said
    assert rows_of(dumped(dump)) == rows_of(map(ground.shown, found))


def test_a_truth_made_of_others_is_written_as_a_whole() -> None:
    """``x' = a /\\ b`` would say that x is a, and that b holds now."""
    model = Model("truths", [Field(name, BOOL) for name in "abcd"] + [Field("n", Ref(NODE, none=True), (), None)])

    def mix(c: Context, n: Expr) -> None:
        c.a = c.b & (c.c | ~c.d)
        c.b = c.n == n
        c.c = ~c.c

    model.add("mix", mix, {"n": NODE})
    model.add("flip", lambda c: setattr(c, "d", ~c.d), {})
    model.add("name", lambda c, n: setattr(c, "n", n), {"n": NODE})
    ground = Ground(model)
    assert against_tlc(model, ground, explore(ground, keep=False), brief=True).equal


def test_fields_are_chosen_for_a_run(tmp_path: Path) -> None:
    model, chosen = choosing(), {"policy": "change", "home": 0}
    ground = Ground(model)
    broken = [
        depth
        for state, depth in states(ground, **chosen).items()
        if not evaluate(ground.invariants["Few moves"], state)
    ]
    settings = config(model, ground, ["TypeOK", "Few moves"], chosen=chosen)
    answer = check(tmp_path, "Chosen", module(model, "Chosen", ground), settings)
    assert (answer.verdict, answer.violated, len(answer.trace)) == (Verdict.SAFETY, "Few_moves", min(broken))
    with pytest.raises(LangError, match="moves cannot be chosen"):
        config(model, ground, [], chosen={"moves": 1})


def test_the_explorer_conforms_to_tlc() -> None:
    model, chosen = choosing(), {"policy": "keep", "home": 1}
    ground = Ground(model)
    found = states(ground, **chosen)
    steps = sum(1 for state in found for _ in ground.successors(state))
    explored = Counts(len(found), 1 + steps, max(found.values()))
    conformance = against_tlc(model, ground, explored, chosen=chosen, brief=True)
    assert conformance.equal
    assert not replace(conformance, explorer=replace(explored, distinct=1)).equal


def test_what_is_chosen_is_not_written() -> None:
    model = choosing()

    @model.action()
    def choose(c: Context) -> None:
        c.policy = "keep"

    with pytest.raises(LangError, match="choose writes a field that is chosen"):
        module(model, "Choosing")


def test_a_model_in_which_nothing_happens_has_one_state() -> None:
    model = Model("still", [Field("lock", Ref(NODE, none=True), initial=None)])
    assert against_tlc(model, Ground(model), Counts(1, 1, 1), brief=True).equal


def test_what_stops_tlc_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    model = choosing()
    ground = Ground(model)
    settings = config(model, ground, ["Few moves"], chosen={"policy": "change"})
    monkeypatch.setattr("model_check.tla.config", lambda *_, **__: settings)
    with pytest.raises(TlcError, match="Few_moves does not hold in"):
        against_tlc(model, ground, Counts(1, 1, 1), brief=True)


def test_symmetry_counts_a_state_and_its_images_once(tmp_path: Path) -> None:
    model = leases()
    answer = check(tmp_path, "Leases", module(model, "Leases"), config(model, None, ["TypeOK"], symmetry=True))
    found = states(Ground(model))
    assert answer.distinct == len({frozenset({(lock, lease), ((1, 0, 2)[lock], lease)}) for lock, lease in found})
    with pytest.raises(LangError, match="symmetry"):
        config(model, None, [], symmetry=True, leads_to=[LeadsTo("never", TRUE, FALSE)])


@pytest.mark.parametrize(("strong", "verdict"), [(True, Verdict.OK), (False, Verdict.LIVENESS)])
def test_fairness_may_have_to_be_strong(tmp_path: Path, strong: bool, verdict: Verdict) -> None:
    model, fair, leads_to = door(strong)
    ground = Ground(model)
    text = module(model, "Door", ground, fair, leads_to)
    assert check(tmp_path, "Door", text, config(model, ground, [], fair=fair, leads_to=leads_to)).verdict is verdict
    with pytest.raises(LangError, match="no action knock"):
        module(model, "Door", ground, [Fair("knocks", ["knock"])])


def test_the_text_is_fit_to_be_read() -> None:
    model, fair, leads_to = door(strong=True)
    ground = Ground(model)
    assert module(model, "Door", ground, fair, leads_to) == DOOR
    assert config(model, ground, ["TypeOK"], fair=fair, leads_to=leads_to) == DOOR_SETTINGS


DOOR = r"""---- MODULE Door ----
\* Made from the model door by model_check.tla, not written by hand.
EXTENDS Naturals, TLC

CONSTANTS
  Node  \* a domain

VARIABLES
  open,  \* It opens and closes.
  at

vars == <<open, at>>

Place == {"outside", "inside"}

TypeOK ==
  /\ open \in BOOLEAN
  /\ at \in [Node -> Place]

Init ==
  /\ open = FALSE
  /\ at = [n \in Node |-> "outside"]

enter(n) ==
  /\ open
  /\ at[n] = "outside"
  /\ at' = [at EXCEPT ![n] = "inside"]
  /\ UNCHANGED <<open>>

door_swing ==  \* d.s
  /\ open' = ~open
  /\ UNCHANGED <<at>>

Next ==
  \/ \E n \in Node : enter(n)
  \/ door_swing

swings ==
  \/ door_swing

enters(n) ==
  \/ enter(n)

Spec ==
  /\ Init
  /\ [][Next]_vars
  /\ WF_vars(swings)
  /\ \A n \in Node : SF_vars(enters(n))

Entered ==
  \A n \in Node : (at[n] = "outside") ~> (at[n] = "inside")

Symmetry ==
  Permutations(Node)

====
"""

DOOR_SETTINGS = """\
CONSTANTS
  Node = {node0, node1}
SPECIFICATION
  Spec
INVARIANTS
  TypeOK
PROPERTIES
  Entered
"""


def test_long_formulas_become_lists() -> None:
    fields = [Field(f"a_field_with_a_long_name_{number}", BOOL, (NODE,)) for number in range(4)]
    model = Model("long", fields)
    c = model.state()

    def on(n: Expr, *numbers: int) -> Expr:
        return all_of(getattr(c, fields[number].name)[n] for number in numbers)

    model.invariants["Long"] = every(
        NODE, lambda n: implies(on(n, 0, 1) | ite(on(n, 1), on(n, 2, 3, 1), on(n, 0)), ~on(n, 0, 1, 2, 3))
    ) | some(NODE, lambda n: on(n, 2))
    assert LISTS in module(model, "Long")


LISTS = r"""Long ==
  \/ \A n \in Node :
       \/ (a_field_with_a_long_name_0[n] /\ a_field_with_a_long_name_1[n])
       \/ (IF a_field_with_a_long_name_1[n]
           THEN /\ a_field_with_a_long_name_2[n]
                /\ a_field_with_a_long_name_3[n]
                /\ a_field_with_a_long_name_1[n]
           ELSE a_field_with_a_long_name_0[n])
       => ~/\ a_field_with_a_long_name_0[n]
           /\ a_field_with_a_long_name_1[n]
           /\ a_field_with_a_long_name_2[n]
           /\ a_field_with_a_long_name_3[n]
  \/ (\E n \in Node : a_field_with_a_long_name_2[n])
"""
