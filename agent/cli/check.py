"""`tourlatch check`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.cli.options import DEFAULT_CONFIG, DEFAULT_DESK_CONFIG, DEFAULT_KIOSK_CONFIG, json_option, print_json

if TYPE_CHECKING:
    from agent.settings.parts import Part

_DESKS_OWN = frozenset({"public_url", "community"})
_KIOSKS_OWN = frozenset({"agent_socket", "languages", "look", "pin_pad", "remote", "book", "help", "way"})
"""Keys by which a file is known as its program's, whatever else is wrong with it."""
_DEFAULTS = {"agent": DEFAULT_CONFIG, "desk": DEFAULT_DESK_CONFIG, "kiosk": DEFAULT_KIOSK_CONFIG}


def _model(program: str) -> type[Part]:
    if program == "desk":
        from agent.settings.desk import DeskSettings

        return DeskSettings
    if program == "kiosk":
        from agent.settings.kiosk import KioskSettings

        return KioskSettings
    from agent.settings.agent import AgentSettings

    return AgentSettings


def _program_of(written: dict[str, Any]) -> str:
    """Whose file it is, by its keys; the agent's if none tells."""
    if not _DESKS_OWN.isdisjoint(written):
        return "desk"
    # a screen hangs at one door, an agent has a table of each
    if not _KIOSKS_OWN.isdisjoint(written) or isinstance(written.get("door"), str):
        return "kiosk"
    return "desk" if "listen" in written else "agent"


@click.command()
@click.option(
    "-c",
    "--config",
    "given_path",
    type=click.Path(path_type=Path),
    help=f"The configuration.  [default: {DEFAULT_CONFIG}, with --desk {DEFAULT_DESK_CONFIG}, with --kiosk {DEFAULT_KIOSK_CONFIG}]",
)
@json_option
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the file, for editors.")
@click.option("--desk", "program", flag_value="desk", help="The file is the desk's; told by itself unless --schema is asked for.")
@click.option("--kiosk", "program", flag_value="kiosk", help="The file is the kiosk's; told by itself unless --schema is asked for.")
def check(given_path: Path | None, as_json: bool, schema: bool, program: str | None) -> None:
    """Read a configuration as its program would, and print every effective value and whether the file or a default gave it.

    Or every mistake in it, at once. No device is touched.
    """
    from agent import config
    from agent.settings.parts import json_schema

    if schema:
        click.echo(json.dumps(json_schema(_model(program or "agent")), indent=2, sort_keys=True))
        return
    config_path = given_path or _DEFAULTS[program or "agent"]
    values = config.effective(_model(program or _program_of(config.read(config_path))), config_path)
    _remark({value.place: value.value for value in values})
    if as_json:
        print_json([asdict(value) for value in values])
        return
    width = max(len(value.place) for value in values)
    for value in values:
        shown = json.dumps(value.value, ensure_ascii=False)
        click.echo(f"{value.place:{width}}  {shown:32}  {value.origin}".rstrip())
    click.echo(f"{config_path} is good.", err=True)


def _remark(found: dict[str, Any]) -> None:
    """Say what is no mistake and yet may be none of the meaning."""
    if "help.mail_to" in found and found["help.mail_to"] is None and found["help.webhook_url_file"] is None:
        because = "[help] has neither webhook_url_file nor mail_to: nobody is told of a call, it only stands in the door's journal"
        click.echo(f"Note: {because}, and the screen says so.", err=True)
