"""The watchdog multiplexer: meanings for the facts and actions of its table."""

from __future__ import annotations

from hacore.daemons.base import Machine, does, sees
from hacore.protocol import watchdog as protocol
from hacore.protocol.requests import (
    Accepted,
    Asking,
    Clock,
    CloseHardware,
    FeedHardware,
    Message,
    OpenHardware,
    Receive,
    Refused,
    Reply,
    Say,
    ask,
)
from hacore.protocol.table import Checker, Fact
from hacore.protocol.timing import Timing


class WatchdogMux(Machine):
    """One multiplexer. ``round()`` takes one message, or feeds the hardware, or both."""

    table = protocol.WATCHDOG
    name = "watchdog"

    def __init__(self, timing: Timing) -> None:
        super().__init__()
        self.timing = timing
        self.deadlines: dict[int, float] = {}
        """The deadline of each admitted client, on CLOCK_BOOTTIME; those that vanished keep theirs."""
        self.vanished: set[int] = set()
        self.message: Message | None = None
        self.now_s = 0.0
        self.feed_s = 0.0
        """When the next feeding is due."""
        self.opened = False

    def round(self) -> Asking[None]:
        """One round. Once in the final state the process must stay and do nothing: the hardware is armed."""
        self.message = yield from ask(Receive(self._until_s()))
        yield from self.steps()

    def _until_s(self) -> float:
        if self.state == "armed":
            return min(self.feed_s, *self.deadlines.values())
        return self.now_s + self.timing.feed_s

    def look(self, facts: tuple[Fact, ...]) -> Asking[None]:
        if any(fact.checker is Checker.DEVICE for fact in facts):
            self.now_s = yield from ask(Clock())

    def moved(self, before: str) -> Asking[None]:
        yield from ask(Say("watchdog_state", {"from": before, "to": self.shown}))

    def _asks(self, verb: str, *, admitted: bool) -> bool:
        return (
            self.message is not None
            and self.message.verb == verb
            and (self.message.client in self.deadlines) == admitted
        )

    @property
    def _client(self) -> int:
        return self.message.client if self.message else 0

    @sees(protocol.OPEN_ASKED)
    def _open_asked(self) -> bool:
        return self._asks("open", admitted=False)

    @sees(protocol.MOVE_ASKED)
    def _move_asked(self) -> bool:
        return self._asks("keepalive", admitted=True)

    @sees(protocol.CLOSE_ASKED)
    def _close_asked(self) -> bool:
        return self._asks("close", admitted=True)

    @sees(protocol.VANISHED)
    def _vanished(self) -> bool:
        return self._asks("gone", admitted=True)

    @sees(protocol.MESSAGE)
    def _message(self) -> bool:
        return self.message is not None and self.message.verb != "gone"

    @sees(protocol.DOOMED)
    def _doomed(self) -> bool:
        return bool(self.vanished)

    @sees(protocol.LAST_CLIENT)
    def _last_client(self) -> bool:
        return set(self.deadlines) == {self._client}

    @sees(protocol.HARDWARE_OPEN)
    def _hardware_open(self) -> bool:
        return self.opened

    @sees(protocol.DEADLINE_AHEAD)
    def _deadline_ahead(self) -> bool:
        return self.message is not None and self.message.deadline_s > self.now_s

    @sees(protocol.ALL_AHEAD)
    def _all_ahead(self) -> bool:
        return all(deadline_s > self.now_s for deadline_s in self.deadlines.values())

    @sees(protocol.FEED_DUE)
    def _feed_due(self) -> bool:
        return self.now_s >= self.feed_s

    @does(protocol.OPEN_HARDWARE)
    def _open_hardware(self) -> Asking[None]:
        self.feed_s = self.now_s + self.timing.feed_s
        self.opened = yield from ask(OpenHardware())

    @does(protocol.FEED_HARDWARE)
    def _feed_hardware(self) -> Asking[None]:
        self.feed_s = self.now_s + self.timing.feed_s
        yield from ask(FeedHardware())

    @does(protocol.CLOSE_HARDWARE)
    def _close_hardware(self) -> Asking[None]:
        yield from ask(CloseHardware())

    @does(protocol.ACCEPT)
    def _accept(self) -> Asking[None]:
        yield from ask(Reply(self._client, Accepted()))

    @does(protocol.REFUSE)
    def _refuse(self) -> Asking[None]:
        yield from ask(Reply(self._client, Refused(f"the watchdog is {self.shown}, or the deadline has passed")))

    @does(protocol.ADMIT, protocol.MOVE)
    def _note(self, _: object) -> None:
        if self.message:
            self.deadlines[self.message.client] = self.message.deadline_s

    @does(protocol.DISMISS)
    def _dismiss(self) -> None:
        del self.deadlines[self._client]

    @does(protocol.DOOM)
    def _doom(self) -> None:
        self.vanished.add(self._client)
