"""`tourlatch check`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.options import DEFAULT_CONFIG, DEFAULT_DESK_CONFIG, json_option, print_json

if TYPE_CHECKING:
    from agent.settings.parts import Part

_DESKS_OWN = frozenset({"public_url", "community", "listen"})
"""Keys by which a file is known as the desk's, whatever else is wrong with it."""


def _model(*, is_desk: bool) -> type[Part]:
    from agent.settings.agent import AgentSettings

    if not is_desk:
        return AgentSettings
    from agent.settings.desk import DeskSettings

    return DeskSettings


@click.command()
@click.option(
    "-c",
    "--config",
    "given_path",
    type=click.Path(path_type=Path),
    help=f"The configuration.  [default: {DEFAULT_CONFIG}, with --desk {DEFAULT_DESK_CONFIG}]",
)
@json_option
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the file, for editors.")
@click.option("--desk", "is_desk", is_flag=True, help="The file is the desk's; told by itself unless --schema is asked for.")
def check(given_path: Path | None, as_json: bool, schema: bool, is_desk: bool) -> None:
    """Read a configuration as its program would, and print every effective value and whether the file or a default gave it.

    Or every mistake in it, at once. No device is touched.
    """
    from agent import config
    from agent.settings.parts import json_schema

    if schema:
        click.echo(json.dumps(json_schema(_model(is_desk=is_desk)), indent=2, sort_keys=True))
        return
    config_path = given_path or (DEFAULT_DESK_CONFIG if is_desk else DEFAULT_CONFIG)
    values = config.effective(_model(is_desk=is_desk or not _DESKS_OWN.isdisjoint(config.read(config_path))), config_path)
    if as_json:
        print_json([asdict(value) for value in values])
        return
    width = max(len(value.place) for value in values)
    for value in values:
        shown = json.dumps(value.value, ensure_ascii=False)
        click.echo(f"{value.place:{width}}  {shown:32}  {value.origin}".rstrip())
    click.echo(f"{config_path} is good.", err=True)
