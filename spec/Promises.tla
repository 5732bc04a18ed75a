------------------------------- MODULE Promises -------------------------------
(* What must hold of module HACluster, by the names that the other checks use as well. Two     *)
(* promises are left to them: that a uid is executed once (uids are one bit here), and that no *)
(* healthy node is reset (steps take no time here, so nothing says who was too slow).          *)
EXTENDS HACluster

Untouched(s) == record[s].state \in {"freeze", "new"}

TypeOK ==
  /\ node \in [Node -> [phase : LrmStates \cup {"off"}, reset : 0..W+R, due : 0..W, told : BOOLEAN,
                        jobs : {{}} \cup {{<<s, what>>} : s \in Service, what \in {"start", "stop"}}]]
  /\ runs \in [Service -> SUBSET Node]
  /\ lock \in [Node -> [owner : {"free", "lrm", "fencing"}, left : 0..L, late : BOOLEAN]]
  /\ mode \in [Node -> {"idle", "active", "restart"}]
  /\ record \in [Service -> Records]
  /\ master \in Crm \cup {Nobody}
  /\ plan \in [Crm -> {{}} \cup {{[of |-> s, record |-> r]} : s \in Service, r \in Records}]
  /\ calm \in BOOLEAN
----------------------------------------------------------------------------
(* Nothing bad happens. *)

SingleOwner ==  \* No service runs on two nodes.
  \A s \in Service : Cardinality(runs[s]) <= 1

Covered ==  \* Why not: what runs ends before its node's lock can be taken, or else nobody touches it.
  \A s \in Service : \A n \in runs[s] :
    Untouched(s) \/ (lock[n].owner = "lrm" /\ node[n].reset > 0 /\ node[n].reset <= lock[n].left)

FenceBeforeRecover ==  \* What is to be recovered runs nowhere, and nobody is about to start it.
  \A s \in Service : record[s].state = "recovery" =>
    runs[s] = {} /\ \A n \in Node : \A job \in node[n].jobs : job[1] # s

OneMaster ==  \* Only the owner of the manager lock changes records.
  [][\A c \in Crm : plan[c] # {} /\ plan'[c] = {} /\ record' # record => c = master]_vars

FrozenUntouched ==  \* No move, and no worker begins, for what is frozen.
  [][\A s \in Service : record[s].state = "freeze" /\ record'[s].state = "freeze" =>
       /\ record'[s].home = record[s].home
       /\ \A n \in Node : \A job \in node'[n].jobs \ node[n].jobs : job[1] # s]_vars

SafeDisarm ==  \* A watchdog is closed only where no worker is on its way, and all that runs is untouched.
  [][\A n \in Node : node[n].reset > 0 /\ node'[n].reset = 0 /\ node'[n].phase # "off" =>
       node[n].jobs = {} /\ \A s \in Service : n \in runs[s] => Untouched(s)]_vars
----------------------------------------------------------------------------
(* No step goes where no rows go.                                                                *)
(*                                                                                               *)
(* A step of the LRM stands for one row or for several in succession, of which at most one has   *)
(* an effect outside the process, signs of life aside. That a node dies, or that a new process   *)
(* begins, is no step of an LRM. A step of a service stands for one row, or for several which    *)
(* the master takes in one go: through states in which no row lets a service stay.               *)

From(states, rows) == {row[3] : row \in {row \in rows : row[2] \in states}}
RECURSIVE Along(_, _)
Along(states, rows) ==
  LET more == states \cup From(states, rows) IN IF more = states THEN states ELSE Along(more, rows)

Silent == {row \in LrmRows : row[4] \in {"", "HEARTBEAT"}}
LrmMoves == [from \in LrmStates |->
  LET before == Along({from}, Silent) IN before \cup Along(From(before, LrmRows \ Silent), Silent)]

Passing == {row \in ServiceRows : \A other \in ServiceRows : row[2] # other[2] \/ other[2] # other[3]}
ServiceMoves == [from \in ServiceStates |-> Along(From({from}, ServiceRows), Passing)]

LrmStepsAreRows ==
  [][\A n \in Node : LET from == node[n].phase  to == node'[n].phase IN
       from \in {"off", "exited"} \/ to \in {"off"} \cup LrmMoves[from]]_vars

ServiceStepsAreRows ==
  [][\A s \in Service : LET from == record[s].state  to == record'[s].state IN
       from = to \/ to \in ServiceMoves[from]]_vars
----------------------------------------------------------------------------
(* Something good happens, once nothing fails any more. *)

AsWanted(s) ==
  \/ record[s].state = "started" /\ record[s].home \in runs[s]
  \/ record[s].state = "stopped"
  \/ Untouched(s) /\ ~On(record[s].home)  \* nobody can tell whether it runs: this is for people

Recovered ==  \* Whatever has failed, each service runs again, or is stopped as it was asked to.
  \A s \in Service : calm ~> AsWanted(s)

Thawed ==  \* A frozen service is thawed, if the LRM of its node comes back.
  \A s \in Service : calm /\ record[s].state = "freeze" /\ record[s].home \in Survivors ~> record[s].state # "freeze"

MasterEmerges ==  \* There is a master.
  calm ~> master \in Survivors
==============================================================================
