"""The explorer: every state of a ground model, what holds in them, and how each of them comes about.

:func:`explore` visits all states by levels, so that what it finds is found at its shallowest; with C if there is a
compiler, else with numpy. :func:`story` tells how a state comes about. Whether one thing is always followed by another
is asked in :mod:`model_check.explore.live`, which needs scipy.
"""

from model_check.explore.result import Exploration, Progress, Seconds, Step
from model_check.explore.run import explore, ready
from model_check.explore.story import story
from model_check.explore.symmetry import SymmetryError

__all__ = [
    "Exploration",
    "Progress",
    "Seconds",
    "Step",
    "SymmetryError",
    "explore",
    "ready",
    "story",
]
