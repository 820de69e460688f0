"""The command `tourlatch sandbox`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import click

from agent.errors import AgentError
from agent.sandbox.settings import SandboxSettings

_DEFAULTS = SandboxSettings()
_PORT = click.IntRange(0, 65535)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--host", default=_DEFAULTS.host, show_default=True, help="Address of Knock's API; the admin API is always on loopback.")
@click.option("--port", type=_PORT, default=_DEFAULTS.port, show_default=True, help="Port of Knock's API; 0 takes a free one.")
@click.option(
    "--admin-port", type=_PORT, default=_DEFAULTS.admin_port, show_default=True, help="Port of the admin API; 0 takes a free one."
)
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="Keep the state in this JSON file.")
@click.option("--json", "is_json", is_flag=True, help="Print the two addresses as one JSON object on one line.")
def sandbox(host: str, port: int, admin_port: int, state: Path | None, is_json: bool) -> None:
    """Run a stand-in for Knock's API until Ctrl-C: for demos, tests and trying an integration.

    It takes Knock's published test keys and knows one community, 1001. The admin API shows what was received and switches faults.
    """
    from agent.sandbox.server import Sandbox, serve

    def announce(running: Sandbox) -> None:
        if is_json:
            click.echo(json.dumps({"url": running.url, "admin_url": running.admin_url}))
        else:
            click.echo(f"Knock's API, played: {running.url}\nAdmin API: {running.admin_url}\nCtrl-C ends it.")

    try:
        settings = replace(_DEFAULTS, host=host, port=port, admin_port=admin_port, state_file=state)
        if not settings.is_on_loopback():
            click.echo(f"Warning: {host} can be reached from other devices; the sandbox is not for the open network.", err=True)
        asyncio.run(serve(settings, announce))
    except AgentError as error:
        raise click.ClickException(str(error)) from error
