"""`python -I -m agent.camera FILE [NAME [FOLDER]]`: the camera process itself, without the weight of the command line.

An empty NAME is the only camera there is; with a FOLDER its pictures stand in for the camera's, because somebody asked for that.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

from agent import config, logs
from agent.camera.capture import Folder, PiCamera, Source
from agent.camera.run import reader_of, watch
from agent.errors import AgentError
from drivers.base import DriverError

LAST_LINES_S = 0.3


def main(path: str, name: str = "", folder: str = "") -> int:
    """Run until stopped; the exit status: 0 after an orderly stop, 1 with a sentence on stderr."""
    os.umask(0o077)
    logs.set_up()
    log = logging.getLogger("tourlatch")

    async def live() -> None:
        settings = reader_of(config.load(Path(path)), name or None)
        source: Source = Folder(Path(folder)) if folder else PiCamera(settings)
        await watch(settings, source)

    # not asyncio.run: at the end it would wait for the thread, and a camera that hangs never answers
    runner = asyncio.Runner()
    try:
        runner.run(live())
    except (AgentError, DriverError) as error:
        for sentence in str(error).splitlines():
            log.critical("cannot go on", extra={"facts": {"because": sentence}})
        return 1
    except Exception:
        log.critical("the camera process died", exc_info=True)
        return 1
    return 0


if __name__ == "__main__":
    status = main(*sys.argv[1:])
    logs.flush(LAST_LINES_S)
    # not sys.exit, for the same reason
    os._exit(status)
