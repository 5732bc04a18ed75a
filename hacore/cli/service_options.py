"""The options by which a service is configured: those that ``hacore add`` and ``hacore set`` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from hacore.manager.documents import REQUESTED_STATES, Resource

F = TypeVar("F", bound=Callable[..., Any])


def text_option(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """What cannot be written as UTF-8 can be neither stored nor shown."""
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter("this is not UTF-8 text") from None
    return value


def _settings(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> list[tuple[str, Any]] | None:
    """``KEY=VALUE``, each: the key, and the value as JSON if it is that, else as text; None takes the key out."""
    settings = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or "" in key.split("."):
            raise click.BadParameter(f"'{text}': write KEY=VALUE, such as agent=heartbeat:IPaddr2")
        settings.append((key, _value(text, value) if value else None))
    return settings or None


def _value(text: str, value: str) -> Any:
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value
    except UnicodeEncodeError:
        raise click.BadParameter(f"{text!r}: this is not UTF-8 text") from None


def _put(config: dict[str, Any], path: list[str], value: Any) -> None:
    """Set what the path leads to, or take it out if the value is None. What lies above it is copied, not changed."""
    key, *deeper = path
    if deeper:
        inner = config.get(key, {})
        if not isinstance(inner, dict):
            raise click.UsageError(f"'{key}' is no group of settings: it is {inner!r}")
        config[key] = dict(inner)
        _put(config[key], deeper, value)
    elif value is None:
        config.pop(key, None)
    else:
        config[key] = value


def service_options(command: F) -> F:
    """The options by which a service is configured. What is not given is None."""
    for option in reversed(
        (
            click.option(
                "--command",
                metavar="TEXT",
                callback=text_option,
                help="Of type proc: the shell command that is the service.",
            ),
            click.option(
                "--set",
                "settings",
                multiple=True,
                metavar="KEY=VALUE",
                callback=_settings,
                help="What else its type wants to know; may be repeated. KEY= takes a setting back.",
            ),
            click.option("--state", type=click.Choice(REQUESTED_STATES), help="The requested state."),
            click.option(
                "--max-restart",
                type=click.IntRange(0),
                metavar="N",
                help="How often a failed start is tried again on the same node (default 1).",
            ),
            click.option(
                "--max-relocate",
                type=click.IntRange(0),
                metavar="N",
                help="On how many other nodes it is tried after that (default 1).",
            ),
            click.option(
                "--failback/--no-failback", default=None, help="Move back to a preferred node when there is one again."
            ),
            click.option("--comment", metavar="TEXT", callback=text_option, help="A note for people."),
            click.option(
                "--stop-timeout",
                type=click.FloatRange(0),
                metavar="SECONDS",
                help="How long it may take to stop, before it is stopped by force.",
            ),
        )
    ):
        command = option(command)
    return command


def with_given(resource: Resource, given: dict[str, Any]) -> Resource:
    """The resource with the options that were given."""
    given = {name: value for name, value in given.items() if value is not None}
    config = dict(resource.config)
    for key, value in given.pop("settings", ()):
        _put(config, key.split("."), value)
    for option, key in (("command", "command"), ("stop_timeout", "stop_timeout_s")):
        if option in given:
            config[key] = given.pop(option)
    return msgspec.structs.replace(resource, config=config, **given)
