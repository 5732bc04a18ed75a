"""Small scenarios, made by tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hacore.sim.scenario import Scenario, read_scenario

ON = "power node1 on", "power node2 on", "power node3 on"


def written(directory: Path, *commands: tuple[str, ...], **more: Any) -> Path:
    """A scenario's file: three nodes, which get power first; ``vm:1`` and ``ct:2`` shall run on node1 and node2."""
    services = {"vm:1": {"node": "node1", "state": "started"}, "ct:2": {"node": "node2", "state": "started"}}
    start = {"nodes": {f"node{i}": {} for i in (1, 2, 3)}, "services": services, "commands": [ON, *commands]}
    path = directory / "small.json"
    path.write_text(json.dumps({**start, **more}))
    return path


def small(directory: Path, *commands: tuple[str, ...], **more: Any) -> Scenario:
    return read_scenario(written(directory, *commands, **more))
