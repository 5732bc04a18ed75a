"""The CRM: meanings for the facts and actions of its table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hacore.daemons.base import Daemon, checks, does, sees
from hacore.manager.documents import STATUS, DocumentError, dump, members_of, outline_of, settings_of
from hacore.manager.memory import Memory
from hacore.manager.round import NOTHING, busy, decide, fit
from hacore.manager.view import Event, Sight
from hacore.protocol import crm as protocol
from hacore.protocol.locks import FENCING, MANAGER_LOCK, Lock, Watch, agent_lock, heartbeat
from hacore.protocol.reference import vocabulary as reference
from hacore.protocol.requests import (
    Asking,
    Clock,
    Committed,
    Decided,
    Document,
    PowerOff,
    Read,
    ReapPower,
    Say,
    Sleep,
    Snapshot,
    Unavailable,
    ask,
)
from hacore.protocol.table import Action, Checker, Fact, Row, Table
from hacore.protocol.tables import TABLES
from hacore.protocol.timing import Timing
from hacore.protocol.vocabulary import QUORATE

GONE_LONG_S = 3600.0


class Crm(Daemon):
    """One CRM. ``round()`` is one round."""

    table = protocol.CRM
    name = "crm"
    wake_on = ("manager/", "resources", "settings", "members", "commands", "lrm/")

    def __init__(self, node: str, timing: Timing, tables: Mapping[str, Table] | None = None) -> None:
        super().__init__(node, timing, tables)
        self.tables = tables or TABLES
        self.watch = Watch()
        self.now_s = 0.0
        self.quorate = self.fit = False
        self.seen = Snapshot({}, 0)
        self.sight = Sight()
        self.memory = Memory()
        self.decision = self.chosen = NOTHING
        self.node_to_fence = ""
        self.shot: dict[str, int] = {}
        """The nodes whose power-off was asked for, and the revision of each one's lock before that."""
        self.off: set[str] = set()
        """Of these, those verified to be off."""
        self.awaited = 0
        """So many power-offs have not been heard of yet, those included that are forgotten."""
        self.lock = Document(None, 0)
        """The manager lock as this CRM last read or wrote it."""
        self.looked_s = -1.0
        """The beginning of the round in which it looked at the nodes as master last."""
        self.wrote_s = -1.0
        """The beginning of the round in which something was written last."""
        self.busy_s = 0.0
        """When there was last something to manage."""
        self.to_say: list[Event] = []
        """What people are told when the round is over."""

    def round(self) -> Asking[Sleep | None]:
        sleep = yield from super().round()
        for event in self.to_say:
            yield from ask(Say(event.kind, event.fields))
        self.to_say.clear()
        return sleep

    # ------------------------------------------------------------------------------------------------ looking

    def look(self, facts: tuple[Fact, ...]) -> Asking[None]:
        if not any(fact.checker is Checker.READ for fact in facts):
            return
        if self.awaited:
            yield from self._hear()
        answer = yield from ask(Read(("",)))
        self.now_s = yield from ask(Clock())
        self.quorate = not isinstance(answer, Unavailable)
        if isinstance(answer, Unavailable):
            return
        self.seen, self.revision = answer, answer.revision
        try:
            self._understand(answer, facts)
        except DocumentError as problem:
            self.quorate = False
            yield from ask(Say("document_error", {"problem": str(problem)}))

    def _hear(self) -> Asking[None]:
        """What has become of the power-offs. An answer counts as long as the lock is as it was before it was asked for;
        whether this CRM has been master all the time does not matter."""
        for outcome in (yield from ask(ReapPower())):
            self.awaited -= 1
            known = outcome.off and self.shot.get(outcome.target) == outcome.revision
            if known:
                self.off.add(outcome.target)
            told = {} if known else {"reason": outcome.reason or "the answer comes too late"}
            yield from ask(Say("powered_off" if known else "power_off_failed", {"node": outcome.target, **told}))

    def _understand(self, seen: Snapshot, facts: tuple[Fact, ...]) -> None:
        nodes = set(members_of(seen)) | set(outline_of(seen).nodes)
        keys = [MANAGER_LOCK, *map(agent_lock, nodes), *map(heartbeat, nodes)]
        self.watch.see(seen, keys, self.now_s)
        self._forget_shots(node for node, revision in self.shot.items() if seen[agent_lock(node)].revision != revision)
        self.sight = self._sight(seen, nodes)
        if not self.state.startswith("master"):
            self.lock = seen[MANAGER_LOCK]
        self.fit = protocol.FIT in facts and fit(self.node, seen, self.sight, self.memory)
        if not self.state.startswith("master") or busy(seen):
            self.busy_s = self.now_s
        self.decision = (
            decide(self.node, seen, self.sight, self.tables, self.memory)
            if self.state.startswith("master")
            else NOTHING
        )

    def _sight(self, seen: Snapshot, nodes: Iterable[str]) -> Sight:
        timing, now = self.timing, self.now_s
        again, leads = self.looked_s == self.began_s, self.state.startswith("master")
        if leads:
            self.looked_s = self.began_s
        still = {node: self.watch.unchanged_s(heartbeat(node), now) for node in nodes}
        return Sight(
            again=again and leads,
            online=frozenset(
                node for node in nodes if self.watch.changed_within(heartbeat(node), timing.offline_s, now)
            ),
            lost=frozenset(node for node in nodes if still[node] >= timing.offline_delay_s),
            gone_long=frozenset(node for node in nodes if still[node] >= GONE_LONG_S),
            expired=frozenset(
                node
                for node in nodes
                if self.watch.expired(agent_lock(node), Lock.of(seen[agent_lock(node)]), timing.lock_ttl_s, now)
            ),
            shot=frozenset(self.shot),
            off=frozenset(self.off),
        )

    def _forget_shots(self, nodes: Iterable[str]) -> None:
        for node in tuple(nodes):
            self.shot.pop(node, None)
            self.off.discard(node)

    @sees(QUORATE)
    def _quorate(self) -> bool:
        return self.quorate

    @sees(protocol.FIT)
    def _fit(self) -> bool:
        return self.fit

    @sees(protocol.LOCK_EXPIRED)
    def _lock_expired(self) -> bool:
        lock = Lock.of(self.lock)
        return lock.owner == self.node or self.watch.expired(MANAGER_LOCK, lock, self.timing.lock_ttl_s, self.now_s)

    @sees(protocol.CHANGES)
    def _changes(self) -> bool:
        return bool(self.decision.writes)

    @sees(protocol.FENCE_DUE)
    def _fence_due(self) -> bool:
        return self.decision.fence_due in self.sight.expired

    @sees(protocol.POWERED_OFF)
    def _powered_off(self) -> bool:
        return self.decision.fence_due in self.sight.off

    @sees(protocol.POWER_DUE)
    def _power_due(self) -> bool:
        return bool(self.decision.power_due)

    @sees(protocol.RETIRE_DUE)
    def _retire_due(self) -> bool:
        return self.now_s - self.busy_s > self.timing.master_idle_rounds * self.timing.round_s

    # ----------------------------------------------------------------------------------- what the store checks

    @checks(protocol.MANAGER_LOCK_SEEN, protocol.TOKEN_CURRENT)
    def _lock_revision(self) -> dict[str, int]:
        return {MANAGER_LOCK: self.lock.revision}

    @checks(protocol.BASIS_CURRENT)
    def _basis(self) -> dict[str, int]:
        return dict(self.chosen.basis)

    @checks(protocol.MARK_WRITTEN)
    def _mark(self) -> dict[str, int]:
        return {STATUS: self.seen[STATUS].revision}

    @checks(protocol.AGENT_LOCK_SEEN)
    def _agent_lock(self) -> dict[str, int]:
        key = agent_lock(self.node_to_fence)
        return {key: self.seen[key].revision}

    @checks(protocol.LOCK_UNTOUCHED)
    def _untouched_lock(self) -> dict[str, int]:
        return {agent_lock(self.node_to_fence): self.shot[self.node_to_fence]}

    # -------------------------------------------------------------------------------------------------- doing

    @does(protocol.TAKE_MANAGER_LOCK)
    def _take(self) -> Asking[None]:
        before = Lock.of(self.lock)
        yield from self._write_lock(before.taken(self.node, self.timing.lock_ttl_s))
        if self.granted:
            yield from ask(Say(before.taking(self.node), {"lock": MANAGER_LOCK}))

    @does(protocol.RENEW_MANAGER_LOCK)
    def _renew(self) -> Asking[None]:
        yield from self._write_lock(Lock.of(self.lock).renewed())

    @does(protocol.RELEASE_MANAGER_LOCK)
    def _release(self) -> Asking[None]:
        yield from self._write_lock(Lock.of(self.lock).released())
        if self.granted:
            yield from ask(Say("lock_released" if self.asked else "lock_let_go", {"lock": MANAGER_LOCK}))

    def _write_lock(self, lock: Lock) -> Asking[None]:
        answer = yield from self.transact({MANAGER_LOCK: lock.document()})
        if isinstance(answer, Committed):
            self.lock = Document(lock.document(), answer.revision)

    def decided(self, row: Row) -> tuple[Decided, ...]:
        return self.decision.decided if protocol.CHOOSE_CHANGES in row.do else ()

    @does(protocol.CHOOSE_CHANGES)
    def _choose_changes(self) -> None:
        self.chosen = self.decision

    @does(protocol.WRITE_CHANGES)
    def _write(self) -> Asking[None]:
        yield from self.transact(dict(self.chosen.writes))
        if self.granted:
            self.wrote_s = self.began_s
            yield from self._say(self.chosen.events)

    @does(reference.TELL)
    def _tell(self) -> Asking[None]:
        if self.wrote_s < self.began_s:
            yield from self._say(self.decision.events)

    def _say(self, events: Iterable[Event]) -> Asking[None]:
        for event in events:
            if event.last:
                self.to_say.append(event)
            else:
                yield from ask(Say(event.kind, event.fields))

    @does(reference.FORGET_SIGHTINGS)
    def _forget_sightings(self) -> None:
        nodes = set(members_of(self.seen)) | set(outline_of(self.seen).nodes)
        self.watch.begin_anew(map(heartbeat, nodes), self.timing.offline_s, self.now_s)

    @does(protocol.CHOOSE_NODE, protocol.CHOOSE_POWERED_OFF)
    def _choose_node(self, _: Action) -> None:
        self.node_to_fence = self.decision.fence_due

    @does(protocol.CHOOSE_TO_POWER_OFF)
    def _choose_to_power_off(self) -> None:
        node = self.node_to_fence = self.decision.power_due
        self.shot[node] = self.seen[agent_lock(node)].revision

    @does(protocol.POWER_OFF)
    def _power_off(self) -> Asking[None]:
        node = self.node_to_fence
        lock = Lock.of(self.seen[agent_lock(node)])
        until_s = self.now_s + self.watch.left_s(agent_lock(node), lock, self.timing.lock_ttl_s, self.now_s)
        self.awaited += 1
        yield from ask(Say("power_off_asked", {"node": node}))
        yield from ask(PowerOff(node, self.shot[node], until_s, dump(settings_of(self.seen).fencing[node])))

    @does(protocol.TAKE_AGENT_LOCK)
    def _take_agent_lock(self) -> Asking[None]:
        key = agent_lock(self.node_to_fence)
        taken = Lock.of(self.seen[key]).taken(FENCING, self.timing.lock_ttl_s)
        yield from self.transact({key: taken.document()})
        if self.granted:
            yield from ask(Say("lock_acquired", {"lock": key}))

    @does(protocol.FORGET)
    def _forget(self) -> None:
        self.decision = self.chosen = NOTHING
