"""The slices in which mutants are tried: small ones, each with other troubles, and deeper ones for what is left open.

They begin where a service runs and is soon guarded, so that what goes wrong is a few steps away. All the small ones are
explored to the end, so what never happens there never does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model_check.world.slices import Slice


@dataclass(frozen=True)
class Ground:
    """A slice, and the tables whose mutants are tried in it."""

    slice: Slice
    tables: frozenset[str]
    large: bool = False
    """For what has not been seen in the others, and for what is not proved safe."""


ALL = "lrm crm service node disarm worker"


def _ground(name: str, happens: str, tables: str = ALL, *, large: bool = False, **more: Any) -> Ground:
    troubles = happens.replace(" ", ", ").replace("_", " ")
    settings = {"faulty": 1, "serving": True, "generations": 1, **more}
    return Ground(
        Slice(name, f"May happen: {troubles}.", frozenset(happens.split()), **settings),
        frozenset(tables.split()),
        large,
    )


SMALL = (
    _ground("suspect", "suspect"),
    _ground("one restart", "restart", "lrm crm service", nodes=1, generations=2),
    _ground("one failing", "stop dies start_fails stop_fails move", "lrm service worker", nodes=1, faulty=0),
    _ground("one shut down", "shutdown", "lrm service worker", nodes=1, policy="freeze"),
    _ground("one emptied", "maintenance", "lrm service node", nodes=1, serving=False),
    _ground("one new", "idle crash unguarded suspect", nodes=1, serving=False),
    _ground("one killed", "lrm_dies lapse", "lrm worker", nodes=1),
    _ground("one refused", "refuse lapse crash", "lrm", nodes=1),
    _ground("stop", "stop", "lrm service worker", faulty=0),
    _ground("one crash, late", "crash late suspect", "lrm crm service node", nodes=1),
    _ground("new, restart", "idle unguarded restart", "lrm service worker", nodes=1),
    _ground("move", "move", "lrm service worker crm", faulty=0),
    _ground("new", "idle suspect unguarded", "lrm service crm worker node", serving=False),
    _ground("one restart, late", "restart late", "lrm service", nodes=1, generations=2),
    _ground("one disarm", "disarm crash", "lrm service disarm node", nodes=1),
    _ground("crash", "crash lapse", "lrm crm worker", serving=False),
    _ground("killed", "lrm_dies suspect", "lrm service worker crm node"),
    _ground("one disarm, suspect", "disarm suspect", "lrm service disarm node", nodes=1),
    _ground("unanswered", "suspect unanswered crash", "lrm crm service node"),
    _ground("one powered off", "suspect power lapse", "crm service node", nodes=1),
    _ground("powered off", "suspect power", "crm service node"),
    _ground("one disarm, late", "disarm late", "lrm service disarm", nodes=1),
    _ground("one disarm, restart", "disarm restart", "lrm service disarm", nodes=1, generations=2, large=True),
    _ground("update", "suspect restart", "lrm service crm", large=True),
    _ground("one, two masters", "suspect", "crm service node disarm", nodes=1, managers=2, large=True),
    _ground("one master killed", "manager_dies retire suspect", "crm", nodes=1, managers=2, large=True),
    _ground("one emptied, disarm", "maintenance disarm", "lrm service node disarm", nodes=1, large=True),
    _ground("emptied", "maintenance suspect", "lrm service node", large=True),
    _ground("shut down", "shutdown suspect", "lrm service", large=True),
    _ground("move, suspect", "move suspect", "service worker lrm crm", large=True),
    _ground("shut down, freeze", "shutdown suspect", "lrm service", policy="freeze", large=True),
    _ground("shut down, migrate", "shutdown move", "lrm service", policy="migrate", large=True),
)
"""Those that catch most come first, then the smaller ones: of ten thousand states to a million."""

DEEP = (
    _ground("failover", "crash lapse suspect", serving=False),
    _ground("lapse", "lapse suspect"),
    _ground("two masters", "suspect", "crm service node", managers=2),
    _ground("update, crash", "suspect restart crash", "lrm service crm node"),
    _ground("updates", "suspect restart lapse", "lrm service crm node", generations=2),
    _ground("late", "suspect restart late", "lrm service crm node", generations=2),
    _ground("crash, late", "crash late suspect", "lrm service crm node"),
    _ground("disarm", "disarm suspect", "lrm service disarm node crm"),
    _ground("disarm, late", "disarm late restart", "lrm service disarm", nodes=1, generations=2),
    _ground("stop, suspect", "stop suspect", "service worker lrm"),
    _ground("killed, late", "lrm_dies lapse suspect unanswered", "lrm worker service"),
    _ground("failing", "dies start_fails stop_fails stop move suspect", "service worker lrm"),
)
"""Too large to be explored to the end. What the proof needs tells where to begin."""


NAMED = {it.slice.name: it.slice for it in (*SMALL, *DEEP)}
__all__ = ["DEEP", "NAMED", "SMALL", "Ground"]
