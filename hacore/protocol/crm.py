"""The CRM's table: who is master, and in which order a master may decide, write and fence.

See :data:`THEORY`; PROTOCOL sections 3, 5 and 11.
"""

from __future__ import annotations

from hacore.protocol.table import ALWAYS, Action, Checker, Fact, Row, Site, State, Table
from hacore.protocol.vocabulary import GRANTED, HEARTBEAT, QUORATE, RESTART_ASKED, SHUTDOWN_ASKED

THEORY = """
One cluster resource manager (CRM) runs on each node; the one that holds the manager lock is master and decides.

1. Everyone watches: in each round every CRM reads all documents and notes, on its own clock, since when each lock and
   each heartbeat has not changed. A lock may be taken when it is free, or when the one who wants it has itself seen it
   unchanged for the lock's lifetime. Nobody trusts another's clock, and a new master does not start counting from zero.
2. Taking the manager lock raises its *fencing token*. Every write of a master is conditional on that token, in the
   store's own transaction. A master that was paused, cut off or replaced may go on thinking that it is master; nothing
   that it writes takes effect. Therefore the CRM needs no watchdog.
3. A master decides on what it has just read, then writes all of it in one transaction, then reads and decides again,
   until nothing changes. Only the master writes the manager status, so only a new master can overtake a decision.
4. Fencing is three transactions, in this order: the mark (services in ``fence``, the node in ``fence``); the node's
   lock, taken on condition that the mark stands and the lock is free or long unchanged; and what follows from holding
   it (services in ``recovery``), on condition that the lock is still held for fencing. The evidence lies in the store,
   so a new master goes on exactly where the old one stopped.
5. Power fencing shortens the wait for the lock, and nothing else. Once the mark is written, the master has the node's
   devices switch it off and asks them again whether it is; meanwhile its rounds go on. If all say ``off``, it takes the
   lock on condition that nobody has written it *since before the power-off was asked for*. That is evidence: at the
   moment of the answer nothing ran there, and what has booted since must write its lock before it starts anything, or
   finds it taken. An answer that comes late, when the node has been fenced and is back, is about a lock that was
   written since; so it counts for nothing. No answer, or any other, and the lock is waited for as without devices: the
   watchdog needs no help. A CRM remembers what it has asked and heard until that lock is written, also when it is
   master no more; another one asks anew.
6. A master that finds nothing to manage for long releases the lock and becomes an ordinary CRM again.
"""

FIT = Fact(
    "FIT",
    Checker.READ,
    "There is work (a service, a stale record, a maintenance or disarm matter, a command), and no service of this node "
    "is in fence.",
)
RETIRE_DUE = Fact(
    "RETIRE_DUE", Checker.READ, "Nothing has been configured or left to do for more rounds than the limit."
)
CHANGES = Fact("CHANGES", Checker.READ, "What was read asks for a change of the documents.")
FENCE_DUE = Fact(
    "FENCE_DUE",
    Checker.READ,
    "A node is marked, no evidence is held yet, and its lock is free or was unchanged for its lifetime on this clock.",
)
POWERED_OFF = Fact(
    "POWERED_OFF",
    Checker.READ,
    "A node is marked, no evidence is held yet, and its devices have said that it is off, since they were asked to "
    "switch it off and its lock was written last.",
)
POWER_DUE = Fact(
    "POWER_DUE",
    Checker.READ,
    "A node with fencing devices is marked, its lock is not to be had yet, and no power-off was asked for since its "
    "lock was written last.",
)
LOCK_EXPIRED = Fact(
    "LOCK_EXPIRED",
    Checker.LOCAL,
    "The manager lock is free, this node's own, or was unchanged for its lifetime on this clock.",
)

MANAGER_LOCK_SEEN = Fact("MANAGER_LOCK_SEEN", Checker.STORE, "The manager lock is exactly as it was judged.")
TOKEN_CURRENT = Fact(
    "TOKEN_CURRENT", Checker.STORE, "The manager lock is as this CRM last wrote it: same owner and token."
)
BASIS_CURRENT = Fact(
    "BASIS_CURRENT",
    Checker.STORE,
    "The documents to be written, and the fencing locks relied upon, are as they were read.",
)
MARK_WRITTEN = Fact("MARK_WRITTEN", Checker.STORE, "The manager status is as it was read: with the mark on that node.")
AGENT_LOCK_SEEN = Fact("AGENT_LOCK_SEEN", Checker.STORE, "That node's lock is exactly as it was judged.")
LOCK_UNTOUCHED = Fact(
    "LOCK_UNTOUCHED", Checker.STORE, "That node's lock is exactly as it was before the power-off was asked for."
)

TAKE_MANAGER_LOCK = Action("TAKE_MANAGER_LOCK", Site.STORE, "Take the manager lock with a new token.")
RENEW_MANAGER_LOCK = Action("RENEW_MANAGER_LOCK", Site.STORE, "Renew the manager lock.")
RELEASE_MANAGER_LOCK = Action("RELEASE_MANAGER_LOCK", Site.STORE, "Free the manager lock, its token kept.")
WRITE_CHANGES = Action(
    "WRITE_CHANGES", Site.STORE, "Write all documents that the decision changes, in one transaction."
)
TAKE_AGENT_LOCK = Action("TAKE_AGENT_LOCK", Site.STORE, "Take a marked node's lock for fencing, with a new token.")
CHOOSE_CHANGES = Action("CHOOSE_CHANGES", Site.LOCAL, "Note the changes that were decided.")
CHOOSE_NODE = Action("CHOOSE_NODE", Site.LOCAL, "Note the first marked node whose lock may be taken.")
CHOOSE_POWERED_OFF = Action("CHOOSE_POWERED_OFF", Site.LOCAL, "Note the first marked node that is verified to be off.")
CHOOSE_TO_POWER_OFF = Action(
    "CHOOSE_TO_POWER_OFF", Site.LOCAL, "Note the first marked node to be powered off, and the revision of its lock."
)
POWER_OFF = Action(
    "POWER_OFF", Site.DEVICE, "Have the node's devices switch it off and say whether it is; the answer comes later."
)
FORGET = Action("FORGET", Site.LOCAL, "Forget everything that belonged to being master.")

LEAVING = RESTART_ASKED | SHUTDOWN_ASKED

STATES = (
    State("wait_for_quorum", "Not fit to be master: nothing to do, or no quorum, or about to be fenced."),
    State("wait.watching", "Fit: is the manager lock to be had?", "wait_for_quorum"),
    State("wait.asked", "The store has answered, or not, whether the manager lock is ours.", "wait_for_quorum"),
    State("wait.resting", "The round is done.", "wait_for_quorum"),
    State("slave", "Fit, and somebody else is master."),
    State("slave.watching", "Fit: is the manager lock to be had?", "slave"),
    State("slave.asked", "The store has answered, or not, whether the manager lock is ours.", "slave"),
    State("slave.resting", "The round is done.", "slave"),
    State("master", "Holds the manager lock: a round begins."),
    State("master.asked", "The store has answered, or not, whether the lock is still ours.", "master"),
    State("master.deciding", "Reads everything, and decides.", "master"),
    State("master.writing", "About to write what was decided.", "master"),
    State("master.written", "The store has answered, or not, whether it is written.", "master"),
    State("master.fencing", "About to take a marked node's lock.", "master"),
    State("master.shooting", "About to have a marked node powered off.", "master"),
    State("master.claiming", "About to take the lock of a node that is verified to be off.", "master"),
    State("master.fenced", "The store has answered, or not, whether that lock is ours.", "master"),
    State("master.retiring", "Nothing to manage: about to free the lock.", "master"),
    State("master.resting", "The round is done.", "master"),
    State("lost_manager_lock", "The renewal was not confirmed: no master any more."),
    State("exited", "The process has ended of its own will.", final=True),
)


def candidate(of: str, prefix: str) -> tuple[Row, ...]:
    """Try for the manager lock, if it is to be had."""
    watching, asked = f"{prefix}.watching", f"{prefix}.asked"
    return (
        Row(
            f"crm.{prefix}.campaign",
            watching,
            LOCK_EXPIRED,
            asked,
            do=(TAKE_MANAGER_LOCK,),
            given=(MANAGER_LOCK_SEEN,),
        ),
        Row(f"crm.{prefix}.follow", watching, ALWAYS, "slave.resting"),
        Row(f"crm.{prefix}.elected", asked, GRANTED, "master.deciding"),
        Row(f"crm.{prefix}.outrun", asked, ALWAYS, "slave.resting"),
        Row(f"crm.{prefix}.rest", f"{prefix}.resting", ALWAYS, of, do=(HEARTBEAT,), ends_round=True),
    )


CRM = Table(
    "crm",
    THEORY,
    STATES,
    (
        Row("crm.wait.quit", "wait_for_quorum", LEAVING, "exited", ends_round=True),
        Row("crm.wait.blind", "wait_for_quorum", ~QUORATE, "wait.resting"),
        Row("crm.wait.fit", "wait_for_quorum", FIT, "wait.watching"),
        Row("crm.wait.unfit", "wait_for_quorum", ALWAYS, "wait.resting"),
        *candidate("wait_for_quorum", "wait"),
        Row("crm.slave.quit", "slave", LEAVING, "exited", ends_round=True),
        Row("crm.slave.blind", "slave", ~QUORATE, "wait.resting"),
        Row("crm.slave.fit", "slave", FIT, "slave.watching"),
        Row("crm.slave.unfit", "slave", ALWAYS, "wait.resting"),
        *candidate("slave", "slave"),
        Row(
            "crm.master.quit",
            "master",
            LEAVING,
            "exited",
            do=(RELEASE_MANAGER_LOCK,),
            given=(TOKEN_CURRENT,),
            ends_round=True,
            why="another takes over at once",
        ),
        Row("crm.master.renew", "master", ALWAYS, "master.asked", do=(RENEW_MANAGER_LOCK,), given=(TOKEN_CURRENT,)),
        Row("crm.master.confirmed", "master.asked", GRANTED, "master.deciding"),
        Row("crm.master.unconfirmed", "master.asked", ALWAYS, "lost_manager_lock", why="no answer counts as no"),
        Row("crm.master.blind", "master.deciding", ~QUORATE, "master.resting"),
        Row("crm.master.change", "master.deciding", CHANGES, "master.writing", do=(CHOOSE_CHANGES,)),
        Row("crm.master.fence", "master.deciding", FENCE_DUE, "master.fencing", do=(CHOOSE_NODE,)),
        Row("crm.master.claim", "master.deciding", POWERED_OFF, "master.claiming", do=(CHOOSE_POWERED_OFF,)),
        Row("crm.master.shoot", "master.deciding", POWER_DUE, "master.shooting", do=(CHOOSE_TO_POWER_OFF,)),
        Row("crm.master.idle", "master.deciding", RETIRE_DUE, "master.retiring"),
        Row("crm.master.done", "master.deciding", ALWAYS, "master.resting"),
        Row(
            "crm.master.write",
            "master.writing",
            ALWAYS,
            "master.written",
            do=(WRITE_CHANGES,),
            given=(TOKEN_CURRENT, BASIS_CURRENT),
        ),
        Row("crm.master.written", "master.written", GRANTED, "master.deciding", why="until nothing changes"),
        Row("crm.master.unwritten", "master.written", ALWAYS, "master.resting", why="decide anew on what is read then"),
        Row(
            "crm.master.take",
            "master.fencing",
            ALWAYS,
            "master.fenced",
            do=(TAKE_AGENT_LOCK,),
            given=(TOKEN_CURRENT, MARK_WRITTEN, AGENT_LOCK_SEEN),
            why="the mark stands before the lock is taken",
        ),
        Row(
            "crm.master.power_off",
            "master.shooting",
            ALWAYS,
            "master.deciding",
            do=(POWER_OFF,),
            why="the mark is written; the answer is waited for while rounds go on",
        ),
        Row(
            "crm.master.take_off",
            "master.claiming",
            ALWAYS,
            "master.fenced",
            do=(TAKE_AGENT_LOCK,),
            given=(TOKEN_CURRENT, MARK_WRITTEN, LOCK_UNTOUCHED),
            why="what has booted since has not got its lock, so it has started nothing",
        ),
        Row("crm.master.taken", "master.fenced", GRANTED, "master.deciding"),
        Row("crm.master.untaken", "master.fenced", ALWAYS, "master.resting"),
        Row(
            "crm.master.retire",
            "master.retiring",
            ALWAYS,
            "wait_for_quorum",
            do=(RELEASE_MANAGER_LOCK,),
            given=(TOKEN_CURRENT,),
            ends_round=True,
        ),
        Row("crm.master.rest", "master.resting", ALWAYS, "master", do=(HEARTBEAT,), ends_round=True),
        Row(
            "crm.lost.forget",
            "lost_manager_lock",
            ALWAYS,
            "wait_for_quorum",
            do=(FORGET,),
            why="nothing it wrote after the loss took effect, so there is nothing to undo",
        ),
    ),
)
