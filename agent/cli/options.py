"""Options that several commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

DEFAULT_CONFIG = Path("/etc/tourlatch/agent.toml")
DEFAULT_DESK_CONFIG = Path("/etc/tourlatch/desk.toml")
DEFAULT_KIOSK_CONFIG = Path("/etc/tourlatch/kiosk.toml")
DEFAULT_KEYS = Path("/etc/tourlatch/keys")

config_option = click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The agent's configuration.",
)
desk_config_option = click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default=DEFAULT_DESK_CONFIG,
    show_default=True,
    help="The desk's configuration.",
)
kiosk_config_option = click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default=DEFAULT_KIOSK_CONFIG,
    show_default=True,
    help="The kiosk's configuration.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    """One JSON value on one line."""
    click.echo(json.dumps(value))
