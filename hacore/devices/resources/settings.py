"""The configuration of a service: what it may say, and one clear line about what is wrong with it.

That of a ``proc`` service:

    {"command": "shell command line" or ["program", "argument", ...],
     "stop_timeout_s": 10, "directory": "/", "environment": {"NAME": "value"}}

All but the command may be left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

from hacore.devices.resources.base import Config, ResourceError


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration of a ``proc`` service, checked."""

    command: tuple[str, ...]
    shell_word: str = ""
    """The first word of a shell command line, where that is a plain word."""
    directory: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, sid: str, config: Config) -> Settings:
        """Raises :class:`ResourceError` with the first thing that is wrong, in one line."""
        insist_on_keys(sid, config, "command", "stop_timeout_s", "directory", "environment")
        _require("command" in config, f"{sid}: 'command' is missing")
        command, word = _command(sid, config["command"])
        insist_on_seconds(sid, config, "stop_timeout_s")
        directory = config.get("directory", "/")
        _require(_is_text(directory) and directory.startswith("/"), f"{sid}: 'directory' must be an absolute path")
        return cls(command, word, directory, _environment(sid, config.get("environment", {})))


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ResourceError(otherwise)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def insist_on_keys(sid: str, config: Config, *known: str) -> None:
    """Raise :class:`ResourceError` if the configuration has any other."""
    for key in config:
        _require(key in known, f"{sid}: unknown key {key!r} (known: {', '.join(known)})")


def insist_on_seconds(sid: str, config: Config, *keys: str) -> None:
    """Raise :class:`ResourceError` if one of these is there, and no number of seconds."""
    for key in keys:
        _require(_is_seconds(config.get(key, 0)), f"{sid}: {key!r} must be a number of seconds, 0 or more")


def seconds(config: Config, key: str, otherwise_s: float) -> float:
    """What the configuration says; ``otherwise_s`` if it does not say, or no number: nothing may prevent a stop."""
    value = config.get(key)
    return float(value) if _is_seconds(value) else otherwise_s


def _is_seconds(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


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
