"""What happened in a local cluster, moment by moment: from the traces, the machine room's log, and the witness."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hacore.devices.clock import now_s
from hacore.witness import LOG

DULL = frozenset({"site_up", "site_stopping", "site_down", "service_added", "service_starting"})


class Timeline:
    """Tells each moment once, in order, to ``tell``. Times count from the timeline's own beginning, in seconds."""

    def __init__(self, directory: Path, witness: Path, tell: Callable[[dict[str, Any]], None]) -> None:
        self.directory, self.witness, self.tell = directory, witness, tell
        self.began_s = now_s()
        self._offsets: dict[Path, int] = {}

    def show(self) -> None:
        """Tell what has happened since the last call."""
        moments = [*self._traced(), *self._seen(self.directory / "events.jsonl", "hardware")]
        moments += self._seen(self.witness / LOG, "witness")
        for moment in sorted(moments, key=lambda moment: float(moment["t"])):
            moment["t"] = round(moment["t"] - self.began_s, 3)
            self.tell(moment)

    def _traced(self) -> Iterator[dict[str, Any]]:
        for path in sorted(self.directory.glob("nodes/*/trace/*.jsonl")):
            for line in self._new_lines(path):
                if "say" in line and line["say"] not in DULL:
                    actor = f"{line['node']}/{line['daemon']}"
                    yield {"t": line["t"], "actor": actor, "event": line["say"], "about": line["about"]}

    def _seen(self, path: Path, actor: str) -> Iterator[dict[str, Any]]:
        for line in self._new_lines(path):
            if line["event"] not in DULL:
                about = {key: value for key, value in line.items() if key not in {"t", "event", "pid"}}
                yield {"t": line["t"], "actor": actor, "event": line["event"], "about": about}

    def _new_lines(self, path: Path) -> list[dict[str, Any]]:
        """The whole lines written since last asked."""
        if not path.exists():
            return []
        offset = self._offsets.get(path, 0)
        if path.stat().st_size < offset:  # it was rotated
            offset = 0
        with path.open("rb") as file:
            file.seek(offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offsets[path] = offset + len(whole)
        return [line for text in whole.splitlines() if (line := _parsed(text))]


def _parsed(line: bytes) -> dict[str, Any]:
    """The line; nothing for what a killed writer has left half written."""
    try:
        parsed: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}
    return parsed
