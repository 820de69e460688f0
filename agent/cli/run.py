"""`tourlatch run`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from agent.cli.options import config_option


@click.command()
@config_option
def run(config_path: Path) -> None:
    """Run the agent at the door until SIGTERM.

    This process becomes the agent, without the weight of the command line (click and its like are not loaded there).
    """
    sys.stdout.flush()
    arguments = [sys.executable, "-I", "-X", "utf8", "-m", "agent.daemon", str(config_path)]
    os.execv(sys.executable, arguments)  # noqa: S606 - our own interpreter and module
