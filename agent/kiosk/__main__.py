"""`python -I -m agent.kiosk FILE`: the kiosk itself, without the weight of the command line."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

from agent import config, logs
from agent.errors import AgentError
from agent.kiosk.run import serve
from agent.settings.kiosk import KioskSettings

LAST_LINES_S = 0.3


def main(path: str) -> int:
    """Run until stopped; the exit status: 0 after an orderly stop, 1 with a sentence on stderr."""
    os.umask(0o077)
    logs.set_up()
    log = logging.getLogger("tourlatch")
    # not asyncio.run: at the end it would wait for threads, and one that looks up a name may take its time
    runner = asyncio.Runner()
    try:
        runner.run(serve(config.load_as(KioskSettings, Path(path))))
    except AgentError as error:
        for sentence in str(error).splitlines():
            log.critical("cannot start", extra={"facts": {"because": sentence}})
        return 1
    except Exception:
        log.critical("the kiosk died", exc_info=True)
        return 1
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1])
    logs.flush(LAST_LINES_S)
    # not sys.exit, for the same reason
    os._exit(status)
