"""The machine room of :class:`tests.cluster.nodes.NodeCluster`: ``python -m tests.cluster.room PLAN``, a JSON file."""

import json
import sys
from pathlib import Path

from hacore.runtime.site import Site

if __name__ == "__main__":
    plan = json.loads(Path(sys.argv[1]).read_text())
    commands = plan["commands"]
    Site(Path(plan["directory"]), list(commands), commands.__getitem__, plan["boot_s"], grace_s=0.0).run()
