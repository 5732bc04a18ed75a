"""A real etcd member for tests: started, paused, killed, started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from hacore.devices.process_tree import die_with_parent
from hacore.devices.store.etcd import EtcdStore
from hacore.protocol.requests import Snapshot

PATIENT_S = 30.0
"""Longer than anything takes that happens at all, also on a slow and busy machine."""

needs_etcd = pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd is missing: tools/test-packages.sh")


class Member:
    """One member. ``within`` is put before its command, such as ``ip netns exec NAME``."""

    def __init__(
        self,
        directory: Path,
        name: str,
        client: str,
        peer: str,
        *,
        cluster: str = "",
        within: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> None:
        self.url, self.log = client, directory / f"{name}.log"
        self.command = [
            *within,
            *("etcd", "--name", name, "--data-dir", str(directory / name), "--pre-vote=true", "--logger", "zap"),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", cluster or f"{name}={peer}"),
            *options,
        ]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it answers some time later."""
        test = os.getpid()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: die_with_parent(test),  # noqa: PLW1509 - nothing in it can wait for another thread
                env={**os.environ, "GOGC": "400"},  # they are many and the processors are few
            )

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process:
            self._signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)


@contextmanager
def one_member(directory: Path, *, options: Sequence[str] = (), scheme: str = "http") -> Iterator[Member]:
    """An etcd cluster of one, which is being started."""
    client, peer = (f"{way}://127.0.0.1:{_free_port()}" for way in (scheme, "http"))
    member = Member(directory, "only", client, peer, options=options)
    member.start()
    try:
        yield member
    finally:
        member.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answering(store: EtcdStore, within_s: float = PATIENT_S) -> Snapshot:
    """Wait until the store answers."""
    until_s = time.monotonic() + within_s
    while not isinstance(answer := store.read(("",)), Snapshot):
        assert time.monotonic() < until_s, answer
        time.sleep(0.05)
    return answer
