"""What answers the daemons' requests in the simulated world."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hacore.protocol.locks import Lock
from hacore.protocol.requests import (
    Accepted,
    Clock,
    CloseHardware,
    CloseWatchdog,
    FeedHardware,
    Fired,
    Inbox,
    KeepAlive,
    Message,
    Migrate,
    OpenHardware,
    OpenWatchdog,
    PowerOff,
    Probe,
    Read,
    Reap,
    ReapPower,
    Receive,
    Refused,
    Reply,
    Request,
    Say,
    Spawn,
    Start,
    Stop,
    Transact,
)
from hacore.sim.power import PowerDevices
from hacore.sim.processes import BOOT_S, CUT, NO_ANSWER, Call, Client, Node, Process

if TYPE_CHECKING:
    from hacore.sim.world import World

LOST = 0.5
"""How probable it is that a transaction on its way is lost when the way is cut."""
HANGS_S = 12.0
"""So much longer than else it takes to start, stop or move a service that hangs."""
WAIT = (True, None)
"""The answer comes later, by an event."""


class Devices:
    """Answers requests: at once, or later by an event."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.power = PowerDevices(world)
        self._answers: dict[type[Request[Any]], Callable[[Process, Any], tuple[bool, Any]]] = {
            Fired: self._fired,
            Say: self._say,
            Clock: lambda process, _: (False, world.clock(process.node)),
            Inbox: lambda process, _: (False, frozenset(process.asked)),
            Read: self._read,
            Transact: self._transact,
            OpenWatchdog: self._open,
            KeepAlive: lambda process, request: self._ask(process, "keepalive", request.deadline_s),
            CloseWatchdog: lambda process, _: self._ask(process, "close", 0.0),
            Spawn: self._spawn,
            Reap: self._reap,
            PowerOff: self.power.off,
            ReapPower: self.power.reap,
            Probe: lambda process, request: (False, request.sid in process.node.running),
            Start: self._start,
            Stop: self._stop,
            Migrate: self._migrate,
            Receive: self._receive,
            Reply: self._reply,
            OpenHardware: self._open_hardware,
            FeedHardware: self._feed,
            CloseHardware: self._close_hardware,
        }

    def take(self, process: Process, request: Request[Any]) -> tuple[bool, Any]:
        """(whether the answer comes later, the answer)."""
        return self._answers[type(request)](process, request)

    def _fired(self, process: Process, request: Fired) -> tuple[bool, None]:
        if request.row not in {"watchdog.armed.feed", "watchdog.armed.wait", "watchdog.closed.wait"}:
            self.world.note(process, request.row)
        return False, None

    def _say(self, process: Process, request: Say) -> tuple[bool, None]:
        self.world.note(process, f"says {request.event} {dict(request.fields)}")
        self.world.tell(process.actor, request.event, request.fields)
        return False, None

    def _spawn(self, process: Process, request: Spawn) -> tuple[bool, None]:
        self.world.note(process, f"spawns {request.job.state} {request.job.sid} uid {request.job.uid}")
        self.world.spawn(process, request.job)
        return False, None

    def _reap(self, process: Process, _: Reap) -> tuple[bool, Any]:
        ended, process.ended = tuple(process.ended), []
        return False, ended

    # ------------------------------------------------------------------------------------------------------- calls

    def _call(self, process: Process, worst: Any, on_timeout: Callable[[], None] = lambda: None) -> Call:
        call = Call(process, worst, on_timeout)
        self.world.after(self.world.timing.call_timeout_s, lambda: self._finish(call))
        return call

    def _arrive(self, call: Call, answer: Any, via: Node | None = None) -> None:
        """An answer reaches the process, if it is not too late, and the way from the store is open."""
        if not call.over and (via is None or (self.world.reaches(via) and not via.deaf)):
            call.answer, call.arrived = answer, True
            self._finish(call)

    def _finish(self, call: Call) -> None:
        """The process goes on with the answer that is there by now; a paused one will find what came meanwhile."""
        if call.over or (call.process.root.paused and call.process.stash):
            return

        def then() -> None:
            if not call.over:
                call.over = True
                if not call.arrived:
                    call.on_timeout()
                self.world.answer(call.process, call.answer)

        self.world.go_on(call.process, then)

    def trip_s(self) -> float:
        """How long a message to or from the store takes."""
        rng = self.world.rng
        if self.world.slow and rng.random() < self.world.slow:
            return rng.uniform(0, 0.4) * self.world.timing.call_timeout_s
        return rng.expovariate(1 / self.world.latency_s)

    def _read(self, process: Process, request: Read) -> tuple[bool, Any]:
        node = process.node
        call = self._call(process, CUT, lambda: self.world.disturb(node))
        if not self.world.reaches(node):
            return WAIT

        def read() -> None:
            if self.world.reaches(node):
                seen = self.world.store.read(request.prefixes)
                self.world.after(self.trip_s(), lambda: self._arrive(call, seen, node))

        self.world.after(self.trip_s(), read)
        return WAIT

    def _transact(self, process: Process, request: Transact) -> tuple[bool, Any]:
        world, node, boot = self.world, process.node, process.node.boot
        call = self._call(process, CUT, lambda: world.disturb(node))
        token = Lock.of(process.machine.lock)

        def write(late: bool, *, travels: bool = True) -> None:
            if late and travels and (not world.reaches(node) or node.boot != boot or not node.powered):
                return
            if not late and not world.reaches(node) and world.rng.random() < LOST:
                return
            answer = world.commit(process, request, token)
            if late:
                world.note(process, f"LATE: {sorted(request.writes)} -> {answer}")
            world.after(self.trip_s(), lambda: self._arrive(call, answer, node))

        held_up_s = world.hold_up(process, request)
        if held_up_s:
            world.after(held_up_s, lambda: write(True, travels=False))
        elif world.reaches(node):
            world.after(self.trip_s(), lambda: write(False))
        elif world.rng.random() < world.late:
            world.after(world.rng.uniform(0, 10), lambda: write(True))
        return WAIT

    # ------------------------------------------------------------------------------------- the multiplexer's clients

    def _open(self, process: Process, request: OpenWatchdog) -> tuple[bool, Any]:
        if process.client is not None:
            if process.client.mux.alive:
                return False, Refused("already open")
            process.client = None
        mux = process.node.daemons.get("mux")
        if mux is None:
            return False, Refused("no multiplexer")
        process.client = Client(self.world.number(), mux, process)
        return self._ask(process, "open", request.deadline_s)

    def _ask(self, process: Process, verb: str, deadline_s: float) -> tuple[bool, Any]:
        client = process.client
        if client is None or not client.mux.alive:
            process.client = None
            return False, Refused("not open, or the multiplexer died")

        def hang_up() -> None:
            """A client that has waited in vain for an open says close; after a close it hangs up in any case."""
            if verb == "open" and process.client is client:
                self._post(client.mux, Message(client.number, "close"))
            if verb != "keepalive" and process.client is client:
                self._drop(process)

        call = self._call(process, NO_ANSWER, hang_up)
        client.unanswered.append((call, verb))
        self._post(client.mux, Message(client.number, verb, deadline_s))
        return WAIT

    def _post(self, mux: Process, message: Message) -> None:
        mux.messages.append(message)
        if mux.receiving:
            waiting = mux.receiving
            self.world.after(self.world.rng.uniform(0, 0.002), lambda: self._received(mux, waiting))

    def _receive(self, mux: Process, request: Receive) -> tuple[bool, Any]:
        if mux.messages:
            return False, mux.messages.popleft()
        mux.receiving = waiting = self.world.number()
        delay_s = (request.until_s - self.world.clock(mux.node)) / mux.node.rate
        self.world.after(max(0.0001, delay_s), lambda: self._received(mux, waiting))
        return WAIT

    def _received(self, mux: Process, waiting: int) -> None:
        if mux.receiving == waiting:
            mux.receiving = 0
            self.world.go_on(mux, lambda: self.world.answer(mux, mux.messages.popleft() if mux.messages else None))

    def _reply(self, mux: Process, request: Reply) -> tuple[bool, None]:
        lrm = mux.node.daemons.get("lrm")
        client = lrm.client if lrm else None
        if lrm and client and client.number == request.client and client.unanswered:
            call, verb = client.unanswered.popleft()
            self.world.after(
                self.world.rng.uniform(0, 0.002), lambda: self._replied(lrm, client, call, verb, request.answer)
            )
        return False, None

    def _replied(self, lrm: Process, client: Client, call: Call, verb: str, answer: Accepted | Refused) -> None:
        """A refused open and an accepted close end the connection."""
        if call.over or not lrm.alive:
            return
        if lrm.client is client and verb == ("close" if isinstance(answer, Accepted) else "open"):
            self._drop(lrm)
        self._arrive(call, answer)

    def _drop(self, process: Process) -> None:
        client, process.client = process.client, None
        if client and client.mux.alive:
            self._post(client.mux, Message(client.number, "gone"))

    def connections_of(self, process: Process) -> None:
        """A process has ended: its connections are cut."""
        if process.kind == "lrm":
            self._drop(process)
        elif process.kind == "mux":
            lrm = process.node.daemons.get("lrm")
            if lrm and lrm.client and lrm.client.mux is process:
                calls, lrm.client = list(lrm.client.unanswered), None
                for call, _ in calls:
                    self._arrive(call, Refused("the multiplexer died"))

    # ---------------------------------------------------------------------------------------------------- hardware

    def _open_hardware(self, mux: Process, _: OpenHardware) -> tuple[bool, bool]:
        node = mux.node
        if node.armed:
            return False, False
        node.armed, node.opened_by = True, mux
        self._fed(node)
        self.world.note(mux, "hardware armed")
        return False, True

    def _fed(self, node: Node) -> None:
        node.fed_s = fed_s = self.world.now
        boot = node.boot

        def expire() -> None:
            if node.powered and node.boot == boot and node.armed and node.fed_s == fed_s:
                self.reset(node)

        self.world.after(self.world.timing.hardware_s, expire)

    def reset(self, node: Node) -> None:
        self.world.note(node.name, "WATCHDOG RESET")
        self.world.tell("hardware", "watchdog_reset", {"node": node.name})
        self.world.promises.reset(node)
        self.world.power_off(node.name, "watchdog")
        self.world.after(BOOT_S, lambda: self.world.boot(node.name))

    def _feed(self, mux: Process, _: FeedHardware) -> tuple[bool, None]:
        if mux.node.armed and mux.node.opened_by is mux:
            self._fed(mux.node)
        return False, None

    def _close_hardware(self, mux: Process, _: CloseHardware) -> tuple[bool, None]:
        node = mux.node
        if node.opened_by is mux:
            node.armed, node.opened_by = False, None
            self.world.note(mux, "hardware disarmed")
            self.world.promises.guarded()
        return False, None

    # ---------------------------------------------------------------------------------------------------- services

    def _takes_s(self, sid: str, least_s: float, most_s: float) -> float:
        hangs_s = HANGS_S if sid in self.world.services.hanging else 0.0
        return self.world.rng.uniform(least_s + hangs_s, most_s + hangs_s)

    def _later(self, process: Process, delay_s: float, do: Callable[[], Any]) -> tuple[bool, Any]:
        """A command that goes on even if the one who gave it dies, but not beyond this boot."""
        node, boot = process.node, process.node.boot

        def happen() -> None:
            if node.powered and node.boot == boot:
                answer = do()
                self.world.after(self.world.rng.uniform(0, 0.05), lambda: self.world.answer(process, answer))

        self.world.after(delay_s, happen)
        return WAIT

    def _start(self, process: Process, request: Start) -> tuple[bool, Any]:
        def start() -> None:
            self.world.promises.touched(process.node, request.sid, "start")
            self.world.services.start(process.node.name, request.sid)
            if request.sid in process.node.running:
                self.world.note(process, f"STARTS {request.sid}")
                self.world.promises.runs(process.node, request.sid)

        return self._later(process, self._takes_s(request.sid, 0.01, 0.4), start)

    def _stop(self, process: Process, request: Stop) -> tuple[bool, Any]:
        def stop() -> None:
            self.world.promises.touched(process.node, request.sid, "stop")
            self.world.services.stop(process.node.name, request.sid)
            if request.sid not in process.node.running:
                self.world.note(process, f"STOPS {request.sid}")

        return self._later(process, self._takes_s(request.sid, 0.01, 1.5), stop)

    def _migrate(self, process: Process, request: Migrate) -> tuple[bool, Any]:
        target = self.world.nodes[request.target]
        boot = target.boot

        def move() -> bool:
            reachable = target.powered and target.boot == boot and not target.cut and not process.node.cut
            if self.world.careful_arrivals and not target.armed:
                return False
            if not reachable or request.sid not in process.node.running:
                return False
            if not self.world.services.move(process.node.name, request.sid):
                return False
            self.world.note(process, f"MOVES {request.sid} to {target.name}")
            if request.live:
                target.running.add(request.sid)
                self.world.promises.runs(target, request.sid)
            return True

        return self._later(process, self._takes_s(request.sid, 0.1, 2.0), move)
