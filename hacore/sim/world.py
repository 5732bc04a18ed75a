"""A small deterministic world for the real daemons: simulated hardware, simulated time, seeded scheduling.

What is simulated, and how hard it is on the daemons:

- *Time* advances from event to event. Each node's clock starts anywhere at each boot and runs wrong by up to ``drift``.
- *The store* is linearizable. A call takes a random time each way; a cut node's calls answer Unavailable after
  ``call_timeout_s``, and a transaction that was on its way may have happened, may happen seconds later, or never.
- *Processes* are generators of requests. Before any request a process may be delayed, paused (SIGSTOP) or killed; what
  it asked for before goes on without it (a command that starts a service, a transaction on its way).
- *The hardware watchdog* resets its node ``hardware_s`` after it was last fed. What an earlier multiplexer left armed
  cannot be opened again in this boot.
- *Services* are sets of running ids, one set a node. Only workers start them.

:class:`hacore.sim.promises.Promises` looks at every event whether what must hold does.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from hacore.daemons.crm import Crm
from hacore.daemons.lrm import Lrm
from hacore.daemons.watchdog_mux import WatchdogMux
from hacore.daemons.worker import Worker
from hacore.manager.documents import MEMBERS, RESOURCES, SETTINGS
from hacore.protocol.locks import MANAGER_LOCK
from hacore.protocol.requests import JSON, Committed, Conflict, Job, Request, Sleep, Transact
from hacore.protocol.table import Table
from hacore.protocol.timing import Timing
from hacore.sim.devices import Devices
from hacore.sim.events import Events
from hacore.sim.processes import BOOT_S, Node, Process, quick
from hacore.sim.promises import Promises
from hacore.sim.services import Services
from hacore.sim.stats import Stats
from hacore.sim.store import Store

AGAIN_S = 1.0
"""A daemon that was killed is started again after this time."""
PATIENCE_S = 60.0
"""An operator waits this long for a node to go down, then pulls the plug."""
TRACE_LENGTH = 600


class World:
    """Nodes, store and clock; the same arguments give the same run, event by event."""

    def __init__(
        self,
        seed: int,
        *,
        nodes: int | Iterable[str] = 3,
        timing: Timing | None = None,
        tables: Mapping[str, Table] | None = None,
        crm: type[Crm] = Crm,
        lrm: type[Lrm] = Lrm,
        mux: type[WatchdogMux] = WatchdogMux,
        worker: type[Worker] = Worker,
    ) -> None:
        self.rng = random.Random(seed)
        self.seed, self.timing = seed, timing or Timing()
        self.kinds: dict[str, Callable[[str], Any]] = {
            "mux": lambda _: mux(self.timing),
            "crm": lambda node: crm(node, self.timing, tables),
            "lrm": lambda node: lrm(node, self.timing, tables),
        }
        self.worker: Callable[[str, Job], Worker] = lambda node, job: worker(node, job, tables)
        self.now = 0.0
        self.store = Store()
        names = nodes if not isinstance(nodes, int) else [f"n{i}" for i in range(1, nodes + 1)]
        self.nodes = {name: Node(name) for name in names}
        self.services = Services({name: node.running for name, node in self.nodes.items()}, self.store)
        self.stats, self.events = Stats(), Events()
        self.trace: deque[tuple[float, str, str]] = deque(maxlen=TRACE_LENGTH)
        """What happened last, for a story."""
        self.interfere: Callable[[Process, Request[Any]], None] = lambda _, __: None
        """Called before each request of a process; may pause or kill it."""
        self.hold_up: Callable[[Process, Transact], float] = lambda _, __: 0.0
        """For how long a transaction is held up on its way: it happens, but nobody hears of it in time."""
        self.ended: Callable[[Node, str], None] = lambda _, __: None
        """Called when everything on a node ends, and why."""
        self.latency_s = 0.004
        self.slow = 0.0
        """How probable it is that a call takes up to 0.8 of its time-out."""
        self.late = 0.3
        """How probable it is that a transaction sent into a cut happens after all, later."""
        self.careful_arrivals = False
        """Whether a live migration fails unless the target's hardware watchdog is armed."""
        self.majority = False
        """Whether the store answers a node only while more than half of the nodes have power and network."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = 0
        self.promises = Promises(self)
        self.devices = Devices(self)

    # ----------------------------------------------------------------------------------------------- time, events

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def after(self, delay_s: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay_s, self.number(), do))

    def run(self, duration_s: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; True as soon as ``until`` holds, looked at after each event."""
        end_s = self.now + duration_s
        while self._events and self._events[0][0] <= end_s:
            self.now, _, do = heapq.heappop(self._events)
            do()
            if until():
                return True
        self.now = end_s
        return False

    def clock(self, node: Node) -> float:
        return node.offset_s + node.rate * self.now

    def note(self, who: object, what: object) -> None:
        self.trace.append((self.now, str(who), str(what)))

    def tell(self, actor: str, kind: str, fields: Mapping[str, Any]) -> None:
        """An event, for the log of the run."""
        self.events.add(round(self.now, 3), actor, kind, fields)

    def story(self, lines: int = 120) -> str:
        return "\n".join(f"{at:9.4f} {who:12} {what}" for at, who, what in list(self.trace)[-lines:])

    # -------------------------------------------------------------------------------------------- nodes and daemons

    def begin(self, services: Mapping[str, str], **settings: JSON) -> None:
        """A new cluster: members, services (sid -> node), settings; all nodes boot."""
        self.write(MEMBERS, list(self.nodes))
        self.write(SETTINGS, settings)
        self.write(RESOURCES, {sid: {"node": node} for sid, node in services.items()})
        for name in self.nodes:
            self.boot(name)

    def boot(self, name: str) -> None:
        node = self.nodes[name]
        if node.powered:
            return
        drift = self.timing.drift * 0.99
        node.powered, node.boot, node.ending = True, node.boot + 1, ""
        node.rate = 1 + self.rng.uniform(-drift, drift)
        node.offset_s = self.rng.uniform(0, 1000) - node.rate * self.now
        node.held.clear()
        self.note(name, f"boot {node.boot}")
        for kind in self.kinds:
            self.start(node, kind)

    def start(self, node: Node, kind: str) -> None:
        process = Process(self.number(), kind, node, quick(self.kinds[kind](node.name)))
        node.daemons[kind] = process
        self.tell(process.actor, "daemon_state", {"from": "startup", "to": process.machine.shown})
        self.after(self.rng.uniform(0, 0.2), lambda: self._round(process))

    def power_off(self, name: str, why: str) -> None:
        """Everything on the node ends at once."""
        node = self.nodes[name]
        if not node.powered:
            return
        self.note(name, f"off: {why}")
        self.ended(node, why)
        node.powered = node.armed = False
        node.opened_by = None
        for process in (*node.daemons.values(), *node.workers):
            process.alive = False
        for kind in node.daemons:
            self.tell(f"{name}/{kind}", "daemon_killed", {})
        node.daemons.clear()
        node.workers.clear()
        node.running.clear()

    def disturb(self, node: Node, duration_s: float = 0.0) -> None:
        node.disturbed_s = max(node.disturbed_s, self.now + duration_s)

    def pause(self, process: Process, duration_s: float) -> None:
        """SIGSTOP, and SIGCONT later."""
        if process.paused or not process.alive:
            return
        self.note(process, f"PAUSED for {duration_s:.2f} s")
        self.disturb(process.node, duration_s)
        process.paused = True
        self.after(duration_s, lambda: self.resume(process))

    def resume(self, process: Process) -> None:
        if not process.paused or not process.alive:
            return
        self.note(process, "RESUMED")
        process.paused = False
        for each in [process, *(worker for worker in process.node.workers if worker.parent is process)]:
            then, each.stash = each.stash, None
            if then:
                self.after(0.0, partial(self.go_on, each, then))

    def kill(self, process: Process) -> None:
        """SIGKILL. Its init starts it again."""
        if not process.alive:
            return
        self.note(process, "KILLED")
        self.tell(process.actor, "daemon_killed", {})
        self.disturb(process.node)
        self._gone(process)
        self._start_again(process, AGAIN_S)

    def _start_again(self, process: Process, delay_s: float) -> None:
        """Its init starts it again, unless the node is going down."""
        node, boot = process.node, process.node.boot

        def again() -> None:
            if node.powered and node.boot == boot and not node.ending and process.kind not in node.held:
                self.start(node, process.kind)

        if node.ending:
            self._end_next(node)
        else:
            self.after(delay_s, again)

    def _gone(self, process: Process) -> None:
        """A process has ended, in whatever way: its workers and connections with it."""
        process.alive = False
        process.node.daemons.pop(process.kind, None)
        for worker in process.node.workers:
            worker.alive = worker.alive and worker.parent is not process
        process.node.workers = [worker for worker in process.node.workers if worker.alive]
        self.devices.connections_of(process)

    def cut(self, name: str) -> None:
        self.note(name, "CUT")
        self.nodes[name].cut = True
        self.disturb(self.nodes[name])

    def heal(self, name: str) -> None:
        self.note(name, "HEALED")
        self.nodes[name].cut = False
        self.disturb(self.nodes[name])

    def end(self, name: str, how: str) -> None:
        """Shut the node down (``shutdown``) or boot it anew (``reboot``): LRM, CRM, multiplexer, power."""
        node = self.nodes[name]
        if node.powered and not node.ending:
            self.note(name, how)
            node.ending, boot = how, node.boot
            self._end_next(node)

            def pull_the_plug() -> None:
                if node.boot == boot:
                    self.power_off(name, "does not go down")

            self.after(PATIENCE_S, pull_the_plug)

    def _end_next(self, node: Node) -> None:
        for kind in ("lrm", "crm"):
            if kind in node.daemons:
                self.ask(node, kind, node.ending)
                return
        mux = node.daemons.get("mux")
        if mux is None or mux.machine.state == "closed":
            how = node.ending
            self.power_off(node.name, how)
            if how == "reboot":
                self.after(BOOT_S, lambda: self.boot(node.name))

    def hold(self, name: str, kind: str) -> None:
        """Stop a daemon for good."""
        self.nodes[name].held.add(kind)
        self.ask(self.nodes[name], kind, "shutdown")

    def let_go(self, name: str, kind: str) -> None:
        """Start a daemon that was stopped."""
        node = self.nodes[name]
        node.held.discard(kind)
        if node.powered and kind not in node.daemons:
            self.start(node, kind)

    def ask(self, node: Node, kind: str, word: str) -> None:
        """A signal to a daemon: ``restart``, ``shutdown`` or ``reboot``."""
        if process := node.daemons.get(kind):
            self.note(process, f"asked to {word}")
            process.asked.add(word)
            self.wake(process)

    # --------------------------------------------------------------------------------------------------- processes

    def _round(self, process: Process) -> None:
        if process.alive:
            process.asleep = None
            process.generator = process.machine.round()
            self.go_on(process, lambda: self._send(process, None))

    def spawn(self, lrm: Process, job: Job) -> None:
        self.promises.spawned(lrm, job)
        process = Process(self.number(), "worker", lrm.node, quick(self.worker(lrm.node.name, job)), lrm)
        process.generator = process.machine.work()
        lrm.node.workers.append(process)
        self.after(self.rng.uniform(0, 0.02), lambda: self.go_on(process, lambda: self._send(process, None)))

    def go_on(self, process: Process, then: Callable[[], None]) -> None:
        """Do what comes next for a process, at once or when it is not paused any more."""
        if process.alive and process.root.alive:
            if process.root.paused:
                process.stash = then
            else:
                then()

    def answer(self, process: Process, answer: Any) -> None:
        self.go_on(process, lambda: self._send(process, answer))

    def _send(self, process: Process, answer: Any) -> None:
        """Hand over an answer; take requests until one must wait."""
        assert process.generator is not None
        while True:
            try:
                request = process.generator.send(answer)
            except StopIteration as end:
                self._ended(process, end.value)
                return
            self.interfere(process, request)
            if not process.alive or not process.root.alive:
                return
            if process.root.paused:
                process.stash = partial(self._take, process, request)
                return
            waiting, answer = self.devices.take(process, request)
            if waiting:
                return

    def _take(self, process: Process, request: Request[Any]) -> None:
        waiting, answer = self.devices.take(process, request)
        if not waiting:
            self._send(process, answer)

    def _ended(self, process: Process, value: Any) -> None:
        if process.kind == "worker":
            process.alive = False
            process.node.workers.remove(process)
            lrm = process.root
            lrm.ended.append(value)
            self.promises.outcome(lrm, value)
            self.wake(lrm)
        elif process.kind == "mux":
            if not process.machine.finished:
                self._round(process)
        elif value is None:
            self.note(process, "exits")
            self.tell(process.actor, "daemon_exit", {})
            self._gone(process)
            self._start_again(process, self.rng.uniform(0.1, 5.0))
        else:
            self._sleep(process, value)

    def _sleep(self, process: Process, sleep: Sleep) -> None:
        process.asleep = sleep
        delay_s = (sleep.until_s - self.clock(process.node)) / process.node.rate
        self.after(max(0.0, delay_s), lambda: self._wake_if(process, sleep))
        for key, document in self.store.documents.items():
            if document.revision > sleep.since and key.startswith(sleep.wake_on):
                self.wake(process)
                return

    def wake(self, process: Process) -> None:
        """It sleeps no longer, after a moment."""
        if (sleep := process.asleep) is not None:
            self.after(self.rng.uniform(0, 0.05), lambda: self._wake_if(process, sleep))

    def _wake_if(self, process: Process, sleep: Sleep) -> None:
        if process.asleep is sleep and process.alive:
            process.asleep = None
            self.go_on(process, lambda: self._round(process))

    # ------------------------------------------------------------------------------------------------------- store

    def reaches(self, node: Node) -> bool:
        """Whether the node and the store hear of each other."""
        if node.cut or node.broken:
            return False
        return not self.majority or 2 * sum(it.powered and not it.cut for it in self.nodes.values()) > len(self.nodes)

    def write(self, key: str, value: JSON) -> None:
        """A document as an operator writes it."""
        self.commit(None, Transact({}, {key: value}))

    def commit(self, process: Process | None, request: Transact, token: Any = None) -> Committed | Conflict:
        """The moment at which a transaction happens. ``process`` None: an operator's."""
        before = self.store[MANAGER_LOCK].value
        answer = self.store.transact(request.checks, request.writes)
        if isinstance(answer, Committed):
            self.promises.committed(process, request.writes, before, token)
            for node in self.nodes.values():
                for each in node.daemons.values():
                    sleep = each.asleep
                    if sleep and any(key.startswith(sleep.wake_on) for key in request.writes) and self.reaches(node):
                        self.wake(each)
        return answer
