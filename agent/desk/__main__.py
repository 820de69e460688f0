"""`python -I -m agent.desk FILE`: the desk itself, without the weight of the command line."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

from agent import config, logs
from agent.desk.run import serve
from agent.errors import AgentError
from agent.settings.desk import DeskSettings

LAST_LINES_S = 0.3


def main(path: str) -> int:
    """Run until stopped; the exit status: 0 after an orderly stop, 1 with a sentence on stderr."""
    os.umask(0o077)
    logs.set_up()
    log = logging.getLogger("tourlatch")
    try:
        asyncio.run(serve(config.load_as(DeskSettings, Path(path))))
    except AgentError as error:
        for sentence in str(error).splitlines():
            log.critical("cannot start", extra={"facts": {"because": sentence}})
        return 1
    except BaseExceptionGroup as deaths:
        log.critical("the desk died", exc_info=deaths)
        return 1
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1])
    logs.flush(LAST_LINES_S)
    sys.exit(status)
