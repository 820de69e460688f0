"""The camera process's end of the agent's socket; what is spoken there is told in `drivers/reader_socket.py`.

Rule 1: no code waits. What cannot be handed over now is dropped: told later, it would open a door that nobody is at any more. It is told
        anew for as long as it is held up.
Rule 2: an agent that is gone or turns this process away is tried again for ever.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from pathlib import Path

from agent.core.replay import RetryPolicy, backoff_s

OK = b"ok\n"
BEAT_S = 1.0
GREETING_S = 5.0
MAX_GREETING_BYTES = 1024
MIN_RETRY_S = 0.1
RETRY = RetryPolicy(first_s=0.25, max_s=5.0)

_log = logging.getLogger("tourlatch")


class Link:
    """`run` keeps the connection to the agent at `path`; `tell` and `beat` use it, in the same loop."""

    def __init__(self, path: Path, retry: RetryPolicy = RETRY) -> None:
        self._path = path
        self._retry = retry
        self._writer: asyncio.StreamWriter | None = None
        self._beat_s = 0.0
        self._last_words = ""

    async def run(self) -> None:
        """Connect, stay, connect again, until cancelled."""
        failures = 0
        while True:
            words = await self._stay()
            # an agent that took us in starts the back-off anew
            failures = 1 if self._last_words == "" else failures + 1
            if words != self._last_words:
                _log.warning("agent_away", extra={"facts": {"because": words}})
                self._last_words = words
            await asyncio.sleep(max(MIN_RETRY_S, backoff_s(failures, self._retry, random.random())))  # noqa: S311 - jitter

    def tell(self, text: str) -> bool:
        """Hand a code over; False when there is nobody who takes it at once."""
        return self._send(text.encode("ascii") + b"\n")

    def beat(self) -> None:
        """A sign of life, once a second at most however often this is called."""
        if time.monotonic() - self._beat_s >= BEAT_S and self._send(b"\n"):
            self._beat_s = time.monotonic()

    def _send(self, data: bytes) -> bool:
        # what the kernel did not take at once waits in the transport: then the agent stands still
        if self._writer is None or self._writer.transport.is_closing() or self._writer.transport.get_write_buffer_size():
            return False
        self._writer.write(data)
        return True

    async def _stay(self) -> str:
        """Be connected until it ends; returns why."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._path, limit=MAX_GREETING_BYTES)
        except OSError as error:
            return f"no agent at {self._path}: {error.strerror or error}"
        try:
            async with asyncio.timeout(GREETING_S):
                greeting = await reader.readline()
            if greeting != OK:
                return greeting.decode("utf-8", "replace").strip() or "it hung up without a word"
            _log.info("agent_there", extra={"facts": {"socket": str(self._path)}})
            self._writer, self._last_words = writer, ""
            while await reader.read(MAX_GREETING_BYTES):
                pass
        except TimeoutError:
            return "it does not answer"
        except (OSError, ValueError) as error:
            return f"the connection broke: {error}"
        else:
            return "it hung up"
        finally:
            self._writer = None
            writer.transport.abort()
