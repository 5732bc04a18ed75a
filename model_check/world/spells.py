"""Trouble that comes in spells, so that one can ask what happens outside of them.

In most slices any call may fail at any moment, and any daemon may pause for ever. There nothing need ever happen, and
nobody can say that a node was reset without need. In a slice with ``spells`` a node is in trouble or *connected*.

- In trouble it is cut off: none of its calls is answered, its LRM is as slow as it likes, masters may take it for lost,
  it may lose power. Once they have *missed* it, they take it for lost until it is back.
- Connected, its calls are answered, masters see it, and its LRM is prompt: time passes only if it has ended a round
  since time last passed. So a round takes less than two ticks.

Spells begin and end at any moment; a single lost answer is a short one. A CRM is killed only while some node is in
trouble. Otherwise a master loses its lock to nobody, and the calls of CRMs are answered always; they may still pause.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from model_check.lang import BOOL, FALSE, TRUE, Context, Enum, Expr, Field, Model, every, ite, some
from model_check.world.fields import Dimensions, faulty, in_fence
from model_check.world.rows import UNKNOWN, Maybe
from model_check.world.slices import Slice


@dataclass(frozen=True)
class Spells:
    """What a world with spells has besides; nothing in a world without."""

    dims: Dimensions
    slice: Slice
    losses: frozenset[str]
    """Rows by which a master gives up a node: their target is ``fence``."""

    def fields(self) -> Iterator[Field]:
        node = (self.dims.node,)
        if self.slice.spells:
            yield Field("trouble", Enum("trouble", ("none", "cut", "missed")), node, "none", TROUBLE)
            yield Field("owed", BOOL, node, False, "Time has passed since its LRM last ended a round.")
            yield Field("excuse", Enum("excuse", ("none", "renewed", "some")), node, "none", EXCUSE)

    def troubled(self, c: Context, n: Expr) -> Expr:
        """Anything may go wrong on this node now."""
        return (c.trouble[n] != "none") if self.slice.spells else faulty(self.dims, self.slice, n)

    def anywhere(self, c: Context) -> Expr:
        """Anything may go wrong on some node now; in a world without spells on none in particular."""
        return some(self.dims.node, lambda n: c.trouble[n] != "none") if self.slice.spells else TRUE

    def answered(self, c: Context, n: Expr) -> Expr:
        """The store may answer this node."""
        return (c.trouble[n] == "none") if self.slice.spells else TRUE

    def lost(self, c: Context, n: Expr) -> Maybe:
        """A master takes the node for lost. Where anything may go wrong it does so rightly or not."""
        if not self.slice.has("suspect"):
            return Maybe(FALSE, FALSE)
        return Maybe(self.troubled(c, n), c.trouble[n] == "missed" if self.slice.spells else FALSE)

    def online(self, c: Context, n: Expr) -> Maybe:
        """A master has seen the node lately."""
        return Maybe(c.trouble[n] != "missed" if self.slice.spells else TRUE, ~self.lost(c, n).may)

    def lock_expired(self, c: Context, m: Expr) -> Maybe:
        """The manager lock is to be had."""
        if not self.slice.spells:
            return UNKNOWN
        return Maybe.of(~some(self.dims.manager, lambda k: (k != m) & c.token[k]))

    def masters(self, *_: object, **__: object) -> tuple[Expr, Expr]:
        """Where calls of a master may be answered, and where they may fail."""
        return TRUE, FALSE if self.slice.spells else TRUE

    def add(self, model: Model) -> None:
        def begins(c: Context, n: Expr) -> None:
            c.when(c.trouble[n] == "none", faulty(self.dims, self.slice, n))
            c.trouble[n] = "cut"
            c.excuse[n] = "some"

        def is_missed(c: Context, n: Expr) -> None:
            c.when(c.trouble[n] == "cut")
            c.trouble[n] = "missed"

        def ends(c: Context, n: Expr) -> None:
            c.when(c.trouble[n] != "none")
            c.trouble[n] = "none"

        if self.slice.spells:
            model.add("world.node_is_cut_off", begins, {"n": self.dims.node})
            if self.slice.has("suspect"):
                model.add("world.node_is_missed", is_missed, {"n": self.dims.node})
            model.add("world.node_is_back", ends, {"n": self.dims.node})

    # ----------------------------------------------------------------------------------------------------- the pace

    def time_passes(self, c: Context) -> None:
        """No LRM of a connected node is made to wait for longer than that."""
        if self.slice.spells:
            c.when(every(self.dims.node, lambda n: (c.trouble[n] != "none") | ~c.owed[n] | (c.lrm[n] == "exited")))
            c.owed[:] = True

    def round_over(self, c: Context, n: Expr) -> None:
        if self.slice.spells:
            c.owed[n] = False

    # --------------------------------------------------------------------------------------------------- the excuse

    def renewal_granted(self, c: Context, n: Expr) -> None:
        """The deadline that will follow from it was asked for outside of a spell, and no master has given us up."""
        if self.slice.spells:
            c.excuse[n] = ite((c.excuse[n] == "some") & ~self._given_up(c, n), "renewed", c.excuse[n])

    def deadline_moved(self, c: Context, n: Expr) -> None:
        if self.slice.spells:
            c.excuse[n] = ite(c.excuse[n] == "renewed", "none", c.excuse[n])

    def _given_up(self, c: Context, n: Expr) -> Expr:
        """The node is marked, or a master is about to mark it."""
        planned = some(self.dims.manager, lambda m: (c.about[m] == n) & c.plan[m].isin(*self.losses))
        return (c.node_state[n] == "fence") | in_fence(c, self.dims, n) | planned


TROUBLE = "None, or: the node is cut off; it is, and masters have missed it."
EXCUSE = (
    "Why the watchdog may reset the node. Some: it was cut off since it sent the renewal that the deadline rests on, "
    "or a master had given it up by then. Renewed: a renewal is granted that ends this; the watchdog is not told yet."
)
