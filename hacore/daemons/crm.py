"""The CRM: meanings for the facts and actions of its table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hacore.daemons.base import Daemon, checks, does, sees
from hacore.manager.documents import STATUS, DocumentError, members_of, outline_of
from hacore.manager.round import NOTHING, busy, decide, fit
from hacore.manager.view import Memory, Sight
from hacore.protocol import crm as protocol
from hacore.protocol.locks import FENCING, MANAGER_LOCK, Lock, Watch, agent_lock, heartbeat
from hacore.protocol.reference import vocabulary as reference
from hacore.protocol.requests import Asking, Clock, Committed, Decided, Document, Read, Say, Snapshot, Unavailable, ask
from hacore.protocol.table import Checker, Fact, Row, Table
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
        self.lock = Document(None, 0)
        """The manager lock as this CRM last read or wrote it."""
        self.looked_s = -1.0
        """The beginning of the round in which it looked at the nodes as master last."""
        self.wrote_s = -1.0
        """The beginning of the round in which something was written last."""
        self.busy_s = 0.0
        """When there was last something to manage."""

    # ------------------------------------------------------------------------------------------------ looking

    def look(self, facts: tuple[Fact, ...]) -> Asking[None]:
        if not any(fact.checker is Checker.READ for fact in facts):
            return
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

    def _understand(self, seen: Snapshot, facts: tuple[Fact, ...]) -> None:
        nodes = set(members_of(seen)) | set(outline_of(seen).nodes)
        keys = [MANAGER_LOCK, *map(agent_lock, nodes), *map(heartbeat, nodes)]
        self.watch.see(seen, keys, self.now_s)
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
        )

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
        return bool(self.decision.fence_due)

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
            for event in self.chosen.events:
                yield from ask(Say(event.kind, event.fields))

    @does(reference.TELL)
    def _tell(self) -> Asking[None]:
        if self.wrote_s < self.began_s:
            for event in self.decision.events:
                yield from ask(Say(event.kind, event.fields))

    @does(reference.FORGET_SIGHTINGS)
    def _forget_sightings(self) -> None:
        nodes = set(members_of(self.seen)) | set(outline_of(self.seen).nodes)
        self.watch.begin_anew(map(heartbeat, nodes), self.timing.offline_s, self.now_s)

    @does(protocol.CHOOSE_NODE)
    def _choose_node(self) -> None:
        self.node_to_fence = self.decision.fence_due

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
