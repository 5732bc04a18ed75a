"""What happens to a cluster, besides its daemons taking their steps.

Two things need no action of their own. A daemon is paused by not taking its next step: nothing obliges it to, and time
may pass meanwhile. And a node is cut off by its calls failing: any call may, at any time.
"""

from __future__ import annotations

from model_check.lang import OFF, TRUE, Context, Expr, Model, ahead, every, ite, outlasts, some
from model_check.world.fields import RELEASES, Dimensions, faulty
from model_check.world.lrm import relied_upon
from model_check.world.slices import Slice
from model_check.world.spells import Spells


class Environment:
    """Adds to a model what a slice lets happen."""

    def __init__(self, model: Model, dims: Dimensions, slice_: Slice, spells: Spells) -> None:
        self.model, self.dims, self.slice, self.spells = model, dims, slice_, spells

    def add_all(self) -> None:
        self.time()
        self.power()
        self.processes()
        self.services()
        self.operators()
        self.messages()
        self.spells.add(self.model)

    def time(self) -> None:
        def lapse(c: Context) -> None:
            c.when(every(self.dims.node, lambda n: ~c.armed[n] | outlasts(c.dog[n])))
            self.spells.time_passes(c)

        def reset(c: Context, n: Expr) -> None:
            c.when(c.armed[n], ~ahead(c.dog[n], self.dims.reset))
            self.die(c, n)

        if self.slice.has("lapse"):
            self.model.add("world.time_passes", lapse, {}, ticks=True)
            self.model.add("world.watchdog_resets", reset, {"n": self.dims.node})

    def power(self) -> None:
        def crashes(c: Context, n: Expr) -> None:
            c.when(self.spells.troubled(c, n))
            self.die(c, n)

        def is_off(c: Context, m: Expr, n: Expr) -> None:
            c.when(c.power[m, n] == "asked")
            self.die(c, n)
            c.power[m, n] = "off"

        if self.slice.has("crash"):
            self.model.add("world.node_crashes", crashes, {"n": self.dims.node})
        if self.slice.has("power"):
            self.model.add("world.node_is_verified_off", is_off, {"m": self.dims.manager, "n": self.dims.node})

    def die(self, c: Context, n: Expr) -> None:
        """Everything on the node ends; what it sent may still arrive. Later it boots, or it never does."""
        c.runs[n, :] = False
        c.worker[n, :] = "none"
        c.kind[n, :] = "start"
        c.current[n, :] = False
        c.outcome[n, :] = "none"
        c.halted[n, :] = False
        c.armed[n] = False
        c.doomed[n] = False
        c.dog[n] = OFF
        c.want[n] = "run"
        c.by_hand[:] = lambda s: c.by_hand[s] & ~(c.at[s] == n)
        self._forget(c, n)

    def _forget(self, c: Context, n: Expr) -> None:
        """The LRM's process begins anew."""
        c.lrm[n] = "wait_for_agent_lock"
        c.call[n] = "none"
        c.accepted[n] = False
        c.sent[n] = OFF
        c.mine[n] = False
        c.say[n] = "same"
        c.told[n] = False
        c.job[n] = None
        c.job_kind[n] = "start"
        c.job_current[n] = False

    def processes(self) -> None:
        node, manager = {"n": self.dims.node}, {"m": self.dims.manager}

        def lrm_dies(c: Context, n: Expr) -> None:
            c.when(~(c.lrm[n] == "exited"), self.spells.troubled(c, n))
            self._forget(c, n)
            c.doomed[n] = c.armed[n]
            c.outcome[n, :] = "none"
            c.current[n, :] = False

        def lrm_starts(c: Context, n: Expr) -> None:
            c.when(c.lrm[n] == "exited", ~(c.want[n] == "shutdown"))
            self._forget(c, n)
            c.doomed[n] = c.armed[n]
            c.want[n] = "run"

        def manager_dies(c: Context, m: Expr) -> None:
            c.when(self.spells.anywhere(c))
            c.crm[m] = "wait_for_quorum"
            c.granted[m] = False
            c.token[m] = False
            c.basis[m] = False
            c.lock_seen[m] = False
            c.plan[m] = "none"
            c.about[m] = None
            c.about_service[m] = None
            c.dest[m] = None
            c.read_gen[m] = 0
            c.power[m, :] = "none"
            c.untouched[m, :] = False

        self.model.add("world.lrm_starts", lrm_starts, node)
        if self.slice.has("lrm_dies"):
            self.model.add("world.lrm_dies", lrm_dies, node)
        if self.slice.has("manager_dies"):
            self.model.add("world.crm_dies", manager_dies, manager)

    def services(self) -> None:
        def ends(c: Context, n: Expr, s: Expr) -> None:
            c.when(c.runs[n, s])
            c.runs[n, s] = False

        def runs_already(c: Context, s: Expr) -> None:
            c.when(c.state[s] == "new", c.by_hand[s], ~some(self.dims.node, lambda n: c.runs[n, s]))
            c.runs[c.at[s], s] = True

        if self.slice.has("dies"):
            self.model.add("world.service_ends", ends, {"n": self.dims.node, "s": self.dims.service})
        if self.slice.has("unguarded"):
            self.model.add("world.service_runs_already", runs_already, {"s": self.dims.service})

    def operators(self) -> None:
        node, service = {"n": self.dims.node}, {"s": self.dims.service}

        def ask_to_leave(want: str):  # type: ignore[no-untyped-def]
            def ask(c: Context, n: Expr) -> None:
                c.when(c.want[n] == "run", ~(c.lrm[n] == "exited"), faulty(self.dims, self.slice, n))
                c.want[n] = want

            return ask

        def boots(c: Context, n: Expr) -> None:
            c.when(c.want[n] == "shutdown", c.lrm[n] == "exited")
            self.die(c, n)

        def asks_maintenance(c: Context, n: Expr) -> None:
            c.when(faulty(self.dims, self.slice, n))
            c.maintained[n] = ~c.maintained[n]

        def wants(state: str):  # type: ignore[no-untyped-def]
            def want(c: Context, s: Expr) -> None:
                c.when(~(c.wanted[s] == state))
                c.wanted[s] = state

            return want

        if self.slice.has("restart"):
            self.model.add("world.restart_asked", ask_to_leave("restart"), node)
        if self.slice.has("shutdown"):
            self.model.add("world.shutdown_asked", ask_to_leave("shutdown"), node)
            self.model.add("world.node_shuts_down", boots, node)
        if self.slice.has("maintenance"):
            self.model.add("world.maintenance_asked_or_ended", asks_maintenance, node)
        if self.slice.has("stop"):
            for state in ("started", "stopped", "disabled"):
                self.model.add(f"world.wanted_{state}", wants(state), service)

    def messages(self) -> None:
        """A request that its sender has given up may still be carried out, if what it was given still holds."""
        if not self.slice.has("late"):
            return

        def release_arrives(c: Context, n: Expr) -> None:
            c.when(c.late[n] == "release", c.late_valid[n] | ~c.late_checked[n])
            c.lock[n] = "free"
            c.lease[n] = OFF
            c.mine[n] = False
            c.lock_seen[:] = lambda m: c.lock_seen[m] & ~relied_upon(c, m, n)
            c.untouched[:, n] = False
            self._arrived(c, n)

        def word_arrives(c: Context, n: Expr) -> None:
            c.when(~c.late[n].isin("none", "release"), c.late_valid[n] | ~c.late_checked[n])
            asks = c.late[n].isin(*RELEASES)
            c.when(~asks | (c.gen[n] < self.slice.generations))
            mode: Expr = c.mode[n]
            for value in ("idle", "active", "restart", "shutdown", "maintenance", "disarm"):
                mode = ite(c.late[n] == value, value, mode)
            c.mode[n] = mode
            c.gen[n] = ite(asks, c.gen[n].next(), c.gen[n])
            self._arrived(c, n)

        def never_arrives(c: Context, n: Expr) -> None:
            c.when(~(c.late[n] == "none"))
            self._arrived(c, n)

        self.model.add("world.late_release_arrives", release_arrives, {"n": self.dims.node})
        self.model.add("world.late_word_arrives", word_arrives, {"n": self.dims.node})
        self.model.add("world.late_request_is_lost", never_arrives, {"n": self.dims.node})

    @staticmethod
    def _arrived(c: Context, n: Expr) -> None:
        c.late[n] = "none"
        c.late_valid[n] = False
        c.late_checked[n] = TRUE
