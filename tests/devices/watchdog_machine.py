"""A directory that looks to hacore like the root of a machine with a Linux watchdog, which a FUSE process emulates."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATIENT_S = 20.0

needs_fuse = pytest.mark.skipif(
    os.geteuid() != 0
    or not os.access("/dev/fuse", os.W_OK)
    or not shutil.which("fusermount3")
    or not find_spec("mfusepy"),
    reason="needs root, /dev/fuse, Debian's fuse3 and Python's mfusepy",
)


class WatchdogMachine:
    """The machine's root, and what the emulated watchdog tells beyond what a real one does."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.device = root / "dev" / "watchdog0"

    def state(self) -> str:
        """``active`` while armed."""
        return (self.root / "fuse/sys/class/watchdog/watchdog0/state").read_text().strip()

    def expired_s(self) -> float | None:
        """When it expired last, on CLOCK_BOOTTIME."""
        text = (self.root / "fuse/expired").read_text().strip()
        return float(text) if text else None

    def kills(self, group: int) -> None:
        """From now on it kills this process group when it expires."""
        (self.root / "fuse/victim").write_text(str(group))


@contextmanager
def watchdog_machine(root: Path, **settings: Any) -> Iterator[WatchdogMachine]:
    """A machine below ``root``; ``settings`` are those of ``tests.devices.fuse_watchdog``."""
    mount = root / "fuse"
    mount.mkdir(parents=True)
    for name in ("dev", "sys"):
        (root / name).symlink_to(mount / name)
    command = [sys.executable, "-m", "tests.devices.fuse_watchdog", str(mount), json.dumps(settings)]
    with subprocess.Popen(command, cwd=ROOT) as driver:
        try:
            eventually(lambda: driver.poll() is None and (mount / "expired").exists())
            yield WatchdogMachine(root)
        finally:
            driver.terminate()
            try:
                driver.wait(PATIENT_S)
            finally:
                driver.kill()
                subprocess.run(["umount", "--lazy", "--quiet", str(mount)], check=False, stderr=subprocess.DEVNULL)


def eventually(holds: Callable[[], object], within_s: float = PATIENT_S) -> None:
    """Wait until it holds."""
    until_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until_s, "it never came true"
        time.sleep(0.02)
