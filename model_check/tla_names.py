"""Names for TLA+ modules.

No name may be used for two things there, not even for a bound variable and an operator elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable
from itertools import count

RESERVED = """
ACTION ASSUME ASSUMPTION AXIOM BOOLEAN BY CASE CHOOSE CONSTANT CONSTANTS COROLLARY DEF DEFINE DEFS DOMAIN ELSE ENABLED
EXCEPT EXTENDS FALSE HAVE HIDE IF IN INSTANCE LAMBDA LEMMA LET LOCAL MODULE NEW OBVIOUS OMITTED ONLY OTHER PICK PROOF
PROPOSITION PROVE QED RECURSIVE STATE STRING SUBSET SUFFICES TAKE TEMPORAL THEN THEOREM TRUE UNCHANGED UNION USE
VARIABLE VARIABLES WITNESS WITH Nat Permutations Any Assert JavaTime Print PrintT RandomElement SortSeq TLCEval TLCGet
TLCSet ToString TypeOK Init Next Spec vars Symmetry Holds Nearer Least"""


class Names:
    """The identifiers of one module, by what they stand for. None ends with an underline: those are for helpers."""

    def __init__(self) -> None:
        self.of: dict[Hashable, str] = {}
        self._bound: set[str] = set()
        self._taken = set(RESERVED.split())

    def give(self, thing: Hashable, wish: str) -> str:
        """The name of a thing; when it has none yet, the one wished for, or one much like it."""
        if thing not in self.of:
            self.of[thing] = self._free(wish, self._bound)
            self._taken.add(self.of[thing])
        return self.of[thing]

    def bind(self, wish: str, scope: Collection[str]) -> str:
        """A name for a bound variable."""
        name = self._free(wish, scope)
        self._bound.add(name)
        return name

    def _free(self, wish: str, others: Collection[str]) -> str:
        plain = re.sub(r"\W+", "_", wish, flags=re.ASCII).strip("_")
        plain = plain if re.match(r"(?![WS]F_)\w*[A-Za-z]", plain) else f"x{plain}"
        tries = (plain if number == 1 else f"{plain}_{number}" for number in count(1))
        return next(name for name in tries if name not in self._taken and name not in others)
