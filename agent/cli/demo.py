"""`tourlatch demo`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import click


@click.command()
@click.option("--stay", is_flag=True, help="Leave the pages and the door open at the end, until Ctrl-C.")
def demo(stay: bool) -> None:
    """Tell the whole story on a played scanner and a played board, and prove it: exit 0 only if Knock has just what was admitted.

    No device, no root, no network: everything happens in a folder of its own, on loopback.
    """
    with tempfile.TemporaryDirectory(prefix="tourlatch-demo-") as folder:
        is_same = asyncio.run(_play(Path(folder), stay=stay))
    sys.exit(0 if is_same else 1)


async def _play(folder: Path, *, stay: bool) -> bool:
    from agent.demo.front_desk import STAFF_NAME
    from agent.demo.stage import Stage
    from agent.demo.story import LINK, Story

    began_s = time.monotonic()
    stage = Stage(folder, has_desk=True)
    await stage.open()
    try:
        is_same = await Story(stage, click.echo).tell()
        click.echo(f"Told in {time.monotonic() - began_s:.0f} s.")
        if stay:
            ended = _interruption()
            click.echo(f"Still running. Book a tour at {stage.desk.url}{LINK}")
            click.echo(f"The staff page: {stage.desk.url}/staff, name {STAFF_NAME}, password {stage.desk.staff_password}")
            click.echo(f"Knock's stand-in: {stage.sandbox.url}, its other side: {stage.sandbox.admin_url}")
            click.echo(f"Try: tourlatch status -c {stage.config_path}; Ctrl-C ends it.")
            await ended.wait()
        return is_same
    finally:
        await stage.close()


def _interruption() -> asyncio.Event:
    """Set by Ctrl-C, and by a polite end of the process."""
    import signal

    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    return ended
