"""A watchdog's driver in a file system: /dev/watchdog0 and its sysfs, answering the real ioctls through FUSE.

Below the mount point lie ``dev/watchdog0`` and ``sys/class/watchdog/watchdog0/*``, as below / of a real machine, so the
client's code is the very same. It behaves as the kernel's watchdog core (drivers/watchdog/watchdog_dev.c) does: opening
arms it with the timeout that it has, a second opener gets EBUSY, only a magic letter in the last write before the close
disarms it, and with nowayout not even that. When it expires, it kills the process group whose number was written to
``victim``, as a machine's reset would, and from then on says so in ``expired`` (CLOCK_BOOTTIME). A write to the file
``nowayout`` sets that, as root may do at any time on a real machine.

    python -m tests.devices.fuse_watchdog MOUNTPOINT '{"identity": "iTCO_wdt", "step_s": 2}'
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import stat
import struct
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import mfusepy

from hacore.devices.clock import now_s
from hacore.devices.watchdog import linux as api

DEVICE = "/dev/watchdog0"
SYSFS = "/sys/class/watchdog/watchdog0"


@dataclass
class Settings:
    """What sort of a watchdog it is."""

    identity: str = "FUSE watchdog"
    options: int = 0x8180
    """SETTIMEOUT, MAGICCLOSE, KEEPALIVEPING."""
    timeout_s: int = 60
    """Before anybody sets it."""
    least_s: int = 1
    most_s: int = 600
    step_s: int = 1
    """Timeouts are rounded up to a multiple of this."""
    nowayout: bool = False
    sysfs: bool = True
    time_left: bool = True
    boot_status: int = 0


class Driver(mfusepy.Operations):  # type: ignore[misc]
    """One watchdog and the files that show it."""

    use_ns = True

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.timeout_s = settings.timeout_s
        self.opened = self.magic = False
        self.expires_s: float | None = None
        self.expired_s: float | None = None
        self.victim = 0
        self.changed = threading.Condition()
        threading.Thread(target=self.run, daemon=True).start()

    # ------------------------------------------------------------------------------------------------- the timer

    def run(self) -> None:
        with self.changed:
            while True:
                left_s = None if self.expires_s is None else self.expires_s - now_s()
                if left_s is not None and left_s <= 0:
                    self.expired_s, self.expires_s = now_s(), None
                    with suppress(ProcessLookupError):
                        if self.victim:
                            os.killpg(self.victim, signal.SIGKILL)
                self.changed.wait(left_s)

    def ping(self) -> None:
        with self.changed:
            self.expires_s = now_s() + self.timeout_s
            self.changed.notify()

    def disarm(self) -> None:
        with self.changed:
            self.expires_s = None
            self.changed.notify()

    # ------------------------------------------------------------------------------------------------- the files

    def files(self) -> dict[str, str]:
        """The text of every file but the device."""
        it = self.settings
        shown = {
            "identity": it.identity,
            "state": "inactive" if self.expires_s is None else "active",
            "nowayout": str(int(it.nowayout)),
            "timeout": str(self.timeout_s),
            "min_timeout": str(it.least_s),
            "max_timeout": str(it.most_s),
        }
        sysfs = {f"{SYSFS}/{name}": f"{text}\n" for name, text in shown.items()} if it.sysfs else {}
        return {**sysfs, "/nowayout": "\n", "/victim": f"{self.victim}\n", "/expired": f"{self.expired_s or ''}\n"}

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        files = [DEVICE, *self.files()]
        if path in files:
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": 0}
        if path == "/" or any(file.startswith(f"{path}/") for file in files):
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        raise mfusepy.FuseOSError(errno.ENOENT)

    def readdir(self, path: str, fh: int) -> list[str]:
        below = path.rstrip("/") + "/"
        inside = {file.removeprefix(below).split("/")[0] for file in [DEVICE, *self.files()] if file.startswith(below)}
        return [".", "..", *sorted(inside)]

    def open(self, path: str, flags: int) -> int:
        if path == DEVICE:
            if self.opened:
                raise mfusepy.FuseOSError(errno.EBUSY)
            self.opened, self.magic = True, False
            self.ping()
        return 0

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        pass

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return self.files()[path].encode()[offset : offset + size]

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        if path == DEVICE:
            self.magic = b"V" in data
            self.ping()
        elif path == "/nowayout":
            self.settings.nowayout = True
        elif path == "/victim":
            self.victim = int(data)
        return len(data)

    def flush(self, path: str, fh: int) -> None:
        """The close, or the opener's death; unlike FUSE's release, the closing process waits for it."""
        if path == DEVICE:
            self.opened = False
            if self.magic and not self.settings.nowayout:
                self.disarm()
            else:
                self.ping()  # so does the kernel: "watchdog did not stop!"

    # ------------------------------------------------------------------------------------------------ the ioctls

    def ioctl(self, path: str, cmd: int, arg: Any, fh: int, flags: int, data: Any) -> int:  # noqa: PLR0917 - as FUSE has it
        cmd &= 0xFFFFFFFF
        if path != DEVICE:
            raise mfusepy.FuseOSError(errno.ENOTTY)
        if cmd == api.GETSUPPORT:
            info = api.INFO.pack(self.settings.options, 1, self.settings.identity.encode())
            ctypes.memmove(data, info, len(info))
        elif cmd == api.KEEPALIVE:
            self.ping()
        elif cmd == api.SETTIMEOUT:
            self.set_timeout(struct.unpack("=i", ctypes.string_at(data, 4))[0])
            ctypes.memmove(data, struct.pack("=i", self.timeout_s), 4)
        else:
            ctypes.memmove(data, struct.pack("=i", self.number(cmd)), 4)
        return 0

    def set_timeout(self, seconds: int) -> None:
        it = self.settings
        if not it.least_s <= seconds <= it.most_s:
            raise mfusepy.FuseOSError(errno.EINVAL)
        self.timeout_s = -(-seconds // it.step_s) * it.step_s
        self.ping()

    def number(self, cmd: int) -> int:
        if cmd == api.GETTIMEOUT:
            return self.timeout_s
        if cmd == api.GETTIMELEFT and self.settings.time_left and self.expires_s is not None:
            return int(self.expires_s - now_s())
        if cmd == api.GETBOOTSTATUS:
            return self.settings.boot_status
        raise mfusepy.FuseOSError(errno.EOPNOTSUPP)


if __name__ == "__main__":
    with suppress(RuntimeError):  # so it tells of the signal that ended it
        mfusepy.FUSE(
            Driver(Settings(**json.loads(sys.argv[2]))),
            sys.argv[1],
            foreground=True,
            nothreads=True,
            direct_io=True,
            attr_timeout=0,
            entry_timeout=0,
            fsname="hacore-test-watchdog",
        )
