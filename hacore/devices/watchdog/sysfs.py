"""What the kernel tells of its watchdogs without opening them, which would arm them.

A device at ROOT/dev/watchdogN is described in ROOT/sys/class/watchdog/watchdogN; ROOT is / on a real machine, and a
directory of a test's elsewhere. A few drivers (ipmi_watchdog) have no description there, but only /dev/watchdog.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from hacore.devices import proc

MACHINE = Path("/")
"""The root of this machine."""

SOFTDOG = "Software Watchdog"
"""How softdog calls itself."""
SOFTDOG_LIMIT = "softdog is a timer of the kernel, and resets nothing if the kernel itself panics or hangs"


@dataclass(frozen=True, slots=True)
class Described:
    """A watchdog as sysfs shows it. None: not told."""

    path: Path
    identity: str | None = None
    driver: str | None = None
    active: bool | None = None
    """Whether it was opened, by whom ever, and has not been disarmed since."""
    nowayout: bool | None = None
    timeout_s: int | None = None
    min_timeout_s: int | None = None
    max_timeout_s: int | None = None
    pretimeout_s: int | None = None
    time_left_s: int | None = None

    @property
    def root(self) -> Path:
        return _root(self.path)

    @property
    def soft(self) -> bool:
        """Whether it is softdog, the fallback."""
        return self.identity == SOFTDOG


def describe(path: Path) -> Described:
    """The watchdog at ``path``."""
    about = _root(path) / "sys" / "class" / "watchdog" / path.name

    def text(name: str) -> str | None:
        try:
            return (about / name).read_text().strip()
        except OSError:  # not every kernel and driver has every file
            return None

    def number(name: str) -> int | None:
        said = text(name)
        return int(said) if said and said.isdecimal() else None

    state, nowayout, identity = text("state"), number("nowayout"), text("identity")
    driver = about / "device" / "driver"
    return Described(
        path,
        identity=identity,
        driver=driver.resolve().name if driver.exists() else "softdog" if identity == SOFTDOG else None,
        active=None if state is None else state == "active",
        nowayout=None if nowayout is None else nowayout != 0,
        timeout_s=number("timeout"),
        min_timeout_s=number("min_timeout"),
        max_timeout_s=number("max_timeout") or None,
        pretimeout_s=number("pretimeout"),
        time_left_s=number("timeleft"),
    )


def devices(root: Path) -> list[Described]:
    """All watchdogs, by number; /dev/watchdog only if there is no other, for else it is watchdog0's old name."""
    found = sorted((root / "dev").glob("watchdog[0-9]*"), key=lambda path: (len(path.name), path.name))
    alone = root / "dev" / "watchdog"
    return [describe(path) for path in found or ([alone] if alone.exists() else [])]


def best(among: list[Described]) -> Described | None:
    """The one that ``device = "auto"`` means: the first that is not softdog, else softdog."""
    return min(among, key=lambda it: it.soft, default=None)


def holders(path: Path) -> list[int]:
    """The processes that have the watchdog open, as far as this user may see."""
    real = path.resolve()
    names = {str(real), str(real.with_name("watchdog"))} if real.name == "watchdog0" else {str(real)}
    return [pid for pid in proc.pids() if names & _open_files(pid)]


def modules(root: Path) -> list[str]:
    """The kernel's modules that would drive a watchdog of this machine, best first; the last is always softdog."""
    place = root / "lib" / "modules" / os.uname().release
    ours = {
        Path(line.partition(":")[0]).name.partition(".")[0].replace("-", "_")
        for line in _lines(place / "modules.dep")
        if line.startswith("kernel/drivers/watchdog/")
    }
    here = {_first_line(path) for path in (root / "sys" / "bus").glob("*/devices/*/modalias")}
    aliases = [line.split() for line in _lines(place / "modules.alias") if line.startswith("alias ")]
    found = {it for _, pattern, it in aliases if it in ours and any(fnmatchcase(each, pattern) for each in here)}
    bmc = ["ipmi_watchdog"] if (root / "sys" / "class" / "ipmi").exists() else []
    return [*sorted(found), *bmc, "softdog"]


def module_says_nowayout(path: Path) -> bool:
    """Whether the driver of an undescribed watchdog may have been loaded with nowayout."""
    settings = (_root(path) / "sys" / "module").glob("*/parameters/nowayout")
    return any(_first_line(setting) in {"Y", "1"} for setting in settings)


def _root(path: Path) -> Path:
    return path.absolute().parent.parent


def _open_files(pid: int) -> set[str]:
    files = set()
    with suppress(*proc.GONE, PermissionError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                files.add(os.readlink(entry.path))  # noqa: PTH115 - as in proc: thousands of files
    return files


def _first_line(path: Path) -> str:
    lines = _lines(path)
    return lines[0].strip() if lines else ""


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
