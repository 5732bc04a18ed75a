"""JSON lines over unix stream sockets (man 7 unix).

A message is a JSON object on one line in UTF-8, no longer than LONGEST_LINE bytes, newline included. Both ends of every
socket of a node and of the site speak this; what the messages say is told where they are made.

The name of a socket may have 108 bytes only, less than many a directory. Sockets are therefore bound and reached
through /proc/self/fd/N/NAME, where N is their open directory.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import selectors
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from hacore.devices.clock import now_s

Message: TypeAlias = dict[str, Any]

LONGEST_LINE = 65536
MOST_CLIENTS = 64
"""More than a node has processes that would ask. One more is hung up on, before file descriptors run out."""

LONGEST_WAIT_S = 1.0
"""What a selector waits does not include the time that the machine is suspended; CLOCK_BOOTTIME does."""


def number(message: Message, key: str) -> float:
    """The finite number that ``message`` has at ``key``. Raises ValueError if there is none."""
    value = message.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise ValueError(f"{key} must be a finite number")
    return float(value)


def encode(message: Message) -> bytes:
    """A message as one line."""
    return json.dumps(message, allow_nan=False).encode() + b"\n"


class _Lines:
    """Puts lines together from pieces of any size."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[Message]:
        """The messages that ``piece`` completes. Raises ValueError at the first thing that is none."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if len(line) >= LONGEST_LINE:
                raise ValueError("a line is too long")
            try:
                message = json.loads(line)
            except RecursionError:
                raise ValueError("a line is nested too deeply") from None
            if not isinstance(message, dict):
                raise ValueError("a line is not a JSON object")
            yield message
        if len(self._rest) >= LONGEST_LINE:
            raise ValueError("a line is too long")


@contextmanager
def _through_directory(path: Path) -> Iterator[tuple[int, str]]:
    """The directory of ``path``, open, and a short name for ``path`` through it."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield directory, f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def connect(path: Path, timeout_s: float) -> socket.socket:
    """A connection to whoever listens at ``path``; ``timeout_s`` is set on it. Raises OSError if nobody does."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.settimeout(max(timeout_s, 0.001))
        with _through_directory(path) as (_, name):
            link.connect(name)
    except BaseException:
        link.close()
        raise
    return link


def listen(path: Path) -> socket.socket:
    """A non-blocking socket that listens at ``path``, for this user only.

    The socket file of a dead process is replaced. Raises OSError with EADDRINUSE if a live one listens there, or is
    about to.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        os.fchmod(listener.fileno(), 0o600)  # the file that bind makes gets this mode
        with _through_directory(path) as (directory, name):
            try:
                fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)  # two that both found a dead one's file
            except BlockingIOError:
                raise _in_use(path) from None
            if _answered(path):
                raise _in_use(path)
            with suppress(FileNotFoundError):
                os.unlink(path.name, dir_fd=directory)
            listener.bind(name)
            listener.listen(MOST_CLIENTS)
    except BaseException:
        listener.close()
        raise
    return listener


def _in_use(path: Path) -> OSError:
    return OSError(errno.EADDRINUSE, "another process listens here", str(path))


def _answered(path: Path) -> bool:
    try:
        connect(path, 1.0).close()
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    except (BlockingIOError, TimeoutError):
        return True  # its queue is full: it is slow, not dead
    return True


class Caller:
    """The asking end of a connection. Every method raises OSError if the other end is dead, absent or too slow."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._link = connect(path, timeout_s)
        self._lines = _Lines()
        self._received: list[Message] = []

    def send(self, message: Message, timeout_s: float) -> None:
        """Send one message, in at most ``timeout_s``."""
        self._link.settimeout(max(timeout_s, 0.001))
        self._link.sendall(encode(message))

    def receive(self, until_s: float) -> Message:
        """The next message; TimeoutError at ``until_s`` (CLOCK_BOOTTIME), ConnectionError at the end or at garbage."""
        while not self._received:
            left_s = until_s - now_s()
            if left_s <= 0:
                raise TimeoutError("no answer in time")
            self._link.settimeout(left_s)
            piece = self._link.recv(4096)
            if not piece:
                raise ConnectionResetError("hung up")
            try:
                self._received += self._lines.feed(piece)
            except ValueError as problem:
                raise ConnectionError(f"no sensible answer: {problem}") from None
        return self._received.pop(0)

    def is_cut(self) -> bool:
        """Whether the other end has hung up."""
        self._link.setblocking(False)
        try:
            return self._link.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        self._link.close()


class Connection:
    """A client of a :class:`Server`. ``number`` is never given to another client of that server."""

    def __init__(self, number: int, link: socket.socket, drop: Callable[[Connection], None]) -> None:
        self.number = number
        self.link = link
        self.lines = _Lines()
        self._drop = drop

    def send(self, message: Message) -> None:
        """Send a message without waiting. A client that is gone, or reads nothing, is dropped."""
        line = encode(message)
        try:
            sent = self.link.send(line)
        except OSError:
            sent = 0
        if sent != len(line):
            self._drop(self)


class Server:
    """Listens at ``path`` and serves any number of clients in its owner's loop: see :func:`serve`.

    ``on_message`` may raise ValueError for a message that makes no sense. Its client is then dropped, as one who sends
    no JSON lines. ``on_gone`` is called once for each client that hung up or was dropped.

    Raises OSError with EADDRINUSE if a live process listens at ``path``.
    """

    def __init__(
        self,
        path: Path,
        selector: selectors.BaseSelector,
        on_message: Callable[[Connection, Message], None],
        on_gone: Callable[[Connection], None],
    ) -> None:
        self._path = path
        self._selector = selector
        self._on_message = on_message
        self._on_gone = on_gone
        self._connections: set[Connection] = set()
        self._accepted = 0
        self._listener = listen(path)
        self._file = path.stat().st_ino
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def drop(self, connection: Connection) -> None:
        """Hang up on a client."""
        if connection in self._connections:
            self._connections.remove(connection)
            self._selector.unregister(connection.link)
            connection.link.close()
            self._on_gone(connection)

    def drop_all(self) -> None:
        """Hang up on everybody."""
        for connection in list(self._connections):
            self.drop(connection)

    def close(self) -> None:
        """Hang up on everybody, listen no more and remove the socket file."""
        self.drop_all()
        self._selector.unregister(self._listener)
        self._listener.close()
        with suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._file:
                self._path.unlink()

    def _accept(self) -> None:
        try:
            link, _ = self._listener.accept()
        except OSError:
            return  # it hung up before it was let in
        if len(self._connections) >= MOST_CLIENTS:
            link.close()
            return
        link.setblocking(False)
        self._accepted += 1
        connection = Connection(self._accepted, link, self.drop)
        self._connections.add(connection)
        self._selector.register(link, selectors.EVENT_READ, lambda: self._listen_to(connection))

    def _listen_to(self, connection: Connection) -> None:
        try:
            piece = connection.link.recv(65536) if connection in self._connections else b""
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        try:
            for message in connection.lines.feed(piece):
                self._on_message(connection, message)
                if connection not in self._connections:
                    return
        except ValueError:
            piece = b""
        if not piece:
            self.drop(connection)


def serve(selector: selectors.BaseSelector, until_s: float) -> None:
    """Do what is to do now for the servers of ``selector``; wait for it until ``until_s`` or a little less long.

    Every registration's data is a function without arguments, called when its file is readable.
    """
    wait_s = max(until_s - now_s(), 0.0)
    for key, _ in selector.select(min(wait_s, LONGEST_WAIT_S)):
        key.data()
