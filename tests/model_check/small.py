"""Small models for the tests of the prover. Each takes the sizes of its domains, for the explorer."""

from __future__ import annotations

from model_check.lang import (
    BOOL,
    FALSE,
    OFF,
    Context,
    Count,
    Domain,
    Duration,
    Enum,
    Expr,
    Field,
    Model,
    Premise,
    Ref,
    Timer,
    after,
    every,
    implies,
    later,
    no_later,
    outlasts,
    passed,
    some,
)


def owners(nodes: int = 2, *, aware: bool = True) -> Model:
    """Who has the one key may own. ``aware``: the key is only taken from its nail."""
    node = Domain("Node", nodes)
    model = Model("owners", [Field("key", Ref(node, none=True), (), None), Field("owns", BOOL, (node,))])

    @model.action(n=node)
    def take(c: Context, n: Expr) -> None:
        if aware:
            c.when(c.key == None)  # noqa: E711 - symbolic
        c.key = n

    @model.action(n=node)
    def own(c: Context, n: Expr) -> None:
        c.when(c.key == n)
        c.owns[n] = True

    @model.action(n=node)
    def give_back(c: Context, n: Expr) -> None:
        c.when(c.key == n)
        c.owns[n] = False
        c.key = None

    c = model.state()
    model.invariants["sole"] = every(node, lambda n: every(node, lambda k: implies(c.owns[n] & c.owns[k], n == k)))
    model.invariants["key_first"] = every(node, lambda n: implies(c.owns[n], c.key == n))
    return model


def moves(nodes: int = 2, services: int = 1) -> Model:
    """Services that are placed, run and moved by whoever leads; numbers say who does."""
    node, service = Domain("Node", nodes), Domain("Service", services)
    state = Enum("State", ("off", "on", "moving"))
    model = Model(
        "moves",
        [
            Field("state", state, (service,), "off"),
            Field("at", Ref(node), (service,)),
            Field("goal", Ref(node, none=True), (service,), None),
            Field("runs", BOOL, (node, service)),
            Field("epoch", Count(3), (), 1),
            Field("mandate", Count(3), (node,)),
        ],
    )

    @model.action(n=node)
    def lead(c: Context, n: Expr) -> None:
        c.when(c.epoch < 3)  # so that no number ends when it is explored
        c.mandate[n], c.epoch = c.epoch.next(), c.epoch.next()

    @model.action(m=node, s=service, n=node)
    def place(c: Context, m: Expr, s: Expr, n: Expr) -> None:
        c.when(c.mandate[m] == c.epoch, c.state[s] == "off")
        c.at[s], c.state[s] = n, "on"

    @model.action(m=node, s=service, n=node)
    def move(c: Context, m: Expr, s: Expr, n: Expr) -> None:
        c.when(c.mandate[m] == c.epoch, c.state[s] == "on")
        c.goal[s], c.state[s] = n, "moving"

    @model.action(s=service)
    def moved(c: Context, s: Expr) -> None:
        c.when(c.state[s] == "moving", ~some(node, lambda n: c.runs[n, s]))
        c.at[s], c.goal[s], c.state[s] = c.goal[s], None, "on"

    @model.action(n=node, s=service)
    def start(c: Context, n: Expr, s: Expr) -> None:
        c.when(c.state[s] == "on", c.at[s] == n)
        c.runs[n, s] = True

    @model.action(n=node)
    def crash(c: Context, n: Expr) -> None:
        c.runs[n, :] = False

    c = model.state()

    def alone(n: Expr, k: Expr, s: Expr) -> Expr:
        return implies(c.runs[n, s] & c.runs[k, s], n == k)

    model.invariants["sole"] = every(node, lambda n: every(node, lambda k: every(service, lambda s: alone(n, k, s))))
    model.invariants["runs_at"] = every(node, lambda n: every(service, lambda s: implies(c.runs[n, s], c.at[s] == n)))
    model.invariants["off_idle"] = every(
        service, lambda s: implies(c.state[s] == "off", ~some(node, lambda n: c.runs[n, s]))
    )
    model.invariants["going"] = every(service, lambda s: implies(c.state[s] == "moving", ~(c.goal[s] == None)))  # noqa: E711
    model.invariants["mandates"] = every(node, lambda n: ~(c.epoch < c.mandate[n]))
    model.invariants["one_leads"] = every(
        node, lambda n: every(node, lambda k: (n == k) | ~(c.mandate[n] == c.epoch) | ~(c.mandate[k] == c.epoch))
    )
    return model


def guarded(nodes: int = 2, *, longer: bool = True, stops: bool = True, bounded: bool = True) -> Model:
    """A node works while it has the lock, and renews that before it feeds its watchdog.

    ``longer``: the lock lives as long as two watchdogs. ``stops``: who lets go of its watchdog stops. ``bounded``: time
    passes no deadline of a watchdog, because it resets the node.
    """
    node, lock, dog = Domain("Node", nodes), Duration("LOCK", 4 if longer else 2), Duration("DOG", 2)
    model = Model(
        "guarded",
        [
            Field("works", BOOL, (node,)),
            Field("renewed", BOOL, (node,)),
            Field("dog", Timer(2), (node,)),
            Field("owner", Ref(node, none=True), (), None),
            Field("until", Timer(4)),
        ],
    )
    if longer:
        model.premises.append(Premise((lock,), (dog, dog)))

    @model.action(n=node)
    def take(c: Context, n: Expr) -> None:
        c.when((c.owner == None) | passed(c.until), ~c.works[n])  # noqa: E711 - symbolic
        c.owner, c.until = n, after(lock)
        c.works[n], c.renewed[n], c.dog[n] = True, False, after(dog)

    @model.action(n=node)
    def renew(c: Context, n: Expr) -> None:
        c.when(c.works[n], c.owner == n)
        c.until, c.renewed[n] = after(lock), True

    @model.action(n=node)
    def feed(c: Context, n: Expr) -> None:
        c.when(c.works[n], c.renewed[n])
        c.dog[n], c.renewed[n] = after(dog), False

    @model.action(n=node)
    def rest(c: Context, n: Expr) -> None:
        c.when(c.works[n])
        c.works[n] = FALSE if stops else c.works[n]
        c.renewed[n], c.dog[n] = False, OFF

    def tick(c: Context) -> None:
        if bounded:
            c.when(every(node, lambda n: implies(c.works[n], outlasts(c.dog[n]))))

    model.add("tick", tick, {}, ticks=True)
    c = model.state()
    model.invariants["alone"] = every(node, lambda n: every(node, lambda k: implies(c.works[n] & c.works[k], n == k)))
    model.invariants["held"] = every(node, lambda n: implies(c.works[n], (c.owner == n) & no_later(c.dog[n], c.until)))
    model.invariants["watched"] = every(node, lambda n: implies(c.works[n], ~passed(c.dog[n])))
    model.invariants["soon"] = every(node, lambda n: implies(c.works[n], no_later(c.dog[n], after(dog))))
    model.invariants["renewed"] = every(
        node, lambda n: implies(c.works[n] & c.renewed[n], no_later(later(c.dog[n], dog), c.until))
    )
    return model
