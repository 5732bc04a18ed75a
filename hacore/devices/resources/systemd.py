"""Services of type ``unit``: systemd's, by ``systemctl``.

    {"unit": "nginx.service", "stop_timeout_s": 90}

Both may be left out: ``unit:nginx`` is ``nginx.service``.

Theory of operation. A unit is down when systemd says that it is inactive or failed, that no job for it is queued, and
when no process is left in its control group. The last is looked up in /proc: of a unit that is inactive systemd forgets
the group, though what ``KillMode=process`` has spared may live on in it.

A unit must be started by hacore alone. One that systemd starts by itself (because it is enabled, another unit wants it,
or a socket or timer triggers it) would come up when its node boots, wherever the service runs by then. So
:meth:`SystemdResource.start` refuses it, and says by what it would be started.
"""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path
from typing import ClassVar, TypeAlias

from hacore.devices import proc
from hacore.devices.clock import now_s
from hacore.devices.proc import Process
from hacore.devices.resources import find
from hacore.devices.resources.base import Config, ResourceError, told
from hacore.devices.resources.run import run
from hacore.devices.resources.settings import insist_on_keys, insist_on_seconds, seconds

CALL_S = 10.0
"""How long systemd may take to answer."""
START_WAIT_S = 10.0
"""How long a start waits for the unit to be up. After that, or once it is activating for good, it is under way."""
SETTLE_S = 0.3
"""What ends sooner than this after its start has failed to start."""
KILL_WAIT_S = 10.0
"""How long the unit may take to be down after SIGKILL: processes may be in an uninterruptible sleep."""
LOOK_EVERY_S = 0.1

_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,247}\.service\Z")
_AT_REST = {"inactive", "failed"}
_STARTERS = ("WantedBy", "RequiredBy", "BoundBy", "UpheldBy", "TriggeredBy")
"""The properties that name the units with which systemd starts this one."""
_PROPERTIES = ("Id", "LoadState", "ActiveState", "Job", "Slice", "Result", "UnitFileState", *_STARTERS)

Look: TypeAlias = dict[str, str]
"""What systemd says of a unit, by property; what it does not say is ""."""


class SystemdResource:
    """The ``unit`` services of one node."""

    stop_timeout_s: ClassVar[float] = 90.0

    def __init__(self, home: Path, node: str) -> None:
        self.node = node

    @staticmethod
    def validate(sid: str, config: Config) -> None:
        """Raise :class:`ResourceError` if there can be no such unit, or something else is configured."""
        insist_on_keys(sid, config, "unit", "stop_timeout_s")
        insist_on_seconds(sid, config, "stop_timeout_s")
        _unit(sid, config)

    def probe(self, sid: str, config: Config) -> bool:
        """True too while systemd starts or stops the unit, or is about to."""
        with told(sid):
            return not _down(_look(sid, _unit(sid, config)))

    def insist_on_us_alone(self, sid: str, config: Config) -> None:
        """Raise :class:`ResourceError`, with what to do about it, if systemd starts the unit by itself."""
        unit = _unit(sid, config)
        with told(sid):
            _insist_on_us_alone(sid, unit, _look(sid, unit))

    def start(self, sid: str, config: Config) -> None:
        """Start the unit; returns once it is up and has been for SETTLE_S, or after START_WAIT_S."""
        unit = _unit(sid, config)
        with told(sid):
            seen = _look(sid, unit)
            if not _down(seen):
                return
            _insist_on_us_alone(sid, unit, seen)
            if seen["ActiveState"] == "failed":  # how often it may fail is not systemd's to count
                _systemctl(sid, "reset-failed", unit)
            _systemctl(sid, "start", "--no-block", unit)
            give_up_s = now_s() + START_WAIT_S
            while _pending(_look(sid, unit)) and now_s() < give_up_s:
                time.sleep(LOOK_EVERY_S)
            time.sleep(SETTLE_S)
            seen = _look(sid, unit)
            if _down(seen):
                raise ResourceError(f"{sid}: {unit} does not stay up ({seen['Result']}): see journalctl -u {unit}")

    def stop(self, sid: str, config: Config, timeout_s: float | None) -> None:
        """Let systemd stop the unit, and after the timeout kill what is left of it."""
        unit = _unit(sid, config)
        if timeout_s is None:
            timeout_s = seconds(config, "stop_timeout_s", self.stop_timeout_s)
        with told(sid):
            if _down(_look(sid, unit)):
                return
            _systemctl(sid, "stop", "--no-block", unit)
            kill_s = now_s() + timeout_s
            while not _down(seen := _look(sid, unit)):
                if now_s() >= kill_s + KILL_WAIT_S:
                    left = ", ".join(str(process.pid) for process in _left(seen)) or "none"
                    raise ResourceError(f"{sid}: {unit} is {seen['ActiveState']} after SIGKILL; its processes: {left}")
                # What has outlived a unit that systemd is done with, systemd kills no more.
                if now_s() >= kill_s or seen["ActiveState"] in _AT_REST:
                    for process in _left(seen):
                        proc.send(process, signal.SIGKILL)
                time.sleep(LOOK_EVERY_S)

    def migrate(self, sid: str, config: Config, target: str) -> bool:
        """A unit cannot move."""
        return False


def _unit(sid: str, config: Config) -> str:
    """The unit's name. Raises :class:`ResourceError` if it is no service's."""
    unit = config.get("unit", f"{sid.partition(':')[2].removesuffix('.service')}.service")
    if not isinstance(unit, str) or not _UNIT.match(unit):
        raise ResourceError(f"{sid}: 'unit' must name a service of systemd, such as nginx.service")
    return unit


def _systemctl(sid: str, *words: str) -> str:
    answer = run(sid, ("systemctl", "--no-ask-password", *words), CALL_S, {"LC_ALL": "C.UTF-8"})
    if answer.code != 0:
        raise ResourceError(f"{sid}: systemctl {words[0]}: {answer.why}")
    return answer.output


def _look(sid: str, unit: str) -> Look:
    said = dict.fromkeys(_PROPERTIES, "")
    for line in _systemctl(sid, "show", "--property", ",".join(_PROPERTIES), "--", unit).splitlines():
        name, _, value = line.partition("=")
        said[name] = value
    if not said["Id"] or not said["ActiveState"]:
        raise ResourceError(f"{sid}: systemctl does not say whether {unit} is active")
    return said


def _pending(seen: Look) -> bool:
    """Whether systemd is at work on the unit, or about to be."""
    return seen["Job"] not in {"", "0"} or seen["ActiveState"] in {"activating", "deactivating", "reloading"}


def _down(seen: Look) -> bool:
    return seen["ActiveState"] in _AT_REST and not _pending(seen) and not _left(seen)


def _left(seen: Look) -> list[Process]:
    """The processes in the unit's control group, whatever systemd knows of them."""
    processes = find.living()
    return [processes[pid] for group in _groups(seen) for pid in find.in_cgroup(processes.values(), group)]


def _groups(seen: Look) -> tuple[str, str]:
    """Where the unit's control group is; systemd puts a _ before names that the kernel uses (memory.service)."""
    within = seen["Slice"] or "system.slice"
    parts = [] if within == "-.slice" else within.removesuffix(".slice").split("-")
    slices = "".join(f"/{'-'.join(parts[: depth + 1])}.slice" for depth in range(len(parts)))
    return f"{slices}/{seen['Id']}", f"{slices}/_{seen['Id']}"


def _insist_on_us_alone(sid: str, unit: str, seen: Look) -> None:
    """Raise :class:`ResourceError` unless it is for hacore alone to start the unit."""
    if seen["LoadState"] != "loaded":
        raise ResourceError(f"{sid}: {unit} cannot be started: it is {seen['LoadState'] or 'unknown to systemd'}")
    others = " ".join(seen[name] for name in _STARTERS if seen[name])
    if others or seen["UnitFileState"] in {"enabled", "enabled-runtime"}:
        because = f"systemd starts it by itself, with {others or 'the machine'}"
        raise ResourceError(f"{sid}: {unit} is not hacore's alone: {because}; end that with systemctl disable or mask")
