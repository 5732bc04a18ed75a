"""Facts and actions that only the reference variant of the tables speaks of: see :mod:`hacore.protocol.reference`."""

from __future__ import annotations

from hacore.protocol.table import Action, Checker, Fact, Site

BUSY = Fact(
    "BUSY",
    Checker.READ,
    "A record whose node or target is this node is in a state other than stopped, freeze, request_start and error.",
)
DISARM_WANTED = Fact("DISARM_WANTED", Checker.READ, "The manager status holds a disarm request, be it deferred.")
STOP_UNTRIED = Fact("STOP_UNTRIED", Checker.READ, "A service here was not yet asked to stop for the shutdown.")
ANY_JOB_READY = Fact(
    "ANY_JOB_READY", Checker.READ, "A record of this node asks for a worker, be it for a move to where nobody guards."
)
AGAIN = Fact("AGAIN", Checker.READ, "The nodes were looked at in this round already.")
JUST_FENCED = Fact("JUST_FENCED", Checker.READ, "The service's node was marked, and its lock is held for fencing.")
ALL_SAY_DISARM = Fact("ALL_SAY_DISARM", Checker.READ, "Every online node's LRM has published mode disarm.")
DEFERRED = Fact("DEFERRED", Checker.READ, "A disarm request waits until what is on its way is finished.")
IGNORING = Fact("IGNORING", Checker.READ, "The cluster is disarmed in mode ignore: services are the operators' affair.")
COMMANDED = Fact("COMMANDED", Checker.READ, "A command for this service is pending, whether or not it makes sense.")
IS_HOME = Fact("IS_HOME", Checker.READ, "The service is on the node to which it was to return after maintenance.")

CHOOSE_ANY_JOB = Action("CHOOSE_ANY_JOB", Site.LOCAL, "Note the job that has waited longest, whatever it is.")
KEEP_COMMAND = Action("KEEP_COMMAND", Site.LOCAL, "The pending command stays in the record for the next round.")
DROP_COMMAND = Action("DROP_COMMAND", Site.LOCAL, "The pending command is dropped.")
QUIETLY = Action("QUIETLY", Site.LOCAL, "People are not told of this change of state.")
RENEW_UID = Action("RENEW_UID", Site.LOCAL, "The record has a new uid, and is otherwise as it was.")
FORGET_HOME = Action("FORGET_HOME", Site.LOCAL, "The record no longer names a node to return to.")
DROP_HOME = Action(
    "DROP_HOME", Site.LOCAL, "Unless the service leaves that node just now, the record names no node to return to."
)
TELL_PLACE = Action("TELL_PLACE", Site.LOCAL, "People are told which node was selected for the start.")
TELL = Action("TELL", Site.LOCAL, "People are told what was seen, if nothing was written in this round.")
FORGET_SIGHTINGS = Action("FORGET_SIGHTINGS", Site.LOCAL, "Who is not online is taken to have been seen just now.")
