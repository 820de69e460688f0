"""`tourlatch desk`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from agent.cli.options import desk_config_option


@click.command()
@desk_config_option
def desk(config_path: Path) -> None:
    """Run the booking site, the roster feed and the staff page until SIGTERM."""
    sys.stdout.flush()
    arguments = [sys.executable, "-I", "-X", "utf8", "-m", "agent.desk", str(config_path)]
    os.execv(sys.executable, arguments)  # noqa: S606 - our own interpreter and module
