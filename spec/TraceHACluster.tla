------------------------------ MODULE TraceHACluster ------------------------------
(* A trace of daemons, simulated or real, is a behaviour of HACluster: TLC takes, event by    *)
(* event, the step that the event stands for, and must come to the trace's end. What a trace  *)
(* does not show, it finds: how time passes, when an LRM doubts whether it was heard, whether *)
(* a request that had no answer has happened, and whether the service ran to begin with.      *)
(*                                                                                            *)
(* Module TraceSteps is generated: of one service, the sequence Trace of events.              *)
EXTENDS HACluster, TraceSteps, Sequences, TLC

VARIABLE at  \* how many events have happened, and the next one
Service_ == CHOOSE s \in Service : TRUE

(* Decide and Write at once: nothing may come between in a trace, which shows only the write. *)
Writes(c, state, home) ==
  /\ master = c
  /\ \E r \in Decisions(Service_) :
       /\ r.state = state /\ r.home = home
       /\ state = "recovery" => lock[home].owner = "fencing"
       /\ record' = [record EXCEPT ![Service_] = r]
       /\ lock' = IF state = "recovery" THEN [lock EXCEPT ![home].owner = "free"] ELSE lock
  /\ UNCHANGED <<node, runs, mode, master, plan, calm>>

Same == UNCHANGED vars

Happens(e) ==
  LET n == e.node IN
  CASE e.do = "arm" -> Arm(n)
    [] e.do = "take" -> /\ Take(n) \/ Renew(n) \/ Retake(n)
                        /\ IF e.yes THEN lock'[n].owner = "lrm" ELSE node'[n].due = 0
    [] e.do = "feed" -> Feed(n)
    [] e.do = "late" -> FeedLate(n) \/ Refused(n)
    [] e.do = "refused" -> Refused(n)
    [] e.do = "mark" -> SeeMark(n)
    [] e.do = "active" -> SayActive(n)
    [] e.do = "idle" -> SayIdle(n)
    [] e.do = "restart" -> SayRestart(n)
    [] e.do = "report" -> Report(n, Service_)
    [] e.do = "spawn" -> Spawn(n, Service_)
    [] e.do = "work" -> Work(n)
    [] e.do = "leave" -> Leave(n)
    [] e.do = "close" -> CloseWatchdog(n)
    [] e.do = "exit" -> Exit(n)
    [] e.do = "released" -> ReleaseArrives(n) /\ lock'[n].owner = "free"
    [] e.do = "quit" -> Quit(n)
    [] e.do = "leave_lost" -> LeaveLost(n)
    [] e.do = "exit_lost" -> ExitLost(n)
    [] e.do = "return" -> Return(n)
    [] e.do = "crash" -> Crash(n) \/ (In(n, "off") /\ Same)
    [] e.do = "on" -> PowerOn(n)
    [] e.do = "master" -> TakeManagerLock(n)
    [] e.do = "write" -> Writes(n, e.state, e.home)
    [] e.do = "fence" -> TakeAgentLock(n, e.home)

TraceInit == Init /\ record[Service_].home = Home /\ at = 1
(* Time passes only before what depends on it: that is enough to find each way in which it may have passed. *)
Timely == {"take", "arm", "late", "refused", "close", "exit_lost", "fence"}
Hidden == (Trace[at].do \in Timely /\ Tick) \/ (Trace[at].do = "restart" /\ Doubt(Trace[at].node))
TraceNext ==
  /\ at <= Len(Trace)
  /\ \/ Hidden /\ at' = at
     \/ Happens(Trace[at]) /\ at' = at + 1
TraceSpec == TraceInit /\ [][TraceNext]_<<vars, at>>

NotConsumed == at <= Len(Trace)  \* If TLC finds this broken, it has come to the end.
Shown == IF TLCGet(1) < at THEN TLCSet(1, at) /\ PrintT(<<"event", at>>) ELSE TRUE
ASSUME TLCSet(1, 0)
==============================================================================
