"""`tourlatch camera`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from agent.cli.options import config_option


@click.command()
@config_option
@click.argument("name", required=False, default="")
@click.option(
    "--pictures",
    type=click.Path(exists=True, file_okay=False, path_type=Path, resolve_path=True),
    help="Look at the pictures that are put into this folder, for training, and at no camera.",
)
def camera(config_path: Path, name: str, pictures: Path | None) -> None:
    """Watch a camera for QR codes and hand them to the agent, until SIGTERM.

    NAME is the reader's in the configuration; it may be left out where there is one camera.
    """
    sys.stdout.flush()
    arguments = [sys.executable, "-I", "-X", "utf8", "-m", "agent.camera", str(config_path), name, str(pictures or "")]
    os.execv(sys.executable, arguments)  # noqa: S606 - our own interpreter and module
