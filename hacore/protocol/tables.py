"""All tables of the protocol, by name, and every fact and action that their modules declare."""

from __future__ import annotations

from types import ModuleType

from hacore.protocol import crm, disarm, lrm, node, service, vocabulary, watchdog, worker
from hacore.protocol.table import Action, Fact, Table

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        crm.CRM,
        lrm.LRM,
        service.SERVICE,
        node.NODE,
        disarm.DISARM,
        worker.WORKER,
        watchdog.WATCHDOG,
    )
}

_MODULES: tuple[ModuleType, ...] = (vocabulary, crm, lrm, service, node, disarm, worker, watchdog)


def declared() -> tuple[Fact | Action, ...]:
    """Every fact and action that a table's module declares, used or not: what the lint holds against the rows."""
    return tuple(
        value
        for module in _MODULES
        for value in vars(module).values()
        if isinstance(value, Fact | Action) and not (module is not vocabulary and value in vars(vocabulary).values())
    )
