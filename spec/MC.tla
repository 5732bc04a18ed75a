---------------------------------- MODULE MC ----------------------------------
(* For TLC. Each MC*.cfg beside this is one run: it says how many there are of everything, what *)
(* may happen to them, and what is checked. One that begins with "Must fail" takes one          *)
(* precaution away, and names the promise that is broken then.                                  *)
EXTENDS Promises, TLC

CrmSymmetry == Permutations(Crm)
Symmetry == Permutations(Node) \cup CrmSymmetry
==============================================================================
