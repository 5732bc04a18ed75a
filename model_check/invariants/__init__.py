"""Why a service never runs twice, as an inductive invariant: a conjunction that every step of the world keeps.

Each conjunct is one sentence of the argument in docs/protocol.md. Z3 proves that all together hold at the start and are
kept by every action, for any number of nodes, services and masters and for dense time (:mod:`model_check.prove`); the
explorer checks the same formulas on every state that it visits.
"""

from model_check.invariants.node import ON_NODES
from model_check.invariants.plans import IN_PLANS
from model_check.invariants.records import IN_RECORDS

CONJUNCTS = (*ON_NODES, *IN_RECORDS, *IN_PLANS)

__all__ = ["CONJUNCTS"]
