------------------------------ MODULE HACluster ------------------------------
(****************************************************************************)
(* How hacore runs a service on one node, and never on two: the protocol    *)
(* for human readers. The tables in hacore/protocol are what the daemons    *)
(* run; this says the same again in few words, and TLC checks it.           *)
(*                                                                          *)
(* An LRM on each node starts and stops services there. A master (one of    *)
(* the CRMs) decides where they run. They see each other only through a     *)
(* store of documents. Any message may be late or lost, any process may     *)
(* pause for any time between two steps, any node may die. What saves us:   *)
(* each node has a lock in the store that lives for L ticks, and a watchdog *)
(* that resets the node before its lock has expired.                        *)
(*                                                                          *)
(* What must hold is in module Promises. Every step names the rows of the   *)
(* tables that it stands for; Promises also holds the steps against the     *)
(* rows, which module Tables lists (it is generated).                       *)
(*                                                                          *)
(* Numbers that only ever answer "is this still the newest?" (generations,  *)
(* uids, fencing tokens) are one bit here, which keeps the model finite.    *)
(* Left out: maintenance, disarming, shutdowns, errors, failed starts,      *)
(* services on their way, placement, and how a lock is watched.             *)
(****************************************************************************)
EXTENDS Naturals, FiniteSets, Tables

CONSTANTS
  Node, Service, Crm, Nobody,
  W,         \* watchdog: the deadline lies W ticks after the lock request was sent
  R,         \* reset: the node ends at most R ticks after a missed deadline
  L,         \* lock: it may be taken L ticks after its last renewal. Safe iff L >= W + R
  Failing,   \* nodes that may die, be slow or cut off, and look dead when they are not
  Updated,   \* nodes whose LRM is restarted, for package updates
  Operated,  \* whether operators stop, start and move services
  Survivors  \* nodes and CRMs that are there, or come back, once nothing fails any more

(* Each of these is TRUE. Make one FALSE, and something breaks: see the MC*.cfg that must fail. *)
CONSTANTS
  RecheckAfterArming,  \* the LRM acts on a status that it has read after it was locked and armed
  ActiveOnlyGuarded,   \* the LRM publishes mode active only when it is locked and armed
  Generations,         \* a freeze counts only if it answers the LRM's newest request for release
  MarkFirst,           \* the master writes the fence mark before it takes the node's lock
  ReleaseChecked,      \* the store frees a lock only for the owner that holds it now
  TokenChecked         \* the store refuses what a former master writes

VARIABLES
  node,    \* what a reset wipes out. node[n] = [phase, reset, due, told, jobs]:
           \*   phase: the LRM's state, as in its table, or "off": the node is dead
           \*   reset: ticks until the watchdog resets the node, 0 if it is closed
           \*   due:   ticks until the deadline that a granted lock request allows for
           \*   told:  this LRM has published a request for release
           \*   jobs:  the worker on its way, if any: {<<service, "start" or "stop">>}
  runs,    \* the truth: runs[s] is the set of nodes on which s runs
  lock,    \* in the store: lock[n] = [owner, left, late]:
           \*   owner: "free", "lrm", or "fencing": the master holds it as evidence
           \*   left:  ticks until others may take it
           \*   late:  the release of an LRM that has gone is still under way
  mode,    \* in the store: mode[n] is what the LRM of n published last
  record,  \* in the store: record[s] = [state, home, acked, answered]:
           \*   acked:    the freeze answers the newest request for release of its LRM
           \*   answered: the LRM has answered this very record: it guards s, or s does not run
  master,  \* in the store: the CRM that owns the manager lock
  plan,    \* plan[c] is what CRM c has decided and not yet written: {[of, record]}, or {}
  calm     \* from now on nothing fails. Only for what is promised to happen some day

vars == <<node, runs, lock, mode, record, master, plan, calm>>
store == <<lock, mode, record, master>>
Dead == [phase |-> "off", reset |-> 0, due |-> 0, told |-> FALSE, jobs |-> {}]
Records == [state : ServiceStates, home : Node, acked : BOOLEAN, answered : BOOLEAN]
New(state, home) == [state |-> state, home |-> home, acked |-> FALSE, answered |-> FALSE]

Init ==  \* Services have been configured, and may run already.
  /\ \E home \in [Service -> Node] : record = [s \in Service |-> New("new", home[s])]
  /\ runs \in [Service -> SUBSET Node] /\ \A s \in Service : runs[s] \subseteq {record[s].home}
  /\ node = [n \in Node |-> [Dead EXCEPT !.phase = "wait_for_agent_lock"]]
  /\ lock = [n \in Node |-> [owner |-> "free", left |-> 0, late |-> FALSE]]
  /\ mode = [n \in Node |-> "idle"]
  /\ master = Nobody /\ plan = [c \in Crm |-> {}] /\ calm = FALSE
On(n) == node[n].phase # "off"
In(n, phase) == node[n].phase = phase
At(n) == {s \in Service : record[s].home = n}
Needed(n) == \E s \in At(n) : record[s].state # "stopped"
Marked(n) == \E s \in At(n) : record[s].state = "fence"
Troubled(n) == ~calm /\ n \in Failing
Sees(n, it) == ~Troubled(n) => it  \* What a slow LRM has read may be so no longer when it acts on it.

----------------------------------------------------------------------------
(* The world. A node whose watchdog is not fed ends in the tick in which `reset` runs out.   *)
(* That much is assumed of time, and nothing else: any number of ticks fit between two steps *)
(* of a node in trouble.                                                                     *)
Less(ticks) == IF ticks = 0 THEN 0 ELSE ticks - 1
Tick ==  \* Without trouble, an LRM that may renew does so in time.
  LET ended == {n \in Node : node[n].reset = 1}
      Hurried(n) == node[n].reset = R + 1 /\ ~Marked(n) /\ ~Troubled(n)
  IN /\ \A n \in Node : ~Hurried(n)
     /\ node' = [n \in Node |-> IF n \in ended THEN Dead
                                ELSE [node[n] EXCEPT !.reset = Less(@), !.due = Less(@)]]
     /\ runs' = [s \in Service |-> runs[s] \ ended]
     /\ lock' = [n \in Node |-> [lock[n] EXCEPT !.left = Less(@)]]
     /\ UNCHANGED <<mode, record, master, plan, calm>>
Becomes(n, it) == node' = [node EXCEPT ![n] = it] /\ UNCHANGED <<runs, store, plan, calm>>
Goes(n, phase) == Becomes(n, [node[n] EXCEPT !.phase = phase])

Crash(n) ==
  /\ Troubled(n) /\ On(n)
  /\ node' = [node EXCEPT ![n] = Dead]
  /\ runs' = [s \in Service |-> runs[s] \ {n}]
  /\ UNCHANGED <<store, plan, calm>>
PowerOn(n) == In(n, "off") /\ Goes(n, "wait_for_agent_lock")
Return(n) == In(n, "exited") /\ Goes(n, "wait_for_agent_lock")  \* the new LRM, after the update
Calm == ~calm /\ calm' = TRUE /\ UNCHANGED <<node, runs, store, plan>>

----------------------------------------------------------------------------
(* The LRM. To be guarded it arms, locks, feeds, and only then looks at what there is to do. *)
Arm(n) ==  \* lrm.wait.needed, lrm.wait.arm. A watchdog that was left armed is not opened again.
  /\ In(n, "wait_for_agent_lock") /\ Sees(n, Needed(n) /\ ~Marked(n)) /\ node[n].reset = 0
  /\ Becomes(n, [node[n] EXCEPT !.phase = "wait.armed", !.reset = W + R])

(* A lock request. It was sent W - due ticks ago: what is left of W is all that the watchdog *)
(* may be given. due = 0 is no answer: the request failed, or it happened and nobody said so. *)
Request(n, to, possible) ==
  /\ \E due \in 0..W :
       /\ node' = [node EXCEPT ![n].phase = to, ![n].due = due]
       /\ \/ due = 0 /\ (possible => Troubled(n)) /\ UNCHANGED lock
          \/ possible /\ (due # W => Troubled(n))
             /\ lock' = [lock EXCEPT ![n] = [owner |-> "lrm", left |-> L, late |-> @.late /\ ~ReleaseChecked]]
  /\ UNCHANGED <<runs, mode, record, master, plan, calm>>
Takeable(n) == lock[n].owner \in {"free", "lrm"} /\ ~Marked(n)
Take(n) ==  \* lrm.wait.ask
  /\ In(n, "wait.armed") /\ Request(n, "wait.asked", Takeable(n))
Retake(n) ==  \* lrm.lost.retry, lrm.lost.ask
  /\ In(n, "lost_agent_lock") /\ Sees(n, ~Marked(n)) /\ Request(n, "lost.asked", Takeable(n))
Asked(n) == \E phase \in {"wait.asked", "active.asked", "lost.asked"} : In(n, phase)
Ahead(n) == node[n].reset > R  \* else a deadline has passed, and nobody feeds the watchdog again
Closed(n) == IF Ahead(n) THEN 0 ELSE node[n].reset
Feed(n) ==  \* lrm.wait.granted, lrm.active.confirmed, lrm.lost.regained: lrm.active.guarded
  /\ Asked(n) /\ node[n].due > 0 /\ Ahead(n)
  /\ Becomes(n, [node[n] EXCEPT !.phase = "active.working", !.reset = node[n].due + R, !.due = 0])
FeedLate(n) ==  \* the same three, then lrm.active.too_late
  /\ Asked(n) /\ Sees(n, node[n].due > 0) /\ ~Ahead(n)
  /\ Becomes(n, [node[n] EXCEPT !.phase = "lost_agent_lock", !.due = 0])
Refused(n) ==  \* lrm.wait.refused: nothing was started. lrm.active.unconfirmed, lrm.lost.refused
  /\ Asked(n) /\ node[n].due = 0
  /\ IF In(n, "wait.asked")
     THEN Becomes(n, [node[n] EXCEPT !.phase = "wait_for_agent_lock", !.reset = Closed(n)])
     ELSE Goes(n, "lost_agent_lock")
SeeMark(n) ==  \* lrm.active.fenced, lrm.active.marked: the master counts on the end of this node
  /\ In(n, "active.working") /\ Sees(n, Marked(n)) /\ Goes(n, "lost_agent_lock")

(* What a guarded LRM does: it says so, does what the records ask for, and may ask to be released. *)
Guarded(n) == In(n, "active.working") /\ ~Marked(n)
Speaks(n) == In(n, "active.working") /\ Sees(n, ~Marked(n))  \* It decides to publish, and then does.
Says(n, word) ==
  /\ mode[n] # word /\ mode' = [mode EXCEPT ![n] = word]
  /\ UNCHANGED <<node, runs, lock, record, master, plan, calm>>
SayActive(n) ==  \* lrm.active.say_active
  /\ Speaks(n) \/ (~ActiveOnlyGuarded /\ In(n, "wait_for_agent_lock"))
  /\ ~node[n].told /\ Says(n, "active")
SayIdle(n) ==  \* lrm.wait.say_idle
  /\ In(n, "wait_for_agent_lock") /\ Sees(n, ~Needed(n)) /\ Says(n, "idle")
Jobs(s, n) ==
  CASE record[s].state = "started" /\ n \notin runs[s] -> {<<s, "start">>}
    [] record[s].state \in {"request_stop", "stopped"} /\ n \in runs[s] -> {<<s, "stop">>}
    [] OTHER -> {}
Spawn(n, s) ==  \* lrm.active.job, lrm.active.spawn
  /\ Guarded(n) \/ (~RecheckAfterArming /\ In(n, "wait_for_agent_lock"))
  /\ s \in At(n) /\ node[n].jobs = {} /\ Jobs(s, n) # {}
  /\ Becomes(n, [node[n] EXCEPT !.jobs = Jobs(s, n)])
Work(n) ==  \* the worker, however late, whatever has become of its LRM meanwhile
  /\ node[n].phase \notin LrmWithin["wait_for_agent_lock"]
  /\ \E job \in node[n].jobs :
       runs' = [runs EXCEPT ![job[1]] = IF job[2] = "start" THEN @ \cup {n} ELSE @ \ {n}]
  /\ node' = [node EXCEPT ![n].jobs = {}]
  /\ UNCHANGED <<store, plan, calm>>
Answers(n) == {s \in At(n) :  \* What is new it takes on, whether it runs or not.
  /\ node[n].jobs = {} /\ ~record[s].answered
  /\ record[s].state = "new" \/ (record[s].state = "request_stop" /\ n \notin runs[s])}
Report(n, s) ==  \* lrm.active.report, lrm.active.tell
  /\ Speaks(n) /\ s \in Answers(n) /\ record' = [record EXCEPT ![s].answered = TRUE]
  /\ UNCHANGED <<node, runs, lock, mode, master, plan, calm>>
Outdated(r, n) == IF r.home = n THEN [r EXCEPT !.acked = FALSE] ELSE r
SayRestart(n) ==  \* lrm.active.say_restart: a new request, which no freeze has answered. Answers come along.
  /\ ~calm /\ n \in Updated /\ Sees(n, Needed(n)) /\ Speaks(n) /\ ~node[n].told
  /\ node' = [node EXCEPT ![n].told = TRUE] /\ mode' = [mode EXCEPT ![n] = "restart"]
  /\ \E told \in SUBSET Answers(n) :
       record' = [s \in Service |-> [Outdated(record[s], n) EXCEPT !.answered = @ \/ s \in told]]
  /\ plan' = [c \in Crm |-> {[it EXCEPT !.record = Outdated(@, n)] : it \in plan[c]}]
  /\ UNCHANGED <<runs, lock, master, calm>>

Doubt(n) ==  \* lrm.active.untold: an answer is missing, and the request counts for nothing
  /\ Troubled(n) /\ In(n, "active.working") /\ node[n].told /\ Becomes(n, [node[n] EXCEPT !.told = FALSE])
Quiet(n) == \A s \in At(n) :
  record[s].state = "stopped" \/ (record[s].state = "freeze" /\ (Generations => record[s].acked))
Leave(n) ==  \* lrm.active.leave_frozen
  /\ Guarded(n) /\ node[n].told /\ node[n].jobs = {} /\ Quiet(n) /\ Goes(n, "active.leaving")
LeaveLost(n) ==  \* lrm.lost.quit
  /\ ~calm /\ n \in Updated /\ In(n, "lost_agent_lock") /\ node[n].jobs = {} /\ Quiet(n)
  /\ node[n].told \/ ~Needed(n)
  /\ Goes(n, "lost.leaving")
CloseWatchdog(n) ==  \* lrm.active.leave
  /\ In(n, "active.leaving") /\ Becomes(n, [node[n] EXCEPT !.phase = "active.left", !.reset = Closed(n)])
Gone(n) == [node[n] EXCEPT !.phase = "exited", !.told = FALSE]
Quit(n) ==  \* lrm.wait.quit: it holds nothing
  /\ ~calm /\ n \in Updated /\ In(n, "wait_for_agent_lock") /\ Becomes(n, Gone(n))
ExitLost(n) ==  \* lrm.lost.exit
  /\ In(n, "lost.leaving") /\ Becomes(n, [Gone(n) EXCEPT !.reset = Closed(n)])
Exit(n) ==  \* lrm.active.exit: it asks for the release of its lock, and is gone
  /\ In(n, "active.left") /\ node' = [node EXCEPT ![n] = Gone(n)]
  /\ lock' = [lock EXCEPT ![n].late = lock[n].owner = "lrm" \/ ~ReleaseChecked]
  /\ UNCHANGED <<runs, mode, record, master, plan, calm>>
ReleaseArrives(n) ==  \* Some day, or never. If checked, whoever has taken the lock since has voided it.
  /\ lock[n].late
  /\ \/ lock' = [lock EXCEPT ![n] = [owner |-> "free", left |-> 0, late |-> FALSE]]
     \/ Troubled(n) /\ lock' = [lock EXCEPT ![n].late = FALSE]
  /\ UNCHANGED <<node, runs, mode, record, master, plan, calm>>
Serve(n) == SayActive(n) \/ Leave(n) \/ \E s \in Service : Spawn(n, s) \/ Report(n, s)
Renew(n) ==  \* lrm.active.done to lrm.active.ask: when its work is done. A young mark may be overlooked.
  /\ In(n, "active.working") /\ Sees(n, node[n].reset < W + R /\ ~Marked(n) /\ ~ENABLED Serve(n))
  /\ Request(n, "active.asked", lock[n].owner = "lrm")

----------------------------------------------------------------------------
(* The master: it decides on what it reads, and writes later. Until all is calm, another CRM *)
(* may take over at any moment, and a failing node may look dead: safety rests on neither.   *)

Alive(c) == calm => c \in Survivors
Idle(c) == Alive(c) /\ master = c /\ plan[c] = {}
LooksDead(n) == Troubled(n) \/ ~On(n)
LooksFine(n) == Troubled(n) \/ On(n)
Wanted == IF Operated THEN {"started", "request_stop"} ELSE {"started"}
TakeManagerLock(c) ==  \* crm.slave.campaign, crm.slave.elected: with a new token, nothing in mind
  /\ Alive(c) /\ master # c /\ (calm => master \notin Survivors)
  /\ master' = c /\ plan' = [plan EXCEPT ![c] = {}]
  /\ UNCHANGED <<node, runs, lock, mode, record, calm>>
Decisions(s) ==  \* what may become of a record, by the rows of the service table
  LET r == record[s]
      n == r.home
      Ruled == Operated /\ ~calm
      Row(from, condition, to) == IF r.state \in from /\ condition THEN to ELSE {}
  IN UNION {
    \* service.new.start, service.new.stop; service.freeze.thaw, service.freeze.thaw_stop
    Row({"new"}, r.answered, {New(to, n) : to \in Wanted}),
    Row({"freeze"}, mode[n] = "active", {New(to, n) : to \in Wanted}),
    \* service.started.freeze, service.request_stop.freeze, service.stopped.freeze; service.freeze.acknowledge
    Row({"started", "request_stop", "stopped"}, mode[n] = "restart" /\ LooksFine(n),
        {[New("freeze", n) EXCEPT !.acked = TRUE]}),
    Row({"freeze"}, mode[n] = "restart" /\ ~r.acked, {[r EXCEPT !.acked = TRUE]}),
    \* service.started.lost, service.request_stop.lost, service.stopped.lost; service.fence.fenced
    Row({"started", "request_stop", "stopped"}, LooksDead(n), {New("fence", n)}),
    Row({"fence"}, lock[n].owner = "fencing", {New("recovery", n)}),
    \* service.recovery.start, service.recovery.stop
    Row({"recovery"}, TRUE, {New(to, m) : to \in Wanted, m \in {m \in Node : LooksFine(m)}}),
    \* service.started.stop; service.request_stop.done
    Row({"started"}, Ruled, {New("request_stop", n)}),
    Row({"request_stop"}, r.answered, {New("stopped", n)}),
    \* service.stopped.start and service.request_start.go; service.stopped.follow
    Row({"stopped"}, Ruled, {New("started", n)} \cup {New("stopped", m) : m \in Node \ {n}}) }
Decide(c, s) ==  \* crm.master.change
  /\ Idle(c)
  /\ \E r \in Decisions(s) : plan' = [plan EXCEPT ![c] = {[of |-> s, record |-> r]}]
  /\ UNCHANGED <<node, runs, store, calm>>

(* crm.master.write: one transaction. Recovery rests on evidence, which the store checks again *)
(* and which is used up: node.fence.done. A mark is written on services and on their node in   *)
(* one go, so here a service in state fence stands for both.                                   *)
Write(c) ==
  /\ Alive(c) /\ \E it \in plan[c] :
       LET n == it.record.home
           recovery == it.record.state = "recovery"
           possible == (TokenChecked => master = c) /\ (recovery => lock[n].owner = "fencing")
       IN \/ /\ possible
             /\ record' = [record EXCEPT ![it.of] = it.record]
             /\ lock' = IF recovery THEN [lock EXCEPT ![n].owner = "free"] ELSE lock
          \/ ~(calm /\ possible) /\ UNCHANGED <<record, lock>>
  /\ plan' = [plan EXCEPT ![c] = {}]
  /\ UNCHANGED <<node, runs, mode, master, calm>>

TakeAgentLock(c, n) ==  \* crm.master.fence, crm.master.take. All of it is checked by the store.
  /\ Alive(c) /\ master = c
  /\ (Idle(c) /\ Marked(n)) \/ (~MarkFirst /\ New("fence", n) \in {it.record : it \in plan[c]})
  /\ lock[n].owner = "free" \/ (lock[n].owner = "lrm" /\ lock[n].left = 0)
  /\ lock' = [lock EXCEPT ![n] = [owner |-> "fencing", left |-> 0, late |-> @.late /\ ~ReleaseChecked]]
  /\ UNCHANGED <<node, runs, mode, record, master, plan, calm>>

----------------------------------------------------------------------------
Lrm(n) == \/ Arm(n) \/ Take(n) \/ Feed(n) \/ FeedLate(n) \/ Refused(n) \/ Retake(n) \/ SeeMark(n)
          \/ Serve(n) \/ Renew(n) \/ CloseWatchdog(n) \/ Exit(n) \/ ExitLost(n) \/ SayIdle(n)
Leaves(n) == SayRestart(n) \/ Doubt(n) \/ LeaveLost(n) \/ Quit(n)
Manage(c) == \/ TakeManagerLock(c) \/ Write(c) \/ \E s \in Service : Decide(c, s)
             \/ \E n \in Node : TakeAgentLock(c, n)
Next == \/ Tick \/ \E c \in Crm : Manage(c)
        \/ \E n \in Node : \/ Lrm(n) \/ Leaves(n) \/ Work(n) \/ ReleaseArrives(n)
                           \/ Crash(n) \/ PowerOn(n) \/ Return(n)
Spec == Init /\ [][Next]_vars

(* What is possible all the time happens some day. *)
LiveSpec ==
  /\ Init /\ [][Next \/ Calm]_vars /\ WF_vars(Tick)
  /\ \A c \in Crm : WF_vars(Manage(c))
  /\ \A n \in Node : WF_vars(Lrm(n)) /\ WF_vars(Work(n)) /\ WF_vars(ReleaseArrives(n))
                     /\ WF_vars(Return(n)) /\ (n \in Survivors => WF_vars(PowerOn(n)))
==============================================================================
