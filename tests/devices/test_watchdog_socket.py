"""The multiplexer's socket and its clients: whatever one end does, the other goes on and says what is the case."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hacore.devices.clock import now_s
from hacore.devices.unix_socket import LONGEST_LINE, MOST_CLIENTS, connect, listen
from hacore.devices.watchdog.client import WatchdogClient
from hacore.devices.watchdog.server import ClientSocket
from hacore.protocol.requests import Accepted, Message, Refused

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A socket whose name is longer than a socket's name may be."""
    directory = tmp_path / ("x" * 120)
    directory.mkdir()
    return directory / "mux.sock"


@pytest.fixture
def mux(path: Path) -> Iterator[ClientSocket]:
    sock = ClientSocket(path)
    yield sock
    sock.close()


class Answering:
    """A multiplexer that answers by ``decide`` in a thread, and notes what it heard."""

    def __init__(self, path: Path, decide: Callable[[Message], Accepted | Refused]) -> None:
        self.heard: list[Message] = []
        self._socket = ClientSocket(path)
        self._decide = decide
        self._over = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over:
            if message := self._socket.receive(now_s() + 0.01):
                self.heard.append(message)
                self._socket.reply(message.client, self._decide(message))
        self._socket.close()

    def stop(self) -> None:
        self._over = True
        self._thread.join()

    def verbs(self, count: int) -> list[str]:
        """The verbs heard, once there are ``count``."""
        until_s = now_s() + 5
        while len(self.heard) < count:
            assert now_s() < until_s, f"heard {self.heard} only"
        return [message.verb for message in self.heard]


@pytest.fixture
def answering(path: Path) -> Iterator[Callable[[Callable[[Message], Accepted | Refused]], Answering]]:
    started: list[Answering] = []

    def answering(decide: Callable[[Message], Accepted | Refused]) -> Answering:
        started.append(Answering(path, decide))
        return started[-1]

    yield answering
    for mux in started:
        mux.stop()


Mux = Callable[[Callable[[Message], Accepted | Refused]], Answering]


def soon() -> float:
    return now_s() + 5


def test_a_client_opens_keeps_alive_and_closes(path: Path, answering: Mux) -> None:
    mux = answering(lambda _: Accepted())
    client = WatchdogClient(path, 5.0)
    deadline_s = now_s() + 0.1 + 60
    assert client.open(deadline_s) == Accepted()
    assert client.keepalive(deadline_s + 1) == Accepted()
    assert client.close() == Accepted()
    assert client.close() == Refused("not open")
    assert client.keepalive(deadline_s) == Refused("not open")
    assert mux.verbs(4) == ["open", "keepalive", "close", "gone"]
    assert [message.deadline_s for message in mux.heard] == [deadline_s, deadline_s + 1, 0, 0]
    assert client.open(deadline_s) == Accepted()
    assert mux.verbs(5)[4] == "open"
    assert mux.heard[4].client != mux.heard[0].client
    assert client.open(deadline_s) == Refused("already open")


def test_a_refused_open_leaves_no_connection(path: Path, answering: Mux) -> None:
    mux = answering(lambda _: Refused("not today"))
    client = WatchdogClient(path, 5.0)
    assert client.open(1.0) == Refused("not today")
    assert mux.verbs(2) == ["open", "gone"]
    assert client.keepalive(2.0) == Refused("not open")


def test_a_refused_keepalive_and_close_keep_it(path: Path, answering: Mux) -> None:
    mux = answering(lambda message: Accepted() if message.verb == "open" else Refused("no"))
    client = WatchdogClient(path, 5.0)
    assert client.open(1.0) == Accepted()
    assert client.keepalive(2.0) == Refused("no")
    assert client.close() == Refused("no")
    assert client.keepalive(2.0) == Refused("no")
    assert mux.verbs(4) == ["open", "keepalive", "close", "keepalive"]


def test_no_multiplexer(path: Path) -> None:
    client = WatchdogClient(path, 5.0)
    answer = client.open(1.0)
    assert isinstance(answer, Refused)
    assert answer.reason.startswith("no multiplexer")


def test_a_multiplexer_that_does_not_answer(path: Path, mux: ClientSocket) -> None:
    client = WatchdogClient(path, 0.05)
    before = now_s()
    assert isinstance(client.open(1.0), Refused)
    assert now_s() - before < 2
    heard = [mux.receive(soon()) for _ in range(3)]
    assert [message.verb for message in heard if message] == ["open", "close", "gone"], "it went, and did not die"


def test_a_late_answer_is_not_taken_for_that_to_the_next_question(path: Path, mux: ClientSocket) -> None:
    client = WatchdogClient(path, 1.0)
    opening = threading.Thread(target=lambda: client.open(1.0))
    opening.start()
    message = mux.receive(soon())
    assert message is not None
    mux.reply(message.client, Accepted())
    opening.join()
    assert isinstance(client.keepalive(2.0), Refused)
    mux.receive(soon())
    answers: list[Accepted | Refused] = []
    asking = threading.Thread(target=lambda: answers.append(client.keepalive(3.0)))
    asking.start()
    mux.receive(soon())
    mux.reply(message.client, Accepted())
    mux.reply(message.client, Refused("the second"))
    asking.join()
    assert answers == [Refused("the second")]


def test_who_closes_and_is_not_answered_in_time_may_open_again(path: Path, mux: ClientSocket) -> None:
    client = WatchdogClient(path, 0.2)
    late = threading.Timer(0.0, lambda: _answer_next(mux, "open"))
    late.start()
    assert client.open(now_s() + 60) == Accepted()
    late.join()
    assert isinstance(client.close(), Refused)
    heard = [mux.receive(now_s() + 1), mux.receive(now_s() + 1)]
    assert [message.verb for message in heard if message] == ["close", "gone"]
    late = threading.Timer(0.0, lambda: _answer_next(mux, "open"))
    late.start()
    assert client.open(now_s() + 60) == Accepted()
    late.join()


def _answer_next(mux: ClientSocket, verb: str) -> None:
    message = mux.receive(now_s() + 1)
    assert message is not None
    assert message.verb == verb
    mux.reply(message.client, Accepted())


def test_a_multiplexer_that_dies(path: Path, answering: Mux) -> None:
    mux = answering(lambda _: Accepted())
    client = WatchdogClient(path, 5.0)
    client.open(1.0)
    mux.stop()
    assert isinstance(client.keepalive(2.0), Refused)
    assert client.keepalive(3.0) == Refused("not open")
    assert isinstance(client.open(1.0), Refused)
    answering(lambda _: Accepted())
    assert client.open(1.0) == Accepted()


def test_a_client_whose_multiplexer_was_replaced_may_open_again(path: Path, answering: Mux) -> None:
    mux = answering(lambda _: Accepted())
    client = WatchdogClient(path, 5.0)
    client.open(1.0)
    mux.stop()
    mux = answering(lambda _: Accepted())
    assert client.open(1.0) == Accepted()
    assert mux.verbs(1) == ["open"]


def test_a_peer_that_talks_nonsense(path: Path) -> None:
    listener = listen(path)
    listener.setblocking(True)

    def babble() -> None:
        link, _ = listener.accept()
        with link:
            link.sendall(b"hello\n")
            link.recv(100)

    thread = threading.Thread(target=babble)
    thread.start()
    assert isinstance(WatchdogClient(path, 5.0).open(1.0), Refused)
    thread.join()
    listener.close()


def test_a_deadline_that_is_no_number_is_refused(path: Path, answering: Mux) -> None:
    answering(lambda _: Accepted())
    client = WatchdogClient(path, 5.0)
    assert isinstance(client.open(float("nan")), Refused)
    assert client.open(1.0) == Accepted()


# ------------------------------------------------------------------------------------------- the multiplexer's end


def test_nothing_comes(mux: ClientSocket) -> None:
    before = now_s()
    assert mux.receive(before + 0.05) is None
    assert before + 0.04 < now_s() < before + 2
    assert mux.receive(0.0) is None


def test_what_has_come_is_received_even_late(path: Path, mux: ClientSocket) -> None:
    with connect(path, 5) as link:
        link.sendall(b'{"n": 1, "do": "open", "deadline_s": 7.5}\n')
        mux.receive(0.0)  # lets it in
        assert mux.receive(0.0) == Message(1, "open", 7.5)


def test_clients_in_pieces_and_in_bunches(path: Path, mux: ClientSocket) -> None:
    with connect(path, 5) as first, connect(path, 5) as second:
        first.sendall(b'{"n": 1, "do": "op')
        second.sendall(b'{"n": 7, "do": "open", "deadline_s": 2}\n{"n": 8, "do": "close"}\n{"n"')
        assert mux.receive(soon()) == Message(2, "open", 2.0)
        assert mux.receive(soon()) == Message(2, "close")
        assert mux.receive(now_s() + 0.02) is None
        first.sendall(b'en", "deadline_s": 3}\n')
        assert mux.receive(soon()) == Message(1, "open", 3.0)
        mux.reply(2, Accepted())
        mux.reply(2, Refused("why"))
        mux.reply(1, Accepted())
        assert second.recv(200) == b'{"n": 7, "ok": true}\n{"n": 8, "refused": "why"}\n'
        assert first.recv(200) == b'{"n": 1, "ok": true}\n'
    assert {mux.receive(soon()), mux.receive(soon())} == {Message(1, "gone"), Message(2, "gone")}


GARBAGE = [
    b"garbage\n",
    b"[]\n",
    b"\xff\xfe\n",
    b"[" * 5000 + b"\n",
    b"x" * (LONGEST_LINE + 1),
    b'{"n": 2}\n',
    b'{"n": 2, "do": "fly"}\n',
    b'{"do": "close"}\n',
    b'{"n": 2, "do": "keepalive"}\n',
    b'{"n": 2, "do": "keepalive", "deadline_s": "soon"}\n',
    b'{"n": 2, "do": "keepalive", "deadline_s": true}\n',
    b'{"n": 2, "do": "keepalive", "deadline_s": NaN}\n',
    b'{"n": 2, "do": "keepalive", "deadline_s": Infinity}\n',
    b'{"n": 2, "do": "keepalive", "deadline_s": 1' + b"0" * 400 + b"}\n",
    b'{"n": 2, "do": "keepalive", "deadline_s": 3}\n' * 100,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_who_sends_garbage_is_gone_and_nobody_else(path: Path, mux: ClientSocket, garbage: bytes) -> None:
    with connect(path, 5) as good, connect(path, 5) as bad:
        good.sendall(b'{"n": 1, "do": "open", "deadline_s": 2}\n')
        assert mux.receive(soon()) == Message(1, "open", 2.0)
        bad.sendall(b'{"n": 1, "do": "open", "deadline_s": 2}\n')
        assert mux.receive(soon()) == Message(2, "open", 2.0)
        bad.sendall(garbage)
        while (message := mux.receive(soon())) != Message(2, "gone"):
            assert message == Message(2, "keepalive", 3.0)
        mux.reply(2, Accepted())  # to nobody
        good.sendall(b'{"n": 2, "do": "keepalive", "deadline_s": 3}\n')
        assert mux.receive(soon()) == Message(1, "keepalive", 3.0)


def test_who_never_said_anything_is_never_gone(path: Path, mux: ClientSocket) -> None:
    connect(path, 5).close()
    with connect(path, 5) as link:
        link.sendall(b"garbage\n")
        assert mux.receive(now_s() + 0.05) is None


def test_who_does_not_read_his_answers_is_gone(path: Path, mux: ClientSocket) -> None:
    with connect(path, 5) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        for n in range(10000):
            try:
                link.sendall(b'{"n": %d, "do": "keepalive", "deadline_s": 2}\n' % n)
            except OSError:
                break
            message = mux.receive(soon())
            assert message is not None
            if message.verb == "gone":
                return
            mux.reply(1, Refused("no" * 1000))
        assert mux.receive(soon()) == Message(1, "gone")


def test_a_crowd_is_kept_out(path: Path, mux: ClientSocket) -> None:
    crowd = []
    for _ in range(MOST_CLIENTS + 5):
        crowd.append(connect(path, 5))
        mux.receive(0.0)
    refused = [link for link in crowd if _is_cut(link)]
    assert refused == crowd[MOST_CLIENTS:]
    crowd[0].sendall(b'{"n": 1, "do": "open", "deadline_s": 2}\n')
    assert mux.receive(soon()) == Message(1, "open", 2.0)
    for link in crowd:
        link.close()


def _is_cut(link: socket.socket) -> bool:
    link.setblocking(False)
    try:
        return link.recv(1) == b""
    except BlockingIOError:
        return False


# ------------------------------------------------------------------------------------------------- the socket file


def test_a_live_one_is_not_replaced(path: Path, mux: ClientSocket) -> None:
    with pytest.raises(OSError, match="another process listens here") as refused:
        ClientSocket(path)
    assert refused.value.errno == errno.EADDRINUSE
    with connect(path, 5) as link:
        link.sendall(b'{"n": 1, "do": "open", "deadline_s": 2}\n')
        message = mux.receive(soon())
        assert message is not None
        assert message.verb == "open"


def test_a_dead_ones_file_is_replaced(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from hacore.devices.watchdog.server import ClientSocket\n"
        "mux = ClientSocket(Path(sys.argv[1])); print(flush=True); mux.receive(float('inf'))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(OSError, match="listens"):
            ClientSocket(path)  # it is slow, not dead
        process.send_signal(signal.SIGKILL)
    assert path.exists()
    mux = ClientSocket(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with connect(path, 5) as link:
        link.sendall(b'{"n": 1, "do": "open", "deadline_s": 2}\n')
        assert mux.receive(soon()) == Message(1, "open", 2.0)
    mux.close()
    assert not path.exists()


def test_a_killed_client_is_gone(path: Path, mux: ClientSocket) -> None:
    program = (
        "import sys; from pathlib import Path; from hacore.devices.watchdog.client import WatchdogClient\n"
        "client = WatchdogClient(Path(sys.argv[1]), 600.0); client.open(5.0)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", program, str(path)], env=environment) as process:
        assert mux.receive(soon()) == Message(1, "open", 5.0)
        process.send_signal(signal.SIGKILL)
    assert mux.receive(soon()) == Message(1, "gone")
