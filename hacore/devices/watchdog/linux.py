"""A Linux watchdog, /dev/watchdogN (Documentation/watchdog/watchdog-api.rst in the kernel's source).

Opening it arms it, whatever its timeout is just then; it gets ours afterwards, and nobody relies on it before that. Its
timeout is a whole number of seconds, which a driver may round. Every call ends at once: no driver waits for anything
but its device, and if that hangs while the watchdog is armed, the machine is reset.

These are refused, because they would not do what hacore relies on:

- one without magic close: the kernel would disarm it when its opener dies;
- one that only raises an alarm;
- one with *nowayout*: it cannot be disarmed, so every orderly end of the multiplexer would reset the machine;
- one that an earlier process of this boot left armed, see :class:`_Claim`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

from hacore.devices.watchdog.sysfs import SOFTDOG, SOFTDOG_LIMIT, Described, describe, module_says_nowayout

_READ, _WRITE = 2, 1


def _request(direction: int, number: int, size: int) -> int:
    """An ioctl's number, as include/uapi/asm-generic/ioctl.h composes it."""
    return direction << 30 | size << 16 | ord("W") << 8 | number


INFO = struct.Struct("=II32s")
"""struct watchdog_info: options, firmware version, identity."""

# include/uapi/linux/watchdog.h
GETSUPPORT = _request(_READ, 0, INFO.size)
GETSTATUS = _request(_READ, 1, 4)
GETBOOTSTATUS = _request(_READ, 2, 4)
KEEPALIVE = _request(_READ, 5, 4)
SETTIMEOUT = _request(_READ | _WRITE, 6, 4)
GETTIMEOUT = _request(_READ, 7, 4)
GETPRETIMEOUT = _request(_READ, 9, 4)
GETTIMELEFT = _request(_READ, 10, 4)

ALARMONLY = 0x0400
NEEDED = {0x0080: "to set its timeout", 0x0100: "magic close", 0x8000: "to be fed by ioctl"}
BOOT_STATUS = {
    0x0001: "overheated",
    0x0002: "fan failed",
    0x0010: "power was low",
    0x0020: "the watchdog reset the machine",
    0x0040: "power was high",
}
"""What GETBOOTSTATUS says of the last reset."""


SET = "set hardware_s to a number that it takes (hacore settings set timing.hardware_s=N, cluster down)"


def unfit(it: Described, timeout_s: float) -> str:
    """What speaks against a watchdog before it is opened, and what to do about it; nothing if nothing does."""
    least, most = it.min_timeout_s or 1, it.max_timeout_s
    if timeout_s != int(timeout_s):
        return f"a Linux watchdog counts whole seconds, not {timeout_s:g} s: {SET}"
    if timeout_s < least or (most and timeout_s > most):
        return f"it takes {f'from {least} to {most}' if most else f'at least {least}'} s, not {timeout_s:g} s: {SET}"
    if it.nowayout or (it.nowayout is None and module_says_nowayout(it.path)):
        return "it has nowayout, and could not be closed: load its module with nowayout=0"
    return ""


class LinuxWatchdog:
    """An open and armed /dev/watchdogN; a :class:`hacore.devices.watchdog.HardwareWatchdog`. Made by :meth:`open`."""

    def __init__(self, path: Path, fd: int, identity: str, claim: _Claim) -> None:
        self._path, self._fd, self._claim = path, fd, claim
        self.identity = identity
        self.timeout_s = 0
        """As it was read back from the driver."""

    @classmethod
    def open(cls, path: Path, timeout_s: float) -> LinuxWatchdog:
        """Open and arm the watchdog at ``path``: it resets the machine ``timeout_s`` after it was last fed, or earlier.

        Raises OSError, whose text is for operators, and leaves it disarmed: EBUSY if it is open or was left armed,
        EINVAL if it cannot have this timeout, ENOTSUP if it is none that hacore can rely on, or what the system says.
        """
        described = describe(path)
        if against := unfit(described, timeout_s):
            raise _problem(errno.EINVAL, against, path)
        claim = _Claim(path, described)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            options, identity = _support(fd, path)
        except BaseException:
            claim.give_back()
            raise
        watchdog = cls(path, fd, identity, claim)
        try:
            watchdog._accept(options)
            watchdog._set(int(timeout_s))
        except BaseException:
            watchdog.close()
            raise
        return watchdog

    @property
    def about(self) -> str:
        """What it is, for people."""
        only = f"; WARNING: {SOFTDOG_LIMIT}" if self.identity == SOFTDOG else ""
        return f"{self._path} ({self.identity}), timeout {self.timeout_s} s{only}"

    def feed(self) -> None:
        """See :meth:`hacore.devices.watchdog.HardwareWatchdog.feed`."""
        self._number(KEEPALIVE)

    def close(self) -> None:
        """See :meth:`hacore.devices.watchdog.HardwareWatchdog.close`."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            try:
                os.write(fd, b"V")
            finally:
                os.close(fd)
            if describe(self._path).active:
                raise _problem(
                    errno.EBUSY, "closing did not disarm it (nowayout?): it will reset the machine", self._path
                )
            self._claim.give_back()

    def time_left_s(self) -> int | None:
        """Seconds until it resets the machine; None if its driver does not tell."""
        return self._told(GETTIMELEFT)

    def pretimeout_s(self) -> int | None:
        """So long before the reset it warns the kernel (0: never); None if it cannot."""
        return self._told(GETPRETIMEOUT)

    def boot_status(self) -> list[str]:
        """What the watchdog knows of the machine's last reset."""
        bits = self._told(GETBOOTSTATUS) or 0
        return [meaning for bit, meaning in BOOT_STATUS.items() if bits & bit]

    def _accept(self, options: int) -> None:
        if missing := [what for bit, what in NEEDED.items() if not options & bit]:
            raise _problem(errno.ENOTSUP, f"{self.identity} does not offer {' and '.join(missing)}", self._path)
        if options & ALARMONLY:
            raise _problem(errno.ENOTSUP, f"{self.identity} raises an alarm only, and resets nothing", self._path)

    def _set(self, seconds: int) -> None:
        """Set the timeout; what the driver makes of it must be what we rely on, and not so short that it does harm."""
        try:
            self._number(SETTIMEOUT, seconds)
        except OSError as problem:
            if problem.errno != errno.EINVAL:
                raise
            raise _problem(errno.EINVAL, f"{self.identity} does not take {seconds} s: {SET}", self._path) from None
        self.timeout_s = self._number(GETTIMEOUT)
        if not seconds / 2 <= self.timeout_s <= seconds:
            raise _problem(errno.EINVAL, f"{self.identity} makes {self.timeout_s} s of {seconds} s: {SET}", self._path)

    def _told(self, request: int) -> int | None:
        with suppress(OSError):
            return self._number(request)
        return None

    def _number(self, request: int, value: int = 0) -> int:
        if self._fd < 0:
            raise _problem(errno.EBADF, "the watchdog is closed", self._path)
        buffer = bytearray(struct.pack("=i", value))
        fcntl.ioctl(self._fd, request, buffer)
        number: int = struct.unpack("=i", buffer)[0]
        return number


def _support(fd: int, path: Path) -> tuple[int, str]:
    """Options and identity of the watchdog; closes what is none, without writing anything to it."""
    buffer = bytearray(INFO.size)
    try:
        fcntl.ioctl(fd, GETSUPPORT, buffer)
    except OSError:
        os.close(fd)
        raise _problem(errno.ENOTSUP, "it is no watchdog", path) from None
    options, _, identity = INFO.unpack(buffer)
    return options, identity.split(b"\0")[0].decode(errors="replace")


class _Claim:
    """What keeps two processes of this boot from opening the same watchdog, one after the other.

    The file /run/hacore/NAME is locked (man 2 flock) while a process has the watchdog open, and holds the boot's id
    while it is armed. The kernel's own word on that, ``state`` in sysfs, is better: it knows of programs other than
    hacore, and that an opener died before it opened. A driver without sysfs (ipmi_watchdog) has the file only.
    """

    def __init__(self, path: Path, described: Described) -> None:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
        place = described.root / "run" / "hacore" / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _problem(errno.EBUSY, "another process of hacore has it open", path) from None
            armed = os.pread(self._file, len(boot), 0) == boot if described.active is None else described.active
            if armed:
                raise _problem(
                    errno.EBUSY,
                    "an earlier process armed it and did not close it: only a restart of the machine ends that",
                    path,
                )
            os.pwrite(self._file, boot, 0)
        except BaseException:
            os.close(self._file)
            raise

    def give_back(self) -> None:
        """It is disarmed."""
        os.truncate(self._file, 0)
        os.close(self._file)


def _problem(code: int, what: str, path: Path) -> OSError:
    return OSError(code, what, str(path))
