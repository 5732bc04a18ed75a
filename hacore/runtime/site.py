"""The site: the machine room of a local cluster. One process that is to its nodes what hardware is to machines.

For each node it has a power supply and a hardware watchdog. A node is a process, its *init*, and all below it. When a
node's watchdog expires, all its processes are stopped and killed at once, services and daemonised grandchildren too,
and nothing else; then the node is powered on again. Nodes know the site only through their watchdog's socket.

    DIR/site.lock                     held (man 2 flock) while a site runs here
    DIR/site.sock                     the operator's controls, see Site.control
    DIR/events.jsonl                  what happened, one event a line
    DIR/nodes/NODE/watchdog.sock      the node's hardware watchdog
    DIR/nodes/NODE/console.log        what the node's processes print

An init is a subreaper, so all that descends from it stays below it, and it must reap what it did not start. If it
dies by itself, the rest of the node falls to the site, which kills it. If the site is killed, the kernel kills the
inits; what is left is known by HACORE_NODE in its environment, and is killed when a site starts here again.

Hardware is never late: nothing waits in the loop, and the site runs with real-time priority where it may.
"""

from __future__ import annotations

import fcntl
import json
import os
import selectors
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from hacore.devices.clock import now_s
from hacore.devices.process_tree import Kill, become_subreaper, kill_descendants, kill_marked, reap
from hacore.devices.unix_socket import Caller, Connection, Message, Server, serve
from hacore.devices.watchdog.emulated import EmulatedWatchdog
from hacore.runtime.hardening import be_real_time
from hacore.runtime.machine import MARK, SITE_SIGNALS, Machine

Event: TypeAlias = dict[str, Any]

KILL_POLL_S = 0.002


class SiteError(Exception):
    """The site cannot do that; the text says why, for the operator."""


class SiteBusy(SiteError):  # noqa: N818 (it says what is the case)
    """Another site runs in this directory."""


class NoSite(SiteError):  # noqa: N818 (as above)
    """No site runs in this directory."""


def site_call(directory: Path, request: Message, timeout_s: float = 10.0) -> Message:
    """Ask the site of ``directory`` what :meth:`Site.control` describes, and return its answer.

    Raises NoSite if none runs there, SiteError if it refuses or does not answer within ``timeout_s``.
    """
    try:
        caller = Caller(directory / "site.sock", timeout_s)
    except OSError:
        raise NoSite(f"no site runs in {directory}: start one with `hacore -C {directory} up`") from None
    try:
        caller.send(request, timeout_s)
        answer = caller.receive(now_s() + timeout_s)
    except OSError as problem:
        raise SiteError(f"the site in {directory} does not answer: {problem}") from None
    finally:
        caller.close()
    if "error" in answer:
        raise SiteError(answer["error"])
    return answer


class Site:
    """A site in ``directory``; :meth:`run` runs it.

    A node's init is ``command_for(node)``, started with the site's own environment and MARK. Exit status 0 is a clean
    shutdown, after which the node stays off; after any other end it boots again ``boot_s`` later. ``on_event`` is told
    what is appended to events.jsonl, and must not wait. On SIGTERM, SIGINT or SIGHUP the inits get SIGTERM and
    ``grace_s`` to end; a second signal ends the patience.
    """

    def __init__(
        self,
        directory: Path,
        nodes: Sequence[str],
        command_for: Callable[[str], list[str]],
        boot_s: float,
        on_event: Callable[[Event], None] = lambda _: None,
        *,
        grace_s: float = 20.0,
    ) -> None:
        self._directory = directory.resolve()
        self._nodes = nodes
        self._command_for = command_for
        self._boot_s = boot_s
        self._on_event = on_event
        self._grace_s = grace_s
        self._machines: dict[str, Machine] = {}
        self._sweep: Kill | None = None
        """Kills what fell to the site when an init died. No node boots meanwhile, for it spares the inits of now."""
        self._signals = 0
        self._stop_by_s: float | None = None
        self._log = -1

    def run(self) -> None:
        """Run the machine room until a signal ends it and every node is off.

        In the main thread of a process that has no other children. Raises SiteBusy, or SiteError if processes of an
        earlier site cannot be killed.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        with _locked(self._directory), ExitStack() as stack:
            self._log = os.open(self._directory / "events.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            stack.callback(os.close, self._log)
            become_subreaper()
            self._kill_leftovers()
            stack.callback(kill_descendants, os.getpid())  # nobody is left, unless an exception ends the loop
            selector = stack.enter_context(selectors.DefaultSelector())
            stack.enter_context(self._signalled(selector))
            with suppress(PermissionError):
                be_real_time(alone=True)
            for node in self._nodes:
                path = self._directory / "nodes" / node
                path.mkdir(parents=True, exist_ok=True)
                watchdog = EmulatedWatchdog(path / "watchdog.sock", selector)
                stack.callback(watchdog.close)
                self._machines[node] = Machine(node, path, watchdog, boot_at_s=now_s())
            control = Server(self._directory / "site.sock", selector, self.control, self._forget)
            stack.callback(control.close)
            self._tell("site_up", nodes=list(self._nodes))
            while not self._is_over():
                serve(selector, self._next_s())
                self._turn(selector)
            self._tell("site_down")

    def _turn(self, selector: selectors.BaseSelector) -> None:
        """Everything that is due."""
        self._reap()
        now = now_s()
        if any(machine.watchdog.expired(now) for machine in self._machines.values()):
            serve(selector, now)  # if the site is late, what it has not read yet may have been sent in time
            self._reset_expired(now)
        self._stop_if_asked(now)
        if self._sweep is not None and self._sweep.step():
            self._sweep = None
        for machine in self._machines.values():
            if machine.kill is not None and machine.kill.step() and machine.pid is None:
                machine.kill = None  # not before the init is reaped, or it would seem to have died by itself
            if machine.is_off() and self._sweep is None:
                self._rest(machine)

    def _next_s(self) -> float:
        """When something is due, if nothing happens before."""
        machines = self._machines.values()
        if self._sweep is not None or any(machine.kill is not None for machine in machines):
            return now_s() + KILL_POLL_S
        due = [machine.watchdog.expires_s for machine in machines]
        due += [machine.boot_at_s for machine in machines if machine.is_off()]
        due.append(self._stop_by_s)
        return min((at_s for at_s in due if at_s is not None), default=float("inf"))

    # ------------------------------------------------------------------------------------------ the life of a node

    def _reset_expired(self, now: float) -> None:
        expired = [machine for machine in self._machines.values() if machine.watchdog.expired(now)]
        for machine in expired:
            machine.boot_at_s = now + self._boot_s
            machine.cut_power()
        for machine in expired:
            self._tell("watchdog_reset", node=machine.node)

    def _reap(self) -> None:
        """Take note of the dead: inits, and orphans that fell to the site."""
        for pid, code in reap():
            for machine in self._machines.values():
                if machine.pid == pid:
                    self._died(machine, code)

    def _died(self, machine: Machine, code: int) -> None:
        machine.pid = None
        machine.watchdog.power_cycle()
        inits = [other.pid for other in self._machines.values() if other.pid is not None]
        self._sweep = Kill.below(os.getpid(), inits)
        self._sweep.step()
        if machine.kill is not None:
            return  # the site did it
        if code == 0:
            self._tell("node_off", node=machine.node)
        else:
            machine.boot_at_s = now_s() + self._boot_s
            self._tell("node_died", node=machine.node, code=code)

    def _rest(self, machine: Machine) -> None:
        """A machine is off, and nothing of it is left."""
        for operator in machine.waiting[:]:
            operator.send({"ok": True})
        machine.waiting.clear()
        if self._stop_by_s is not None:
            machine.boot_at_s = None
        if machine.boot_at_s is not None and machine.boot_at_s <= now_s():
            self._boot(machine)

    def _boot(self, machine: Machine) -> None:
        machine.boot_at_s = None
        command = self._command_for(machine.node)
        try:
            machine.boot(command)
        except OSError as problem:
            machine.boot_at_s = now_s() + self._boot_s
            self._tell("boot_failed", node=machine.node, reason=str(problem))
        else:
            self._tell("node_up", node=machine.node, pid=machine.pid)

    # ------------------------------------------------------------------------------------------------- the operator

    def control(self, operator: Connection, request: Message) -> None:
        """One request of the operator, a JSON line, and its answer:

        {"do": "status"}: {"nodes": {NODE: {"power": "on" or "off", "pid": of its init or null, "watchdog_s": seconds
        until it expires or null}}}.
        {"do": "power", "node": NODE, "to": "off"}: {"ok": true} once no process of the node is left; it stays off.
        {"do": "power", "node": NODE, "to": "on"}: {"ok": true}; a node that is off boots after ``boot_s``.
        {"do": "power", "node": NODE, "to": "reset"}: off, {"ok": true}, and on after ``boot_s``. Not if it is off.

        {"error": WHY} answers what cannot be done.
        """
        match request:
            case {"do": "status"}:
                operator.send({"nodes": {node: self._status(machine) for node, machine in self._machines.items()}})
            case {"do": "power", "node": str(node), "to": "off" | "on" | "reset" as to}:
                if machine := self._machines.get(node):
                    self._power(operator, machine, to)
                else:
                    operator.send({"error": f"no node {node} here, only {', '.join(self._machines)}"})
            case _:
                operator.send({"error": f"not understood: {json.dumps(request)[:200]}"})

    def _status(self, machine: Machine) -> Message:
        expires_s = machine.watchdog.expires_s
        return {
            "power": "off" if machine.is_off() else "on",
            "pid": machine.pid,
            "watchdog_s": None if expires_s is None else round(expires_s - now_s(), 3),
        }

    def _power(self, operator: Connection, machine: Machine, to: str) -> None:
        lit = not machine.is_off()
        if self._stop_by_s is not None:
            operator.send({"error": "the site is being shut down"})
        elif to == "reset" and not lit and machine.boot_at_s is None:
            operator.send({"error": f"{machine.node} is off: power it on"})
        elif to == "on":
            if machine.boot_at_s is None and (machine.pid is None or machine.kill is not None):
                machine.boot_at_s = now_s() + self._boot_s
                self._tell("power_on", node=machine.node)
            operator.send({"ok": True})
        else:
            machine.waiting.append(operator)  # answered in _rest, when nothing of the node is left
            machine.boot_at_s = None if to == "off" else now_s() + self._boot_s
            machine.cut_power()
            self._tell(f"power_{to}", node=machine.node)

    def _forget(self, operator: Connection) -> None:
        for machine in self._machines.values():
            if operator in machine.waiting:
                machine.waiting.remove(operator)

    # ------------------------------------------------------------------------------------------ the site's own life

    def _kill_leftovers(self) -> None:
        names = {path.name for path in (self._directory / "nodes").glob("*")} | set(self._nodes)
        try:
            killed = kill_marked(MARK, *(str(self._directory / "nodes" / name) for name in names))
        except TimeoutError as problem:
            raise SiteError(f"an earlier site's {problem}") from None
        if killed:
            self._tell("leftovers_killed", processes=killed)

    @contextmanager
    def _signalled(self, selector: selectors.BaseSelector) -> Iterator[None]:
        """SIGCHLD wakes the loop; SIGTERM, SIGINT and SIGHUP do, and are counted."""

        def count(number: int, _: object) -> None:
            self._signals += number != signal.SIGCHLD

        listen, wake = socket.socketpair()
        listen.setblocking(False)
        wake.setblocking(False)
        before = {number: signal.signal(number, count) for number in SITE_SIGNALS}
        old_wake = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        selector.register(listen, selectors.EVENT_READ, lambda: listen.recv(4096))
        try:
            yield
        finally:
            signal.set_wakeup_fd(old_wake)
            for number, handler in before.items():
                signal.signal(number, handler)
            listen.close()
            wake.close()

    def _stop_if_asked(self, now: float) -> None:
        if self._signals and self._stop_by_s is None:
            self._stop_by_s = now + self._grace_s
            self._tell("site_stopping")
            for machine in self._machines.values():
                if machine.pid is not None:
                    os.kill(machine.pid, signal.SIGTERM)  # it is the site's child, so its pid is still its own
        if self._signals > 1 or (self._stop_by_s is not None and now >= self._stop_by_s):
            for machine in self._machines.values():
                machine.cut_power()

    def _is_over(self) -> bool:
        resting = all(machine.is_off() for machine in self._machines.values())
        return self._stop_by_s is not None and resting and self._sweep is None

    def _tell(self, event: str, **fields: object) -> None:
        entry: Event = {"t": now_s(), "event": event, **fields}
        with suppress(OSError):  # a full disk must not stop the watchdogs
            os.write(self._log, json.dumps(entry).encode() + b"\n")
        self._on_event(entry)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the site's lock. Raises SiteBusy if somebody else does."""
    lock = os.open(directory / "site.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 32).decode().strip() or "unknown"
            raise SiteBusy(f"a site already runs in {directory} (pid {holder})") from None
        os.truncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(lock)
