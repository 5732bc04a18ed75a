"""What a daemon may ask of its host, and what the host answers.

A daemon's round is a generator: it yields requests and is sent the answers; nothing else touches the world. The
runtime answers from devices, the simulator from a seeded world. Each request is a point at which the process may be
paused, killed or cut off, and each request with its answer is one line of the trace.

Times are seconds on the node's CLOCK_BOOTTIME (man 2 clock_gettime), which goes on while the machine is suspended and
which nobody can set. It is never compared with another node's clock.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

JSON: TypeAlias = Any
"""What a document holds: what ``json`` can write and read back unchanged."""

A = TypeVar("A")


class Request(Generic[A]):
    """Something asked of the host; ``A`` is the type of the answer."""

    __slots__ = ()


Asking: TypeAlias = Generator[Request[Any], Any, A]
"""A part of a round: yields requests, returns ``A``."""


def ask(request: Request[A]) -> Asking[A]:
    """Yield one request and return its answer, typed."""
    answer: A = yield request
    return answer


# ---------------------------------------------------------------------------------------------------- the store


@dataclass(frozen=True, slots=True)
class Document:
    """A document and its revision: the number of the transaction that wrote it last. Revision 0 means absent."""

    value: JSON
    revision: int


ABSENT = Document(None, 0)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Documents as they stood together at one moment; ``revision`` is that of the last transaction before it."""

    documents: Mapping[str, Document]
    revision: int

    def __getitem__(self, key: str) -> Document:
        return self.documents.get(key, ABSENT)


@dataclass(frozen=True, slots=True)
class Committed:
    """The transaction happened; every document that it wrote has this revision now."""

    revision: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """The transaction did not happen: ``key`` had another revision than the one checked for."""

    key: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No answer in time. A transaction may have happened, may happen still, or may never happen."""

    reason: str


@dataclass(frozen=True, slots=True)
class Read(Request[Snapshot | Unavailable]):
    """A linearizable read of all documents whose key begins with one of ``prefixes`` ("" is all of them)."""

    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Transact(Request[Committed | Conflict | Unavailable]):
    """Write all of ``writes`` (None removes), if every key of ``checks`` still has its revision; else nothing."""

    checks: Mapping[str, int] = field(default_factory=dict)
    writes: Mapping[str, JSON] = field(default_factory=dict)


# ----------------------------------------------------------------------------------------- the clock and the round


@dataclass(frozen=True, slots=True)
class Clock(Request[float]):
    """CLOCK_BOOTTIME in seconds."""


@dataclass(frozen=True, slots=True)
class Inbox(Request[frozenset[str]]):
    """What the init system or the operator has asked of this daemon so far: ``restart``, ``shutdown``, ``reboot``."""


@dataclass(frozen=True, slots=True)
class Sleep(Request[None]):
    """The round is over. Go on at ``until_s``, or when a document below ``wake_on`` is newer than ``since``."""

    until_s: float
    since: int = 0
    wake_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decided:
    """A row by which a master changes a document: of a service's record, of a node, or of the disarm request."""

    row: str
    of: str
    """The service, the node, or ""."""
    facts: tuple[str, ...]
    """Those that held, of the facts that were asked for until the row was found."""


@dataclass(frozen=True, slots=True)
class Fired(Request[None]):
    """Not a question: a row fired. ``facts`` are the facts of the state that held."""

    row: str
    state: str
    target: str
    facts: tuple[str, ...]
    decided: tuple[Decided, ...] = ()
    """If the row is one that chooses changes of the documents: the rows that make them up, in order."""


@dataclass(frozen=True, slots=True)
class Say(Request[None]):
    """Not a question: an event for people (log, notification, timeline). Nothing depends on it."""

    event: str
    fields: Mapping[str, JSON] = field(default_factory=dict)


# -------------------------------------------------------------------------------------------- the watchdog's client


@dataclass(frozen=True, slots=True)
class Accepted:
    pass


@dataclass(frozen=True, slots=True)
class Refused:
    reason: str


@dataclass(frozen=True, slots=True)
class OpenWatchdog(Request[Accepted | Refused]):
    """Become a client of the multiplexer. From now on the node is reset unless a later deadline arrives in time."""

    deadline_s: float


@dataclass(frozen=True, slots=True)
class KeepAlive(Request[Accepted | Refused]):
    """Move this client's deadline. Refused if the deadline held so far has passed: the node will be reset."""

    deadline_s: float


@dataclass(frozen=True, slots=True)
class CloseWatchdog(Request[Accepted | Refused]):
    """Stop being a client: this client resets the node no more."""


# -------------------------------------------------------------------------------------- workers and their services


@dataclass(frozen=True, slots=True)
class Job:
    """What one worker is to do: bring ``sid`` into the state that the record with this ``uid`` asks for."""

    uid: str
    sid: str
    state: str
    config: Mapping[str, JSON]
    target: str = ""
    timeout_s: float | None = None
    here: bool = True
    """Whether the resources document places the service on this node."""
    retries_left: int = 0
    """How many more failed starts are tried again on this node before the master hears of it."""
    tries: int = 0
    """How many starts of this uid have failed here."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job: ``success``, ``failed``, ``stuck``, ``wrong_node``, ``ignored``, ``retry`` or ``down``."""

    uid: str
    sid: str
    code: str


@dataclass(frozen=True, slots=True)
class Spawn(Request[None]):
    """Start a worker for a job; it goes on while the daemon's rounds go on."""

    job: Job


@dataclass(frozen=True, slots=True)
class Reap(Request[tuple[Outcome, ...]]):
    """The outcomes of the workers that have ended since last asked, each once."""


@dataclass(frozen=True, slots=True)
class Probe(Request[bool]):
    """Whether anything of the service runs on this node."""

    sid: str
    config: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Start(Request[None]):
    """Start the service on this node. Whether it runs is for :class:`Probe` to say."""

    sid: str
    config: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Stop(Request[None]):
    """Stop the service on this node, by force after ``timeout_s``."""

    sid: str
    config: Mapping[str, JSON]
    timeout_s: float | None


@dataclass(frozen=True, slots=True)
class Migrate(Request[bool]):
    """Move a service to ``target``; ``live``: while it runs. True: here it runs no longer; live, it runs there now."""

    sid: str
    config: Mapping[str, JSON]
    target: str
    live: bool = True


# ------------------------------------------------------------------------------------------------- power fencing


@dataclass(frozen=True, slots=True)
class PowerOff(Request[None]):
    """Have the devices of the node ``target`` switch it off, and then say whether it is off.

    It goes on while the daemon's rounds go on. What is not verified by ``until_s`` is given up: by then the node's
    watchdog has done the same.
    """

    target: str
    revision: int
    """Of the target's lock, read before this was asked for. It names this fencing."""
    until_s: float
    levels: JSON = field(repr=False)
    """The node's devices, as in the settings: levels to be tried in order, of devices that must all be off. They may
    hold passwords, so they are told to nobody else."""


@dataclass(frozen=True, slots=True)
class PowerOutcome:
    """What became of one power-off. ``off``: each device of a level has said so, after it had switched off."""

    target: str
    revision: int
    off: bool
    reason: str = ""
    """Why it is not known to be off."""


@dataclass(frozen=True, slots=True)
class ReapPower(Request[tuple[PowerOutcome, ...]]):
    """The outcomes of the power-offs that have ended since last asked, each once."""


# --------------------------------------------------------------------------------- the multiplexer and its hardware


@dataclass(frozen=True, slots=True)
class Message:
    """What reached the multiplexer: ``open``, ``keepalive`` or ``close`` of a client, or its ``gone`` (it vanished)."""

    client: int
    verb: str
    deadline_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Receive(Request[Message | None]):
    """The next message of a client, or None at ``until_s``."""

    until_s: float


@dataclass(frozen=True, slots=True)
class Reply(Request[None]):
    """Answer a client's message."""

    client: int
    answer: Accepted | Refused


@dataclass(frozen=True, slots=True)
class OpenHardware(Request[bool]):
    """Open the hardware watchdog: from now on it resets the node unless it is fed. False: it cannot be opened."""


@dataclass(frozen=True, slots=True)
class FeedHardware(Request[None]):
    """Feed the hardware watchdog."""


@dataclass(frozen=True, slots=True)
class CloseHardware(Request[None]):
    """Disarm the hardware watchdog (magic close)."""
