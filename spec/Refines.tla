-------------------------------- MODULE Refines --------------------------------
(* What the daemons do is what HACluster tells: module Model, which is made from the tables, takes *)
(* no step that HACluster does not take, or two of its steps at once. TLC checks it.               *)
(*                                                                                                 *)
(* First, how a state of Model is seen as one of HACluster. Model knows more: that an answer is    *)
(* under way, that a job is chosen and not yet begun, which uid an outcome belongs to. Steps that  *)
(* change nothing but that are no steps of HACluster, which may do nothing at any time.            *)
EXTENDS Model, Tables

ShownAs == [phase \in LrmStates |-> CHOOSE shown \in DOMAIN LrmWithin : phase \in LrmWithin[shown]]
Phase(n) ==
  CASE lrm[n] = "wait.armed" -> IF accepted[n] THEN "wait.armed" ELSE "wait_for_agent_lock"
    [] lrm[n] = "active.fed" -> IF accepted[n] THEN "active.working" ELSE "lost_agent_lock"
    [] lrm[n] \in {"wait.asked", "active.asked", "lost.asked", "active.leaving", "active.left", "lost.leaving"} ->
         lrm[n]
    [] OTHER -> IF ShownAs[lrm[n]] = "active" THEN "active.working" ELSE ShownAs[lrm[n]]

Pending(n, s, jobs) ==  \* chosen, or given to a worker that has not begun
  \/ lrm[n] = "active.spawning" /\ job[n] = s /\ job_kind[n] \in jobs
  \/ worker[n][s] = "begin" /\ kind[n][s] \in jobs
Jobs(n) ==  \* but those that find it done
  {<<s, "start">> : s \in {s \in Service : Pending(n, s, {"start"}) /\ ~runs[n][s]}} \cup
  {<<s, "stop">> : s \in {s \in Service : Pending(n, s, {"stop"}) /\ runs[n][s]}}

Nodes == [n \in Node |-> [
  phase |-> Phase(n),
  reset |-> IF armed[n] THEN dog[n] ELSE 0,
  due |-> IF call[n] = "granted" THEN sent[n] ELSE 0,
  told |-> told[n] /\ lrm[n] # "exited",
  jobs |-> Jobs(n)]]

Runs == [s \in Service |-> {n \in Node : runs[n][s]}]

Evidence(n) == \E s \in Service : at[s] = n /\ state[s] = "fence"  \* HACluster frees the lock then
Locks == [n \in Node |-> [
  owner |-> IF lock[n] = "fencing" /\ ~Evidence(n) THEN "free" ELSE lock[n],
  left |-> lease[n],
  late |-> late[n] = "release" /\ late_valid[n]]]

Modes == [n \in Node |-> IF mode[n] = "none" THEN "idle" ELSE mode[n]]

Stopped(named) == IF named = "request_start" THEN "stopped" ELSE named  \* it is on its way to started
Record(named, home, generation, answered) == [
  state |-> Stopped(named),
  home |-> home,
  acked |-> named = "freeze" /\ generation = gen[home],
  answered |-> answered]
Documents == [s \in Service |->
  Record(state[s], at[s], ack[s], state[s] \in {"new", "request_stop"} /\ answer[s] = "success")]

Written == {row \in ServiceRows : row[3] # "request_start"}
Becoming == [id \in {row[1] : row \in Written} |-> (CHOOSE row \in Written : row[1] = id)[3]]
Target(m) == IF dest[m] = None THEN about[m] ELSE dest[m]
Plans == [m \in Manager |->
  IF plan[m] \notin DOMAIN Becoming THEN {}
  ELSE {[of |-> about_service[m], record |-> Record(Becoming[plan[m]], Target(m), read_gen[m], FALSE)]}]

(* The view is kept in a variable beside those of Model: TLC then computes it once a state. *)
VARIABLE seen
View == [node |-> Nodes, runs |-> Runs, lock |-> Locks, mode |-> Modes, record |-> Documents, plan |-> Plans,
         master |-> holder]
Watched == Init /\ seen = View /\ [][Next /\ seen' = View']_<<vars, seen>>

Abstract == INSTANCE HACluster WITH  \* whatever may go wrong there, may
  Crm <- Manager, Nobody <- None, W <- watchdog_s, R <- reset_s, L <- lock_ttl_s,
  Failing <- Node, Updated <- Node, Operated <- TRUE, Survivors <- {},
  RecheckAfterArming <- TRUE, ActiveOnlyGuarded <- TRUE, Generations <- TRUE,
  MarkFirst <- TRUE, ReleaseChecked <- TRUE, TokenChecked <- TRUE,
  node <- seen.node, runs <- seen.runs, lock <- seen.lock, mode <- seen.mode, record <- seen.record,
  plan <- seen.plan, master <- seen.master, calm <- FALSE

----------------------------------------------------------------------------
(* Two steps of HACluster that Model takes as one. *)

Reboot(n) ==  \* Crash, PowerOn
  seen' = [seen EXCEPT !.node[n] = [Abstract!Dead EXCEPT !.phase = "wait_for_agent_lock"],
                       !.runs = [s \in Service |-> @[s] \ {n}]]

Gone(n) ==  \* Exit, ReleaseArrives: at once, or never
  /\ seen.node[n].phase = "active.left"
  /\ LET left == [seen EXCEPT !.node[n].phase = "exited", !.node[n].told = FALSE]
         freed == [left EXCEPT !.lock[n] = [owner |-> "free", left |-> 0, late |-> FALSE]]
     IN seen' = left \/ (seen.lock[n].owner = "lrm" /\ seen' = freed)

Begins == Abstract!Init
Steps == [][UNCHANGED seen \/ Abstract!Next \/ \E n \in Node : Reboot(n) \/ Gone(n)]_seen
==============================================================================
