"""Nothing is vacuous: what must be possible happens; each row fires, so that each state is reached that one leads to.

What a level's slices have shown is held against what they promise. A row that fires in no slice is listed here with the
reason; one that is listed and fires all the same is an error of the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hacore.protocol.table import Row, Table
from model_check.outcome import Check, Verdict
from model_check.properties import SOMETIMES
from model_check.world import READ
from model_check.world.fields import PLANNED
from model_check.world.records import changes
from model_check.world.slices import LONG, Slice

CRM_QUITS = "A CRM that quits does what one does that retires, or is killed."
HERE = "A worker's service is where its record is: the model knows no other place."
MEMBERS = "The nodes of a slice are members of the cluster for good."
LOCATIONS = "Operators do not move services by hand while the cluster is disarmed."
LIVE = "Live moves are explored where nodes do not fail; no service type of this version can move live."
STUCK = "A second line of defence: no worker answers a record in started like that."
NEVER = {
    "crm.wait.quit": CRM_QUITS,
    "crm.slave.quit": CRM_QUITS,
    "crm.master.quit": CRM_QUITS,
    "worker.begin.wrong_node": HERE,
    "service.relocate.wrong_node": HERE,
    "service.migrate.wrong_node": HERE,
    "service.request_start_balance.wrong_node": HERE,
    "worker.begin.arrived": "Placement and commands name another node than the service's own.",
    "worker.begin.error": "No worker is asked for what is in error: that is an operator's matter.",
    "node.unknown.gone": MEMBERS,
    "node.gone.fence": MEMBERS,
    "node.gone.online": MEMBERS,
    "node.gone.forget": MEMBERS,
    "disarm.disarming.arm_moved": LOCATIONS,
    "disarm.disarmed.arm_moved": LOCATIONS,
    "service.started.away_live": LIVE,
    "service.migrate.lost": LIVE,
    "service.fence.moved": LIVE,
    "service.fence.moved_stop": LIVE,
    "service.started.error": STUCK,
}
"""Rows that fire in no slice, and why."""


def sometimes(slices: Sequence[Slice], checks: Sequence[Check], tables: Mapping[str, Table]) -> Check:
    """One line for a level: what its slices promise, held against what their explorations, in order, have shown."""
    unfinished = [check.name for check in checks if check.verdict is not Verdict.PASSED]
    fired = {row for check in checks for row, count in check.fired.items() if count}
    rows = {row.id: row for row in rows_seen(tables)}
    idle = [f"{row} never fires" for row in rows if row not in NEVER.keys() | _others(slices) | fired]
    missing = [] if unfinished else [*_missing(slices, checks), *idle]
    wrong = [f"{row} is listed as one that never fires, and fires" for row in sorted(fired & NEVER.keys())]
    unknown = [f"nothing is known of {', '.join(unfinished)}"] if unfinished else []
    return Check(
        group="sometimes",
        name="rows and events",
        sentence="What must be possible happens; each row fires, but for those listed with a reason.",
        verdict=Verdict.LIVENESS if missing else Verdict.BROKEN if wrong or unknown else Verdict.PASSED,
        seconds=0.0,
        figures={
            "rows": len(fired),
            "states": len({place for row in fired & rows.keys() for place in _ends(rows[row])}),
            "events": len({name for check in checks for name, seen in check.seen.items() if seen}),
            "listed": len(NEVER.keys() & rows.keys()),
        },
        problem="\n".join([*missing, *wrong, *unknown]),
    )


def rows_seen(tables: Mapping[str, Table]) -> Iterator[Row]:
    """Rows of which the model can see that they fire. A record's row that changes nothing is never written."""
    for name in READ:
        yield from (row for row in tables[name].rows if name not in PLANNED or changes(row))


def _ends(row: Row) -> tuple[tuple[str, str], ...]:
    """The states that are reached when the row fires."""
    table = row.id.partition(".")[0]
    return (table, row.state), (table, row.target)


def _others(slices: Sequence[Slice]) -> set[str]:
    """Rows that only slices of another level promise."""
    here = {row for slice_ in slices for row in slice_.adds}
    return {row for slice_ in LONG for row in slice_.adds} - here


def _missing(slices: Sequence[Slice], checks: Sequence[Check]) -> Iterator[str]:
    for slice_, check in zip(slices, checks, strict=True):
        for name in slice_.shows:
            if not check.seen[name]:
                yield f"never in {slice_.name}: {SOMETIMES[name].sentence}"
        yield from (f"{row} never fires in {slice_.name}" for row in slice_.adds if not check.fired.get(row))
