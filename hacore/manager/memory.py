"""What a master remembers from decision to decision, so that it need not work out again what cannot have changed.

Nothing is decided otherwise for it. What is remembered is known by what it was made from: if that is another, it is
made anew. Most services rest in most decisions: their last step did nothing, and all that it depended on is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import msgspec

from hacore.manager.documents import (
    DYNAMIC_STATS,
    RESOURCES,
    RULES,
    STATIC_STATS,
    STATUS,
    DynamicStats,
    LrmStatus,
    Reader,
    Record,
    Resource,
    StaticStats,
    Status,
    dynamic_stats_of,
    lrm_key,
    lrm_of,
    resources_of,
    static_stats_of,
    status_of,
)
from hacore.manager.load import Load
from hacore.manager.placement import Places
from hacore.manager.rules import NO_RULES, Compiled, compile_rules, rules_of
from hacore.protocol.requests import Snapshot


@dataclass(frozen=True, slots=True)
class Standing:
    """What all services of a node need to know of it."""

    online: bool
    maintained: bool
    lost: bool
    """Seen online longer ago than the offline delay, or not known at all."""
    fenced: bool
    """Its lock is held for fencing."""
    just_fenced: bool
    """Its mark was taken off in this decision, because it is fenced."""
    lrm: LrmStatus

    @property
    def mode(self) -> str:
        """The LRM's."""
        return self.lrm.mode


Look: TypeAlias = Callable[[Places, str], tuple[int, ...]]
"""A version of the places, as far as a service depends on them."""


class Rest(NamedTuple):
    """What a step that did nothing depended on."""

    record: Record
    resource: Resource
    standing: Standing
    looked: Look | None
    """How it looked at the places, if it did."""
    version: tuple[int, ...]
    """What that gave."""


class Memory(Reader):
    """Kept for as long as a CRM lives. Of one process and one thread."""

    def __init__(self) -> None:
        super().__init__()
        self._rules: tuple[tuple[int, frozenset[str]], Compiled] = (-1, frozenset()), NO_RULES
        self._standings: dict[str, Standing] = {}
        self._rests: dict[str, Rest] = {}
        self._rest_while: object = None
        nothing = Load("basic", (), StaticStats(), DynamicStats())
        self._places: tuple[Sequence[object], Places] = (), Places(NO_RULES, nothing, {})

    # -------------------------------------------------------------------------------------------------- documents

    def status(self, snapshot: Snapshot) -> Status:
        """The manager status. Raises DocumentError."""
        return self.read(snapshot, STATUS, self._status)

    def _status(self, snapshot: Snapshot) -> Status:
        try:
            raw = snapshot[STATUS].value or {}
            records = self.entries(STATUS, raw.get("services", {}), Record)
            return msgspec.structs.replace(msgspec.convert({**raw, "services": {}}, Status), services=records)
        except (msgspec.ValidationError, TypeError, AttributeError):
            return status_of(snapshot)  # which says what is wrong

    def resources(self, snapshot: Snapshot) -> dict[str, Resource]:
        """The services' configuration. Raises DocumentError."""
        return self.read(snapshot, RESOURCES, self._resources)

    def _resources(self, snapshot: Snapshot) -> dict[str, Resource]:
        try:
            return self.entries(RESOURCES, snapshot[RESOURCES].value or {}, Resource)
        except (msgspec.ValidationError, TypeError, AttributeError):
            return resources_of(snapshot)

    def lrm(self, snapshot: Snapshot, node: str) -> LrmStatus:
        """What the node's LRM has published. Raises DocumentError."""
        return self.read(snapshot, lrm_key(node), lambda it: lrm_of(it, node))

    def rules(self, snapshot: Snapshot, members: frozenset[str]) -> Compiled:
        """What the rules say together. Raises DocumentError."""
        basis = snapshot[RULES].revision, members
        if basis != self._rules[0]:
            self._rules = basis, compile_rules(rules_of(snapshot), members)
        return self._rules[1]

    # -------------------------------------------------------------------------------------------- nodes and places

    def standing(self, node: str, now: Standing) -> Standing:
        """How it stands with the node: the same object as long as nothing has changed."""
        known = self._standings.setdefault(node, now)
        if known != now:
            known = self._standings[node] = now
        return known

    def places(
        self, snapshot: Snapshot, rules: Compiled, scheduler: str, online: Sequence[str], records: Mapping[str, Record]
    ) -> Places:
        """Where all services count at present. Raises DocumentError."""
        static = self.read(snapshot, STATIC_STATS, static_stats_of)
        dynamic = self.read(snapshot, DYNAMIC_STATS, dynamic_stats_of)
        basis = (rules, static, dynamic if scheduler == "dynamic" else None, scheduler, *online)
        known, places = self._places
        if len(basis) == len(known) and all(old is new or old == new for old, new in zip(known, basis, strict=True)):
            places.follow(records)
        else:
            load = Load(scheduler, online, static, dynamic)
            self._places = basis, Places(rules, load, records, version=places.version + 1)
        return self._places[1]

    # ------------------------------------------------------------------------------------------ services that rest

    def rest_while(self, basis: object) -> None:
        """Services rest as long as this, on which all steps depend, is the same."""
        if basis != self._rest_while:
            self._rest_while = basis
            self._rests.clear()

    def resting(self, sid: str) -> Rest | None:
        """On what its last step depended, if that did nothing."""
        return self._rests.get(sid)

    def rest(self, sid: str, rest: Rest) -> None:
        """Its step has done nothing."""
        self._rests[sid] = rest
