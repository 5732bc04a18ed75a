"""``hacore update``: one node's package update, on that node (PROTOCOL section 9).

1. The document ``update`` is written, if nobody else updates, nothing is amiss and a master lives.
2. ``lrm.hold`` is locked, which keeps the node from starting an LRM that has ended in an orderly way.
3. The LRM is asked to restart. It ends when all services of the node are frozen, its watchdog closed, its lock free.
4. The command runs. CRM and multiplexer restart.
5. The hold is let go, the LRM starts, services thaw. All must be as before.

Whatever becomes of this process, the kernel frees the hold at its end: the LRM comes back by itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hacore.devices.clock import now_s
from hacore.devices.store import Store, StoreError
from hacore.manager.documents import STATUS, UPDATE, Update, dump
from hacore.manager.updating import refused, released, unlike
from hacore.protocol.locks import MANAGER_LOCK, Lock
from hacore.protocol.requests import Committed, Snapshot, Unavailable
from hacore.protocol.timing import Timing
from hacore.runtime.cluster import OPERATOR_TIMEOUT_S, read_settings, timing_of
from hacore.runtime.config import ConfigError, load, open_store, state_path
from hacore.runtime.daemon import ask_daemon
from hacore.runtime.node import DAEMONS
from hacore.runtime.only_one import AlreadyRuns, OnlyOne, holder

POLL_S = 0.05
PATIENCE_S = 60.0
"""For how long daemons may take to go or to come, besides what the loss of a master adds."""
OTHERS_S = 10.0
"""How long CRM and multiplexer may take to go, while the LRM is down. If they take longer, it is told as a doubt."""


class UpdateRefused(RuntimeError):  # noqa: N818 - it says what is the case
    """Nothing was begun; the message says why."""


class UpdateDoubt(RuntimeError):  # noqa: N818
    """It was begun, and is not known to have ended well; the message says what is amiss."""


def update_node(directory: Path, node: str, command: Sequence[str], tell: Callable[[str], None]) -> None:
    """Run ``command`` on this machine while the LRM of ``node`` is down. Raises UpdateRefused, UpdateDoubt, StoreError.

    ``tell`` is given each step.
    """
    timing = timing_of(read_settings(directory))
    store = open_store(directory, OPERATOR_TIMEOUT_S)
    try:
        _Updating(directory, node, store, timing, tell).run(command)
    finally:
        store.close()


def clear(directory: Path, node: str) -> bool:
    """Forget an update of ``node`` that is no more. False: there was none. Raises StoreError."""
    store = open_store(directory, OPERATOR_TIMEOUT_S)
    try:
        seen = _read(store)
        if seen[UPDATE].value != dump(Update(node)):
            return False
        answer = store.transact({UPDATE: seen[UPDATE].revision}, {UPDATE: None})
        if isinstance(answer, Unavailable):
            raise StoreError(f"the store did not answer: {answer.reason}; try again")
        return isinstance(answer, Committed)
    finally:
        store.close()


def _read(store: Store) -> Snapshot:
    answer = store.read(("",))
    if isinstance(answer, Unavailable):
        raise StoreError(f"the store did not answer, so there may be no quorum: {answer.reason}")
    return answer


class _Updating:
    def __init__(self, directory: Path, node: str, store: Store, timing: Timing, tell: Callable[[str], None]) -> None:
        self.node, self.store, self.tell, self.timing = node, store, tell, timing
        if load(directory).node not in {"", node}:
            raise ConfigError(
                f"this machine is {load(directory).node}: update {node} on {node}, or use --rolling --via"
            )
        self.home = state_path(directory, node)
        self.patience_s = PATIENCE_S + timing.failover_with_master_s

    def run(self, command: Sequence[str]) -> None:
        init = holder(self.home / "node.lock")
        if not init:
            raise UpdateRefused(f"no `hacore node {self.node}` runs on this machine with its state in {self.home}")
        self._see_master_live()
        with self._claimed() as before:
            daemons = self._daemons()
            with self._hold():
                self.tell(f"the LRM of {self.node} is asked to restart")
                os.kill(init, signal.SIGHUP)
                self._wait_until_down()
                self.tell(f"services are frozen, the LRM is down: {' '.join(command)}")
                code = _run(command)
                self.tell(f"it ended with {code}; the daemons start again")
                self._restart_others(daemons)
            self._wait_until_as_before(before, daemons)
            if code:
                raise UpdateDoubt(f"all is as before, but the command ended with {code}")

    def _restart_others(self, daemons: dict[str, int | None]) -> None:
        """Returns when they are gone: the multiplexer never ends while an LRM is its client."""
        others = [(daemon, pid) for daemon, pid in daemons.items() if pid and daemon != "lrm"]
        for _, pid in others:  # the multiplexer first, which ends when the CRM has let go of it
            with suppress(ProcessLookupError):
                ask_daemon(pid, "restart")
        ends_s = now_s() + OTHERS_S
        while any(holder(self.home / f"{daemon}.lock") == pid for daemon, pid in others) and now_s() < ends_s:
            time.sleep(POLL_S)

    def _daemons(self) -> dict[str, int | None]:
        return {daemon: holder(self.home / f"{daemon}.lock") for daemon in DAEMONS}

    def _see_master_live(self) -> None:
        """A lock names its owner long after that has died. A master that lives renews it every round."""
        first = _read(self.store)
        ends_s = now_s() + self.timing.lock_ttl_s
        while not (why := refused(seen := _read(self.store), self.node)):
            if seen[MANAGER_LOCK].revision != first[MANAGER_LOCK].revision or not Lock.of(seen[MANAGER_LOCK]).owner:
                return
            if now_s() >= ends_s:
                master = Lock.of(seen[MANAGER_LOCK]).owner
                raise UpdateRefused(f"the master, {master}, has not renewed its lock for {self.timing.lock_ttl_s:g} s")
            time.sleep(POLL_S)
        raise UpdateRefused(why)

    @contextmanager
    def _claimed(self) -> Iterator[Snapshot]:
        """Have the document ``update``, written on what allows it, until the end; yields what was seen."""
        while True:
            seen = _read(self.store)
            if why := refused(seen, self.node):
                raise UpdateRefused(why)
            answer = self.store.transact(
                {UPDATE: seen[UPDATE].revision, STATUS: seen[STATUS].revision}, {UPDATE: dump(Update(self.node))}
            )
            if isinstance(answer, Unavailable):
                raise StoreError(f"the store did not answer: {answer.reason}; see hacore update {self.node} --clear")
            if isinstance(answer, Committed):
                break
        try:
            yield seen
        finally:
            self._give_back(answer.revision)

    def _give_back(self, revision: int) -> None:
        ends_s = now_s() + self.timing.lock_ttl_s
        while isinstance(self.store.transact({UPDATE: revision}, {UPDATE: None}), Unavailable):
            if now_s() >= ends_s:
                self.tell(f"the store does not answer: later, hacore update {self.node} --clear")
                return
            time.sleep(POLL_S)

    def _hold(self) -> OnlyOne:
        try:
            return OnlyOne(self.home / "lrm.hold")
        except AlreadyRuns as problem:
            raise UpdateRefused(str(problem)) from None

    def _wait_until_down(self) -> None:
        ends_s = now_s() + self.patience_s
        while holder(self.home / "lrm.lock") is not None:
            if now_s() >= ends_s:
                raise UpdateDoubt(
                    f"the LRM was not released within {self.patience_s:.0f} s: it guards its services on, and restarts "
                    f"once they are frozen; see hacore status"
                )
            time.sleep(POLL_S)
        if not released(self._read_in_doubt(), self.node):
            raise UpdateDoubt("the LRM has ended, but has not let go of its lock: it is started again, try again")

    def _read_in_doubt(self) -> Snapshot:
        try:
            return _read(self.store)
        except StoreError as problem:
            raise UpdateDoubt(f"{problem}; the LRM is started again") from None

    def _wait_until_as_before(self, before: Snapshot, daemons: dict[str, int | None]) -> None:
        ends_s = now_s() + self.patience_s
        while amiss := self._amiss(before, daemons):
            if now_s() >= ends_s:
                raise UpdateDoubt(f"not all is as before: {amiss}")
            time.sleep(POLL_S)
        self.tell(f"all is as before on {self.node}")

    def _amiss(self, before: Snapshot, daemons: dict[str, int | None]) -> str:
        for daemon, pid in self._daemons().items():
            if not pid:
                return f"the daemon {daemon} does not run"
            if pid == daemons[daemon]:
                return f"the daemon {daemon} has not restarted"
        try:
            return unlike(before, _read(self.store), self.node)
        except StoreError as problem:
            return str(problem)


def _run(command: Sequence[str]) -> int:
    """The command's exit code, as a shell would have it. The hold is not among what it inherits."""
    try:
        code = subprocess.run(command, check=False).returncode
    except FileNotFoundError:
        return 127
    except PermissionError:
        return 126
    return 128 - code if code < 0 else code
