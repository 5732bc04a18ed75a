"""The disarm table: releasing every watchdog of the cluster, and arming again.

See :data:`THEORY`; PROTOCOL section 8.
"""

from __future__ import annotations

from hacore.protocol.table import ALWAYS, Action, Checker, Fact, Row, Site, State, Table

THEORY = """
For work on the network an operator disarms the cluster: no watchdog may fire, so nothing may be guarded, so nothing
may be touched. What is on its way (fence, recovery, migrate, relocate) is finished first; nothing else begins. Then
every service is frozen, each LRM publishes mode ``disarm`` with a new generation, the freeze acknowledges that
generation, and the LRM closes its watchdog and frees its lock. The master keeps its lock, to take the command that
arms again; it has no watchdog to close. Arming withdraws the request; each LRM locks, arms and publishes ``active``;
the services thaw.
"""

DISARM_COMMAND = Fact("DISARM_COMMAND", Checker.READ, "The command disarm is pending.")
ARM_COMMAND = Fact("ARM_COMMAND", Checker.READ, "The command arm is pending.")
UNSETTLED = Fact("UNSETTLED", Checker.READ, "A service is in fence, recovery, migrate or relocate.")
ALL_RELEASED = Fact(
    "ALL_RELEASED", Checker.READ, "Every online node's LRM has published mode disarm, and its lock is free."
)
LOCATIONS_FREE = Fact("LOCATIONS_FREE", Checker.READ, "The disarm's mode is ignore: operators may have moved services.")

SET_REQUEST = Action("SET_REQUEST", Site.LOCAL, "The manager status holds the disarm request with its mode.")
DROP_REQUEST = Action("DROP_REQUEST", Site.LOCAL, "The manager status holds no disarm request.")
READ_LOCATIONS = Action(
    "READ_LOCATIONS", Site.LOCAL, "Each record's node is the one that the resources document names."
)

DISARM = Table(
    "disarm",
    THEORY,
    (
        State("armed", "The ordinary state."),
        State("deferred", "Disarm is requested; what is on its way is finished first."),
        State("disarming", "Services freeze, LRMs let go."),
        State("disarmed", "No watchdog is armed anywhere."),
    ),
    (
        Row("disarm.armed.request", "armed", DISARM_COMMAND, "deferred", do=(SET_REQUEST,)),
        Row("disarm.armed.stay", "armed", ALWAYS, "armed"),
        Row("disarm.deferred.arm", "deferred", ARM_COMMAND, "armed", do=(DROP_REQUEST,)),
        Row("disarm.deferred.go", "deferred", ~UNSETTLED, "disarming"),
        Row("disarm.deferred.wait", "deferred", ALWAYS, "deferred"),
        Row(
            "disarm.disarming.arm_moved",
            "disarming",
            ARM_COMMAND & LOCATIONS_FREE,
            "armed",
            do=(READ_LOCATIONS, DROP_REQUEST),
        ),
        Row("disarm.disarming.arm", "disarming", ARM_COMMAND, "armed", do=(DROP_REQUEST,)),
        Row("disarm.disarming.defer", "disarming", UNSETTLED, "deferred", why="a node was lost meanwhile"),
        Row("disarm.disarming.done", "disarming", ALL_RELEASED, "disarmed"),
        Row("disarm.disarming.wait", "disarming", ALWAYS, "disarming"),
        Row(
            "disarm.disarmed.arm_moved",
            "disarmed",
            ARM_COMMAND & LOCATIONS_FREE,
            "armed",
            do=(READ_LOCATIONS, DROP_REQUEST),
        ),
        Row("disarm.disarmed.arm", "disarmed", ARM_COMMAND, "armed", do=(DROP_REQUEST,)),
        Row("disarm.disarmed.stay", "disarmed", ALWAYS, "disarmed"),
    ),
    assuming=(~(DISARM_COMMAND & ARM_COMMAND),),
)
