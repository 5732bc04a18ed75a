"""The first process of the virtual machine: a node of hacore, and what is done to it. Runs without its tests' code.

The kernel's command line names the ``driver``. When all is up, a line on the console says what is to be done. What
happens is told there too, one line each: ``@ UPTIME WORD REST``.
"""

from __future__ import annotations

import ctypes
import fcntl
import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

CLUSTER = Path("/root/cluster")
TIMING = {"hardware_s": 6, "round_s": 2, "call_timeout_s": 1}
WATCHDOG = Path("/sys/class/watchdog/watchdog0")
MODULES = {"i6300esb": ("watchdog", "i6300esb"), "softdog": ("watchdog", "softdog")}
"""The kernel's modules for each watchdog, in the order in which they are loaded."""
SETTIMEOUT = 0xC0045706
FINIT_MODULE = 313  # its number on x86-64
POWER_OFF = 0x4321FEDC

libc = ctypes.CDLL(None, use_errno=True)


def tell(word: str, rest: object = "") -> None:
    os.write(1, f"@ {time.clock_gettime(time.CLOCK_BOOTTIME):.2f} {word} {rest}\n".encode())


def mount(kind: str, where: str) -> None:
    if libc.mount(kind.encode(), where.encode(), kind.encode(), 0, None) != 0:
        raise OSError(ctypes.get_errno(), "mount", where)


def load(module: str) -> None:
    (file,) = Path("/lib/modules").rglob(f"{module}.ko")
    fd = os.open(file, os.O_RDONLY)
    if libc.syscall(FINIT_MODULE, fd, b"", 0) != 0:
        raise OSError(ctypes.get_errno(), "finit_module", module)
    os.close(fd)


def said_by(*words: str) -> str:
    """What a command of hacore says, on both outputs: it may well fail."""
    from hacore.cli import main  # noqa: PLC0415 - it is found since main has put it on the path

    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said), suppress(SystemExit):
        main(["-C", str(CLUSTER), *words])
    return " | ".join(said.getvalue().splitlines())


def until(holds: Callable[[], object]) -> None:
    while not holds():
        time.sleep(0.1)


def state() -> str:
    return (WATCHDOG / "state").read_text().strip()


def pid_of(daemon: str) -> int:
    """The daemon's process."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        words = entry.read_bytes().split(b"\0")
        if b"daemon" in words and daemon.encode() in words:
            return int(entry.parent.name)
    raise LookupError(daemon)


def main() -> None:
    for kind, where in (
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("tmpfs", "/run"),
        ("tmpfs", "/tmp"),
    ):
        mount(kind, where)
    os.environ.update(PATH="/bin", PYTHONPATH="/app", HOME="/root")
    sys.path.insert(0, "/app")
    (driver,) = [word[7:] for word in Path("/proc/cmdline").read_text().split() if word.startswith("driver=")]
    tell("booted")
    make_cluster()
    tell("bare", said_by("watchdog", "status"))
    for module in MODULES[driver]:
        load(module)
    until(Path("/dev/watchdog0").exists)
    tell("status", said_by("watchdog", "status"))
    node = subprocess.Popen([sys.executable, "-m", "hacore", "-C", str(CLUSTER), "node", "alpha"])
    until(Path("/tmp/web").exists)
    tell("serving", state())
    time.sleep(2 * TIMING["hardware_s"])  # longer than it would live unfed
    tell("ready", state())
    DEEDS[sys.stdin.readline().strip()](node)


def make_cluster() -> None:
    from hacore.runtime.cluster import create  # noqa: PLC0415 - as above

    create(CLUSTER, ["alpha"], TIMING)
    (CLUSTER / "hacore.toml").write_text('[watchdog]\ndevice = "auto"\n')
    said_by("add", "proc:web", "--node", "alpha", "--command", "echo > /tmp/web; exec sleep 100000")


def doomed(word: str) -> None:
    """Go on as if nothing were, until the reset."""
    tell(word)
    while True:
        time.sleep(0.2)
        tell("alive", state())


def kill_multiplexer(_: object) -> None:
    os.kill(pid_of("watchdog"), signal.SIGKILL)
    doomed("killed")


def stop_multiplexer(_: object) -> None:
    os.kill(pid_of("watchdog"), signal.SIGSTOP)
    doomed("stopped")


def stop_lrm(_: object) -> None:
    """Its deadline passes then; it is the multiplexer who ends the machine."""
    os.kill(pid_of("lrm"), signal.SIGSTOP)
    doomed("stopped")


def panic(_: object) -> None:
    """Beside softdog a second watchdog tells the time, since nothing else will: it goes off much later."""
    if not Path("/sys/module/i6300esb").exists():
        load("i6300esb")
        until(Path("/dev/watchdog1").exists)
        clock = os.open("/dev/watchdog1", os.O_WRONLY)
        fcntl.ioctl(clock, SETTIMEOUT, struct.pack("=i", 2 * TIMING["hardware_s"]))
    tell("panicking")
    Path("/proc/sysrq-trigger").write_text("c")


def end_in_order(node: subprocess.Popen[bytes]) -> None:
    node.terminate()
    tell("ended", node.wait())
    tell("after", state())
    time.sleep(3 * TIMING["hardware_s"])
    tell("test", said_by("watchdog", "test", "--json"))
    time.sleep(3 * TIMING["hardware_s"])
    tell("survived", json.dumps({"state": state()}))
    os.sync()
    libc.reboot(POWER_OFF)


DEEDS = {
    "kill-multiplexer": kill_multiplexer,
    "stop-multiplexer": stop_multiplexer,
    "stop-lrm": stop_lrm,
    "panic": panic,
    "end-in-order": end_in_order,
}

if __name__ == "__main__":
    main()
