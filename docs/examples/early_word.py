"""Tables of another version, which is safe by itself, and must never run beside hacore's own.

An LRM that comes back says ``active`` at once, before it has its lock and its watchdog: people see sooner that it is
there. Its master takes no harm from that, because it trusts the word less: a frozen service goes on in ``new``, where
nobody touches it before its LRM, locked and armed, has answered. hacore's own master takes the same word for the sign
of an LRM that guards.

    hacore check --upgrade docs/examples/early_word.py
"""

from dataclasses import replace

from hacore.protocol.lrm import FROZEN_SERVICES, LRM, MODE_ACTIVE, SAY_ACTIVE
from hacore.protocol.service import DISARMING, GUARDED, SERVICE
from hacore.protocol.table import Row

SAY = Row(
    "lrm.wait.say_active",
    "wait_for_agent_lock",
    FROZEN_SERVICES & ~MODE_ACTIVE,
    "wait.telling",
    do=(SAY_ACTIVE,),
)
THAW = Row("service.freeze.thaw", "freeze", GUARDED & ~DISARMING, "new")

before = [row.id for row in LRM.rows].index("lrm.wait.needed")
TABLES = {
    "lrm": replace(LRM, rows=(*LRM.rows[:before], SAY, *LRM.rows[before:])),
    "service": replace(
        SERVICE,
        rows=tuple(THAW if row.id == THAW.id else row for row in SERVICE.rows if row.id != "service.freeze.thaw_stop"),
    ),
}
