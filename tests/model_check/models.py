"""A small cluster of any size, for the tests of the explorer and for measuring it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from model_check.ground import Ground
from model_check.lang import (
    BOOL,
    OFF,
    TRUE,
    Context,
    Domain,
    Duration,
    Enum,
    Expr,
    Field,
    Model,
    Ref,
    Timer,
    after,
    ahead,
    all_of,
    every,
    implies,
    ite,
    outlasts,
    passed,
    some,
)

LRM = Enum("Lrm", ("wait", "active", "lost"))
OWNER = Enum("Owner", ("none", "lrm", "crm"))
RECORD = Enum("Record", ("started", "fence", "recovery"))


def at_least(number: int, domain: Domain, holds: Callable[[Expr], Expr], *others: Expr) -> Expr:
    """At least so many elements of a domain, others than the ones given."""
    if number <= 0:
        return TRUE

    def one(element: Expr) -> Expr:
        different = holds(element)
        for other in others:
            different = different & (element != other)
        return different & at_least(number - 1, domain, holds, *others, element)

    return some(domain, one)


class Cluster:
    """A small cluster: agents with a lock and a watchdog each, and a master that recovers what a dead node ran.

    With 3 nodes and 2 services, started from every placement of the services, it has 1,806,798 states.
    """

    def __init__(self, nodes: int = 3, services: int = 2, lock: int = 4, watchdog: int = 2, master: int = 2) -> None:
        self.node, self.service = Domain("Node", nodes), Domain("Service", services)
        self.lock, self.watchdog = Duration("LOCK", lock), Duration("WATCHDOG", watchdog)
        self.master_lock = Duration("MASTER", master)
        node, service = (self.node,), (self.service,)
        self.model = Model(
            "cluster",
            (
                Field("up", BOOL, node, True),
                Field("connected", BOOL, node, True),
                Field("paused", BOOL, node),
                Field("lrm", LRM, node, "wait"),
                Field("owner", OWNER, node, "none"),
                Field("lock", Timer(lock), node),
                Field("fresh", BOOL, node),
                Field("dog", Timer(watchdog), node),
                Field("master", Ref(self.node, none=True), (), None),
                Field("lease", Timer(master)),
                Field("record", RECORD, service, "started"),
                Field("at", Ref(self.node), service),
                Field("runs", BOOL, (self.service, self.node)),
            ),
        )
        self._time()
        self._agent()
        self._manager()
        self._world()
        self._invariants()

    # -------------------------------------------------------------------------------------------------------- truths

    def online(self, c: Context, n: Expr) -> Expr:
        return c.up[n] & c.connected[n]  # type: ignore[no-any-return]

    def quorate(self, c: Context, n: Expr) -> Expr:
        return self.online(c, n) & at_least(self.node.size // 2 + 1, self.node, lambda m: self.online(c, m))

    def alive(self, c: Context, n: Expr) -> Expr:
        return c.up[n] & ~c.paused[n]  # type: ignore[no-any-return]

    def marked(self, c: Context, n: Expr) -> Expr:
        return some(self.service, lambda s: (c.at[s] == n) & (c.record[s] == "fence"))

    def may_fail(self, c: Context, n: Expr) -> Expr:
        return ~some(self.node, lambda m: (m != n) & ~(self.online(c, m) & ~c.paused[m]))

    def is_master(self, c: Context, n: Expr) -> Expr:
        return all_of((c.master == n, self.alive(c, n), self.quorate(c, n)))

    # --------------------------------------------------------------------------------------------------------- steps

    def _time(self) -> None:
        def tick(c: Context) -> None:
            def survives(n: Expr) -> Expr:
                return passed(c.dog[n]) | outlasts(c.dog[n])

            c.owner[:] = lambda n: ite(outlasts(c.lock[n]), c.owner[n], "none")
            c.master = ite(outlasts(c.lease), c.master, None)
            c.up[:] = lambda n: c.up[n] & survives(n)
            c.lrm[:] = lambda n: ite(survives(n), c.lrm[n], "wait")
            c.fresh[:] = lambda n: c.fresh[n] & survives(n)
            c.paused[:] = lambda n: c.paused[n] & survives(n)
            c.runs[:, :] = lambda s, n: c.runs[s, n] & survives(n)

        self.model.add("tick", tick, {}, ticks=True)

    def _agent(self) -> None:
        model, node, service = self.model, self.node, self.service

        @model.action(n=node)
        def acquire(c: Context, n: Expr) -> None:
            c.when(self.alive(c, n), self.quorate(c, n), c.lrm[n] == "wait", c.owner[n] != "crm")
            c.when(~self.marked(c, n), some(service, lambda s: c.at[s] == n))
            c.owner[n], c.lock[n], c.lrm[n], c.dog[n] = "lrm", after(self.lock), "active", after(self.watchdog)

        @model.action(n=node)
        def renew(c: Context, n: Expr) -> None:
            c.when(self.alive(c, n), self.quorate(c, n), c.lrm[n] == "active", c.owner[n] == "lrm")
            c.when(~self.marked(c, n))
            c.lock[n], c.fresh[n] = after(self.lock), True

        @model.action(n=node)
        def feed(c: Context, n: Expr) -> None:
            c.when(self.alive(c, n), c.lrm[n] == "active", c.fresh[n])
            c.dog[n], c.fresh[n] = after(self.watchdog), False

        @model.action(n=node)
        def lose(c: Context, n: Expr) -> None:
            c.when(self.alive(c, n), c.lrm[n] == "active")
            c.when(~self.quorate(c, n) | (c.owner[n] != "lrm") | self.marked(c, n))
            c.lrm[n], c.fresh[n] = "lost", False

        @model.action(n=node)
        def regain(c: Context, n: Expr) -> None:
            c.when(self.alive(c, n), self.quorate(c, n), c.lrm[n] == "lost", c.owner[n] == "lrm")
            c.when(~self.marked(c, n))
            c.lrm[n] = "active"

        @model.action(n=node)
        def give_back(c: Context, n: Expr) -> None:
            c.when(self.alive(c, n), self.quorate(c, n), c.lrm[n] == "active", c.owner[n] == "lrm")
            c.when(every(service, lambda s: (c.at[s] != n) & ~c.runs[s, n]))
            c.lrm[n], c.dog[n], c.owner[n], c.lock[n], c.fresh[n] = "wait", OFF, "none", OFF, False

        @model.action(s=service, n=node)
        def start(c: Context, s: Expr, n: Expr) -> None:
            c.when(self.alive(c, n), self.quorate(c, n), c.lrm[n] == "active")
            c.when(c.record[s] == "started", c.at[s] == n, ~c.runs[s, n])
            c.runs[s, n] = True

        @model.action(s=service, n=node)
        def end(c: Context, s: Expr, n: Expr) -> None:
            c.when(c.runs[s, n])
            c.runs[s, n] = False

    def _manager(self) -> None:
        model, node, service = self.model, self.node, self.service

        @model.action(m=node)
        def elect(c: Context, m: Expr) -> None:
            c.when(self.alive(c, m), self.quorate(c, m), c.master == None)  # noqa: E711 - it is symbolic
            c.master, c.lease = m, after(self.master_lock)

        @model.action(m=node)
        def stay(c: Context, m: Expr) -> None:
            c.when(self.is_master(c, m))
            c.lease = after(self.master_lock)

        @model.action(m=node, n=node)
        def mark(c: Context, m: Expr, n: Expr) -> None:
            def here(s: Expr) -> Expr:
                return all_of((c.record[s] == "started", c.at[s] == n))

            c.when(self.is_master(c, m), ~self.online(c, n), some(service, here))
            c.record[:] = lambda s: ite(here(s), "fence", c.record[s])

        @model.action(m=node, n=node)
        def fence(c: Context, m: Expr, n: Expr) -> None:
            c.when(self.is_master(c, m), self.marked(c, n), c.owner[n] != "lrm")
            c.owner[n], c.lock[n] = "crm", after(self.lock)
            c.record[:] = lambda s: ite((c.record[s] == "fence") & (c.at[s] == n), "recovery", c.record[s])

        @model.action(m=node, s=service, t=node)
        def recover(c: Context, m: Expr, s: Expr, t: Expr) -> None:
            c.when(self.is_master(c, m), c.record[s] == "recovery", self.online(c, t), ~self.marked(c, t))
            c.record[s], c.at[s] = "started", t

    def _world(self) -> None:
        model, node = self.model, self.node

        @model.action(n=node)
        def cut(c: Context, n: Expr) -> None:
            c.when(c.connected[n], self.may_fail(c, n))
            c.connected[n] = False

        @model.action(n=node)
        def heal(c: Context, n: Expr) -> None:
            c.when(~c.connected[n])
            c.connected[n] = True

        @model.action(n=node)
        def crash(c: Context, n: Expr) -> None:
            c.when(c.up[n], self.may_fail(c, n))
            c.up[n], c.paused[n], c.lrm[n], c.fresh[n], c.dog[n] = False, False, "wait", False, OFF
            c.runs[:, n] = False

        @model.action(n=node)
        def boot(c: Context, n: Expr) -> None:
            c.when(~c.up[n])
            c.up[n] = True

        @model.action(n=node)
        def pause(c: Context, n: Expr) -> None:
            c.when(self.alive(c, n), self.may_fail(c, n))
            c.paused[n] = True

        @model.action(n=node)
        def resume(c: Context, n: Expr) -> None:
            c.when(c.paused[n])
            c.paused[n] = False

    def _invariants(self) -> None:
        node, service, c = self.node, self.service, self.model.state()
        self.model.invariants.update(
            exclusive=every(service, lambda s: ~at_least(2, node, lambda n: c.runs[s, n])),
            covered=every(service, lambda s: every(node, lambda n: implies(c.runs[s, n], c.up[n] & ahead(c.dog[n])))),
            fence_safe=every(node, lambda n: implies(c.owner[n] == "crm", passed(c.dog[n]))),
            recover_safe=every(
                service, lambda s: implies(c.record[s] == "recovery", every(node, lambda n: ~c.runs[s, n]))
            ),
        )


SOUND = Cluster(3, 1, lock=2, watchdog=1, master=1)
UNSOUND = Cluster(3, 1, lock=2, watchdog=2, master=1)
"""The master may take a node's lock before the watchdog has reset the node."""


def starts(cluster: Cluster, ground: Ground) -> list[tuple[int, ...]]:
    """Every placement of the services, packed."""
    number = {slot.name: slot.number for slot in ground.slots}
    states = []
    for places in product(range(cluster.node.size), repeat=cluster.service.size):
        state = list(ground.initial)
        for service, place in enumerate(places):
            state[number[f"at[{service}]"]] = place
        states.append(ground.pack(tuple(state)))
    return states


def sometimes(cluster: Cluster, ground: Ground) -> dict[str, Expr]:
    """One thing that comes about, and one that does not."""
    c = cluster.model.state()
    return {
        "recovers": ground.expression(some(cluster.service, lambda s: c.record[s] == "recovery")),
        "runs twice": ground.expression(~cluster.model.invariants["exclusive"]),
    }
