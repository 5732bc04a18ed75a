"""A cluster of Proxmox hosts as far as their cluster file system goes, and its trouble."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATIENT_S = 20.0


def _why_not() -> str:
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "needs root and /dev/fuse"
    if not shutil.which("fusermount3"):
        return "needs fuse3: tools/test-packages.sh"
    return "" if find_spec("mfusepy") else "needs mfusepy"


needs_fuse = pytest.mark.skipif(_why_not() != "", reason=_why_not())


class PmxcfsCluster:
    """Three nodes: :mod:`tests.devices.fuse_pmxcfs`, and a systemctl that knows Proxmox's units."""

    def __init__(self, directory: Path) -> None:
        self.mount = directory / "mount"
        self.programs = directory / "programs"
        self.mount.mkdir()
        self.programs.mkdir()
        self.units("inactive", "inactive")

    def path(self, node: str, name: str = "hacore") -> Path:
        """Where a node finds a store."""
        return self.mount / node / "priv" / name

    def tell(self, **trouble: Any) -> None:
        """Make trouble, or end it: see the module."""
        (self.mount / "control").write_text(json.dumps(trouble))

    def units(self, *states: str) -> None:
        """What systemd says of the units of Proxmox's HA manager from now on."""
        program = self.programs / "systemctl"
        program.write_text("#!/bin/sh\n" + "".join(f"echo {state}\n" for state in states))
        program.chmod(0o755)


@contextmanager
def pmxcfs_cluster(directory: Path) -> Iterator[PmxcfsCluster]:
    """Its processes live as long as the context."""
    cluster = PmxcfsCluster(directory)
    words = [sys.executable, "-m", "tests.devices.fuse_pmxcfs", str(cluster.mount), "pve1", "pve2", "pve3"]
    server = subprocess.Popen(words, cwd=ROOT)
    try:
        until_s = time.monotonic() + PATIENT_S
        while not (cluster.mount / "pve1").exists():
            assert time.monotonic() < until_s, "it does not come up"
            time.sleep(0.02)
        yield cluster
    finally:
        subprocess.run(["fusermount3", "-u", "-z", str(cluster.mount)], check=False)
        server.kill()
        server.wait()
