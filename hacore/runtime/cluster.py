"""A cluster's directory on one machine: where everything lies, how it is made, and what its daemons read at start.

    DIR/hacore.toml                   what this machine is told, if it is not all of the cluster: hacore.runtime.config
    DIR/store.db                      the documents, if they are in SQLite
    DIR/nodes/NODE/mux.sock           the node's watchdog multiplexer
    DIR/nodes/NODE/trace/DAEMON.jsonl what each daemon asked, was answered and decided
    DIR/nodes/NODE/services/          locks and output of the services

What the site adds (emulated hardware, its log and controls) is described in hacore.runtime.site.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from hacore.devices.store import StoreError
from hacore.manager.documents import MEMBERS, SETTINGS, Settings, dump, settings_of
from hacore.protocol.names import check_node
from hacore.protocol.requests import Committed, Snapshot, Unavailable
from hacore.protocol.timing import Timing, TimingError
from hacore.runtime.config import load, open_store

OPERATOR_TIMEOUT_S = 2.0


def store_path(directory: Path) -> Path:
    return directory / "store.db"


def timing_of(settings: Settings) -> Timing:
    """The cluster's timing. Raises TimingError for unknown names and for what is not safe."""
    known = [field.name for field in fields(Timing) if field.init]
    for name in settings.timing:
        if name not in known:
            raise TimingError(f"there is no timing setting '{name}': there are {', '.join(known)}")
    return Timing(**settings.timing)


def create(directory: Path, nodes: Sequence[str], timing: Mapping[str, Any]) -> bool:
    """Write the first documents of a new cluster, whose store ``directory`` names. False: there is a cluster already.

    Where there is none they are all written or none, and a store on this machine is made if it is not there.

    Raises TimingError, NameProblem, ConfigError or StoreError.
    """
    engine = load(directory).store
    settings = Settings(timing={**engine.timing, **timing})
    timing_of(settings)
    for node in nodes:
        check_node(node)
    engine.make(directory)
    store = engine.open(directory, OPERATOR_TIMEOUT_S)
    try:
        answer = store.transact({MEMBERS: 0}, {MEMBERS: list(nodes), SETTINGS: dump(settings)})
    finally:
        store.close()
    if isinstance(answer, Unavailable):
        raise StoreError(f"the store of {directory} could not be filled: {answer.reason}; try again")
    return isinstance(answer, Committed)


def read_settings(directory: Path) -> Settings:
    """The settings of an existing cluster. Raises StoreError, ConfigError or DocumentError."""
    return settings_of(_read(directory, SETTINGS))


def read_members(directory: Path) -> list[str]:
    """The nodes of an existing cluster. Raises StoreError or ConfigError."""
    return list(_read(directory, MEMBERS)[MEMBERS].value or [])


def _read(directory: Path, key: str) -> Snapshot:
    store = open_store(directory, OPERATOR_TIMEOUT_S)
    try:
        answer = store.read((key,))
    finally:
        store.close()
    if isinstance(answer, Unavailable):
        raise StoreError(f"the store of {directory} does not answer: {answer.reason}")
    return answer
