"""The inductive invariant, proved by Z3 for any number of nodes, services and masters and for dense time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

from hacore.protocol.table import Table
from model_check.invariants import CONJUNCTS
from model_check.outcome import Check, Verdict
from model_check.properties import SAFETY
from model_check.prove import Obligation, prove_all
from model_check.prove import Verdict as Proof
from model_check.theorem import prover

Watch = Callable[[Obligation, int], None]
MIXED = (
    "The old version's steps keep what the new version's steps keep, so a cluster of both keeps it: for any number of "
    "nodes, services and masters, and dense time."
)
SHOWN = 10
"""Of the obligations that are not met."""


Source = Callable[[], Mapping[str, Table]]
"""Gives tables; it can be pickled."""


def proved(tables: Source | None = None, watch: Watch | None = None, old: Source | None = None) -> Check:
    """All obligations, on two processors. ``tables``: what gives them, if not hacore's own. With ``old``: of the steps
    that only those tables have. Another invariant may hold of these, so not to prove this one breaks no promise."""
    begin = time.perf_counter()
    obligations: list[Obligation] = []
    for obligation in prove_all(partial(prover, tables=tables, old=old)):
        obligations.append(obligation)
        if watch:
            watch(obligation, len(obligations))
    unmet = [it for it in obligations if it.verdict is not Proof.PROVED]
    refuted = any(it.verdict is Proof.REFUTED for it in unmet)
    return Check(
        group="upgrade" if old else "prove",
        name="invariants",
        sentence=MIXED if old else "Inductive, for any number of nodes, services and masters, and dense time.",
        verdict=Verdict.SAFETY if refuted and not old else Verdict.BROKEN if unmet else Verdict.PASSED,
        seconds=time.perf_counter() - begin,
        figures={
            "obligations": len(obligations),
            "proved": len(obligations) - len(unmet),
            "conjuncts": len(CONJUNCTS),
            "properties": len(SAFETY),
        },
        problem="\n".join(map(str, unmet[:SHOWN])),
    )
