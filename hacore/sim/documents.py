"""The documents of a cluster as a scenario describes it: from the reference's words to hacore's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hacore.manager.documents import (
    MEMBERS,
    RESOURCES,
    RULES,
    SETTINGS,
    STATUS,
    Record,
    Resource,
    Settings,
    Status,
    dump,
)
from hacore.manager.rules import listed
from hacore.protocol.requests import JSON

if TYPE_CHECKING:
    from hacore.sim.scenario import Scenario


def documents_of(scenario: Scenario) -> dict[str, JSON]:
    """What is in the store at the start, by key. Raises ValueError, KeyError or TypeError if that cannot be."""
    documents = {
        RESOURCES: {sid: dump(_resource(it)) for sid, it in scenario.services.items()},
        MEMBERS: sorted(scenario.nodes),
        SETTINGS: dump(_settings(scenario.settings)),
        RULES: dump(listed([*scenario.rules], RULES)),
    }
    return {**documents, STATUS: dump(_status(scenario.manager_status))} if scenario.manager_status else documents


def _resource(it: Any) -> Resource:
    return Resource(it.node, it.state, it.max_restart, it.max_relocate, bool(it.failback))


_NUMBERS = {
    "ha-auto-rebalance-threshold": ("rebalance_threshold", float),
    "ha-auto-rebalance-hold-duration": ("rebalance_hold_rounds", int),
    "ha-auto-rebalance-margin": ("rebalance_margin", float),
}


def _settings(given: Mapping[str, Mapping[str, Any]]) -> Settings:
    """Settings in the reference's form."""
    crs, ha = given.get("crs", {}), given.get("ha", {})
    numbers = {name: kind(crs[key]) for key, (name, kind) in _NUMBERS.items() if key in crs}
    return Settings(
        shutdown_policy=ha.get("shutdown_policy", "conditional"),
        scheduler=crs.get("ha", "basic"),
        rebalance_on_start=bool(int(crs.get("ha-rebalance-on-start", 0))),
        rebalance=bool(int(crs.get("ha-auto-rebalance", 0))),
        rebalance_method=crs.get("ha-auto-rebalance-method", "bruteforce"),
        **numbers,
    )


def _status(given: Mapping[str, Any]) -> Status:
    """A manager status in the reference's form."""
    records = {
        sid: Record(
            it["state"],
            it["node"],
            it["uid"],
            it.get("target", ""),
            running=bool(it.get("running", 0)),
            failed_nodes=list(it.get("failed_nodes", [])),
            maintenance_node=it.get("maintenance_node", ""),
        )
        for sid, it in given.get("service_status", {}).items()
    }
    return Status(master=given.get("master_node", ""), nodes=dict(given.get("node_status", {})), services=records)
