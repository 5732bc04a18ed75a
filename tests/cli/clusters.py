"""What the tests of the operators' commands share: a cluster that is a store only, and a stand-in for its daemons."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from hacore.cli import main
from hacore.devices.store.sqlite import SqliteStore
from hacore.manager.documents import MEMBERS, RESOURCES, SETTINGS, STATUS, LrmStatus, dump, lrm_key, status_of
from hacore.manager.round import decide
from hacore.manager.view import Sight
from hacore.protocol.locks import MANAGER_LOCK, Lock
from hacore.protocol.requests import JSON, Committed, Snapshot

NODES = ["node1", "node2", "node3"]


def resource(node: str, state: str = "started", **more: Any) -> dict[str, Any]:
    return {"node": node, "state": state, "config": {"command": "exec sleep 1000"}, **more}


class Cluster:
    """A cluster's directory, its documents, and ``hacore -C DIR`` in this process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        SqliteStore.create(directory / "store.db")
        self.store = SqliteStore(directory / "store.db", 10.0)
        self.write(**{MEMBERS: NODES, SETTINGS: {}})

    def write(self, **documents: JSON) -> None:
        assert isinstance(self.store.transact({}, documents), Committed)

    def put(self, key: str, value: JSON) -> None:
        self.write(**{key: value})

    def seen(self) -> Snapshot:
        answer = self.store.read(("",))
        assert isinstance(answer, Snapshot)
        return answer

    def value(self, key: str) -> Any:
        return self.seen()[key].value

    def queued(self) -> list[str]:
        return [command["text"] for command in (self.value("commands") or {"queue": []})["queue"]]

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["-C", str(self.directory), *words])

    def ok(self, *words: str) -> str:
        """Run a command that must succeed, and return what it prints."""
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--json"))

    def refused(self, *words: str) -> str:
        """Run a command that must fail with one line and change nothing, and return that line."""
        before = self.seen()
        result = self.run(*words)
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        assert result.stderr.startswith("hacore: ")
        assert result.stderr.count("\n") == 1
        assert self.seen() == before
        return result.stderr.removeprefix("hacore: ").strip()

    def not_understood(self, *words: str) -> str:
        """Run a command that must be an error of usage and change nothing, and return what is said of it."""
        before = self.seen()
        result = self.run(*words)
        assert result.exit_code == 2, result.output
        assert self.seen() == before
        return result.stderr

    def rounds(self, answers: Mapping[str, str], online: frozenset[str]) -> None:
        """One round of a master on node1, and of every LRM: each request is answered by its state, else a success."""
        seen = self.seen()
        decision = decide("node1", seen, Sight(online=online))
        status = status_of(seen)
        writes = dict(decision.writes)
        for node in online:
            mode = "maintenance" if node in status.maintenance else "disarm" if status.disarm else "active"
            results = {it.uid: answers.get(it.state, "success") for it in status.services.values() if it.node == node}
            told = dump(LrmStatus(mode, 1 if mode == "disarm" else 0, results))
            if seen[lrm_key(node)].value != told:
                writes[lrm_key(node)] = told
        if writes:
            self.store.transact(decision.basis, writes)

    @contextmanager
    def master(
        self, answers: Mapping[str, str] | None = None, online: frozenset[str] = frozenset(NODES)
    ) -> Iterator[None]:
        """Let stand-ins for the daemons work meanwhile."""
        over = threading.Event()

        def work() -> None:
            while not over.wait(0.01):
                self.rounds(answers or {}, online)

        self.put(MANAGER_LOCK, Lock("node1", 1, 0, 1.0).document())
        for _ in range(5):  # so that what was there before is settled
            self.rounds({}, online)
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


__all__ = ["MEMBERS", "NODES", "RESOURCES", "SETTINGS", "STATUS", "Cluster", "resource"]
