"""The watchdog multiplexer's table: when the hardware is fed, and when never again.

See :data:`THEORY`; PROTOCOL sections 1 and 11 point 3.
"""

from __future__ import annotations

from hacore.protocol.table import ALWAYS, Action, Checker, Fact, Row, Site, State, Table

THEORY = """
The multiplexer owns the node's one hardware watchdog and shares it among clients.

1. A client hands over an absolute deadline. The hardware is fed only while the deadline of every client lies ahead.
2. A deadline that has passed cannot be moved any more: the multiplexer never feeds again, and the hardware resets the
   node. Only a close before the deadline, or a later deadline before it, averts that.
3. A client that vanishes without closing keeps its deadline. Nobody can move it now, so the node will be reset; until
   then no new client is admitted, because it could only be reset too.
4. The clock is looked at before each feeding. If the multiplexer is paused between that look and the feeding, it may
   feed once after a deadline; the hardware's timeout bounds that pause. So the node is reset at the latest *twice* the
   hardware's timeout after the first deadline that passed (``reset_s`` in the timing).
5. If the multiplexer itself dies while armed, nobody feeds, and the hardware resets the node. Hardware that an earlier
   multiplexer left armed cannot be opened: to open and close it again would disarm what services still rely on.
"""

OPEN_ASKED = Fact("OPEN_ASKED", Checker.LOCAL, "A client that is not yet admitted asks to open.")
MOVE_ASKED = Fact("MOVE_ASKED", Checker.LOCAL, "An admitted client asks to move its deadline.")
CLOSE_ASKED = Fact("CLOSE_ASKED", Checker.LOCAL, "An admitted client asks to close.")
VANISHED = Fact("VANISHED", Checker.LOCAL, "An admitted client has gone without closing.")
MESSAGE = Fact("MESSAGE", Checker.LOCAL, "A client waits for an answer.")
DOOMED = Fact("DOOMED", Checker.LOCAL, "An earlier client vanished without closing.")
LAST_CLIENT = Fact("LAST_CLIENT", Checker.LOCAL, "Only the client that asks is admitted.")
HARDWARE_OPEN = Fact("HARDWARE_OPEN", Checker.LOCAL, "The hardware watchdog could be opened.")
DEADLINE_AHEAD = Fact("DEADLINE_AHEAD", Checker.DEVICE, "The deadline in the message lies ahead of the clock.")
ALL_AHEAD = Fact("ALL_AHEAD", Checker.DEVICE, "Every admitted client's deadline lies ahead of the clock.")
FEED_DUE = Fact("FEED_DUE", Checker.DEVICE, "The time for the next feeding has come.")

OPEN_HARDWARE = Action("OPEN_HARDWARE", Site.DEVICE, "Open the hardware watchdog, which arms it.")
FEED_HARDWARE = Action("FEED_HARDWARE", Site.DEVICE, "Feed the hardware watchdog.")
CLOSE_HARDWARE = Action("CLOSE_HARDWARE", Site.DEVICE, "Disarm and close the hardware watchdog.")
ACCEPT = Action("ACCEPT", Site.DEVICE, "Answer the client that its request holds.")
REFUSE = Action("REFUSE", Site.DEVICE, "Answer the client that its request does not hold.")
ADMIT = Action("ADMIT", Site.LOCAL, "Note the client and its deadline.")
MOVE = Action("MOVE", Site.LOCAL, "Note the client's new deadline.")
DISMISS = Action("DISMISS", Site.LOCAL, "Forget the client and its deadline.")
DOOM = Action("DOOM", Site.LOCAL, "Note that this client's deadline can never be moved again.")

WATCHDOG = Table(
    "watchdog",
    THEORY,
    (
        State("closed", "No client, the hardware is disarmed."),
        State("opening", "The hardware was asked to open.", "closed"),
        State("armed", "At least one client; the hardware runs and is fed."),
        State("closing", "The last client has closed, the hardware is disarmed.", "armed"),
        State("expired", "A deadline has passed: nobody is fed or answered again, the node will be reset.", final=True),
    ),
    (
        Row("watchdog.closed.open", "closed", OPEN_ASKED & DEADLINE_AHEAD, "opening", do=(OPEN_HARDWARE,)),
        Row("watchdog.closed.refuse", "closed", MESSAGE, "closed", do=(REFUSE,), ends_round=True),
        Row("watchdog.closed.wait", "closed", ALWAYS, "closed", ends_round=True),
        Row("watchdog.opening.admit", "opening", HARDWARE_OPEN, "armed", do=(ADMIT, ACCEPT), ends_round=True),
        Row("watchdog.opening.fail", "opening", ALWAYS, "closed", do=(REFUSE,), ends_round=True),
        Row("watchdog.armed.expire", "armed", ~ALL_AHEAD, "expired", ends_round=True, why="from here on nobody feeds"),
        Row("watchdog.armed.feed", "armed", FEED_DUE, "armed", do=(FEED_HARDWARE,)),
        Row(
            "watchdog.armed.admit",
            "armed",
            OPEN_ASKED & DEADLINE_AHEAD & ~DOOMED,
            "armed",
            do=(ADMIT, ACCEPT),
            ends_round=True,
        ),
        Row("watchdog.armed.move", "armed", MOVE_ASKED & DEADLINE_AHEAD, "armed", do=(MOVE, ACCEPT), ends_round=True),
        Row("watchdog.armed.close", "armed", CLOSE_ASKED & LAST_CLIENT, "closing", do=(CLOSE_HARDWARE,)),
        Row("watchdog.armed.dismiss", "armed", CLOSE_ASKED, "armed", do=(DISMISS, ACCEPT), ends_round=True),
        Row("watchdog.armed.vanish", "armed", VANISHED, "armed", do=(DOOM,), ends_round=True),
        Row("watchdog.armed.refuse", "armed", MESSAGE, "armed", do=(REFUSE,), ends_round=True),
        Row("watchdog.armed.wait", "armed", ALWAYS, "armed", ends_round=True),
        Row("watchdog.closing.done", "closing", ALWAYS, "closed", do=(DISMISS, ACCEPT), ends_round=True),
    ),
    assuming=(
        ~(OPEN_ASKED & MOVE_ASKED),
        ~(OPEN_ASKED & CLOSE_ASKED),
        ~(MOVE_ASKED & CLOSE_ASKED),
        ~(VANISHED & MESSAGE),
        ~(OPEN_ASKED & ~MESSAGE),
        ~(MOVE_ASKED & ~MESSAGE),
        ~(CLOSE_ASKED & ~MESSAGE),
    ),
)
