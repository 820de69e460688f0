"""`python -I -m agent.daemon FILE`: the agent itself, without the weight of the command line."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

from agent import config, logs
from agent.daemon.run import Agent
from agent.errors import AgentError
from drivers.base import DriverError

LAST_LINES_S = 0.3
"""How long the last lines may take at the end, when nobody reads them."""


def main(path: str) -> int:
    """Run until stopped; the exit status: 0 after an orderly stop, 1 with a sentence on stderr."""
    os.umask(0o077)
    logs.set_up()
    log = logging.getLogger("tourlatch")

    async def live() -> None:
        await Agent(config.load(Path(path))).run()

    # not asyncio.run: at the end it would wait for threads, such as one that resolves a name while the network is gone
    runner = asyncio.Runner()
    try:
        runner.run(live())
    except (AgentError, DriverError) as error:
        for sentence in str(error).splitlines():
            log.critical("cannot start", extra={"facts": {"because": sentence}})
        return 1
    except BaseExceptionGroup as deaths:
        log.critical("the door died", exc_info=deaths)
        return 1
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1])
    logs.flush(LAST_LINES_S)
    # not sys.exit: closing the store could wait for a stalled disk; its log is whole at any instant
    os._exit(status)
