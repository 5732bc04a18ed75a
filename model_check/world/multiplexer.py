"""The watchdog multiplexer of one node, its clients and its hardware: whether its table keeps what the world relies on.

The world (:mod:`model_check.world`) only knows the contract: an accepted deadline that is not moved or closed in time
ends everything on the node ``reset_s`` after it. Here the rows of the multiplexer's own table are taken, and what each
client was promised is noted beside them. A request counts from the look at the clock by which a row is chosen; the
row's effect comes later, after a pause of any length. Requests wait for as long as they like, clients vanish, and the
multiplexer is killed and started again. The hardware ends everything when it has not been fed for its timeout.

Left out: the margin in ``reset_s``, which is for hardware that fires late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hacore.protocol import timing
from hacore.protocol import watchdog as protocol
from hacore.protocol.table import Action, Fact, Row, Table
from hacore.protocol.tables import TABLES
from model_check.lang import (
    BOOL,
    FALSE,
    OFF,
    TRUE,
    Context,
    Domain,
    Duration,
    Enum,
    Expr,
    Field,
    Model,
    Ref,
    Timer,
    after,
    ahead,
    every,
    implies,
    ite,
    later,
    no_later,
    passed,
    some,
)
from model_check.world.rows import firing

VERBS = ("none", "open", "keepalive", "close", "gone")
REPLIES = frozenset({protocol.ACCEPT, protocol.REFUSE})


@dataclass(frozen=True)
class Size:
    """How many clients there are, and the durations in ticks, called as in :mod:`hacore.protocol.timing`."""

    clients: int = 2
    watchdog_s: int = 3
    hardware_s: int = 3
    feed_s: int = 1
    margin_s: int = 0

    @property
    def reset_s(self) -> int:
        return int(timing.reset_s(self))


SMALL = Size()


class Multiplexer:
    """Builds the model of one multiplexer."""

    def __init__(self, size: Size, table: Table) -> None:
        self.client = Domain("Client", size.clients)
        self.watchdog, self.hardware, self.feed, self.reset = (
            Duration(name, getattr(size, name)) for name in ("watchdog_s", "hardware_s", "feed_s", "reset_s")
        )
        self.table = table
        self.model = Model("watchdog", self._fields())
        self._rows()
        self._clients()
        self._world()
        for name, (_, formula) in PROMISES.items():
            self.model.invariants[name] = formula(self.model.state(), self)

    def _fields(self) -> list[Field]:
        one, until = (self.client,), Timer(self.watchdog.ticks)
        chosen = Enum("row", ("none", *(row.id for row in self.table.rows if row.effect)))
        return [
            Field(
                "watchdog", Enum("state of watchdog", tuple(self.table.by_state)), (), self.table.initial, "Its state."
            ),
            Field("listening", BOOL, (), True, "Between two rounds."),
            Field("heard", Ref(self.client, none=True), (), None, "Whose message it has taken."),
            Field("chosen", chosen, (), "none", "The row whose effect is still to come."),
            Field("opened", BOOL, (), False, "The hardware could be opened."),
            Field("feed", Timer(self.feed.ticks), (), 0, "When the next feeding is due."),
            Field("admitted", BOOL, one, False, "The client is noted."),
            Field("deadline", until, one, 0, "The deadline that is noted."),
            Field("vanished", BOOL, one, False, "It has gone without closing."),
            Field("asks", Enum("verb", VERBS), one, "none", "The client's message that is not answered yet."),
            Field("wish", until, one, 0, "The deadline in that message."),
            Field("mine", BOOL, one, False, "The client knows that it is admitted."),
            Field(
                "owed", BOOL, one, False, "The node's end was promised to the client, and it has not closed in time."
            ),
            Field("dog", Timer(self.watchdog.ticks + self.reset.ticks), one, 0, "By when: deadline and reset_s."),
            Field("armed", BOOL, (), False, "The hardware runs."),
            Field("hardware", Timer(self.hardware.ticks), (), 0, "When it ends everything."),
            Field("ran", BOOL, (), False, "The multiplexer has ended a round since time last passed."),
            Field("tardy", BOOL, (), False, "Since it was armed, it once had not, or was in the middle of one."),
        ]

    # ------------------------------------------------------------------------------------------------------- rows

    def facts(self, c: Context) -> Mapping[Fact, Expr]:
        def says(verb: str, admitted: bool) -> Expr:
            known = c.admitted[c.heard] if admitted else ~c.admitted[c.heard]
            return ~c.heard.is_none() & (c.asks[c.heard] == verb) & known

        return {
            protocol.OPEN_ASKED: says("open", admitted=False),
            protocol.MOVE_ASKED: says("keepalive", admitted=True),
            protocol.CLOSE_ASKED: says("close", admitted=True),
            protocol.VANISHED: says("gone", admitted=True),
            protocol.MESSAGE: ~c.heard.is_none() & ~(c.asks[c.heard] == "gone"),
            protocol.DOOMED: some(self.client, lambda k: c.vanished[k]),
            protocol.LAST_CLIENT: c.admitted[c.heard] & every(self.client, lambda k: ~c.admitted[k] | (c.heard == k)),
            protocol.HARDWARE_OPEN: c.opened,
            protocol.DEADLINE_AHEAD: ahead(c.wish[c.heard]),
            protocol.ALL_AHEAD: every(self.client, lambda k: ~c.admitted[k] | ahead(c.deadline[k])),
            protocol.FEED_DUE: passed(c.feed),
        }

    def _rows(self) -> None:
        c = self.model.state()
        facts = self.facts(c)
        for rows in self.table.by_state.values():
            fires = firing(rows, lambda fact: facts[fact])
            for row in rows:
                self._add_row(row, fires[row.id])

    def _add_row(self, row: Row, fires: Expr) -> None:
        def look(c: Context) -> None:
            c.when(~c.listening, c.chosen == "none", c.watchdog == row.state, fires)
            if row.effect is None:
                self._perform(c, row)
                return
            c.chosen = row.id
            self._promise(c, row)
            if {protocol.OPEN_HARDWARE, protocol.FEED_HARDWARE} & set(row.do):
                c.feed = after(self.feed)

        def effect(c: Context) -> None:
            c.when(c.chosen == row.id)
            c.chosen = "none"
            self._perform(c, row)

        self.model.add(row.id, look, {}, row=row.id)
        if row.effect is not None:
            self.model.add(f"{row.id} (done)", effect, {}, row=row.id)

    def _promise(self, c: Context, row: Row) -> None:
        """What the client may rely on from now on, if this row answers it."""
        k, do = c.heard, set(row.do)
        in_time = ahead(c.dog[k], self.reset)
        if {protocol.ADMIT, protocol.ACCEPT} <= do:
            c.owed[k] = True
            c.dog[k] = later(c.wish[k], self.reset)
        elif {protocol.CLOSE_HARDWARE, protocol.DISMISS} & do:
            c.owed[k] = c.owed[k] & ~in_time
        elif protocol.ACCEPT in do:
            c.dog[k] = ite(in_time, later(c.wish[k], self.reset), c.dog[k])

    def _perform(self, c: Context, row: Row) -> None:
        for action in row.do:
            self._effects[action](self, c)
        if row.target != row.state:
            c.watchdog = row.target
        if row.ends_round:
            c.listening = True
            c.ran = True
            c.heard = None
            if REPLIES.isdisjoint(row.do):
                c.asks[:] = lambda k: ite((c.heard == k) & (c.asks[k] == "gone"), "none", c.asks[k])

    def _open(self, c: Context) -> None:
        """What an earlier multiplexer left armed cannot be opened."""
        c.opened = ~c.armed
        c.hardware = ite(c.armed, c.hardware, after(self.hardware))
        c.armed = True

    def _feed(self, c: Context) -> None:
        c.hardware = after(self.hardware)

    def _close(self, c: Context) -> None:
        c.armed = False
        c.hardware = OFF
        c.tardy = False

    def _accept(self, c: Context) -> None:
        k = c.heard
        c.mine[k] = ~(c.asks[k] == "close")
        c.asks[k] = "none"

    def _refuse(self, c: Context) -> None:
        c.asks[c.heard] = "none"

    def _admit(self, c: Context) -> None:
        c.admitted[c.heard] = True
        self._move(c)

    def _move(self, c: Context) -> None:
        c.deadline[c.heard] = c.wish[c.heard]

    def _dismiss(self, c: Context) -> None:
        c.admitted[c.heard] = False
        c.deadline[c.heard] = OFF

    def _doom(self, c: Context) -> None:
        c.vanished[c.heard] = True

    _effects: Mapping[Action, Callable[[Multiplexer, Context], None]] = {
        protocol.OPEN_HARDWARE: _open,
        protocol.FEED_HARDWARE: _feed,
        protocol.CLOSE_HARDWARE: _close,
        protocol.ACCEPT: _accept,
        protocol.REFUSE: _refuse,
        protocol.ADMIT: _admit,
        protocol.MOVE: _move,
        protocol.DISMISS: _dismiss,
        protocol.DOOM: _doom,
    }

    # ------------------------------------------------------------------------------------------ clients and the world

    def _clients(self) -> None:
        one = {"k": self.client}

        def asks(verb: str, admitted: bool) -> Callable[..., None]:
            def ask(c: Context, k: Expr) -> None:
                c.when(c.asks[k] == "none", c.mine[k] == (TRUE if admitted else FALSE))
                c.asks[k] = verb
                c.wish[k] = after(self.watchdog)

            return ask

        def vanishes(c: Context, k: Expr) -> None:
            c.when(c.asks[k] == "none", c.mine[k])
            c.asks[k] = "gone"
            c.mine[k] = False

        self.model.add("world.client_opens", asks("open", admitted=False), one)
        self.model.add("world.client_moves", asks("keepalive", admitted=True), one)
        self.model.add("world.client_closes", asks("close", admitted=True), one)
        self.model.add("world.client_vanishes", vanishes, one)

        def hears(c: Context, k: Expr) -> None:
            c.when(c.listening, ~(c.watchdog == "expired"), ~(c.asks[k] == "none"))
            c.listening = False
            c.heard = k

        def hears_nothing(c: Context) -> None:
            c.when(c.listening, ~(c.watchdog == "expired"))
            c.listening = False

        self.model.add("world.message_arrives", hears, one)
        self.model.add("world.no_message_arrives", hears_nothing, {})

    def _world(self) -> None:
        def time_passes(c: Context) -> None:
            c.when(~(c.armed & passed(c.hardware)))
            c.tardy = c.armed & (c.tardy | ~c.ran | ~c.listening)
            c.ran = False

        def ends(c: Context) -> None:
            c.when(c.armed, passed(c.hardware))
            self._begin_anew(c)
            c.owed[:] = False
            c.dog[:] = OFF
            c.armed = False
            c.hardware = OFF
            c.tardy = False

        def dies(c: Context) -> None:
            self._begin_anew(c)
            c.tardy = c.armed

        self.model.add("world.time_passes", time_passes, {}, ticks=True)
        self.model.add("world.hardware_resets", ends, {})
        self.model.add("world.watchdog_dies", dies, {})

    def _begin_anew(self, c: Context) -> None:
        """The multiplexer's process begins anew; its clients have lost it."""
        c.watchdog = self.table.initial
        c.listening = True
        c.ran = False
        c.heard = None
        c.chosen = "none"
        c.opened = False
        c.feed = OFF
        for field in ("admitted", "vanished", "mine"):
            getattr(c, field)[:] = False
        c.asks[:] = "none"
        c.deadline[:] = OFF
        c.wish[:] = OFF


# ----------------------------------------------------------------------------------------------------------- promises


def ends_in_time(c: Context, it: Multiplexer) -> Expr:
    return every(it.client, lambda k: ~c.owed[k] | ~passed(c.dog[k]))


def stays_armed(c: Context, it: Multiplexer) -> Expr:
    return every(it.client, lambda k: implies(c.owed[k], c.armed))


def no_needless_reset(c: Context, it: Multiplexer) -> Expr:
    late = some(it.client, lambda k: c.owed[k] & ~ahead(c.dog[k], it.reset))
    return implies(c.armed & passed(c.hardware), c.tardy | late)


def keeps_its_word(c: Context, it: Multiplexer) -> Expr:
    def kept(k: Expr) -> Expr:
        noted = later(c.deadline[k], it.reset)
        return no_later(noted, c.dog[k]) & no_later(c.dog[k], noted)

    settled = c.chosen == "none"
    return every(it.client, lambda k: implies(settled & c.admitted[k] & ahead(c.deadline[k]), kept(k)))


PROMISES: dict[str, tuple[str, Callable[[Context, Multiplexer], Expr]]] = {
    "EndsInTime": (
        "When a client's deadline has passed, everything on the node ends within reset_s, whatever the multiplexer "
        "does.",
        ends_in_time,
    ),
    "StaysArmed": ("While a client is open, the hardware runs: only the last close disarms it.", stays_armed),
    "NoNeedlessReset": (
        "While all deadlines lie ahead and the multiplexer runs in time, nothing is reset.",
        no_needless_reset,
    ),
    "KeepsItsWord": ("The deadline that counts is the last that was accepted; a refusal moves none.", keeps_its_word),
}
"""Sentences and formulas."""


def multiplexer(tables: Mapping[str, Table] = TABLES, size: Size = SMALL) -> Model:
    """The model, with its promises as invariants."""
    return Multiplexer(size, tables["watchdog"]).model
