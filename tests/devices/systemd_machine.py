"""systemd as the first process of namespaces of its own: a machine for tests, up in a second.

Nothing outside is at its mercy: it sees the file system read-only, but for empty ones of its own on /run, /tmp and
/var; it has no network; and it knows no units but those that a test writes into UNITS.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from shutil import which
from typing import Any

from hacore.devices.resources import Config, ResourceError

ROOT = Path(__file__).parents[2]
SYSTEMD = "/lib/systemd/systemd"
UNITS = "/run/units"
PATIENT_S = 20.0

BOOT = f"""
set -e
mount -o remount,bind,ro /
for directory in /run /tmp /var; do mount -t tmpfs tmpfs $directory; done
mount -o bind,ro /proc/sys /proc/sys
umount -R -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p {UNITS} /run/none
for target in basic multi-user shutdown sysinit test
do printf '[Unit]\\nDefaultDependencies=no\\n' > {UNITS}/$target.target; done
exec env -i PATH="$PATH" container=test SYSTEMD_UNIT_PATH={UNITS} SYSTEMD_GENERATOR_PATH=/run/none \\
    {SYSTEMD} --unit=test.target --log-target=null
"""
ENTER_GROUP = 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"'
NAMESPACES = ("--mount", "--uts", "--ipc", "--pid", "--net", "--cgroup")

DRIVER = """
import json, sys
from pathlib import Path
from hacore.devices.resources import ResourceError, resource_for
for line in sys.stdin:
    do, sid, *arguments = json.loads(line)
    try:
        answer = getattr(resource_for(sid, Path("/run/hacore"), "node1"), do)(sid, *arguments)
        print(json.dumps([answer, ""]), flush=True)
    except ResourceError as problem:
        print(json.dumps([None, str(problem)]), flush=True)
"""


def _groups() -> Path | None:
    """Where the unified hierarchy of control groups is mounted."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return next((Path(mount[1]) for mount in mounts if mount[2] == "cgroup2"), None)


def why_not() -> str:
    """Why there can be no such machine here; "" if there can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in ("unshare", "nsenter", "systemctl", SYSTEMD) if not which(name)]
    return f"needs {', '.join(missing)}" if missing else "" if _groups() else "needs cgroup v2"


class SystemdMachine:
    """The machine, and a process in it that does what is asked of its services."""

    def __init__(self) -> None:
        groups = _groups()
        assert groups
        self._group = groups / f"hacore-test-{os.getpid()}-{time.monotonic_ns()}"
        self._group.mkdir()
        boot = ("unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc", "--propagation", "private")
        # It enters its control group before it has namespaces: that group is the root of what it sees.
        enter = ("sh", "-c", ENTER_GROUP, "sh", str(self._group))
        self._outer = subprocess.Popen([*enter, *boot, "sh", "-c", BOOT], stdin=subprocess.DEVNULL)
        self._driver: subprocess.Popen[str] | None = None

    def wait(self) -> None:
        """Until it is up."""
        until_s = time.monotonic() + PATIENT_S
        while not self._init() or self.run("systemctl", "is-active", "test.target", check=False).returncode:
            assert time.monotonic() < until_s, "systemd does not come up"
            time.sleep(0.02)

    def close(self) -> None:
        """Kill it and all of its processes."""
        if self._driver:
            self._driver.kill()
            self._driver.communicate()
        with suppress(IndexError):
            os.kill(int(self._init()[0]), 9)
        self._outer.kill()
        self._outer.wait()
        for _ in range(200):
            with suppress(OSError):
                for path, _, _ in os.walk(self._group, topdown=False):
                    os.rmdir(path)  # noqa: PTH106 - os.walk gives text
                return
            time.sleep(0.02)
        raise AssertionError(f"{self._group} cannot be removed")

    def run(self, *words: str, check: bool = True, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine."""
        return subprocess.run(
            self._inside(*words), input=text, capture_output=True, text=True, check=check, timeout=PATIENT_S
        )

    def unit(self, name: str, service: str, more: str = "") -> None:
        """Write a unit's file: the lines of its section [Service], and whole sections."""
        self.file(f"{UNITS}/{name}", f"[Service]\n{service}\n{more}\n")

    def file(self, path: str, content: str) -> None:
        """Write a file that belongs to systemd, and tell it."""
        self.run("sh", "-c", 'cat > "$1"; systemctl daemon-reload', "sh", path, text=content)

    def do(self, action: str, sid: str, config: Config, *more: Any) -> Any:
        """``probe``, ``start`` or ``stop`` in the machine, by hacore's resource."""
        if not self._driver:
            words = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-B", "-c", DRIVER)
            pipe = subprocess.PIPE
            self._driver = subprocess.Popen(self._inside(*words), stdin=pipe, stdout=pipe, text=True)
        assert self._driver.stdin
        assert self._driver.stdout
        self._driver.stdin.write(json.dumps([action, sid, config, *more]) + "\n")
        self._driver.stdin.flush()
        answer, problem = json.loads(self._driver.stdout.readline())
        if problem:
            raise ResourceError(problem)
        return answer

    def _init(self) -> list[str]:
        return Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()

    def _inside(self, *words: str) -> list[str]:
        return ["nsenter", "--target", self._init()[0], *NAMESPACES, "--", *words]
