"""Seeded trouble, and the quiet afterwards in which everything must come right.

Each fault has randomness of its own, so that leaving one out changes no other: when it happens, what it is and how long
it lasts stay as they were. Therefore a run can be repeated with some of its faults only (``keep``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

from hacore.manager.documents import SETTINGS, SHUTDOWN_POLICIES, STATUS, Resource
from hacore.protocol.locks import agent_lock
from hacore.protocol.requests import Request, Transact
from hacore.sim.operators import Operator
from hacore.sim.power import fencing_of
from hacore.sim.processes import BOOT_S, Process
from hacore.sim.promises import Unsettled, Violation
from hacore.sim.world import World

CHOSEN = 0.45
"""How probable it is that a kind of trouble occurs in a run at all."""
PAUSE_RATES = (0, 0, 0.0005, 0.002, 0.01)
"""How probable a pause is before each request; one of these holds for a run."""
KILL_RATES = (0, 0, 0, 0.0005)
"""How probable it is that the process is killed before a request."""
GAPS_S = (0.7, 2.0, 5.0)
"""The mean time between one trouble and the next."""
SLOW_RATES = (0, 0.02, 0.2)
"""How probable it is that a call to the store takes nearly as long as it may."""
ON_AGAIN_S = 20.0
"""Within this time somebody switches on again what a fencing device has switched off."""
KINDS = ("crm", "lrm", "mux")
SERVICES = {"ct:1": "n1", "ct:2": "n2", "ct:3": "n1", "ct:4": "n3"}


def spread(services: int, nodes: int) -> dict[str, str]:
    """So many services, every second one of a type that can move while it runs, in turn on so many nodes."""
    return {f"{'vm' if i % 2 else 'ct'}:{i}": f"n{i % nodes + 1}" for i in range(1, services + 1)}


@dataclass(frozen=True)
class Fault:
    """Something that was done to a cluster: ``name`` is the same in every run of the seed in which it can happen."""

    name: str
    at_s: float
    text: str


@dataclass(slots=True)
class Life:
    """One process. ``name`` is the same in every run of the seed: its node, its kind, and how many there were."""

    name: str
    rng: Random
    """Decides what happens before each of its requests."""
    requests: int = 0


class Seed:
    """A cluster, trouble, quiet; the same arguments give the same run, event by event. ``kinds``: see World.

    ``keep``: nothing is done but these faults, by their names.

    In every second seed the nodes have fencing devices, which work, fail or hang.
    """

    def __init__(
        self,
        seed: int,
        services: Mapping[str, str] = SERVICES,
        duration_s: float = 40.0,
        only: Sequence[str] = (),
        keep: Collection[str] | None = None,
        **kinds: Any,
    ) -> None:
        self.services, self.duration_s = services, duration_s
        self.world = World(seed, **kinds)
        self.world.careful_arrivals = True
        self.chaos = Chaos(self.world, only, keep)

    def run(self, *, settle: bool = True) -> World:
        """Raises Violation or Unsettled."""
        world = self.world
        try:
            fencing = {"fencing": fencing_of(world.nodes)} if world.seed % 2 else {}
            world.begin(self.services, shutdown_policy=world.rng.choice(SHUTDOWN_POLICIES), **fencing)
            world.run(3.0)
            self.chaos.begin(self.duration_s)
            world.run(self.duration_s)
            if settle:
                self.chaos.settle()
        except (Violation, Unsettled) as problem:
            problem.add_note(world.story())
            raise
        return world


def _decides(request: Transact) -> bool:
    """Whether it is a master's: it writes the status, or takes a node's lock."""
    return any(key == STATUS or key.startswith(agent_lock("")) for key in request.writes)


class Chaos:
    """Random trouble of a random selection of kinds, everything from the world's seed."""

    def __init__(self, world: World, only: Sequence[str] = (), keep: Collection[str] | None = None) -> None:
        self.world, self.rng, self.operator = world, Random(f"{world.seed}"), Operator(world)
        self.keep, self.done = keep, list[Fault]()
        self.deeds: dict[str, Callable[[], str]] = {
            "pause": self._pause,
            "pause_node": self._pause_node,
            "pause_writer": self._pause_writer,
            "kill": self._kill,
            "cut": self._cut,
            "deaf": self._deaf,
            "outage": self._outage,
            "power": self._power,
            "end": self._end,
            "update": self._update,
            "failing": self._failing,
            "stuck": self._stuck,
            "hanging": self._hanging,
            "crash": self._crash,
            "migrate": lambda: self._command("migrate"),
            "relocate": lambda: self._command("relocate"),
            "stop": self._stop,
            "request": self._request,
            "maintenance": self._maintenance,
            "disarm": self._disarm,
            "policy": self._policy,
            "configure": self._configure,
        }
        self.chosen = list(only) or [name for name in self.deeds if self.rng.random() < CHOSEN] or list(self.deeds)
        self.pause_rate = self.rng.choice(PAUSE_RATES)
        self.kill_rate = self.rng.choice(KILL_RATES)
        self.gap_s = self.rng.choice(GAPS_S)
        self.until_s = 0.0
        self._lives: dict[int, Life] = {}
        """By a process's number."""
        self._begins: Counter[str] = Counter()
        self._trap_s = 0.0
        """For so long the next CRM that is about to write is paused."""
        world.slow = self.rng.choice(SLOW_RATES)
        world.devices.power.on_again_s = ON_AGAIN_S

    def begin(self, duration_s: float) -> None:
        self.until_s = self.world.now + duration_s
        self.world.interfere = self._interfere
        self._next(1)

    def _next(self, number: int) -> None:
        rng = Random(f"{self.world.seed} {number}")

        def act() -> None:
            if self.world.now < self.until_s:
                self._do(str(number), rng, self.deeds[rng.choice(self.chosen)])
                self._next(number + 1)

        self.world.after(rng.expovariate(1 / self.gap_s), act)

    def _do(self, name: str, rng: Random, deed: Callable[[], str]) -> None:
        if self.keep is None or name in self.keep:
            self.rng, at = rng, len(self.done)
            self.done.append(Fault(name, self.world.now, ""))
            text = deed()
            self.done[at] = replace(self.done[at], text=text)
            self.world.note("fault", text or "(nothing to be done)")

    def _interfere(self, process: Process, request: Request[Any]) -> None:
        root = process.root
        if self._trap_s and root.kind == "crm" and isinstance(request, Transact) and _decides(request):
            self.world.pause(root, self._trap_s)
            self._trap_s = 0.0
        life = self._lives.get(root.number)
        if life is None:
            life = self._lives[root.number] = self._begun(f"{root.node.name}/{root.kind}")
        life.requests += 1
        luck = life.rng.random()
        if luck < self.pause_rate + self.kill_rate:
            name = f"{life.name} {life.requests}"
            deed = self._pause_it if luck < self.pause_rate else self._kill_it
            self._do(name, Random(f"{self.world.seed} {name}"), partial(deed, root))

    def _begun(self, actor: str) -> Life:
        self._begins[actor] += 1
        name = f"{actor} {self._begins[actor]}"
        return Life(name, Random(f"{self.world.seed} {name}"))

    def _pause_it(self, process: Process | None) -> str:
        if not process:
            return ""
        duration_s = self._pause_s()
        self.world.pause(process, duration_s)
        return f"{process} is paused for {duration_s:.2f} s"

    def _kill_it(self, process: Process | None) -> str:
        if process:
            self.world.kill(process)
        return f"{process} is killed" if process else ""

    def _pause_s(self) -> float:
        return self.rng.choice([self.rng.uniform(0, 1), self.rng.uniform(0, 6), self.rng.uniform(0, 20)])

    def _node(self) -> str:
        return self.rng.choice(list(self.world.nodes))

    def _sid(self) -> str:
        return self.rng.choice([*self.operator.resources, "vm:none"])

    def _process(self) -> Process | None:
        return self.world.nodes[self._node()].daemons.get(self.rng.choice(KINDS))

    def _pause(self) -> str:
        return self._pause_it(self._process())

    def _pause_node(self) -> str:
        name, duration_s = self._node(), self._pause_s()
        for process in list(self.world.nodes[name].daemons.values()):
            self.world.pause(process, duration_s)
        return f"all daemons of {name} are paused for {duration_s:.2f} s"

    def _pause_writer(self) -> str:
        self._trap_s = self._pause_s()
        return f"the next CRM that is about to write or to fence is paused for {self._trap_s:.2f} s"

    def _kill(self) -> str:
        return self._kill_it(self._process())

    def _while_s(self) -> float:
        return self.rng.choice([1.0, 4.0, 15.0]) * self.rng.random()

    def _cut(self) -> str:
        name, duration_s = self._node(), self._while_s()
        self.world.cut(name)
        self.world.after(duration_s, lambda: self.world.heal(name))
        return f"{name} is cut off for {duration_s:.2f} s"

    def _deaf(self) -> str:
        """A partition in one direction: what the node sends arrives, and it hears no answer."""
        node, duration_s = self.world.nodes[self._node()], self._while_s()
        node.deaf = True
        self.world.disturb(node, duration_s)
        self.world.after(duration_s, lambda: setattr(node, "deaf", False))
        return f"{node.name} hears no answer of the store for {duration_s:.2f} s"

    def _outage(self) -> str:
        duration_s = self._while_s()
        for name in self.world.nodes:
            self.world.cut(name)
            self.world.after(duration_s, partial(self.world.heal, name))
        return f"the store hangs for {duration_s:.2f} s"

    def _power(self) -> str:
        name, off_s = self._node(), self.rng.uniform(0.5, 20)
        self.world.disturb(self.world.nodes[name])
        self.world.power_off(name, "power")
        self.world.after(off_s, lambda: self.world.boot(name))
        return f"{name} loses its power for {off_s:.2f} s"

    def _end(self) -> str:
        name, how = self._node(), self.rng.choice(["shutdown", "reboot"])
        self.world.end(name, how)
        return f"{name}: {how}"

    def _update(self) -> str:
        name, kind = self._node(), self.rng.choice(["lrm", "lrm", "crm"])
        self.world.ask(self.world.nodes[name], kind, "restart")
        return f"a package update restarts {name}'s {kind}"

    def _failing(self) -> str:
        return self._for_a_while(self.world.services.failing, "cannot be started")

    def _stuck(self) -> str:
        return self._for_a_while(self.world.services.stuck, "can neither be stopped nor moved")

    def _hanging(self) -> str:
        return self._for_a_while(self.world.services.hanging, "hangs when it is started, stopped or moved")

    def _for_a_while(self, troubled: set[str], how: str) -> str:
        sid, duration_s = self._sid(), self.rng.uniform(1, 20)
        troubled.add(sid)
        self.world.after(duration_s, lambda: troubled.discard(sid))
        return f"{sid} {how} for {duration_s:.2f} s"

    def _crash(self) -> str:
        """A service ends by itself."""
        node = self.world.nodes[self._node()]
        if not node.running:
            return ""
        sid = self.rng.choice(sorted(node.running))
        node.running.discard(sid)
        return f"{sid} crashes on {node.name}"

    def _operator(self, text: str) -> str:
        self.operator.command(text)
        return f"an operator says {text}"

    def _command(self, verb: str) -> str:
        return self._operator(f"{verb} {self._sid()} {self._node()}")

    def _stop(self) -> str:
        return self._operator(f"stop {self._sid()} 5")

    def _request(self) -> str:
        sid, state = self._sid(), self.rng.choice(["started", "started", "stopped", "disabled"])
        self.operator.request(sid, state)
        return f"an operator requests {sid} {state}"

    def _maintenance(self) -> str:
        return self._operator(f"{self.rng.choice(['enable', 'disable'])}-node-maintenance {self._node()}")

    def _disarm(self) -> str:
        return self._operator(self.rng.choice(["disarm-ha freeze", "disarm-ha ignore", "arm-ha", "arm-ha"]))

    def _policy(self) -> str:
        policy, settings = self.rng.choice(SHUTDOWN_POLICIES), self.world.store[SETTINGS].value or {}
        self.world.write(SETTINGS, {**settings, "shutdown_policy": policy})
        return f"an operator sets the shutdown policy {policy}"

    def _configure(self) -> str:
        """Add a service, or remove one that is stopped (what is removed while it may run is nobody's business)."""
        sid, node, restarts = self.rng.choice(["ct:8", "ct:9"]), self._node(), self.rng.randint(0, 2)
        if sid not in self.operator.resources:
            if not self.operator.where(sid) and not self.operator.state(sid):
                self.operator.configure(sid, Resource(node, max_restart=restarts))
                return f"an operator adds {sid} on {node}"
        elif self.operator.state(sid) == "stopped" and not self.operator.where(sid):
            self.operator.configure(sid, None)
            return f"an operator removes {sid}"
        return ""

    # ------------------------------------------------------------------------------------------------ the quiet

    def quiet_s(self) -> float:
        """By when everything must be right: what was begun ends, then three failovers in a row at the most."""
        timing = self.world.timing
        ending = 30.0 + timing.watchdog_s + timing.reset_s + BOOT_S
        return ending + 3 * timing.failover_with_master_s + 4 * timing.monitor_s

    def settle(self) -> None:
        """No more trouble; an operator puts right what only an operator can. Raises Unsettled if it does not settle."""
        world = self.world
        world.interfere = lambda _, __: None
        self._trap_s = 0.0
        world.services.failing.clear()
        world.services.stuck.clear()
        world.services.hanging.clear()
        world.slow = 0.0
        world.note("", "---- quiet ----")
        for node in world.nodes.values():
            world.heal(node.name)
            node.deaf = False
            for process in list(node.daemons.values()):
                world.resume(process)
        self.world.write(SETTINGS, {})
        self._put_right()
        if not world.run(self.quiet_s(), self._calm):
            raise Unsettled(f"{self._unsettled()} after {self.quiet_s():.0f} quiet seconds (seed {world.seed})")
        world.run(2 * world.timing.failover_with_master_s)
        if self._unsettled():
            raise Unsettled(f"{self._unsettled()}, though all was well before (seed {world.seed})")

    def _calm(self) -> bool:
        return not self._unsettled()

    def _put_right(self) -> None:
        """Every few seconds: boot what is off, arm, end maintenance, request started; errors through disabled, anew."""
        operator = self.operator
        for name, node in self.world.nodes.items():
            if not node.powered:
                self.world.boot(name)
        if operator.status.get("disarm"):
            operator.command("arm-ha")
        for name in operator.status.get("maintenance", []):
            operator.command(f"disable-node-maintenance {name}")
        for sid, resource in operator.resources.items():
            state = operator.state(sid)
            wanted = "started" if state != "error" else "stopped" if resource.state == "disabled" else "disabled"
            passing = resource.state == "disabled" and state != "stopped" and wanted == "started"
            if resource.state != wanted and not passing:
                operator.request(sid, wanted)
        self.world.after(5.0, self._put_right)

    def _unsettled(self) -> str:
        operator = self.operator
        for sid, resource in operator.resources.items():
            if resource.state == "started" and not operator.runs(sid):
                return f"{sid} is {operator.state(sid) or 'unknown'} and runs on {operator.where(sid)}"
            if resource.state != "started":
                return f"{sid} is requested {resource.state}"
        states = operator.status.get("nodes", {})
        strange = {name: state for name, state in states.items() if state != "online"}
        return f"node states {strange}" if strange or not states else ""
