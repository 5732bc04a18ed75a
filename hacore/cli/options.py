"""Options that several commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


def _settings(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for text in values:
        name, equals, value = text.partition("=")
        try:
            settings[name.strip()] = json.loads(value)
        except json.JSONDecodeError:
            equals = ""
        if not equals:
            raise click.BadParameter(f"'{text}': write NAME=NUMBER, such as round_s=0.5")
    return settings


settings_option = click.option(
    "--set",
    "timing",
    multiple=True,
    metavar="NAME=NUMBER",
    callback=_settings,
    help="A timing setting, such as round_s=0.5; may be repeated. See `hacore timing`.",
)

trace_option = click.option(
    "--trace",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the traces of all daemons to DIR, as real ones do: see `hacore trace`.",
)
