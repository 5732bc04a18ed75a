"""The configuration of a ``proc`` service: what it may say, and one clear line about what is wrong with it.

    {"command": "shell command line" or ["program", "argument", ...],
     "stop_timeout_s": 10, "directory": "/", "environment": {"NAME": "value"}}

All but the command may be left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from hacore.devices.resources.base import Config, ResourceError

STOP_TIMEOUT_S = 10.0
"""How long a service may take to stop by itself if neither the request nor its configuration says."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration of a ``proc`` service, checked."""

    command: tuple[str, ...]
    shell_word: str = ""
    """The first word of a shell command line, where that is a plain word."""
    stop_timeout_s: float = STOP_TIMEOUT_S
    directory: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, sid: str, config: Config) -> Settings:
        """Raises :class:`ResourceError` with the first thing that is wrong, in one line."""
        known = ("command", "stop_timeout_s", "directory", "environment")
        for key in config:
            _require(key in known, f"{sid}: unknown key {key!r} (known: {', '.join(known)})")
        _require("command" in config, f"{sid}: 'command' is missing")
        command, word = _command(sid, config["command"])
        timeout_s = duration_s(config.get("stop_timeout_s", STOP_TIMEOUT_S))
        if timeout_s is None:
            raise ResourceError(f"{sid}: 'stop_timeout_s' must be a number of seconds, 0 or more")
        directory = config.get("directory", "/")
        _require(_is_text(directory) and directory.startswith("/"), f"{sid}: 'directory' must be an absolute path")
        return cls(command, word, timeout_s, directory, _environment(sid, config.get("environment", {})))


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ResourceError(otherwise)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def duration_s(value: object) -> float | None:
    """The number of seconds that ``value`` is, or None if it is no such thing."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    return None


def _command(sid: str, value: object) -> tuple[tuple[str, ...], str]:
    if isinstance(value, str):
        _require(value.strip() != "", f"{sid}: 'command' is empty")
        _require(_is_text(value), f"{sid}: 'command' contains a zero byte")
        word = re.match(r"\s*([\w./][\w./+-]*)(?=\s|$)", value)
        return ("/bin/sh", "-c", value), word[1] if word else ""
    _require(isinstance(value, (list, tuple)), f"{sid}: 'command' must be a shell command line or a list of words")
    assert isinstance(value, (list, tuple))
    _require(all(_is_text(word) for word in value), f"{sid}: 'command' must be a list of strings without zero bytes")
    _require(len(value) > 0 and value[0] != "", f"{sid}: 'command' is empty")
    return tuple(value), ""


def _environment(sid: str, value: object) -> Mapping[str, str]:
    _require(isinstance(value, Mapping), f"{sid}: 'environment' must map names to strings")
    assert isinstance(value, Mapping)
    for name, text in value.items():
        _require(_is_text(name) and name != "" and "=" not in name, f"{sid}: 'environment': bad name {name!r}")
        _require(_is_text(text), f"{sid}: 'environment': {name} must be a string without zero bytes")
        _require(not name.startswith("HACORE_"), f"{sid}: 'environment' may not set {name}: HACORE_ names are hacore's")
    return dict(value)
