"""`tourlatch kiosk`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from agent.cli.options import kiosk_config_option


@click.command()
@kiosk_config_option
def kiosk(config_path: Path) -> None:
    """Serve the page of the screen at a door until SIGTERM; a browser on this board shows it."""
    sys.stdout.flush()
    arguments = [sys.executable, "-I", "-X", "utf8", "-m", "agent.kiosk", str(config_path)]
    os.execv(sys.executable, arguments)  # noqa: S606 - our own interpreter and module
