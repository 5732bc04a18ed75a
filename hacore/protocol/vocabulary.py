"""Facts and actions that more than one table speaks of."""

from __future__ import annotations

from hacore.protocol.table import Action, Checker, Fact, Site

QUORATE = Fact("QUORATE", Checker.READ, "The read of the documents that this state looks at was answered in time.")
GRANTED = Fact("GRANTED", Checker.LOCAL, "The store has answered that the transaction just asked for happened.")

RESTART_ASKED = Fact(
    "RESTART_ASKED", Checker.LOCAL, "The init system asked this daemon to go and come back, services untouched."
)
SHUTDOWN_ASKED = Fact("SHUTDOWN_ASKED", Checker.LOCAL, "The node is going down: services cannot stay on it.")

FENCED = Fact("FENCED", Checker.READ, "The lock of the node in question is held for fencing.")
MAINTENANCE_ASKED = Fact(
    "MAINTENANCE_ASKED", Checker.READ, "The manager status requests maintenance for the node in question."
)

HEARTBEAT = Action("HEARTBEAT", Site.STORE, "Rewrite the node's heartbeat document, so that others see it change.")
