"""What one round of the master is about: the documents as read, what is seen of the nodes, and the working copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from hacore.manager.documents import (
    RESOURCES,
    RULES,
    STATIC_STATS,
    STATUS,
    Command,
    Commands,
    LrmStatus,
    Reader,
    Record,
    Refusal,
    Resource,
    Settings,
    Status,
    commands_of,
    dynamic_stats_of,
    lrm_of,
    members_of,
    resources_of,
    settings_of,
    static_stats_of,
    status_of,
    working_copy,
)
from hacore.manager.load import Load
from hacore.manager.placement import Places
from hacore.manager.rules import NO_RULES, Compiled, compile_rules, rules_of
from hacore.protocol.locks import FENCING, Lock, agent_lock
from hacore.protocol.requests import JSON, Decided, Snapshot
from hacore.protocol.table import Fact, Row, Table
from hacore.protocol.tables import TABLES

REFUSALS_KEPT = 10
NO_LRM = LrmStatus()


@dataclass(frozen=True, slots=True)
class Sight:
    """What a CRM has seen of the nodes, on its own clock. The manager itself reads no clock."""

    online: frozenset[str] = frozenset()
    """Nodes whose heartbeat was seen to change within ``offline_s``."""
    lost: frozenset[str] = frozenset()
    """Nodes whose heartbeat has stood still for at least ``offline_delay_s``."""
    gone_long: frozenset[str] = frozenset()
    """Nodes whose heartbeat has stood still for an hour."""
    expired: frozenset[str] = frozenset()
    """Nodes whose lock is free or has stood still for its lifetime."""
    again: bool = False
    """The nodes were looked at in this round already, and nothing but what was written since is new."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that people want to know; nothing depends on it."""

    kind: str
    fields: Mapping[str, JSON]


class Memory(Reader):
    """What a master need not work out again while the documents stand of which it follows."""

    def __init__(self) -> None:
        super().__init__()
        self._rules: tuple[tuple[int, frozenset[str]], Compiled] = (-1, frozenset()), NO_RULES

    def rules(self, snapshot: Snapshot, members: frozenset[str]) -> Compiled:
        """What the rules say together. Raises DocumentError."""
        basis = snapshot[RULES].revision, members
        if basis != self._rules[0]:
            self._rules = basis, compile_rules(rules_of(snapshot), members)
        return self._rules[1]


@dataclass(frozen=True, slots=True)
class Standing:
    """What all services of a node need to know of it."""

    online: bool
    maintained: bool
    lost: bool
    """Seen online longer ago than the offline delay, or not known at all."""
    fenced: bool
    """Its lock is held for fencing."""
    lrm: LrmStatus
    mode: str
    """The LRM's."""


@dataclass(slots=True)
class View:
    """A round in the making: what was read stays as it is, ``status`` and ``resources`` are the working copy."""

    own: str
    snapshot: Snapshot
    sight: Sight
    tables: Mapping[str, Table]
    status: Status
    """Its records are replaced by :meth:`put`, never changed in place."""
    rules: Compiled
    memory: Memory
    resources: dict[str, Resource]
    """Replaced by :meth:`configure`, never changed in place."""
    settings: Settings
    members: frozenset[str]
    commands: Commands
    read: tuple[Mapping[str, Record], Mapping[str, Resource]]
    """Records and resources as they were read."""
    lrms: dict[str, LrmStatus]
    fenced: frozenset[str]
    """Nodes whose lock is held for fencing."""
    pending: dict[str, Command] = field(default_factory=dict)
    """This round's command to each service, until a row takes it."""
    disarm_command: Command | None = None
    """This round's command to disarm or to arm, until a row takes it."""
    freed: list[str] = field(default_factory=list)
    """Nodes whose lock becomes free, because what followed from holding it is decided."""
    events: list[Event] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    """The rows that have changed something so far."""
    just_fenced: set[str] = field(default_factory=set)
    """Nodes whose mark was taken off in this decision, because they are fenced."""
    _places: Places | None = None
    _standing: dict[str, Standing] = field(default_factory=dict)
    unsettled: set[str] = field(default_factory=set)
    """Services whose next step may come out otherwise than their last one."""
    last_event: Event | None = None
    """What people are told after all else."""

    @classmethod
    def of(
        cls,
        own: str,
        snapshot: Snapshot,
        sight: Sight,
        tables: Mapping[str, Table] = TABLES,
        memory: Memory | None = None,
    ) -> View:
        """Raises DocumentError if a document does not hold what it should."""
        memory = memory or Memory()
        status = memory.read(snapshot, STATUS, status_of)
        resources = memory.read(snapshot, RESOURCES, resources_of)
        members = frozenset(members_of(snapshot))
        nodes = members | set(status.nodes)
        return cls(
            own=own,
            snapshot=snapshot,
            sight=sight,
            tables=tables,
            status=working_copy(status),
            rules=memory.rules(snapshot, members),
            memory=memory,
            resources=dict(resources),
            settings=settings_of(snapshot),
            members=members,
            commands=commands_of(snapshot),
            read=(status.services, resources),
            lrms={node: lrm_of(snapshot, node) for node in nodes},
            fenced=frozenset(node for node in nodes if Lock.of(snapshot[agent_lock(node)]).owner == FENCING),
        )

    @property
    def places(self) -> Places:
        """Where all services count at present. Made when somebody first asks; :meth:`put` keeps it true."""
        if self._places is None:
            static, dynamic = (
                self.memory.read(self.snapshot, STATIC_STATS, static_stats_of),
                dynamic_stats_of(self.snapshot),
            )
            load = Load(self.settings.scheduler, self.online(), static, dynamic)
            self._places = Places(self.rules, load, self.status.services)
        return self._places

    def free_to_stay(self, sid: str, record: Record) -> bool:
        """Whether nothing speaks for another place: placement, asked where the service may stay, would let it stay."""
        return self.standing(record.node).online and not record.maintenance_node and sid not in self.rules.named

    def standing(self, node: str) -> Standing:
        """How it stands with a node at present."""
        if node not in self._standing:
            state, lrm = self.node_state(node), self.lrm(node)
            self._standing[node] = Standing(
                online=state == "online",
                maintained=state == "maintenance",
                lost=node in self.sight.lost or node not in self.status.nodes,
                fenced=node in self.fenced,
                lrm=lrm,
                mode=lrm.mode,
            )
        return self._standing[node]

    def nodes_changed(self) -> None:
        """Places are to be counted anew, and it stands otherwise with a node."""
        self._places = None
        self._standing.clear()
        self.unsettled.update(self.status.services)

    def put(self, sid: str, record: Record) -> None:
        """The service's record is this one now."""
        self.status.services[sid] = record
        self.unsettled.add(sid)
        if self._places is not None:
            self._places.count(sid, record)

    def configure(self, sid: str, **changes: str) -> None:
        """The service is configured like this now."""
        self.resources[sid] = replace(self.resources[sid], **changes)

    def lrm(self, node: str) -> LrmStatus:
        return self.lrms.get(node) or NO_LRM

    def node_state(self, node: str) -> str:
        return self.status.nodes.get(node, "unknown")

    def online(self) -> list[str]:
        """The nodes on which services may be placed."""
        return [node for node, state in self.status.nodes.items() if state == "online"]

    def note(self, row: Row, of: str, fact: Callable[[Fact], bool]) -> None:
        """A row changes something. To be called before it does, for the facts are asked for again."""
        table = self.tables[row.id.partition(".")[0]]
        self.decided.append(Decided(row.id, of, table.grounds(row.state, fact)))

    def say(self, kind: str, **fields: JSON) -> None:
        self.events.append(Event(kind, fields))

    def new_uid(self) -> str:
        """A name that no request of any master has had before: the status that counts them has one writer at a time."""
        self.status.last_uid += 1
        return str(self.status.last_uid)

    def disarming(self, mode: str = "") -> bool:
        """Whether services are frozen for a disarm (of this mode), or already are."""
        disarm = self.status.disarm
        return disarm is not None and disarm.state in {"disarming", "disarmed"} and mode in {"", disarm.mode}

    def keep(self, sid: str) -> str:
        """The text of the service's pending command, which is nobody's any more."""
        command = self.pending.pop(sid, None)
        return command.text if command else ""

    def refuse(self, command: Command, reason: str) -> None:
        """A command is not carried out; who asked for it can read why."""
        self.say("command_refused", id=command.id, command=command.text, reason=reason)
        self.status.refusals = [*self.status.refusals, Refusal(command.id, command.text, reason)][-REFUSALS_KEPT:]

    def new_record(self, sid: str, state: str, node: str) -> Record:
        self.say("service_added", sid=sid, node=node)
        return Record(state, node, self.new_uid())
