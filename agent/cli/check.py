"""`tourlatch check`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from agent.cli.options import config_option, json_option, print_json


@click.command()
@config_option
@json_option
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the file, for editors.")
def check(config_path: Path, as_json: bool, schema: bool) -> None:
    """Read a configuration as the programs would, and print every effective value and whether the file or a default gave it.

    Or every mistake in it, at once. No device is touched.
    """
    from agent import config, settings

    if schema:
        click.echo(json.dumps(settings.json_schema(), indent=2, sort_keys=True))
        return
    _, values = config.load_with_origins(config_path)
    if as_json:
        print_json([asdict(value) for value in values])
        return
    width = max(len(value.place) for value in values)
    for value in values:
        shown = json.dumps(value.value, ensure_ascii=False)
        click.echo(f"{value.place:{width}}  {shown:32}  {value.origin}".rstrip())
    click.echo(f"{config_path} is good.", err=True)
