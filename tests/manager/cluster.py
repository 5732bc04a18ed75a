"""A cluster's documents as the master reads them, built from typed values; and which rows a decision fires."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from hacore.manager.commands import append
from hacore.manager.documents import (
    COMMANDS,
    MEMBERS,
    RESOURCES,
    SETTINGS,
    STATUS,
    Commands,
    LrmStatus,
    Record,
    Resource,
    Settings,
    Status,
    dump,
    lrm_key,
)
from hacore.manager.round import Decision, decide
from hacore.manager.view import Sight
from hacore.protocol.chooser import Chooser
from hacore.protocol.locks import FENCING, Lock, agent_lock
from hacore.protocol.requests import Document, Snapshot
from hacore.protocol.table import Row

NODES = ("n1", "n2", "n3")
OWN = "n3"
"""The master's node."""
WEB, VM = "proc:web", "vm:100"
UID, LAST_UID = "7", 9


@dataclass
class Cluster:
    """Three nodes, all online; the master is on n3. Each test changes what it is about."""

    status: Status = field(
        default_factory=lambda: Status(master=OWN, nodes=dict.fromkeys(NODES, "online"), last_uid=LAST_UID)
    )
    resources: dict[str, Resource] = field(default_factory=dict)
    lrms: dict[str, LrmStatus] = field(default_factory=lambda: {node: LrmStatus(mode="active") for node in NODES})
    locks: dict[str, Lock] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    members: list[str] = field(default_factory=lambda: list(NODES))
    commands: Commands = field(default_factory=Commands)
    sight: Sight = field(default_factory=lambda: Sight(online=frozenset(NODES)))

    def service(self, sid: str, record: Record, resource: Resource | None = None) -> None:
        """Add a service that is configured where its record places it, or as said."""
        self.status.services[sid] = record
        self.resources[sid] = resource or Resource(record.node)

    def lose(self, *nodes: str, since: str = "lost") -> None:
        """These nodes are not seen online any more; ``since``: ``away`` for short, ``lost``, or ``gone`` for long."""
        gone = frozenset(nodes)
        self.status.nodes.update(dict.fromkeys(nodes, "unknown"))
        self.sight = Sight(
            online=self.sight.online - gone,
            lost=self.sight.lost | (gone if since != "away" else frozenset()),
            gone_long=self.sight.gone_long | (gone if since == "gone" else frozenset()),
            expired=self.sight.expired,
        )

    def fence(self, node: str) -> None:
        """The node is marked, and its lock is held for fencing."""
        self.lose(node)
        self.status.nodes[node] = "fence"
        self.locks[node] = Lock(FENCING, 5, 0, 9.0)

    def command(self, text: str) -> None:
        self.commands = append(self.commands, text)

    def snapshot(self) -> Snapshot:
        values: dict[str, Any] = {
            STATUS: dump(self.status),
            RESOURCES: dump(self.resources),
            SETTINGS: dump(self.settings),
            MEMBERS: list(self.members),
            COMMANDS: dump(self.commands),
            **{lrm_key(node): dump(said) for node, said in self.lrms.items()},
            **{agent_lock(node): lock.document() for node, lock in self.locks.items()},
        }
        documents = {key: Document(value, number) for number, (key, value) in enumerate(values.items(), 1)}
        return Snapshot(documents, len(documents))

    def decide(self) -> Decision:
        return decide(OWN, self.snapshot(), self.sight)


def after(snapshot: Snapshot, decision: Decision) -> Snapshot:
    """The documents once the decision is written."""
    revision = snapshot.revision + 1
    written = {key: Document(value, revision) for key, value in decision.writes.items()}
    return Snapshot({**snapshot.documents, **written}, revision)


def settle(snapshot: Snapshot, sight: Sight, most: int = 10) -> Snapshot:
    """The documents once the master has nothing more to write; fails if that takes more than ``most`` rounds."""
    for _ in range(most):
        decision = decide(OWN, snapshot, sight)
        if not decision.writes:
            return snapshot
        snapshot = after(snapshot, decision)
    raise AssertionError(f"still writes after {most} rounds: {decision.writes}")


@contextmanager
def fired() -> Iterator[list[str]]:
    """The ids of the rows that fire in any table meanwhile, in order."""
    rows: list[str] = []
    choose = Chooser.row

    def recording(chooser: Chooser[Any], state: str, subject: object) -> Row:
        row = choose(chooser, state, subject)
        rows.append(row.id)
        return row

    with patch.object(Chooser, "row", recording):
        yield rows


def kinds(decision: Decision) -> list[str]:
    """The kinds of the decision's events."""
    return [event.kind for event in decision.events]


def event(decision: Decision, kind: str) -> Mapping[str, Any]:
    """The fields of the decision's one event of this kind."""
    (found,) = (each for each in decision.events if each.kind == kind)
    return found.fields
