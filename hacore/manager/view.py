"""What one round of the master is about: the documents as read, what is seen of the nodes, and the working copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from hacore.manager.documents import (
    SETTINGS,
    Command,
    Commands,
    LrmStatus,
    Record,
    Refusal,
    Resource,
    Settings,
    Status,
    commands_of,
    members_of,
    settings_of,
    working_copy,
)
from hacore.manager.memory import Look, Memory, Rest, Standing
from hacore.manager.placement import Places
from hacore.manager.rules import Compiled
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
    shot: frozenset[str] = frozenset()
    """Nodes whose power-off was asked for since their lock was written last."""
    off: frozenset[str] = frozenset()
    """Of these, nodes that are verified to be off."""
    again: bool = False
    """The nodes were looked at in this round already, and nothing but what was written since is new."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that people want to know; nothing depends on it."""

    kind: str
    fields: Mapping[str, JSON]
    last: bool = False
    """People are told of it when the round is over."""


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
        status = memory.status(snapshot)
        resources = memory.resources(snapshot)
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
            settings=memory.read(snapshot, SETTINGS, settings_of),
            members=members,
            commands=commands_of(snapshot),
            read=(status.services, resources),
            lrms={node: memory.lrm(snapshot, node) for node in nodes},
            fenced=frozenset(node for node in nodes if Lock.of(snapshot[agent_lock(node)]).owner == FENCING),
        )

    @property
    def places(self) -> Places:
        """Where all services count at present. Made when somebody first asks; :meth:`put` keeps it true."""
        if self._places is None:
            self._places = self.memory.places(
                self.snapshot, self.rules, self.settings.scheduler, self.online(), self.status.services
            )
        return self._places

    def free_to_stay(self, sid: str, record: Record) -> bool:
        """Whether nothing speaks for another place: placement, asked where the service may stay, would let it stay."""
        return self.standing(record.node).online and not record.maintenance_node and sid not in self.rules.named

    def standing(self, node: str) -> Standing:
        """How it stands with a node at present."""
        if node not in self._standing:
            state = self.node_state(node)
            now = Standing(
                online=state == "online",
                maintained=state == "maintenance",
                lost=node in self.sight.lost or node not in self.status.nodes,
                fenced=node in self.fenced,
                just_fenced=node in self.just_fenced,
                lrm=self.lrm(node),
            )
            self._standing[node] = self.memory.standing(node, now)
        return self._standing[node]

    def begin_steps(self) -> None:
        """Services are to take their steps; what all of them depend on is settled now."""
        disarm = self.status.disarm and replace(self.status.disarm)
        self.memory.rest_while((self.tables["service"], self.rules, self.settings, disarm))

    def rests(self, sid: str) -> bool:
        """Whether a step would do nothing, since the last one did nothing and all it depended on is the same."""
        rest, record = self.memory.resting(sid), self.status.services[sid]
        return (
            rest is not None
            and rest.record is record
            and rest.resource is self.resources[sid]
            and rest.standing is self.standing(record.node)
            and (rest.looked is None or rest.looked(self.places, sid) == rest.version)
            and sid not in self.pending
        )

    def rest(self, sid: str, looked: Look | None) -> None:
        """A step did nothing, and looked at the places like this."""
        record = self.status.services[sid]
        version = looked(self.places, sid) if looked else ()
        self.memory.rest(sid, Rest(record, self.resources[sid], self.standing(record.node), looked, version))

    def nodes_changed(self) -> None:
        """Places are to be counted anew, and it stands otherwise with a node."""
        self._places = None
        self._standing.clear()

    def put(self, sid: str, record: Record) -> None:
        """The service's record is this one now."""
        self.status.services[sid] = record
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
